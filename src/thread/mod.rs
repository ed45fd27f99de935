//! The thread: an event-sourced aggregate. `decide` turns a command into events, `apply` folds them into the state,
//! `pending` says which effects the state still needs.
//!
//! Pure: no tokio, files, network, clock, randomness or logging. Time, ids and settings come in as arguments. A log
//! folds to the same state on every machine.

pub mod apply;
pub mod budget;
pub mod checks;
pub mod command;
pub mod consult;
pub mod context;
pub mod decide;
pub mod durability;
pub mod effect;
pub mod event;
pub mod evidence;
pub mod facts;
pub mod outside;
pub mod phase;
pub mod plan;
pub mod question;
pub mod record;
pub mod rules;
pub mod spending;
pub mod stalled;
pub mod state;
#[cfg(test)]
pub(crate) mod tests;
pub mod words;

pub use command::Command;
pub use decide::decide;
pub use effect::{Effect, Restart, pending};
pub use event::Event;
pub use phase::Phase;
pub use rules::Rules;
pub use state::Thread;
