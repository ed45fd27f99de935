//! What one thread's worker keeps at hand between effects: each role's conversation as bytes, the places where tools
//! work, what a role has read. All of it is folded or opened again by the next worker.

use std::collections::HashMap;
use std::sync::Arc;

use crate::agent::Role;
use crate::ids::ThreadKey;
use crate::llm::transcript::Transcript;
use crate::thread::Event;
use crate::tools::{KnownFiles, Place};

/// The kit of one thread.
pub struct Kit {
    thread: ThreadKey,
    transcripts: HashMap<Role, Transcript>,
    known_files: HashMap<Role, KnownFiles>,
    /// The thread's worktree, opened once.
    pub worktree: Option<Arc<Place>>,
    /// The snapshot of the base commit, opened once.
    pub snapshot: Option<Arc<Place>>,
}

impl Kit {
    /// The kit of a thread before its first event.
    pub fn new(thread: ThreadKey) -> Self {
        let transcripts = Role::ALL.into_iter().map(|role| (role, Transcript::new(role))).collect();
        Self { thread, transcripts, known_files: HashMap::new(), worktree: None, snapshot: None }
    }

    /// Writes an event into the conversations.
    pub fn apply(&mut self, event: &Event) {
        self.transcripts.values_mut().for_each(|transcript| transcript.apply(event));
    }

    /// The thread as text, for keys.
    pub fn thread(&self) -> String {
        self.thread.to_text()
    }

    /// A role's conversation.
    pub fn transcript(&self, role: Role) -> Option<&Transcript> {
        self.transcripts.get(&role)
    }

    /// What a role has read and written; `paths` is what the log knows of it, used when a worker begins.
    pub fn known_files(&mut self, role: Role, paths: impl IntoIterator<Item = String>) -> KnownFiles {
        self.known_files.entry(role).or_insert_with(|| KnownFiles::from_log(paths)).clone()
    }
}
