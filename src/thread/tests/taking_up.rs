//! What `!retry` takes up when more than one thing has stopped, and what a card's own button takes up.

use super::Story;
use crate::agent::Role;
use crate::ids::{CommitId, Millis, RunId};
use crate::render::post::Post;
use crate::render::posts::posts;
use crate::thread::command::{Action, Command, NotMerged};
use crate::thread::event::{Base, Event, Failure};
use crate::thread::outside::{PullFate, Sighting};
use crate::thread::stalled::{Part, Stalled};

fn failure() -> Failure {
    Failure { what: "No credit.".into(), hint: "Add credit.".into() }
}

/// The value of the newest Retry button that an event of the log showed, and its label.
fn button_of(story: &Story, is_it: impl Fn(&Event) -> bool) -> (String, String) {
    let (mut thread, mut found) = (crate::thread::Thread::new(story.thread.key.clone()), None);
    for event in &story.log {
        let before = thread.clone();
        thread.apply(event, Millis(0));
        for (_, post) in posts(&before, &thread, event, Millis(0)).into_iter().filter(|_| is_it(event)) {
            let Post::Message { buttons, .. } = post else { continue };
            found = buttons.into_iter().find(|button| button.action == "run_retry").or(found);
        }
    }
    let button = found.expect("a card with a button");
    (button.value, button.label)
}

impl Story {
    /// A role's model fails.
    fn cut(&mut self, role: Role) {
        let run = self.thread.runs.get(&role).expect("at work").id;
        self.act(Command::ModelAnswered { run, turn: 1, result: Err(failure()) });
    }

    /// The Coder was stopped, and its work could not be published.
    fn unpublished() -> Self {
        let mut story = Self::at_work();
        story.say("BEN", "!stop");
        story.act(Command::PublishDone { run: RunId(2), result: Err(failure()), deeds: vec![] });
        story
    }

    fn parts(&self) -> Vec<Part> {
        self.thread.stalled.iter().map(Stalled::part).collect()
    }
}

/// The Coder failed, and then the PM who was asked about it, as when the model service is down.
fn both_cut() -> Story {
    let mut story = Story::at_work();
    story.cut(Role::Coder);
    story.say("BEN", "and now?");
    story.cut(Role::Pm);
    assert_eq!(story.parts(), [Part::Run(Role::Coder), Part::Run(Role::Pm)]);
    story
}

#[test]
fn one_retry_takes_up_all_that_stopped_and_each_cards_button_what_it_is_about() {
    let mut all = both_cut();
    let from = all.log.len();
    all.say("BEN", "!retry");
    assert_eq!(all.pending(), ["run/5/turn/1", "run/4/turn/1"], "PM and Coder, whose runs are listed by role");
    let taken = all.log[from..].iter().filter(|event| matches!(event, Event::TakenUp { .. })).count();
    assert_eq!((taken, all.parts()), (1, vec![]));
    let events = all.say("BEN", "!retry");
    let Some(Event::CommandTaken { answer, .. }) = events.last() else { panic!("an answer: {events:?}") };
    assert!(format!("{answer:?}").contains("It is running."), "{answer:?}");

    for (role, left, pending) in [(Role::Pm, Role::Coder, "run/4/turn/1"), (Role::Coder, Role::Pm, "run/4/turn/1")] {
        let mut story = both_cut();
        let run = if role == Role::Coder { RunId(2) } else { RunId(3) };
        let (value, label) =
            button_of(&story, |event| matches!(event, Event::RunEnded { run: ended, .. } if *ended == run));
        assert_eq!(label, "Retry");
        story.press("BEN", Action::RunRetry, &value);
        assert_eq!((story.pending(), story.parts()), (vec![pending.to_owned()], vec![Part::Run(left)]), "{value}");
        assert!(story.thread.runs.contains_key(&role), "{value}");
        // Once more the same button: that runs, and something else is still to be taken up.
        let events = story.press("BEN", Action::RunRetry, &value);
        let Some(Event::Refused { reason, .. }) = events.last() else { panic!("a refusal: {events:?}") };
        assert!(reason.contains("goes on already") && reason.contains("`!retry`"), "{reason}");
    }
}

#[test]
fn a_card_of_an_older_version_takes_up_everything() {
    let mut story = both_cut();
    story.press("BEN", Action::RunRetry, "2");
    assert_eq!((story.pending().len(), story.parts()), (2, vec![]));
}

