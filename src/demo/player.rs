//! Plays the person of `demo --auto`: a client of the local page's API, like the browser. Writes, presses, and checks
//! what comes; anything else than the expected story is an error that says what differed.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::StreamExt as _;
use serde::Deserialize;
use serde_json::{Value, json};

use super::sample::BUG_REPORT;
use crate::process::{Exit, Program};

/// How long the whole story may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(600);

/// How the played story ended.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// From the start of the program to the merge.
    pub took: Duration,
    /// What the page said about model and sandbox, and where it was.
    pub notice: String,
}

/// A message of the page, as its API gives it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Said {
    /// Its id.
    pub ts: String,
    /// The post's key; empty for a person's message.
    #[serde(default)]
    pub key: String,
    /// Who speaks.
    pub author: String,
    /// The text.
    #[serde(default)]
    pub markdown: String,
    /// The buttons.
    #[serde(default)]
    pub buttons: Vec<Pressable>,
    /// A file.
    pub file: Option<ShownFile>,
    /// The reactions.
    #[serde(default)]
    pub reactions: Vec<String>,
}

/// A button.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Pressable {
    /// The action id.
    pub action: String,
    /// The value.
    pub value: String,
    /// What stands on it.
    pub label: String,
}

/// A file.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct ShownFile {
    /// Its name.
    pub name: String,
    /// Its content.
    pub content: String,
}

/// Opens a thread with the bug report.
pub async fn report_bug(url: &str) -> anyhow::Result<()> {
    Page::open(url)?.write(None, BUG_REPORT).await.map(drop)
}

/// Plays the story to its end and checks the repository afterwards.
pub async fn play(
    url: &str,
    repository: &Path,
    started: Instant,
    notice: &str,
    tell: impl Fn(&Said) + Send + Sync,
) -> anyhow::Result<Outcome> {
    let page = Page::open(url)?;
    tokio::time::timeout(PATIENCE, story(&page, &tell)).await.context("the story did not end in time")??;
    check(repository).await?;
    Ok(Outcome { took: started.elapsed(), notice: format!("{notice} · page: {url}") })
}

async fn story(page: &Page, tell: &(impl Fn(&Said) + Send + Sync)) -> anyhow::Result<()> {
    let thread = page.write(None, BUG_REPORT).await?;
    let mut events = page.events(tell).await?;
    // When the report is ticked off without a plan, the PM has ended otherwise.
    let ticked = |said: &Said| said.ts == thread && is_ticked(said);
    let plan = events.until("the plan card", |said| has_button(said, "plan_approve") || ticked(said)).await?;
    ensure!(has_button(&plan, "plan_approve"), "the PM ended without a plan; its last words: {}", events.last_of("PM"));
    page.press(&thread, &plan, "plan_approve").await?;
    let pull = events.until("the pull request's card", |said| said.key.starts_with("pull/")).await?;
    ensure!(has_button(&pull, "pr_merge"), "the Coder ended without a pull request: {}", pull.markdown);
    ensure!(pull.markdown.contains("#1 "), "the card does not name the pull request: {}", pull.markdown);
    let diff = events.until("the pull request's diff", |said| said.file.is_some()).await?;
    let diff = diff.file.map(|file| file.content).unwrap_or_default();
    ensure!(diff.contains("+") && diff.contains("src/report.sh"), "the diff does not show the change:\n{diff}");
    let word = page.write(Some(&thread), "merge").await?;
    events.until("the merge", |said| said.markdown.starts_with("Merged as")).await?;
    events.until("the end of the thread (✅)", |said| said.ts == word && is_ticked(said)).await?;
    Ok(())
}

fn is_ticked(said: &Said) -> bool {
    said.reactions.iter().any(|name| name == "white_check_mark")
}

fn has_button(said: &Said, action: &str) -> bool {
    said.buttons.iter().any(|button| button.action == action)
}

