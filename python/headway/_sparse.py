"""``SparseTensor``: what models with sparse inputs and outputs take and give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headway import _core
from headway._fields import Named
from headway._ortvalue import OrtDevice, refuse

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class OrtSparseFormat(Named):
    """How a sparse tensor says where its values stand."""

    ORT_SPARSE_UNDEFINED = 0
    #: Flat positions, or rows and columns.
    ORT_SPARSE_COO = 1
    #: The columns of each row's values.
    ORT_SPARSE_CSRC = 2
    #: Blocks of values.
    ORT_SPARSE_BLOCK_SPARSE = 4


class _View:
    """The indices of a sparse tensor in one format."""

    __slots__ = ("_indices",)

    def __init__(self, indices: Sequence[npt.NDArray[Any]]) -> None:
        self._indices = tuple(indices)


class SparseCooView(_View):
    """A sparse tensor's indices in COO format."""

    __slots__ = ()

    def indices(self) -> npt.NDArray[np.int64]:
        """``(n,)`` flat positions, or ``(n, 2)`` rows and columns; the tensor's own memory."""
        return self._indices[0]


class SparseCsrcView(_View):
    """A sparse tensor's indices in CSR format."""

    __slots__ = ()

    def inner(self) -> npt.NDArray[np.int64]:
        """``(n,)``: the column of each value; the tensor's own memory."""
        return self._indices[0]

    def outer(self) -> npt.NDArray[np.int64]:
        """``(rows + 1,)``: where each row begins among the values; the tensor's own memory."""
        return self._indices[1]


class SparseBlockSparseView(_View):
    """A sparse tensor's indices in block-sparse format."""

    __slots__ = ()

    def indices(self) -> npt.NDArray[np.int32]:
        """``(2, n)``: the coordinates of the blocks; the tensor's own memory."""
        return self._indices[0]


class SparseTensor:
    """A tensor of which only some elements are kept. Made by the class methods, and given by models.

    It can be fed as it is, or as an ``OrtValue``. Over arrays nothing is copied (strings are): what is written to them
    later is seen.
    """

    __slots__ = ("__weakref__", "_value")

    def __init__(self, value: _core.OrtValue) -> None:
        if not (isinstance(value, _core.OrtValue) and value.is_sparse_tensor()):
            raise ValueError(f"expected an OrtValue that holds a sparse tensor, got {value!r}")
        self._value = value

    @classmethod
    def _of(cls, value: _core.OrtValue) -> SparseTensor:
        return cls(value)

    @classmethod
    def sparse_coo_from_numpy(
        cls,
        dense_shape: Sequence[int] | npt.NDArray[np.int64],
        values: npt.NDArray[Any],
        coo_indices: npt.NDArray[np.int64],
        ort_device: OrtDevice | None = None,
    ) -> SparseTensor:
        """A sparse tensor from values and their positions.

        Args:
            dense_shape: Dimensions of the dense tensor.
            values: ``(n,)``, the elements that are kept.
            coo_indices: ``(n,)`` positions in the flat dense tensor, or, for a matrix, ``(n, 2)`` rows and columns.
            ort_device: Where the arrays are: the CPU.

        Raises:
            InputError: The shapes do not fit each other. It is a ``RuntimeError``, as in onnxruntime.
        """
        return cls._made(OrtSparseFormat.ORT_SPARSE_COO, dense_shape, values, [coo_indices], ort_device)

    @classmethod
    def sparse_csr_from_numpy(
        cls,
        dense_shape: Sequence[int] | npt.NDArray[np.int64],
        values: npt.NDArray[Any],
        inner_indices: npt.NDArray[np.int64],
        outer_indices: npt.NDArray[np.int64],
        ort_device: OrtDevice | None = None,
    ) -> SparseTensor:
        """A sparse matrix from values, their columns, and where each row begins.

        Args:
            dense_shape: Rows and columns.
            values: ``(n,)``, the elements that are kept, row by row.
            inner_indices: ``(n,)``, their columns.
            outer_indices: ``(rows + 1,)``, where each row begins among the values, and their number.
            ort_device: Where the arrays are: the CPU.

        Raises:
            InputError: The shapes do not fit each other. It is a ``RuntimeError``, as in onnxruntime.
        """
        indices = [inner_indices, outer_indices]
        return cls._made(OrtSparseFormat.ORT_SPARSE_CSRC, dense_shape, values, indices, ort_device)

    @classmethod
    def _made(
        cls,
        kind: OrtSparseFormat,
        dense_shape: Any,
        values: Any,
        indices: list[Any],
        device: OrtDevice | None,
    ) -> SparseTensor:
        if device is not None and device.device_type() != 0:
            raise refuse("a sparse tensor's arrays are on the CPU: expected OrtDevice.make('cpu', 0)")
        shape = [int(length) for length in dense_shape]
        return cls(_core.OrtValue._sparse(int(kind), shape, values, indices))

    def values(self) -> npt.NDArray[Any]:
        """``(n,)``: the elements that are kept; the tensor's own memory (strings are copied)."""
        return self._value._parts()[3]

    def _indices(self, wanted: OrtSparseFormat, name: str) -> list[npt.NDArray[Any]]:
        found, _, _, _, indices = self._value._parts()
        if found != wanted:
            raise refuse(
                f"This sparse tensor does not contain {name} format, but {OrtSparseFormat(found).name}."
            )
        return indices

    def as_coo_view(self) -> SparseCooView:
        """Its COO indices. Raises InputError (a ``RuntimeError``) in another format."""
        return SparseCooView(self._indices(OrtSparseFormat.ORT_SPARSE_COO, "COO"))

    def as_csrc_view(self) -> SparseCsrcView:
        """Its CSR indices. Raises InputError (a ``RuntimeError``) in another format."""
        return SparseCsrcView(self._indices(OrtSparseFormat.ORT_SPARSE_CSRC, "CSR(C)"))

    def as_blocksparse_view(self) -> SparseBlockSparseView:
        """Its block indices. Raises InputError (a ``RuntimeError``) in another format."""
        return SparseBlockSparseView(self._indices(OrtSparseFormat.ORT_SPARSE_BLOCK_SPARSE, "BlockSparse"))

    def to_cuda(self, ort_device: OrtDevice) -> SparseTensor:
        """Always raises InputError (a ``RuntimeError``): sparse tensors stay on the CPU."""
        raise refuse(f"a sparse tensor cannot be copied to {ort_device!r}: sparse tensors stay on the CPU")

    def format(self) -> OrtSparseFormat:
        """How it says where its values stand."""
        return OrtSparseFormat(self._value._parts()[0])

    def dense_shape(self) -> list[int]:
        """Dimensions of the dense tensor."""
        return self._value.shape()

    def data_type(self) -> str:
        """Its type in ONNX Runtime's words: ``sparse_tensor(float)``."""
        return self._value.data_type()

    def device_name(self) -> str:
        """Where its arrays are: ``cpu``."""
        return self._value.device_name()

    def __repr__(self) -> str:
        return f"<SparseTensor {self.data_type()} {self.dense_shape()} {self.format().name}>"
