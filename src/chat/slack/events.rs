//! What Slack's Socket Mode frames mean: raw text in, [`Frame`] out. Pure.
//!
//! Reads only the fields it needs and takes nothing for granted: what it does not know is [`Envelope::Ignored`], which
//! is acked. Never looks at whether a channel is bound, and never resolves a name.

mod session;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::change_keys::{delete_key, edit_key};
use super::web_api::or_default;
use crate::ids::{ChannelId, MessageTs, UserId};

/// Who we are in Slack, so that we never answer ourselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    /// Our workspace.
    pub team: String,
    /// The organisation it belongs to, on Enterprise Grid.
    pub enterprise: Option<String>,
    /// The bot's user id.
    pub user: UserId,
    /// The bot's bot id.
    pub bot: Option<String>,
}

impl Own {
    /// Whether somebody of this workspace comes from another company: in a channel that is shared with others. Within an
    /// organisation of Enterprise Grid presses carry the workspaces of its members, which are not foreign.
    fn is_foreign(&self, team: Option<&String>) -> bool {
        self.enterprise.is_none() && team.is_some_and(|team| *team != self.team)
    }
}

/// One frame of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// The socket is ready.
    Hello,
    /// Slack is about to close this socket.
    Disconnect {
        /// `warning`, `refresh_requested`, `too_many_websockets`, `link_disabled`, ….
        reason: String,
    },
    /// Something that must be acked by its id.
    Envelope {
        /// The id of this delivery; a redelivery has another.
        id: String,
        /// What is in it.
        what: Envelope,
    },
    /// A frame that needs no answer.
    Other,
}

/// The content of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// Somebody did something in a conversation.
    Heard(Heard),
    /// Somebody gave the slash command.
    Slash {
        /// Who gave it.
        by: UserId,
        /// Where.
        channel: ChannelId,
        /// The command with its slash.
        command: String,
        /// What follows it.
        text: String,
    },
    /// Nothing for us; the reason is for the log.
    Ignored(&'static str),
}

/// What somebody did in a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Where.
    pub channel: ChannelId,
    /// Whether that is a direct message to the bot.
    pub direct: bool,
    /// The thread's first message.
    pub thread: MessageTs,
    /// Who.
    pub from: UserId,
    /// The keys under which the same thing may come again.
    pub dedupe: Vec<String>,
    /// What.
    pub what: HeardKind,
}

/// What exactly somebody did. Texts are still in Slack's form, the bot's leading mention removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeardKind {
    /// Wrote a message.
    Message {
        /// Its id.
        ts: MessageTs,
        /// Its text.
        text: String,
        /// Whether it began with the bot's mention.
        to_bot: bool,
        /// Whether the bot is mentioned anywhere.
        mentions_bot: bool,
        /// Names of attached files.
        files: Vec<String>,
    },
    /// Edited a message.
    Edited {
        /// Which.
        ts: MessageTs,
        /// Its new text.
        text: String,
        /// When it was edited.
        at: Option<MessageTs>,
    },
    /// Deleted a message.
    Deleted {
        /// Which.
        ts: MessageTs,
    },
    /// Pressed a button or chose from a menu.
    Pressed {
        /// The action id.
        action: String,
        /// The value.
        value: String,
    },
}

/// Action ids that begin so belong to buttons that only open a page; Slack reports them all the same.
pub const LINK_ACTION: &str = "link:";

#[derive(Deserialize)]
struct RawFrame<'a> {
    #[serde(rename = "type", default)]
    kind: String,
    envelope_id: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    reason: Option<String>,
}

#[derive(Deserialize)]
struct RawCallback {
    event_id: Option<String>,
    api_app_id: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    is_ext_shared_channel: bool,
    event: Option<RawEvent>,
}

/// An event, or the message within an edit; every field may be missing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct RawEvent {
    #[serde(rename = "type")]
    kind: String,
    subtype: Option<String>,
    channel: Option<String>,
    channel_type: Option<String>,
    user: Option<String>,
    bot_id: Option<String>,
    app_id: Option<String>,
    team: Option<String>,
    user_team: Option<String>,
    text: Option<String>,
    ts: Option<String>,
    event_ts: Option<String>,
    thread_ts: Option<String>,
    deleted_ts: Option<String>,
    client_msg_id: Option<String>,
    files: Option<Vec<RawFile>>,
    edited: Option<serde_json::Value>,
    message: Option<Box<Self>>,
    previous_message: Option<Box<Self>>,
}

