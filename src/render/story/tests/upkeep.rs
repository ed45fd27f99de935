//! Samples of events with their lines. What keeps a long thread going: its conversations and its budget.

use super::*;

pub(super) fn context() -> Vec<(Event, &'static str)> {
    let changed = |change| Event::ContextChanged { run: RunId(1), change };
    let kept = Change::OutputKept { call: CallId::new("c1"), blob: "abc".into(), bytes: 60_000 };
    let stub = Stub { call: CallId::new("c1"), text: SAID.into() };
    let stubbed = |stubs| Change::Stubbed { stubs, before: 70_000, after: 40_000 };
    let compacted = |summary: Option<&str>, calls| Change::Compacted {
        parts: vec![SAID.into()],
        kept: 3,
        stubs: vec![stub.clone()],
        before: 182_000,
        after: 31_000,
        summary: summary.map(str::to_owned),
        usage: Usage { calls, ..Usage::default() },
    };
    vec![
        (changed(kept), "PM a result of about 20k tokens is shown in part"),
        (
            changed(Change::Exceeded { model: "m".into(), context: 8_192 }),
            "PM m refused the conversation as too long: it reads about 8k tokens",
        ),
        (changed(stubbed(vec![stub.clone()])), "PM 1 old result taken out of the conversation: 70k → 40k tokens"),
        (
            changed(stubbed(vec![stub.clone(), stub.clone()])),
            "PM 2 old results taken out of the conversation: 70k → 40k tokens",
        ),
        (changed(compacted(Some(SAID), 1)), "PM the earlier part of the conversation is summarised: 182k → 31k tokens"),
        (
            changed(compacted(None, 0)),
            "PM the earlier part of the conversation is replaced without a summary: 182k → 31k tokens",
        ),
    ]
}

pub(super) fn money() -> Vec<(Event, &'static str)> {
    let (run, by) = (RunId(1), UserId::new("UANA"));
    let (cap, spent, limit) = (Cap::Thread, 4.5, 5.0);
    let events = [
        (
            Budget::Reached { run, cap: Cap::UserHour, spent: 100.0, limit: 100.0, raise: 100.0 },
            "WRN run 1 is paused at the person's hourly limit: 100 of 100",
        ),
        (
            Budget::Raised { run, cap, amount: 5.0, by: by.clone() },
            "PM Ana (UANA) raised the thread's limit by $5.00; run 1 goes on",
        ),
        (Budget::Freed { run, by, ts: None }, "PM run 1 goes on: there is room again"),
        (
            Budget::Near { cap, spent, limit, day: None, model: None, after_reply: false },
            "INF 80 % of the thread's limit is used: $4.50 of $5.00",
        ),
        (
            {
                let model = Some(("gpt".into(), "a/b".into()));
                Budget::Near { cap: Cap::Day, spent, limit, day: Some(7), model, after_reply: true }
            },
            "INF 80 % of the day's limit is used: $4.50 of $5.00; the PM uses a/b",
        ),
    ];
    let usage = Usage { calls: 1, calls_without_cost: 1, ..Usage::default() };
    let spent = Spent { role: Role::Coder, run, by: None, model: "a/b".into(), usage };
    let spent = (Event::Spent { spent }, "CLD run 1: a request to a/b brought nothing · cost unknown");
    let events = events.map(|(news, line)| (Event::Budget { news }, line));
    events.into_iter().chain([spent]).collect()
}
