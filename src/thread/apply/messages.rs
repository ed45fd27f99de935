//! The fold of what people say and change: what waits to be read, what was read, and by which role.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::agent::Role;
use crate::ids::MessageTs;
use crate::thread::event::{Earlier, Message};
use crate::thread::state::Thread;

impl Thread {
    pub(super) fn receive(&mut self, message: &Message) {
        self.first.get_or_insert_with(|| message.ts.clone());
        let message = Arc::new(message.clone());
        put(&mut self.conversation(Role::Pm).unheard, Arc::clone(&message));
        // The answer to a question is for the one who asked.
        if self.runs.contains_key(&Role::Coder) && self.question.is_none() {
            put(&mut self.conversation(Role::Coder).unheard, message);
        }
    }

    pub(super) fn edit(&mut self, ts: &MessageTs, text: &str) {
        self.make_stale(ts);
        let change = |message: &mut Arc<Message>| text.clone_into(&mut Arc::make_mut(message).text);
        for conversation in self.conversations.values_mut() {
            conversation.unheard.iter_mut().filter(|message| message.ts == *ts).for_each(change);
        }
        if self.said.iter().any(|message| message.ts == *ts) {
            Arc::make_mut(&mut self.said).iter_mut().filter(|message| message.ts == *ts).for_each(change);
        }
        if self.earlier(ts).is_some() {
            self.change_history(|history| {
                let told = history.iter_mut().filter(|said| said.ts.as_ref() == Some(ts));
                told.for_each(|said| text.clone_into(&mut said.text));
            });
        }
    }

    pub(super) fn forget(&mut self, ts: &MessageTs) {
        self.make_stale(ts);
        for conversation in self.conversations.values_mut() {
            conversation.unheard.retain(|message| message.ts != *ts);
        }
        if self.said.iter().any(|message| message.ts == *ts) {
            Arc::make_mut(&mut self.said).retain(|message| message.ts != *ts);
        }
        if self.earlier(ts).is_some() {
            self.change_history(|history| history.retain(|said| said.ts.as_ref() != Some(ts)));
        }
    }

    fn change_history(&mut self, change: impl FnOnce(&mut Vec<Earlier>)) {
        if let Some(base) = &mut self.base {
            change(&mut Arc::make_mut(base).history);
        }
    }

    /// The runs that stand on this message have to look at it again.
    fn make_stale(&mut self, ts: &MessageTs) {
        let told_before = self.earlier(ts).is_some();
        for role in self.readers(ts) {
            if let Some(run) = self.runs.get_mut(&role) {
                // The Coder stands on all that was said before it began, too.
                run.stale |= role == Role::Coder || run.messages.contains(ts) || told_before;
            }
        }
    }

    /// What the role is told of when its conversation begins counts as read.
    pub(super) fn open_conversation(&mut self, role: Role) {
        let known: BTreeSet<MessageTs> = match role {
            Role::Pm => self.base.iter().flat_map(|base| &base.history).filter_map(|said| said.ts.clone()).collect(),
            Role::Coder => self.said.iter().map(|message| message.ts.clone()).collect(),
            Role::Researcher | Role::Artist | Role::Lead => BTreeSet::new(),
        };
        let conversation = self.conversation(role);
        conversation.open = true;
        let came: Vec<MessageTs> = conversation.unheard.iter().map(|message| message.ts.clone()).collect();
        Arc::make_mut(&mut conversation.read).extend(known.into_iter().filter(|ts| !came.contains(ts)));
    }

    pub(super) fn hear(&mut self, role: Role, messages: &[MessageTs]) {
        let conversation = self.conversation(role);
        let read: Vec<Arc<Message>> = (conversation.unheard.iter())
            .filter(|message| role == Role::Pm && messages.contains(&message.ts))
            .cloned()
            .collect();
        conversation.unheard.retain(|message| !messages.contains(&message.ts));
        if !messages.is_empty() {
            Arc::make_mut(&mut conversation.read).extend(messages.iter().cloned());
        }
        conversation.notes.clear();
        conversation.model_spoke_last = false;
        if !read.is_empty() {
            Arc::make_mut(&mut self.said).extend(read);
        }
        if let Some(run) = self.runs.get_mut(&role) {
            let is_news = |ts: &MessageTs| run.answer.as_ref() != Some(ts);
            self.owes_answers |= run.answers.is_some() && messages.iter().any(is_news);
            if !messages.is_empty() {
                Arc::make_mut(&mut run.watch).reset();
            }
            run.messages.extend(messages.iter().cloned());
            // What was shown before they spoke does not answer them.
            run.spoke &= messages.is_empty();
            run.stale = false;
            run.answer = None;
        }
    }
}

/// In the order in which people said it: two sockets may bring it in another one.
fn put(unheard: &mut Vec<Arc<Message>>, message: Arc<Message>) {
    let place = unheard.partition_point(|other| !message.ts.is_before(&other.ts));
    unheard.insert(place, message);
}
