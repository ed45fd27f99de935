//! Caps: what is reached, who decides, what is told; and that no order of calls, raises and threads passes one by more than
//! the calls that were under way.

use std::sync::Arc;

use proptest::prelude::*;

use super::context::replacement;
use super::{Story, refusal};
use crate::agent::catalogue::{Catalogue, Listed, Price};
use crate::agent::{Role, Usage};
use crate::ids::{ChannelId, MessageTs, Millis, RunId, ThreadKey, UserId};
use crate::render::budget::cost;
use crate::render::posts::posts;
use crate::thread::budget::{Budget, Cap};
use crate::thread::command::{Action, Command};
use crate::thread::context::Wanted;
use crate::thread::event::{Answer, Reply, RunOutcome};
use crate::thread::spending::{Entry, Spending, entry};
use crate::thread::{Event, Thread};

const DAY: i64 = 24 * 60 * 60 * 1000;

/// A story at the Coder's first turn, each of whose replies costs a dollar, under this cap for the thread.
fn capped(thread_usd: f64) -> Story {
    let mut story = Story::at_work();
    story.cost = 1.0;
    story.rules.caps.thread_usd = Some(thread_usd);
    story
}

fn due(story: &mut Story, role: Role) -> Vec<Event> {
    let run = story.thread.runs[&role].id;
    story.act(Command::CallDue { run })
}

fn card(story: &Story) -> String {
    story.thread.pauses().map(|(_, _, paused)| paused.id.to_string()).next().expect("a run is paused")
}

fn news(events: &[Event]) -> Vec<Budget> {
    let news = |event: &Event| if let Event::Budget { news } = event { Some(news.clone()) } else { None };
    events.iter().filter_map(news).collect()
}

/// What the thread shows for these last events.
fn shown(story: &Story, events: usize) -> String {
    let (mut before, mut all) = (Thread::new(story.thread.key.clone()), String::new());
    for (number, event) in story.log.iter().enumerate() {
        let mut after = before.clone();
        after.apply(event, Millis(0));
        if number >= story.log.len() - events {
            let posts = posts(&before, &after, event, Millis(0));
            all += &posts.iter().map(|(key, post)| format!("{key}: {post:?}\n")).collect::<String>();
        }
        before = after;
    }
    all
}

