//! What the fake shows of what was said before: `conversations.history` and `conversations.replies`, by page.

use serde_json::{Value, json};

use super::BOT_USER;
use super::state::{Message, State};
use super::web_methods::{Answer, text};

/// A channel's messages without the replies, the newest first.
pub fn history(state: &State, arguments: &Value) -> Answer {
    let window = Window::read(arguments, &["channel", "limit", "oldest", "latest", "inclusive", "cursor"], state.page)?;
    let channel = text(arguments, "channel")?;
    let known = state.channels.get(channel).ok_or("channel_not_found")?;
    if !known.members.contains(BOT_USER) {
        return Err("not_in_channel".to_owned());
    }
    let mut shown: Vec<&Message> = state
        .messages
        .iter()
        .filter(|message| message.channel == channel && is_shown(state, message))
        .filter(|message| is_first(message) && window.has(message))
        .collect();
    shown.sort_by(|one, other| other.ts.cmp(&one.ts));
    let after = shown.iter().position(|message| window.cursor.as_ref().is_none_or(|cursor| message.ts < *cursor));
    let rest = after.map_or(&[][..], |after| &shown[after..]);
    let page: Vec<Value> = rest.iter().take(window.limit).map(|message| with_replies(state, message)).collect();
    let next = rest.get(window.limit).map(|_| format!("past-{}", rest[window.limit - 1].ts)).unwrap_or_default();
    Ok(shown_page(state, page, next))
}

/// A thread, the oldest first; its first message opens every page.
pub fn replies(state: &State, arguments: &Value) -> Answer {
    let names = ["channel", "ts", "limit", "oldest", "latest", "inclusive", "cursor", "include_all_metadata"];
    let window = Window::read(arguments, &names, state.page)?;
    let (channel, ts) = (text(arguments, "channel")?, text(arguments, "ts")?);
    state.channels.get(channel).filter(|channel| channel.members.contains(BOT_USER)).ok_or("channel_not_found")?;
    let is_asked = |message: &&Message| message.channel == channel && message.ts == ts && is_shown(state, message);
    let asked = state.messages.iter().find(is_asked).ok_or("thread_not_found")?;
    let all: Vec<Message> = match &asked.thread_ts {
        // Asked for a reply, Slack gives that reply alone.
        Some(root) if root != ts => vec![asked.clone()],
        _ => state.thread(ts),
    };
    let mut shown: Vec<&Message> = all.iter().filter(|message| message.ts != ts && window.has(message)).collect();
    shown.sort_by(|one, other| one.ts.cmp(&other.ts));
    let after = shown.iter().position(|message| window.cursor.as_ref().is_none_or(|cursor| message.ts > *cursor));
    let rest = after.map_or(&[][..], |after| &shown[after..]);
    let with_metadata = arguments["include_all_metadata"] == "true";
    let root = (window.latest.is_none_or(|latest| asked.ts.as_str() < latest)).then_some(asked);
    let page = root.into_iter().chain(rest.iter().take(window.limit).copied()).map(|message| {
        let mut shown = with_replies(state, message);
        if with_metadata && !message.metadata.is_null() {
            shown["metadata"] = message.metadata.clone();
        }
        shown
    });
    let page: Vec<Value> = page.collect();
    let next = rest.get(window.limit).map(|_| format!("past-{}", rest[window.limit - 1].ts)).unwrap_or_default();
    Ok(shown_page(state, page, next))
}

fn shown_page(state: &State, messages: Vec<Value>, next: String) -> Value {
    let cursor = if state.no_cursors { "" } else { next.as_str() };
    json!({ "messages": messages, "has_more": !next.is_empty(), "response_metadata": { "next_cursor": cursor } })
}

/// Whether there is a message, or, in place of the first of a thread, a tombstone.
fn is_shown(state: &State, message: &Message) -> bool {
    !message.deleted || state.thread(&message.ts).iter().any(|reply| reply.ts != message.ts)
}

fn is_first(message: &Message) -> bool {
    message.thread_ts.as_ref().is_none_or(|root| *root == message.ts)
}

/// A message as it stands; with what is known of its thread, when it has one.
fn with_replies(state: &State, message: &Message) -> Value {
    let mut shown = match message.deleted {
        true => json!({
            "type": "message", "subtype": "tombstone", "user": "USLACKBOT", "hidden": true, "ts": message.ts,
            "text": "This message was deleted.",
        }),
        false => state.message_json(message),
    };
    let thread = state.thread(&message.ts);
    let replies: Vec<&Message> = thread.iter().filter(|reply| reply.ts != message.ts).collect();
    if let Some(latest) = replies.iter().map(|reply| &reply.ts).max() {
        shown["thread_ts"] = json!(message.ts);
        shown["reply_count"] = json!(replies.len());
        shown["latest_reply"] = json!(latest);
    }
    shown
}

struct Window<'a> {
    oldest: Option<&'a str>,
    latest: Option<&'a str>,
    inclusive: bool,
    cursor: Option<String>,
    limit: usize,
}

impl<'a> Window<'a> {
    /// Reads the arguments as strictly as they can be meant.
    fn read(arguments: &'a Value, known: &[&str], page: usize) -> Result<Self, String> {
        for (name, value) in arguments.as_object().into_iter().flatten() {
            if !known.contains(&name.as_str()) || !value.is_string() {
                return Err(format!("invalid_arguments: {name}"));
            }
        }
        let moment = |name: &str| match arguments[name].as_str() {
            Some(ts) if !is_ts(ts) => Err(format!("invalid_ts_{name}")),
            other => Ok(other),
        };
        let limit = match arguments["limit"].as_str() {
            None => 100,
            Some(limit) => limit.parse().ok().filter(|limit| (1..1000).contains(limit)).ok_or("invalid_limit")?,
        };
        let inclusive = match arguments["inclusive"].as_str() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => return Err("invalid_arguments: inclusive".to_owned()),
        };
        let cursor = match arguments["cursor"].as_str() {
            None => None,
            Some(cursor) => Some(cursor.strip_prefix("past-").ok_or("invalid_cursor")?.to_owned()),
        };
        let (oldest, latest) = (moment("oldest")?, moment("latest")?);
        Ok(Self { oldest, latest, inclusive, cursor, limit: limit.min(page) })
    }

    fn has(&self, message: &Message) -> bool {
        let ts = message.ts.as_str();
        let after = self.oldest.is_none_or(|oldest| ts > oldest || self.inclusive && ts == oldest);
        after && self.latest.is_none_or(|latest| ts < latest || self.inclusive && ts == latest)
    }
}

fn is_ts(ts: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    ts.split_once('.').is_some_and(|(seconds, micros)| digits(seconds) && digits(micros) && micros.len() == 6)
}
