//! One role's conversation as the bytes of a request's `messages`: a fold over the thread's events that only appends.
//!
//! Each message is encoded once; what makes it shorter stands in `cut`. What depends on the model that is asked (its own reasoning, cache marks) is kept beside
//! the bytes and put in while they are copied, so that a change of model rebuilds nothing. Never reads a clock or a file.

mod cut;
mod rendering;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;

use self::cut::{Gauge, Placed, Whose};
use super::wire;
use crate::agent::{Entry, Role, ToolCall};
use crate::ids::{CallId, MessageTs, RunId};
use crate::render::progress::call_line;
use crate::thread::event::{Event, Reply};

/// What a call is answered with when the log goes on without a result; the core sees to it that this does not happen.
const NO_RESULT: &str = "Not run: the run went on without this call's result.";

/// How many content blocks before a mark Anthropic looks back for one that it has in its cache, less some.
const LOOK_BACK: usize = 15;

/// A role's conversation in a thread.
#[derive(Clone, Debug)]
pub struct Transcript {
    role: Role,
    /// The role's present run, to which replies and results belong.
    run: Option<RunId>,
    tools: Option<Arc<RawValue>>,
    /// The system message; empty until the conversation is opened.
    system: Vec<u8>,
    /// All further messages, with commas between them.
    body: Vec<u8>,
    /// The reasoning of assistant messages, in the order of their places in `body`.
    reasoning: Vec<Reasoning>,
    /// Where the messages of `body` begin.
    placed: Vec<Placed>,
    /// How long the server counted it to be.
    gauge: Gauge,
    /// For each unbroken row of user and tool messages: where a cache mark would go in its last one.
    rows: Vec<usize>,
    /// Content blocks since the row before the last one.
    blocks: usize,
    last: Last,
    /// Calls of the last assistant message from the first without a written result on.
    open: VecDeque<OpenCall>,
}

/// Who spoke last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Nobody,
    User,
    Assistant,
    Tool,
}

#[derive(Clone, Debug)]
struct Reasoning {
    at: usize,
    model: String,
    json: Vec<u8>,
}

/// A call whose result is not written yet: it is missing, or one of an earlier call is.
#[derive(Clone, Debug)]
struct OpenCall {
    id: CallId,
    /// What it does, in a few words.
    did: String,
    result: Option<String>,
}

impl Transcript {
    /// The conversation of a role before the first event.
    pub fn new(role: Role) -> Self {
        Self {
            role,
            run: None,
            tools: None,
            system: Vec::new(),
            body: Vec::new(),
            reasoning: Vec::new(),
            placed: Vec::new(),
            gauge: Gauge::default(),
            rows: Vec::new(),
            blocks: 0,
            last: Last::Nobody,
            open: VecDeque::new(),
        }
    }

