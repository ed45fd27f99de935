//! What people (and other bots) do in the fake's channels.

use serde_json::{Value, json};

use super::state::{APP, File, Message, State};
use super::{BOT_USER, FakeSlack, TEAM};

impl FakeSlack {
    /// A person writes; the message's ts. A mention of the bot arrives as Slack sends it: as an event of its own,
    /// before the message's.
    pub fn say(&self, user: &str, channel: &str, text: &str, thread_ts: Option<&str>) -> String {
        self.write(user, channel, text, thread_ts, Vec::new())
    }

    /// A person shares a file, perhaps with a text.
    pub fn share(&self, user: &str, channel: &str, text: &str, name: &str, thread_ts: Option<&str>) -> String {
        let file = File { id: "F0SHARED".into(), name: name.into(), title: name.into(), ..File::default() };
        self.write(user, channel, text, thread_ts, vec![file])
    }

    fn write(&self, user: &str, channel: &str, text: &str, thread_ts: Option<&str>, files: Vec<File>) -> String {
        self.shared.change(|state| {
            let message = Message { files, ..said(state, user, channel, text, thread_ts) };
            let ts = message.ts.clone();
            if text.contains(&format!("<@{BOT_USER}>")) && !state.channels[channel].direct {
                let mention = mention_event(state, &message);
                state.deliver_event(mention);
            }
            state.add(message);
            ts
        })
    }

    /// A person writes, and no event tells of it, until [`FakeSlack::deliver_held`].
    pub fn say_unheard(&self, user: &str, channel: &str, text: &str, thread_ts: Option<&str>) -> String {
        self.shared.change(|state| {
            let message = said(state, user, channel, text, thread_ts);
            let ts = message.ts.clone();
            let event = state.keep(message);
            state.log(format!("unheard: {event}"));
            state.held.insert(ts.clone(), event);
            ts
        })
    }

    /// Delivers the event of a message that was not heard, as it was then.
    pub fn deliver_held(&self, ts: &str) {
        self.shared.change(|state| {
            let event = state.held.remove(ts).expect("the message was not heard");
            state.deliver_in_channel(event);
        });
    }

    /// Tells of a message's mention of the bot, after the message's own event.
    pub fn mention_late(&self, ts: &str) {
        self.shared.change(|state| {
            let message = state.message_mut(ts).clone();
            let mention = mention_event(state, &message);
            state.deliver_event(mention);
        });
    }

    /// One gesture of a person becomes another message: other ts, same client id. Its ts.
    pub fn twin(&self, ts: &str) -> String {
        self.shared.change(|state| {
            let twin = state.next_ts();
            let message = Message { ts: twin.clone(), ..state.message_mut(ts).clone() };
            state.add(message);
            twin
        })
    }

    /// Another bot writes.
    pub fn bot_says(&self, channel: &str, text: &str, thread_ts: Option<&str>) -> String {
        self.shared.change(|state| {
            let said = said(state, "U0OTHERBOT", channel, text, thread_ts);
            let ts = said.ts.clone();
            state.add(Message { bot: Some("B0OTHER".into()), client_msg_id: None, ..said });
            ts
        })
    }

    /// A person edits a message.
    pub fn edit(&self, ts: &str, text: &str) {
        self.rewrite(ts, |message, now| {
            message.text = text.into();
            message.edits += 1;
            // To the second, as Slack tells it.
            message.edited = now.split_once('.').map(|(second, _)| format!("{second}.000000"));
        });
    }

    /// Slack adds a link's preview: an edit that changes no text.
    pub fn unfurl(&self, ts: &str) {
        self.rewrite(ts, |_, _| {});
    }

    fn rewrite(&self, ts: &str, change: impl FnOnce(&mut Message, &str)) {
        self.shared.change(|state| {
            let before = state.message_mut(ts).clone();
            let now = state.next_ts();
            change(state.message_mut(ts), &now);
            let after = state.message_mut(ts).clone();
            state.deliver_edit(&before, &after);
        });
    }

    /// A person deletes a message.
    pub fn delete(&self, ts: &str) {
        self.shared.change(|state| {
            let before = state.message_mut(ts).clone();
            state.message_mut(ts).deleted = true;
            let event_ts = state.next_ts();
            let event = json!({
                "type": "message", "subtype": "message_deleted", "hidden": true, "channel": before.channel,
                "channel_type": "channel", "ts": event_ts, "event_ts": event_ts, "deleted_ts": ts,
                "previous_message": state.message_json(&before),
            });
            state.deliver_in_channel(event);
        });
    }

