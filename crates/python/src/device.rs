//! Devices as programs name them.

use pyo3::prelude::*;

use crate::errors_in::{DoorError, misuse};

/// The only device whose memory Headway hands out.
pub(crate) const CPU: &str = "cpu";

/// Other names that ONNX Runtime takes, and its library's own words for them.
const OTHERS: [(&str, &str); 6] = [
    ("cuda", "Cuda"),
    ("cann", "Cann"),
    ("dml", "DML"),
    ("webgpu", "WebGPU_Buffer"),
    ("gpu", "Gpu"),
    ("npu", "Npu"),
];

/// Where an output is to be.
pub(crate) enum Place {
    /// In this machine's memory.
    Cpu,
    /// On a device, in the engine's words for it.
    Device(&'static str),
}

/// The place with this name.
pub(crate) fn place(device_type: &str) -> Result<Place, DoorError> {
    if device_type.eq_ignore_ascii_case(CPU) {
        return Ok(Place::Cpu);
    }
    let known = OTHERS.iter().find(|(name, _)| device_type.eq_ignore_ascii_case(name));
    known.map(|(_, words)| Place::Device(words)).ok_or_else(|| {
        let names: Vec<_> = OTHERS.iter().map(|(name, _)| *name).collect();
        misuse(format!("Unsupported device type: {device_type}; expected cpu or one of {}", names.join(", ")))
    })
}

/// Refuses memory of other devices.
pub(crate) fn only_cpu(device_type: &str, _device_id: i32, _vendor_id: i32) -> Result<(), DoorError> {
    match place(device_type)? {
        Place::Cpu => Ok(()),
        Place::Device(_) => Err(misuse(format!(
            "Can't allocate memory on the device {device_type:?}: Headway's values are made on the CPU; bind an \
             output with bind_output(name, {device_type:?}) to have the engine leave it there"
        ))),
    }
}

/// Refuses a memory info of another device.
pub(crate) fn only_cpu_memory(info: &Bound<'_, PyAny>) -> Result<(), DoorError> {
    let name: String = info.getattr("name")?.extract()?;
    only_cpu(&name, 0, -1)
}
