//! The table of what others can do to a pull request: what the thread makes of it, and the way on.

use super::Story;
use crate::agent::Role;
use crate::ids::{CallId, CommitId, Millis, RunId};
use crate::render::posts::posts;
use crate::thread::command::{Action, Command, Deed, NotMerged};
use crate::thread::event::{Failure, Publication, ToolResult};
use crate::thread::outside::{Outside, PullFate, Sighting};
use crate::thread::{Event, Phase};

fn seen(fate: PullFate) -> Sighting {
    Sighting { fate, by: Some("ana".into()), ..Sighting::begin(7, CommitId::new("beef")) }
}

fn foreign(head: &str) -> Sighting {
    Sighting { foreign: true, head: CommitId::new(head), ..seen(PullFate::Open) }
}

fn merged() -> Sighting {
    seen(PullFate::Merged { commit: CommitId::new("fed") })
}

impl Story {
    /// What people see of a sighting, as text.
    fn sees(&mut self, seen: &Sighting) -> String {
        let mut before = self.thread.clone();
        let mut shown = Vec::new();
        for event in self.act(Command::PullChanged(seen.clone())) {
            let mut after = before.clone();
            after.apply(&event, Millis(0));
            shown.extend(posts(&before, &after, &event, Millis(0)));
            before = after;
        }
        serde_json::to_string(&shown).expect("plain data")
    }

    fn told(&self, role: Role, part: &str) -> bool {
        self.log.iter().any(|event| match event {
            Event::Noted { role: to, text } => *to == role && text.contains(part),
            _ => false,
        })
    }
}

#[test]
fn what_is_seen_a_second_time_is_no_news() {
    for seen in [seen(PullFate::Open), seen(PullFate::Closed), foreign("f00"), merged()] {
        let mut story = Story::opened();
        let is_news = !story.act(Command::PullChanged(seen.clone())).is_empty();
        assert_eq!(is_news, seen != self::seen(PullFate::Open), "{seen:?}");
        assert_eq!(story.act(Command::PullChanged(seen.clone())), [], "{seen:?}");
        let other = Command::PullChanged(Sighting { number: 8, ..seen });
        assert_eq!(Story::opened().act(other), [], "another pull request is none of ours");
    }
    assert_eq!(Story::new().act(Command::PullChanged(merged())), [], "there is none yet");
}

#[test]
fn one_that_was_merged_closes_the_thread_and_says_who() {
    let mut story = Story::opened();
    story.sees(&merged());
    assert_eq!((Phase::of(&story.thread), story.pending()), (Phase::Closed, vec!["cleanup".to_owned()]));
    let events = story.act(Command::CleanUpDone(vec![]));
    let end = posts(&story.thread, &story.thread, &events[0], Millis(0));
    let text = serde_json::to_string(&end).expect("plain data");
    assert!(
        text.contains("Pull request #7 was merged on GitHub by ana as `fed`, branch and worktree removed."),
        "{text}"
    );
    assert_eq!(story.pending(), Vec::<String>::new());
}

#[test]
fn a_merge_stops_the_coder_and_keeps_its_words() {
    let mut story = Story::opened();
    story.say("BEN", "more");
    story.propose("More");
    story.press("ANA", Action::PlanApprove, &story.plan_id());
    assert!(story.thread.runs.contains_key(&Role::Coder));
    story.say("BEN", "and tea");
    story.sees(&merged());
    assert_eq!(story.pending(), ["cleanup", "run/5/turn/1"], "the PM answers what the Coder did not read");
    assert!(story.thread.closing.as_ref().and_then(|closing| closing.elsewhere.as_ref()).expect("merged there").cut);
    let mut story = Story::opened();
    story.say("BEN", "more");
    story.propose("More");
    story.press("ANA", Action::PlanApprove, &story.plan_id());
    story.reply(Role::Coder, "All of it is done.", &[]);
    assert!(story.sees(&merged()).contains("All of it is done."), "a report is said though it is not published");
}

