//! The page over a real socket: who is let in, what goes in, and what comes out.

mod door;
mod posts;
mod talk;

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{AUTHORIZATION, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{LocalChat, LocalOptions, LogLine, LogQuery, LogReader, Restored, WORKSPACE};
use crate::chat::{Button, ButtonStyle, Chat, ChatError, Incoming, IncomingKind, Intake, IntakeError, Post};
use crate::ids::{ChannelId, MessageTs, ThreadKey, UserId};

/// How the daemon takes what comes.
enum Mood {
    Takes,
    Refuses,
    Breaks,
    /// Takes it when it is told to.
    Waits {
        begun: Arc<Notify>,
        told: Arc<Notify>,
    },
    /// Reacts before it says that it took it, as the outbox may.
    SeesFirst(Arc<LocalChat>),
}

struct FakeIntake {
    taken: Mutex<Vec<Incoming>>,
    mood: Mood,
}

#[async_trait]
impl Intake for FakeIntake {
    async fn accept(&self, incoming: Incoming) -> Result<bool, IntakeError> {
        match &self.mood {
            Mood::Takes => {}
            Mood::Waits { begun, told } => {
                begun.notify_one();
                told.notified().await;
            }
            Mood::Refuses => return Ok(false),
            Mood::Breaks => return Err(IntakeError(anyhow::anyhow!("disk full"))),
            Mood::SeesFirst(chat) => {
                if let IncomingKind::Message { ts, .. } = &incoming.what {
                    let seen = Post::Reaction { ts: ts.clone(), name: "eyes".into() };
                    chat.post(&incoming.thread, "eyes", &seen).await.expect("a reaction");
                    assert_eq!(chat.room.read(|state| state.threads().len()), 1, "what is seen is shown");
                }
            }
        }
        self.taken.lock().expect("no panic").push(incoming);
        Ok(true)
    }

    async fn choose_channel_model(
        &self,
        _channel: &ChannelId,
        _by: &UserId,
        _name: &str,
    ) -> Result<String, IntakeError> {
        unreachable!("the page has no such command")
    }

    fn bound_channels(&self) -> Vec<(ChannelId, String)> {
        unreachable!("the page has one channel")
    }
}

/// A log that says what it was asked.
#[derive(Debug)]
struct FakeLog;

impl LogReader for FakeLog {
    fn read(&self, query: &LogQuery) -> Vec<LogLine> {
        let text = format!("after {:?}, at most {}", query.after, query.limit);
        let time = "2025-01-02T03:04:05.678Z".to_owned();
        vec![LogLine { seq: 7, time, tag: "MSG".into(), thread: query.thread.clone(), text }]
    }
}

/// A client of a running page.
struct Page {
    chat: Arc<LocalChat>,
    intake: Arc<FakeIntake>,
    http: Client,
    origin: String,
    token: String,
}

fn bind(restored: Vec<Restored>) -> Arc<LocalChat> {
    let options = LocalOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        token: None,
        title: "shop".into(),
        notice: Some("scripted model".into()),
        channel: ChannelId::new("local"),
        log: Arc::new(FakeLog),
    };
    Arc::new(LocalChat::bind(options, restored).expect("a free port"))
}

/// Serves a page while `test` uses it.
async fn with_page<T: Future<Output = ()>>(chat: Arc<LocalChat>, mood: Mood, test: impl FnOnce(Page) -> T) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let intake = Arc::new(FakeIntake { taken: Mutex::default(), mood });
    let http = Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
    let url = chat.url();
    let (origin, token) = url.split_once("/?t=").expect("a token in the address");
    let page = Page {
        http,
        origin: origin.to_owned(),
        token: token.to_owned(),
        intake: Arc::clone(&intake),
        chat: Arc::clone(&chat),
    };
    let stop = CancellationToken::new();
    let server = chat.serve(intake, stop.clone());
    let test = async {
        Box::pin(test(page)).await;
        stop.cancel();
    };
    let both = async { tokio::join!(server, test).0 };
    let served = tokio::time::timeout(Duration::from_secs(120), both).await;
    served.expect("the page stops when it is told to").expect("the page is served");
}

impl Page {
    fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(format!("{}{path}", self.origin)).header(AUTHORIZATION, format!("Bearer {}", self.token))
    }

    fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        self.http
            .post(format!("{}{path}", self.origin))
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .json(body)
    }

    async fn state(&self) -> Value {
        json(self.get("/api/state").send().await.expect("an answer")).await
    }

    /// Says something and gives the thread.
    async fn say(&self, text: &str) -> ThreadKey {
        let answer = self.post("/api/messages", &json!({ "text": text })).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
        let answer = json(answer).await;
        thread(answer["thread"].as_str().expect("a thread"))
    }

    async fn events(&self, after: u64) -> Events {
        let response = self.get(&format!("/api/events?after={after}")).send().await.expect("an answer");
        Events { response, buffer: String::new() }
    }

    fn taken(&self) -> Vec<Incoming> {
        self.intake.taken.lock().expect("no panic").clone()
    }
}

/// The events of one connection.
struct Events {
    response: Response,
    buffer: String,
}

impl Events {
    async fn next(&mut self) -> Value {
        loop {
            if let Some((event, rest)) = self.buffer.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.buffer = rest;
                let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else { continue };
                let value: Value = serde_json::from_str(data).expect("json");
                assert!(event.contains(&format!("id: {}", value["version"])), "{event}");
                return value;
            }
            let chunk = self.response.chunk().await.expect("an open stream").expect("more events");
            self.buffer.push_str(std::str::from_utf8(&chunk).expect("whole events"));
        }
    }
}

async fn json(response: Response) -> Value {
    serde_json::from_slice(&response.bytes().await.expect("a body")).expect("json")
}

fn thread(ts: &str) -> ThreadKey {
    ThreadKey { workspace: WORKSPACE.into(), channel: ChannelId::new("local"), ts: MessageTs::new(ts) }
}

fn message(role: &str, text: &str, buttons: Vec<Button>) -> Post {
    Post::Message { role: Some(role.into()), text: text.into(), buttons }
}

fn approve() -> Button {
    Button {
        action: "plan_approve".into(),
        value: "p1".into(),
        label: "Approve".into(),
        style: ButtonStyle::Primary,
        url: None,
    }
}
