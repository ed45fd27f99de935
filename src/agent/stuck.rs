//! Notices when a run goes in circles: a fold over its calls and their results. Says what the trouble is and how far help
//! has gone; what is done about it is decided in `thread/decide/stuck.rs`.
//!
//! Compares, never understands: results are the same when they are so word for word, commands' output without its noise
//! (`print.rs`). A turn that brings something new is never held against a run, but for a command that fails as before.

mod print;
mod seen;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use self::seen::{Edit, Seen};
use super::{Role, ToolCall, ToolName};
use crate::thread::event::ToolResult;

/// So often in a row is trouble, the first time; after a word about it, so many more.
const OFTEN: u32 = 3;
const AGAIN: u32 = 2;
/// Returns of a file to what it was before. Once is how one tries something out, or takes a debug line away again.
const RETURNS: u32 = 2;
/// Turns in which nothing is changed and nothing new is learned. New is every call that was not made before with this
/// result; of commands only what none of them printed before.
const CODER_IDLE: u32 = 8;
const OTHERS_IDLE: u32 = 4;
/// Turns of a Coder without a changed file, whatever it learns, by weight: 25 with commands, or 50 that look at something
/// new and do nothing else. Other roles change nothing ever: their limit of turns is their bound.
const UNCHANGED: u32 = 50;
const TURN: u32 = 2;
const LOOK: u32 = 1;
/// From here on it is looked whether a command changed files, which costs some milliseconds each time.
const DOUBT: u32 = UNCHANGED / 2;
/// Turns in a row that bring something new, after which earlier trouble is forgotten.
const CALM: u32 = 3;
/// As much help as a run without progress gets, in whatever trouble it is.
const MOST_HELP: u8 = 5;
/// Edits and last deeds that are remembered.
const EDITS: usize = 32;
const DEEDS: usize = 12;
/// Calls whose repeating is counted, per kind. What is forgotten was long ago.
const COUNTS: usize = 64;

/// A kind of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// A command fails the same way again and again, whatever is edited in between.
    SameFailure,
    /// Edits undo each other.
    Undone,
    /// The same error, be it from different calls.
    SameError,
    /// The same call with the same result, and nothing changed in between.
    Repeat,
    /// Turn after turn without a change and without anything new.
    Idle,
    /// Turn after turn without a changed file, though with something new.
    Unchanged,
}

impl Trouble {
    const ALL: [Self; 6] =
        [Self::SameFailure, Self::Undone, Self::SameError, Self::Repeat, Self::Idle, Self::Unchanged];
}

/// What is done about it, one after the other while it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Help {
    /// The role is told.
    Note,
    /// One turn without tools.
    Pause,
    /// The PM is asked.
    AskPm,
    /// The run ends with a word to the people.
    End,
}

/// Trouble that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its kind.
    pub trouble: Trouble,
    /// What was done, after “you have” or “it had”: ``run `make` 3 times with the same failure: “…”``.
    pub what: String,
}

/// What a run has done so far, as far as it shows whether it gets on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Watch {
    /// Calls with their results, and failures, that were seen; sorted.
    known: Vec<u64>,
    /// What the calls of the present turn gave.
    turn: Vec<Seen>,
    /// Since the last progress.
    repeats: Vec<Count>,
    /// Since the last progress.
    errors: Vec<Count>,
    /// Of each command that fails: how often the same way.
    failures: Vec<Count>,
    /// Of each edit that was undone: how often it was made or undone again.
    returns: Vec<Count>,
    edits: Vec<Edit>,
    deeds: Vec<String>,
    /// Turns without progress since the last one with it, or since help was given.
    idle: u32,
    /// Turns with progress since the last one without.
    calm: u32,
    /// Turns since a file was changed, by weight and in number, or since help was given for that.
    unchanged: u32,
    unchanged_turns: u32,
    /// Whether a command of the present turn was seen to change files.
    touched: bool,
    /// How far help has gone in each kind of trouble.
    levels: [u8; Trouble::ALL.len()],
    /// How much help there was since it last got on well.
    help: u8,
    /// Whether the next turn has no tools.
    pauses: bool,
    /// What the role said in its turn without tools.
    belief: String,
    /// Why the run has to end.
    ending: Option<String>,
}

