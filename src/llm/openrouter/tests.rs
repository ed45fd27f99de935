//! The adapter against the scripted server, over real sockets, and against streams cut at every place.

mod fallbacks;
mod fuzz;
mod limits;

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};
use std::task::{Context, Poll};

use async_openai::Client;
use async_openai::middleware::HttpRequestFactory;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use serde_json::json;

use super::transport::{NoStream, Pulse};
use super::*;
use crate::agent::{ToolCall, Usage};
use crate::ids::CallId;
use crate::llm::{Bill, Fallback};
use crate::scripted::{ScriptedFault, ScriptedReply, ScriptedRequest, ScriptedServer};

const KEY: &str = "sk-or-secret";

fn provide_tls() {
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn options(url: &str) -> OpenRouterOptions {
    OpenRouterOptions {
        // Longer than any machine is busy with something else: what is about silence chooses its own.
        stall: Duration::from_secs(60),
        retry_base: Duration::from_millis(1),
        ..OpenRouterOptions::new(url, Some(KEY.into()))
    }
}

fn model(options: OpenRouterOptions) -> OpenRouter {
    provide_tls();
    OpenRouter::new(options).expect("the address is good")
}

fn request() -> ModelRequest {
    let messages = json!([
        {"role": "system", "content": [{"type": "text", "text": "rules"}]},
        {"role": "user", "content": [{"type": "text", "text": "hi"}]},
    ]);
    let messages = messages.to_string().into();
    ModelRequest {
        model: "a/b".to_owned(),
        messages,
        tools: None,
        no_tools: false,
        cache_key: "t/coder".to_owned(),
        may_be_empty: false,
        fallback: Fallback::default(),
        bill: Bill::default(),
    }
}

/// Asks a server that plays the script; gives the outcome and how many requests arrived.
async fn ask(
    script: impl FnMut(&ScriptedRequest) -> ScriptedReply + Send + 'static,
    change: impl FnOnce(&mut OpenRouterOptions),
) -> (Result<Reply, ModelError>, usize) {
    let server = ScriptedServer::start(script).expect("a port is free").expect_key(KEY);
    let (log, mut options) = (server.log(), options(&server.url()));
    change(&mut options);
    let model = model(options);
    let outcome = tokio::select! {
        outcome = model.complete(request()) => outcome,
        ended = server.serve(pending()) => panic!("the server ended: {ended:?}"),
    };
    assert_eq!(log.violations(), Vec::<String>::new());
    (outcome, log.requests().len())
}

/// The outcome in words and the number of requests, when the first `bad` replies go wrong.
async fn with_fault(fault: ScriptedFault, bad: usize) -> (String, usize) {
    let script = move |request: &ScriptedRequest| {
        if request.number < bad { ScriptedReply::fault(fault.clone()) } else { ScriptedReply::text("fine") }
    };
    let (outcome, requests) = ask(script, |_| {}).await;
    (outcome.map_or_else(|error| error.to_string(), |reply| reply.text), requests)
}

fn status(code: u16, message: &str) -> ScriptedFault {
    let body = json!({"error": {"code": code, "message": message}}).to_string();
    ScriptedFault::Status { code, body, retry_after: Some("0".to_owned()) }
}

#[tokio::test]
async fn every_fault_ends_in_an_answer_or_in_the_error_that_fits() {
    let (always, body, stream) = (
        usize::MAX,
        |code, message: &str| ScriptedFault::ErrorInBody { code, message: message.to_owned() },
        |code, message: &str| ScriptedFault::ErrorMidStream { code, message: message.to_owned() },
    );
    let cases = [
        (status(408, "late"), 1, "fine", 2),
        (status(429, "slow"), 3, "fine", 4),
        (status(500, "oops"), 5, "fine", 6),
        (status(503, "busy"), 1, "fine", 2),
        (status(500, "oops"), always, "the model service cannot be reached after 6 attempts: oops (500)", 6),
        (status(429, "slow"), always, "the model service is rate limited (429): slow", 6),
        (
            status(503, "No available model provider"),
            always,
            "the model is not available: No available model provider",
            6,
        ),
        (status(400, "bad"), always, "the model service refused the request (400): bad", 1),
        (status(401, "no"), always, "the model service does not accept the key (401): no", 1),
        (status(402, "pay"), always, "the model service refuses calls for lack of credit (402): pay", 1),
        (status(403, "flagged"), always, "the model service refused the request (403): flagged", 1),
        (status(404, "no such"), always, "the model is not available: no such", 1),
        (status(409, "twice"), always, "the model service refused the request (409): twice", 1),
        (status(413, "big"), always, "the conversation is too long for the model: big", 1),
        (status(422, "odd"), always, "the model service refused the request (422): odd", 1),
        (
            status(401, "bad key sk-or-secret"),
            always,
            "the model service does not accept the key (401): bad key [key]",
            1,
        ),
        (body(429, "slow"), 1, "fine", 2),
        (body(402, "pay"), always, "the model service refuses calls for lack of credit (402): pay", 1),
        (stream(502, "upstream"), 1, "fine", 2),
        (
            stream(400, "maximum context length"),
            always,
            "the conversation is too long for the model: maximum context length",
            1,
        ),
        (ScriptedFault::CutMidStream, 1, "fine", 2),
        (
            ScriptedFault::CutMidStream,
            always,
            "the model service cannot be reached after 6 attempts: the reply was cut off",
            6,
        ),
        (ScriptedFault::ResetMidStream, 1, "fine", 2),
        (ScriptedFault::EmptyStream, 1, "fine", 2),
        (ScriptedFault::EmptyStream, always, "the model gave an empty answer after 6 attempts", 6),
    ];
    for (fault, bad, expected, requests) in cases {
        let what = format!("{fault:?}");
        assert_eq!(with_fault(fault, bad).await, (expected.to_owned(), requests), "{what}");
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_asked_again() {
    let script = move |request: &ScriptedRequest| {
        if request.number == 0 { ScriptedReply::fault(ScriptedFault::Stall) } else { ScriptedReply::text("fine") }
    };
    let (outcome, requests) = ask(script, |options| options.stall = Duration::from_millis(1500)).await;
    assert_eq!(outcome.expect("a reply").text, "fine");
    // Twice, or once more for each answer that a busy machine did not give in time.
    assert!(requests >= 2, "{requests}");
}

fn full_reply() -> ScriptedReply {
    let mut reply = ScriptedReply::text("Grüße, I read both.")
        .call("Read", &json!({"file_path": "src/ä.rs"}))
        .call("Glob", &json!({"pattern": "**/*.rs"}))
        .tokens(1000, 900, 50)
        .cost(0.25);
    reply.calls[1].arguments = "```json\n{\"pattern\": \"**/*.rs\"}\n```".to_owned();
    reply.calls.push(crate::scripted::ScriptedCall { name: "GHStatus".to_owned(), ..reply.calls[0].clone() });
    reply.calls[2].arguments = String::new();
    reply.reasoning = vec![json!({"type": "reasoning.text", "text": "hm", "index": 0})];
    reply
}

fn expected_reply() -> Reply {
    let call = |id: &str, name: &str, arguments: &str| ToolCall {
        id: CallId::new(id),
        name: name.to_owned(),
        arguments: arguments.to_owned(),
        fault: None,
    };
    Reply {
        text: "Grüße, I read both.".to_owned(),
        calls: vec![
            call("call_0_0", "Read", r#"{"file_path":"src/ä.rs"}"#),
            call("call_0_1", "Glob", r#"{"pattern": "**/*.rs"}"#),
            call("call_0_2", "GHStatus", "{}"),
        ],
        reasoning: Some(json!([{"type": "reasoning.text", "text": "hm", "index": 0}])),
        model: "a/b".to_owned(),
        usage: Usage {
            calls: 1,
            prompt_tokens: 1000,
            cached_tokens: 900,
            completion_tokens: 50,
            cost_usd: 0.25,
            calls_without_cost: 0,
            calls_about: 0,
        },
        ..Reply::default()
    }
}

#[tokio::test]
async fn a_reply_is_the_same_streamed_slowly_or_whole() {
    let slow = ScriptedFault::SlowChunks(Duration::from_millis(1));
    for fault in [None, Some(slow), Some(ScriptedFault::JsonInsteadOfSse)] {
        let script = move |_: &ScriptedRequest| ScriptedReply { fault: fault.clone(), ..full_reply() };
        let (outcome, requests) = ask(script, |_| {}).await;
        assert_eq!((outcome.ok(), requests), (Some(expected_reply()), 1));
    }
}

#[tokio::test]
async fn silence_is_given_up_within_the_time_that_is_allowed() {
    let script = |_: &ScriptedRequest| ScriptedReply::fault(ScriptedFault::Stall);
    let (outcome, requests) = ask(script, |options| {
        options.stall = Duration::from_millis(100);
        options.max_extra = Duration::from_millis(250);
    })
    .await;
    let error = outcome.expect_err("nothing was said").to_string();
    assert!(error.contains("it said nothing for"), "{error}");
    assert!(requests < 6, "{requests}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_to_be_unreachable() {
    // A port that is ours as long as this lives, and at which nobody listens.
    let bound = tokio::net::TcpSocket::new_v4().expect("a socket");
    bound.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let url = format!("http://{}/v1/", bound.local_addr().expect("it is bound"));
    let error = model(OpenRouterOptions { max_attempts: 2, ..options(&url) }).complete(request()).await;
    drop(bound);
    let error = error.expect_err("nobody listens").to_string();
    assert!(error.starts_with("the model service cannot be reached after 2 attempts: Connection refused"), "{error}");
}

#[test]
fn an_address_or_key_that_cannot_work_is_refused_at_once() {
    for url in ["", "openrouter.ai/api/v1", "ftp://host/v1"] {
        let outcome = OpenRouter::new(options(url)).map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(outcome, Err(format!("`{url}` is not an http or https address")));
    }
    let key = OpenRouterOptions { api_key: Some("a\nb".into()), ..options("http://127.0.0.1:1/v1") };
    assert!(matches!(OpenRouter::new(key), Err(OpenRouterError::Key)));
}

/// A server that sends the end of a body only when the reply before it has been taken; counts its connections.
fn late_server(taken: std::sync::mpsc::Receiver<()>) -> (String, Arc<AtomicUsize>) {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/v1", listener.local_addr().expect("bound"));
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let taken = Arc::new(Mutex::new(taken));
    let serve = move |connection: std::net::TcpStream| {
        let mut lines = BufReader::new(connection);
        loop {
            let (mut length, mut line) = (0, String::new());
            while lines.read_line(&mut line).is_ok_and(|count| count > 2) {
                let lower = line.to_ascii_lowercase();
                length = lower.strip_prefix("content-length:").map_or(length, |n| n.trim().parse().unwrap_or(0));
                line.clear();
            }
            if length == 0 || lines.read_exact(&mut vec![0; length]).is_err() {
                return;
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked";
            let begun = write!(lines.get_mut(), "{head}\r\n\r\n{:x}\r\n{STREAM}\r\n", STREAM.len());
            let taken = taken.lock().is_ok_and(|taken| taken.recv().is_ok());
            if begun.is_err() || !taken || lines.get_mut().write_all(b"0\r\n\r\n").is_err() {
                return;
            }
        }
    };
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            counted.fetch_add(1, Ordering::SeqCst);
            let serve = serve.clone();
            std::thread::spawn(move || serve(connection));
        }
    });
    (url, connections)
}

#[tokio::test]
async fn a_connection_is_used_again_although_the_reader_stops_before_the_end_of_the_body() {
    let (taken, server) = std::sync::mpsc::channel();
    let (url, connections) = late_server(server);
    let model = model(options(&url));
    // The end may still be on its way when the next request is made; sooner or later it is not.
    for asked in 1..=100 {
        assert_eq!(model.complete(request()).await.expect("a reply"), streamed_reply(true));
        taken.send(()).expect("the server runs");
        if connections.load(Ordering::SeqCst) < asked {
            return;
        }
    }
    panic!("every request made a connection");
}

#[tokio::test]
async fn a_redirect_is_not_followed_but_told() {
    let moved = http::Response::builder()
        .status(308)
        .header("location", "https://elsewhere/v1")
        .body(reqwest::Body::from(""))
        .expect("is a response");
    let outcome = transport::inspect(moved.into(), Duration::from_secs(9), Arc::default()).await;
    let Err(NoStream::Fault(fault)) = outcome else { panic!("{outcome:?}") };
    let expected = "the model service refused the request (308): it moved to https://elsewhere/v1; set the base URL to \
                    where it is now";
    assert_eq!(fault.into_error(1).to_string(), expected);
}

/// The pieces of a stream, perhaps without end.
type Pieces = Arc<dyn Fn() -> Box<dyn Iterator<Item = Bytes> + Send> + Send + Sync>;

/// Answers every request with these pieces of a stream, each after a pause.
#[derive(Clone)]
struct Canned {
    pieces: Pieces,
    pause: Duration,
    silence: Duration,
    pulse: Arc<Pulse>,
}

impl tower_service::Service<HttpRequestFactory> for Canned {
    type Response = reqwest::Response;
    type Error = NoStream;
    type Future = BoxFuture<'static, Result<reqwest::Response, NoStream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoStream>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: HttpRequestFactory) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let pieces = futures_util::stream::iter((this.pieces)()).then(move |piece| async move {
                if this.pause > Duration::ZERO {
                    tokio::time::sleep(this.pause).await;
                }
                Ok::<_, std::io::Error>(piece)
            });
            let response = http::Response::builder().header("content-type", "text/event-stream; charset=utf-8");
            let response = response.body(reqwest::Body::wrap_stream(pieces)).expect("is a response");
            transport::inspect(response.into(), this.silence, this.pulse).await
        })
    }
}

