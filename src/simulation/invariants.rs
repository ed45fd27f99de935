//! What must hold when a world has come to rest, whatever happened to it; and what must be the same as in an
//! undisturbed world.

use std::collections::{BTreeMap, BTreeSet};

use super::chat::Shown;
use super::fate::Fate;
use super::forge::State;
use super::people::{Actor, words};
use super::world::{Remains, World};
use crate::chat::Post;
use crate::git::simulated::Files;
use crate::ids::ThreadKey;
use crate::thread::state::PlanFate;
use crate::thread::{Event, Phase, Thread, pending};

/// Everything that does not hold, in words.
pub fn check(world: &World, remains: &Remains) -> Vec<String> {
    let mut broken = Vec::new();
    broken.extend(world.people.silences.clone());
    broken.extend(world.chat.room().violations.clone());
    broken.extend(world.model.seen().violations.clone());
    broken.extend(world.forge.held().violations.clone());
    for actor in &world.people.actors {
        check_person(world, remains, actor, &mut broken);
    }
    check_store(remains, &mut broken);
    check_deeds(world, &mut broken);
    check_commands(world, remains, &mut broken);
    check_leftovers(world, remains, &mut broken);
    broken
}

/// Each message was seen once, answered once, and read by the PM once.
fn check_person(world: &World, remains: &Remains, actor: &Actor, broken: &mut Vec<String>) {
    let name = actor.name;
    if actor.at < actor.steps.len() {
        broken.push(format!("{name} still waits at {:?}", actor.steps[actor.at]));
    }
    let Some(key) = &actor.key else { return };
    let heard = world.model.seen().heard(&format!("{}/pm", key.to_text()));
    let room = world.chat.room();
    for said in &actor.said {
        for reaction in ["eyes", "white_check_mark"] {
            if !room.has_reaction(key, &said.ts, reaction) {
                broken.push(format!("{name}'s “{}” has no {reaction}", said.text));
            }
        }
        match &said.mark {
            Some(mark) => {
                let times = heard.iter().map(|part| part.matches(mark.as_str()).count()).sum::<usize>();
                // An edit of what was answered is read next time. Its writer is told so by a message that only one person
                // sees; such a one is tried once.
                let may_wait = said.edited && times == 0 && is_noted(remains, key, mark);
                if times != 1 && !may_wait {
                    broken.push(format!("{name}'s “{}” was in the PM's requests {times} times", said.text));
                }
                let answered = room.thread(key).iter().any(|shown| later(shown, &said.ts));
                if !answered {
                    broken.push(format!("nothing was said after {name}'s “{}”", said.text));
                }
            }
            None => {
                let spoken = format!("{name}: {}", said.text);
                if heard.contains(&spoken) {
                    broken.push(format!("{name}'s command “{}” reached the PM's model", said.text));
                }
            }
        }
    }
}

/// Whether the log has these words of an edit for a model that is still to read them.
fn is_noted(remains: &Remains, key: &ThreadKey, mark: &str) -> bool {
    let mut log = remains.logs.iter().filter(|(of, _)| of == key).flat_map(|(_, log)| log);
    log.any(|(_, event)| matches!(event, Event::Noted { text, .. } if text.contains(mark)))
}

fn later(shown: &Shown, than: &crate::ids::MessageTs) -> bool {
    let number = |ts: &crate::ids::MessageTs| ts.as_str().split('.').nth(1).map(str::to_owned);
    number(&shown.ts) > number(than)
}

/// Nothing waits, and every log folds to a thread that is at rest.
fn check_store(remains: &Remains, broken: &mut Vec<String>) {
    if remains.waiting > 0 {
        broken.push(format!("{} inbox rows were never dealt with", remains.waiting));
    }
    if !remains.unsent.is_empty() {
        broken.push(format!("not sent: {:?}", remains.unsent));
    }
    if !remains.at_work.is_empty() {
        broken.push(format!("still at work: {:?}", remains.at_work));
    }
    for (key, log) in &remains.logs {
        let thread = fold(key, log);
        let left = pending(&thread, |_| 1000);
        if !left.is_empty() {
            broken.push(format!("{key}: pending at rest: {left:?}"));
        }
        let count = |is: fn(&Event) -> bool| log.iter().filter(|(_, event)| is(event)).count();
        let approvals = count(|event| matches!(event, Event::PlanApproved { .. }));
        let plans = thread.plan_ids.len();
        if approvals > plans {
            broken.push(format!("{key}: {approvals} approvals of {plans} plans"));
        }
        for (what, times) in [
            ("merged", count(|event| matches!(event, Event::Merged { .. }))),
            ("closed", count(|event| matches!(event, Event::ThreadClosed { .. }))),
            ("given a worktree", count(|event| matches!(event, Event::WorkspaceReady { .. }))),
        ] {
            if times > 1 {
                broken.push(format!("{key} was {what} {times} times"));
            }
        }
        let mut read = BTreeSet::new();
        for (_, event) in log {
            if let Event::MessageReceived { message } = event
                && !read.insert(message.ts.clone())
            {
                broken.push(format!("{key}: message {} was received twice", message.ts));
            }
        }
    }
}

