//! Sends a request below async-openai and looks at what comes back before that library does: its own errors lose status
//! and headers, its retries know no budget, and the end of its streams does not say why they ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use tokio::time::{Instant, timeout};

use super::fault::{Fault, retry_after};

/// The largest reply that is taken, in bytes of the stream.
const LARGEST: usize = 64 << 20;
/// The longest line of a stream that is taken.
const LONGEST_LINE: usize = 4 << 20;

/// Sends one attempt's request.
#[derive(Clone)]
pub(super) struct Transport {
    pub(super) http: reqwest::Client,
    /// Goes past async-openai, which would serialise it again for each attempt.
    pub(super) body: Bytes,
    /// How long the server may be silent.
    pub(super) silence: Duration,
    pub(super) pulse: Arc<Pulse>,
}

/// What came in place of a stream.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoStream {
    #[error("the attempt failed")]
    Fault(Fault),
    #[error("the reply came whole")]
    Whole(Bytes),
}

impl From<NoStream> for OpenAIError {
    fn from(error: NoStream) -> Self {
        Self::Boxed(Box::new(error))
    }
}

/// When the bytes of a reply come and how they end, which is known below the events only.
#[derive(Default)]
pub(super) struct Pulse {
    /// `None` while they flow and when the reader stopped at the stream's `[DONE]`.
    end: Mutex<Option<End>>,
    /// When the last of them came.
    last: Mutex<Option<Instant>>,
    leftover: Leftover,
}

/// The body of the last reply, when its reader stopped at `[DONE]`. The few bytes that end a body often come a moment
/// later, and a body that is dropped before closes its connection: the next request would have to make a new one.
#[derive(Clone, Default)]
pub(super) struct Leftover(Arc<Mutex<Option<Pieces>>>);

type Pieces = BoxStream<'static, reqwest::Result<Bytes>>;

/// How the bytes of a stream ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    /// The server closed it.
    Closed,
    /// It broke, or the server fell silent.
    Fault(Fault),
}

impl Pulse {
    /// The pulse of an attempt, whose body is left there.
    pub(super) fn leaving_to(leftover: Leftover) -> Self {
        Self { leftover, ..Self::default() }
    }

    /// How the bytes ended, when they did.
    pub(super) fn end(&self) -> Option<End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether anything came since then.
    pub(super) fn beats_since(&self, then: Instant) -> bool {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|last| last > then)
    }

    fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn ended(&self, end: End) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }
}

impl tower_service::Service<HttpRequestFactory> for Transport {
    type Response = reqwest::Response;
    type Error = NoStream;
    type Future = BoxFuture<'static, Result<reqwest::Response, NoStream>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoStream>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let response = this.send(factory).await.map_err(NoStream::Fault)?;
            inspect(response, this.silence, this.pulse).await
        })
    }
}

impl Transport {
    async fn send(&self, factory: HttpRequestFactory) -> Result<reqwest::Response, Fault> {
        let mut request = factory.build().await.map_err(|error| Fault::lost(error.to_string()))?;
        *request.body_mut() = Some(self.body.clone().into());
        match timeout(self.silence, self.http.execute(request)).await {
            Ok(response) => response.map_err(|error| match error.is_connect() {
                true => Fault::Unreached { reason: root_cause(&error) },
                false => Fault::lost(root_cause(&error)),
            }),
            Err(_) => Err(Fault::Stalled(self.silence)),
        }
    }
}

/// Passes a stream on, watched; takes everything else for what it is.
pub(super) async fn inspect(
    response: reqwest::Response,
    silence: Duration,
    pulse: Arc<Pulse>,
) -> Result<reqwest::Response, NoStream> {
    let (parts, body) = http::Response::<reqwest::Body>::from(response).into_parts();
    let bytes = watched(reqwest::Response::from(http::Response::new(body)), silence, pulse);
    if parts.status.is_success() && is_event_stream(&parts.headers) {
        let errors = bytes.map(|piece| piece.map_err(|_| std::io::Error::other("the stream broke")));
        return Ok(http::Response::from_parts(parts, reqwest::Body::wrap_stream(errors)).into());
    }
    let body = collect(bytes).await;
    if parts.status.is_success() {
        return Err(body.map_or_else(NoStream::Fault, NoStream::Whole));
    }
    let header = |name| parts.headers.get(name).and_then(|value: &reqwest::header::HeaderValue| value.to_str().ok());
    let fault = match header(LOCATION) {
        Some(place) if parts.status.is_redirection() => Fault::Refused {
            status: parts.status.as_u16(),
            message: format!("it moved to {place}; set the base URL to where it is now"),
            retry_after: None,
        },
        Some(_) | None => {
            let after = header(RETRY_AFTER).and_then(retry_after);
            Fault::from_status(parts.status.as_u16(), &body.unwrap_or_default(), after)
        }
    };
    Err(NoStream::Fault(fault))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream")
}

