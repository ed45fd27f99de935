//! What the row of a thread says in listings, and to threads like it. Derived from the thread; decides nothing.

use crate::agent::Role;
use crate::agent::estimate::Past;
use crate::thread::Thread;

/// What the thread tells the next one like it.
pub(super) fn past(thread: &Thread) -> Past {
    let usage = thread.total_usage();
    let cost_usd = Some(usage.cost_usd).filter(|_| usage.calls_without_cost == 0);
    Past { cost_usd, worked_ms: thread.worked_ms }
}

/// What a thread is about, on one line.
pub(super) fn title(thread: &Thread) -> String {
    let unread = || thread.conversations.get(&Role::Pm)?.unheard.first();
    let first = || thread.said.first().or_else(unread);
    let said = || first().map(|message| message.text.lines().next().unwrap_or_default().to_owned());
    let text = thread.plan.as_ref().map(|plan| plan.plan.title.clone()).or_else(said);
    text.unwrap_or_default().chars().take(80).collect()
}