#[test]
fn a_run_at_the_threads_cap_waits_for_an_approver_and_goes_on_with_the_original_once_more() {
    let mut story = capped(2.0);
    for _ in 0..2 {
        assert!(due(&mut story, Role::Coder).is_empty());
        story.reply(Role::Coder, "", &[("TodoWrite", r#"{"todos":[]}"#)]);
    }
    let id = story.thread.runs[&Role::Coder].id;
    let events = due(&mut story, Role::Coder);
    let reached = Budget::Reached { run: id, cap: Cap::Thread, spent: 2.0, limit: 2.0, raise: 2.0 };
    assert_eq!(news(&events), [reached]);
    assert_eq!(story.pending(), Vec::<String>::new());
    assert!(due(&mut story, Role::Coder).is_empty(), "it is told once");
    let card = card(&story);
    assert!(shown(&story, 1).contains("this thread's limit of $2.00 is used up ($2.00 spent)"));
    assert_eq!(refusal(&story.press("BEN", Action::BudgetRaise, &card)), "Only an approver can raise a limit: ANA.");
    let raised = story.press("ANA", Action::BudgetRaise, &card);
    assert_eq!(news(&raised), [Budget::Raised { run: id, cap: Cap::Thread, amount: 2.0, by: UserId::new("ANA") }]);
    assert!(shown(&story, 1).contains("**Raised** by $2.00 · ANA"));
    assert_eq!(story.pending(), ["run/2/turn/3"]);
    for action in [Action::BudgetRaise, Action::BudgetStop] {
        assert_eq!(refusal(&story.press("ANA", action, &card)), "This card is void: the run went on or has ended.");
    }
    assert!(due(&mut story, Role::Coder).is_empty());
    story.reply(Role::Coder, "", &[("TodoWrite", r#"{"todos":[]}"#)]);
    story.rules.coder_turns = 100;
    assert!(due(&mut story, Role::Coder).is_empty());
    story.reply(Role::Coder, "", &[("TodoWrite", r#"{"todos":[]}"#)]);
    let again = news(&due(&mut story, Role::Coder));
    assert!(matches!(again[..], [Budget::Reached { limit: 4.0, raise: 2.0, .. }]), "{again:?}");
}

#[test]
fn ended_at_a_cap_the_work_is_kept_as_a_draft() {
    let mut story = capped(1.0);
    story.reply(Role::Coder, "", &[("TodoWrite", r#"{"todos":[]}"#)]);
    due(&mut story, Role::Coder);
    let card = card(&story);
    assert!(refusal(&story.press("BEN", Action::BudgetStop, &card)).contains("Only an approver"));
    story.press("ANA", Action::BudgetStop, &card);
    let ended = |event: &Event| matches!(event, Event::RunEnded { outcome: RunOutcome::Stopped { .. }, .. });
    assert!(story.log.iter().any(ended));
    assert!(story.thread.publishing.as_ref().expect("work").draft.is_some());
    assert!(shown(&story, 1).contains("**Ended:** the run was stopped"));
    // `!retry` begins a new run, which meets the same cap.
    story.published();
    story.say("ANA", "!retry");
    assert!(matches!(news(&due(&mut story, Role::Coder))[..], [Budget::Reached { .. }]));
    story.say("ANA", "!stop");
    assert!(story.thread.pauses().next().is_none() && story.thread.publishing.is_some());
}

#[test]
fn ended_at_the_cap_of_a_pm_that_is_asked_the_work_ends_too() {
    let mut story = capped(1.0);
    story.reply(Role::Coder, "", &[("AskPM", r#"{"question":"Which one?"}"#)]);
    due(&mut story, Role::Pm);
    let card = card(&story);
    let events = story.press("ANA", Action::BudgetStop, &card);
    assert!(story.thread.runs.is_empty(), "{:?}", story.thread.runs.keys());
    assert!(!format!("{events:?}").contains("did not answer"), "{events:?}");
    assert!(story.thread.publishing.is_some() && story.thread.consults.is_empty());
}

#[test]
fn what_is_said_meanwhile_is_kept_and_told_and_a_retry_looks_again() {
    let mut story = Story::at_work();
    story.rules.caps.day_usd = Some(10.0);
    spend(&mut story, 10.0);
    due(&mut story, Role::Coder);
    let events = story.say("BEN", "also the header, please");
    let told = events.iter().find_map(|event| match event {
        Event::CommandTaken { answer: Answer::Text { text }, .. } => Some(text.as_str()),
        _ => None,
    });
    assert!(told.expect("told").starts_with("Your message is kept and read when the run goes on. The Coder is paused"));
    let events = story.say("BEN", "!retry");
    assert!(news(&events).is_empty() && format!("{events:?}").contains("today's limit of $10.00"), "{events:?}");
    assert!(story.say("BEN", "!status").iter().any(|event| format!("{event:?}").contains("The Coder is paused")));
    // The next day there is room again, and what was said is read.
    story.rules.now = Millis(DAY);
    assert!(matches!(news(&story.say("BEN", "!retry"))[..], [Budget::Freed { .. }]));
    assert!(due(&mut story, Role::Coder).is_empty());
    story.reply(Role::Coder, "", &[("TodoWrite", r#"{"todos":[]}"#)]);
    assert!(
        story
            .log
            .iter()
            .any(|event| matches!(event, Event::Heard { role: Role::Coder, messages, .. } if !messages.is_empty()))
    );
}

/// Lets other threads spend.
fn spend(story: &mut Story, usd: f64) {
    let key = ThreadKey { ts: MessageTs::new("9.0"), ..story.thread.key.clone() };
    let usage = Usage { calls: 1, cost_usd: usd, ..Usage::default() };
    let call = Entry::Call { role: None, user: Some(UserId::new("BEN")), model: "m".into(), usage };
    Arc::make_mut(&mut story.rules.spending).record(&key, story.rules.now, &call);
}

#[test]
fn a_days_cap_is_raised_for_that_day_and_not_by_a_card_when_there_is_room() {
    let mut story = Story::at_work();
    story.rules.caps.day_usd = Some(10.0);
    spend(&mut story, 12.0);
    due(&mut story, Role::Coder);
    let id = card(&story);
    let before = story.thread.clone();
    let events = story.press("ANA", Action::BudgetRaise, &id);
    let raised = events.iter().find_map(|event| entry(&before, event)).expect("it is written down");
    let key = story.thread.key.clone();
    Arc::make_mut(&mut story.rules.spending).record(&key, Millis(0), &raised);
    assert_eq!(story.rules.spending.raised_on(0), 10.0);
    assert!(due(&mut story, Role::Coder).is_empty(), "$12 of $20");
    // Another thread's card: somebody raised meanwhile, so that nothing is added.
    let mut other = Story::at_work();
    other.rules = story.rules.clone();
    other.rules.spending = Arc::default();
    spend(&mut other, 12.0);
    due(&mut other, Role::Coder);
    let id = card(&other);
    other.rules.spending = Arc::clone(&story.rules.spending);
    assert!(matches!(news(&other.press("ANA", Action::BudgetRaise, &id))[..], [Budget::Freed { .. }]));
    // The day after there is neither the one nor the other.
    let spending = &story.rules.spending;
    assert_eq!((spending.on(1).calls, spending.raised_on(1)), (0, 0.0));
}

#[test]
fn runs_that_people_start_count_within_the_hour_and_a_run_that_waits_does_not() {
    let mut story = Story::new();
    story.rules.caps.user_runs = Some(2);
    let key = |number: u32| ThreadKey {
        workspace: "T1".into(),
        channel: ChannelId::new(format!("C{number}")),
        ts: MessageTs::new(format!("{number}.5")),
    };
    let mut spending = Spending::default();
    for number in 0..2 {
        let run = Entry::Run { run: RunId(1), user: UserId::new("BEN") };
        spending.record(&key(number), Millis(i64::from(number)), &run);
    }
    story.rules.now = Millis(10);
    story.say("BEN", "hello");
    story.base();
    let started = story.log.iter().find(|event| matches!(event, Event::RunStarted { .. })).cloned().expect("started");
    let counted = entry(&story.thread, &started).expect("it counts");
    spending.record(&story.thread.key, Millis(10), &counted);
    story.rules.spending = Arc::new(spending.clone());
    let events = due(&mut story, Role::Pm);
    assert!(matches!(news(&events)[..], [Budget::Reached { cap: Cap::UserHour, spent: 2.0, limit: 2.0, .. }]));
    assert!(shown(&story, 1).contains("BEN has started 2 runs within the last hour, and the limit is 2"));
    spending.record(&story.thread.key, Millis(11), &entry(&story.thread, &events[0]).expect("held"));
    let all = spending.place_of(&key(7), RunId(9), Millis(12));
    assert_eq!(spending.runs_before(all, |begun| begun.user == UserId::new("BEN")), 2, "it does not count yet");
    story.rules.spending = Arc::new(spending.clone());
    // Raised, it counts, and the next one comes after it.
    let (card, before) = (card(&story), story.thread.clone());
    let events = story.press("ANA", Action::BudgetRaise, &card);
    for event in &events {
        entry(&before, event).iter().for_each(|entry| spending.record(&story.thread.key, Millis(12), entry));
    }
    story.rules.spending = Arc::new(spending.clone());
    assert!(due(&mut story, Role::Pm).is_empty(), "2 of 4 by others");
    let all = spending.place_of(&key(7), RunId(9), Millis(13));
    assert_eq!(spending.runs_before(all, |begun| begun.user == UserId::new("BEN")), 3);
    assert_eq!(spending.raised_for(&UserId::new("BEN"), Millis(13)), 2.0);
    assert_eq!(spending.raised_for(&UserId::new("ANA"), Millis(13)), 0.0);
    let later = spending.place_of(&key(7), RunId(9), Millis(60 * 60 * 1000 + 5));
    assert_eq!(spending.runs_before(later, |_| true), 1, "an hour later only the last");
    assert_eq!(spending.raised_for(&UserId::new("BEN"), Millis(60 * 60 * 1000 + 20)), 0.0);
}

#[test]
fn a_run_that_has_begun_goes_on_whatever_is_started_elsewhere() {
    let mut story = capped(100.0);
    story.rules.caps.repo_runs = Some(1);
    story.reply(Role::Coder, "", &[("TodoWrite", r#"{"todos":[]}"#)]);
    let mut spending = Spending::default();
    for number in 0..5 {
        let run = Entry::Run { run: RunId(number), user: UserId::new("EVE") };
        spending.record(&story.thread.key, Millis(0), &run);
    }
    story.rules.spending = Arc::new(spending);
    assert!(due(&mut story, Role::Coder).is_empty());
}

fn catalogue() -> Catalogue {
    let listed = |prompt| Listed { context: None, price: Some(Price { prompt, ..Price::default() }) };
    [("anthropic/claude", 3.0), ("moon/kimi", 1.0)]
        .map(|(slug, price)| (slug.to_owned(), listed(price)))
        .into_iter()
        .collect()
}

#[test]
fn at_four_fifths_the_thread_is_told_once_and_its_pm_is_the_cheapest_until_a_person_says_otherwise() {
    let mut story = Story::new();
    (story.cost, story.rules.caps.thread_usd) = (1.0, Some(5.0));
    story.rules.models = Arc::new(catalogue());
    story.say("BEN", "!pm claude");
    story.say("BEN", "hello");
    story.base();
    for _ in 0..3 {
        assert!(news(&story.reply(Role::Pm, "", &[("TodoWrite", "{}")])).is_empty());
    }
    let told = news(&story.reply(Role::Pm, "", &[("TodoWrite", "{}")]));
    let model = Some(("kimi".to_owned(), "moon/kimi".to_owned()));
    assert_eq!(told, [Budget::Near { cap: Cap::Thread, spent: 4.0, limit: 5.0, day: None, model, after_reply: false }]);
    assert!(shown(&story, 1).contains("From here on the PM uses **kimi** (`moon/kimi`)"));
    assert_eq!(story.thread.runs[&Role::Pm].model, "moon/kimi");
    assert!(due(&mut story, Role::Pm).is_empty(), "told once");
    story.say("BEN", "!pm claude");
    // With a raise there is a new limit, of which four fifths are told again; the person's choice stays.
    story.reply(Role::Pm, "", &[("TodoWrite", "{}")]);
    due(&mut story, Role::Pm);
    let id = card(&story);
    story.press("ANA", Action::BudgetRaise, &id);
    (0..2).for_each(|_| drop(story.reply(Role::Pm, "", &[("TodoWrite", "{}")])));
    let told = news(&story.reply(Role::Pm, "", &[("TodoWrite", "{}")]));
    assert!(matches!(told[..], [Budget::Near { limit: 10.0, model: None, .. }]), "{told:?}");
    assert_eq!(story.thread.runs[&Role::Pm].model, "anthropic/claude");
}

#[test]
fn a_request_of_the_pm_that_is_under_way_is_not_thrown_away_for_a_cheaper_model() {
    let mut story = Story::new();
    story.rules.models = Arc::new(catalogue());
    story.say("BEN", "!pm claude");
    story.say("BEN", "hello");
    story.base();
    story.rules.caps.day_usd = Some(5.0);
    spend(&mut story, 4.0);
    story.say("BEN", "in English");
    assert!(shown(&story, 1).contains("From here on the PM uses **kimi**"));
    assert_eq!(story.thread.runs[&Role::Pm].model, "anthropic/claude", "its request is under way");
    story.reply(Role::Pm, "", &[("Read", r#"{"file_path":"a"}"#)]);
    assert_eq!(story.thread.runs[&Role::Pm].model, "moon/kimi");
}

#[test]
fn without_prices_nothing_is_said_of_cheaper_models() {
    let mut story = Story::new();
    (story.cost, story.rules.caps.thread_usd) = (4.5, Some(5.0));
    story.say("BEN", "hello");
    story.base();
    let told = news(&story.reply(Role::Pm, "Hello.", &[]));
    assert!(matches!(told[..], [Budget::Near { model: None, .. }]));
    assert!(!shown(&story, 1).contains("cheapest"));
}

#[test]
fn cost_tells_what_was_spent_and_what_is_left_and_never_shows_the_unknown_as_nothing() {
    let mut story = Story::new();
    (story.rules.caps.thread_usd, story.rules.caps.day_usd) = (Some(5.0), Some(50.0));
    let asked_by = UserId::new("BEN");
    let text = |story: &Story| cost(&story.thread, &story.rules, &asked_by);
    assert_eq!(
        text(&story),
        "**Nothing** in this thread so far, of $5.00: $5.00 left\n\
         Today (UTC), in all repositories: $0.00, of $50.00: $50.00 left"
    );
    let usage = Usage {
        calls: 3,
        prompt_tokens: 1000,
        cached_tokens: 830,
        completion_tokens: 50,
        cost_usd: 0.41,
        calls_without_cost: 1,
        calls_about: 1,
    };
    story.thread.usage.insert(Role::Pm, usage);
    spend(&mut story, 2.0);
    assert_eq!(
        text(&story),
        "**about $0.41 + 1 call of unknown cost** in this thread so far, of $5.00: at most $4.59 left\n\
         - PM: about $0.41 + 1 call of unknown cost in 3 calls, 1000 tokens in (83 % from the cache), 50 out\n\
         Today (UTC), in all repositories: $2.00, of $50.00: $48.00 left; $2.00 of it in runs that you started"
    );
}

/// What happens next: a thread asks whether it may call, a call that is under way comes back, or a card is pressed.
fn step() -> impl Strategy<Value = (u8, usize, u8)> {
    (0u8..3, 0usize..3, 1u8..40)
}

proptest! {
    #[test]
    fn no_cap_is_passed_by_more_than_the_calls_under_way(steps in proptest::collection::vec(step(), 0..150)) {
        let (own, of_day) = (50.0, 90.0);
        let mut stories: Vec<Story> = (0..3).map(|number| {
            let mut story = Story::at_work();
            story.thread.key.ts = MessageTs::new(format!("{number}.0"));
            (story.rules.caps.thread_usd, story.rules.caps.day_usd) = (Some(own), Some(of_day));
            story.rules.coder_turns = 10_000;
            story
        }).collect();
        let mut spending = Arc::new(Spending::default());
        let mut calls = [false; 3];
        // The limits, and what was spent when the last call under each began.
        let (mut own_limits, mut day_limit) = ([own; 3], of_day);
        for (kind, number, cost) in steps {
            let story = &mut stories[number];
            story.rules.spending = Arc::clone(&spending);
            let before = story.thread.clone();
            let role = Role::Coder;
            let events = match kind {
                0 if !calls[number] => {
                    let events = due(story, role);
                    if story.thread.runs[&role].paused.is_none() {
                        calls[number] = true;
                        prop_assert!(story.thread.total_usage().cost_usd < own_limits[number]);
                        prop_assert!(spending.on(0).cost_usd < day_limit);
                    }
                    events
                }
                1 if calls[number] => {
                    calls[number] = false;
                    story.cost = f64::from(cost);
                    // Something else each time: it goes in no circles.
                    let todo = format!(r#"{{"todos":[{{"content":"step {}","status":"pending"}}]}}"#, story.thread.seq);
                    story.reply(role, "", &[("TodoWrite", &todo)])
                }
                2 if story.thread.runs[&role].paused.is_some() => {
                    let id = card(story);
                    story.press("ANA", Action::BudgetRaise, &id)
                }
                _ => Vec::new(),
            };
            for event in &events {
                if let Event::Budget { news: Budget::Raised { cap, amount, .. } } = event {
                    match cap {
                        Cap::Thread => {
                            prop_assert_eq!(*amount, own);
                            own_limits[number] += amount;
                        }
                        _ => {
                            prop_assert_eq!(*amount, of_day);
                            day_limit += amount;
                        }
                    }
                }
                let key = story.thread.key.clone();
                entry(&before, event).iter().for_each(|entry| Arc::make_mut(&mut spending).record(&key, Millis(0), entry));
            }
            let spent = story.thread.total_usage().cost_usd;
            prop_assert!(spent < own_limits[number] + 40.0, "one call at most beyond the thread's");
            prop_assert!(spending.on(0).cost_usd < day_limit + 3.0 * 40.0, "a call of each thread beyond the day's");
        }
    }
}

#[test]
fn the_cost_of_a_summary_counts_for_the_next_call() {
    let mut story = capped(1.0);
    assert!(due(&mut story, Role::Coder).is_empty());
    let mut wanted = replacement(1, &[], Some("s"));
    if let Wanted::Replacement { usage, .. } = &mut wanted {
        usage.cost_usd = 1.25;
    }
    story.want(Role::Coder, wanted);
    assert_eq!(story.pending(), ["run/2/turn/1"], "the call is due again");
    let events = due(&mut story, Role::Coder);
    assert!(
        matches!(news(&events)[..], [Budget::Reached { cap: Cap::Thread, spent: 1.25, limit: 1.0, .. }]),
        "{events:?}"
    );
    assert!(story.pending().is_empty(), "no call is made");
}

#[test]
fn a_cheaper_model_has_to_read_the_conversation() {
    let priced = |prompt, context| Listed { context, price: Some(Price { prompt, ..Price::default() }) };
    let pool = [("dear", 3.0, Some(200_000)), ("small", 0.1, Some(16_000)), ("mid", 1.0, Some(400_000))];
    let chosen = |tokens: u64, pool: &[(&str, f64, Option<u64>)], learned: Option<u64>| {
        let mut story = Story::new();
        story.rules.pm_pool = pool.iter().map(|(name, ..)| ((*name).to_owned(), (*name).to_owned())).collect();
        story.rules.pm_model = "dear".into();
        let models = pool.iter().map(|(name, price, context)| ((*name).to_owned(), priced(*price, *context)));
        story.rules.models = Arc::new(models.collect());
        story.rules.caps.thread_usd = Some(1.0);
        story.say("BEN", "how?");
        story.base();
        story.thread.contexts.extend(learned.map(|context| ("small".to_owned(), context)));
        let usage = Usage { calls: 1, cost_usd: 0.85, prompt_tokens: tokens, ..Usage::default() };
        let reply = Reply { text: "so".into(), model: "dear".into(), usage, ..Reply::default() };
        let run = story.thread.runs[&Role::Pm].id;
        let events = story.act(Command::ModelAnswered { run, turn: 1, result: Ok(reply) });
        let model = news(&events).into_iter().find_map(|news| match news {
            Budget::Near { model, .. } => Some(model.map(|(_, slug)| slug)),
            _ => None,
        });
        model.expect("it is told")
    };
    let unknown = [pool[0], ("small", 0.1, None)];
    assert_eq!(chosen(5_000, &pool, None).as_deref(), Some("small"));
    assert_eq!(chosen(150_000, &pool, None).as_deref(), Some("mid"), "the small one would cut it at once");
    assert_eq!(chosen(12_000, &pool, None).as_deref(), Some("mid"), "nor without room to go on");
    assert_eq!(chosen(150_000, &pool[..2], None), None, "then it stays");
    assert_eq!(chosen(150_000, &unknown, None).as_deref(), Some("small"), "of which nobody knows what it reads");
    assert_eq!(chosen(150_000, &unknown, Some(30_000)), None, "unless a server said so");
}
