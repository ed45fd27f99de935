//! What the tests stand on: services of the outside world, played in this process.

pub mod fake_github;
pub mod fake_slack;
