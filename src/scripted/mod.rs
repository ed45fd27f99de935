//! A model server that plays a script: what `demo` and the tests talk to in place of a real model.
//!
//! It speaks OpenRouter's protocol over a real socket and is stricter than any real server: a request that breaks the
//! rules of `contract.md` 4 is answered with 400 and remembered as a violation. It never claims to be a real model.

mod reply;
mod request;
pub(crate) mod rules;

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Json;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::stream::unfold;
use serde_json::{Value, json};
use tokio::sync::watch;

use self::reply::Piece;
pub use self::reply::{ScriptedFault, ScriptedReply};
pub use self::request::{ScriptedCall, ScriptedMessage, ScriptedRequest};
use self::rules::Rules;

/// Says what the model answers.
pub trait Script: Send {
    /// The reply to a request that keeps the rules.
    fn reply(&mut self, request: &ScriptedRequest) -> ScriptedReply;
}

impl<F: FnMut(&ScriptedRequest) -> ScriptedReply + Send> Script for F {
    fn reply(&mut self, request: &ScriptedRequest) -> ScriptedReply {
        self(request)
    }
}

/// The server, bound to a free port of this machine.
pub struct ScriptedServer {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What the server has seen; stays usable while it serves and after.
#[derive(Clone)]
pub struct ScriptedLog(Arc<Shared>);

/// When a request that kept the rules came and went.
#[derive(Clone, Copy, Debug)]
pub struct ScriptedTimes {
    /// Its last byte was read.
    pub received: Instant,
    /// The stream of its reply ended, its last bytes about to be written; `None` while it flows, and for replies that
    /// are no stream.
    pub replied: Option<Instant>,
}

struct Shared {
    play: Mutex<Play>,
    release: watch::Sender<bool>,
}

struct Play {
    script: Box<dyn Script>,
    rules: Rules,
    requests: Vec<ScriptedRequest>,
    times: Vec<ScriptedTimes>,
    violations: Vec<String>,
    /// What `GET /models` says of a model beside its id.
    listed: BTreeMap<String, Value>,
    listings: usize,
}

impl ScriptedServer {
    /// Binds a free port. Requests are answered once [`ScriptedServer::serve`] runs.
    pub fn start(script: impl Script + 'static) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let play = Play {
            script: Box::new(script),
            rules: Rules::default(),
            requests: Vec::new(),
            times: Vec::new(),
            violations: Vec::new(),
            listed: BTreeMap::new(),
            listings: 0,
        };
        let shared = Arc::new(Shared { play: Mutex::new(play), release: watch::Sender::new(false) });
        Ok(Self { listener, address, shared })
    }

    /// Refuses requests without this key.
    #[must_use]
    pub fn expect_key(self, key: &str) -> Self {
        self.shared.play().rules.expect_key(key);
        self
    }

    /// Refuses requests for this model whose tools are not exactly these, in this order. Said again for the same model,
    /// it allows a further list; a request that begins a conversation may always carry no tools. Once said for any
    /// model, other models do not exist.
    #[must_use]
    pub fn expect_tools(self, model: &str, tools: &[&str]) -> Self {
        self.shared.play().rules.expect_tools(model, tools);
        self
    }

    /// Lists this model in `GET /models` with these members, such as `context_length` and `pricing`. Models that are
    /// known by their tools only are listed without a price.
    #[must_use]
    pub fn list(self, model: &str, members: Value) -> Self {
        self.shared.play().listed.insert(model.to_owned(), members);
        self
    }

    /// The base URL to configure: `http://127.0.0.1:PORT/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What the server sees from now on.
    pub fn log(&self) -> ScriptedLog {
        ScriptedLog(Arc::clone(&self.shared))
    }

    /// Serves until `stop` is done and the replies under way are sent; stalled ones go on then.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let app = Router::new()
            .route("/v1/chat/completions", post(complete))
            .route("/v1/models", get(models))
            .route("/v1/key", get(key))
            .layer(axum::extract::DefaultBodyLimit::disable())
            .with_state(Arc::clone(&self.shared));
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let shared = self.shared;
        let stopped = async move {
            stop.await;
            shared.release.send_replace(true);
        };
        axum::serve(listener, app).with_graceful_shutdown(stopped).await
    }
}

impl ScriptedLog {
    /// Broken rules, in words; each was answered with 400.
    pub fn violations(&self) -> Vec<String> {
        self.0.play().violations.clone()
    }

    /// The requests that kept the rules, in the order of their arrival.
    pub fn requests(&self) -> Vec<ScriptedRequest> {
        self.0.play().requests.clone()
    }

    /// When each of those came and was answered.
    pub fn times(&self) -> Vec<ScriptedTimes> {
        self.0.play().times.clone()
    }

    /// How often the models were listed.
    pub fn listings(&self) -> usize {
        self.0.play().listings
    }

    /// Lets all stalled replies go on, now and later.
    pub fn release(&self) {
        self.0.release.send_replace(true);
    }
}

