//! What people change of what they have said: a role that has read it is told, one that has not reads it as it is now.
//!
//! Starts no run: a run that stands on the message goes on until it has read the change; else it is read next time.

use super::Deciding;
use crate::agent::Role;
use crate::ids::{MessageTs, UserId};
use crate::thread::event::Event;

impl Deciding<'_> {
    pub(super) fn edit(&mut self, ts: MessageTs, by: &UserId, text: String) {
        let Some(known) = self.known(&ts, by) else { return };
        if known.text == text {
            return;
        }
        let note = format!("[codebutler] {} edited a message that you have read. It now says:\n{text}", known.name);
        self.emit(Event::MessageEdited { ts, text });
        known.readers.into_iter().for_each(|role| self.note(role, note.clone()));
    }

    pub(super) fn delete(&mut self, ts: MessageTs, by: &UserId) {
        let Some(known) = self.known(&ts, by) else { return };
        let note = format!(
            "[codebutler] {} deleted a message that you have read; it no longer counts:\n{}",
            known.name, known.text
        );
        self.emit(Event::MessageDeleted { ts });
        known.readers.into_iter().for_each(|role| self.note(role, note.clone()));
    }

    /// What is known of a message of that writer; `None` when no role has read it or will read it: a command, say.
    fn known(&self, ts: &MessageTs, by: &UserId) -> Option<Known> {
        let thread = &self.thread;
        let readers = thread.readers(ts);
        if let Some(message) = thread.known_message(ts, by) {
            let (name, text) = (message.name.clone(), message.text.clone());
            return Some(Known { name, text, readers });
        }
        // Its writer is not kept, and nobody but the writer can change it.
        let earlier = thread.earlier(ts)?;
        let (name, text) = (thread.name_of(by).to_owned(), earlier.text.clone());
        Some(Known { name, text, readers })
    }
}

/// A message that roles have read or will read.
struct Known {
    /// Its writer's name.
    name: String,
    text: String,
    /// Roles that will not see by themselves that it changes.
    readers: Vec<Role>,
}
