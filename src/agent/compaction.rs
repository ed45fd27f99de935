//! When a conversation is made shorter and how: the one policy for all roles, as a pure function of sizes.
//!
//! First old bulky results are replaced by stubs, many at once, since every change of what was said costs the server's
//! cache. Only where that is not enough, all but the last turns is replaced by one message of facts and a summary. Knows
//! sizes alone; what stands in the messages is `thread::facts`, how they are rewritten `llm::transcript`.
//!
//! All percentages are of the room: what is left of the context beside system prompt and tools.

/// From here on old results become stubs.
const STUB_AT: u64 = 60;
/// From here on the conversation is replaced; the rest of the room is for the reply.
const COMPACT_AT: u64 = 80;
/// What stubs must save to be worth the cache.
const WORTH: u64 = 15;
/// What a conversation may fill after it was replaced.
const AFTER: u64 = 50;
/// What the kept last turns may fill.
const KEPT: u64 = 25;
/// Turns whose results are never made stubs as long as nothing else helps.
const YOUNG_TURNS: usize = 4;
/// The last turns that are kept at most, by how often the conversation was cut since the model last answered.
const KEPT_TURNS: [usize; 3] = [6, 1, 0];
/// What a stub is, about.
pub const STUB_TOKENS: u64 = 70;
/// What the message that replaces the earlier part begins with.
pub const MARK: &str = "[codebutler] The earlier part of this conversation was replaced by this message";
/// What a stub begins with.
pub const STUB_MARK: &str = "[codebutler] This result was removed";
/// What the part with the summary begins with.
pub const SUMMARY_MARK: &str = "# Summary of the earlier part";

/// What a summariser is told.
pub const PROMPT: &str = include_str!("compaction.md");

/// One message of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Whose it is.
    pub kind: Kind,
    /// How long it is.
    pub tokens: u64,
}

/// Whose message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Of people and the daemon.
    User,
    /// The model's.
    Assistant,
    /// The result of a call.
    Result,
    /// What stands in place of one.
    Stub,
}

/// How long a conversation is, in tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measure {
    /// System prompt and tools, which never change.
    pub fixed: u64,
    /// The messages after the system prompt, in order.
    pub items: Vec<Item>,
    /// All together, as the server counted it, with an estimate of what came since.
    pub total: u64,
    /// Whether the server has refused it as too long since it was last cut.
    pub exceeded: bool,
    /// How often it was cut since the model last answered.
    pub cuts: usize,
}

/// How much a model reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// In tokens.
    pub tokens: u64,
    /// Whether somebody said so, and it is no guess.
    pub known: bool,
}

/// What is to be done before the model is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Fits,
    /// Replace these results by stubs; indices of items.
    Stub(Vec<usize>),
    /// Replace all items before `from` by one message, and these results behind it by stubs.
    Compact {
        /// The first item that stays.
        from: usize,
        /// Results among those that stay which do not fit.
        stubs: Vec<usize>,
    },
    /// Nothing helps: even the least is this long.
    Never {
        /// System prompt, tools, facts and what was said last.
        least: u64,
    },
}

/// How long a summary may be, in tokens.
pub fn summary_tokens(fixed: u64, context: u64) -> u64 {
    (context.saturating_sub(fixed) / 6).clamp(200, 2_000)
}

/// Whether a conversation of `total` tokens is so far from its model's limit that nobody need look closer.
pub fn is_far(total: u64, context: u64) -> bool {
    total < context * STUB_AT / 100
}

/// Says what is to be done with a conversation; `facts` is how long the message would be that replaces its earlier part,
/// with its summary.
pub fn judge(measure: &Measure, context: Context, facts: u64) -> Verdict {
    let room = context.tokens.saturating_sub(measure.fixed);
    let of_room = |percent: u64| room.saturating_mul(percent) / 100;
    let used = measure.total.saturating_sub(measure.fixed);
    if !measure.exceeded && used < of_room(STUB_AT) {
        return Verdict::Fits;
    }
    let pressed = measure.exceeded || used >= of_room(COMPACT_AT);
    if measure.cuts == 0 {
        let old = old_results(measure, room);
        let saved: u64 = old.iter().map(|index| measure.items[*index].tokens.saturating_sub(STUB_TOKENS)).sum();
        let worth = if measure.exceeded { WORTH * 2 } else { WORTH };
        let enough = !pressed || used.saturating_sub(saved) < of_room(STUB_AT);
        if saved > 0 && saved >= of_room(worth) && enough {
            return Verdict::Stub(old);
        }
    }
    if !pressed {
        return Verdict::Fits;
    }
    let least = least(measure, facts);
    match replacement(measure, of_room(KEPT), of_room(AFTER), facts) {
        Some(verdict) => verdict,
        None if measure.exceeded || context.known && least >= context.tokens => Verdict::Never { least },
        None => Verdict::Fits,
    }
}

