//! The global file: from what was written to settings.

use std::time::Duration;

use crate::agent::Role;
use crate::config::expand::is_name;
use crate::config::problem::Problems;
use crate::config::{Need, raw, settings};
use crate::ids::UserId;

use super::value::{self, Fault};

/// Tokens of another kind than the bot token.
const NOT_BOT: &[(&str, &str)] = &[("xapp-", "an app-level token (xapp-…)"), ("xoxp-", "a user token (xoxp-…)")];
/// Tokens of another kind than the app-level token.
const NOT_APP: &[(&str, &str)] = &[("xoxb-", "a bot token (xoxb-…)"), ("xoxp-", "a user token (xoxp-…)")];

/// Checks the whole file.
pub(in crate::config) fn global(file: raw::GlobalFile, need: Need, problems: &mut Problems<'_>) -> settings::Global {
    image_server(&file.openai, problems);
    search(&file.search, problems);
    mcp(&file.mcp, problems);
    take(problems, "web.listen", value::loopback(&file.web.listen));
    settings::Global {
        slack: slack(file.slack, need, problems),
        openrouter: model_server(file.openrouter, problems),
        access: settings::Access {
            allowed: users(file.access.allowed_users, "access.allowedUsers", problems),
            approvers: users(file.access.approvers, "access.approvers", problems),
        },
        limits: limits(&file.limits, problems),
        sandbox: sandbox(file.sandbox, problems),
        author: take(problems, "git.author", value::author(&file.git.author))
            .unwrap_or_else(|| settings::Author { name: String::new(), email: String::new() }),
        timing: timing(&file.timing),
        turns: settings::Turns {
            pm: file.turns.pm,
            coder: file.turns.coder,
            lead: file.turns.lead,
            researcher: file.turns.researcher,
        },
        repos: paths(&file.repos, "repos", problems),
    }
}

/// The value, or a problem under this key, unless there is one already: the value is then not what was written.
pub(super) fn take<T>(problems: &mut Problems<'_>, key: impl Into<String>, value: Result<T, Fault>) -> Option<T> {
    match value {
        Ok(value) => Some(value),
        Err((what, fix)) => {
            let key = key.into();
            if !problems.about(&key) {
                problems.add(key, what, fix);
            }
            None
        }
    }
}

fn slack(file: raw::SlackApp, need: Need, problems: &mut Problems<'_>) -> settings::SlackApp {
    let tokens = [
        ("slack.botToken", &file.bot_token, NOT_BOT, "OAuth & Permissions › Bot User OAuth Token (xoxb-…)"),
        ("slack.appToken", &file.app_token, NOT_APP, "Basic Information › App-Level Tokens (xapp-…)"),
    ];
    for (key, token, others, place) in tokens {
        match token {
            Some(token) => {
                take(problems, key, value::token(token, others));
            }
            None if need == Need::Slack && !problems.about(key) => {
                let fix = format!("copy it from your Slack app's page: {place}; `codebutler chat` needs none");
                problems.add(key, "is missing", fix);
            }
            None => {}
        }
    }
    settings::SlackApp {
        bot_token: file.bot_token,
        app_token: file.app_token,
        api_url: take(problems, "slack.apiUrl", value::address(&file.api_url)).unwrap_or_default(),
    }
}

fn model_server(file: raw::ModelServer, problems: &mut Problems<'_>) -> settings::ModelServer {
    let base_url = take(problems, "openrouter.baseUrl", value::address(&file.base_url)).unwrap_or_default();
    match &file.api_key {
        Some(key) => {
            take(problems, "openrouter.apiKey", value::token(key, &[]));
        }
        None if value::is_openrouter(&base_url) && !problems.about("openrouter.apiKey") => problems.add(
            "openrouter.apiKey",
            "is missing",
            "make a key at openrouter.ai and write it or ${OPENROUTER_API_KEY} here; \
             or set openrouter.baseUrl to a server that needs none",
        ),
        None => {}
    }
    settings::ModelServer { api_key: file.api_key, base_url }
}

fn image_server(file: &raw::ImageServer, problems: &mut Problems<'_>) {
    take(problems, "openai.baseUrl", value::address(&file.base_url));
    if let Some(key) = &file.api_key {
        take(problems, "openai.apiKey", value::token(key, &[]));
    }
}

