//! Whose turn it is, thread by thread: each turnstile stands for one thread, all share the places of one machine.

use std::time::Duration;

use super::*;
use crate::agent::ToolCall;
use crate::ids::{CallId, Millis, ThreadKey};
use crate::thread::Rules;
use crate::thread::event::Event;
use crate::thread::state::CallState;

fn settings(coders: u32, builds: &[(Platform, u32)]) -> ProjectSettings {
    ProjectSettings {
        home: "/nowhere".into(),
        accumulation: Duration::ZERO,
        poll: Duration::ZERO,
        worker_idle: Duration::ZERO,
        stop_grace: Duration::ZERO,
        coders_in_all: coders,
        coders,
        builds: builds.iter().copied().collect(),
        bash_timeout: Duration::ZERO,
        rules: Rules {
            pm_model: "pm".to_owned(),
            coder_model: "coder".to_owned(),
            pm_turns: 1,
            coder_turns: 1,
            ..Rules::default()
        },
        base: None,
        branch_prefix: String::new(),
        author: String::new(),
        init: None,
        pm_fallback: Vec::new(),
        coder_fallback: Vec::new(),
    }
}

/// One thread's Coder.
struct Coder<'a> {
    turnstile: Turnstile,
    settings: &'a ProjectSettings,
    pending: Vec<Effect>,
    init: Vec<String>,
    thread: Thread,
}

const RUN: RunId = RunId(1);

impl<'a> Coder<'a> {
    fn new(slots: &Slots, settings: &'a ProjectSettings) -> Self {
        let key = ThreadKey::parse("T1/C1/1.0").expect("a thread");
        let mut thread = Thread::new(key.clone());
        thread
            .apply(&Event::RunStarted { run: RUN, role: Role::Coder, model: "coder".to_owned(), by: None }, Millis(0));
        let turnstile = Turnstile::new(slots.clone(), key.channel);
        Self { turnstile, settings, pending: Vec::new(), init: Vec::new(), thread }
    }

    fn open(&mut self, command: &str) -> ToolCall {
        let call = ToolCall {
            id: CallId::new("1"),
            name: "Bash".to_owned(),
            arguments: serde_json::json!({ "command": command }).to_string(),
            fault: None,
        };
        let state =
            CallState { call: call.clone(), tool: Some(ToolName::Bash), started: true, since: Millis(0), done: false };
        self.thread.runs.get_mut(&Role::Coder).expect("it runs").calls = vec![state];
        call
    }

    /// Wants to run a command.
    fn wants(&mut self, command: &str) {
        let call = self.open(command);
        self.pending = vec![Effect::RunTool { run: RUN, role: Role::Coder, tool: ToolName::Bash, call }];
    }

    /// Wants to ask its model.
    fn thinks(&mut self) {
        self.pending = vec![Effect::CallModel {
            run: RUN,
            role: Role::Coder,
            model: "coder".to_owned(),
            turn: 1,
            no_tools: false,
        }];
    }

    /// Whether all that is pending may begin, as the worker would ask after a change.
    fn goes(&mut self) -> bool {
        self.turnstile.align(&self.pending, self.settings, || self.init.clone());
        self.pending.iter().all(|effect| self.turnstile.admits(effect))
    }

    /// What is told of the queue, and noted.
    fn told(&mut self) -> Option<(Option<u32>, Option<String>)> {
        let commands = self.turnstile.moved(&self.thread);
        let [Command::Queued { run, place, build }] = commands.as_slice() else { return None };
        let (place, build) = (*place, build.clone());
        self.thread.apply(&Event::RunQueued { run: *run, place, build: build.clone() }, Millis(0));
        Some((place, build))
    }
}

fn waits_for(platform: Platform, place: u32) -> Option<(Option<u32>, Option<String>)> {
    Some((Some(place), Some(platform.name().to_owned())))
}