/// How often something came.
#[derive(Clone, Debug, PartialEq)]
struct Count {
    key: u64,
    result: u64,
    /// In all, and since help was given.
    times: u32,
    fresh: u32,
    /// Whether something was edited meanwhile.
    edited: bool,
    did: String,
    words: String,
}

impl Watch {
    /// Takes the result of one call.
    pub fn see(&mut self, call: &ToolCall, tool: Option<ToolName>, result: &ToolResult) {
        if let Some(seen) = Seen::of(call, tool, result) {
            // The same call twice in one turn is one attempt.
            if !self.turn.iter().any(|other| (other.call, other.result) == (seen.call, seen.result)) {
                self.turn.push(seen);
            }
        }
    }

    /// A command of this turn was seen to change files.
    pub fn touch(&mut self) {
        self.touched = true;
    }

    /// Whether it matters if a command changes files: so long has nothing been known to do so.
    pub fn doubts(&self) -> bool {
        self.unchanged >= DOUBT || self.levels[Trouble::Unchanged as usize] > 0
    }

    /// All results of the turn are there.
    pub fn end_turn(&mut self) {
        let turn = std::mem::take(&mut self.turn);
        let touched = std::mem::take(&mut self.touched);
        if turn.is_empty() {
            return;
        }
        let edits: Vec<(bool, Option<u64>)> = turn.iter().map(|seen| self.take_edit(seen)).collect();
        let changed = edits.iter().any(|(is_new, _)| *is_new);
        let learned = turn.iter().fold(false, |learned, seen| self.learn(seen) | learned);
        self.progress(changed, changed || learned || touched);
        let looks = learned && turn.iter().all(|seen| seen.looks);
        self.count_unchanged(touched || turn.iter().any(|seen| seen.edit.is_some()), looks);
        for (seen, (_, pair)) in turn.iter().zip(edits) {
            self.count(seen, pair);
            self.deeds.push(seen.did.clone());
        }
        let old = self.deeds.len().saturating_sub(DEEDS);
        self.deeds.drain(..old);
    }

    fn progress(&mut self, changed: bool, progress: bool) {
        if changed {
            self.failures.iter_mut().for_each(|count| count.edited = true);
        }
        if !progress {
            (self.idle, self.calm) = (self.idle + 1, 0);
            return;
        }
        self.repeats.clear();
        self.errors.clear();
        (self.idle, self.calm) = (0, self.calm + 1);
        *self.level_mut(Trouble::Idle) = 0;
        if self.calm >= CALM {
            for trouble in [Trouble::Undone, Trouble::SameError, Trouble::Repeat] {
                *self.level_mut(trouble) = 0;
            }
            self.help = 0;
        }
    }

    fn count_unchanged(&mut self, changed: bool, looks: bool) {
        if changed {
            (self.unchanged, self.unchanged_turns) = (0, 0);
            *self.level_mut(Trouble::Unchanged) = 0;
        } else {
            self.unchanged += if looks { LOOK } else { TURN };
            self.unchanged_turns += 1;
        }
    }

    /// Whether a call gave something new. An error teaches nothing, and neither does a failure that is known.
    fn learn(&mut self, seen: &Seen) -> bool {
        let pair = print::mix(seen.call, seen.result);
        let is_new = self.remember(pair);
        let words = if seen.speaks { self.remember(seen.result) } else { true };
        is_new && words && seen.may_teach
    }

    /// Whether it was not known before.
    fn remember(&mut self, key: u64) -> bool {
        match self.known.binary_search(&key) {
            Ok(_) => false,
            Err(at) => {
                self.known.insert(at, key);
                true
            }
        }
    }

