//! Frames as Slack sends them, read into what they mean.

use serde_json::{Value, json};

use super::*;

fn own() -> Own {
    Own { team: "T1".into(), enterprise: None, user: UserId::new("UBOT"), bot: Some("BBOT".into()) }
}

/// An `events_api` frame around an event, with all the fields that Slack sends beside what we read.
fn frame(event: &Value) -> String {
    json!({
        "envelope_id": "env-1", "type": "events_api", "accepts_response_payload": false, "retry_attempt": 0,
        "retry_reason": "",
        "payload": {
            "token": "v", "team_id": "T1", "context_team_id": "T1", "api_app_id": "A1", "type": "event_callback",
            "event_id": "Ev1", "event_time": 1_700_000_000, "is_ext_shared_channel": true, "event": event,
            "authorizations": [{ "enterprise_id": null, "team_id": "T1", "user_id": "UBOT", "is_bot": true }],
        },
    })
    .to_string()
}

fn event(changes: Value) -> Value {
    let mut event = json!({
        "type": "message", "channel": "C1", "channel_type": "channel", "user": "U1", "team": "T1", "text": "hi",
        "ts": "10.1", "event_ts": "10.1", "client_msg_id": "cm-1",
        "blocks": [{ "type": "rich_text", "elements": [{ "type": "brand_new_element", "depth": { "x": [1] } }] }],
    });
    for (name, value) in changes.as_object().into_iter().flatten() {
        event[name] = value.clone();
    }
    event
}

fn read_event(event: &Value) -> Result<Heard, &'static str> {
    match read(&frame(event), &own()) {
        Frame::Envelope { id, what: Envelope::Heard(heard) } if id == "env-1" => Ok(heard),
        Frame::Envelope { what: Envelope::Ignored(reason), .. } => Err(reason),
        other => panic!("{other:?}"),
    }
}

fn message(text: &str) -> HeardKind {
    let ts = MessageTs::new("10.1");
    HeardKind::Message { ts, text: text.into(), to_bot: false, mentions_bot: false, files: vec![] }
}

fn heard(thread: &str, what: HeardKind) -> Heard {
    Heard {
        channel: ChannelId::new("C1"),
        direct: false,
        thread: MessageTs::new(thread),
        from: UserId::new("U1"),
        dedupe: vec!["event:Ev1".into(), "ts:C1:10.1".into(), "client:cm-1".into()],
        what,
    }
}

#[test]
fn every_kind_of_message_is_heard() {
    let to_bot = |text: &str| {
        let ts = MessageTs::new("10.1");
        HeardKind::Message { ts, text: text.into(), to_bot: true, mentions_bot: true, files: vec![] }
    };
    let with_files = |text: &str, files: &[&str]| HeardKind::Message {
        ts: MessageTs::new("10.1"),
        text: text.into(),
        to_bot: false,
        mentions_bot: false,
        files: files.iter().map(|file| (*file).into()).collect(),
    };
    let mid = HeardKind::Message {
        ts: MessageTs::new("10.1"),
        text: "hey <@UBOT> look".into(),
        to_bot: false,
        mentions_bot: true,
        files: vec![],
    };
    let clip = json!([{ "id": "F1", "name": "audio_message.m4a", "subtype": "slack_audio", "mimetype": "video/mp4" }]);
    let nameless = json!([{ "id": "F2", "mode": "tombstone" }, { "id": "F3", "name": null, "title": "notes" }]);
    let cases = [
        (json!({}), heard("10.1", message("hi"))),
        (json!({ "thread_ts": "9.1", "parent_user_id": "U2" }), heard("9.1", message("hi"))),
        (json!({ "subtype": "thread_broadcast", "thread_ts": "9.1", "root": {} }), heard("9.1", message("hi"))),
        (json!({ "subtype": "me_message" }), heard("10.1", message("hi"))),
        (
            json!({ "subtype": "file_share", "text": "", "files": clip }),
            heard("10.1", with_files("", &["audio_message.m4a"])),
        ),
        (json!({ "subtype": "file_share", "files": nameless }), heard("10.1", with_files("hi", &["F2", "notes"]))),
        (json!({ "text": "<@UBOT> pm claude" }), heard("10.1", to_bot("pm claude"))),
        (json!({ "text": " <@UBOT|codebutler>: fix it" }), heard("10.1", to_bot("fix it"))),
        (json!({ "text": "<@UBOT>" }), heard("10.1", to_bot(""))),
        (json!({ "text": "hey <@UBOT> look" }), heard("10.1", mid)),
        (json!({ "type": "app_mention", "text": "<@UBOT> go", "channel_type": null }), heard("10.1", to_bot("go"))),
        (json!({ "user_team": "T1", "team": "T1", "text": "<!here> hi" }), heard("10.1", message("<!here> hi"))),
        (json!({ "team": null, "text": null }), heard("10.1", message(""))),
    ];
    for (changes, expected) in cases {
        assert_eq!(read_event(&event(changes.clone())), Ok(expected), "{changes}");
    }
    let direct = read_event(&event(json!({ "channel": "D1", "channel_type": "im" }))).expect("heard");
    assert!(direct.direct);
}