#[test]
fn a_merge_leaves_no_question_and_no_check_open_and_keeps_what_stopped() {
    let mut asks = Story::opened();
    asks.propose_more();
    asks.reply(Role::Coder, "", &[("AskPM", r#"{"question":"Which one?"}"#)]);
    let shown = asks.sees(&merged());
    assert!(shown.contains("asked the PM: Which one?\\n_Not answered: the run ended before._"), "{shown}");
    let mut checked = Story::opened();
    checked.rules.checks = vec!["make a".into()];
    checked.propose_more();
    checked.reply(Role::Coder, "Done.", &[]);
    let shown = checked.sees(&merged());
    assert!(shown.contains("/checks\"") && shown.contains("`make a`: _not run to its end_"), "{shown}");
    // A Coder whose model failed has work in the worktree that is in no pull request.
    let mut failed = Story::opened();
    failed.propose_more();
    let run = failed.thread.runs[&Role::Coder].clone();
    let result = Err(Failure { what: "No credit.".into(), hint: "Add some.".into() });
    failed.act(Command::ModelAnswered { run: run.id, turn: run.turns + 1, result });
    let mut closed = failed.clone();
    failed.sees(&merged());
    closed.say("ANA", "!close");
    for story in [failed, closed] {
        assert!(story.thread.closing.as_ref().expect("it ends").unfinished);
    }
    let mut whole = Story::opened();
    whole.sees(&merged());
    assert!(!whole.thread.closing.as_ref().expect("it ends").unfinished);
}

#[test]
fn a_merge_that_we_were_asked_for_is_ours_whoever_sees_it_first() {
    let mut story = Story::opened();
    story.say("ANA", "merge");
    story.sees(&merged());
    assert!(matches!(story.log.last(), Some(Event::Merged { commit }) if commit.as_str() == "fed"));
    assert_eq!(story.pending(), ["cleanup"], "the merge is not tried any more");
    assert_eq!(story.act(Command::MergeDone(Ok(CommitId::new("fed")))), []);
    // Closed by ourselves: no news.
    let mut story = Story::opened();
    story.say("BEN", "!close");
    assert_eq!(story.sees(&seen(PullFate::Closed)), "[]");
}

#[test]
fn a_merge_in_doubt_is_told_so_and_settled_by_what_is_seen_or_by_another_try() {
    let mut story = Story::opened();
    story.say("ANA", "merge");
    let failure = Failure { what: "GitHub did not answer.".into(), hint: "Check the network; then `!retry`.".into() };
    let before = story.thread.clone();
    let events = story.act(Command::MergeDone(Err(NotMerged::Unknown(failure))));
    let shown = posts(&before, &story.thread, events.last().expect("an event"), Millis(0));
    let text = serde_json::to_string(&shown).expect("plain data");
    assert!(!text.contains("Not merged"), "{text}");
    for part in ["not known whether pull request #7 was merged", "GitHub did not answer.", "`!retry`", "twice"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("done/2.0"), "the word has its answer: {text}");
    assert!(story.told(Role::Pm, "not known yet"));
    assert_eq!((Phase::of(&story.thread), story.pending()), (Phase::Review, vec![]), "nothing is tried unasked");

    let mut seen_merged = story.clone();
    seen_merged.sees(&merged());
    assert!(matches!(seen_merged.log.last(), Some(Event::Merged { .. })), "it was ours: {:?}", seen_merged.log.last());
    assert_eq!(seen_merged.pending(), ["cleanup"]);
    let mut worked = story.clone();
    worked.act(Command::ToolDone {
        run: RunId(9),
        call: CallId::new("c"),
        result: ToolResult { text: String::new(), error: false, wrote: vec![], exit: None },
        deeds: vec![Deed::Pushed(CommitId::new("b2b2"))],
    });
    worked.sees(&merged());
    assert!(matches!(worked.log.last(), Some(Event::Outside { .. })), "what was pushed later is kept");
    let mut closing = story.clone();
    closing.say("ANA", "!close");
    assert!(!closing.thread.is_closed(), "it may have been merged");
    let told = serde_json::to_string(closing.log.last().expect("an event")).expect("plain data");
    assert!(told.contains("if the merge is refused, `!close` works"), "{told}");
    closing.say("ANA", "merge");
    let refused = Failure { what: "It has conflicts.".into(), hint: "Solve them.".into() };
    closing.act(Command::MergeDone(Err(NotMerged::Refused(refused))));
    closing.say("ANA", "!close");
    assert_eq!(closing.pending(), ["cleanup"], "as it was told");
    let mut another = story.clone();
    another.sees(&Sighting { head: CommitId::new("cafe"), ..merged() });
    assert!(
        matches!(another.log.last(), Some(Event::Outside { news: Outside::Merged { .. } })),
        "not what we asked for"
    );
    let mut closed = story.clone();
    closed.sees(&self::seen(PullFate::Closed));
    assert_eq!(closed.thread.in_doubt, None, "then it was not merged");
    for word in ["merge", "!retry"] {
        let mut again = story.clone();
        again.say("ANA", word);
        assert_eq!(again.pending(), ["merge/2"], "{word}");
        again.act(Command::MergeDone(Ok(CommitId::new("fed"))));
        assert_eq!((again.pending(), &again.thread.in_doubt), (vec!["cleanup".to_owned()], &None), "{word}");
    }
}

#[test]
fn a_closed_one_loses_its_buttons_and_has_three_ways_on() {
    let mut closed = Story::opened();
    let text = closed.sees(&seen(PullFate::Closed));
    for part in ["was closed on GitHub by ana", "kept on `codebutler/row`", "`!retry` opens a new one", "`!close`"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("pull/2") && !text.contains("pr_merge"), "the card has no button: {text}");
    assert!(closed.told(Role::Pm, "closed outside this thread"));
    let gone = Sighting { branch_gone: true, ..seen(PullFate::Closed) };
    assert!(Story::opened().sees(&gone).contains("by ana and its branch deleted"));

    let mut reopened = closed.clone();
    let text = reopened.sees(&seen(PullFate::Open));
    assert!(text.contains("was opened again by ana"), "{text}");
    assert!(text.contains("pr_merge"), "the card has its button again: {text}");
    assert!(reopened.sees(&seen(PullFate::Closed)).contains("was closed"), "a second close is news");

    let mut again = closed.clone();
    again.say("BEN", "!retry");
    assert_eq!(again.pending(), ["publish/3"]);
    again.published();
    assert!(!again.thread.elsewhere.closed);
    assert_eq!(again.thread.published.as_ref().expect("published").report, "Done.");
    assert!(matches!(again.say("ANA", "merge").last(), Some(Event::MergeRequested { .. })));

    closed.say("BEN", "!close");
    assert_eq!(closed.pending(), ["cleanup"]);
}

#[test]
fn after_a_refused_merge_retry_opens_a_new_one_only_when_it_was_closed() {
    let mut story = Story::opened();
    story.say("ANA", "merge");
    let failure = Failure { what: "It was closed.".into(), hint: "Open it.".into() };
    story.act(Command::MergeDone(Err(NotMerged::Refused(failure))));
    let mut other = story.clone();
    other.say("ANA", "!retry");
    assert_eq!(other.pending(), ["merge/2"]);
    story.sees(&seen(PullFate::Closed));
    story.say("ANA", "!retry");
    assert_eq!(story.pending(), ["publish/3"]);
}

#[test]
fn commits_of_others_are_told_and_taken_over_at_a_persons_word() {
    let mut story = Story::opened();
    let text = story.sees(&foreign("f00d"));
    for part in ["Someone else pushed to `codebutler/row`", "its head is `f00d`, made by ana", "`beef`", "`!retry`"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(story.pending(), Vec::<String>::new(), "nothing is done unasked");
    story.say("BEN", "!retry");
    assert_eq!(story.pending(), ["run/3/turn/1"]);
    let heard = story.log.iter().rev().find_map(|event| match event {
        Event::Heard { role: Role::Coder, parts, .. } => Some(parts.concat()),
        _ => None,
    });
    let heard = heard.expect("the Coder is told");
    assert_eq!(heard.matches("git merge --no-commit f00d").count(), 1, "{heard}");
    story.reply(Role::Coder, "Both are in.", &[]);
    let run = story.thread.publishing.as_ref().expect("publishing").run;
    let (result, deeds) = (Ok(Publication::default()), vec![Deed::Pushed(CommitId::new("cafe"))]);
    story.act(Command::PublishDone { run, result, deeds });
    assert_eq!(story.thread.elsewhere.head, None, "a push that succeeds has it");
}

#[test]
fn a_push_that_was_refused_for_them_is_taken_up_by_the_coder() {
    let mut story = Story::opened();
    story.say("BEN", "more");
    story.propose("More");
    story.press("ANA", Action::PlanApprove, &story.plan_id());
    let text = story.sees(&foreign("f00d"));
    assert!(text.contains("The Coder, who is at work, is told"), "{text}");
    story.reply(Role::Coder, "Done too.", &[]);
    let run = story.thread.publishing.as_ref().expect("publishing").run;
    let failure = Failure { what: "The remote has more.".into(), hint: "`!retry`".into() };
    story.act(Command::PublishDone { run, result: Err(failure), deeds: vec![] });
    story.say("BEN", "!retry");
    assert!(story.thread.runs.contains_key(&Role::Coder), "not pushed again in vain: {:?}", story.pending());
    assert!(story.thread.stalled.is_empty(), "{:?}", story.thread.stalled);
}

#[test]
fn commits_of_others_that_went_away_need_no_taking_over() {
    let mut story = Story::opened();
    story.sees(&foreign("f00d"));
    assert!(story.sees(&seen(PullFate::Open)).contains("without commits of others"));
    assert_eq!(story.sees(&seen(PullFate::Open)), "[]");
    let events = story.say("BEN", "!retry");
    assert!(matches!(events.last(), Some(Event::CommandTaken { .. })), "nothing to try again: {events:?}");
    // What we pushed ourselves is never foreign.
    assert_eq!(Story::opened().sees(&foreign("beef")), "[]");
}

#[test]
fn a_failed_pm_is_retried_before_anything_outside() {
    let mut story = Story::opened();
    story.sees(&foreign("f00d"));
    story.say("BEN", "what is that?");
    let run = story.thread.runs.get(&Role::Pm).expect("asked").id;
    let failure = Failure { what: "x".into(), hint: "y".into() };
    story.act(Command::ModelAnswered { run, turn: 1, result: Err(failure) });
    story.say("BEN", "!retry");
    assert!(!story.thread.runs.contains_key(&Role::Coder) && story.thread.runs.contains_key(&Role::Pm));
}

#[test]
fn the_events_are_stored_as_they_will_be_read() {
    let news = Outside::Moved { head: CommitId::new("f00d"), by: None };
    let text = serde_json::to_string(&Event::Outside { news: news.clone() }).expect("plain data");
    assert_eq!(text, r#"{"type":"outside","news":{"kind":"moved","head":"f00d","by":null}}"#);
    let read: Event =
        serde_json::from_str(r#"{"type":"outside","news":{"kind":"moved","head":"f00d"}}"#).expect("read");
    assert_eq!(read, Event::Outside { news });
}
