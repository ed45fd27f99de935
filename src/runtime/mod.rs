//! The shell that drives threads: the only place that starts tasks. Wakes a worker per thread, runs effects, sends posts.
//!
//! Nothing that must last lives here: whatever a task holds is folded from the log again when it ends.

mod activity;
pub mod clock;
mod confession;
pub mod effects;
pub mod intake;
pub mod kit;
pub mod ledger;
pub mod models;
pub mod outbox;
mod pace;
pub mod presence;
pub mod project;
pub mod publish;
pub mod slots;
pub mod supervisor;
pub mod tasks;
mod turnstile;
pub mod upstream;
pub mod watch;
pub mod witness;
pub mod worker;

pub use clock::Clock;
pub use supervisor::Supervisor;
pub use tasks::Tasks;
