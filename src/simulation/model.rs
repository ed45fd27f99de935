//! Models in memory: they see the bytes of each request, hold it to every rule, and decide from the conversation alone,
//! so that the same conversation always gets the same reply, however often it was cut before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::fate::{Fate, Trouble};
use super::replacement::{plan, task};
use crate::agent::{ToolCall, Usage};
use crate::ids::CallId;
use crate::llm::{ChatModel, ModelError, ModelRequest};
use crate::scripted::rules::Rules;
use crate::scripted::{ScriptedMessage, ScriptedRequest};
use crate::thread::event::Reply;

/// The PM's default model, the other one of its pool, and the Coder's.
pub const PM: &str = "test/pm";
pub const CLAUDE: &str = "anthropic/test-claude";
pub const CODER: &str = "test/coder";

const CACHE_MARK: &str = r#","cache_control":{"type":"ephemeral"}"#;
/// How long a model thinks.
const THINKS: Duration = Duration::from_millis(1_500);
/// How often a step is tried before the Coder gives up.
const TRIES: usize = 4;

/// The models as the product sees them.
#[derive(Clone)]
pub struct SimulatedModel {
    seen: Arc<Mutex<Seen>>,
    fate: Fate,
    /// A request may grow by what was said since only after an answer or a failure, never after a cut.
    strict: bool,
    /// How many bytes of messages the PM's models read.
    reads: usize,
}

/// What the models have seen, in all lives.
#[derive(Default)]
pub struct Seen {
    rules: Rules,
    conversations: BTreeMap<String, Conversation>,
    pub violations: Vec<String>,
    pub requests: usize,
}

struct Conversation {
    model: String,
    tools: String,
    /// The last request's messages without cache marks and the closing bracket.
    bytes: String,
    /// The same of the requests before it, as long as it went on from them.
    earlier: Vec<String>,
    ended: Ended,
    /// Whether it was made shorter at some time.
    shortened: bool,
    parsed: ScriptedRequest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    Cut,
    Failed,
    Answered,
    /// The power failed since: it may go on from any request.
    Rewound,
}

