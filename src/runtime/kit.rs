//! What one thread's worker keeps at hand between effects: each role's conversation as bytes, the places where tools
//! work, what a role has read. All of it is folded or opened again by the next worker.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;

use crate::agent::Role;
use crate::ids::ThreadKey;
use crate::llm::transcript::Transcript;
use crate::thread::Event;
use crate::thread::spending::Spent;
use crate::tools::workspace::Access;
use crate::tools::{KnownFiles, Place, ToolError};

/// The kit of one thread.
pub struct Kit {
    thread: ThreadKey,
    /// Shared with model calls under way, which may need a conversation again for another model.
    transcripts: HashMap<Role, Arc<Transcript>>,
    known_files: HashMap<Role, KnownFilesSlot>,
    /// The thread's worktree.
    worktree: PlaceSlot,
    /// The snapshot of the base commit.
    snapshot: PlaceSlot,
    /// To the worker: what was spent on requests that brought nothing.
    till: UnboundedSender<Spent>,
}

impl Kit {
    /// The kit of a thread before its first event.
    pub fn new(thread: ThreadKey, till: UnboundedSender<Spent>) -> Self {
        let transcripts = Role::ALL.into_iter().map(|role| (role, Arc::new(Transcript::new(role)))).collect();
        Self {
            thread,
            transcripts,
            known_files: HashMap::new(),
            worktree: PlaceSlot::default(),
            snapshot: PlaceSlot::default(),
            till,
        }
    }

    /// Writes an event into the conversations.
    pub fn apply(&mut self, event: &Event) {
        // What is still shared is copied once; nothing is, unless something happens in the middle of a call.
        self.transcripts.values_mut().for_each(|transcript| Arc::make_mut(transcript).apply(event));
    }

    /// The thread as text, for keys.
    pub fn thread(&self) -> String {
        self.thread.to_text()
    }

    /// A role's conversation.
    pub fn transcript(&self, role: Role) -> Option<&Arc<Transcript>> {
        self.transcripts.get(&role)
    }

    /// Takes what is spent in vain.
    pub fn till(&self) -> UnboundedSender<Spent> {
        self.till.clone()
    }

    /// Where a role's tools work.
    pub fn place(&self, role: Role) -> PlaceSlot {
        if role == Role::Coder { self.worktree.clone() } else { self.snapshot.clone() }
    }

    /// What a role has read and written.
    pub fn known_files(&mut self, role: Role) -> KnownFilesSlot {
        self.known_files.entry(role).or_default().clone()
    }
}

/// A place that is opened when it is first needed, and again when its folder is another one since.
#[derive(Clone, Default)]
pub struct PlaceSlot(Arc<tokio::sync::Mutex<Option<Arc<Place>>>>);

impl PlaceSlot {
    /// The place; `find` says where it is and what may be done there.
    pub async fn get_or_open<F>(&self, find: impl FnOnce() -> F) -> Result<Arc<Place>, ToolError>
    where
        F: Future<Output = Result<(PathBuf, Access), ToolError>>,
    {
        let mut slot = self.0.lock().await;
        if let Some(place) = slot.as_ref().filter(|place| place.is_current()) {
            return Ok(Arc::clone(place));
        }
        let (root, access) = find().await?;
        let place = Place::open(&root, access).map_err(|error| {
            ToolError::for_model(format!("The folder {} cannot be opened: {error}.", root.display()))
        })?;
        Ok(Arc::clone(slot.insert(Arc::new(place))))
    }
}

/// What a role has read and written, begun from the log when it is first needed.
#[derive(Clone, Default)]
pub struct KnownFilesSlot(Arc<std::sync::OnceLock<KnownFiles>>);

impl KnownFilesSlot {
    /// The knowledge; `log` names the files that the log says are known.
    pub fn get_or_fill(&self, place: &Place, log: &BTreeSet<String>) -> KnownFiles {
        self.0.get_or_init(|| KnownFiles::from_log(place, log.iter().map(String::as_str))).clone()
    }
}