/// Nothing was done twice to git or the forge.
fn check_deeds(world: &World, broken: &mut Vec<String>) {
    let deeds = world.git.deeds();
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut commits = BTreeSet::new();
    for deed in &deeds {
        let words: Vec<&str> = deed.split(' ').collect();
        match words.as_slice() {
            ["commit", branch, _, subject @ ..] => {
                if !commits.insert((branch.to_string(), subject.join(" "))) {
                    broken.push(format!("committed twice: {deed}"));
                }
            }
            ["restore", "worktree", _] => {}
            // What was pushed has to be pushed again.
            ["somebody", "deletes", branch] => done.retain(|deed| !deed.starts_with(&format!("push {branch} "))),
            ["create", "worktree", slug] => {
                if !done.insert(deed.clone()) && !world.robbed.contains(*slug) {
                    broken.push(format!("made twice: {deed}"));
                }
                done.remove(&format!("remove worktree {slug}"));
            }
            _ => {
                if !done.insert(deed.clone()) {
                    broken.push(format!("done twice: {deed}"));
                }
            }
        }
    }
    let held = world.forge.held();
    let mut branches: BTreeMap<&str, usize> = BTreeMap::new();
    for pull in held.pulls.iter().filter(|pull| pull.state != State::Closed) {
        *branches.entry(&pull.branch).or_default() += 1;
    }
    for (branch, pulls) in branches.into_iter().filter(|(_, pulls)| *pulls > 1) {
        broken.push(format!("`{branch}` has {pulls} pull requests"));
    }
}

/// No command was run more often than the log says that it was to be run.
fn check_commands(world: &World, remains: &Remains, broken: &mut Vec<String>) {
    let mut calls = Vec::new();
    let mut released = Vec::new();
    for (key, log) in &remains.logs {
        for (_, event) in log {
            match event {
                Event::ReplyReceived { reply, .. } => calls.extend(reply.calls.iter().map(|call| (key, call))),
                Event::ToolsStarted { calls: ids, .. } => {
                    let begun = calls.iter().filter(|(of, call)| *of == key && ids.contains(&call.id));
                    released.extend(begun.filter(|(_, call)| call.name == "Bash").map(|(_, call)| &call.arguments));
                }
                _ => {}
            }
        }
    }
    let mut ran: BTreeMap<String, usize> = BTreeMap::new();
    for command in world.shell.ran() {
        *ran.entry(command).or_default() += 1;
    }
    // A check that was cut is run again.
    for (command, times) in ran.into_iter().filter(|(command, _)| !world.checks.contains(command)) {
        let asked = released.iter().filter(|arguments| arguments.contains(&command)).count();
        if times > asked {
            broken.push(format!("`{command}` was run {times} times, and begun {asked} times by the log"));
        }
    }
}

/// A closed thread leaves no worktree, and a merged one no branch.
fn check_leftovers(world: &World, remains: &Remains, broken: &mut Vec<String>) {
    for (key, log) in &remains.logs {
        let thread = fold(key, log);
        if !thread.is_closed() {
            continue;
        }
        if let Some(workspace) = world.git.workspace(key) {
            broken.push(format!("{key} is closed and still has the worktree `{}`", workspace.slug));
        }
        let made = log.iter().find_map(|(_, event)| match event {
            Event::WorkspaceReady { workspace } => Some(workspace.clone()),
            _ => None,
        });
        let Some(workspace) = made else { continue };
        // What could not be removed is told; then a person knows.
        let told = log.iter().any(|(_, event)| match event {
            Event::CleanedUp { leftovers } => !leftovers.is_empty(),
            _ => false,
        });
        if told {
            continue;
        }
        if world.forge.held().pulls.iter().any(|pull| pull.branch == workspace.branch && pull.state == State::Open) {
            broken.push(format!("{key} is closed and `{}` still has an open pull request", workspace.branch));
        }
        let base = format!("{}.base", workspace.slug);
        if [&workspace.slug, &base].iter().any(|name| world.branches().join(name).exists()) {
            broken.push(format!("the folder of `{}` is still there", workspace.slug));
        }
        if thread.merged.is_some() {
            if world.git.remote_heads().contains_key(&workspace.branch) {
                broken.push(format!("`{}` is merged and still on the remote", workspace.branch));
            }
            if world.git.local_head(&workspace.branch).is_some() {
                broken.push(format!("`{}` is merged and still here", workspace.branch));
            }
        }
    }
}