/// On a clock that stands still while anything can be done.
fn read_from(pieces: Vec<Bytes>, pause: Duration, comments: bool, silence: Duration) -> Result<Reply, Fault> {
    let filler = if comments { usize::MAX } else { 0 };
    let filler = std::iter::repeat_n(Bytes::from_static(b": working\n\n"), filler);
    read_all(Arc::new(move || Box::new(pieces.clone().into_iter().chain(filler.clone()))), pause, silence).0
}

/// The same of pieces that may go on for ever; and what the attempt used, when it brought no reply.
fn read_all(pieces: Pieces, pause: Duration, silence: Duration) -> (Result<Reply, Fault>, Option<Usage>) {
    static HTTP: LazyLock<reqwest::Client> = LazyLock::new(|| {
        provide_tls();
        reqwest::Client::new()
    });
    let config: Arc<dyn Config> = Arc::new(Endpoint::new("http://127.0.0.1:1/v1", None).expect("the address is good"));
    let pulse = Arc::new(Pulse::default());
    let canned = Canned { pieces, pause, silence, pulse: Arc::clone(&pulse) };
    let limits = Limits { silence, life: silence * 10, reply: silence * 60 };
    let client = Client::build(HTTP.clone(), config).with_http_service(canned);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    let attempt = Attempt::with_client(client, limits, pulse);
    let (result, _) = runtime.expect("a runtime").block_on(attempt.run("a/b"));
    let used = attempt.used(result.as_ref().err());
    (result, used)
}