#[test]
fn bots_strangers_and_what_is_meant_for_others_are_left_alone() {
    let cases = [
        (json!({ "user": null }), "no author"),
        (json!({ "bot_id": "B2" }), "from a bot"),
        (json!({ "bot_id": "BBOT", "app_id": "A1", "user": "UBOT" }), "from a bot"),
        (json!({ "app_id": "A1" }), "from a bot"),
        (json!({ "user": "UBOT" }), "from a bot"),
        (json!({ "user": "USLACKBOT" }), "from a bot"),
        (json!({ "subtype": "bot_message" }), "a subtype that is not a person's message"),
        (json!({ "user_team": "T2", "team": "T2" }), "from another workspace"),
        (json!({ "text": "<@U2> can you look?" }), "begins with a mention of somebody else"),
        (json!({ "text": "<@U2> <@UBOT> look" }), "begins with a mention of somebody else"),
        (
            json!({ "type": "app_mention", "text": "<@UBOT> go", "edited": { "user": "U1", "ts": "11.0" } }),
            "an event we do not use",
        ),
        (json!({ "subtype": "channel_join" }), "a subtype that is not a person's message"),
        (
            json!({ "subtype": "message_replied", "message": { "ts": "10.1" } }),
            "a subtype that is not a person's message",
        ),
        (json!({ "subtype": "invented_in_2027" }), "a subtype that is not a person's message"),
        (json!({ "type": "function_executed", "function": { "id": "Fn1" } }), "an event we do not use"),
        (json!({ "ts": 10.1 }), "event of an unknown shape"),
    ];
    for (changes, reason) in cases {
        assert_eq!(read_event(&event(changes.clone())), Err(reason), "{changes}");
    }
}

#[test]
fn people_of_one_organisation_are_not_strangers() {
    let own = Own { enterprise: Some("E1".into()), ..own() };
    for (team, shared, is_heard) in [("T2", false, true), ("E1", true, true), ("T9", true, false)] {
        let mut frame: Value = serde_json::from_str(&frame(&event(json!({ "team": team })))).expect("JSON");
        frame["payload"]["is_ext_shared_channel"] = json!(shared);
        let read = read(&frame.to_string(), &own);
        assert_eq!(matches!(read, Frame::Envelope { what: Envelope::Heard(_), .. }), is_heard, "{team}");
    }
}

