//! `!retry` and the buttons like it: takes up what stopped. The typed word takes up everything, a card's button what the
//! card is about; after something that others did to the pull request they take that into account (`decisions.md` 19).

use super::Deciding;
use super::pulls::take_over;
use crate::agent::Role;
use crate::ids::{MessageTs, RunId, UserId};
use crate::thread::event::Event;
use crate::thread::outside::Outside;
use crate::thread::stalled::{Part, Stalled};

/// The part of the Coder's run.
const CODER: Part = Part::Run(Role::Coder);

impl Deciding<'_> {
    /// Takes up everything that stopped, or only the part that a card is about.
    pub(super) fn retry(&mut self, by: UserId, ts: Option<MessageTs>, only: Option<Part>) {
        if only.is_none() && self.retry_paused(&by, ts.as_ref()) {
            return;
        }
        let stopped = self.thread.stalled.iter().map(Stalled::part);
        let mut parts: Vec<Part> = stopped.filter(|part| only.is_none_or(|only| only == *part)).collect();
        if self.thread.publishing.is_some() && parts.iter().any(|part| part.is_work()) {
            self.tell(ts, by, "The Coder's work is just being brought to the pull request. Try again in a moment.");
            return;
        }
        // What came after a merge that was refused is what the word is about; nobody means a merge by it then.
        if only.is_none() && self.thread.stalled.last().is_some_and(|last| last.part() != Part::Merge) {
            parts.retain(|part| *part != Part::Merge);
        }
        // What is not published yet goes with the work of a Coder who goes on, or is at it already.
        if parts.contains(&CODER) || self.thread.runs.contains_key(&Role::Coder) {
            parts.retain(|part| *part != Part::Publish);
        }
        // Of what others did, a card says nothing; a person who presses its button means what it is about.
        let settled = (only.is_none() || !parts.is_empty()) && self.settle_outside(&by, ts.as_ref(), &parts);
        if settled {
            parts.retain(|part| !part.is_work() && *part != Part::Merge);
        } else if parts.is_empty() {
            let text = match only {
                Some(_) if !self.thread.stalled.is_empty() => {
                    "That goes on already. `!retry` takes up what else stopped."
                }
                _ if self.thread.owes_answers && self.thread.runs.contains_key(&Role::Coder) => {
                    "The PM answers what is open when the Coder's run has ended."
                }
                _ if self.thread.runs.is_empty() => "There is nothing to try again.",
                _ => "It is running.",
            };
            self.tell(ts, by, text);
            return;
        }
        let merges = parts.contains(&Part::Merge);
        let works = parts.iter().any(|part| part.is_work());
        parts.retain(|part| *part != Part::Merge);
        if !parts.is_empty() {
            self.emit(Event::TakenUp { by: by.clone(), ts: ts.clone(), parts: parts.clone() });
        }
        for part in parts {
            if let Part::Run(role) = part {
                self.start_run(role, Some(by.clone()));
            }
        }
        // What is worked on now would not be in it; it is merged when a person says so again.
        if merges && !works {
            self.merge(by, ts);
        }
    }

    /// The way on after something happened outside, when these parts are to be taken up: the Coder takes over what
    /// others pushed, and a closed pull request gets a successor. `false`: nothing of that kind is in their way.
    fn settle_outside(&mut self, by: &UserId, ts: Option<&MessageTs>, parts: &[Part]) -> bool {
        let thread = &self.thread;
        let busy = thread.runs.contains_key(&Role::Coder) || thread.publishing.is_some() || thread.merging.is_some();
        if busy || thread.is_closed() {
            return false;
        }
        let (works, merges) = (parts.iter().any(|part| part.is_work()), parts.contains(&Part::Merge));
        let asked = parts.is_empty() || merges;
        let (by, ts) = (by.clone(), ts.cloned());
        match &thread.elsewhere.head {
            Some(head) if asked || works => {
                let note = take_over(head);
                let told = thread.conversations.get(&Role::Coder).is_some_and(|coder| coder.notes.contains(&note));
                self.emit_outside(Outside::TakeOver { by: by.clone(), ts });
                if !told {
                    self.note(Role::Coder, note);
                }
                self.start_run(Role::Coder, Some(by));
                true
            }
            _ if asked && !works && thread.elsewhere.closed && thread.published.is_some() => {
                let run = RunId(thread.last_run + 1);
                self.emit_outside(Outside::PublishAgain { by, ts, run });
                true
            }
            _ => false,
        }
    }
}
