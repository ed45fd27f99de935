//! The page's HTTP side: its files, its JSON API, and the refusal of everybody without the token.
//!
//! A client without a browser sends `Authorization: Bearer TOKEN` (the `t` of the printed address). All times are
//! timestamps as in Slack, `seconds.micros`; they are ids too and sort as text. Errors are
//! `{"error": "what happened and what to do"}`, or plain text for requests that are not of this form at all.
//!
//! - `GET /api/state` → `{version, title, notice, threads: [{ts, title, state, messages: [message]}]}`, oldest first;
//!   `state` is `waiting` (for the person), `working` or `idle`.
//! - `GET /api/events?after=VERSION` → server-sent events, one per changed message: `id: VERSION` and
//!   `data: {version, thread: {ts, title, state}, message}`. Nothing is missed: the stream begins with everything
//!   that changed after `after` (default 0: all there is), or after `Last-Event-ID` when a client comes back. Put the
//!   message in place of the one with the same `ts`. Nothing is ever removed.
//! - `POST /api/messages` `{thread?, text}` → `{thread, ts}` once the daemon has stored it. Without `thread` it begins
//!   one. 503: not stored, send it again.
//! - `POST /api/press` `{thread, action, value}` → `{}`, likewise. What it led to comes as events.
//! - `GET /api/log?thread=TS&after=SEQ&limit=N` → `[{seq, time, tag, thread, text}]`, oldest first: lines of the
//!   daemon's log, which keeps about 2,000. All parameters may be left out: `thread` keeps the lines of one thread;
//!   with `after` come the first lines after that number, without it the last ones; `limit` is 200 by default. A `seq`
//!   that does not follow `after` (without `thread`) says that lines between were dropped. Ask again with `after` = the
//!   last `seq`. The numbers begin anew with each start of the daemon.
//!
//! A message is `{thread, ts, key, author, markdown, html, buttons: [{action, value, label, style, url?}],
//! file: {name, syntax, content} | null, reactions: [name], ephemeral, edited, version}`; `author` is `you`,
//! `codebutler`, or a role's title such as `PM`. A button with a `url` is a link.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Query, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::deeds::Deeds;
use super::door::{Door, Refusal, random_hex};
use super::log::{LogLine, LogQuery, LogReader};
use super::message::Body;
use super::room::{self, Room};
use super::{WORKSPACE, mention};
use crate::chat::{Incoming, IncomingKind, Intake, IntakeError};
use crate::ids::{ChannelId, MessageTs, ThreadKey, UserId};

/// The largest request body.
const BODY_BYTES: usize = 256 * 1024;

/// How long requests may take to end once the server stops.
const GRACE: Duration = Duration::from_millis(500);

/// The name of the person at the page.
const NAME: &str = "you";

/// On every answer.
const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What a browser without the token gets. The link helps when the printed address was opened from another page: the
/// browser keeps a strict cookie back on that first step.
const CLOSED: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <meta name=\"viewport\" content=\"width=device-width\"><title>CodeButler</title>\
    <p>This page opens with the address that <code>codebutler</code> printed when it started; it ends in \
    <code>/?t=…</code>.</p><p>If that is the one you opened, <a href=\"/\">continue</a>.</p></html>";

/// Everything that a request needs.
pub struct Site {
    pub door: Arc<Door>,
    pub room: Arc<Room>,
    pub intake: Arc<dyn Intake>,
    pub channel: ChannelId,
    pub title: String,
    pub notice: Option<String>,
    pub log: Arc<dyn LogReader>,
    pub deeds: Deeds,
    pub stop: CancellationToken,
}

/// Answers requests, and carries out what they change, until the site's token says stop.
pub async fn serve(listener: TcpListener, site: Site, carrying_out: impl Future<Output = ()>) -> io::Result<()> {
    let stop = site.stop.clone();
    let site = Arc::new(site);
    let router = Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/page.css", get(async || file("text/css", include_str!("page.css"))))
        .route("/page.js", get(async || file("text/javascript", include_str!("page.js"))))
        .route("/view.js", get(async || file("text/javascript", include_str!("view.js"))))
        .route("/icon.svg", get(async || file("image/svg+xml", include_str!("icon.svg"))))
        .route("/api/state", get(state))
        .route("/api/events", get(events))
        .route("/api/log", get(log))
        .route("/api/messages", post(say))
        .route("/api/press", post(press))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&site), guard))
        .with_state(site);
    let stopped = stop.clone();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async move { stopped.cancelled().await });
    let serving = async { serving.await };
    let both = futures_util::future::join(serving, carrying_out);
    tokio::select! {
        (ended, ()) = both => ended,
        // A connection that never finishes its request would keep the server for ever.
        () = async { stop.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    }
}

fn file(kind: &'static str, content: &'static str) -> Response {
    ([(header::CONTENT_TYPE, format!("{kind}; charset=utf-8"))], content).into_response()
}

