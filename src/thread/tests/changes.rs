//! What people change of what a role has read already, or was told as what had been said before.

use super::Story;
use crate::agent::Role;
use crate::ids::{CommitId, MessageTs, Millis, UserId};
use crate::render::post::Post;
use crate::render::posts::posts;
use crate::thread::command::{Action, Command};
use crate::thread::event::{Base, Earlier, Event, Message};

fn edit(ts: &str, text: &str) -> Command {
    Command::Edit { ts: MessageTs::new(ts), by: UserId::new("BEN"), text: text.into() }
}

fn delete(ts: &str) -> Command {
    Command::Delete { ts: MessageTs::new(ts), by: UserId::new("BEN") }
}

impl Story {
    /// Who is told by a note, and who by a message that only that person sees.
    fn told_of(&mut self, command: Command) -> (Vec<Role>, Vec<UserId>) {
        let mut before = self.thread.clone();
        let (mut roles, mut people) = (Vec::new(), Vec::new());
        for event in self.act(command) {
            let mut after = before.clone();
            after.apply(&event, Millis(0));
            people.extend(posts(&before, &after, &event, Millis(0)).into_iter().filter_map(|(_, post)| match post {
                Post::Ephemeral { to, .. } => Some(to),
                _ => None,
            }));
            if let Event::Noted { role, .. } = event {
                roles.push(role);
            }
            before = after;
        }
        (roles, people)
    }

    /// What the role read last.
    pub(super) fn heard(&self, role: Role) -> String {
        let heard = self.log.iter().rev().find_map(|event| match event {
            Event::Heard { role: of, parts, .. } if *of == role => Some(parts.join("\n")),
            _ => None,
        });
        heard.unwrap_or_default()
    }
}

/// What somebody said before the bot was part of the thread.
fn earlier(ts: &str, name: &str, text: &str) -> Earlier {
    Earlier { ts: Some(MessageTs::new(ts)), name: Some(name.into()), text: text.into(), files: Vec::new() }
}

fn nobody() -> (Vec<Role>, Vec<UserId>) {
    (Vec::new(), Vec::new())
}

#[test]
fn a_run_does_not_end_before_it_has_read_what_was_changed() {
    for (change, words) in [
        (edit("1.0", "rename it to baz"), "BEN edited a message that you have read. It now says:\nrename it to baz"),
        (delete("1.0"), "BEN deleted a message that you have read; it no longer counts:\nrename it to bar"),
    ] {
        let mut story = Story::new();
        story.say("BEN", "rename it to bar");
        story.base();
        assert_eq!(story.told_of(change.clone()), (vec![Role::Pm], vec![]), "the run tells what comes of it");
        assert_eq!(story.told_of(change), nobody(), "the same again changes nothing");
        story.reply(Role::Pm, "It is `bar` now.", &[]);
        assert!(story.thread.runs.contains_key(&Role::Pm), "it answered what does not stand there any more");
        assert_eq!(story.heard(Role::Pm), format!("[codebutler] {words}"));
        story.reply(Role::Pm, "It is `baz` now.", &[]);
        assert!(story.thread.runs.is_empty());
    }
}

#[test]
fn who_edits_what_was_answered_is_told_that_nobody_works_on_it() {
    let mut story = Story::new();
    story.say("BEN", "where is teh greeting?");
    story.base();
    story.reply(Role::Pm, "In `greeting.txt`.", &[]);
    assert_eq!(story.told_of(edit("1.0", "where is the farewell?")), (vec![Role::Pm], vec![UserId::new("BEN")]));
    assert!(story.thread.runs.is_empty(), "an edit wakes nobody");
    story.say("BEN", "well?");
    let heard = story.heard(Role::Pm);
    assert!(heard.contains("where is the farewell?") && heard.ends_with("BEN: well?"), "{heard}");
    assert_eq!(story.told_of(delete("1.0")), (vec![Role::Pm], vec![]), "nothing is expected of a deletion");
}

#[test]
fn the_coder_hears_what_was_changed_while_it_works_and_begins_with_what_stands() {
    let mut story = Story::new();
    story.say("BEN", "call it bar");
    story.base();
    story.propose("Rename it");
    story.act(edit("1.0", "call it baz"));
    let plan = story.plan_id();
    story.press("ANA", Action::PlanApprove, &plan);
    story.workspace();
    let words = story.heard(Role::Coder);
    assert!(words.contains("BEN: call it baz") && !words.contains("bar"), "{words}");
    assert_eq!(story.told_of(edit("1.0", "call it qux")), (vec![Role::Pm, Role::Coder], vec![]));
    story.reply(Role::Coder, "It is baz.", &[]);
    assert!(story.heard(Role::Coder).contains("call it qux"), "{}", story.heard(Role::Coder));
    story.say("BEN", "and the docs");
    assert_eq!(story.told_of(edit("2.0", "and the manual")), nobody(), "neither has read it");
    story.reply(Role::Coder, "It is qux.", &[]);
    assert_eq!(story.heard(Role::Coder), "BEN: and the manual");
    assert_eq!(story.told_of(edit("2.0", "and the book")), (vec![Role::Coder], vec![]), "the PM has not read it");
}

