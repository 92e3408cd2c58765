"""``OrtValue`` and ``IOBinding`` under EZ RKNN Async's names, on memory of the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import headway
from headway.ez_rknn._errors import OptionError, speaks_runtime_error

if TYPE_CHECKING:
    from headway.ez_rknn._session import InferenceSession

_INSTEAD = "feed arrays or CPU values: on an NPU every lane has buffers of its own there, bound once and used in turn"


def _on_cpu(device_type: str) -> None:
    if device_type.lower() != "cpu":
        raise OptionError(f"device_type: expected 'cpu', got {device_type!r}; {_INSTEAD}")


class _ValueType(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, headway.OrtValue)


class OrtValue(metaclass=_ValueType):
    """Makes values in CPU memory; what it makes are ``headway.OrtValue`` objects.

    ``name``, ``session``, ``io_kind``, ``layout``, ``sync`` and ``mem_flags`` are about memory of the NPU and have no
    effect on the CPU's. There is no memory of the NPU to be had here: another ``device_type`` than ``"cpu"``, and
    dma-buf descriptors, raise.
    """

    def __init__(self) -> None:
        raise OptionError(
            "OrtValue: use OrtValue.ortvalue_from_numpy or OrtValue.ortvalue_from_shape_and_type"
        )

    @staticmethod
    @speaks_runtime_error
    def ortvalue_from_numpy(
        arr: Any, device_type: str = "cpu", device_id: int = 0, **about_npu: object
    ) -> headway.OrtValue:
        """A value that shares the array's memory."""
        _on_cpu(device_type)
        return headway.OrtValue.ortvalue_from_numpy(arr, "cpu", device_id)

    @staticmethod
    @speaks_runtime_error
    def ortvalue_from_shape_and_type(
        shape: Sequence[int],
        element_type: Any,
        device_type: str = "cpu",
        device_id: int = 0,
        **about_npu: object,
    ) -> headway.OrtValue:
        """A value with memory of its own, uninitialised."""
        _on_cpu(device_type)
        return headway.OrtValue.ortvalue_from_shape_and_type(list(shape), element_type, "cpu", device_id)

    @staticmethod
    def ortvalue_from_dmabuf(*_args: object, **_kwargs: object) -> NoReturn:
        """Not offered."""
        raise OptionError(f"ortvalue_from_dmabuf: not offered; {_INSTEAD}")


class IOBinding:
    """Values bound once and run many times. Outputs that were not bound are given memory by the session."""

    def __init__(self, session: InferenceSession) -> None:
        self._session = session
        self._binding = headway.IOBinding(session)
        self._outputs: set[str] = set()

    @speaks_runtime_error
    def bind_cpu_input(self, name: str, arr_on_cpu: Any) -> None:
        """Use an array as an input; it is not copied."""
        self._binding.bind_cpu_input(name, arr_on_cpu)

    @speaks_runtime_error
    def bind_ortvalue_input(self, name: str, ortvalue: headway.OrtValue) -> None:
        """Use a value as an input."""
        self._binding.bind_ortvalue_input(name, ortvalue)

    @speaks_runtime_error
    def bind_input(self, name: str, *_args: object, **_kwargs: object) -> NoReturn:
        """Not offered, as in the original: addresses say nothing of who keeps the memory."""
        raise OptionError(f"bind_input({name!r}): bind a value, by bind_cpu_input or bind_ortvalue_input")

    @speaks_runtime_error
    def bind_ortvalue_output(self, name: str, ortvalue: headway.OrtValue) -> None:
        """Have an output written into a value."""
        self._binding.bind_ortvalue_output(name, ortvalue)
        self._outputs.add(name)

    @speaks_runtime_error
    def bind_output(
        self,
        name: str,
        device_type: str = "cpu",
        device_id: int = 0,
        element_type: Any = None,
        shape: Sequence[int] | None = None,
        buffer_ptr: int | None = None,
        **about_npu: object,
    ) -> None:
        """Give an output memory: that at ``buffer_ptr``, or new memory each run."""
        _on_cpu(device_type)
        self._binding.bind_output(
            name, "cpu", device_id, element_type, None if shape is None else list(shape), buffer_ptr
        )
        self._outputs.add(name)

    @speaks_runtime_error
    def get_outputs(self) -> list[headway.OrtValue]:
        """The outputs of the last run, in the order in which they were bound."""
        return list(self._binding.get_outputs())

    @speaks_runtime_error
    def copy_outputs_to_cpu(self) -> list[Any]:
        """The outputs of the last run as arrays."""
        return list(self._binding.copy_outputs_to_cpu())

    @speaks_runtime_error
    def clear_binding_inputs(self) -> None:
        """Forget the inputs."""
        self._binding.clear_binding_inputs()

    @speaks_runtime_error
    def clear_binding_outputs(self) -> None:
        """Forget the outputs."""
        self._binding.clear_binding_outputs()
        self._outputs.clear()

    def synchronize_inputs(self) -> None:
        """Nothing to do: a run does so itself."""

    def synchronize_outputs(self) -> None:
        """Nothing to do: a run does so itself."""

    def _ready(self) -> headway.IOBinding:
        """The binding with a place for every output."""
        for name in self._session.output_names:
            if name not in self._outputs:
                self.bind_output(name)
        return self._binding