#[derive(Clone, Debug, Deserialize)]
struct RawFile {
    id: Option<String>,
    name: Option<String>,
    title: Option<String>,
}

#[derive(Deserialize)]
struct RawPresser {
    id: String,
    team_id: Option<String>,
}

#[derive(Deserialize)]
struct RawInteraction {
    #[serde(rename = "type", default)]
    kind: String,
    trigger_id: Option<String>,
    user: Option<RawPresser>,
    channel: Option<RawId>,
    message: Option<RawEvent>,
    container: Option<RawContainer>,
    #[serde(default)]
    actions: Vec<RawAction>,
}

#[derive(Deserialize)]
struct RawId {
    id: String,
}

#[derive(Deserialize)]
struct RawContainer {
    message_ts: Option<String>,
    thread_ts: Option<String>,
    channel_id: Option<String>,
}

#[derive(Deserialize)]
struct RawAction {
    action_id: String,
    value: Option<String>,
    selected_option: Option<RawOption>,
}

#[derive(Deserialize)]
struct RawOption {
    value: String,
}

#[derive(Deserialize)]
struct RawSlash {
    user_id: String,
    team_id: Option<String>,
    command: String,
    #[serde(default)]
    text: String,
    channel_id: String,
}

/// Reads one frame.
pub fn read(body: &str, own: &Own) -> Frame {
    let Ok(frame) = serde_json::from_str::<RawFrame>(body) else { return Frame::Other };
    match (frame.kind.as_str(), frame.envelope_id) {
        ("hello", _) => Frame::Hello,
        ("disconnect", _) => Frame::Disconnect { reason: frame.reason.unwrap_or_default() },
        (kind, Some(id)) => {
            let payload = frame.payload.map_or("null", RawValue::get);
            let what = match kind {
                "events_api" => events_api(payload, own),
                "interactive" => interactive(payload, &id, own),
                "slash_commands" => slash(payload, own),
                _ => Envelope::Ignored("unknown kind of envelope"),
            };
            Frame::Envelope { id, what }
        }
        (_, None) => Frame::Other,
    }
}

fn events_api(payload: &str, own: &Own) -> Envelope {
    let Ok(callback) = serde_json::from_str::<RawCallback>(payload) else {
        return Envelope::Ignored("event of an unknown shape");
    };
    let Some(event) = &callback.event else { return Envelope::Ignored("no event inside") };
    let heard = match (event.kind.as_str(), event.subtype.as_deref()) {
        ("message", subtype) if of_person(subtype) => message(event, &callback, own),
        // Editing a mention into an old message comes as a mention, too: the edit itself is what counts.
        ("app_mention", _) if event.edited.is_none() => message(event, &callback, own),
        ("message", Some("message_changed")) => changed(event, &callback, own),
        ("message", Some("message_deleted")) => deleted(event, &callback, own),
        ("agent_session_stopped", _) => session::stopped(event, &callback, own),
        ("message", Some(_)) => Err("a subtype that is not a person's message"),
        _ => Err("an event we do not use"),
    };
    heard.map_or_else(Envelope::Ignored, Envelope::Heard)
}

/// Reads a message as the history of a channel shows it: like the event that told of it when it was written.
pub fn read_past(message: &serde_json::Value, channel: &ChannelId, own: &Own) -> Result<Heard, &'static str> {
    let event = RawEvent::deserialize(message).map_err(|_| "a message of an unknown shape")?;
    if event.kind != "message" || !of_person(event.subtype.as_deref()) {
        return Err("a subtype that is not a person's message");
    }
    let event = RawEvent { channel: Some(channel.to_string()), ..event };
    // History does not say whether the channel is shared with other companies, whose people must not be heard.
    let callback = RawCallback { event_id: None, api_app_id: None, is_ext_shared_channel: true, event: None };
    self::message(&event, &callback, own)
}

/// Reads from a message of the history that it was edited, and when.
pub fn read_past_edit(message: &serde_json::Value, channel: &ChannelId, own: &Own) -> Option<Heard> {
    let at = message["edited"]["ts"].as_str()?;
    let heard = read_past(message, channel, own).ok()?;
    let HeardKind::Message { ts, text, .. } = heard.what else { return None };
    let dedupe = vec![edit_key(channel.as_str(), ts.as_str(), at, message["text"].as_str().unwrap_or_default())];
    Some(Heard { dedupe, what: HeardKind::Edited { ts, text, at: Some(MessageTs::new(at)) }, ..heard })
}

