//! News of budgets in lines.

use super::{Line, Tag, who};
use crate::agent::dollars;
use crate::ids::RunId;
use crate::thread::budget::{Budget, Cap};
use crate::thread::spending::Spent;
use crate::thread::state::Thread;

/// What news of a budget mean in a line.
pub(super) fn line(before: &Thread, after: &Thread, news: &Budget) -> Line {
    let role = |run: RunId| before.run(run).map_or(Tag::Info, |(role, _)| Tag::Role(role));
    match news {
        Budget::Reached { run, cap, spent, limit, .. } => {
            let text = format!(
                "run {run} is paused at the {} limit: {} of {}",
                cap_name(*cap),
                units(*cap, *spent),
                units(*cap, *limit)
            );
            Line::plain(Tag::Warning, text)
        }
        Budget::Raised { run, cap, amount, by } => {
            let (by, amount) = (who(after, by), units(*cap, *amount));
            Line::plain(role(*run), format!("{by} raised the {} limit by {amount}; run {run} goes on", cap_name(*cap)))
        }
        Budget::Freed { run, .. } => Line::plain(role(*run), format!("run {run} goes on: there is room again")),
        Budget::Near { cap, spent, limit, model, .. } => {
            let cheaper = model.as_ref().map(|(_, model)| format!("; the PM uses {model}")).unwrap_or_default();
            let text = format!(
                "80 % of the {} limit is used: {} of {}{cheaper}",
                cap_name(*cap),
                dollars(*spent),
                dollars(*limit)
            );
            Line::plain(Tag::Info, text)
        }
    }
}

/// What was spent in vain in a line.
pub(super) fn spent(spent: &Spent) -> Line {
    let Spent { role, run, model, usage, .. } = spent;
    let text = format!("run {run}: a request to {model} brought nothing · {}", usage.cost_text());
    Line::plain(Tag::Role(*role), text)
}

fn units(cap: Cap, amount: f64) -> String {
    if cap.is_money() { dollars(amount) } else { amount.to_string() }
}

fn cap_name(cap: Cap) -> &'static str {
    match cap {
        Cap::Thread => "thread's",
        Cap::Day => "day's",
        Cap::UserHour => "person's hourly",
        Cap::RepoHour => "repository's hourly",
    }
}
