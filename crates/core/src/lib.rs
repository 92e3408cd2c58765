//! Headway's flow, apart from any engine and any language.
//!
//! The tour, in flow order:
//!
//! 0. [`value`], [`request`], [`error`], [`engine`]: what is moved about, and what an engine must do.
//! 1. Pure steps, without lock, thread or clock: [`admission`] (is there room?), [`schedule`] (who is next?),
//!    [`placement`] (on which core?), [`batch`] (who runs together, and when?), [`cost`] (does it pay?), [`reorder`] (in which order are outcomes
//!    handed over?), [`keys`], [`deadlines`], [`metrics`].
//! 2. [`state`]: the one lock's contents and its transitions; [`slot`]: one request's outcome cell;
//!    [`bell`]: an event loop's; [`delivery`]: the queue of due callbacks.
//! 3. `worker`, [`timer`]: threads that act on [`work`].
//! 4. [`runtime`]: `submit`, `take`, `complete`, `cancel`, `expire`; `apply`: what they decided, done; [`close`],
//!    [`threads`].
//!
//! Imports go down only. Everything that waits or locks is in floors 2 to 4.
#![forbid(unsafe_code)]

pub mod admission;
mod apply;
pub mod batch;
pub mod bell;
pub mod clock;
pub mod close;
pub mod cores;
pub mod cost;
pub mod deadlines;
pub mod delivery;
pub mod engine;
pub mod error;
pub mod keys;
pub mod metrics;
pub mod placement;
pub mod pull;
pub mod reorder;
pub mod request;
pub mod runtime;
pub mod schedule;
pub mod slot;
pub mod state;
pub mod stats;
mod sync;
pub mod threads;
#[cfg(not(loom))]
pub mod timer;
pub mod value;
pub mod vigil;
pub mod work;
mod worker;