#[test]
fn what_was_told_as_said_before_is_known_by_its_id() {
    let earlier = |ts: &str, text: &str| Earlier { files: vec!["a.png".into()], ..earlier(ts, "Ana", text) };
    let mut story = Story::new();
    let said = |ts: &str, name: &str, text: &str| Command::Say {
        message: Message {
            ts: MessageTs::new(ts),
            from: UserId::new(name),
            name: name.into(),
            text: text.into(),
            files: vec!["a.png".into()],
        },
        to_bot: false,
    };
    story.act(said("5.0", "BEN", "what of it?"));
    // One of them came as a message while the history was being read.
    story.act(said("4.0", "ANA", "the second"));
    let base = Base {
        commit: CommitId::new("4f2c1aa9"),
        branch: "main".into(),
        prompts: vec![],
        history: vec![earlier("3.0", "the first"), earlier("4.0", "the second")],
        notice: None,
    };
    story.act(Command::BasePrepared(Ok(base)));
    let heard = story.heard(Role::Pm);
    assert_eq!(heard.matches("the first").count(), 1, "{heard}");
    assert_eq!(heard.matches("the second").count(), 1, "{heard}");
    let late = story.act(said("3.0", "ANA", "the first"));
    assert!(late.iter().any(|event| matches!(event, Event::CommandTaken { .. })), "{late:?}");
    assert!(story.thread.conversations[&Role::Pm].unheard.is_empty());
    // What comes late may be older than what the history showed.
    assert_eq!(story.told_of(said("3.0", "ANA", "the frist")), nobody());
    assert_eq!(story.told_of(edit("3.0", "the first")), nobody());
    // Nor does it answer what was asked since.
    story.reply(Role::Pm, "", &[("AskUser", r#"{"question":"Which?","options":["One","Two"]}"#)]);
    story.act(said("3.0", "ANA", "the first"));
    story.act(said("3.0", "ANA", "ok"));
    assert!(story.thread.question.is_some(), "it was said before the question was asked");
    story.act(said("6.0", "ANA", "One"));
    assert!(story.thread.question.is_none());
    let (roles, _) = story.told_of(edit("3.0", "the very first"));
    assert_eq!(roles, [Role::Pm]);
    // Nor does it approve.
    story.propose("A plan");
    story.act(said("3.0", "ANA", "ok"));
    assert!(story.thread.approved.is_none());
    story.act(said("7.0", "ANA", "ok"));
    assert!(story.thread.approved.is_some());
}

#[test]
fn lines_of_earlier_logs_say_what_they_said_and_are_changed_as_far_as_they_can_be_taken_apart() {
    for (line, parts, changed) in [
        ("Ana: hi", (Some("Ana"), "hi", vec![]), "Ana: new"),
        ("Ana: a: b", (Some("Ana"), "a: b", vec![]), "Ana: new"),
        ("Ana: hi [file: a.png]", (Some("Ana"), "hi", vec!["a.png"]), "Ana: new [file: a.png]"),
        ("A: b [file: c] [file: d].e]", (Some("A"), "b", vec!["c", "d].e"]), "A: new [file: c] [file: d].e]"),
        ("Ana: [file: a.png]", (Some("Ana"), "", vec!["a.png"]), "Ana: new [file: a.png]"),
        ("Ana: see [file: x] there", (Some("Ana"), "see [file: x] there", vec![]), "Ana: new"),
        ("(nothing could be read)", (None, "(nothing could be read)", vec![]), "new"),
    ] {
        let mut read: Earlier = serde_json::from_value(serde_json::json!({ "ts": "3.0", "line": line })).expect("read");
        let files: Vec<&str> = read.files.iter().map(String::as_str).collect();
        assert_eq!((read.name.as_deref(), read.text.as_str(), files), parts, "{line}");
        assert_eq!(read.line(), line);
        read.text = "new".to_owned();
        assert_eq!(read.line(), changed);
    }
}

#[test]
fn what_was_said_before_is_changed_whatever_names_and_texts_hold() {
    let texts = ["hi", "a: b", "see [file: x] there", "it [file: x]", "[file: x]: y", "", "two\nlines: [file: z]"];
    for name in ["Ben", "Ben: QA", "QA [file: x]", ": ", "", "[codebutler]"] {
        for (text, new) in texts.iter().flat_map(|text| texts.map(|new| (*text, new))) {
            let files = vec!["a: b.png".to_owned(), "c] [file: d".to_owned()];
            let told = Earlier { files, ..earlier("0.5", name, text) };
            let stored = serde_json::to_string(&told).expect("plain data");
            let read: Earlier = serde_json::from_str(&stored).expect("read");
            assert_eq!(read, told, "{stored}");
            let mut story = Story::new();
            story.say("BEN", "what of it?");
            let (commit, branch) = (CommitId::new("4f2c1aa9"), "main".to_owned());
            let base = Base { commit, branch, prompts: vec![], history: vec![read], notice: None };
            story.act(Command::BasePrepared(Ok(base)));
            assert!(story.heard(Role::Pm).contains(&told.line()), "{}", told.line());
            assert_eq!(story.told_of(edit("0.5", new)).0.is_empty(), text == new, "{text} → {new}");
            let changed = story.thread.earlier(&MessageTs::new("0.5")).expect("known");
            assert_eq!(*changed, Earlier { text: new.to_owned(), ..told });
        }
    }
}

#[test]
fn the_first_logs_kept_the_lines_alone() {
    let stored =
        r#"{"commit":"beef","branch":"main","prompts":[],"history":["Ana: hi",{"ts":"3.0","line":"Ben: ho"}]}"#;
    let base: Base = serde_json::from_str(stored).expect("both forms are read");
    let whole = earlier("3.0", "Ben", "ho");
    assert_eq!(base.history, [Earlier { ts: None, ..earlier("", "Ana", "hi") }, whole.clone()]);
    let again: Earlier = serde_json::from_value(serde_json::to_value(&whole).expect("plain data")).expect("read");
    assert_eq!(again, whole);
}

#[test]
fn what_comes_late_is_a_message_as_long_as_the_pm_has_read_nothing() {
    let said = |ts: &str, text: &str| Command::Say {
        message: Message {
            ts: MessageTs::new(ts),
            from: UserId::new("BEN"),
            name: "BEN".into(),
            text: text.into(),
            files: vec![],
        },
        to_bot: false,
    };
    let mut story = Story::new();
    story.act(said("5.0", "never mind this"));
    story.act(delete("5.0"));
    let history = vec![earlier("4.0", "BEN", "fix it")];
    let (commit, branch) = (CommitId::new("4f2c1aa9"), "main".to_owned());
    story.act(Command::BasePrepared(Ok(Base { commit, branch, prompts: vec![], history, notice: None })));
    assert!(story.thread.runs.is_empty(), "nothing is asked");
    story.act(said("4.0", "fix it"));
    assert_eq!(story.heard(Role::Pm), "BEN: fix it", "once, as a message");
}

#[test]
fn a_stopped_coder_goes_on_by_what_was_changed_meanwhile() {
    let mut story = Story::at_work();
    story.say("BEN", "!stop");
    story.published();
    assert_eq!(story.told_of(edit("1.0", "keep the first row")).0, [Role::Pm, Role::Coder]);
    story.say("BEN", "!retry");
    assert!(story.heard(Role::Coder).contains("keep the first row"), "{}", story.heard(Role::Coder));
}

#[test]
fn a_change_leaves_to_the_coder_what_is_for_the_coder() {
    let mut story = Story::new();
    story.say("BEN", "fix it");
    story.base();
    story.propose("Fix it");
    story.say("BEN", "is it safe?");
    let plan = story.plan_id();
    story.press("ANA", Action::PlanApprove, &plan);
    story.workspace();
    story.say("BEN", "how far are you?");
    story.act(edit("2.0", "is it fast?"));
    story.reply(Role::Pm, "It is safe.", &[]);
    let heard = story.heard(Role::Pm);
    assert!(heard.contains("is it fast?") && !heard.contains("how far"), "{heard}");
}

#[test]
fn what_was_said_before_is_known_as_it_was_changed_last() {
    let mut story = Story::new();
    story.say("BEN", "what of it?");
    let files = vec!["a.png".to_owned()];
    let history = vec![Earlier { files, ..earlier("0.5", "Ben", "use it") }];
    let (commit, branch) = (CommitId::new("4f2c1aa9"), "main".to_owned());
    story.act(Command::BasePrepared(Ok(Base { commit, branch, prompts: vec![], history, notice: None })));
    for (text, told) in [("use it", false), ("use", true), ("use", false), ("use it", true)] {
        let (roles, _) = story.told_of(edit("0.5", text));
        assert_eq!(roles.is_empty(), !told, "{text}");
    }
    assert_eq!(story.thread.earlier(&MessageTs::new("0.5")).expect("known").line(), "Ben: use it [file: a.png]");
    story.reply(Role::Pm, "Well.", &[]);
    assert!(story.thread.runs.contains_key(&Role::Pm), "the run stands on it");
    story.act(delete("0.5"));
    assert_eq!(story.thread.earlier(&MessageTs::new("0.5")), None);
}
