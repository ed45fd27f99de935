//! The product over in-memory fakes, deterministically: one life after another in one thread, under simulated time. The
//! sweep cuts it at every point, the fault schedules do it everything that Slack, git, GitHub and models do.

mod chat;
mod dice;
pub mod fate;
mod faults;
pub mod forge;
mod invariants;
mod lost_worker;
mod model;
mod people;
pub mod probe;
#[path = "../../tests/support/replacement.rs"]
mod replacement;
mod stories;
mod sweep;
mod unheard;
mod world;
