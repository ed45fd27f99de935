//! What must be right before the daemon listens: both tokens, and the bot's membership in every bound channel.
//!
//! Collects every problem in one go. slack-morphism itself never reports a bad app token: it would retry in silence.

use futures_util::{StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;
use tracing::warn;

use super::SlackOptions;
use super::events::Own;
use super::web_api::{WebApi, token};
use crate::chat::ChatError;
use crate::ids::{ChannelId, UserId};

/// Channels that are checked at the same time.
const CHECKS: usize = 8;

/// Something that keeps the adapter from starting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartProblem {
    /// What is wrong, in one line.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// What Slack says of the bot's token.
pub struct Identity {
    /// Who we are.
    pub own: Own,
    /// The workspace's address, with a slash at its end.
    pub url: String,
}

#[derive(Deserialize)]
struct AuthTest {
    url: String,
    user: String,
    team_id: String,
    user_id: String,
    bot_id: Option<String>,
    enterprise_id: Option<String>,
}

#[derive(Deserialize)]
struct Opened {
    #[serde(rename = "url")]
    _url: String,
}

#[derive(Deserialize)]
struct ChannelInfo {
    channel: Channel,
}

#[derive(Deserialize)]
struct Channel {
    name: Option<String>,
    #[serde(default)]
    is_member: bool,
    #[serde(default)]
    is_archived: bool,
}

/// Checks everything; the identity when nothing is wrong.
pub async fn check(
    web: &WebApi,
    options: &SlackOptions,
    channels: &[(ChannelId, String)],
) -> Result<Identity, Vec<StartProblem>> {
    let app_token = token(&options.app_token);
    let nothing = json!({});
    let (bot, app) = tokio::join!(
        web.post::<AuthTest>("auth.test", &nothing),
        web.post_as::<Opened>(&app_token, "apps.connections.open", &nothing),
    );
    let bot = match (bot, app) {
        (Ok(bot), Ok(_)) => bot,
        (bot, app) => {
            let mut problems = Vec::new();
            problems.extend(bot.err().map(|error| bad_token(error, options, &BOT)));
            problems.extend(app.err().map(|error| bad_token(error, options, &APP)));
            problems.dedup();
            return Err(problems);
        }
    };
    let checks = channels.iter().map(|(id, name)| check_channel(web, &bot.user, id, name));
    let problems: Vec<_> = stream::iter(checks).buffered(CHECKS).filter_map(std::future::ready).collect().await;
    if !problems.is_empty() {
        return Err(problems);
    }
    let own = Own { team: bot.team_id, enterprise: bot.enterprise_id, user: UserId::new(bot.user_id), bot: bot.bot_id };
    Ok(Identity { own, url: format!("{}/", bot.url.trim_end_matches('/')) })
}

/// Words about one of the two tokens.
struct TokenWords {
    key: &'static str,
    hint: &'static str,
}

const BOT: TokenWords = TokenWords {
    key: "slack.botToken",
    hint: "at api.slack.com/apps, OAuth & Permissions, copy the Bot User OAuth Token (xoxb-…)",
};
const APP: TokenWords = TokenWords {
    key: "slack.appToken",
    hint: "at api.slack.com/apps, Basic Information, make an App-Level Token (xapp-…) with the scope connections:write, \
           and turn on Socket Mode",
};

fn bad_token(error: ChatError, options: &SlackOptions, words: &TokenWords) -> StartProblem {
    match error {
        ChatError::Refused { code, .. } if code.starts_with("http_") => StartProblem {
            what: format!("there is no Slack API at {} ({code})", options.api_url),
            hint: "check slack.apiUrl; Slack's own is https://slack.com/api".to_owned(),
        },
        ChatError::Refused { code, .. } => {
            StartProblem { what: format!("Slack refuses {} ({code})", words.key), hint: words.hint.to_owned() }
        }
        ChatError::RateLimited { retry_after_ms } => StartProblem {
            what: format!("Slack allows no connection for another {} s", retry_after_ms.div_ceil(1000)),
            hint: "wait and start again".to_owned(),
        },
        ChatError::Unreachable(reason) => StartProblem {
            what: format!("Slack cannot be reached at {} ({})", options.api_url, first_line(&reason)),
            hint: "check the network and slack.apiUrl".to_owned(),
        },
    }
}

fn first_line(reason: &anyhow::Error) -> String {
    let text = format!("{reason:#}");
    text.lines().next().unwrap_or_default().to_owned()
}

async fn check_channel(web: &WebApi, bot: &str, id: &ChannelId, name: &str) -> Option<StartProblem> {
    let (what, hint) = match web.get::<ChannelInfo>("conversations.info", &[("channel", id.as_str())]).await {
        Ok(ChannelInfo { channel }) => {
            let name = channel.name.as_deref().unwrap_or(name);
            if channel.is_archived {
                (format!("#{name} ({id}) is archived"), "unarchive it in Slack, or bind another channel".to_owned())
            } else if !channel.is_member {
                (format!("the bot is not in #{name} ({id})"), format!("in Slack, type /invite @{bot} there"))
            } else {
                return None;
            }
        }
        Err(ChatError::Refused { code, .. }) if code.starts_with("channel_not_found") => (
            format!("there is no channel {id} (#{name}) that the bot can see"),
            format!("check slack.channelID; if the channel is private, type /invite @{bot} there"),
        ),
        Err(ChatError::Refused { code, .. }) => (
            format!("Slack does not show #{name} ({id}): {code}"),
            "compare the app's scopes with the manifest and install the app again".to_owned(),
        ),
        Err(ChatError::Unreachable(reason)) => (
            format!("Slack did not answer for #{name} ({id}): {}", first_line(&reason)),
            "check the network and start again".to_owned(),
        ),
        // With very many channels Slack asks for patience; that says nothing against this one.
        Err(ChatError::RateLimited { .. }) => {
            warn!(channel = %id, "not checked whether the bot is in the channel: Slack asked to slow down");
            return None;
        }
    };
    Some(StartProblem { what, hint })
}