fn fold(key: &ThreadKey, log: &[(crate::ids::Millis, Event)]) -> Thread {
    let mut thread = Thread::new(key.clone());
    log.iter().for_each(|(at, event)| thread.apply(event, *at));
    thread
}

/// What people and the repository have of a world, without figures that may differ.
#[derive(Debug, PartialEq)]
pub struct Outcome {
    threads: Vec<ThreadOutcome>,
    base: Files,
    branches: Vec<String>,
    pulls: Vec<String>,
}

#[derive(Debug, PartialEq)]
struct ThreadOutcome {
    phase: Phase,
    chosen: Option<(String, String)>,
    approved: Option<String>,
    plans: usize,
    fate: Option<PlanFate>,
    approvals: usize,
    questions: usize,
    merged: bool,
    stalled: usize,
    /// Every post but progress, by the kind of its key, with figures left out.
    posts: Vec<String>,
    whispers: usize,
}

/// What a world came to.
pub fn outcome(world: &World, remains: &Remains) -> Outcome {
    let threads = remains.logs.iter().map(|(key, log)| {
        let thread = fold(key, log);
        let count = |is: fn(&Event) -> bool| log.iter().filter(|(_, event)| is(event)).count();
        let room = world.chat.room();
        let kind = |shown: &Shown| shown.key.split('/').next().unwrap_or_default().to_owned();
        let shown = room.thread(key).iter().filter(|shown| !shown.key.starts_with("progress/"));
        let posts = shown.map(|shown| format!("{}: {}{}", kind(shown), plain(words(shown)), buttons(shown)));
        ThreadOutcome {
            phase: Phase::of(&thread),
            chosen: thread.pm_choice.clone(),
            approved: thread.approved.as_ref().map(|(_, by)| by.to_string()),
            plans: thread.plan_ids.len(),
            fate: thread.plan.as_ref().map(|plan| plan.fate.clone()),
            approvals: count(|event| matches!(event, Event::PlanApproved { .. })),
            questions: count(|event| matches!(event, Event::QuestionAsked { .. })),
            merged: thread.merged.is_some(),
            stalled: thread.stalled.len(),
            posts: posts.collect(),
            whispers: room.whispers.get(key).map_or(0, Vec::len),
        }
    });
    let heads = world.git.remote_heads();
    let held = world.forge.held();
    let pulls = held.pulls.iter().map(|pull| {
        let state = if matches!(pull.state, State::Merged(_)) { "merged" } else { "not merged" };
        format!("{} on {}, {state}, draft: {}", pull.title, pull.branch, pull.draft)
    });
    Outcome {
        threads: threads.collect(),
        base: world.git.files(&heads["main"]),
        branches: heads.keys().cloned().collect(),
        pulls: pulls.collect(),
    }
}

/// A text without figures, hashes and times.
fn plain(text: &str) -> String {
    let word = |word: &str| {
        let hex = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let is_hash =
            hex.len() == 7 && hex.chars().all(|c| c.is_ascii_hexdigit()) && hex.contains(|c: char| c.is_ascii_digit());
        let hidden: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        if is_hash { "HASH".to_owned() } else { hidden }
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn buttons(shown: &Shown) -> String {
    let Post::Message { buttons, .. } = &shown.post else { return String::new() };
    buttons.iter().map(|button| format!(" [{}]", button.action)).collect()
}

/// The end of a trace, for whoever has to find out.
pub fn tail(fate: &Fate, lines: usize) -> String {
    let trace = fate.trace();
    trace[trace.len().saturating_sub(lines)..].join("\n")
}
