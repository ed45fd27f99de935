//! From what people wrote to settings that make sense. Every problem is noted; the value that is then used is never
//! seen by anyone, because settings with problems are not handed out.

mod global;
mod repo;
mod value;

pub(super) use global::global;
pub(super) use repo::repo;
pub use value::{address_of_server, loopback};
