//! How long a conversation is, and the two ways in which it is made shorter: stubs in place of results, and one message
//! in place of its earlier part. What stays is copied byte for byte.

use std::collections::BTreeMap;

use super::{Last, Reasoning, Transcript};
use crate::agent::compaction::{Item, Kind, Measure, STUB_MARK};
use crate::agent::tokens::estimate;
use crate::agent::{Entry, Usage};
use crate::ids::{CallId, MessageTs};
use crate::llm::wire;
use crate::thread::context::{Change, Stub};

/// Where a message begins in the body, and whose it is.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub(super) at: usize,
    pub(super) whose: Whose,
}

/// Whose message it is.
#[derive(Clone, Debug)]
pub(super) enum Whose {
    /// Of people, with the ids of what they said, and the daemon.
    User(Vec<MessageTs>),
    Assistant,
    /// Of a call, told by what it did.
    Result {
        call: CallId,
        did: String,
        stub: bool,
    },
}

/// What the server said of the conversation's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gauge {
    /// Real tokens per thousand estimated ones.
    permille: u64,
    /// Tokens of the last request, and how long the body was then.
    counted: Option<(u64, usize)>,
    exceeded: bool,
    cuts: usize,
}

impl Default for Gauge {
    fn default() -> Self {
        Self { permille: 1_000, counted: None, exceeded: false, cuts: 0 }
    }
}

impl Gauge {
    fn scaled(self, bytes: usize) -> u64 {
        estimate(bytes).saturating_mul(self.permille).div_ceil(1_000)
    }
}

impl Transcript {
    /// About how many tokens a request to `model` has; costs nothing, whatever the length.
    pub fn size(&self) -> u64 {
        let fixed = self.gauge.scaled(self.fixed_bytes());
        match self.gauge.counted {
            Some((tokens, length)) => tokens + self.gauge.scaled(self.body.len().saturating_sub(length)),
            None => fixed + self.gauge.scaled(self.body.len() + self.reasoning_bytes(..)),
        }
    }

    /// Whether the server refused it as too long since it was last cut.
    pub fn is_exceeded(&self) -> bool {
        self.gauge.exceeded
    }

    /// How long it is, message by message.
    pub fn measure(&self) -> Measure {
        let items = (0..self.placed.len()).map(|index| {
            let kind = match &self.placed[index].whose {
                Whose::User(_) => Kind::User,
                Whose::Assistant => Kind::Assistant,
                Whose::Result { stub: true, .. } => Kind::Stub,
                Whose::Result { stub: false, .. } => Kind::Result,
            };
            let range = self.range(index);
            let bytes = range.len() + self.reasoning_bytes(range);
            Item { kind, tokens: self.gauge.scaled(bytes) }
        });
        Measure {
            fixed: self.gauge.scaled(self.fixed_bytes()),
            items: items.collect(),
            total: self.size(),
            exceeded: self.gauge.exceeded,
            cuts: self.gauge.cuts,
        }
    }

    /// The stubs for these messages, which are results.
    pub fn stubs(&self, items: &[usize], describe: impl Fn(&CallId, &str, u64) -> String) -> Vec<Stub> {
        let stub = |index: &usize| match &self.placed.get(*index)?.whose {
            Whose::Result { call, did, .. } => {
                let text = describe(call, did, self.gauge.scaled(self.range(*index).len()));
                Some(Stub { call: call.clone(), text: format!("{STUB_MARK}{text}") })
            }
            Whose::User(_) | Whose::Assistant => None,
        };
        items.iter().filter_map(stub).collect()
    }

    /// The ids of people's messages from this message on.
    pub fn told_from(&self, from: usize) -> Vec<MessageTs> {
        let told = self.placed.iter().skip(from).filter_map(|placed| match &placed.whose {
            Whose::User(messages) => Some(messages.clone()),
            Whose::Assistant | Whose::Result { .. } => None,
        });
        told.flatten().collect()
    }

    pub(super) fn changed(&mut self, change: &Change) {
        match change {
            Change::OutputKept { .. } => {}
            Change::Exceeded { .. } => self.gauge.exceeded = true,
            Change::Stubbed { stubs, .. } => self.rebuild(None, 0, stubs),
            Change::Compacted { parts, kept, stubs, .. } => {
                let from = self.placed.len().saturating_sub(usize::try_from(*kept).unwrap_or(usize::MAX));
                self.rebuild(Some(parts), from, stubs);
            }
        }
    }

