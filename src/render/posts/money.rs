//! What people see of budgets: the card of a run that waits, what became of it, the notice that little is left.

use super::Out;
use crate::ids::Millis;
use crate::render::budget;
use crate::thread::budget::{Budget, Paused};
use crate::thread::event::Event;
use crate::thread::state::Thread;

fn key(paused: &Paused) -> String {
    format!("budget/{}", paused.id)
}

/// The posts of news of a budget.
pub(super) fn news(after: &Thread, news: &Budget, at: Millis, out: &mut Out) {
    match news {
        Budget::Reached { run, .. } => {
            out.progress(after, *run, at, false);
            if let Some((role, run, paused)) = after.pauses().find(|(_, paused, _)| paused.id == *run) {
                out.set(key(paused), budget::card(after, role, run, paused, None));
            }
        }
        Budget::Raised { run, .. } => out.progress(after, *run, at, false),
        Budget::Freed { run, ts, .. } => {
            out.progress(after, *run, at, false);
            out.done(ts.iter());
        }
        Budget::Near { cap, spent, limit, model, .. } => {
            out.say(None, &budget::near(*cap, *spent, *limit, model.as_ref()));
        }
    }
}

/// Closes the cards of pauses that are over, however they ended.
pub(super) fn settle(before: &Thread, after: &Thread, event: &Event, at: Millis, out: &mut Out) {
    for (role, run, paused) in before.pauses() {
        if after.pauses().all(|(_, _, still)| still.id != paused.id) {
            let news = if let Event::Budget { news } = event { Some(news) } else { None };
            let verdict = budget::verdict(after, news, at);
            out.set(key(paused), budget::card(before, role, run, paused, Some(verdict)));
        }
    }
}
