//! The model port: one request, one complete reply. `openrouter/` implements it for every OpenAI-compatible server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use serde_json::value::RawValue;

pub mod breaker;
pub mod failure;
pub mod openrouter;
pub mod too_long;
pub mod transcript;
mod wire;

use crate::agent::{Catalogue, Usage};
use crate::thread::event::Reply;

/// One request to a model. The conversation is kept serialised: it only grows.
#[derive(Clone, Debug)]
pub struct ModelRequest {
    /// The model's slug.
    pub model: String,
    /// The `messages` array as JSON text.
    pub messages: Bytes,
    /// The `tools` array as JSON text; `None` sends none.
    pub tools: Option<Arc<RawValue>>,
    /// Forbid tool calls in this turn; the list stays, for the cache.
    pub no_tools: bool,
    /// A stable key of the conversation, for servers that route by it to keep their cache.
    pub cache_key: String,
    /// Whether a reply without text and calls is one: the role has said what it had to say by a tool.
    pub may_be_empty: bool,
    /// What is asked when the model fails.
    pub fallback: Fallback,
    /// Where attempts are written down that bring nothing.
    pub bill: Bill,
}

/// Takes what each attempt of a call used that brought no reply, model by model: at once, so that it is known whatever
/// becomes of the call, also when it is dropped in the middle. Of an attempt whose cost nobody said, one call of unknown
/// cost. (When the process is killed, nobody writes it down; the call is then simply made again.)
#[derive(Clone, Default)]
pub struct Bill(Option<Arc<Taker>>);

/// Takes the model and what it used.
type Taker = dyn Fn(&str, Usage) + Send + Sync;

impl Bill {
    /// A bill that is read at once.
    pub fn new(take: impl Fn(&str, Usage) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(take)))
    }

    /// An attempt at this model brought nothing and used this.
    pub fn add(&self, model: &str, usage: Usage) {
        if let Some(take) = &self.0 {
            take(model, usage);
        }
    }
}

impl fmt::Debug for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Bill")
    }
}

/// Models that are asked in this order when the first one fails. The same conversation differs between models (their own
/// reasoning, cache marks), so its bytes are made when a model is really asked.
#[derive(Clone, Default)]
pub struct Fallback {
    /// Their slugs.
    pub models: Vec<String>,
    messages: Option<Messages>,
}

/// Makes the `messages` array for a model.
type Messages = Arc<dyn Fn(&str) -> Bytes + Send + Sync>;

impl Fallback {
    /// These models; `messages` gives the conversation's bytes for one of them.
    pub fn new(models: Vec<String>, messages: impl Fn(&str) -> Bytes + Send + Sync + 'static) -> Self {
        Self { models, messages: Some(Arc::new(messages)) }
    }
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.models.fmt(f)
    }
}

impl ModelRequest {
    /// The same request to the fallback of this number, from 0.
    fn for_fallback(&self, number: usize) -> Option<Self> {
        let model = self.fallback.models.get(number)?;
        let messages = self.fallback.messages.as_ref()?(model);
        Some(Self { model: model.clone(), messages, fallback: Fallback::default(), ..self.clone() })
    }
}

/// Asks a model.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// Sends the request, retries what may be retried, and returns the whole reply. Dropping the future cancels it.
    async fn complete(&self, request: ModelRequest) -> Result<Reply, ModelError>;

    /// What the server says of its models: context lengths and list prices. Asks once; empty when it tells nothing.
    async fn list_models(&self) -> Result<Catalogue, ModelError> {
        Ok(Catalogue::default())
    }
}

/// Why no reply came. Each variant is one thing that a person can do something about.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The server could not be reached, or broke off, on every attempt.
    #[error("the model service cannot be reached after {attempts} attempts: {reason}")]
    Unreachable {
        /// How often it was tried.
        attempts: u32,
        /// The last reason.
        reason: String,
    },
    /// The key is missing or wrong (401).
    #[error("the model service does not accept the key (401): {message}")]
    BadKey {
        /// The server's words.
        message: String,
    },
    /// No credit is left (402).
    #[error("the model service refuses calls for lack of credit (402): {message}")]
    NoCredit {
        /// The server's words.
        message: String,
    },
    /// The request was refused, as by the key's limits (403).
    #[error("the model service refused the request (403): {message}")]
    Forbidden {
        /// The server's words.
        message: String,
    },
    /// A content filter or moderation held the request or the answer back.
    #[error("a content filter held it back: {message}")]
    Filtered {
        /// Its words.
        message: String,
    },
    /// Too many requests, still after waiting, or for longer than is waited (429).
    #[error("the model service is rate limited (429): {message}")]
    RateLimited {
        /// The server's words.
        message: String,
        /// When it wants to be asked again.
        after: Option<Duration>,
    },
    /// The conversation is longer than the model's context.
    #[error("the conversation is too long for the model: {message}")]
    TooLong {
        /// The server's words.
        message: String,
    },
    /// The model said and did nothing, on every attempt.
    #[error("the model gave an empty answer after {attempts} attempts")]
    Empty {
        /// How often it was asked.
        attempts: u32,
    },
    /// The output limit was reached before the model said anything.
    #[error("the model used up its output limit before it said anything, {attempts} times")]
    UsedUp {
        /// How often it was asked.
        attempts: u32,
    },
    /// The model wrote on and on.
    #[error("the model came to no end: {reason}")]
    Endless {
        /// How far it got.
        reason: String,
    },
    /// The model failed, and so did what was asked in its place.
    #[error("{first}; the fallback `{model}` failed too: {last}")]
    Fallbacks {
        /// Why the model that was meant failed.
        first: Box<Self>,
        /// The last fallback that was asked.
        model: String,
        /// Why it failed.
        last: Box<Self>,
    },
    /// The model does not exist or is not to be had (404, 503).
    #[error("the model is not available: {message}")]
    NoSuchModel {
        /// The server's words.
        message: String,
    },
    /// Any other refusal (400 and the like): the same request would be refused again.
    #[error("the model service refused the request ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The server's words.
        message: String,
    },
}