/// Whether messages of this subtype are written by people.
fn of_person(subtype: Option<&str>) -> bool {
    matches!(subtype, None | Some("file_share" | "thread_broadcast" | "me_message"))
}

fn message(event: &RawEvent, callback: &RawCallback, own: &Own) -> Result<Heard, &'static str> {
    let from = person(event, callback, own)?;
    let channel = event.channel.as_deref().ok_or("no channel")?;
    let ts = event.ts.as_deref().ok_or("no ts")?;
    let text = event.text.as_deref().unwrap_or_default();
    let (to_bot, rest) = match leading_mention(text) {
        Some((user, rest)) if user == own.user.as_str() => (true, rest),
        Some(_) => return Err("begins with a mention of somebody else"),
        None => (false, text),
    };
    let mut dedupe = event_key(callback);
    dedupe.push(format!("ts:{channel}:{ts}"));
    dedupe.extend(event.client_msg_id.as_ref().map(|id| format!("client:{id}")));
    Ok(Heard {
        channel: ChannelId::new(channel),
        direct: event.channel_type.as_deref() == Some("im"),
        thread: MessageTs::new(event.thread_ts.as_deref().unwrap_or(ts)),
        from,
        dedupe,
        what: HeardKind::Message {
            ts: MessageTs::new(ts),
            text: rest.trim().to_owned(),
            to_bot,
            mentions_bot: text.contains(&format!("<@{}", own.user)),
            files: event.files.iter().flatten().filter_map(RawFile::called).collect(),
        },
    })
}

fn changed(event: &RawEvent, callback: &RawCallback, own: &Own) -> Result<Heard, &'static str> {
    let message = event.message.as_deref().ok_or("an edit without its message")?;
    if message.subtype.as_deref() == Some("tombstone") {
        return gone(event, event.previous_message.as_deref(), message.ts.as_deref(), callback, own);
    }
    let before = event.previous_message.as_deref();
    let (old, new) = (before.and_then(|message| message.text.as_deref()), message.text.as_deref().unwrap_or_default());
    match old {
        // Slack also reports link previews so, with the text as it was.
        Some(old) if old == new => return Err("the text did not change"),
        None if message.edited.is_none() => return Err("the text did not change"),
        Some(_) | None => {}
    }
    let from = person(message, callback, own)?;
    let channel = event.channel.as_deref().ok_or("no channel")?;
    let ts = message.ts.as_deref().ok_or("no ts")?;
    let aside = |text| matches!(leading_mention(text), Some((user, _)) if user != own.user.as_str());
    if aside(new) && old.is_some_and(aside) {
        return Err("begins with a mention of somebody else");
    }
    let text = match leading_mention(new) {
        Some((user, rest)) if user == own.user.as_str() => rest,
        Some(_) | None => new,
    };
    let mut dedupe = event_key(callback);
    // The same moment as the history tells, which knows nothing of the event's own.
    let edited = message.edited.as_ref().and_then(|edited| edited["ts"].as_str());
    dedupe.extend(edited.map(|at| edit_key(channel, ts, at, new)));
    dedupe.extend(event.ts.as_ref().map(|at| format!("edit:{channel}:{at}")));
    Ok(Heard {
        channel: ChannelId::new(channel),
        direct: event.channel_type.as_deref() == Some("im"),
        thread: MessageTs::new(message.thread_ts.as_deref().unwrap_or(ts)),
        from,
        dedupe,
        what: HeardKind::Edited {
            ts: MessageTs::new(ts),
            text: text.trim().to_owned(),
            at: edited.or(event.ts.as_deref()).map(MessageTs::new),
        },
    })
}

fn deleted(event: &RawEvent, callback: &RawCallback, own: &Own) -> Result<Heard, &'static str> {
    gone(event, event.previous_message.as_deref(), event.deleted_ts.as_deref(), callback, own)
}

fn gone(
    event: &RawEvent,
    before: Option<&RawEvent>,
    ts: Option<&str>,
    callback: &RawCallback,
    own: &Own,
) -> Result<Heard, &'static str> {
    let before = before.ok_or("a deletion without its message")?;
    let from = person(before, callback, own)?;
    let channel = event.channel.as_deref().ok_or("no channel")?;
    let ts = ts.or(before.ts.as_deref()).ok_or("no ts")?;
    let mut dedupe = event_key(callback);
    dedupe.push(delete_key(channel, ts));
    Ok(Heard {
        channel: ChannelId::new(channel),
        direct: event.channel_type.as_deref() == Some("im"),
        thread: MessageTs::new(before.thread_ts.as_deref().unwrap_or(ts)),
        from,
        dedupe,
        what: HeardKind::Deleted { ts: MessageTs::new(ts) },
    })
}

