"""Execution providers: what was asked for, what there is, what is used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from headway._errors import LoadError
from headway._warn import once

CPU = "CPUExecutionProvider"
MissingProvider = Literal["raise", "warn"]

#: A provider's name, or its name and options.
Provider = str | tuple[str, Mapping[str, Any]]


class ProviderReport(NamedTuple):
    """One provider that was asked for."""

    #: Its name.
    provider: str
    #: True when the session uses it.
    used: bool
    #: Why not, when it does not.
    reason: str


class Chosen(NamedTuple):
    """What the session is built with."""

    providers: list[tuple[str, list[tuple[str, str]]]]
    report: list[ProviderReport]


def _pairs(
    providers: Sequence[Provider], options: Sequence[Mapping[str, Any]] | None
) -> list[tuple[str, dict[str, str]]]:
    """Names and options; what is wrong with them is said in ``onnxruntime``'s words."""
    if isinstance(providers, str):
        raise TypeError(f"providers: expected a list, got the str {providers!r}; write [{providers!r}]")
    if not isinstance(providers, Sequence):
        raise ValueError("'providers' should be a sequence.")
    given = [_pair(one) for one in providers] if options is None else _zipped(providers, options)
    pairs: dict[str, dict[str, str]] = {}
    for name, values in given:
        if name in pairs:
            once(f"Duplicate provider '{name}' encountered, ignoring.")
            continue
        pairs[name] = {str(key): str(value) for key, value in values.items()}
    if pairs.keys() >= {"TensorrtExecutionProvider", "NvTensorRTRTXExecutionProvider"}:
        raise ValueError(
            "Cannot enable both 'TensorrtExecutionProvider' and 'NvTensorRTRTXExecutionProvider' in the same session."
        )
    return list(pairs.items())


def normalized(
    providers: Sequence[Provider] | None, options: Sequence[Mapping[str, Any]] | None
) -> list[tuple[str, dict[str, str]]]:
    """Names and options of what was asked for, in its order."""
    return _pairs(providers, options) if providers else []


def _pair(provider: Provider) -> tuple[str, Mapping[str, Any]]:
    if isinstance(provider, str):
        return provider, {}
    if isinstance(provider, tuple) and len(provider) == 2:
        name, options = provider
        if isinstance(name, str) and isinstance(options, Mapping):
            return name, options
    raise ValueError("'providers' values must be either strings or (string, dict) tuples.")


def _zipped(
    providers: Sequence[Provider], options: Sequence[Mapping[str, Any]]
) -> list[tuple[str, Mapping[str, Any]]]:
    if not isinstance(options, Sequence):
        raise ValueError("'provider_options' should be a sequence.")
    if len(options) != len(providers):
        raise ValueError("'providers' and 'provider_options' should be the same length if both are given.")
    names = [provider for provider in providers if isinstance(provider, str)]
    if len(names) != len(providers):
        raise ValueError("Only string values for 'providers' are supported if 'provider_options' is given.")
    if not all(isinstance(one, Mapping) for one in options):
        raise ValueError("'provider_options' values must be dicts.")
    return list(zip(names, options, strict=True))


def choose(
    providers: Sequence[Provider] | None,
    options: Sequence[Mapping[str, Any]] | None,
    available: Sequence[str],
    on_missing: MissingProvider | None,
) -> Chosen:
    """Of the providers asked for, those that there are.

    A list that ends in CPUExecutionProvider is a preference list: what is missing is warned about once.
    Without CPU in it, a missing provider raises LoadError. ``on_missing`` overrides either.
    """
    if providers is None or not providers:
        return Chosen([], [ProviderReport(CPU, True, "")])
    pairs = _pairs(providers, options)
    strict = on_missing == "raise" or (on_missing is None and all(name != CPU for name, _ in pairs))
    chosen: list[tuple[str, list[tuple[str, str]]]] = []
    report: list[ProviderReport] = []
    for name, given in pairs:
        if name in available:
            chosen.append((name, list(given.items())))
            report.append(ProviderReport(name, True, ""))
            continue
        reason = f"this onnxruntime library has {list(available)}"
        if strict:
            meant = _meant(name, available)
            if meant is not None:
                raise LoadError(f"{name} is not available: {reason}. Did you mean {meant!r}?")
            raise LoadError(
                f"{name} is not available: {reason}. Install a build of onnxruntime that has it, "
                f"or add {CPU!r} to the end of providers to go on without it"
            )
        report.append(ProviderReport(name, False, reason))
        once(f"{name} is not available, going on without it: {reason}")
    return Chosen(chosen, report)


def _meant(name: str, available: Sequence[str]) -> str | None:
    """The provider whose name was written in other letters or in short, as ``cpu``."""
    written = name.lower().removesuffix("executionprovider")
    return next((one for one in available if one.lower().removesuffix("executionprovider") == written), None)
