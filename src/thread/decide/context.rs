//! A conversation that is or grows too long for its model: results become stubs, the earlier part one message. Nothing of
//! it ends a run but a server that refuses the shortened conversation again and again.

use super::Deciding;
use crate::agent::tokens::estimate;
use crate::ids::RunId;
use crate::thread::context::{Change, Wanted};
use crate::thread::event::Event;
use crate::thread::facts;

/// How often a server may refuse one turn as too long.
const REFUSALS: u32 = 2;

impl Deciding<'_> {
    pub(super) fn context_wanted(&mut self, id: RunId, turn: u32, wanted: Wanted) {
        // Late news of a run that was stopped, or of a turn that was made again, is dropped.
        let Some((role, run)) = self.thread.run(id) else { return };
        if run.turns + 1 != turn || !run.thinks() {
            return;
        }
        let change = match wanted {
            Wanted::Exceeded { failure, .. } if run.exceeded >= REFUSALS => {
                self.model_answered(id, turn, Err(failure));
                return;
            }
            Wanted::Exceeded { model, context, .. } => Change::Exceeded { model, context },
            Wanted::Stubs { stubs, before, after } => Change::Stubbed { stubs, before, after },
            Wanted::Replacement { kept, told, stubs, before, rest, summary, usage, work } => {
                let mut parts = facts::facts(&self.thread, role, &told, &self.rules.checks, work.as_ref());
                let earlier = self.thread.conversations.get(&role).and_then(|state| state.summary.clone());
                let summary = summary.or_else(|| earlier.map(|text| text.as_ref().to_owned()));
                parts.push(facts::summary(summary.as_deref()));
                let after = rest + estimate(parts.iter().map(String::len).sum());
                Change::Compacted { parts, kept, stubs, before, after, summary, usage }
            }
        };
        let replaced = !matches!(change, Change::Exceeded { .. });
        self.emit(Event::ContextChanged { run: id, change });
        // What was said meanwhile is read now: the cache is lost anyway.
        if replaced && self.has_news(role) {
            self.hear(role);
        }
    }
}