    /// Whether a call changed a file in a way that is new, and the edit that it undoes or makes again.
    fn take_edit(&mut self, seen: &Seen) -> (bool, Option<u64>) {
        let Some(edit) = &seen.edit else { return (false, None) };
        let returns = edit.returns(&self.edits);
        let is_new = !self.edits.contains(edit) && !returns;
        self.edits.push(edit.clone());
        if self.edits.len() > EDITS {
            self.edits.remove(0);
        }
        (is_new, returns.then(|| edit.pair()))
    }

    fn count(&mut self, seen: &Seen, pair: Option<u64>) {
        if let Some(pair) = pair {
            bump(&mut self.returns, pair, 0, seen);
        }
        if seen.is_command {
            self.count_failure(seen);
        }
        if seen.error || seen.complains {
            bump(&mut self.errors, seen.result, 0, seen);
        }
        if !seen.may_repeat {
            bump(&mut self.repeats, seen.call, seen.result, seen);
        }
    }

    /// What a command says is the newest about it: another result is a step on.
    fn count_failure(&mut self, seen: &Seen) {
        let known = self.failures.iter().position(|count| count.key == seen.call);
        if let Some(at) = known.filter(|at| self.failures[*at].result != seen.result || !seen.failed)
            && self.failures.remove(at).times >= OFTEN
        {
            *self.level_mut(Trouble::SameFailure) = 0;
        }
        if seen.failed {
            bump(&mut self.failures, seen.call, seen.result, seen);
        }
    }

    /// The trouble that this role's run is in now; asked when all results of a turn are there.
    pub fn trouble(&self, role: Role) -> Option<Found> {
        Trouble::ALL.into_iter().find_map(|trouble| {
            let what = match trouble {
                Trouble::Idle => self.idles(role)?,
                Trouble::Unchanged => self.changes_nothing(role)?,
                Trouble::SameFailure => {
                    let count = worst(&self.failures, self.enough(trouble, OFTEN))?;
                    let meanwhile = if count.edited { ", in spite of edits in between" } else { "" };
                    format!("{} {} with the same failure{meanwhile}{}", count.did, times(count.times), count.words)
                }
                Trouble::Undone => {
                    let count = worst(&self.returns, self.enough(trouble, RETURNS))?;
                    format!("{} back and forth: the file is again as it was before", count.did)
                }
                Trouble::SameError => {
                    let count = worst(&self.errors, self.enough(trouble, OFTEN))?;
                    format!("met the same error {}{}", times(count.times), count.words)
                }
                Trouble::Repeat => {
                    let count = worst(&self.repeats, self.enough(trouble, OFTEN))?;
                    format!(
                        "{} {} with the same result, and nothing has changed in between",
                        count.did,
                        times(count.times)
                    )
                }
            };
            Some(Found { trouble, what })
        })
    }

    fn enough(&self, trouble: Trouble, first: u32) -> u32 {
        if self.levels[trouble as usize] == 0 { first } else { AGAIN }
    }

    fn idles(&self, role: Role) -> Option<String> {
        let patience = if role == Role::Coder { CODER_IDLE } else { OTHERS_IDLE };
        let patience = if self.help == 0 { patience } else { patience.div_ceil(2) };
        (self.idle >= patience).then(|| format!("spent {} turns without a change and without anything new", self.idle))
    }

    fn changes_nothing(&self, role: Role) -> Option<String> {
        let helped = self.levels[Trouble::Unchanged as usize] > 0;
        let patience = if helped { UNCHANGED / 2 } else { UNCHANGED };
        let is_trouble = role == Role::Coder && self.unchanged >= patience;
        is_trouble.then(|| format!("spent {} turns without changing a file", self.unchanged_turns))
    }

