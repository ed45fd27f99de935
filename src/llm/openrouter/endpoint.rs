//! Where a server is and what every request to it carries. Takes nothing from the environment, unlike async-openai's own
//! configuration, which would send an organisation meant for another service.

use async_openai::config::Config;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

use super::OpenRouterError;

/// Which members beyond the common ones a server's requests may have: strict servers refuse those they do not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// openrouter.ai.
    OpenRouter,
    /// api.openai.com.
    OpenAi,
    /// llama.cpp, Ollama, vLLM and all others.
    Plain,
}

/// A server's address, key and dialect.
pub(super) struct Endpoint {
    base: String,
    key: SecretString,
    headers: HeaderMap,
    dialect: Dialect,
    loopback: bool,
}

impl Endpoint {
    pub(super) fn new(base_url: &str, key: Option<SecretString>) -> Result<Self, OpenRouterError> {
        let wrong = || OpenRouterError::Url { url: base_url.to_owned() };
        let url = Url::parse(base_url.trim()).map_err(|_| wrong())?;
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https")).ok_or_else(wrong)?;
        let dialect = match host {
            "openrouter.ai" => Dialect::OpenRouter,
            "api.openai.com" => Dialect::OpenAi,
            _ => Dialect::Plain,
        };
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
        let key = key.unwrap_or_default();
        let headers = headers(&key, dialect)?;
        Ok(Self { base: url.as_str().trim_end_matches('/').to_owned(), key, headers, dialect, loopback })
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether the server is on this machine, where no proxy can reach it.
    pub(super) fn is_loopback(&self) -> bool {
        self.loopback
    }
}

fn headers(key: &SecretString, dialect: Dialect) -> Result<HeaderMap, OpenRouterError> {
    let mut headers = HeaderMap::new();
    if !key.expose_secret().is_empty() {
        let mut value =
            HeaderValue::from_str(&format!("Bearer {}", key.expose_secret())).map_err(|_| OpenRouterError::Key)?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    if dialect == Dialect::OpenRouter {
        headers.insert(HeaderName::from_static("x-title"), HeaderValue::from_static("CodeButler"));
    }
    Ok(headers)
}

impl Config for Endpoint {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base
    }

    fn api_key(&self) -> &SecretString {
        &self.key
    }
}