    /// A person presses the button with this action and value on a message; panics when there is none.
    pub fn press(&self, user: &str, action: &str, value: &str, message_ts: &str) {
        self.shared.change(|state| {
            let message = state.message_mut(message_ts).clone();
            let mut elements = message.blocks.iter().filter_map(|block| block["elements"].as_array()).flatten();
            let same = |element: &&Value| {
                element["action_id"] == action && element["value"].as_str().unwrap_or_default() == value
            };
            assert!(elements.any(|element| same(&element)), "no button {action} with value {value:?} on {message:?}");
        });
        self.press_stale(user, action, value, message_ts);
    }

    /// A person presses a button that the message had before it was edited, on a screen that was not refreshed.
    pub fn press_stale(&self, user: &str, action: &str, value: &str, message_ts: &str) {
        self.shared.change(|state| {
            let message = state.message_mut(message_ts).clone();
            let pressed = json!([{
                "type": "button", "action_id": action, "value": value, "block_id": "b1",
                "text": { "type": "plain_text", "text": action }, "action_ts": "1700000000.5",
            }]);
            let trigger = format!("{}.trigger", state.count());
            let payload = json!({
                "type": "block_actions", "team": { "id": TEAM, "domain": "fake" }, "api_app_id": APP, "token": "v",
                "user": { "id": user, "username": user, "name": user, "team_id": TEAM }, "trigger_id": trigger,
                "container": {
                    "type": "message", "message_ts": message_ts, "channel_id": message.channel, "is_ephemeral": false,
                },
                "channel": { "id": message.channel, "name": "shop" }, "message": state.message_json(&message),
                "response_url": "http://127.0.0.1:9/unused", "actions": pressed,
            });
            state.deliver("interactive", payload, 0);
        });
    }

    /// A person presses Slack's own Stop button, which is there while the thread's session is `processing`; Slack
    /// itself changes nothing then.
    pub fn stop_session(&self, user: &str, thread: &str) {
        self.shared.change(|state| {
            assert_eq!(state.sessions.get(thread).map(String::as_str), Some("processing"), "there is no Stop button");
            let (channel, event_ts) = (state.message_mut(thread).channel.clone(), state.next_ts());
            let event = json!({
                "type": "agent_session_stopped", "channel": channel, "user": user, "thread_ts": thread,
                "streaming_message_ts": [], "event_ts": event_ts,
            });
            state.deliver_event(event);
        });
    }

    /// A person gives a slash command in a channel; the answer that only that person sees.
    pub async fn slash(&self, user: &str, channel: &str, command: &str, text: &str) -> String {
        let id = self.shared.change(|state| {
            let trigger = format!("{}.trigger", state.count());
            let payload = json!({
                "token": "v", "team_id": TEAM, "team_domain": "fake", "channel_id": channel, "channel_name": "shop",
                "user_id": user, "user_name": user, "command": command, "text": text, "api_app_id": APP,
                "is_enterprise_install": "false", "response_url": "http://127.0.0.1:9/unused", "trigger_id": trigger,
            });
            state.deliver("slash_commands", payload, 0)
        });
        let ack = self
            .wait_for("the slash command's ack", |state| {
                state.envelopes.iter().find(|envelope| envelope.id == id)?.ack.clone()
            })
            .await;
        assert_eq!(ack["payload"]["response_type"], "ephemeral", "{ack}");
        ack["payload"]["text"].as_str().expect("the answer has a text").to_owned()
    }

    /// The bot is invited into a channel.
    pub fn invite_bot(&self, channel: &str) {
        self.shared.change(|state| {
            state.channels.get_mut(channel).expect("the channel exists").members.insert(BOT_USER.to_owned());
        });
    }

    /// The bot is taken out of a channel.
    pub fn kick_bot(&self, channel: &str) {
        self.shared.change(|state| {
            state.channels.get_mut(channel).expect("the channel exists").members.remove(BOT_USER);
        });
    }
}

/// What a person writes now.
fn said(state: &mut State, user: &str, channel: &str, text: &str, thread_ts: Option<&str>) -> Message {
    let ts = state.next_ts();
    Message {
        client_msg_id: Some(format!("client-{ts}")),
        ts,
        channel: channel.into(),
        user: user.into(),
        text: text.into(),
        thread_ts: thread_ts.map(Into::into),
        ..Message::default()
    }
}

fn mention_event(state: &State, message: &Message) -> Value {
    let mut mention = state.message_event(message);
    mention["type"] = json!("app_mention");
    mention.as_object_mut().expect("an event is an object").remove("channel_type");
    mention
}