/// The author, when it is a person whom we may hear: guests of our workspace, but no bot and no other company's people.
fn person(message: &RawEvent, callback: &RawCallback, own: &Own) -> Result<UserId, &'static str> {
    let user = message.user.as_deref().ok_or("no author")?;
    let from_bot = message.bot_id.is_some() || message.subtype.as_deref() == Some("bot_message");
    let from_app = message.app_id.is_some() && message.app_id == callback.api_app_id;
    if from_bot || from_app || user == own.user.as_str() || user == "USLACKBOT" {
        return Err("from a bot");
    }
    let team = message.user_team.as_ref().or(message.team.as_ref());
    let ours = team.is_none_or(|team| *team == own.team || Some(team) == own.enterprise.as_ref());
    // On Enterprise Grid a channel may span workspaces of one organisation; only channels shared with others are foreign.
    if !ours && (own.enterprise.is_none() || callback.is_ext_shared_channel) {
        return Err("from another workspace");
    }
    Ok(UserId::new(user))
}

fn event_key(callback: &RawCallback) -> Vec<String> {
    callback.event_id.iter().map(|id| format!("event:{id}")).collect()
}

/// The user a text begins with, and what follows.
fn leading_mention(text: &str) -> Option<(&str, &str)> {
    let (inside, rest) = text.trim_start().strip_prefix("<@")?.split_once('>')?;
    let user = inside.split('|').next().unwrap_or(inside);
    Some((user, rest.trim_start_matches([' ', ',', ':', '\u{a0}', '\n'])))
}

impl RawFile {
    fn called(&self) -> Option<String> {
        self.name.clone().or_else(|| self.title.clone()).or_else(|| self.id.clone())
    }
}

fn interactive(payload: &str, envelope: &str, own: &Own) -> Envelope {
    let Ok(raw) = serde_json::from_str::<RawInteraction>(payload) else {
        return Envelope::Ignored("interaction of an unknown shape");
    };
    if raw.kind != "block_actions" {
        return Envelope::Ignored("an interaction we do not use");
    }
    pressed(&raw, envelope, own).map_or_else(Envelope::Ignored, Envelope::Heard)
}

fn pressed(raw: &RawInteraction, envelope: &str, own: &Own) -> Result<Heard, &'static str> {
    let action = raw.actions.first().ok_or("no action")?;
    if action.action_id.starts_with(LINK_ACTION) {
        return Err("only opened a page");
    }
    let container = raw.container.as_ref();
    let channel = raw.channel.as_ref().map(|channel| channel.id.clone());
    let channel = channel.or_else(|| container?.channel_id.clone()).ok_or("not in a channel")?;
    let message = raw.message.as_ref();
    let thread = message
        .and_then(|message| message.thread_ts.clone())
        .or_else(|| container?.thread_ts.clone())
        .or_else(|| message?.ts.clone())
        .or_else(|| container?.message_ts.clone())
        .ok_or("not on a message")?;
    let chosen = action.selected_option.as_ref().map(|option| option.value.clone());
    let trigger = raw.trigger_id.as_deref().unwrap_or(envelope);
    let presser = raw.user.as_ref().ok_or("no user")?;
    if own.is_foreign(presser.team_id.as_ref()) {
        return Err("from another workspace");
    }
    Ok(Heard {
        direct: channel.starts_with('D'),
        channel: ChannelId::new(channel),
        thread: MessageTs::new(thread),
        from: UserId::new(presser.id.clone()),
        dedupe: vec![format!("press:{trigger}")],
        what: HeardKind::Pressed {
            action: action.action_id.clone(),
            value: chosen.or_else(|| action.value.clone()).unwrap_or_default(),
        },
    })
}

fn slash(payload: &str, own: &Own) -> Envelope {
    match serde_json::from_str::<RawSlash>(payload) {
        Ok(raw) if own.is_foreign(raw.team_id.as_ref()) => Envelope::Ignored("from another workspace"),
        Ok(raw) => Envelope::Slash {
            channel: ChannelId::new(raw.channel_id),
            by: UserId::new(raw.user_id),
            command: raw.command,
            text: raw.text.trim().to_owned(),
        },
        Err(_) => Envelope::Ignored("slash command of an unknown shape"),
    }
}

#[cfg(test)]
mod tests;
