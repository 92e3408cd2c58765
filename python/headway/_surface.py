"""What ``onnxruntime.InferenceSession`` says of itself, beside running."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from headway import _core
from headway._checks import as_session
from headway._errors import HeadwayError
from headway._nodes import ModelMetadata, NodeArg
from headway._providers import Provider, normalized

if TYPE_CHECKING:
    from headway._engines.words import Loaded
    from headway._options import SessionOptions
    from headway._providers import ProviderReport


@as_session
class OnnxRuntimeSurface:
    """The questions that ``onnxruntime``'s sessions answer."""

    #: The profile's file, once it is written, and when it began, once the engine has gone.
    _profile = ""
    _profile_start = 0

    if TYPE_CHECKING:
        _loaded: Loaded
        _options: SessionOptions

        def _info(self) -> dict[str, Any]: ...

    def get_inputs(self) -> list[NodeArg]:
        """The model's inputs."""
        return [NodeArg(*node) for node in self._info()["inputs"]]

    def get_outputs(self) -> list[NodeArg]:
        """The model's outputs."""
        return [NodeArg(*node) for node in self._info()["outputs"]]

    def get_overridable_initializers(self) -> list[NodeArg]:
        """Initializers that a feed may override."""
        return [NodeArg(*node) for node in self._info()["initializers"]]

    def get_modelmeta(self) -> ModelMetadata:
        """What the model says of itself."""
        return ModelMetadata(**self._info()["meta"])

    def get_session_options(self) -> SessionOptions:
        """The options that the session was made with; changing them changes nothing here."""
        return self._options

    def get_providers(self) -> list[str]:
        """The execution providers in use."""
        return list(self._loaded.providers)

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        """The options that each provider was given."""
        return {name: dict(options) for name, options in self._loaded.provider_options.items()}

    @property
    def engine_facts(self) -> dict[str, Any]:
        """What the engine says of itself and of the model beyond what every engine says; its page lists the keys."""
        said = self._loaded.facts
        return {} if said is None else said(self)  # type: ignore[arg-type]

    @property
    def providers_report(self) -> list[ProviderReport]:
        """Every provider that was asked for, and why it is not used where it is not."""
        return list(self._loaded.report)

    def set_providers(
        self,
        providers: Sequence[Provider] | None = None,
        provider_options: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        """Only the providers in use are accepted: a session keeps its providers for life.

        Raises:
            HeadwayError: These would be other providers, or other options.
        """
        wanted = dict(normalized(providers, provider_options)) or {"CPUExecutionProvider": {}}
        wanted.setdefault("CPUExecutionProvider", {})
        if list(wanted.items()) != list(self._loaded.provider_options.items()):
            raise HeadwayError(
                f"a session keeps its execution providers ({', '.join(self._loaded.providers)}): requests may be "
                f"running on them. Make a new session with providers={list(wanted)!r}"
            )

    def set_ep_dynamic_options(self, options: Mapping[str, str]) -> None:
        """Change options of the execution providers in use.

        Raises:
            RuntimeError: There are no options.
            InputError, EngineError: A provider does not take them.
        """
        if not options:
            raise RuntimeError("No options were provided")
        # Every session is one.
        assert isinstance(self, _core.Session)
        _core.set_dynamic_options(self, list(options.items()))

    def enable_fallback(self) -> None:
        """No effect: a session does not change its execution providers when one of them fails."""

    def disable_fallback(self) -> None:
        """No effect: a session does not change its execution providers when one of them fails."""

    def get_profiling_start_time_ns(self) -> int:
        """When profiling began, in nanoseconds on the engine's clock; 0 without profiling."""
        profiler = self._loaded.profiler
        return self._profile_start if profiler is None or self._profile_start else profiler.start_ns()

    def end_profiling(self) -> str:
        """End profiling, and give the name of the file it wrote; ``""`` without profiling.

        ``close()`` ends it too; calling this again, or after ``close()``, gives the same name.
        """
        profiler = self._loaded.profiler
        if profiler is not None and not self._profile:
            self._profile = profiler.end()
        return self._profile

    @contextmanager
    def _profiling_to_the_end(self) -> Iterator[None]:
        """Over the end of a session: what runs until then is in the profile, which is written when this is left."""
        profiler = self._loaded.profiler
        if profiler is None or self._profile_start:
            yield
            return
        profiler.hold()
        try:
            yield
            self._profile_start = profiler.start_ns()
            self.end_profiling()
        finally:
            profiler.release()