    /// Takes what the server counted of the last request. Figures that cannot be are no figures: no token is shorter than
    /// a byte, and none so long that the estimate is four times too high.
    pub(super) fn count(&mut self, usage: &Usage, model: &str) {
        let reasoning = self.reasoning.iter().filter(|reasoning| reasoning.model == model);
        let reasoning: usize = reasoning.map(|reasoning| reasoning.json.len()).sum();
        let bytes = self.fixed_bytes() + self.body.len() + reasoning;
        let (counted, estimated) = (usage.prompt_tokens, estimate(bytes));
        let most = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.gauge = if counted > 0 && (estimated / 4..=most).contains(&counted) {
            let permille = (counted.saturating_mul(1_000) / estimated.max(1)).clamp(300, 3_000);
            Gauge { permille, counted: Some((counted, self.body.len())), ..Gauge::default() }
        } else {
            Gauge { permille: self.gauge.permille, ..Gauge::default() }
        };
    }

    fn fixed_bytes(&self) -> usize {
        self.system.len() + self.tools.as_ref().map_or(0, |tools| tools.get().len())
    }

    fn reasoning_bytes(&self, range: impl std::ops::RangeBounds<usize>) -> usize {
        let within = self.reasoning.iter().filter(|reasoning| range.contains(&reasoning.at));
        within.map(|reasoning| reasoning.json.len()).sum()
    }

    /// The bytes of a message, without the comma behind it.
    pub(super) fn range(&self, index: usize) -> std::ops::Range<usize> {
        let end = self.placed.get(index + 1).map_or(self.body.len(), |next| next.at - 1);
        self.placed[index].at..end
    }

    /// Writes the body again: `first` in place of the messages before `from`, and stubs in place of results.
    fn rebuild(&mut self, first: Option<&[String]>, from: usize, stubs: &[Stub]) {
        let stubs: BTreeMap<&CallId, &str> = stubs.iter().map(|stub| (&stub.call, stub.text.as_str())).collect();
        let fresh = Self {
            run: self.run,
            tools: self.tools.take(),
            system: std::mem::take(&mut self.system),
            open: std::mem::take(&mut self.open),
            gauge: Gauge { permille: self.gauge.permille, cuts: self.gauge.cuts + 1, ..Gauge::default() },
            ..Self::new(self.role)
        };
        let old = std::mem::replace(self, fresh);
        if let Some(parts) = first {
            self.push(&Entry::User { parts });
        }
        for index in from..old.placed.len() {
            match &old.placed[index].whose {
                Whose::Result { call, did, .. } if stubs.contains_key(call) => {
                    self.push(&Entry::ToolResult { call, text: stubs[call] });
                    self.name_result(call.clone(), did.clone(), true);
                }
                whose => self.copy(&old, index, whose.clone()),
            }
        }
    }

    /// Copies a message as it is.
    fn copy(&mut self, old: &Self, index: usize, whose: Whose) {
        let range = old.range(index);
        let raw = &old.body[range.clone()];
        if let (Whose::User(messages), Last::User) = (&whose, self.last) {
            // Two in a row would be refused: the second's parts go to the first.
            wire::more_raw_parts(raw, &mut self.body);
            self.told(messages);
            self.end_row();
            return;
        }
        let from = self.begin(whose);
        self.body.extend_from_slice(raw);
        for reasoning in old.reasoning.iter().filter(|reasoning| range.contains(&reasoning.at)) {
            self.reasoning.push(Reasoning { at: from + reasoning.at - range.start, ..reasoning.clone() });
        }
        self.close_message();
    }

    /// Notes whose the last message is: the result of a call that did this.
    pub(super) fn name_result(&mut self, call: CallId, did: String, stub: bool) {
        if let Some(placed) = self.placed.last_mut() {
            placed.whose = Whose::Result { call, did, stub };
        }
    }

    /// Notes which messages of people the last message carries.
    pub(super) fn told(&mut self, messages: &[MessageTs]) {
        if let Some(Placed { whose: Whose::User(told), .. }) = self.placed.last_mut() {
            told.extend_from_slice(messages);
        }
    }
}
