//! What is posted is found again by its key, and errors say whether trying again helps.

use super::*;

#[tokio::test]
async fn a_post_is_found_again_by_its_key_also_when_its_answer_was_lost() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.say(ANA, SHOP, "hello", None);
    let thread = thread(&root);
    for n in 0..6 {
        slack.say(BEN, SHOP, &format!("talk {n}"), Some(&root));
    }
    let plain = chat.post(&thread, "answer/1", &said("PM", "It is in <!channel> `a.rs`")).await.expect("posted");
    slack.fail_next("chat.postMessage", Fault::LoseAnswer);
    let lost = chat.post(&thread, "answer/2", &said("PM", "again")).await;
    assert!(matches!(lost, Err(ChatError::Unreachable(_))), "{lost:?}");
    let second = chat.find(&thread, "answer/2").await.expect("found").expect("it was posted");
    assert_eq!(chat.find(&thread, "answer/1").await.expect("found"), plain);
    assert_eq!(chat.find(&thread, "answer/3").await.expect("looked"), None);
    let texts: Vec<_> = slack.thread(&root).into_iter().skip(7).map(|message| (message.ts, message.text)).collect();
    let first = plain.expect("has a ts").to_string();
    assert_eq!(
        texts,
        [(first, "*PM:* It is in &lt;!channel&gt; `a.rs`".to_owned()), (second.to_string(), "*PM:* again".to_owned()),]
    );
    let sent = slack.look(|state| {
        state.calls.iter().find(|(method, _)| method == "chat.postMessage").map(|(_, arguments)| arguments.clone())
    });
    assert_eq!(
        sent,
        Some(json!({
            "channel": SHOP, "thread_ts": root, "text": "*PM:* It is in &lt;!channel&gt; `a.rs`", "parse": "none",
            "link_names": false, "unfurl_links": false, "unfurl_media": false,
            "metadata": { "event_type": "codebutler_post", "event_payload": { "key": "answer/1" } },
        }))
    );
}

#[tokio::test]
async fn an_edit_replaces_text_and_buttons() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.say(ANA, SHOP, "hello", None);
    let card = Post::Message { role: Some("PM".into()), text: "**Plan**".into(), buttons: options_of_a_card() };
    let ts = chat.post(&thread(&root), "plan/1", &card).await.expect("posted").expect("has a ts");
    chat.edit(&thread(&root), &ts, "plan/1", &said("PM", "Approved by Ana")).await.expect("edited");
    let long = said("PM", &"a long & winding line\n".repeat(1_000));
    let message = slack.thread(&root).remove(1);
    assert_eq!((message.text.as_str(), message.blocks.as_slice()), ("*PM:* Approved by Ana", [].as_slice()));
    chat.edit(&thread(&root), &ts, "plan/1", &long).await.expect("cut to what may be edited");
    assert_eq!(chat.find(&thread(&root), "plan/1").await.expect("found"), Some(ts));
    let gone = chat.edit(&thread(&root), &MessageTs::new("1.1"), "plan/1", &long).await;
    assert!(matches!(gone, Err(ChatError::Refused { ref code, .. }) if code == "message_not_found"), "{gone:?}");
}

#[tokio::test]
async fn errors_say_whether_trying_again_helps() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.say(ANA, SHOP, "hello", None);
    let post = said("PM", "hi");
    let cases = [
        (Fault::TooFast(7), "rate limited for 7000 ms"),
        (Fault::Refuse("rate_limited"), "rate limited for 30000 ms"),
        (Fault::Refuse("is_archived"), "the chat refused: is_archived"),
        (Fault::Refuse("internal_error"), "the chat did not answer"),
        (Fault::Status(407), "the chat did not answer"),
        (Fault::Status(413), "the chat refused: http_413"),
    ];
    for (fault, expected) in cases {
        slack.fail_next("chat.postMessage", fault);
        let error = chat.post(&thread(&root), "k", &post).await.expect_err("it fails");
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(slack.thread(&root).len(), 1);
    slack.kick_bot(SHOP);
    let error = chat.post(&thread(&root), "k", &post).await.expect_err("it fails");
    assert_eq!(error.to_string(), "the chat refused: not_in_channel");
}

#[tokio::test]
async fn reactions_and_ephemeral_messages_leave_no_post() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.say(ANA, SHOP, "hello", None);
    let eyes = Post::Reaction { ts: MessageTs::new(root.as_str()), name: "eyes".into() };
    assert_eq!(chat.post(&thread(&root), "r", &eyes).await.expect("reacted"), None);
    assert_eq!(chat.post(&thread(&root), "r", &eyes).await.expect("it is there already"), None);
    let private = Post::Ephemeral { to: UserId::new(BEN), text: "Only *approvers* may <do> that".into() };
    assert_eq!(chat.post(&thread(&root), "e", &private).await.expect("told"), None);
    assert_eq!(slack.thread(&root)[0].reactions, ["eyes"]);
    let seen = slack.look(|state| {
        state
            .ephemerals
            .iter()
            .map(|seen| (seen.user.clone(), seen.text.clone(), seen.thread_ts.clone()))
            .collect::<Vec<_>>()
    });
    assert_eq!(seen, [(BEN.to_owned(), "Only _approvers_ may &lt;do&gt; that".to_owned(), Some(root))]);
}

#[tokio::test]
async fn the_history_is_what_others_said_before() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.bot_says(SHOP, "alert &lt;500&gt;", None);
    slack.say(ANA, SHOP, &format!("<@{BEN}> have you seen <https://a.b|this>"), Some(&root));
    chat.post(&thread(&root), "k", &said("PM", "our own")).await.expect("posted");
    slack.share(BEN, SHOP, "yes", "trace.txt", Some(&root));
    for n in 0..4 {
        slack.say(ANA, SHOP, &format!("more {n}"), Some(&root));
    }
    let before = slack.say(BEN, SHOP, "now you", Some(&root));
    slack.say(BEN, SHOP, "later", Some(&root));
    let history = chat.history(&thread(&root), &MessageTs::new(before)).await.expect("read");
    let lines: Vec<&str> = history.iter().map(|said| said.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "U0OTHERBOT: alert <500>",
            "Ana: @Ben have you seen this (https://a.b)",
            "Ben: yes [file: trace.txt]",
            "Ana: more 0",
            "Ana: more 1",
            "Ana: more 2",
            "Ana: more 3",
        ]
    );
    assert_eq!(history[0].ts, Some(MessageTs::new(root)), "it is known again by its ts");
    let fresh = slack.say(ANA, SHOP, "new", None);
    let none = chat.history(&thread(&fresh), &MessageTs::new(fresh.as_str())).await.expect("nothing to read");
    assert_eq!(none, []);
    let link = chat.permalink(&thread("1700000001.000200"));
    assert_eq!(link.as_deref(), Some("https://fake.slack.com/archives/C0SHOP/p1700000001000200"));
}
