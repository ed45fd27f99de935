//! Events and state in words for people: cards, progress, status. Pure; the formats of one chat are that chat's business.

pub mod budget;
pub mod cards;
pub mod evidence;
pub mod post;
pub mod posts;
pub mod presence;
pub mod progress;
pub mod status;
pub mod story;
#[cfg(test)]
mod tests;
pub mod text;
