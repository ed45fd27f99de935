//! What the daemon posts: it reaches open pages, those that come back, and the next start.

use super::*;

#[tokio::test]
async fn posts_edits_reactions_files_and_whispers_arrive_as_events() {
    with_page(bind(vec![]), Mood::Takes, async |page| {
        let chat = Arc::clone(&page.chat);
        let thread = page.say("hello").await;
        let mut events = page.events(0).await;
        let mut next = async || events.next().await;
        next().await;

        let plan = chat.post(&thread, "plan/p1", &message("PM", "**Plan**", vec![approve()])).await;
        let plan = plan.expect("posted").expect("a timestamp");
        let event = next().await;
        let shown = &event["message"];
        assert_eq!((&shown["key"], &shown["author"]), (&json!("plan/p1"), &json!("PM")));
        assert_eq!(shown["buttons"], json!([approve()]));
        assert_eq!(event["thread"]["state"], "waiting");

        chat.edit(&thread, &plan, "plan/p1", &message("PM", "**Approved**", vec![])).await.expect("edited");
        let event = next().await;
        let shown = &event["message"];
        assert_eq!((&shown["ts"], &shown["edited"], &shown["buttons"]), (&json!(plan), &json!(true), &json!([])));
        assert_eq!(shown["html"], "<p><strong>Approved</strong></p>\n");
        assert_eq!(event["thread"]["state"], "working");

        let done = Post::Reaction { ts: thread.ts.clone(), name: "white_check_mark".into() };
        for _ in 0..2 {
            assert_eq!(chat.post(&thread, "done", &done).await.expect("posted"), None);
        }
        let event = next().await;
        assert_eq!(event["message"]["reactions"], json!(["white_check_mark"]));
        assert_eq!(event["thread"]["state"], "idle");

        let file = Post::File { role: None, name: "a.diff".into(), syntax: "diff".into(), content: "<b>".into() };
        chat.post(&thread, "file", &file).await.expect("posted");
        let shown = next().await["message"].clone();
        assert_eq!(shown["file"], json!({ "name": "a.diff", "syntax": "diff", "content": "<b>" }));
        assert_eq!((&shown["author"], &shown["html"]), (&json!("codebutler"), &json!("")));

        let to = |user: UserId| Post::Ephemeral { to: user, text: "only you".into() };
        assert_eq!(chat.post(&thread, "other", &to(UserId::new("U2"))).await.expect("posted"), None);
        assert_eq!(chat.post(&thread, "only", &to(UserId::local())).await.expect("posted"), None);
        let shown = next().await["message"].clone();
        assert_eq!((&shown["key"], &shown["ephemeral"]), (&json!("only"), &json!(true)));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_comes_back_is_told_everything_it_missed_and_nothing_twice() {
    with_page(bind(vec![]), Mood::Takes, async |page| {
        let thread = page.say("hello").await;
        let known = page.state().await["version"].as_u64().expect("a version");
        for text in ["reading", "reading more", "read"] {
            page.chat.post(&thread, "progress/1", &message("PM", text, vec![])).await.expect("posted");
        }
        page.chat.post(&thread, "say/1", &message("PM", "here it is", vec![])).await.expect("posted");

        let mut events = page.events(known).await;
        let mut missed = vec![events.next().await, events.next().await];
        let texts: Vec<_> = missed.iter().map(|event| event["message"]["markdown"].clone()).collect();
        assert_eq!(texts, [json!("read"), json!("here it is")]);

        let last = missed.pop().expect("two")["version"].to_string();
        let again = page.get("/api/events?after=0").header("last-event-id", last).send().await.expect("an answer");
        let mut again = Events { response: again, buffer: String::new() };
        page.chat.post(&thread, "say/2", &message("PM", "and more", vec![])).await.expect("posted");
        assert_eq!(again.next().await["message"]["markdown"], "and more");
    })
    .await;
}

#[tokio::test]
async fn a_key_names_one_post_and_foreign_or_missing_messages_are_refused() {
    let chat = bind(vec![]);
    let here = thread("1700000000.000001");
    let there = ThreadKey { channel: ChannelId::new("C1"), ..here.clone() };
    let post = message("PM", "one", vec![]);
    let first = chat.post(&here, "say/1", &post).await.expect("posted").expect("a timestamp");
    let again = chat.post(&here, "say/1", &post).await.expect("posted").expect("a timestamp");
    let other = chat.post(&here, "say/2", &post).await.expect("posted").expect("a timestamp");
    assert_eq!((&again, other > first), (&first, true));
    assert_eq!(chat.find(&here, "say/1").await.expect("looked"), Some(first.clone()));
    assert_eq!(chat.find(&here, "say/3").await.expect("looked"), None);
    assert_eq!(chat.find(&thread("1700000000.000002"), "say/1").await.expect("looked"), None);

    let whisper = Post::Ephemeral { to: UserId::local(), text: "x".into() };
    let refusals = [
        (chat.post(&there, "say/1", &post).await.map(drop), "channel_not_found"),
        (chat.edit(&here, &MessageTs::new("1.1"), "say/9", &post).await, "message_not_found"),
        (chat.edit(&here, &first, "say/1", &whisper).await, "cant_update_message"),
    ];
    for (result, expected) in refusals {
        assert!(matches!(&result, Err(ChatError::Refused { code, .. }) if code == expected), "{expected}: {result:?}");
    }
}

#[tokio::test]
async fn the_chat_comes_back_after_a_restart_and_goes_on_behind_it() {
    // Later than any clock that runs this test.
    let begun = thread("9000000000.000001");
    let at = |ts: &str| Some(MessageTs::new(ts));
    let posted = |key: &str, ts: Option<MessageTs>, post: Post| Restored::Posted {
        thread: begun.clone(),
        key: key.into(),
        ts,
        post,
    };
    let seen = Post::Reaction { ts: begun.ts.clone(), name: "eyes".into() };
    let whisper = Post::Ephemeral { to: UserId::local(), text: "gone".into() };
    let elsewhere = ThreadKey { channel: ChannelId::new("C1"), ..begun.clone() };
    let restored = vec![
        Restored::Said { thread: begun.clone(), ts: begun.ts.clone(), text: "hello".into() },
        posted("eyes", None, seen),
        posted("only", None, whisper),
        posted("unsent", None, message("PM", "not yet", vec![])),
        posted("say/1", at("9000000000.000007"), message("PM", "hi", vec![])),
        Restored::Said { thread: elsewhere, ts: MessageTs::new("9000000000.000003"), text: "in Slack".into() },
    ];
    with_page(bind(restored), Mood::Takes, async |page| {
        let next = page.chat.post(&begun, "unsent", &message("PM", "now", vec![])).await.expect("posted");
        assert_eq!(next, at("9000000000.000008"));
        let found = page.chat.find(&begun, "say/1").await.expect("looked");
        assert_eq!(found, at("9000000000.000007"));
        let state = page.state().await;
        let messages = state["threads"][0]["messages"].as_array().expect("messages");
        let texts: Vec<_> = messages.iter().map(|message| message["markdown"].as_str().expect("text")).collect();
        assert_eq!(texts, ["hello", "hi", "now"]);
        assert_eq!(messages[0]["reactions"], json!(["eyes"]));
        assert_eq!(state["threads"].as_array().map(Vec::len), Some(1));
    })
    .await;
}