    /// Applies one event of the thread. Events that other roles or nobody reads change nothing.
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::ConversationOpened { role, system, tools } if *role == self.role => self.opened(system, tools),
            Event::RunStarted { run, role, .. } if *role == self.role => self.run = Some(*run),
            Event::Heard { role, parts, messages } if *role == self.role => self.heard(parts, messages),
            Event::ReplyReceived { run, reply, .. } if self.run == Some(*run) => self.replied(reply),
            Event::ToolFinished { run, call, result } if self.run == Some(*run) => self.finished(call, &result.text),
            Event::ContextChanged { run, change } if self.run == Some(*run) => self.changed(change),
            Event::ConversationOpened { .. }
            | Event::RunStarted { .. }
            | Event::Heard { .. }
            | Event::ReplyReceived { .. }
            | Event::ToolFinished { .. }
            | Event::ThreadOpened { .. }
            | Event::PersonNamed { .. }
            | Event::MessageReceived { .. }
            | Event::MessageEdited { .. }
            | Event::MessageDeleted { .. }
            | Event::CommandTaken { .. }
            | Event::Refused { .. }
            | Event::BaseReady { .. }
            | Event::BaseFailed { .. }
            | Event::Noted { .. }
            | Event::ToolsStarted { .. }
            | Event::TodosWritten { .. }
            | Event::QuestionAsked { .. }
            | Event::QuestionAnswered { .. }
            | Event::PmAsked { .. }
            | Event::PmAnswered { .. }
            | Event::StuckNoticed { .. }
            | Event::RunQueued { .. }
            | Event::NotePosted { .. }
            | Event::RunEnded { .. }
            | Event::PlanProposed { .. }
            | Event::PlanChangeAsked { .. }
            | Event::PlanApproved { .. }
            | Event::PlanCancelled { .. }
            | Event::WorkspaceReady { .. }
            | Event::WorkspaceFailed { .. }
            | Event::WorkspaceInitialised { .. }
            | Event::Committed { .. }
            | Event::Pushed { .. }
            | Event::PullRequestOpened { .. }
            | Event::WorkPublished { .. }
            | Event::PublishFailed { .. }
            | Event::MergeRequested { .. }
            | Event::MergeRefused { .. }
            | Event::MergeInDoubt { .. }
            | Event::Merged { .. }
            | Event::CloseRequested { .. }
            | Event::CleanedUp { .. }
            | Event::ThreadClosed { .. }
            | Event::PmModelChosen { .. }
            | Event::StopRequested { .. }
            | Event::RetryRequested { .. }
            | Event::Budget { .. }
            | Event::Spent { .. }
            | Event::TakenUp { .. }
            | Event::ContextChanged { .. }
            | Event::Outside { .. }
            | Event::Checks { .. } => {}
        }
    }

    /// Whether a model may be asked: the conversation is open, every call has its result, and the model did not speak
    /// last.
    pub fn is_complete(&self) -> bool {
        !self.system.is_empty() && self.open.is_empty() && matches!(self.last, Last::User | Last::Tool)
    }

    /// The tool list as it was when the conversation was opened; `None` when the role has no tools.
    pub fn tools(&self) -> Option<Arc<RawValue>> {
        self.tools.clone()
    }

    /// The `messages` array for a request to `model`: its own reasoning goes back to it, that of others is left out.
    /// Costs one copy of the bytes, whatever the length.
    pub fn bytes(&self, model: &str) -> Bytes {
        let marks = wire::takes_cache_marks(model);
        let mut inserts: Vec<(usize, &[u8])> = (self.reasoning.iter())
            .filter(|reasoning| reasoning.model == model)
            .map(|reasoning| (reasoning.at, reasoning.json.as_slice()))
            .collect();
        if marks {
            // The last row ends what is new. The one before it ended the previous request and is in the cache, where it
            // is found without a mark unless this turn is a long one. A mark that was taken away is a difference.
            let ends = if self.blocks > LOOK_BACK { 2 } else { 1 };
            inserts.extend(self.rows.iter().rev().take(ends).map(|at| (*at, wire::CACHE_MARK)));
            inserts.sort_unstable_by_key(|(at, _)| *at);
        }
        let extra: usize = inserts.iter().map(|(_, json)| json.len()).sum();
        let mut out = Vec::with_capacity(self.system.len() + self.body.len() + extra + wire::CACHE_MARK.len() + 3);
        out.push(b'[');
        match self.system.len().checked_sub(wire::MARK_FROM_END) {
            Some(at) if marks => splice(&self.system, &[(at, wire::CACHE_MARK)], &mut out),
            Some(_) | None => out.extend_from_slice(&self.system),
        }
        if !self.system.is_empty() && !self.body.is_empty() {
            out.push(b',');
        }
        splice(&self.body, &inserts, &mut out);
        out.push(b']');
        out.into()
    }

    fn opened(&mut self, system: &[String], tools: &str) {
        self.system.clear();
        wire::system(system, &mut self.system);
        self.tools = RawValue::from_string(tools.to_owned())
            .ok()
            .filter(|list| serde_json::from_str::<Vec<&RawValue>>(list.get()).is_ok_and(|list| !list.is_empty()))
            .map(Arc::from);
    }

    fn heard(&mut self, parts: &[String], messages: &[MessageTs]) {
        self.answer_open_calls();
        if self.last == Last::User {
            wire::more_parts(parts, &mut self.body);
            self.blocks += parts.len();
            self.end_row();
        } else {
            self.push(&Entry::User { parts });
        }
        self.told(messages);
    }

    fn replied(&mut self, reply: &Reply) {
        self.answer_open_calls();
        self.count(&reply.usage, &reply.model);
        if wire::is_blank(&reply.text) && reply.calls.is_empty() {
            // Servers refuse an assistant message that says nothing.
            return;
        }
        let open = |call: &ToolCall| OpenCall { id: call.id.clone(), did: call_line(call), result: None };
        self.open.extend(reply.calls.iter().map(open));
        self.push(&Entry::Assistant {
            text: &reply.text,
            calls: &reply.calls,
            reasoning: reply.reasoning.as_ref(),
            model: &reply.model,
        });
    }

    /// Results are written in the order of their calls: one that comes early is held back.
    fn finished(&mut self, call: &CallId, text: &str) {
        let Some(open) = self.open.iter_mut().find(|open| open.id == *call && open.result.is_none()) else { return };
        open.result = Some(text.to_owned());
        while let Some(text) = self.open.front_mut().and_then(|open| open.result.take()) {
            let Some(open) = self.open.pop_front() else { return };
            self.push(&Entry::ToolResult { call: &open.id, text: &text });
            self.name_result(open.id, open.did, false);
        }
    }

    fn answer_open_calls(&mut self) {
        for open in std::mem::take(&mut self.open) {
            let text = open.result.as_deref().unwrap_or(NO_RESULT);
            self.push(&Entry::ToolResult { call: &open.id, text });
            self.name_result(open.id, open.did, false);
        }
    }

    fn push(&mut self, entry: &Entry<'_>) {
        self.begin(match entry {
            Entry::User { .. } => Whose::User(Vec::new()),
            Entry::Assistant { .. } => Whose::Assistant,
            Entry::ToolResult { call, .. } => Whose::Result { call: (*call).clone(), did: String::new(), stub: false },
        });
        wire::message(entry, &mut self.body);
        self.blocks = match entry {
            Entry::User { parts } => self.blocks + parts.len(),
            Entry::ToolResult { .. } => self.blocks + 1,
            Entry::Assistant { calls, .. } => 1 + calls.len(),
        };
        if let Entry::Assistant { reasoning: Some(details), model, .. } = entry {
            let at = self.body.len() - wire::REASONING_FROM_END;
            let json = wire::reasoning(details);
            self.reasoning.push(Reasoning { at, model: (*model).to_owned(), json });
        }
        self.close_message();
    }

    /// Begins a message; gives its place.
    fn begin(&mut self, whose: Whose) -> usize {
        if !self.body.is_empty() {
            self.body.push(b',');
        }
        let at = self.body.len();
        self.placed.push(Placed { at, whose });
        at
    }

    /// Ends the message that was begun last.
    fn close_message(&mut self) {
        let last = match self.placed.last().map(|placed| &placed.whose) {
            Some(Whose::User(_)) => Last::User,
            Some(Whose::Result { .. }) => Last::Tool,
            Some(Whose::Assistant) => {
                self.last = Last::Assistant;
                return;
            }
            None => return,
        };
        if self.last == Last::Assistant || self.rows.is_empty() {
            self.rows.push(0);
        }
        self.end_row();
        self.last = last;
    }

    /// The present row of user and tool messages now ends with the last message.
    fn end_row(&mut self) {
        if let Some(row) = self.rows.last_mut() {
            *row = self.body.len() - wire::MARK_FROM_END;
        }
    }
}

/// Appends `bytes` with each insert at its place. The places are in order.
fn splice(bytes: &[u8], inserts: &[(usize, &[u8])], out: &mut Vec<u8>) {
    let mut from = 0;
    for (at, insert) in inserts {
        out.extend_from_slice(&bytes[from..*at]);
        out.extend_from_slice(insert);
        from = *at;
    }
    out.extend_from_slice(&bytes[from..]);
}

#[cfg(test)]
mod tests;