/// Lets nobody through who does not belong here, and turns the token of the printed address into a cookie.
async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let door = &site.door;
    let api = request.uri().path().starts_with("/api/");
    let mut response = match door.check_place(&request) {
        Ok(()) if door.has_ticket(&request) => {
            ([(header::SET_COOKIE, door.set_cookie())], Redirect::to("/")).into_response()
        }
        Ok(()) => match door.check_token(request.headers()) {
            Ok(()) => next.run(request).await,
            Err(refusal) => refuse(refusal, api),
        },
        Err(refusal) => refuse(refusal, api),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refuse(refusal: Refusal, api: bool) -> Response {
    let text = match refusal {
        Refusal::Host => "This address is not served here. Open the address that codebutler printed.",
        Refusal::Origin => "Requests from other pages are refused.",
        Refusal::Token if !api => return (StatusCode::FORBIDDEN, Html(CLOSED)).into_response(),
        Refusal::Token => "The token is missing or wrong. Open the address that codebutler printed.",
    };
    error(StatusCode::FORBIDDEN, text)
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "error": text }))).into_response()
}

async fn state(State(site): State<Arc<Site>>) -> Json<Value> {
    let (version, threads) = site.room.read(|state| (state.version(), state.threads()));
    Json(json!({ "version": version, "title": site.title, "notice": site.notice, "threads": threads }))
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn events(
    State(site): State<Arc<Site>>,
    Query(query): Query<After>,
    headers: HeaderMap,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let changes = Arc::clone(&site.room).changes(last.unwrap_or(query.after), site.stop.clone());
    let events = changes.map(|change| {
        let data = serde_json::to_string(&change).expect("a change has only text keys");
        Ok(Event::default().id(change.version.to_string()).data(data))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn log(State(site): State<Arc<Site>>, Query(query): Query<LogQuery>) -> Json<Vec<LogLine>> {
    Json(site.log.read(&query))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    thread: Option<MessageTs>,
    text: String,
}

async fn say(State(site): State<Arc<Site>>, Json(said): Json<Said>) -> Response {
    let done = site.deeds.whole(take_said(Arc::clone(&site), said)).await;
    done.unwrap_or_else(stopping)
}

async fn take_said(site: Arc<Site>, said: Said) -> Response {
    if said.text.trim().is_empty() {
        return error(StatusCode::BAD_REQUEST, "Write something first.");
    }
    if let Some(thread) = &said.thread
        && !site.room.read(|state| state.has_thread(thread))
    {
        return no_thread();
    }
    let body = Body::said(said.text.trim());
    let (thread, ts) = site.room.write(|state| state.hold(said.thread, body, room::now()));
    let (text, to_bot) = mention::split(&said.text);
    let what = IncomingKind::Message { ts: ts.clone(), text: text.to_owned(), to_bot, files: Vec::new() };
    let accepted = accept(&site, thread.clone(), what, format!("local:{ts}")).await;
    site.room.write(|state| if accepted.is_ok() { state.show(&ts) } else { state.forget(&ts) });
    match accepted {
        Ok(()) => Json(json!({ "thread": thread, "ts": ts })).into_response(),
        Err(response) => response,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Press {
    thread: MessageTs,
    action: String,
    value: String,
}

async fn press(State(site): State<Arc<Site>>, Json(press): Json<Press>) -> Response {
    let done = site.deeds.whole(take_press(Arc::clone(&site), press)).await;
    done.unwrap_or_else(stopping)
}

async fn take_press(site: Arc<Site>, press: Press) -> Response {
    if !site.room.read(|state| state.has_thread(&press.thread)) {
        return no_thread();
    }
    let Ok(id) = random_hex() else {
        return error(StatusCode::SERVICE_UNAVAILABLE, "This machine has no randomness now. Press again.");
    };
    let what = IncomingKind::Pressed { action: press.action, value: press.value };
    site.room.write(|state| state.expect_post(&press.thread));
    match accept(&site, press.thread.clone(), what, format!("local-press:{id}")).await {
        Ok(()) => Json(json!({})).into_response(),
        Err(response) => {
            site.room.write(|state| state.expect_nothing(&press.thread));
            response
        }
    }
}

fn stopping() -> Response {
    error(StatusCode::SERVICE_UNAVAILABLE, "CodeButler is stopping. Start it again, then send this again.")
}

fn no_thread() -> Response {
    error(StatusCode::NOT_FOUND, "There is no such thread. Reload the page.")
}

/// Hands something to the daemon; the error is the answer to give.
async fn accept(site: &Site, thread: MessageTs, what: IncomingKind, dedupe: String) -> Result<(), Response> {
    let thread = ThreadKey { workspace: WORKSPACE.to_owned(), channel: site.channel.clone(), ts: thread };
    let incoming = Incoming { thread, from: UserId::local(), name: NAME.to_owned(), what, dedupe: vec![dedupe] };
    match site.intake.accept(incoming).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            tracing::error!(channel.id = %site.channel, "the page's channel is bound to no repository");
            Err(error(StatusCode::CONFLICT, "This chat is bound to no repository. Start it inside one."))
        }
        Err(IntakeError(cause)) => {
            tracing::error!(error = &*cause as &dyn std::error::Error, "the page's message could not be stored");
            Err(error(StatusCode::SERVICE_UNAVAILABLE, "It could not be stored. Look at the log, then try again."))
        }
    }
}