#[test]
fn a_build_of_two_platforms_waits_for_the_one_that_is_full() {
    let (slots, settings) = (Slots::default(), settings(9, &[(Platform::Node, 1)]));
    let [mut node, mut xcode, mut both] = [(); 3].map(|()| Coder::new(&slots, &settings));
    node.wants("npm ci");
    xcode.wants("timeout 600 xcodebuild | xcpretty");
    both.wants("npm ci && xcodebuild");
    assert_eq!([node.goes(), xcode.goes(), both.goes()], [true, true, false]);
    assert_eq!([node.told(), xcode.told(), both.told()], [None, None, waits_for(Platform::Xcode, 1)]);
    xcode.thinks();
    assert!(xcode.goes());
    assert!(!both.goes());
    assert_eq!([both.told(), both.told()], [waits_for(Platform::Node, 1), None]);
    node.pending.clear();
    assert!(node.goes());
    assert!(both.goes() && !both.turnstile.waits());
    assert_eq!(both.told(), Some((None, None)));
    // Both are held now, and nothing else waits for them.
    node.wants("npm test");
    xcode.wants("xcodebuild");
    let mut rust = Coder::new(&slots, &settings);
    rust.wants("cargo build");
    assert_eq!([node.goes(), xcode.goes(), rust.goes()], [false, false, true]);
    both.thinks();
    assert!(both.goes() && node.goes() && xcode.goes());
}

#[test]
fn no_build_is_held_by_a_run_that_waits_for_its_turn() {
    let (slots, settings) = (Slots::default(), settings(1, &[]));
    let [mut first, mut second] = [(); 2].map(|()| Coder::new(&slots, &settings));
    first.thinks();
    assert!(first.goes());
    second.wants("xcodebuild");
    assert!(!second.goes());
    assert_eq!(second.told(), Some((Some(1), None)));
    // Held by the second, it would wait for the second for ever, and the second for it.
    first.wants("xcodebuild");
    assert!(first.goes());
    first.pending.clear();
    assert!(first.goes());
    assert!(!second.turnstile.admits(&second.pending[0]), "not before it has asked for its build");
    assert!(second.goes());
}

#[test]
fn an_initialisation_builds_too_and_its_wait_is_told_by_the_run_that_needs_it() {
    let (slots, settings) = (Slots::default(), settings(9, &[]));
    let [mut builds, mut fresh] = [(); 2].map(|()| Coder::new(&slots, &settings));
    builds.wants("xcodebuild");
    assert!(builds.goes());
    fresh.init = vec!["npm ci".to_owned(), "pod install".to_owned()];
    fresh.thinks();
    fresh.pending.push(Effect::InitWorkspace);
    assert!(!fresh.goes());
    assert!(fresh.turnstile.admits(&fresh.pending[0]) && !fresh.turnstile.admits(&fresh.pending[1]));
    assert_eq!(fresh.told(), None, "the model is asked meanwhile");
    fresh.pending = vec![Effect::InitWorkspace];
    fresh.open("ls");
    assert!(!fresh.goes());
    assert_eq!(fresh.told(), waits_for(Platform::Xcode, 1));
    builds.thinks();
    assert!(builds.goes() && fresh.goes());
    assert_eq!(fresh.told(), Some((None, None)));
    builds.wants("xcodebuild");
    assert!(!builds.goes());
    fresh.init.clear();
    assert!(fresh.goes() && !builds.goes(), "what was asked for is kept until it is done");
    fresh.wants("ls");
    assert!(fresh.goes() && builds.goes());
    let mut plain = Coder::new(&slots, &settings);
    plain.pending = vec![Effect::InitWorkspace];
    assert!(plain.goes(), "an initialisation that builds nothing waits for nobody");
}

#[test]
fn the_front_of_the_queue_is_told_each_step_and_the_rest_now_and_then() {
    let (mut noted, mut told) = (500, 0);
    for place in (1..500).rev() {
        if is_news(noted, place) {
            (noted, told) = (place, told + 1);
        }
        assert!(noted == place || noted > 5 && noted - noted / 4 < place, "{noted} stands for {place}");
    }
    assert!(told < 25, "{told}");
    assert!(is_news(3, 7), "who asked anew says so");
    assert!(!is_news(7, 7));
}