#[test]
fn edits_count_when_a_person_changed_the_text() {
    let edit = |old: Value, new: Value| {
        json!({
            "type": "message", "subtype": "message_changed", "hidden": true, "channel": "C1", "channel_type": "channel",
            "ts": "20.1", "event_ts": "20.1", "previous_message": old, "message": new,
        })
    };
    let of = |text: &str| json!({ "type": "message", "user": "U1", "team": "T1", "text": text, "ts": "10.1", "thread_ts": "9.1" });
    let edited = |text: &str| Heard {
        dedupe: vec!["event:Ev1".into(), "edit:C1:20.1".into()],
        ..heard(
            "9.1",
            HeardKind::Edited { ts: MessageTs::new("10.1"), text: text.into(), at: Some(MessageTs::new("20.1")) },
        )
    };
    // By the moment that the history tells, too, and under the key of its copy.
    let told = json!({
        "type": "message", "user": "U1", "text": "new", "ts": "10.1", "thread_ts": "9.1",
        "edited": { "user": "U1", "ts": "20.0" },
    });
    let copy = read_past_edit(&told, &ChannelId::new("C1"), &own()).expect("it was edited");
    let at_20 = Heard {
        dedupe: vec!["event:Ev1".into(), copy.dedupe[0].clone(), "edit:C1:20.1".into()],
        what: copy.what.clone(),
        ..edited("new")
    };
    let other = json!({ "type": "message", "user": "U1", "text": "newer", "ts": "10.1", "edited": told["edited"] });
    let other = read_past_edit(&other, &ChannelId::new("C1"), &own()).expect("it was edited");
    assert_ne!(other.dedupe, copy.dedupe, "another edit in the same second");
    let mut from_bot = of("new");
    from_bot["bot_id"] = json!("B2");
    let mut marked = of("new");
    marked["edited"] = json!({ "user": "U1", "ts": "20.0" });
    let cases = [
        (edit(of("old"), of("new")), Ok(edited("new"))),
        (edit(of("old"), of("<@UBOT> new")), Ok(edited("new"))),
        (edit(of("<@U2> old"), of("new")), Ok(edited("new"))),
        (edit(of("old"), of("<@U2> new")), Ok(edited("<@U2> new"))),
        (edit(of("old"), marked.clone()), Ok(at_20.clone())),
        (edit(Value::Null, marked), Ok(at_20)),
        (edit(of("<@U2> old"), of("<@U2> new")), Err("begins with a mention of somebody else")),
        (edit(of("same"), of("same")), Err("the text did not change")),
        (edit(Value::Null, of("new")), Err("the text did not change")),
        (edit(of("old"), from_bot), Err("from a bot")),
        (edit(of("old"), Value::Null), Err("an edit without its message")),
    ];
    for (event, expected) in cases {
        assert_eq!(read_event(&event), expected, "{event}");
    }
}

#[test]
fn deletions_name_the_message_also_when_its_thread_stays() {
    let before = json!({ "type": "message", "user": "U1", "text": "hi", "ts": "10.1", "thread_ts": "9.1" });
    let deleted = json!({
        "type": "message", "subtype": "message_deleted", "channel": "C1", "ts": "20.1", "deleted_ts": "10.1",
        "previous_message": before,
    });
    let tombstone = json!({
        "type": "message", "subtype": "message_changed", "channel": "C1", "ts": "20.1", "previous_message": before,
        "message": { "type": "message", "subtype": "tombstone", "user": "USLACKBOT", "ts": "10.1", "thread_ts": "9.1" },
    });
    let expected = Heard {
        dedupe: vec!["event:Ev1".into(), "delete:C1:10.1".into()],
        ..heard("9.1", HeardKind::Deleted { ts: MessageTs::new("10.1") })
    };
    assert_eq!(read_event(&deleted), Ok(expected.clone()));
    assert_eq!(read_event(&tombstone), Ok(expected));
    let mut of_bot = deleted;
    of_bot["previous_message"]["bot_id"] = json!("BBOT");
    assert_eq!(read_event(&of_bot), Err("from a bot"));
}