    /// What is to be done about this trouble.
    pub fn help(&self, trouble: Trouble, can_ask: bool) -> Help {
        match self.levels[trouble as usize] {
            _ if self.help + 1 >= MOST_HELP - u8::from(!can_ask) => Help::End,
            0 => Help::Note,
            1 => Help::Pause,
            2 if can_ask => Help::AskPm,
            _ => Help::End,
        }
    }

    /// Help was given; only what goes on from here counts.
    pub fn helped(&mut self, trouble: Trouble, help: Help, what: &str) {
        let level = self.level_mut(trouble);
        *level = level.saturating_add(1);
        self.help = self.help.saturating_add(1);
        (self.idle, self.unchanged, self.unchanged_turns) = (0, 0, 0);
        for counts in [&mut self.repeats, &mut self.errors, &mut self.failures, &mut self.returns] {
            counts.iter_mut().for_each(|count| count.fresh = 0);
        }
        match help {
            Help::Pause => self.pauses = true,
            Help::End => self.ending = Some(what.to_owned()),
            Help::Note | Help::AskPm => {}
        }
    }

    fn level_mut(&mut self, trouble: Trouble) -> &mut u8 {
        &mut self.levels[trouble as usize]
    }

    /// A person said something: whatever was, it begins anew. What was learned is known still.
    pub fn reset(&mut self) {
        *self = Self { known: std::mem::take(&mut self.known), ..Self::default() };
    }

    /// A part of the conversation was taken away: to look at things again is no circle. What was not changed is not
    /// changed still.
    pub fn forget(&mut self) {
        let (unchanged, unchanged_turns) = (self.unchanged, self.unchanged_turns);
        let (pauses, ending) = (self.pauses, self.ending.take());
        let level = *self.level_mut(Trouble::Unchanged);
        *self = Self { unchanged, unchanged_turns, pauses, ending, ..Self::default() };
        *self.level_mut(Trouble::Unchanged) = level;
    }

    /// Whether the next turn has no tools.
    pub fn pauses(&self) -> bool {
        self.pauses
    }

    /// The turn without tools is over; what the role said in it.
    pub fn end_pause(&mut self, belief: &str) {
        self.pauses = false;
        self.belief = belief.trim().chars().take(600).collect();
    }

    /// Why the run has to end with its next turn.
    pub fn ending(&self) -> Option<&str> {
        self.ending.as_deref()
    }

    /// What it did last, and what it said itself when it was asked: for the PM.
    pub fn account(&self) -> String {
        let mut counted: Vec<(&str, u32)> = Vec::new();
        for did in &self.deeds {
            match counted.iter_mut().find(|(known, _)| known == did) {
                Some((_, count)) => *count += 1,
                None => counted.push((did, 1)),
            }
        }
        let deeds: Vec<String> = counted
            .into_iter()
            .map(|(did, count)| if count == 1 { did.to_owned() } else { format!("{did} ({})", times(count)) })
            .collect();
        let mut text = format!("What it did last: {}.", deeds.join(", "));
        if !self.belief.is_empty() {
            text.push_str(&format!("\nWhat it believes itself: {}", self.belief));
        }
        text
    }
}

fn bump(counts: &mut Vec<Count>, key: u64, result: u64, seen: &Seen) {
    if let Some(count) = counts.iter_mut().find(|count| count.key == key && count.result == result) {
        (count.times, count.fresh) = (count.times + 1, count.fresh + 1);
        return;
    }
    if counts.len() == COUNTS {
        counts.remove(0);
    }
    let (did, words) = (seen.did.clone(), seen.words.clone());
    counts.push(Count { key, result, times: 1, fresh: 1, edited: false, did, words });
}

/// The count that has reached this, the greatest first.
fn worst(counts: &[Count], enough: u32) -> Option<&Count> {
    counts.iter().filter(|count| count.fresh >= enough).max_by_key(|count| count.fresh)
}

fn times(count: u32) -> String {
    format!("{count} times")
}
