//! Money in words: `!cost`, the card of a run that waits at a cap, the notice that little is left, the plan's estimate.
//! What is unknown is said to be unknown, never shown as nothing.

use std::fmt::Write as _;

use super::cards;
use super::post::{ButtonStyle, Post};
use crate::agent::{Role, Usage, dollars};
use crate::ids::{Millis, UserId};
use crate::thread::budget::{Budget, Cap, Paused, Used, used_today};
use crate::thread::command::Action;
use crate::thread::rules::Rules;
use crate::thread::spending::day_of;
use crate::thread::state::{Run, Thread};

/// Why a run waits, as a sentence without its end.
pub fn cap_text(thread: &Thread, run: &Run, used: &Used) -> String {
    let Used { cap, spent, limit, .. } = *used;
    match cap {
        Cap::Thread => {
            let unknown = thread.total_usage().calls_without_cost;
            let more = if unknown > 0 { format!(", and {unknown} calls of unknown cost") } else { String::new() };
            format!("this thread's limit of {} is used up ({} spent{more})", dollars(limit), dollars(spent))
        }
        Cap::Day => format!(
            "today's limit of {} for all repositories is used up ({} spent; the day ends at 00:00 UTC)",
            dollars(limit),
            dollars(spent)
        ),
        Cap::UserHour => {
            let name = run.by.as_ref().map_or("one person", |by| thread.name_of(by));
            format!("{name} has started {spent} runs within the last hour, and the limit is {limit}")
        }
        Cap::RepoHour => {
            format!("{spent} runs were started in this repository within the last hour, and the limit is {limit}")
        }
    }
}

/// The card of a run that waits at a cap; `verdict` replaces its buttons.
pub fn card(thread: &Thread, role: Role, run: &Run, paused: &Paused, verdict: Option<String>) -> Post {
    let Paused { id, used } = paused;
    let mut text = format!("**Paused** before turn {}: {}.", run.turns + 1, cap_text(thread, run, used));
    if let Some(verdict) = verdict {
        let _ = write!(text, "\n\n{verdict}");
        return cards::card(role, text, Vec::new());
    }
    let raise = amount(used.cap, used.raise);
    let (until, later) = match used.cap {
        Cap::Thread => ("in this thread", ""),
        Cap::Day => ("for today", " From 00:00 UTC `!retry` lets it go on, too."),
        Cap::UserHour | Cap::RepoHour => ("for an hour", " When there is room again, `!retry` lets it go on, too."),
    };
    let _ = write!(text, " Nothing is lost. An approver can allow {raise} more {until}, or end the run.{later}");
    let buttons = vec![
        cards::button(Action::BudgetRaise, id.to_string(), &format!("Raise by {raise}"), ButtonStyle::Primary),
        cards::button(Action::BudgetStop, id.to_string(), "Stop", ButtonStyle::Danger),
    ];
    cards::card(role, text, buttons)
}

/// `$5.00`, or `100 runs`.
fn amount(cap: Cap, amount: f64) -> String {
    match (cap.is_money(), amount) {
        (true, amount) => dollars(amount),
        (false, 1.0) => "1 run".to_owned(),
        (false, amount) => format!("{amount} runs"),
    }
}

/// What became of a pause, for its card.
pub fn verdict(thread: &Thread, news: Option<&Budget>, at: Millis) -> String {
    let time = cards::clock(at);
    match news {
        Some(Budget::Raised { cap, amount: by_how_much, by, .. }) => {
            format!("**Raised** by {} · {} · {time}", amount(*cap, *by_how_much), thread.name_of(by))
        }
        Some(Budget::Freed { .. }) => format!("**Goes on:** there is room again · {time}"),
        Some(Budget::Reached { .. }) => "**Void:** another limit is in the way now; see below.".to_owned(),
        Some(Budget::Near { .. }) | None => format!("**Ended:** the run was stopped · {time}"),
    }
}

/// The notice that four fifths are used.
pub fn near(cap: Cap, spent: f64, limit: f64, model: Option<&(String, String)>) -> String {
    let whose = if cap == Cap::Thread { "this thread's limit" } else { "today's limit for all repositories" };
    let mut text = format!("**80 %** of {whose} is used: {} of {}.", dollars(spent), dollars(limit));
    if let Some((name, slug)) = model {
        let _ = write!(
            text,
            " From here on the PM uses **{name}** (`{slug}`), the cheapest of its models by list price; `!pm NAME` \
             chooses another."
        );
    }
    text
}

/// What the thread has cost so far, what is left, and the day's sum.
pub fn cost(thread: &Thread, rules: &Rules, asked_by: &UserId) -> String {
    let total = thread.total_usage();
    let mut text = if total.calls == 0 {
        "**Nothing** in this thread so far".to_owned()
    } else {
        format!("**{}** in this thread so far", total.cost_text())
    };
    if let Some(used) = thread.used(rules) {
        text.push_str(&left(&used, &total));
    }
    for role in Role::ALL {
        if let Some(usage) = thread.usage.get(&role) {
            let _ = write!(text, "\n- {}: {}", role.title(), usage_text(usage));
        }
    }
    let day = day_of(rules.now);
    let today = rules.spending.on(day);
    let _ = write!(text, "\nToday (UTC), in all repositories: {}", today.cost_text());
    if let Some(used) = used_today(rules) {
        text.push_str(&left(&used, &today));
    }
    let own = rules.spending.of_user_on(asked_by, day);
    if own.calls > 0 {
        let _ = write!(text, "; {} of it in runs that you started", own.cost_text());
    }
    text
}

/// `, of $5.00: $4.59 left`; where not all is known, no more than that.
fn left(used: &Used, of: &Usage) -> String {
    let most = if of.calls_without_cost > 0 { "at most " } else { "" };
    format!(", of {}: {most}{} left", dollars(used.limit), dollars((used.limit - used.spent).max(0.0)))
}

fn usage_text(usage: &Usage) -> String {
    let Usage { calls, prompt_tokens, cached_tokens, completion_tokens, .. } = usage;
    let share = (cached_tokens * 100).checked_div(*prompt_tokens).unwrap_or_default();
    let calls = if *calls == 1 { "1 call".to_owned() } else { format!("{calls} calls") };
    let cost = usage.cost_text();
    format!("{cost} in {calls}, {prompt_tokens} tokens in ({share} % from the cache), {completion_tokens} out")
}
