//! Events and state in words for people: cards, progress, status. Pure; formats of one chat are that chat's business.

pub mod progress;
pub mod status;