fn search(file: &raw::Search, problems: &mut Problems<'_>) {
    use raw::SearchProvider::{Brave, Openrouter, Searxng, Tavily};
    match (file.provider, &file.api_key, &file.base_url) {
        (Brave | Tavily, None, _) if !problems.about("search.apiKey") => {
            problems.add(
                "search.apiKey",
                "is missing",
                "write the provider's key, or set search.provider to openrouter",
            );
        }
        (Searxng, _, None) if !problems.about("search.baseUrl") => {
            problems.add("search.baseUrl", "is missing", "write your SearXNG's address, like http://127.0.0.1:8888");
        }
        (Openrouter | Brave | Tavily | Searxng, _, _) => {}
    }
    if let Some(key) = &file.api_key {
        take(problems, "search.apiKey", value::token(key, &[]));
    }
    if let Some(address) = &file.base_url {
        take(problems, "search.baseUrl", value::address(address));
    }
}

fn users(ids: Vec<String>, key: &str, problems: &mut Problems<'_>) -> Vec<UserId> {
    let mut users = Vec::with_capacity(ids.len());
    for (index, id) in ids.into_iter().enumerate() {
        if take(problems, format!("{key}[{index}]"), value::user(&id)).is_some() {
            users.push(UserId::new(id));
        }
    }
    users
}

fn limits(file: &raw::GlobalLimits, problems: &mut Problems<'_>) -> settings::GlobalLimits {
    settings::GlobalLimits {
        per_thread_usd: take(problems, "limits.perThreadUsd", value::usd(file.per_thread_usd)).unwrap_or_default(),
        per_day_usd: take(problems, "limits.perDayUsd", value::usd(file.per_day_usd)).unwrap_or_default(),
        calls_per_user_per_hour: file.calls_per_user_per_hour,
        max_concurrent_threads: file.max_concurrent_threads,
    }
}

fn sandbox(file: raw::Sandbox, problems: &mut Problems<'_>) -> settings::Sandbox {
    hosts(&file.network, "sandbox.network", problems);
    settings::Sandbox {
        minimum: file.minimum,
        allow_root: file.allow_root,
        read_paths: paths(&file.read_paths, "sandbox.readPaths", problems),
        network: file.network,
    }
}

fn mcp(servers: &std::collections::BTreeMap<String, raw::McpGrant>, problems: &mut Problems<'_>) {
    for (name, grant) in servers {
        hosts(&grant.network, &format!("mcp.{name}.network"), problems);
        for (index, variable) in grant.env.iter().enumerate() {
            if !is_name(variable) {
                let what = format!("`{variable}` is not the name of a variable");
                problems.add(format!("mcp.{name}.env[{index}]"), what, "write its name only, like GITHUB_TOKEN");
            }
        }
        for (index, role) in grant.roles.iter().enumerate() {
            if !Role::ALL.iter().any(|known| known.key() == role) {
                let roles = Role::ALL.map(Role::key).join(", ");
                problems.add(
                    format!("mcp.{name}.roles[{index}]"),
                    format!("`{role}` is not a role"),
                    format!("write one of {roles}"),
                );
            }
        }
    }
}

fn hosts(hosts: &[String], key: &str, problems: &mut Problems<'_>) {
    for (index, host) in hosts.iter().enumerate() {
        take(problems, format!("{key}[{index}]"), value::host(host));
    }
}

fn paths(paths: &[String], key: &str, problems: &mut Problems<'_>) -> Vec<std::path::PathBuf> {
    let taken = |(index, path): (usize, &String)| take(problems, format!("{key}[{index}]"), value::absolute(path));
    paths.iter().enumerate().filter_map(taken).collect()
}

fn timing(file: &raw::Timing) -> settings::Timing {
    settings::Timing {
        accumulation: Duration::from_millis(file.accumulation_ms),
        worker_idle: Duration::from_millis(file.worker_idle_ms),
        stall: Duration::from_millis(file.stall_ms),
        retry_base: Duration::from_millis(file.retry_base_ms),
        breaker: Duration::from_millis(file.breaker_ms),
        stop_grace: Duration::from_millis(file.stop_grace_ms),
        poll: Duration::from_millis(file.poll_ms),
        bash_timeout: Duration::from_millis(file.bash_timeout_ms),
    }
}
