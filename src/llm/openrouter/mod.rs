//! The model adapter for OpenRouter and every other OpenAI-compatible server: one request in, one whole reply out.
//!
//! A call (`call`) is attempts in an order that `course` decides, on the advice of the models' breakers. One attempt is
//! `attempt`; `transport` sends it below async-openai, `chunk` and `assembly` read the stream (arguments are checked by
//! `agent::repair`), `fault` knows what may help after a failure.

mod assembly;
mod attempt;
mod body;
mod call;
mod catalogue;
mod chunk;
mod course;
mod endpoint;
mod fault;
mod halves;
mod transport;

use std::sync::Arc;
use std::time::Duration;

use async_openai::config::Config;
use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use self::attempt::{Attempt, Limits};
use self::call::{Call, SharedBreakers};
use self::course::Patience;
use self::endpoint::Endpoint;
use self::fault::Fault;
use self::transport::{Leftover, root_cause};
use super::{ChatModel, ModelError, ModelRequest};
use crate::agent::Catalogue;
use crate::thread::event::Reply;

/// How to reach a model server and how patient to be.
#[derive(Clone, Debug)]
pub struct OpenRouterOptions {
    /// The address before `/chat/completions`: `https://openrouter.ai/api/v1`.
    pub base_url: String,
    /// The key; none for servers that need none.
    pub api_key: Option<SecretString>,
    /// How long a server may be silent, comments counting as life, before the attempt is given up.
    pub stall: Duration,
    /// The first pause between attempts; each further one is twice as long, and all are jittered.
    pub retry_base: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How often one request is tried.
    pub max_attempts: u32,
    /// How long one request may take beyond the time in which a model was writing, and beyond the first attempt's
    /// silence: pauses and further attempts.
    pub max_extra: Duration,
    /// How long a model rests that failed three times in a row.
    pub breaker: Duration,
}

impl OpenRouterOptions {
    /// The limits of `contract.md` 4 and 2 for a server.
    pub fn new(base_url: impl Into<String>, api_key: Option<SecretString>) -> Self {
        Self {
            base_url: base_url.into(),
            api_key,
            stall: Duration::from_secs(60),
            retry_base: Duration::from_millis(500),
            connect_timeout: Duration::from_secs(10),
            max_attempts: 6,
            max_extra: Duration::from_secs(150),
            breaker: Duration::from_secs(300),
        }
    }

    fn patience(&self) -> Patience {
        let Self { retry_base, max_attempts, stall, max_extra, .. } = *self;
        Patience { retry_base, max_attempts, stall, max_extra }
    }
}

/// Why there can be no connection to a server at all.
#[derive(Debug, thiserror::Error)]
pub enum OpenRouterError {
    /// The base URL is not an http or https address.
    #[error("`{url}` is not an http or https address")]
    Url {
        /// What was configured.
        url: String,
    },
    /// The key has characters that no header can carry, such as a line break.
    #[error("the API key has characters that cannot be sent")]
    Key,
    /// The HTTP client could not be built.
    #[error("the HTTP client could not be built")]
    Client(#[source] reqwest::Error),
}

/// A model server.
pub struct OpenRouter {
    http: reqwest::Client,
    endpoint: Arc<Endpoint>,
    options: OpenRouterOptions,
    leftover: Leftover,
    breakers: SharedBreakers,
}

impl OpenRouter {
    /// Prepares the connection; nothing is sent. A TLS provider of the process must be installed before.
    pub fn new(options: OpenRouterOptions) -> Result<Self, OpenRouterError> {
        let endpoint = Endpoint::new(&options.base_url, options.api_key.clone())?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(options.connect_timeout)
            // A redirected POST would come back as a GET: better to say where the server moved.
            .redirect(reqwest::redirect::Policy::none());
        if endpoint.is_loopback() {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(OpenRouterError::Client)?;
        let breakers = SharedBreakers::new(options.breaker);
        Ok(Self { http, endpoint: Arc::new(endpoint), options, leftover: Leftover::default(), breakers })
    }

    fn attempt(&self, body: &bytes::Bytes, limits: Limits) -> Attempt {
        let config: Arc<dyn Config> = self.endpoint.clone();
        Attempt::new(self.http.clone(), config, body.clone(), limits, self.leftover.clone())
    }

    /// The body of the server's answer to a `GET`.
    async fn get(&self, path: &str) -> Result<bytes::Bytes, Fault> {
        let lost = |error: reqwest::Error| Fault::lost(root_cause(&error));
        let request = self.http.get(self.endpoint.url(path)).headers(self.endpoint.headers());
        let mut response = request.timeout(catalogue::PATIENCE).send().await.map_err(lost)?;
        let mut body = bytes::BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(lost)? {
            if body.len() + piece.len() > catalogue::LARGEST {
                return Err(Fault::lost("the answer is too large"));
            }
            body.extend_from_slice(&piece);
        }
        let status = response.status();
        if status.is_success() { Ok(body.freeze()) } else { Err(Fault::from_status(status.as_u16(), &body, None)) }
    }

    /// The error without the key, which some servers repeat.
    fn without_key(&self, mut fault: Fault) -> Fault {
        if let Some(key) = self.options.api_key.as_ref().map(|key| key.expose_secret()).filter(|key| !key.is_empty()) {
            fault.replace(key, "[key]");
        }
        fault
    }
}

#[async_trait]
impl ChatModel for OpenRouter {
    async fn complete(&self, request: ModelRequest) -> Result<Reply, ModelError> {
        Call::new(self, &request).run().await
    }

    async fn list_models(&self) -> Result<Catalogue, ModelError> {
        let listed = self.get("/models").await.and_then(|body| catalogue::read(&body));
        listed.map_err(|fault| self.without_key(fault).into_error(1))
    }
}

#[cfg(test)]
mod tests;