impl SimulatedModel {
    pub fn new(fate: Fate, strict: bool, reads: usize) -> Self {
        Self { seen: Arc::default(), fate, strict, reads }
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Every text that a role's model was ever told as role `user`, part by part.
    pub fn heard(&self, cache_key: &str) -> Vec<String> {
        let Some(conversation) = self.conversations.get(cache_key) else { return Vec::new() };
        let users = conversation.parsed.messages.iter().filter(|message| message.role == "user");
        users.flat_map(|message| message.parts.clone()).collect()
    }

    /// The power failed: what came last may be unknown to the product.
    pub fn rewind(&mut self) {
        self.rules.rewind();
        self.conversations.values_mut().for_each(|conversation| conversation.ended = Ended::Rewound);
    }

    fn check(&mut self, request: &ModelRequest, strict: bool) -> Option<ScriptedRequest> {
        self.requests += 1;
        let messages = std::str::from_utf8(&request.messages).expect("a request is text");
        let tools = request.tools.as_ref().map_or("", |tools| tools.get());
        let choice = if request.no_tools { r#","tool_choice":"none""# } else { "" };
        let list = if tools.is_empty() { String::new() } else { format!(r#","tools":{tools}{choice}"#) };
        let body = format!(r#"{{"model":{},"messages":{messages}{list},"stream":true}}"#, json!(request.model));
        let key = &request.cache_key;
        let parsed = match self.rules.check(&HeaderMap::new(), body.as_bytes()) {
            Ok(parsed) => parsed,
            Err(broken) => {
                self.violations.extend(broken.into_iter().map(|rule| format!("{key}: {rule}")));
                return None;
            }
        };
        if tools.is_empty() {
            // A request beside the conversation, for a summary.
            return Some(parsed);
        }
        let bytes = messages.replace(CACHE_MARK, "");
        let bytes = bytes.strip_suffix(']').expect("an array").to_owned();
        let mut earlier = Vec::new();
        let mut shortened = parsed.shortened;
        if let Some(old) = self.conversations.remove(key) {
            if old.tools != tools {
                self.violations.push(format!("{key}: the tools changed"));
            }
            let fits = match old.ended {
                // All that the first request was made of may be gone; what is deleted meanwhile is never told.
                Ended::Rewound if old.earlier.is_empty() => true,
                Ended::Rewound => old.earlier.iter().chain([&old.bytes]).any(|known| goes_on(known, &bytes)),
                Ended::Answered if strict => bytes == old.bytes || bytes.starts_with(&format!("{},", old.bytes)),
                Ended::Cut if strict => bytes == old.bytes,
                // Said after a failure whose request ended with a result.
                Ended::Answered | Ended::Cut | Ended::Failed => goes_on(&old.bytes, &bytes),
            };
            if old.model == request.model && !fits && !parsed.shortened {
                self.violations.push(format!("{key}: after {:?} the request is no continuation", old.ended));
            }
            shortened |= old.shortened;
            earlier = old.earlier;
            earlier.push(old.bytes);
            // A power failure may take the shortening back.
            if !parsed.shortened {
                let shortened = std::mem::take(&mut earlier);
                earlier = shortened.into_iter().filter(|known| old.shortened || goes_on(known, &bytes)).collect();
            }
        }
        let (model, tools, ended) = (request.model.clone(), tools.to_owned(), Ended::Cut);
        let kept = Conversation { model, tools, bytes, earlier, ended, shortened, parsed: parsed.clone() };
        self.conversations.insert(key.clone(), kept);
        Some(parsed)
    }

    fn end(&mut self, key: &str, ended: Ended) {
        if let Some(conversation) = self.conversations.get_mut(key) {
            conversation.ended = ended;
        }
    }
}

/// Whether a request is the known one again, perhaps with more messages, or with more in its last one.
fn goes_on(known: &str, bytes: &str) -> bool {
    let joined = || known.strip_suffix("]}").and_then(|begin| bytes.strip_prefix(begin));
    bytes.strip_prefix(known).is_some_and(|more| more.is_empty() || more.starts_with(','))
        || joined().is_some_and(|more| more.starts_with(','))
}

#[async_trait]
impl ChatModel for SimulatedModel {
    async fn complete(&self, request: ModelRequest) -> Result<Reply, ModelError> {
        let _busy = self.fate.enter();
        let key = request.cache_key.clone();
        self.fate.at(&format!("model.start {key}")).await;
        let parsed = self.seen().check(&request, self.strict);
        self.fate.wait(THINKS).await;
        let Some(parsed) = parsed else {
            return Err(ModelError::Refused { status: 400, message: "a rule was broken".to_owned() });
        };
        if request.model != CODER && request.messages.len() > self.reads {
            self.seen().end(&key, Ended::Failed);
            return Err(ModelError::TooLong { message: "Input is too long for requested model.".to_owned() });
        }
        let trouble = self.fate.trouble(&format!("model.reply {key}"));
        let odd = if trouble == Trouble::None { self.fate.model_chance(6) } else { Some(0) };
        let result = match odd {
            Some(kind) if kind < 5 => Err(failure(kind)),
            Some(_) => Ok(Reply { model: request.model.clone(), ..Reply::default() }),
            None => Ok(reply(&parsed, &request.model)),
        };
        if result.is_err() {
            // Attempts that bring nothing are paid for, too.
            request.bill.add(&request.model, Usage { calls: 1, calls_without_cost: 1, ..Usage::default() });
        }
        // Known as answered only when the product may know it.
        self.fate.at(&format!("model.end {key}")).await;
        self.seen().end(&key, if result.is_ok() { Ended::Answered } else { Ended::Failed });
        result
    }
}

fn failure(kind: u64) -> ModelError {
    let message = "simulated".to_owned();
    match kind {
        0 => ModelError::Unreachable { attempts: 6, reason: message },
        1 => ModelError::RateLimited { message, after: None },
        2 => ModelError::NoCredit { message },
        3 => ModelError::Forbidden { message },
        _ => ModelError::Refused { status: 422, message },
    }
}

/// What a model says next.
#[derive(Default)]
struct Line {
    text: String,
    calls: Vec<(&'static str, Value)>,
}

fn text(text: impl Into<String>) -> Line {
    Line { text: text.into(), calls: Vec::new() }
}

fn call(name: &'static str, arguments: Value) -> Line {
    text("").and(name, arguments)
}

impl Line {
    fn and(mut self, name: &'static str, arguments: Value) -> Self {
        self.calls.push((name, arguments));
        self
    }
}

fn reply(request: &ScriptedRequest, model: &str) -> Reply {
    let line = if request.tools.is_empty() {
        text("What was said is remembered.")
    } else if request.no_tools {
        text("My turns are used up.")
    } else if model == CODER {
        coder(request)
    } else {
        pm(request)
    };
    let turn = request.turn();
    let calls = (line.calls.into_iter().enumerate()).map(|(index, (name, arguments))| ToolCall {
        id: CallId::new(format!("c{turn}_{index}")),
        name: name.to_owned(),
        arguments: arguments.to_string(),
        fault: None,
    });
    let usage = Usage {
        calls: 1,
        prompt_tokens: u64::try_from(request.body.to_string().len() / 4).expect("small"),
        cached_tokens: 900,
        completion_tokens: 50,
        cost_usd: 0.000_01,
        calls_without_cost: 0,
        calls_about: 0,
    };
    Reply {
        text: line.text,
        calls: calls.collect(),
        reasoning: Some(json!([{ "type": "reasoning.text", "text": format!("turn {turn}") }])),
        model: model.to_owned(),
        usage,
        ..Reply::default()
    }
}

/// The results in messages, in order, with the names of their tools.
fn results(messages: &[ScriptedMessage]) -> Vec<(String, String)> {
    let calls: Vec<_> = messages.iter().flat_map(|message| &message.calls).collect();
    let named = |message: &ScriptedMessage| {
        let id = message.call_id.as_deref()?;
        let call = calls.iter().find(|call| call.id == id)?;
        Some((call.name.clone(), message.text()))
    };
    messages.iter().filter_map(named).collect()
}

/// The file in backticks and the line in double quotes of a person's wish.
fn wish(part: &str) -> Option<(String, String)> {
    // A note about a change repeats the words; what is wished has its effect already.
    if part.starts_with("[codebutler]") && part.contains("a message that you have read") {
        return None;
    }
    let line = part.lines().rfind(|line| line.contains("should say"))?;
    let file = line.split('`').nth(1)?;
    let new = line.split('"').nth(1)?;
    Some((file.to_owned(), new.to_owned()))
}

/// The marks (`[m7]`) of the messages in a text.
fn marks(text: &str) -> Vec<&str> {
    text.split('[').filter_map(|rest| rest.split_once(']')).map(|(mark, _)| mark).filter(|m| is_mark(m)).collect()
}

fn is_mark(mark: &str) -> bool {
    mark.strip_prefix('m').is_some_and(|number| !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()))
}

/// What a role asks the PM in the middle of its work, when that is what the PM was told last: where, and the words.
fn consult(request: &ScriptedRequest) -> Option<(usize, String)> {
    let open = |text: &str| match (text.rfind("Its run waits."), text.rfind("Nobody waits for your answer")) {
        (Some(asked), over) => over.is_none_or(|over| over < asked),
        (None, _) => false,
    };
    let told = |message: &ScriptedMessage| message.role == "user" && open(&message.text());
    let at = request.messages.iter().rposition(told)?;
    let later = &request.messages[at + 1..];
    let is_open = later.iter().all(|message| message.role == "tool" || !message.calls.is_empty());
    is_open.then(|| (at, request.messages[at].text()))
}

/// The PM to a role that asks: looks, asks people when it is told to, and answers.
fn advise(request: &ScriptedRequest, at: usize, asked: &str) -> Line {
    let done = results(&request.messages[at..]);
    let was = |tool: &str| done.iter().any(|(name, _)| name == tool);
    if asked.contains("Ask the people") && !was("AskUser") {
        return call("AskUser", json!({ "question": "The Coder asks: really?", "options": ["Yes", "No"] }));
    }
    if !was("GitLog") {
        return call("GitLog", json!({}));
    }
    text("Do as the plan says.")
}

/// The PM: answers questions; for a wish it asks when told to, reads, proposes.
fn pm(request: &ScriptedRequest) -> Line {
    let wished =
        |message: &ScriptedMessage| message.role == "user" && message.parts.iter().any(|part| wish(part).is_some());
    if let Some((at, asked)) = consult(request) {
        return advise(request, at, &asked);
    }
    let begun = request.messages.iter().rposition(wished);
    let last = request.messages.last().expect("a request has messages");
    let since = begun.map(|begun| results(&request.messages[begun..])).unwrap_or_default();
    let was = |tool: &str| since.iter().any(|(name, _)| name == tool);
    // What comes in between, or is the answer to a question, does not make it forget what it is at.
    let at_work = !since.is_empty() && !was("ProposePlan");
    let goes_on = last.text().contains("Go on from where you were") || at_work;
    if last.role == "user" && last.text().contains("Tell me a story") && !wished(last) && !at_work {
        let marks = marks(last.parts.last().map_or("", String::as_str)).join(" ");
        return text(format!("I heard {marks}. {}", "There was a row that got lost. ".repeat(30)));
    }
    if last.role == "user" && !wished(last) && !goes_on {
        return text(format!("I heard {}.", marks(&last.text()).join(" ")));
    }
    let Some(begun) = begun else { return text(format!("I heard {}.", marks(&request.user_text()).join(" "))) };
    let part = request.messages[begun].parts.iter().rev().find(|part| wish(part).is_some()).expect("found above");
    let (file, new) = wish(part).expect("found above");
    let done = results(&request.messages[begun..]);
    if part.contains("(ask)") && !done.iter().any(|(name, _)| name == "AskUser") {
        let question = format!("Shall `{file}` really say {new}?");
        return call("AskUser", json!({ "question": question, "options": ["Yes, do", "No, leave it"] }));
    }
    let read = done.iter().rfind(|(name, text)| name == "Read" && text.contains('\t'));
    let Some((_, read)) = read else {
        // What was given up is tried again when somebody says something.
        let is_surrender =
            |message: &ScriptedMessage| message.role == "assistant" && message.text().starts_with("I cannot read");
        let from = request.messages.iter().rposition(is_surrender).map_or(begun, |surrender| begun.max(surrender));
        if results(&request.messages[from..]).iter().filter(|(name, _)| name == "Read").count() > TRIES {
            return text(format!("I cannot read {file}. {}", marks(part).join(" ")));
        }
        let line = call("Read", json!({ "file_path": file })).and("Grep", json!({ "pattern": ".", "path": file }));
        return line.and("GitLog", json!({}));
    };
    if let Some((_, shown)) = done.iter().rfind(|(name, _)| name == "ProposePlan") {
        // Asked again after a failure, it has to say something: an empty answer is one only beside what was shown.
        let quiet = shown.contains("plan") && last.role == "tool";
        return text(if quiet { "" } else { "The plan above is what I propose." });
    }
    let old = read.lines().next().and_then(|line| line.split_once('\t')).map_or("", |(_, old)| old);
    let plan = plan(&file, old, &new);
    if part.contains("(note)") {
        return call("SlackNotify", json!({ "text": format!("I propose something for {file}.") }))
            .and("ProposePlan", plan);
    }
    call("ProposePlan", plan)
}

/// The Coder: reads, edits, tests, commits, pushes, opens the pull request; after an interruption it looks first.
fn coder(request: &ScriptedRequest) -> Line {
    let system = request.messages.first().map(ScriptedMessage::text).unwrap_or_default();
    let told = format!("{system}\n{}", request.user_text());
    let Some((file, old, new)) = task(&told) else { return text("There is no plan.") };
    let approved = |message: &ScriptedMessage| message.role == "user" && message.text().contains("approved");
    let begun = request.messages.iter().rposition(approved).unwrap_or_default();
    let mut done = results(&request.messages[begun..]);
    // What was not committed is gone with the worktree: all over again.
    if let Some(lost) = done.iter().rposition(|(_, text)| text.contains("Uncommitted changes are gone")) {
        done.drain(..=lost);
    }
    let count = |tool: &str| done.iter().filter(|(name, _)| name == tool).count();
    let last_of = |tool: &str| done.iter().rposition(|(name, _)| name == tool);
    let cut = |text: &str| text.starts_with("Interrupted") || text.starts_with("Not run");
    let read = last_of("Read").map(|at| &done[at].1).filter(|text| text.contains('\t'));
    let Some(read) = read else {
        if count("Read") > TRIES {
            return text(format!("I could not do it: {file} cannot be read."));
        }
        let todos = json!({ "todos": [{ "content": format!("say {new}"), "status": "in_progress" }] });
        return call("TodoWrite", todos).and("Read", json!({ "file_path": file }));
    };
    let test = || json!({ "command": format!("grep -q {new} {file}") });
    if told.contains("(consult") && count("AskPM") == 0 {
        let whom = if told.contains("(consult people)") { "Ask the people, please." } else { "" };
        return call("AskPM", json!({ "question": format!("Shall I really write to {file}? {whom}") }));
    }
    // Until it is told that this leads nowhere.
    if told.contains("(circle)") && !told.contains("[codebutler] You have ") {
        return call("Bash", test());
    }
    let in_place = read.contains(&new)
        || last_of("Edit").is_some_and(|at| Some(at) > last_of("Read") && done[at].1.starts_with("Edited"));
    if !in_place {
        let tried = last_of("Edit").is_some_and(|at| Some(at) > last_of("Read"));
        if count("Edit") > TRIES {
            return text(format!("I could not do it: {file} cannot be changed."));
        }
        if tried {
            return call("Read", json!({ "file_path": file }));
        }
        let edit = json!({ "file_path": file, "old_string": old, "new_string": new });
        return call("Edit", edit).and("Bash", test());
    }
    let tested = last_of("Bash").filter(|at| Some(*at) > last_of("Edit")).map(|at| done[at].1.as_str());
    match tested {
        Some(result) if result.contains("exit code 0") => {}
        Some(result) if count("Bash") > TRIES => return text(format!("The test fails: {result}")),
        Some(result) if cut(result) => return call("Bash", test()),
        Some(_) => return call("Read", json!({ "file_path": file })).and("Bash", test()),
        None => return call("Bash", test()),
    }
    deliver(&done, &file, &new)
}

fn deliver(done: &[(String, String)], file: &str, new: &str) -> Line {
    let good = |tool: &str, sign: &[&str]| {
        done.iter().any(|(name, text)| name == tool && sign.iter().any(|sign| text.contains(sign)))
    };
    let count = |tool: &str| done.iter().filter(|(name, _)| name == tool).count();
    let steps: [(&'static str, bool, Value); 4] = [
        (
            "GitCommit",
            good("GitCommit", &["Committed", "nothing to commit"]),
            json!({ "message": format!("Say {new}") }),
        ),
        ("GitPush", good("GitPush", &["is at"]), json!({})),
        (
            "GHCreatePR",
            good("GHCreatePR", &["Pull request #"]),
            json!({ "title": format!("Say {new}"), "body": "Because it was asked for." }),
        ),
        ("GHStatus", count("GHStatus") > 0, json!({})),
    ];
    let mut line = Line::default();
    for (tool, ok, arguments) in steps {
        if !ok && count(tool) < TRIES {
            line = line.and(tool, arguments);
        }
    }
    if line.calls.is_empty() { text(format!("Done: {file} says {new}.")) } else { line }
}