#[test]
fn a_stopped_coder_goes_on_with_what_is_not_published_and_its_card_publishes_it_as_it_is() {
    let mut typed = Story::unpublished();
    assert_eq!(typed.parts(), [Part::Run(Role::Coder), Part::Publish]);
    let mut pressed = typed.clone();
    typed.say("BEN", "!retry");
    assert_eq!(typed.pending(), ["run/3/turn/1"], "one of them at a time in the worktree");
    let events = typed.say("ANA", "!retry");
    assert!(matches!(events.last(), Some(Event::CommandTaken { .. })), "not beside the Coder: {events:?}");
    // Until it is published it is not forgotten, whatever becomes of the Coder.
    assert_eq!(typed.parts(), [Part::Publish]);
    let mut cut = typed.clone();
    cut.cut(Role::Coder);
    assert_eq!(cut.parts(), [Part::Publish, Part::Run(Role::Coder)]);
    typed.reply(Role::Coder, "Done.", &[]);
    assert_eq!(typed.pending(), ["publish/3"]);
    typed.published();
    assert_eq!(typed.parts(), []);

    let (value, _) = button_of(&pressed, |event| matches!(event, Event::PublishFailed { .. }));
    pressed.press("BEN", Action::RunRetry, &value);
    assert_eq!(pressed.pending(), ["publish/2"], "who stopped the Coder does not want it to go on");
    let events = pressed.say("BEN", "!retry");
    let Some(Event::CommandTaken { answer, .. }) = events.last() else { panic!("an answer: {events:?}") };
    assert!(format!("{answer:?}").contains("Try again in a moment"), "{answer:?}");
    pressed.published();
    let (value, label) = button_of(&pressed, |event| matches!(event, Event::WorkPublished { .. }));
    assert_eq!(label, "Go on");
    pressed.press("BEN", Action::RunRetry, &value);
    assert_eq!(pressed.pending(), ["run/3/turn/1"]);
}

#[test]
fn a_talk_with_the_pm_leaves_what_stopped_to_be_taken_up() {
    let mut story = Story::unpublished();
    story.say("BEN", "what is that?");
    story.reply(Role::Pm, "An error.", &[]);
    assert_eq!(story.parts(), [Part::Run(Role::Coder), Part::Publish]);
    story.say("BEN", "what else?");
    story.cut(Role::Pm);
    story.say("BEN", "!retry");
    assert!(story.thread.runs.contains_key(&Role::Pm) && story.thread.runs.contains_key(&Role::Coder));
}

#[test]
fn base_and_worktree_are_taken_up_with_the_rest() {
    let mut story = Story::new();
    story.say("BEN", "hello");
    story.act(Command::BasePrepared(Err::<Base, _>(failure())));
    let (value, _) = button_of(&story, |event| matches!(event, Event::BaseFailed { .. }));
    story.press("BEN", Action::RunRetry, &value);
    assert_eq!((value.as_str(), story.pending()), ("base", vec!["base".to_owned()]));

    let mut story = Story::new();
    let id = story.plan();
    story.press("ANA", Action::PlanApprove, &id);
    story.act(Command::WorkspacePrepared(Err(failure())));
    story.say("BEN", "what is that?");
    story.cut(Role::Pm);
    let mut only = story.clone();
    story.say("BEN", "!retry");
    assert_eq!(story.pending(), ["workspace", "run/3/turn/1"]);
    let (value, _) = button_of(&only, |event| matches!(event, Event::RunEnded { .. }));
    only.press("BEN", Action::RunRetry, &value);
    assert_eq!((only.pending(), only.parts()), (vec!["run/3/turn/1".to_owned()], vec![Part::Workspace]));
}

#[test]
fn a_refused_merge_is_tried_again_when_it_is_what_stopped_last_and_by_an_approver_only() {
    let refused = || {
        let mut story = Story::opened();
        story.say("ANA", "merge");
        story.act(Command::MergeDone(Err(NotMerged::Refused(failure()))));
        story
    };
    let later = || {
        let mut story = refused();
        story.say("BEN", "do not merge it yet");
        story.cut(Role::Pm);
        story
    };
    let mut story = later();
    story.say("ANA", "!retry");
    assert_eq!(story.pending(), ["run/4/turn/1"], "the word is about what stopped since");
    let mut story = later();
    let (value, _) = button_of(&story, |event| matches!(event, Event::RunEnded { .. }));
    story.press("ANA", Action::RunRetry, &value);
    assert_eq!(story.pending(), ["run/4/turn/1"], "the card is about the PM");
    let mut story = refused();
    let events = story.say("BEN", "!retry");
    assert_eq!(story.pending(), Vec::<String>::new());
    let Some(Event::CommandTaken { answer, .. }) = events.last() else { panic!("an answer: {events:?}") };
    assert!(format!("{answer:?}").contains("Only an approver"), "{answer:?}");
    story.say("ANA", "!retry");
    assert_eq!(story.pending(), ["merge/2"]);
}

