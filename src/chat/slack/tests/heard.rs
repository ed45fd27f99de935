//! What people do is stored once, then acked, and reaches its thread.

use super::*;

#[tokio::test]
async fn a_message_is_stored_once_then_acked() {
    listening(async |slack, inbox| {
        let ts = slack.say(ANA, SHOP, "the export of <@U0BEN> drops a row &amp; more", None);
        let mention = slack.say(BEN, SHOP, &format!("<@{BOT_USER}> pm claude"), Some(&ts));
        slack.bot_says(SHOP, "build failed", Some(&ts));
        slack.say(ANA, SHOP, &format!("<@{BEN}> lunch?"), None);
        slack.share(ANA, SHOP, "", "audio_message.m4a", Some(&ts));
        slack.send_event(json!({ "type": "invented_in_2027", "channel": { "odd": true } }));
        slack.send_frame(&json!({ "type": "invented_too" }));
        let stored = inbox.stored(3).await;
        slack.wait_until_acked().await;
        let first = stored.iter().find(|incoming| incoming.from.as_str() == ANA).expect("Ana's is there");
        let what = IncomingKind::Message {
            ts: MessageTs::new(ts.as_str()),
            text: "the export of @Ben drops a row & more".into(),
            to_bot: false,
            files: vec![],
        };
        assert_eq!((&first.thread, first.name.as_str(), &first.what), (&thread(&ts), "Ana", &what));
        let second = stored.iter().find(|incoming| incoming.from.as_str() == BEN).expect("Ben's is there");
        let what = IncomingKind::Message {
            ts: MessageTs::new(mention.as_str()),
            text: "pm claude".into(),
            to_bot: true,
            files: vec![],
        };
        assert_eq!((&second.thread, second.name.as_str(), &second.what), (&thread(&ts), "Ben", &what));
        assert_eq!(inbox.change(|inner| inner.stored.len()), 3, "the mention and its message are one");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_acked_and_comes_again() {
    listening(async |slack, inbox| {
        inbox.change(|inner| inner.refuse = 1);
        let ts = slack.say(ANA, SHOP, "hello", None);
        inbox.wait_for("the refusal", |inner| inner.refused == 1).await;
        // A later one is acked behind it on each socket, so an ack of the first would be here by then.
        slack.say(ANA, SHOP, "second", None);
        slack.say(ANA, SHOP, "third", None);
        inbox.stored(2).await;
        slack.wait_for("two acks", |state| (acks(state) == 2).then_some(())).await;
        assert_eq!(slack.redeliver_unacked(), 1);
        let stored = inbox.stored(3).await;
        assert_eq!(stored[2].thread, thread(&ts));
        slack.wait_for("the third ack", |state| (acks(state) == 3).then_some(())).await;
        assert_eq!(slack.redeliver_unacked(), 0);
    })
    .await;
}

fn acks(state: &fake_slack::State) -> usize {
    state.envelopes.iter().filter(|envelope| envelope.ack.is_some()).count()
}

#[tokio::test]
async fn edits_deletions_and_presses_reach_their_thread() {
    listening(async |slack, inbox| {
        let ts = slack.say(ANA, SHOP, "drps a row", None);
        inbox.stored(1).await;
        slack.unfurl(&ts);
        slack.edit(&ts, "drops a row");
        inbox.stored(2).await;
        let card = chat(slack).await;
        let post = Post::Message { role: Some("PM".into()), text: "**Plan**".into(), buttons: options_of_a_card() };
        let card = card.post(&thread(&ts), "plan/1", &post).await.expect("posted").expect("has a ts");
        slack.press(BEN, "plan_approve", "p1", card.as_str());
        inbox.stored(3).await;
        slack.press(BEN, "ask_option", "2", card.as_str());
        inbox.stored(4).await;
        slack.delete(&ts);
        let stored = inbox.stored(5).await;
        let pressed = |action: &str, value: &str| IncomingKind::Pressed { action: action.into(), value: value.into() };
        let at = MessageTs::new(ts.as_str());
        let kinds: Vec<_> =
            stored.iter().skip(1).map(|incoming| (incoming.name.as_str(), incoming.what.clone())).collect();
        let edited = match &kinds[0].1 {
            IncomingKind::Edited { at: Some(edited), .. } if *edited > at => Some(edited.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            kinds,
            [
                ("Ana", IncomingKind::Edited { ts: at.clone(), text: "drops a row".into(), at: edited }),
                ("Ben", pressed("plan_approve", "p1")),
                ("Ben", pressed("ask_option", "2")),
                ("Ana", IncomingKind::Deleted { ts: at }),
            ]
        );
        assert!(stored.iter().all(|incoming| incoming.thread == thread(&ts)));
        slack.wait_until_acked().await;
    })
    .await;
}

#[tokio::test]
async fn the_slash_command_sets_the_channel_s_model_and_says_how_it_is_in_a_thread() {
    listening(async |slack, inbox| {
        let answer = slack.slash(ANA, SHOP, "/pm", "claude").await;
        assert_eq!(answer, "The PM of *C0SHOP* uses `claude` now.\nIn a thread it is `!pm NAME`.");
        let elsewhere = slack.slash(ANA, LOBBY, "/pm", "claude").await;
        assert_eq!(elsewhere, "No repository is bound to this channel. I work in #shop.");
        inbox.change(|inner| inner.refuse = 1);
        let failed = slack.slash(ANA, SHOP, "/pm", "claude").await;
        assert_eq!(failed, "That could not be stored; nothing has changed. Try again in a moment.");
    })
    .await;
}

#[tokio::test]
async fn where_no_repository_is_bound_a_mention_is_told_so_once() {
    listening(async |slack, inbox| {
        let mention = format!("<@{BOT_USER}> fix it");
        let ts = slack.say(ANA, LOBBY, &mention, None);
        slack.say(ANA, LOBBY, &mention, Some(&ts));
        slack.say(ANA, LOBBY, "not for the bot", None);
        let direct = slack.say(ANA, ANA_DM, "hello", None);
        let own = |state: &fake_slack::State| {
            let own = state.messages.iter().filter(|message| message.user == BOT_USER);
            let own: Vec<_> = own.map(|message| (message.thread_ts.clone(), message.text.clone())).collect();
            (own.len() == 2).then_some(own)
        };
        let words = "No repository is bound to this channel. I work in #shop.";
        let told = slack.wait_for("two notices", own).await;
        slack.wait_until_acked().await;
        let expected = HashSet::from([(Some(ts), words.to_owned()), (Some(direct), words.to_owned())]);
        assert_eq!(told.into_iter().collect::<HashSet<_>>(), expected);
        assert_eq!(slack.look(|state| own(state).map(|own| own.len())), Some(2));
        assert!(inbox.change(|inner| inner.stored.is_empty()));
    })
    .await;
}
