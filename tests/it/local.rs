//! The local chat through the binary, over its HTTP API.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::script::{CLAUDE, PM};
use super::world::{PATIENCE, World};

/// `codebutler chat` as a child process, and a client of its page.
pub struct Page {
    child: Child,
    base: String,
    token: String,
    client: reqwest::Client,
}

impl Page {
    pub fn open(world: &World) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        world.write_config();
        #[expect(clippy::disallowed_methods, reason = "the program under test")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_codebutler"));
        let mut child = command
            .args(["chat", "--repo"])
            .arg(world.checkout())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", world.home())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let mut url = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut url).expect("it prints its address");
        let (base, token) = url.trim().split_once("/?t=").expect("an address with a token");
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        Self { child, base: base.to_owned(), token: token.to_owned(), client }
    }

    pub async fn say(&self, thread: Option<&str>, text: &str) -> String {
        let request = self.client.post(format!("{}/api/messages", self.base)).bearer_auth(&self.token);
        let answer = request.json(&json!({ "thread": thread, "text": text })).send().await.expect("answered");
        assert!(answer.status().is_success(), "{answer:?}");
        let answer: Value = answer.json().await.expect("JSON");
        answer["ts"].as_str().expect("a timestamp").to_owned()
    }

    /// Presses a button of a thread.
    pub async fn press(&self, thread: &str, action: &str, value: &str) {
        let request = self.client.post(format!("{}/api/press", self.base)).bearer_auth(&self.token);
        let press = json!({ "thread": thread, "action": action, "value": value });
        let answer = request.json(&press).send().await.expect("answered");
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// All that the page shows.
    pub async fn state(&self) -> Value {
        let request = self.client.get(format!("{}/api/state", self.base)).bearer_auth(&self.token);
        request.send().await.expect("answered").json().await.expect("JSON")
    }

    /// Waits until somebody says something with this text.
    async fn says(&self, text: &str) {
        let request = self.client.get(format!("{}/api/events", self.base)).bearer_auth(&self.token);
        let mut events = request.send().await.expect("answered");
        let listening = async {
            let mut heard = Vec::new();
            while !String::from_utf8_lossy(&heard).contains(text) {
                heard.extend(events.chunk().await.expect("it goes on").expect("it does not end"));
            }
        };
        let said = tokio::time::timeout(PATIENCE, listening).await;
        assert!(said.is_ok(), "nobody said {text:?}");
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pm_is_swapped_in_both_spellings() {
    let world = World::new().await;
    let page = Page::open(&world);
    let thread = page.say(None, "hello there").await;
    page.says("test/pm says: I heard").await;
    page.say(Some(&thread), "/pm claude").await;
    page.says("now uses **claude**").await;
    page.say(Some(&thread), "and now?").await;
    page.says("anthropic/test-claude says: I heard").await;
    page.say(Some(&thread), "!pm kimi").await;
    page.says("now uses **kimi**").await;
    page.say(Some(&thread), "and at last?").await;
    page.says("test/pm says: I heard “you: and at last?”").await;
    let models: Vec<String> = world.model.requests().into_iter().map(|request| request.model).collect();
    assert_eq!(models, [PM, CLAUDE, PM]);
    let last = world.model.requests().pop().expect("asked").user_text();
    assert!(last.contains("hello there") && last.contains("and now?") && !last.contains("/pm"), "{last}");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_nothing_is_answered() {
    let world = World::new().await;
    let page = Page::open(&world);
    let answer = page.client.get(format!("{}/api/state", page.base)).send().await.expect("answered");
    assert_eq!(answer.status(), 403);
    let forged =
        page.client.get(format!("{}/api/state", page.base)).bearer_auth(&page.token).header("host", "evil.test");
    assert_eq!(forged.send().await.expect("answered").status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_reads_the_daemons_log() {
    let world = World::new().await;
    let page = Page::open(&world);
    let thread = page.say(None, "hello there").await;
    page.says("test/pm says: I heard").await;
    let log = async |query: String| -> Vec<Value> {
        let request = page.client.get(format!("{}/api/log?{query}", page.base)).bearer_auth(&page.token);
        request.send().await.expect("answered").json().await.expect("JSON")
    };
    let lines = log(format!("thread={thread}&after=0&limit=1000")).await;
    for tag in ["MSG", "PM", "RSP"] {
        assert!(lines.iter().any(|line| line["tag"] == tag && line["thread"] == *thread), "{tag}: {lines:?}");
    }
    assert!(lines.iter().all(|line| !line["text"].as_str().expect("text").contains("hello")), "{lines:?}");
    let second = &lines[1..2];
    assert_eq!(log(format!("thread={thread}&after={}&limit=1", lines[0]["seq"])).await, second);
}
