//! What the engine believes of a sparse tensor without looking: lengths and indices.

use std::ptr;
use std::sync::Arc;

use headway_core::value::{DType, Data, Tensor};

use super::composite::{SparseIndices, SparseTensor};
use super::values::count;

/// Why the tensor would make the engine read or write where nothing of it is.
pub(super) fn check(sparse: &SparseTensor) -> Result<(), String> {
    if sparse.values.dtype != sparse.dtype {
        let (got, expected) = (sparse.values.dtype.as_str(), sparse.dtype.as_str());
        return Err(format!("a sparse tensor of {expected} has values of {got}"));
    }
    if count(&sparse.dims).is_none() {
        return Err(format!("a sparse tensor cannot have the dimensions {:?}", sparse.dims.as_slice()));
    }
    fits("values", &sparse.values)?;
    let kept = sparse.values.dims.first().copied().unwrap_or(1);
    match &sparse.indices {
        SparseIndices::Coo(indices) => coo(sparse, indices, kept),
        SparseIndices::Csr { inner, outer } => csr(sparse, inner, outer, kept),
        SparseIndices::BlockSparse(indices) => blocks(sparse, indices),
    }
}

/// The same indices in memory that nobody writes to.
pub(super) fn still(indices: &SparseIndices) -> SparseIndices {
    match indices {
        SparseIndices::Coo(coo) => SparseIndices::Coo(copied(coo)),
        SparseIndices::Csr { inner, outer } => {
            SparseIndices::Csr { inner: copied(inner), outer: copied(outer) }
        }
        SparseIndices::BlockSparse(blocks) => SparseIndices::BlockSparse(copied(blocks)),
    }
}

fn copied(tensor: &Tensor) -> Tensor {
    let mut copy = tensor.clone();
    if let Data::Memory(memory) = &mut copy.data
        && memory.len > 0
    {
        let mut numbers = vec![0_u64; memory.len.div_ceil(size_of::<u64>())];
        let from = ptr::with_exposed_provenance::<u8>(memory.addr);
        // SAFETY: the tensor keeps its memory, which has this many bytes; the fresh list has at least as many.
        unsafe { ptr::copy_nonoverlapping(from, numbers.as_mut_ptr().cast(), memory.len) };
        memory.addr = numbers.as_ptr().expose_provenance();
        memory.owner = Some(Arc::new(numbers));
    }
    copy
}

/// The elements of indices that were checked.
pub(super) fn numbers<T>(tensor: &Tensor) -> &[T] {
    match &tensor.data {
        Data::Memory(memory) if memory.len > 0 && memory.addr % align_of::<T>() == 0 => {
            let start = ptr::with_exposed_provenance(memory.addr);
            // SAFETY: the tensor keeps its memory, which has this many bytes of plain numbers.
            unsafe { std::slice::from_raw_parts(start, memory.len / size_of::<T>()) }
        }
        _ => &[],
    }
}

/// As many bytes or strings as the dimensions say.
fn fits(what: &str, tensor: &Tensor) -> Result<(), String> {
    let expected = count(&tensor.dims);
    let good = match &tensor.data {
        Data::Strings(strings) => tensor.dtype == DType::String && expected == Some(strings.len()),
        Data::Memory(memory) => {
            tensor.dtype != DType::String
                && expected.map(|count| tensor.dtype.byte_len(count)) == Some(memory.len)
        }
    };
    if good {
        return Ok(());
    }
    let (dims, dtype) = (tensor.dims.as_slice(), tensor.dtype.as_str());
    Err(format!("a sparse tensor's {what} do not fit their dimensions {dims:?} of {dtype}"))
}

fn indices<'a, T>(what: &str, tensor: &'a Tensor, dtype: DType) -> Result<&'a [T], String> {
    if tensor.dtype != dtype {
        let (expected, got) = (dtype.as_str(), tensor.dtype.as_str());
        return Err(format!("a sparse tensor's {what} are {expected}, got {got}"));
    }
    fits(what, tensor)?;
    let numbers = numbers(tensor);
    // Memory that is not aligned reads as none.
    if count(&tensor.dims) == Some(numbers.len()) {
        Ok(numbers)
    } else {
        Err(format!("{what} are not aligned"))
    }
}

fn coo(sparse: &SparseTensor, tensor: &Tensor, kept: i64) -> Result<(), String> {
    let found = indices::<i64>("COO indices", tensor, DType::I64)?;
    let inside = match (tensor.dims.as_slice(), sparse.dims.as_slice()) {
        (&[rows], dims) if rows == kept => {
            let whole = count(dims).unwrap_or(0);
            found.iter().all(|&at| usize::try_from(at).is_ok_and(|at| at < whole))
        }
        (&[rows, 2], &[height, width]) if rows == kept => found.chunks_exact(2).all(|pair| match pair {
            &[row, column] => (0..height).contains(&row) && (0..width).contains(&column),
            _ => false,
        }),
        (got, dims) => {
            return Err(format!(
                "COO indices for {kept} values of dimensions {dims:?} have the shape [{kept}], or [{kept}, 2] for a \
                 matrix, got {got:?}"
            ));
        }
    };
    if inside { Ok(()) } else { Err(outside("COO", sparse)) }
}

fn csr(sparse: &SparseTensor, inner: &Tensor, outer: &Tensor, kept: i64) -> Result<(), String> {
    let columns = indices::<i64>("inner CSR indices", inner, DType::I64)?;
    let starts = indices::<i64>("outer CSR indices", outer, DType::I64)?;
    let &[height, width] = sparse.dims.as_slice() else {
        return Err(format!("CSR is for matrices, got the dimensions {:?}", sparse.dims.as_slice()));
    };
    let none = columns.is_empty() && starts.is_empty();
    let lengths =
        inner.dims.as_slice() == [kept] && (none || outer.dims.as_slice() == [height.saturating_add(1)]);
    if !lengths || (none && kept != 0) {
        let (inner, outer) = (inner.dims.as_slice(), outer.dims.as_slice());
        return Err(format!(
            "CSR indices for {kept} values in {height} rows have the shapes [{kept}] and [{height} + 1], got \
             {inner:?} and {outer:?}"
        ));
    }
    let rising = starts.windows(2).all(|pair| pair[0] <= pair[1]);
    let whole = none || (starts.first() == Some(&0) && starts.last() == Some(&kept));
    if rising && whole && columns.iter().all(|column| (0..width).contains(column)) {
        return Ok(());
    }
    Err(outside("CSR", sparse))
}

fn blocks(sparse: &SparseTensor, tensor: &Tensor) -> Result<(), String> {
    let found = indices::<i32>("block indices", tensor, DType::I32)?;
    // The last two dimensions are a block's own.
    let outer = sparse.values.dims.len().saturating_sub(2);
    let blocks: i64 = sparse.values.dims.iter().take(outer).product();
    let &[2, columns] = tensor.dims.as_slice() else {
        return Err(format!("block indices have the shape [2, blocks], got {:?}", tensor.dims.as_slice()));
    };
    if blocks != columns {
        return Err(format!("{blocks} blocks of values have {columns} indices"));
    }
    let largest = sparse.dims.iter().copied().max().unwrap_or(0);
    if found.iter().all(|&at| (0..largest).contains(&i64::from(at))) {
        return Ok(());
    }
    Err(outside("block", sparse))
}

#[cold]
fn outside(what: &str, sparse: &SparseTensor) -> String {
    format!("{what} indices point outside of the dimensions {:?}", sparse.dims.as_slice())
}
