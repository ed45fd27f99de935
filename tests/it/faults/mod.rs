//! The table of faults: each way in which a model server or a model's reply goes wrong, driven through the binary, with
//! what the server was asked, what the thread was shown and what became of the files.
//!
//! One daemon serves all cases of a file, each in a thread of its own, on the local page, which has no pace to keep.

mod coder;
mod malformed;
mod server;
mod silence;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::{Value, json};

use super::local::Page;
use super::script::{CODER, last_calls, status};
use super::world::{PATIENCE, World, came};

/// Says what the model answers to the request of this number, from 0, of one case.
type Play = fn(&ScriptedRequest, usize) -> ScriptedReply;

/// One fault, and what must come of it.
#[derive(Clone)]
struct Case {
    /// What goes wrong.
    name: &'static str,
    play: Play,
    /// Requests that the model under test is sent.
    requests: usize,
    /// What the thread is shown.
    says: &'static str,
    /// What stands in the results that the model was sent last.
    results: &'static [&'static str],
    /// A file of the worktree and what is in it; `None`: it is not there.
    file: Option<(&'static str, Option<&'static str>)>,
}

const fn case(name: &'static str, requests: usize, says: &'static str, play: Play) -> Case {
    Case { name, play, requests, says, results: &[], file: None }
}

impl Case {
    const fn results(mut self, results: &'static [&'static str]) -> Self {
        self.results = results;
        self
    }

    const fn file(mut self, path: &'static str, content: Option<&'static str>) -> Self {
        self.file = Some((path, content));
        self
    }

    /// The mark by which its requests are told from others.
    fn mark(&self) -> String {
        format!("«{}»", self.name)
    }

    /// The branch's name, which is made of the plan's title.
    fn slug(&self) -> String {
        let words: Vec<String> = self.name.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_lowercase).collect();
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("-")
    }
}

/// The cases' script: each plays its own part; before a case of the Coder the PM proposes its plan.
fn script(cases: &'static [Case], coder: bool) -> impl FnMut(&ScriptedRequest) -> ScriptedReply + Send {
    let mut seen: HashMap<(&'static str, bool), usize> = HashMap::new();
    move |request| {
        let said: Vec<String> =
            request.messages.iter().filter(|message| message.role != "tool").map(|message| message.text()).collect();
        let said = said.join("\n");
        let Some(case) = cases.iter().find(|case| said.contains(&case.mark())) else {
            return ScriptedReply::text("no case");
        };
        let is_coder = request.model == CODER;
        let number = seen.entry((case.name, is_coder)).or_default();
        *number += 1;
        if coder && !is_coder {
            return match last_calls(request).as_slice() {
                [] => ScriptedReply::text("").call("ProposePlan", &plan(case)),
                _ => ScriptedReply::text(""),
            };
        }
        (case.play)(request, *number - 1)
    }
}

fn plan(case: &Case) -> Value {
    json!({
        "title": case.name, "workflow": "bugfix", "summary": case.mark(),
        "steps": [{ "text": "go wrong" }], "files": [], "acceptance": ["it goes on"],
    })
}

/// Plays all cases at once and holds each to what it says.
async fn play(world: &World, cases: &'static [Case], coder: bool) {
    let page = Page::open(world);
    let mut threads = BTreeMap::new();
    for case in cases {
        threads.insert(case.name, page.say(None, &format!("{} go", case.mark())).await);
    }
    for thread in threads.values().filter(|_| coder) {
        let value = page.button(thread, "plan_approve").await;
        page.press(thread, "plan_approve", &value).await;
    }
    let mut faults = Vec::new();
    for case in cases {
        faults.extend(held(world, &page, case, &threads[case.name]).await.err());
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), cases.len(), faults.join("\n"));
    world.no_violations();
}

async fn held(world: &World, page: &Page, case: &Case, thread: &str) -> Result<(), String> {
    let of_case = |request: &ScriptedRequest| {
        request.messages.iter().any(|message| message.role != "tool" && message.text().contains(&case.mark()))
    };
    if !page.shows(thread, case.says).await {
        return Err(format!("{}: nobody said {:?} in {}", case.name, case.says, page.thread(thread).await));
    }
    let coder = |request: &ScriptedRequest| request.model == CODER;
    let asked = || -> Vec<ScriptedRequest> {
        let all: Vec<ScriptedRequest> = world.model.requests().into_iter().filter(of_case).collect();
        if all.iter().any(coder) { all.into_iter().filter(coder).collect() } else { all }
    };
    // A card is shown before the model has had its last word.
    came(Duration::from_secs(20), Duration::from_millis(30), || asked().len() >= case.requests).await;
    let under_test = asked();
    if under_test.len() != case.requests {
        return Err(format!("{}: {} requests, not {}", case.name, under_test.len(), case.requests));
    }
    let last = under_test.last().map(|request| request.messages.clone()).unwrap_or_default();
    let results: Vec<String> =
        last.iter().filter(|message| message.role == "tool").map(|message| message.text()).collect();
    let results = results.join("\n");
    if let Some(missing) = case.results.iter().find(|wanted| !results.contains(**wanted)) {
        return Err(format!("{}: no {missing:?} in the results:\n{results}", case.name));
    }
    if let Some((path, expected)) = case.file {
        let file = world.checkout().join(".codebutler/branches").join(case.slug()).join(path);
        let found = std::fs::read_to_string(&file).ok();
        if found.as_deref() != expected {
            return Err(format!("{}: {} is {found:?}, not {expected:?}", case.name, file.display()));
        }
    }
    Ok(())
}

impl Page {
    /// A thread as the page shows it, as JSON text.
    async fn thread(&self, thread: &str) -> String {
        let threads = self.state().await["threads"].as_array().cloned().unwrap_or_default();
        threads.into_iter().find(|view| view["ts"] == thread).unwrap_or_default().to_string()
    }

    /// Whether a text comes to stand in a thread.
    async fn shows(&self, thread: &str, text: &str) -> bool {
        let text = serde_json::to_string(text).expect("is JSON");
        let text = text.trim_matches('"');
        let mut looks = tokio::time::interval(Duration::from_millis(30));
        let looking = async {
            while !self.thread(thread).await.replace("\\n", " ").contains(text) {
                looks.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.is_ok()
    }

    /// Waits for a button in a thread; gives its value.
    async fn button(&self, thread: &str, action: &str) -> String {
        let mut looks = tokio::time::interval(Duration::from_millis(30));
        let looking = async {
            loop {
                let view: Value = serde_json::from_str(&self.thread(thread).await).unwrap_or_default();
                let messages = view["messages"].as_array().cloned().unwrap_or_default();
                let mut buttons =
                    messages.iter().flat_map(|message| message["buttons"].as_array().cloned().unwrap_or_default());
                if let Some(button) = buttons.find(|button| button["action"] == action) {
                    return button["value"].as_str().unwrap_or_default().to_owned();
                }
                looks.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("no {action} in {thread}"))
    }
}