/// The remote must hold the fix, and its tests must pass, whoever wrote it.
async fn check(repository: &Path) -> anyhow::Result<()> {
    let folder = repository.parent().context("the sample has no folder")?;
    let clone = folder.join("check");
    git2::Repository::clone(&folder.join("orders.git").to_string_lossy(), &clone).context("the remote is broken")?;
    let finished = Program::new("sh", &clone).args(["tests/run.sh"]).timeout(Duration::from_secs(60)).run().await?;
    let output = finished.stdout.text();
    ensure!(finished.exit == Exit::Code(0), "the merged tests do not pass:\n{output}");
    ensure!(!output.contains("FAIL") && output.contains("ok    last row"), "the merged tests are others:\n{output}");
    let leftover = repository.join(".codebutler/branches");
    let worktrees = std::fs::read_dir(&leftover).map_or(0, Iterator::count);
    ensure!(worktrees == 0, "{worktrees} worktrees are left in {}", leftover.display());
    Ok(())
}

/// The page's API.
struct Page {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Page {
    fn open(url: &str) -> anyhow::Result<Self> {
        let (base, token) = url.split_once("/?t=").context("the page's address has no token")?;
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { client, base: base.to_owned(), token: token.to_owned() })
    }

    /// Writes a message; gives its timestamp.
    async fn write(&self, thread: Option<&str>, text: &str) -> anyhow::Result<String> {
        let answer = self.post("/api/messages", json!({ "thread": thread, "text": text })).await?;
        Ok(answer["ts"].as_str().context("the page gave no timestamp")?.to_owned())
    }

    async fn press(&self, thread: &str, said: &Said, action: &str) -> anyhow::Result<()> {
        let button = said.buttons.iter().find(|button| button.action == action).context("the button is gone")?;
        let press = json!({ "thread": thread, "action": action, "value": button.value });
        self.post("/api/press", press).await.map(drop)
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let request = self.client.post(format!("{}{path}", self.base)).bearer_auth(&self.token).json(&body);
        let answer = request.send().await.with_context(|| format!("the page does not answer {path}"))?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "the page refused {path} ({status}): {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// Everything that is said, from the beginning.
    async fn events<'a, T: Fn(&Said)>(&self, tell: &'a T) -> anyhow::Result<Events<'a, T>> {
        let request = self.client.get(format!("{}/api/events?after=0", self.base)).bearer_auth(&self.token);
        let answer = request.send().await?.error_for_status()?;
        Ok(Events { stream: Box::pin(answer.bytes_stream()), buffer: Vec::new(), said: HashMap::new(), tell })
    }
}

type ByteStream = std::pin::Pin<Box<dyn futures_util::Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>;

/// The page's event stream.
struct Events<'a, T> {
    stream: ByteStream,
    buffer: Vec<u8>,
    /// What is on the page, by timestamp.
    said: HashMap<String, Said>,
    tell: &'a T,
}

#[derive(Deserialize)]
struct Change {
    message: Said,
}

impl<T: Fn(&Said)> Events<'_, T> {
    /// Waits until a message is as wanted; it may be there already.
    async fn until(&mut self, what: &str, wanted: impl Fn(&Said) -> bool) -> anyhow::Result<Said> {
        if let Some(said) = self.said.values().find(|said| wanted(said)) {
            return Ok(said.clone());
        }
        loop {
            let said = self.next().await.with_context(|| format!("while waiting for {what}"))?;
            if wanted(&said) {
                return Ok(said);
            }
            if said.markdown.starts_with("I stopped.") || said.markdown.contains("cannot go on") {
                bail!("{} said, while waiting for {what}: {}", said.author, said.markdown);
            }
        }
    }

    /// What somebody said last.
    fn last_of(&self, author: &str) -> String {
        let said = self.said.values().filter(|said| said.author == author && !said.key.starts_with("progress/"));
        said.max_by(|one, other| one.ts.cmp(&other.ts)).map_or_else(|| "none".to_owned(), |said| said.markdown.clone())
    }

    async fn next(&mut self) -> anyhow::Result<Said> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let event: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let event = String::from_utf8_lossy(&event).into_owned();
                let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                if data.is_empty() {
                    continue;
                }
                let Change { message } = serde_json::from_str(&data)?;
                (self.tell)(&message);
                self.said.insert(message.ts.clone(), message.clone());
                return Ok(message);
            }
            let chunk = self.stream.next().await.context("the page ended")??;
            self.buffer.extend_from_slice(&chunk);
        }
    }
}
