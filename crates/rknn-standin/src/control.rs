//! What tests steer the stand-in with.

use std::ffi::{CStr, c_char, c_void};
use std::slice;

use serde::Deserialize;
use serde_json::json;

use crate::abi::{FAIL, PARAM_INVALID, SUCCESS};
use crate::cores::{Cores, Simulated};
use crate::world::{Counts, Fault, world};

/// One command; what it does not name stays as it is.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Command {
    /// Forget counts and faults, and have three cores of speed 1.
    reset: bool,
    /// The cores' speeds; one core is a chip without core masks.
    cores: Option<Vec<f64>>,
    faults: Option<Vec<Fault>>,
    /// Let go of everything that hangs.
    release: bool,
    /// Time moves only with the requests: lanes that run at once, and requests in all.
    simulate: Option<(usize, usize)>,
}

/// Does what the JSON says. 0, or a code when it is no command.
///
/// # Safety
/// `json` is a C string.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standin_control(json: *const c_char) -> i32 {
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(json) };
    let Ok(command) = serde_json::from_slice::<Command>(text.to_bytes()) else { return PARAM_INVALID };
    world().with(|state| {
        if command.reset {
            state.counts = Counts::default();
            state.faults.clear();
            state.cores = Cores::default();
        }
        if let Some(speeds) = command.cores {
            state.cores = Cores::new(speeds);
        }
        if let Some(faults) = command.faults {
            state.faults = faults;
        }
        if let Some((lanes, remaining)) = command.simulate {
            state.cores.simulated = Some(Simulated { lanes, remaining, ..Simulated::default() });
        }
        state.releases += u64::from(command.release);
    });
    SUCCESS
}

/// Writes what was counted as JSON, and gives its length; nothing is written where there is not enough room.
///
/// # Safety
/// `out` has room for `room` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn standin_stats(out: *mut c_char, room: usize) -> i64 {
    let stats = world().with(|state| {
        json!({
            "contexts": state.contexts.len(),
            "memories": state.memories.len(),
            "unreleased": state.unreleased,
            "hanging": state.hanging,
            "at_once": state.at_once,
            "busy": state.cores.busy,
            "now": state.cores.simulated.as_ref().map(|time| time.now),
            "counts": state.counts,
        })
    });
    let Ok(text) = serde_json::to_vec(&stats) else { return i64::from(FAIL) };
    if text.len() <= room && !out.is_null() {
        // SAFETY: the caller's promise.
        unsafe { slice::from_raw_parts_mut(out.cast::<u8>(), text.len()) }.copy_from_slice(&text);
    }
    text.len() as i64
}

/// A custom operator, as far as the stand-in is concerned: something that is not null.
static OPERATOR: [u64; 8] = [0; 8];

/// What a custom operator's library exports.
#[unsafe(no_mangle)]
pub extern "C" fn get_rknn_custom_op() -> *const c_void {
    OPERATOR.as_ptr().cast()
}
