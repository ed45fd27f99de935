//! What single values must look like: addresses, model slugs, ids, tokens, hosts, the commit author.
//!
//! Each returns what is wrong and what to do; none knows keys or files, and none quotes a secret.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};

use crate::config::settings::Author;

/// What is wrong with a value, and what to do.
pub(super) type Fault = (String, String);

fn fault<T>(what: impl Into<String>, fix: impl Into<String>) -> Result<T, Fault> {
    Err((what.into(), fix.into()))
}

/// An http address, without a slash at its end.
pub(super) fn address(text: &str) -> Result<String, Fault> {
    let example = "write it like https://example.com/api/v1";
    match reqwest::Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "http" | "https") => fault("is not an http address", example),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            fault("holds a user name or password", "use the key that is meant for it")
        }
        Ok(url) if url.query().is_some() || url.fragment().is_some() => {
            fault("has a part after ? or #", "write the address without it")
        }
        Ok(_) => Ok(text.trim_end_matches('/').to_owned()),
        Err(_) => fault("is not an address", example),
    }
}

/// An http address as the command line gives it, without a slash at its end; the error is for people.
pub fn address_of_server(text: &str) -> Result<String, String> {
    address(text).map_err(|(what, fix)| format!("it {what}; {fix}"))
}

/// Whether a checked address is one of openrouter.ai.
pub(super) fn is_openrouter(address: &str) -> bool {
    let host = reqwest::Url::parse(address).ok().and_then(|url| url.host_str().map(str::to_owned));
    host.is_some_and(|host| host == "openrouter.ai" || host.ends_with(".openrouter.ai"))
}

/// A model's name at its server.
pub(super) fn slug(text: &str) -> Result<String, Fault> {
    if text.is_empty() {
        return fault("is empty", "write the model's slug, like moonshotai/kimi-k2");
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return fault(format!("`{text}` has a blank in it"), "write the slug exactly as the server lists it");
    }
    Ok(text.to_owned())
}

/// A secret that can be sent in a header and is no placeholder. `kinds`: beginnings of tokens of another kind, each
/// with its name.
pub(super) fn token(secret: &SecretString, kinds: &[(&str, &str)]) -> Result<(), Fault> {
    let text = secret.expose_secret();
    if text.is_empty() {
        return fault("is empty", "paste it, or remove the key");
    }
    if let Some((_, kind)) = kinds.iter().find(|(start, _)| text.starts_with(start)) {
        return fault(format!("holds {kind}"), "put the right token here; README.md says where each comes from");
    }
    if text.ends_with("...") || !text.chars().all(|c| c.is_ascii_graphic()) {
        return fault("is a placeholder or was not copied whole", "paste it again, without blanks around it");
    }
    Ok(())
}

/// A Slack user's id.
pub(super) fn user(text: &str) -> Result<(), Fault> {
    if slack_id(text, &['U', 'W']) {
        return Ok(());
    }
    fault(format!("`{text}` is not a Slack user id (U…)"), "in Slack: the person's profile › ⋮ › Copy member ID")
}

/// A Slack channel's id.
pub(super) fn channel(text: &str) -> Result<(), Fault> {
    if slack_id(text, &['C', 'G']) {
        return Ok(());
    }
    fault(
        format!("`{text}` is not a Slack channel id (C… or G…)"),
        "in Slack: the channel's name › About › Channel ID, at the bottom",
    )
}

fn slack_id(text: &str, first: &[char]) -> bool {
    text.len() > 1 && text.starts_with(first) && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
}

/// `Name <mail>`.
pub(super) fn author(text: &str) -> Result<Author, Fault> {
    let parts = text.trim().strip_suffix('>').and_then(|rest| rest.split_once('<'));
    let parts = parts.map(|(name, email)| (name.trim(), email.trim()));
    let clean = |part: &str| !part.is_empty() && !part.contains(|c: char| c.is_control() || matches!(c, '<' | '>'));
    match parts {
        Some((name, email))
            if clean(name)
                && clean(email)
                && !email.contains(char::is_whitespace)
                && email.split_once('@').is_some_and(|(user, host)| !user.is_empty() && !host.is_empty()) =>
        {
            Ok(Author { name: name.to_owned(), email: email.to_owned() })
        }
        _ => fault(format!("`{text}` is not a commit author"), "write it like: CodeButler <codebutler@example.com>"),
    }
}

/// An absolute path.
pub(super) fn absolute(text: &str) -> Result<PathBuf, Fault> {
    if Path::new(text).is_absolute() {
        return Ok(PathBuf::from(text));
    }
    fault(format!("`{text}` is not an absolute path"), "write it from / on; ${HOME}/… works too")
}

/// A host's name, perhaps with `*.` before it or a port after it.
pub(super) fn host(text: &str) -> Result<(), Fault> {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let (name, port) = name.rsplit_once(':').map_or((name, None), |(name, port)| (name, Some(port)));
    let labels_fit = name
        .split('.')
        .all(|label| !label.is_empty() && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_')));
    if labels_fit && port.is_none_or(|port| port.parse::<u16>().is_ok()) {
        return Ok(());
    }
    fault(format!("`{text}` is not a host"), "write a name like example.com, without https:// and without a path")
}

/// A loopback address with port. Others on the network must not reach the page: nothing but a token in its address
/// protects it.
pub fn loopback(text: &str) -> Result<SocketAddr, Fault> {
    let example = "write it like 127.0.0.1:7788; port 0 takes a free one";
    let with_localhost = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
    let address = match with_localhost {
        Some(port) => SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        None => match text.parse::<SocketAddr>() {
            Ok(address) => address,
            Err(_) => return fault(format!("`{text}` is not an address with a port"), example),
        },
    };
    if address.ip().is_loopback() {
        return Ok(address);
    }
    fault(format!("`{text}` can be reached from other machines"), example)
}

/// The name of a branch, or the beginning of one.
pub(super) fn branch(text: &str) -> bool {
    git2::Branch::name_is_valid(text).unwrap_or(false)
}

/// A sum of money.
pub(super) fn usd(amount: f64) -> Result<f64, Fault> {
    if amount.is_finite() && amount > 0.0 {
        return Ok(amount);
    }
    fault(format!("is {amount}, so no model could ever be asked"), "write an amount in US dollars above 0")
}
