//! Requests that bring the places of their outputs: an IO binding on the CPU, a prepared call.

use headway_core::error::{Error, ErrorKind};
use headway_core::request::OwnerBox;
use headway_core::value::{Data, Tensor, Value, Values};

use crate::ort::{Bound, Target};

/// The binding that the request holds.
pub(super) fn bound_of(owner: &OwnerBox) -> Result<&Bound, Error> {
    let bound = owner.0.downcast_ref::<Bound>();
    bound.ok_or_else(|| Error::new(ErrorKind::Input, "this binding was made by another engine"))
}

/// Puts the outputs where the binding wants them, and gives what it then holds.
pub(super) fn place(bound: &Bound, values: Values) -> Result<Values, Error> {
    let targets = bound.places.targets();
    if targets.len() != values.len() {
        let text = format!("a binding of {} places for {} outputs", targets.len(), values.len());
        return Err(Error::new(ErrorKind::Input, text));
    }
    targets.iter().zip(values).map(|(target, value)| place_one(target, value)).collect()
}

/// Leaves the binding's outputs, or none after a failure, and ends its turn.
pub(super) fn finish(bound: &Bound, values: Option<&Values>) {
    bound.finish(values);
}

fn place_one(target: &Target, value: Value) -> Result<Value, Error> {
    let wrong = |text: String| Err(Error::new(ErrorKind::Input, text));
    match (target, &value) {
        (Target::Fresh, _) => Ok(value),
        (Target::Device(device, _), _) => {
            wrong(format!("the rknn engine leaves no output on the device {device:?}"))
        }
        (Target::Into(tensor), Value::Tensor(given)) => {
            copy(given, tensor)?;
            Ok(Value::Tensor(tensor.clone()))
        }
        (Target::Into(_), _) => wrong("only a tensor can be put into memory of the caller's".into()),
    }
}

fn copy(from: &Tensor, to: &Tensor) -> Result<(), Error> {
    let fits = (from.dtype, &from.dims) == (to.dtype, &to.dims);
    let (Data::Memory(source), Data::Memory(target), true) = (&from.data, &to.data, fits) else {
        return Err(Error::new(
            ErrorKind::Input,
            format!("the memory is for {to:?}, the output is {from:?}"),
        ));
    };
    if source.len != target.len {
        let text = format!("{} bytes of memory for an output of {}", target.len, source.len);
        return Err(Error::new(ErrorKind::Input, text));
    }
    let start = std::ptr::with_exposed_provenance::<u8>(source.addr);
    let end = std::ptr::with_exposed_provenance_mut::<u8>(target.addr);
    // SAFETY: both are as long as told; the output is fresh, and the binding's turn keeps its other runs away. Memory of
    // no length is not touched.
    unsafe { start.copy_to(end, source.len) };
    Ok(())
}