#[test]
fn what_others_did_is_in_the_way_of_work_and_merge_whatever_stopped_last() {
    let foreign = || {
        let mut story = Story::unpublished();
        let pull = crate::thread::event::PullRequest { number: 7, url: String::new(), title: "t".into(), draft: true };
        story.act(Command::ToolDone {
            run: RunId(2),
            call: crate::ids::CallId::new("c"),
            result: crate::thread::event::ToolResult { text: String::new(), error: false, wrote: vec![], exit: None },
            deeds: vec![crate::thread::command::Deed::Opened(pull)],
        });
        let seen = Sighting { foreign: true, ..Sighting::begin(7, CommitId::new("f00d")) };
        story.act(Command::PullChanged(Sighting { fate: PullFate::Open, ..seen }));
        story.say("BEN", "what is that?");
        story.cut(Role::Pm);
        story
    };
    let mut typed = foreign();
    assert_eq!(typed.parts(), [Part::Run(Role::Coder), Part::Publish, Part::Run(Role::Pm)]);
    typed.say("BEN", "!retry");
    assert!(typed.thread.runs.contains_key(&Role::Pm) && typed.thread.runs.contains_key(&Role::Coder));
    assert_eq!(typed.parts(), [], "the Coder takes over what others pushed, with what is not published");
    let mut pressed = foreign();
    let (value, _) = button_of(&pressed, |event| matches!(event, Event::PublishFailed { .. }));
    pressed.press("BEN", Action::RunRetry, &value);
    assert!(pressed.thread.runs.contains_key(&Role::Coder), "a push would be refused again: {:?}", pressed.pending());
    assert_eq!(pressed.parts(), [Part::Run(Role::Pm)]);
}

#[test]
fn the_names_of_parts_are_stored_as_they_will_be_read() {
    for part in [Part::Base, Part::Workspace, Part::Publish, Part::Merge].into_iter().chain(Role::ALL.map(Part::Run)) {
        assert_eq!(Part::parse(&part.name()), Some(part));
    }
    assert_eq!(Part::parse("12"), None);
    let by = crate::ids::UserId::new("ANA");
    let event = Event::TakenUp { by, ts: None, parts: vec![Part::Run(Role::Pm), Part::Publish] };
    let text = serde_json::to_string(&event).expect("plain data");
    assert_eq!(text, r#"{"type":"taken_up","by":"ANA","ts":null,"parts":[{"run":"pm"},"publish"]}"#);
    assert_eq!(serde_json::from_str::<Event>(&text).expect("read"), event);
}

#[test]
fn a_stop_before_anything_runs_keeps_it_from_running() {
    // While the base is prepared.
    let mut story = Story::new();
    story.say("BEN", "delete all");
    assert_eq!(story.pending(), ["base"]);
    let events = story.say("BEN", "!stop");
    let told = events.iter().find_map(|event| match event {
        Event::BaseFailed { failure } => Some(failure.what.clone()),
        _ => None,
    });
    assert_eq!(told.as_deref(), Some("BEN stopped this before anything began: nothing was done."));
    assert!(story.pending().is_empty());
    assert!(story.base().is_empty() && story.pending().is_empty(), "an end that comes late begins nothing");
    let mut closed = story.clone();
    closed.say("BEN", "!close");
    assert!(closed.pending().is_empty(), "{:?}", closed.pending());
    closed.say("BEN", "how is it going?");
    assert_eq!(closed.pending(), ["base"], "a question is answered");
    let mut again = story.clone();
    again.say("BEN", "!retry");
    assert_eq!(again.pending(), ["base"]);
    again.base();
    assert!(again.heard(Role::Pm).contains("delete all"));
    story.say("BEN", "rather: which files are there?");
    assert_eq!(story.pending(), ["base"]);
    // While the worktree is made.
    let mut story = Story::new();
    let id = story.plan();
    story.press("ANA", Action::PlanApprove, &id);
    assert_eq!(story.pending(), ["workspace"]);
    story.say("BEN", "!stop");
    assert!(story.pending().is_empty());
    story.workspace();
    assert!(story.thread.runs.is_empty() && story.pending().is_empty());
    story.say("ANA", "!retry");
    assert_eq!(story.pending(), ["workspace"]);
    story.workspace();
    assert!(story.thread.runs.contains_key(&Role::Coder));
    // Nothing there to stop.
    let mut story = Story::new();
    story.say("BEN", "!status");
    let events = story.say("BEN", "!stop");
    assert!(!events.iter().any(|event| matches!(event, Event::BaseFailed { .. })), "{events:?}");
}
