"""Which execution providers are used, and what is said of those that are not there."""

from __future__ import annotations

from typing import Any

import onnxruntime
import pytest

import headway
from headway import _warn
from headway._providers import CPU, ProviderReport, choose

CUDA, GPU = "CUDAExecutionProvider", "TensorrtExecutionProvider"


@pytest.fixture(autouse=True)
def _nothing_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_warn, "_given", set())


def test_default_is_cpu() -> None:
    given: list[str] | None
    for given in (None, []):
        assert choose(given, None, [CPU], None) == ([], [ProviderReport(CPU, True, "")])


def test_preference_list_warns_once_and_goes_on() -> None:
    with pytest.warns(UserWarning, match="CUDAExecutionProvider is not available, going on without it"):
        chosen = choose([CUDA, CPU], None, [CPU], None)
    assert chosen.providers == [(CPU, [])]
    assert [(one.provider, one.used) for one in chosen.report] == [(CUDA, False), (CPU, True)]
    # The second time in silence: warnings are errors here.
    assert choose([CUDA, CPU], None, [CPU], None) == chosen


def test_without_cpu_a_missing_one_raises() -> None:
    with pytest.raises(
        headway.LoadError, match=r"CUDAExecutionProvider is not available: .*CPUExecutionProvider"
    ):
        choose([CUDA], None, [CPU], None)


def test_override() -> None:
    with pytest.raises(headway.LoadError):
        choose([CUDA, CPU], None, [CPU], "raise")
    with pytest.warns(UserWarning, match="going on without it"):
        assert choose([GPU], None, [CPU], "warn").providers == []


def test_options() -> None:
    given = {"device_id": 1, "a": True}
    for chosen in (
        choose([(CUDA, given), CPU], None, [CUDA, CPU], None),
        choose([CUDA, CPU], [given, {}], [CUDA, CPU], None),
    ):
        assert chosen.providers == [(CUDA, [("device_id", "1"), ("a", "True")]), (CPU, [])]


BAD: list[tuple[Any, Any, type[Exception], str]] = [
    (CPU, None, TypeError, "expected a list, got the str"),
    ([CPU], [{}, {}], ValueError, "should be the same length if both are given"),
    ([(3, {})], None, ValueError, "must be either strings or"),
]


@pytest.mark.parametrize(("providers", "options", "error", "message"), BAD)
def test_bad_arguments(providers: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        choose(providers, options, [CPU], None)


def test_session_says_what_it_uses(tiny: bytes) -> None:
    assert CPU in headway.get_available_providers()
    with (
        pytest.warns(UserWarning, match=CUDA),
        headway.InferenceSession(tiny, providers=[CUDA, CPU]) as session,
    ):
        assert session.get_providers() == [CPU]
        assert session.get_provider_options() == {CPU: {}}
        assert [(one.provider, one.used) for one in session.providers_report] == [(CUDA, False), (CPU, True)]
    with pytest.raises(headway.LoadError, match=CUDA):
        headway.InferenceSession(tiny, providers=[CUDA])


MISTAKES: list[tuple[Any, Any]] = [
    (3, None),
    ([CPU], 3),
    ([CPU], [{}, {}]),
    ([(CPU, {})], [{}]),
    ([CPU], [3]),
    ([3], None),
    ([(CPU,)], None),
    ([(CPU, 3)], None),
    ([GPU, "NvTensorRTRTXExecutionProvider"], None),
]


@pytest.mark.parametrize(("providers", "options"), MISTAKES)
def test_mistakes_are_said_in_onnxruntimes_words(providers: Any, options: Any) -> None:
    with pytest.raises(ValueError) as ours:
        choose(providers, options, [CPU], None)
    # Theirs checks the providers before it looks for the file.
    with pytest.raises((ValueError, TypeError)) as theirs:
        onnxruntime.InferenceSession("nowhere.onnx", None, providers, options, enable_fallback=0)
    # Where theirs stumbles (`providers=3`), ours says what is wrong.
    assert theirs.type is TypeError or str(ours.value) == str(theirs.value)


def test_a_provider_twice_is_one() -> None:
    with pytest.warns(UserWarning, match="Duplicate provider 'CPUExecutionProvider' encountered, ignoring"):
        assert choose([CPU, (CPU, {"a": 1})], None, [CPU], None).providers == [(CPU, [])]