impl Shared {
    /// A panicking script poisons nothing but its own request.
    fn play(&self) -> MutexGuard<'_, Play> {
        self.play.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn complete(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let received = Instant::now();
    let answer = shared.play().answer(&headers, &body, received);
    match answer {
        Ok((reply, request)) => {
            if reply.fault == Some(ScriptedFault::Silent) {
                drop(shared.release.subscribe().wait_for(|released| *released).await);
            }
            respond(&reply, &request, shared)
        }
        Err((status, reason)) => error(status, &reason),
    }
}

async fn models(State(shared): State<Arc<Shared>>) -> Response {
    let mut play = shared.play();
    play.listings += 1;
    let known = play.rules.models().map(|id| (id.to_owned(), json!({ "context_length": 200_000 })));
    let mut models: BTreeMap<String, Value> = known.collect();
    models.extend(play.listed.clone());
    let data: Vec<Value> = models
        .into_iter()
        .map(|(id, mut model)| {
            model["id"] = Value::String(id);
            model
        })
        .collect();
    Json(json!({ "data": data })).into_response()
}

async fn key(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    match shared.play().rules.check_key(&headers) {
        Ok(()) => Json(json!({"data": {"label": "scripted", "limit": null, "usage": 0}})).into_response(),
        Err(reason) => error(StatusCode::UNAUTHORIZED, &reason),
    }
}

impl Play {
    fn answer(
        &mut self,
        headers: &HeaderMap,
        body: &[u8],
        received: Instant,
    ) -> Result<(ScriptedReply, ScriptedRequest), (StatusCode, String)> {
        if let Err(reason) = self.rules.check_key(headers) {
            self.violations.push(reason.clone());
            return Err((StatusCode::UNAUTHORIZED, reason));
        }
        match self.rules.check(headers, body) {
            Ok(request) => {
                self.requests.push(request.clone());
                self.times.push(ScriptedTimes { received, replied: None });
                Ok((self.script.reply(&request), request))
            }
            Err(broken) => {
                let reason = broken.join("; ");
                self.violations.extend(broken);
                Err((StatusCode::BAD_REQUEST, reason))
            }
        }
    }
}

fn error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({"error": {"code": status.as_u16(), "message": message}}))).into_response()
}

fn respond(reply: &ScriptedReply, request: &ScriptedRequest, shared: Arc<Shared>) -> Response {
    let json = |body: String| ([(header::CONTENT_TYPE, "application/json")], body).into_response();
    match &reply.fault {
        Some(ScriptedFault::Status { code, body, retry_after }) => {
            let status = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body.clone()).into_response();
            if let Some(after) = retry_after.as_deref().and_then(|after| after.parse().ok()) {
                response.headers_mut().insert(header::RETRY_AFTER, after);
            }
            response
        }
        Some(ScriptedFault::Raw { code, headers, body }) => {
            let mut response = Response::new(Body::from(body.clone()));
            *response.status_mut() = StatusCode::from_u16(*code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            for (name, value) in headers {
                if let (Ok(name), Ok(value)) = (name.parse::<header::HeaderName>(), value.parse()) {
                    response.headers_mut().insert(name, value);
                }
            }
            response
        }
        Some(ScriptedFault::ErrorInBody { code, message }) => {
            json(json!({"error": {"code": code, "message": message}}).to_string())
        }
        Some(ScriptedFault::JsonInsteadOfSse) => json(reply.completion(request)),
        Some(
            ScriptedFault::ErrorMidStream { .. }
            | ScriptedFault::CutMidStream
            | ScriptedFault::ResetMidStream
            | ScriptedFault::Stall
            | ScriptedFault::Silent
            | ScriptedFault::EmptyStream
            | ScriptedFault::SlowChunks(_)
            | ScriptedFault::Endless(..),
        )
        | None => {
            let body = stream(reply.pieces(request), request.number, shared);
            ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
        }
    }
}

/// The pieces as a body; each is flushed by itself. At their end the reply to the request of this number is complete.
fn stream(pieces: Vec<Piece>, number: usize, shared: Arc<Shared>) -> Body {
    let release = shared.release.subscribe();
    let state = (VecDeque::from(pieces), release, shared);
    Body::from_stream(unfold(state, move |(mut pieces, mut release, shared)| async move {
        loop {
            let Some(piece) = pieces.pop_front() else {
                if let Some(times) = shared.play().times.get_mut(number) {
                    times.replied = Some(Instant::now());
                }
                return None;
            };
            match piece {
                Piece::Text(text) => return Some((Ok(Bytes::from(text)), (pieces, release, shared))),
                Piece::Pause(time) => tokio::time::sleep(time).await,
                Piece::Again(text, pause) => {
                    tokio::time::sleep(pause).await;
                    pieces.push_front(Piece::Again(text.clone(), pause));
                    return Some((Ok(Bytes::from(text)), (pieces, release, shared)));
                }
                Piece::Stall => drop(release.wait_for(|released| *released).await),
                Piece::Reset => return Some((Err(io::Error::other("cut by the script")), (pieces, release, shared))),
            }
        }
    }))
}

#[cfg(test)]
mod tests;
