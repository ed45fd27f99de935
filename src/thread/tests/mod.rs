//! The core as data: commands in, events and effects out. No IO, no async.
//!
//! `story` is what all of them drive; `any_story` holds what must be true whatever happens, the others tell one story a
//! test.

mod story;

mod any_story;
mod changes;
mod context;
mod merging;
mod messages;
mod outside;
mod plans;
mod questions;
mod retries;
mod runs;
mod taking_up;

pub(crate) use story::Story;
use story::refusal;