/// Bulky results that are older than the last turns.
fn old_results(measure: &Measure, room: u64) -> Vec<usize> {
    let turns = turns(&measure.items);
    let Some(young) = turns.len().checked_sub(YOUNG_TURNS).and_then(|at| turns.get(at)) else { return Vec::new() };
    let is_old = |index: &usize| is_bulky(measure.items[*index], room);
    (0..*young).filter(is_old).collect()
}

fn is_bulky(item: Item, room: u64) -> bool {
    item.kind == Kind::Result && item.tokens >= (room / 50).clamp(STUB_TOKENS * 2, 500)
}

/// Where the turns begin: each with the model's message.
fn turns(items: &[Item]) -> Vec<usize> {
    let starts = items.iter().enumerate().filter(|(_, item)| item.kind == Kind::Assistant);
    starts.map(|(index, _)| index).collect()
}

/// The way to replace the earlier part that keeps most and still leaves room, or else the one that saves most; none when
/// nothing is saved.
fn replacement(measure: &Measure, kept: u64, after: u64, facts: u64) -> Option<Verdict> {
    let mut best: Option<(u64, Verdict)> = None;
    for turns in KEPT_TURNS.iter().skip(measure.cuts) {
        let (from, stubs) = keep(measure, *turns, kept);
        if from == 0 {
            continue;
        }
        let gone: u64 = stubs.iter().map(|index| measure.items[*index].tokens.saturating_sub(STUB_TOKENS)).sum();
        let left = facts + (sum(&measure.items[from..]).saturating_sub(gone));
        if left >= sum(&measure.items) {
            continue;
        }
        let verdict = Verdict::Compact { from, stubs };
        if left <= after {
            return Some(verdict);
        }
        if best.as_ref().is_none_or(|(least, _)| left < *least) {
            best = Some((left, verdict));
        }
    }
    best.map(|(_, verdict)| verdict)
}

/// The first item of as many last turns as fit into `most` tokens, and what of the last one becomes a stub so that it
/// fits. What was said after the last turn always stays.
fn keep(measure: &Measure, most_turns: usize, most: u64) -> (usize, Vec<usize>) {
    let items = &measure.items;
    let said_last = items.iter().rposition(|item| item.kind != Kind::User).map_or(0, |last| last + 1);
    let starts = turns(items);
    let mut from = said_last;
    for start in starts.iter().rev().take(most_turns).copied() {
        if sum(&items[start..said_last]) > most {
            break;
        }
        from = start;
    }
    if from < said_last || most_turns == 0 {
        return (from, Vec::new());
    }
    let Some(last) = starts.last().copied() else { return (said_last, Vec::new()) };
    let mut largest: Vec<usize> = (last..said_last).filter(|index| is_bulky(items[*index], 0)).collect();
    largest.sort_by_key(|index| std::cmp::Reverse(items[*index].tokens));
    let mut size = sum(&items[last..said_last]);
    let mut stubs = Vec::new();
    for index in largest {
        if size <= most {
            break;
        }
        size -= items[index].tokens - STUB_TOKENS;
        stubs.push(index);
    }
    stubs.sort_unstable();
    if size <= most { (last, stubs) } else { (said_last, Vec::new()) }
}

/// The least that can be sent.
fn least(measure: &Measure, facts: u64) -> u64 {
    let said_last = measure.items.iter().rposition(|item| item.kind != Kind::User).map_or(0, |last| last + 1);
    let replaced = if said_last == 0 { 0 } else { facts.min(sum(&measure.items[..said_last])) };
    measure.fixed + replaced + sum(&measure.items[said_last..])
}

fn sum(items: &[Item]) -> u64 {
    items.iter().map(|item| item.tokens).sum()
}

#[cfg(test)]
mod tests;