fn read(pieces: Vec<Bytes>) -> Result<Reply, Fault> {
    read_from(pieces, Duration::ZERO, false, Duration::from_secs(9))
}

#[test]
fn comments_are_life_but_not_for_ever() {
    let silence = Duration::from_millis(50);
    let pause = Duration::from_millis(1);
    assert_eq!(read_from(Vec::new(), pause, true, silence), Err(Fault::Idle(silence * 10)));
}

#[test]
fn a_slow_stream_may_take_longer_than_a_silence() {
    let pieces: Vec<Bytes> = STREAM.split_inclusive("\n\n").map(|event| Bytes::from_static(event.as_bytes())).collect();
    let second = Duration::from_secs(1);
    assert_eq!(read_from(pieces.clone(), 4 * second, false, 5 * second), Ok(streamed_reply(true)));
    assert_eq!(read_from(pieces, 6 * second, false, 5 * second), Err(Fault::Stalled(5 * second)));
}

const STREAM: &str = concat!(
    ": OPENROUTER PROCESSING\n\n",
    "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"content\":\"Grüße \"}}]}\r\n\r\n",
    "event: message\nid: 7\ndata:{\"choices\":[{\"delta\":{\"content\":\"日本\"}}]}\n\n",
    ": OPENROUTER PROCESSING\r\n\r\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"1\",\"function\":{\"name\":\"Read\",\"arguments\":\"{\\\"a\\\":\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"é\\\"}\"}}]}}]}\n\n",
    "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"cost\":0.5}}\n\n",
    "data: [DONE]\n\n",
);