/// The bytes of a response, noting each sign of life and how they end.
fn watched(
    response: reqwest::Response,
    silence: Duration,
    pulse: Arc<Pulse>,
) -> BoxStream<'static, Result<Bytes, Fault>> {
    let pieces = Some(response.bytes_stream().boxed());
    let state = Some(Flow { pieces, taken: 0, line: BytesMut::new(), done: false, pulse });
    unfold(state, move |state| async move {
        let mut flow = state?;
        let end = loop {
            // Who reads this yields to nobody by itself, as long as there is more to read.
            tokio::task::coop::consume_budget().await;
            match timeout(silence, flow.pieces.as_mut()?.next()).await {
                Ok(Some(Ok(piece))) => match flow.take(&piece) {
                    Ok(Some(lines)) => return Some((Ok(lines), Some(flow))),
                    Ok(None) => {}
                    Err(fault) => break End::Fault(fault),
                },
                Ok(Some(Err(error))) => break End::Fault(Fault::lost(root_cause(&error))),
                Ok(None) => break End::Closed,
                Err(_) => break End::Fault(Fault::Stalled(silence)),
            }
        };
        flow.pulse.ended(end.clone());
        flow.done = false;
        match end {
            End::Fault(fault) => Some((Err(fault), None)),
            End::Closed if flow.line.is_empty() => None,
            End::Closed => Some((Ok(flow.line.split().freeze()), None)),
        }
    })
    .boxed()
}

/// A body on its way.
struct Flow {
    pieces: Option<Pieces>,
    /// Bytes taken so far.
    taken: usize,
    /// The line that has not ended: below, it would be read from its beginning again with each piece that comes.
    line: BytesMut,
    /// Whether the last bytes were the stream's own end, and the body's end is still to come.
    done: bool,
    pulse: Arc<Pulse>,
}

impl Flow {
    /// Takes a piece; gives the lines that it ends.
    fn take(&mut self, piece: &Bytes) -> Result<Option<Bytes>, Fault> {
        self.pulse.beat();
        self.taken += piece.len();
        self.done = piece.trim_ascii_end().ends_with(b"[DONE]");
        let ended = piece.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')).map_or(0, |at| at + 1);
        let (lines, rest) = piece.split_at(ended);
        if self.taken > LARGEST || self.line.len() + rest.len() > LONGEST_LINE {
            let (what, most) = if self.taken > LARGEST { ("its reply", LARGEST) } else { ("a line", LONGEST_LINE) };
            return Err(Fault::Endless { reason: format!("{what} was longer than {} MiB and went on", most >> 20) });
        }
        let whole = self.line.is_empty().then(|| piece.slice(..ended));
        let lines = (ended > 0).then(|| {
            whole.unwrap_or_else(|| {
                self.line.extend_from_slice(lines);
                self.line.split().freeze()
            })
        });
        self.line.extend_from_slice(rest);
        Ok(lines)
    }
}

impl Drop for Flow {
    /// Any other body that is dropped early is one that nobody wants: its connection has to end with it.
    fn drop(&mut self) {
        if self.done {
            let mut leftover = self.pulse.leftover.0.lock().unwrap_or_else(PoisonError::into_inner);
            *leftover = self.pieces.take();
        }
    }
}

async fn collect(mut bytes: BoxStream<'static, Result<Bytes, Fault>>) -> Result<Bytes, Fault> {
    let mut body = BytesMut::new();
    while let Some(piece) = bytes.next().await {
        body.extend_from_slice(&piece?);
    }
    Ok(body.freeze())
}

/// The innermost reason of an error: reqwest's own words name the URL and not the cause.
pub(super) fn root_cause(error: &dyn std::error::Error) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
