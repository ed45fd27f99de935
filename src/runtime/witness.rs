//! Tells somebody in this process what was committed, as it is committed: `codebutler exec` follows its thread by it.
//!
//! Nothing depends on it: whoever listens may stop at any moment.

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::ids::{Millis, ThreadKey};
use crate::thread::Event;

/// Events of a thread that were just committed.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The thread.
    pub thread: ThreadKey,
    /// The number of the first of them.
    pub first: u64,
    /// When.
    pub at: Millis,
    /// The events.
    pub events: Vec<Event>,
}

/// Where commits are told, if anybody wants to know.
#[derive(Clone, Debug, Default)]
pub struct Witness(Option<UnboundedSender<Committed>>);

impl Witness {
    /// With the one who listens.
    pub fn new() -> (Self, UnboundedReceiver<Committed>) {
        let (sender, receiver) = unbounded_channel();
        (Self(Some(sender)), receiver)
    }

    /// Tells a commit.
    pub fn tell(&self, committed: impl FnOnce() -> Committed) {
        if let Some(sender) = &self.0 {
            let _ = sender.send(committed());
        }
    }
}
