"""``session.prepare()``: checks a feed once, and binds arrays for it and for its outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headway import _core
from headway._errors import InputError
from headway._nodes import names_of

if TYPE_CHECKING:
    from headway._binding import OrtValueCalls
    from headway._core import OrtValue, PreparedCall

#: Elements narrower than a byte: their arrays are copies, not views.
_NARROW = ("int4", "uint4", "int2", "uint2", "float4e2m1")


def prepare(session: OrtValueCalls, feed_like: Any, output_names: Sequence[str] | None) -> PreparedCall:
    """The call of ``session.prepare``."""
    output_names = names_of(output_names)
    _core.check_call(session, output_names)
    inputs = {name: _own(name, value) for name, value in _by_name(session, feed_like).items()}
    wanted = list(output_names or (node[0] for node in session._info()["outputs"]))
    # Says what is wrong with the feed in run's own words, and how large the outputs are.
    results = session.run_with_ort_values(wanted, inputs)
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_ortvalue_input(name, value)
    outputs = []
    for name, result in zip(wanted, results, strict=True):
        place = _own(name, result, "output")
        binding.bind_ortvalue_output(name, place)
        outputs.append(place.numpy())
    arrays = {name: value.numpy() for name, value in inputs.items()}
    return _core.PreparedCall(session, binding, arrays, tuple(outputs))


def _by_name(session: OrtValueCalls, feed: Any) -> dict[str, Any]:
    if isinstance(feed, Mapping):
        return dict(feed)
    names = [node[0] for node in session._info()["inputs"]]
    values = list(feed) if isinstance(feed, list | tuple) else [feed]
    if len(values) > len(names):
        raise InputError(
            f"prepare: the feed is a list of {len(values)}, but the model has {len(names)} inputs"
        )
    return dict(zip(names, values, strict=False))


def _own(name: str, value: Any, what: str = "input") -> OrtValue:
    """A tensor like ``value``, with its elements, in memory of its own."""
    if not isinstance(value, _core.OrtValue):
        try:
            value = _core.OrtValue.ortvalue_from_numpy(value)
        except InputError as error:
            raise InputError(f"prepare: {what} {name!r}: {error}") from None
    kind = value.data_type() or "nothing"
    element = kind.removeprefix("tensor(").removesuffix(")")
    if not value.is_tensor() or element == "string" or element in _NARROW or value.device_name() != "cpu":
        raise InputError(
            f"prepare: {what} {name!r} is a {kind}: expected numbers of at least a byte in memory of the CPU, which "
            "an array can share; use run()"
        )
    mine = _core.OrtValue.ortvalue_from_shape_and_type(value.shape(), value.element_type())
    mine.update_inplace(value)
    return mine