/// Where the event with the finish reason is complete.
fn finished_at() -> usize {
    STREAM.find("\"tool_calls\"}]}\n\n").map_or(0, |at| at + "\"tool_calls\"}]}\n\n".len())
}

fn streamed_reply(with_usage: bool) -> Reply {
    let call =
        ToolCall { id: CallId::new("1"), name: "Read".to_owned(), arguments: "{\"a\":\"é\"}".to_owned(), fault: None };
    let known = Usage { calls: 1, prompt_tokens: 3, cost_usd: 0.5, ..Usage::default() };
    let unknown = Usage { calls: 1, calls_without_cost: 1, ..Usage::default() };
    let usage = if with_usage { known } else { unknown };
    Reply {
        text: "Grüße 日本".to_owned(),
        calls: vec![call],
        reasoning: None,
        model: "a/b".to_owned(),
        usage,
        ..Reply::default()
    }
}

#[test]
fn a_stream_that_ends_anywhere_before_its_finish_is_cut_and_after_it_complete() {
    let whole = Bytes::from_static(STREAM.as_bytes());
    let usage_at = STREAM.len() - "data: [DONE]\n\n".len();
    for end in 0..=STREAM.len() {
        let outcome = read(vec![whole.slice(..end)]);
        if end < finished_at() {
            assert_eq!(outcome, Err(Fault::lost("the reply was cut off")), "{end}");
        } else {
            assert_eq!(outcome, Ok(streamed_reply(end >= usage_at)), "{end}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn pieces_may_be_cut_at_any_byte(cuts in prop::collection::btree_set(1..STREAM.len(), 0..60)) {
        let whole = Bytes::from_static(STREAM.as_bytes());
        let ends = cuts.iter().copied().chain([whole.len()]);
        let begins = [0].into_iter().chain(cuts.iter().copied());
        let pieces = begins.zip(ends).map(|(from, to)| whole.slice(from..to)).collect();
        prop_assert_eq!(read(pieces), Ok(streamed_reply(true)));
    }
}

#[test]
fn every_byte_may_come_by_itself() {
    let pieces = STREAM.as_bytes().iter().map(|byte| Bytes::copy_from_slice(&[*byte])).collect();
    assert_eq!(read(pieces), Ok(streamed_reply(true)));
}

#[test]
fn an_event_that_is_no_json_and_text_that_is_no_utf8_are_lost_replies() {
    let json = read(vec![Bytes::from_static(b"data: {\"choices\n\n")]);
    assert!(matches!(&json, Err(Fault::Lost { reason }) if reason.starts_with("an event is no JSON")), "{json:?}");
    let utf8 = read(vec![Bytes::from_static(b"data: \xff\xff\xff\n\n")]);
    assert!(matches!(utf8, Err(Fault::Lost { .. })), "{utf8:?}");
}

#[tokio::test]
async fn the_list_of_models_says_what_they_read_and_cost() {
    let pricing = json!({"prompt": "0.000002", "completion": "0.00001", "input_cache_read": "0.0000002"});
    let server = ScriptedServer::start(|_: &ScriptedRequest| ScriptedReply::text("never"))
        .expect("a port is free")
        .expect_tools("known/by-tools", &[])
        .list("a/b", json!({"context_length": 131_072, "pricing": pricing}));
    let (log, model) = (server.log(), model(options(&server.url())));
    let listed = tokio::select! {
        listed = model.list_models() => listed.expect("a list"),
        ended = server.serve(pending()) => panic!("the server ended: {ended:?}"),
    };
    assert_eq!((log.listings(), listed.len()), (1, 2));
    assert_eq!((listed.context("a/b"), listed.context("known/by-tools")), (Some(131_072), Some(200_000)));
    assert!(listed.price("a/b").is_some() && listed.price("known/by-tools").is_none());
}

#[tokio::test]
async fn a_server_without_a_list_is_an_error_that_names_no_key() {
    let (listener, server) = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("bound");
        (listener, format!("http://{address}/v1"))
    };
    let refuse = || async { (axum::http::StatusCode::NOT_FOUND, format!("no list for {KEY}")) };
    let app = axum::Router::new().route("/v1/models", axum::routing::get(refuse));
    let model = model(options(&server));
    let listed = tokio::select! {
        listed = model.list_models() => listed,
        ended = async { axum::serve(listener, app).await } => panic!("the server ended: {ended:?}"),
    };
    let error = listed.expect_err("there is none").to_string();
    assert_eq!(error, "the model is not available: no list for [key]");
}