#[test]
fn presses_belong_to_the_thread_of_their_message() {
    let press = |changes: Value| {
        let mut payload = json!({
            "type": "block_actions", "team": { "id": "T1" }, "user": { "id": "U1", "username": "ana", "team_id": "T1" },
            "api_app_id": "A1", "trigger_id": "tr-1", "channel": { "id": "C1", "name": "shop" },
            "container": { "type": "message", "message_ts": "10.2", "channel_id": "C1", "is_ephemeral": false },
            "message": { "type": "message", "ts": "10.2", "thread_ts": "9.1", "bot_id": "BBOT", "blocks": [{ "type": "new" }] },
            "actions": [{ "action_id": "plan_approve", "block_id": "b", "value": "p1", "type": "button", "action_ts": "1.1" }],
        });
        for (name, value) in changes.as_object().into_iter().flatten() {
            payload[name] = value.clone();
        }
        let frame = json!({ "envelope_id": "env-1", "type": "interactive", "payload": payload, "accepts_response_payload": true });
        match read(&frame.to_string(), &own()) {
            Frame::Envelope { what: Envelope::Heard(heard), .. } => Ok(heard),
            Frame::Envelope { what: Envelope::Ignored(reason), .. } => Err(reason),
            other => panic!("{other:?}"),
        }
    };
    let pressed = |thread: &str, action: &str, value: &str| Heard {
        dedupe: vec!["press:tr-1".into()],
        ..heard(thread, HeardKind::Pressed { action: action.into(), value: value.into() })
    };
    let menu = json!([{ "action_id": "pm_model", "type": "static_select", "selected_option": { "value": "kimi" } }]);
    let link = json!([{ "action_id": "link:open", "type": "button", "value": null }]);
    let in_container = json!({ "message_ts": "10.2", "thread_ts": "8.1", "channel_id": "C1" });
    let cases = [
        (json!({}), Ok(pressed("9.1", "plan_approve", "p1"))),
        (json!({ "message": { "ts": "10.2" } }), Ok(pressed("10.2", "plan_approve", "p1"))),
        (json!({ "message": null }), Ok(pressed("10.2", "plan_approve", "p1"))),
        (json!({ "message": null, "container": in_container }), Ok(pressed("8.1", "plan_approve", "p1"))),
        (json!({ "channel": null }), Ok(pressed("9.1", "plan_approve", "p1"))),
        (json!({ "actions": menu }), Ok(pressed("9.1", "pm_model", "kimi"))),
        (json!({ "actions": link }), Err("only opened a page")),
        (json!({ "actions": [] }), Err("no action")),
        (json!({ "type": "view_submission" }), Err("an interaction we do not use")),
        (json!({ "message": null, "container": { "type": "view", "view_id": "V1" } }), Err("not on a message")),
    ];
    for (changes, expected) in cases {
        assert_eq!(press(changes.clone()), expected, "{changes}");
    }
}

#[test]
fn other_frames_are_told_apart() {
    let envelope = |what| Frame::Envelope { id: "e".into(), what };
    let slash = Envelope::Slash {
        channel: ChannelId::new("C1"),
        by: UserId::new("U1"),
        command: "/pm".into(),
        text: "claude".into(),
    };
    let cases = [
        (r#"{"type":"hello","num_connections":2,"debug_info":{},"connection_info":{"app_id":"A1"}}"#, Frame::Hello),
        (r#"{"type":"disconnect","reason":"warning","debug_info":{}}"#, Frame::Disconnect { reason: "warning".into() }),
        (
            r#"{"type":"slash_commands","envelope_id":"e","payload":{"command":"/pm","text":" claude ","user_id":"U1","channel_id":"C1"}}"#,
            envelope(slash),
        ),
        (r#"{"type":"new_thing","envelope_id":"e"}"#, envelope(Envelope::Ignored("unknown kind of envelope"))),
        (
            r#"{"type":"events_api","envelope_id":"e","payload":{"type":"app_rate_limited","minute_rate_limited":1}}"#,
            envelope(Envelope::Ignored("no event inside")),
        ),
        (r#"{"type":"events_api","envelope_id":"e"}"#, envelope(Envelope::Ignored("event of an unknown shape"))),
        (r#"{"type":"new_thing"}"#, Frame::Other),
        ("not json", Frame::Other),
        ("[1]", Frame::Other),
    ];
    for (body, expected) in cases {
        assert_eq!(read(body, &own()), expected, "{body}");
    }
}
