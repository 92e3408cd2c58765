//! Devices that execution providers run on, and sessions that are told which ones to use.

use std::ffi::{CStr, c_char};
use std::ptr;

use headway_core::error::{Error, ErrorKind};

use super::options::{Options, SessionConfig};
use super::raw::*;
use super::runtime::Runtime;
use super::text::Pairs;

const SINCE: &str = "1.22";
const DESCRIBE: &str = "describing a device";

/// A piece of hardware.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardwareDevice {
    /// 0 CPU, 1 GPU, 2 NPU.
    pub kind: i32,
    /// Who made it.
    pub vendor: String,
    /// The vendor's number on the bus.
    pub vendor_id: u32,
    /// The device's number.
    pub device_id: u32,
    /// What else is known of it.
    pub metadata: Vec<(String, String)>,
}

/// An execution provider on one device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpDevice {
    /// The provider.
    pub name: String,
    /// Who made the provider.
    pub vendor: String,
    /// What the provider says of itself.
    pub metadata: Vec<(String, String)>,
    /// Options that the provider would use on this device.
    pub options: Vec<(String, String)>,
    /// The device.
    pub hardware: HardwareDevice,
    /// Which of the environment's devices it is.
    pub handle: usize,
}

/// A provider on devices, by their handles, and its options.
pub type DeviceProvider = (Vec<usize>, Vec<(String, String)>);

impl Runtime {
    /// Every device that a provider can run on.
    ///
    /// # Errors
    /// `Load` when this library is older than 1.22.
    pub fn ep_devices(&self) -> Result<Vec<EpDevice>, Error> {
        self.device_pointers()?.iter().map(|&device| self.describe(device)).collect()
    }

    fn device_pointers(&self) -> Result<Vec<*const OrtEpDevice>, Error> {
        let list = self.needs(self.api.newer.ep_devices, "the list of devices", SINCE)?;
        let (mut devices, mut count) = (ptr::null(), 0);
        let env = self.environment()?.raw;
        // SAFETY: the environment lives for ever; two out parameters.
        self.api.check(unsafe { list(env, &mut devices, &mut count) }, ErrorKind::Engine)?;
        // SAFETY: the engine gave `count` devices, which live until their provider's library is unregistered.
        Ok((0..count).map(|at| unsafe { *devices.add(at) }).collect())
    }

    fn describe(&self, device: *const OrtEpDevice) -> Result<EpDevice, Error> {
        let newer = &self.api.newer;
        let name = self.needs(newer.ep_name, DESCRIBE, SINCE)?;
        let vendor = self.needs(newer.ep_vendor, DESCRIBE, SINCE)?;
        let metadata = self.needs(newer.ep_metadata, DESCRIBE, SINCE)?;
        let options = self.needs(newer.ep_options, DESCRIBE, SINCE)?;
        let hardware = self.needs(newer.ep_hardware, DESCRIBE, SINCE)?;
        // SAFETY: the device lives, and what these give lives with it.
        unsafe {
            Ok(EpDevice {
                name: text(name(device)),
                vendor: text(vendor(device)),
                metadata: self.pairs(metadata(device))?,
                options: self.pairs(options(device))?,
                hardware: self.describe_hardware(hardware(device))?,
                handle: device.expose_provenance(),
            })
        }
    }

    /// # Safety
    /// `device` lives.
    unsafe fn describe_hardware(&self, device: *const OrtHardwareDevice) -> Result<HardwareDevice, Error> {
        let newer = &self.api.newer;
        let kind = self.needs(newer.hardware_type, DESCRIBE, SINCE)?;
        let vendor = self.needs(newer.hardware_vendor, DESCRIBE, SINCE)?;
        let vendor_id = self.needs(newer.hardware_vendor_id, DESCRIBE, SINCE)?;
        let device_id = self.needs(newer.hardware_device_id, DESCRIBE, SINCE)?;
        let metadata = self.needs(newer.hardware_metadata, DESCRIBE, SINCE)?;
        // SAFETY: the caller's promise; what these give lives with the device.
        unsafe {
            Ok(HardwareDevice {
                kind: kind(device),
                vendor: text(vendor(device)),
                vendor_id: vendor_id(device),
                device_id: device_id(device),
                metadata: self.pairs(metadata(device))?,
            })
        }
    }

    /// # Safety
    /// `from` is null or lives.
    unsafe fn pairs(&self, from: *const OrtKeyValues) -> Result<Vec<(String, String)>, Error> {
        if from.is_null() {
            return Ok(Vec::new());
        }
        let read = self.needs(self.api.newer.key_values, DESCRIBE, SINCE)?;
        let (mut keys, mut values, mut count) = (ptr::null(), ptr::null(), 0);
        // SAFETY: the caller's promise; three out parameters.
        unsafe { read(from, &mut keys, &mut values, &mut count) };
        // SAFETY: the engine gave `count` C strings in each.
        Ok((0..count).map(|at| unsafe { (text(*keys.add(at)), text(*values.add(at))) }).collect())
    }
}

/// Tells the options which devices to use, by name or by policy.
pub(super) fn append(runtime: &Runtime, options: &Options, config: &SessionConfig) -> Result<(), Error> {
    if let Some(policy) = config.selection_policy {
        let set = runtime.needs(runtime.api.newer.set_selection_policy, "a selection policy", SINCE)?;
        // SAFETY: the options live.
        options.check(unsafe { set(options.raw, policy) })?;
    }
    for (handles, pairs) in &config.device_providers {
        let append = runtime.needs(runtime.api.newer.append_devices, "choosing devices", SINCE)?;
        let devices = known(runtime, handles)?;
        let env = runtime.environment()?.raw;
        let status = Pairs::new(pairs)?.with(|keys, values, count| {
            // SAFETY: options and environment live, the devices are the environment's, the engine copies the strings.
            unsafe { append(options.raw, env, devices.as_ptr(), devices.len(), keys, values, count) }
        });
        options.check(status)?;
    }
    Ok(())
}

/// The environment's devices with these handles: a device that went with its library is refused, not followed.
fn known(runtime: &Runtime, handles: &[usize]) -> Result<Vec<*const OrtEpDevice>, Error> {
    let there = runtime.device_pointers()?;
    let find = |handle: &usize| there.iter().copied().find(|device| device.expose_provenance() == *handle);
    handles
        .iter()
        .map(|handle| {
            let text = "a device that was chosen is not there any more: ask get_ep_devices() again";
            find(handle).ok_or_else(|| Error::new(ErrorKind::Load, text))
        })
        .collect()
}

/// # Safety
/// `from` is null or a C string that lives for the length of this call.
unsafe fn text(from: *const c_char) -> String {
    if from.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned()
}
