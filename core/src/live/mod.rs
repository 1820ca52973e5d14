//! A live camera: frames in at thirty a second, answers out when there is something to answer.
//!
//! [`Gate`] sees whether the camera rests on something, [`Pace`] how often that is worth a run of the network, and
//! [`LiveSession`] runs it on a thread of its own. No frame waits: one is taken when the thread is free, so an answer is
//! always about the newest, and work on a scene that the camera has left is cancelled.
//!
//! Time is what the caller says that it is (the frames' timestamps), so that every decision can be tested.

mod gate;
mod pace;
mod session;

pub use gate::{Gate, GateOptions, Scene, Signature};
pub use pace::{Pace, PaceOptions, Thermal};
pub use session::{LiveEvent, LiveOptions, LiveSession, Offered};
