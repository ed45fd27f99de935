//! Calls of Slack's Web API: the client, one try with a time limit, and what each error means.
//!
//! Knows nothing of posts or threads, and never repeats a call: the outbox does.

use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::{SlackClientHyperConnector, SlackHyperClient};
use slack_morphism::{ClientResult, SlackApiToken, SlackApiTokenValue, SlackClient};

use super::remedies;
use crate::chat::ChatError;

/// How long one call may take, all in all.
const TIMEOUT: Duration = Duration::from_secs(15);
/// How long to wait when Slack says "too fast" and not for how long.
const DEFAULT_PAUSE: Duration = Duration::from_secs(30);
/// Most characters of an error's code that go into a message.
const CODE: usize = 200;

/// The Web API with the bot's token.
pub struct WebApi {
    /// slack-morphism's client; Socket Mode opens its connections with it.
    pub client: std::sync::Arc<SlackHyperClient>,
    token: SlackApiToken,
}

impl WebApi {
    /// A client for `api_url` (`https://slack.com/api`). Fails when the system has no root certificates.
    pub fn new(api_url: &str, bot_token: &SecretString) -> std::io::Result<Self> {
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())?
            .https_or_http()
            .enable_http1()
            .build();
        let connector =
            SlackClientHyperConnector::with_connector(connector).with_slack_api_url(api_url.trim_end_matches('/'));
        Ok(Self { client: std::sync::Arc::new(SlackClient::new(connector)), token: token(bot_token) })
    }

    /// A method that reads JSON.
    pub async fn post<T: DeserializeOwned>(&self, method: &str, arguments: &Value) -> Result<T, ChatError> {
        self.post_as(&self.token, method, arguments).await
    }

    /// The same with another token.
    pub async fn post_as<T: DeserializeOwned>(
        &self,
        token: &SlackApiToken,
        method: &str,
        arguments: &(impl Serialize + Send + Sync),
    ) -> Result<T, ChatError> {
        let session = self.client.open_session(token);
        within(session.http_session_api.http_post(method, arguments, None)).await
    }

    /// A method that reads only query parameters.
    pub async fn get<T: DeserializeOwned>(&self, method: &str, parameters: &[(&str, &str)]) -> Result<T, ChatError> {
        let session = self.client.open_session(&self.token);
        let parameters: Vec<_> = parameters.iter().map(|(name, value)| (*name, Some(*value))).collect();
        within(session.http_session_api.http_get(method, &parameters, None)).await
    }

    /// Sends bytes to an address that Slack gave for an upload. Its answer is not JSON.
    pub async fn upload(&self, url: &str, bytes: &[u8]) -> Result<(), ChatError> {
        let Ok(url) = url.parse() else {
            return Err(ChatError::Refused { code: "invalid_upload_url".to_owned(), remedy: None });
        };
        let session = self.client.open_session(&self.token);
        let kind = "application/octet-stream".to_owned();
        let answer = session.http_session_api.http_post_uri_binary::<Value>(url, kind, bytes, None);
        timed(answer).await.map(|_| ())
    }
}

/// An answer that is of no use: Slack's own trouble, or a page of something on the way.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Trouble(String);

fn trouble(what: impl Into<String>) -> ChatError {
    ChatError::Unreachable(Trouble(what.into()).into())
}

/// Whether there was an answer all the same, so that the network is not what is missing.
pub fn was_answered(error: &ChatError) -> bool {
    match error {
        ChatError::Unreachable(reason) => reason.is::<Trouble>(),
        ChatError::RateLimited { .. } | ChatError::Refused { .. } => true,
    }
}

/// slack-morphism's form of a token.
pub fn token(secret: &SecretString) -> SlackApiToken {
    SlackApiToken::new(SlackApiTokenValue::new(secret.expose_secret().to_owned()))
}

/// Awaits an answer, checks that it says `ok`, and reads it.
async fn within<T: DeserializeOwned>(call: impl Future<Output = ClientResult<Value>>) -> Result<T, ChatError> {
    let answer = timed(call).await?;
    if answer["ok"] != Value::Bool(true) {
        // A page of some proxy, not Slack.
        return Err(trouble("the answer is not Slack's"));
    }
    serde_json::from_value(answer).map_err(|error| ChatError::Unreachable(error.into()))
}

async fn timed<T>(call: impl Future<Output = ClientResult<T>>) -> Result<T, ChatError> {
    match tokio::time::timeout(TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(meaning(error)),
        Err(_) => Err(ChatError::Unreachable(anyhow::anyhow!("no answer within {} s", TIMEOUT.as_secs()))),
    }
}

fn meaning(error: SlackClientError) -> ChatError {
    match error {
        SlackClientError::RateLimitError(limit) => too_fast(limit.retry_after),
        SlackClientError::ApiError(error) => match error.code.as_str() {
            "ratelimited" | "rate_limited" => too_fast(None),
            // Slack: "it's possible some aspect of the operation succeeded before the error was raised".
            "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" | "team_added_to_org" => {
                trouble(error.code)
            }
            code => ChatError::Refused {
                code: explained(code, error.http_response_body.as_deref()),
                remedy: remedies::remedy(code),
            },
        },
        SlackClientError::HttpError(error)
            if error.status_code.is_client_error() && !is_of_the_way(error.status_code.as_u16()) =>
        {
            ChatError::Refused { code: format!("http_{}", error.status_code.as_u16()), remedy: None }
        }
        SlackClientError::HttpError(error) => trouble(format!("HTTP status {}", error.status_code)),
        other => ChatError::Unreachable(other.into()),
    }
}

/// Whether a status comes from something between us and Slack, a proxy or a portal, and passes: Slack itself refuses by
/// an answer with a code. What it hits would be lost if it counted as refused.
fn is_of_the_way(status: u16) -> bool {
    matches!(status, 403 | 407 | 408 | 425)
}

fn too_fast(pause: Option<Duration>) -> ChatError {
    let pause = pause.unwrap_or(DEFAULT_PAUSE).max(Duration::from_secs(1));
    ChatError::RateLimited { retry_after_ms: u64::try_from(pause.as_millis()).unwrap_or(u64::MAX) }
}

/// The code with what Slack says beside it: the missing scope, the wrong argument.
fn explained(code: &str, body: Option<&str>) -> String {
    let answer: Value = body.and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default();
    let needed = answer["needed"].as_str().map(str::to_owned);
    let messages = answer["response_metadata"]["messages"].as_array();
    let detail = needed.or_else(|| Some(messages?.first()?.as_str()?.to_owned()));
    let explained = detail.map_or_else(|| code.to_owned(), |detail| format!("{code}: {detail}"));
    explained.chars().take(CODE).collect()
}
