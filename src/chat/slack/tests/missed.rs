//! What was said while nobody listened is fetched: all of it, in order, once, and nothing else.

use super::*;

/// The texts of what is stored.
fn texts(stored: &[Incoming]) -> Vec<String> {
    let text = |incoming: &Incoming| match &incoming.what {
        IncomingKind::Message { text, .. } => Some(text.clone()),
        _ => None,
    };
    stored.iter().filter_map(text).collect()
}

/// An inbox that has heard everything up to this message.
fn heard_until(ts: &str) -> Arc<Inbox> {
    let inbox = Inbox::new();
    inbox.change(|inner| inner.standing.since = Some(MessageTs::new(ts)));
    inbox
}

/// Waits until the channel is caught up with.
async fn caught_up(inbox: &Inbox) {
    inbox.wait_for("catching up", |inner| inner.noted.iter().any(|noted| matches!(noted, Hearing::Whole(_)))).await;
}

fn calls(slack: &FakeSlack, method: &str) -> usize {
    slack.look(|state| state.calls.iter().filter(|(name, _)| name == method).count())
}

#[tokio::test]
async fn everything_that_was_said_meanwhile_is_read_like_its_event_and_in_order() {
    let slack = FakeSlack::start().await;
    let quiet = slack.say(ANA, SHOP, "no news here", None);
    slack.say(BEN, SHOP, "old reply", Some(&quiet));
    let bots = slack.bot_says(SHOP, "deploy failed", None);
    let last = slack.say(ANA, SHOP, "the last that was heard", None);
    slack.give_up_unacked();
    for n in 0..9 {
        slack.say(ANA, SHOP, &format!("new {n}"), None);
    }
    let fresh = slack.say(BEN, SHOP, "fresh thread", None);
    slack.say(ANA, SHOP, &format!("<@{BOT_USER}> to you"), Some(&fresh));
    for n in 0..4 {
        slack.say(BEN, SHOP, &format!("more {n}"), Some(&fresh));
    }
    slack.say(ANA, SHOP, &format!("<@{BEN}> lunch?"), None);
    slack.bot_says(SHOP, "build failed", Some(&fresh));
    slack.share(BEN, SHOP, "", "trace.txt", Some(&bots));
    let edited = slack.say(ANA, SHOP, "teh end", None);
    slack.edit(&edited, "the end");
    let deleted = slack.say(ANA, SHOP, "never mind", None);
    slack.delete(&deleted);
    let inbox = heard_until(&last);
    listening_to(slack, inbox, timing(), async |slack, inbox| {
        caught_up(inbox).await;
        let stored = inbox.change(|inner| inner.stored.clone());
        let mut expected: Vec<String> = (0..9).map(|n| format!("new {n}")).collect();
        // The channel's own first, then thread by thread, the latest first.
        expected
            .extend(["fresh thread", "the end", "to you", "more 0", "more 1", "more 2", "more 3", ""].map(Into::into));
        assert_eq!(texts(&stored), expected);
        let reply = stored.iter().find(|incoming| incoming.thread == thread(&bots)).expect("the reply to a bot");
        assert!(matches!(&reply.what, IncomingKind::Message { files, .. } if *files == ["trace.txt"]), "{reply:?}");
        let mention = stored.iter().find(|incoming| incoming.thread == thread(&fresh) && incoming.name == "Ana");
        assert!(matches!(&mention.expect("heard").what, IncomingKind::Message { to_bot: true, .. }), "{mention:?}");
        assert_eq!(calls(slack, "conversations.replies"), 3, "two pages of one, one of another, none of the quiet");
        let whole = Hearing::Whole(MessageTs::new(edited.as_str()));
        assert_eq!(inbox.change(|inner| inner.noted.clone()), [Hearing::Gap, whole]);
        // The deliveries come after all; only of what was deleted again is there news.
        slack.redeliver_unacked();
        slack.wait_until_acked().await;
        expected.push("never mind".to_owned());
        assert_eq!(texts(&inbox.change(|inner| inner.stored.clone())), expected);
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_is_never_taken_again_though_its_keys_are_forgotten() {
    let slack = FakeSlack::start().await;
    let first = slack.say(ANA, SHOP, "heard long ago", None);
    let stored = slack.say(ANA, SHOP, "stored", None);
    let twin = slack.twin(&stored);
    let missed = slack.say(ANA, SHOP, "missed", None);
    slack.give_up_unacked();
    let inbox = heard_until(&first);
    // Not known by its own ts, but by the gesture that it came from.
    inbox.change(|inner| {
        inner.standing.known = [format!("ts:{SHOP}:{stored}"), format!("client:client-{stored}")].into();
    });
    listening_to(slack, inbox, timing(), async |_, inbox| {
        caught_up(inbox).await;
        assert_eq!(texts(&inbox.change(|inner| inner.stored.clone())), ["missed"], "not {twin}, but {missed}");
    })
    .await;
}

#[tokio::test]
async fn a_channel_that_is_served_for_the_first_time_is_not_answered_what_was_there() {
    let slack = FakeSlack::start().await;
    let root = slack.say(ANA, SHOP, "last week", None);
    slack.say(ANA, SHOP, "yesterday", None);
    let reply = slack.say(BEN, SHOP, "just now", Some(&root));
    slack.give_up_unacked();
    listening_to(slack, Inbox::new(), timing(), async |slack, inbox| {
        caught_up(inbox).await;
        let first = Hearing::First(MessageTs::new(reply.as_str()));
        assert!(inbox.change(|inner| inner.noted.contains(&first)), "the newest of all, be it a reply");
        slack.wait_until_acked().await;
        assert!(inbox.change(|inner| inner.stored.is_empty()));
    })
    .await;
    let empty = FakeSlack::start().await;
    listening_to(empty, Inbox::new(), timing(), async |_, inbox| {
        caught_up(inbox).await;
        let first = Hearing::First(MessageTs::new("0000000000.000000"));
        assert!(inbox.change(|inner| inner.noted.contains(&first)));
    })
    .await;
}

#[tokio::test]
async fn threads_older_than_the_history_that_is_read_are_asked_when_they_are_known() {
    let slack = FakeSlack::start().await;
    let known = slack.say(ANA, SHOP, "a month ago", None);
    let gone = slack.say(ANA, SHOP, "deleted since", None);
    slack.delete(&gone);
    slack.pass(30 * 24 * 60 * 60);
    let last = slack.say(ANA, SHOP, "the last that was heard", None);
    slack.say(BEN, SHOP, "is it done?", Some(&known));
    slack.give_up_unacked();
    let inbox = heard_until(&last);
    inbox.change(|inner| inner.standing.threads = [&gone, &known, &last].map(|ts| MessageTs::new(ts.as_str())).into());
    listening_to(slack, inbox, timing(), async |slack, inbox| {
        caught_up(inbox).await;
        assert_eq!(texts(&inbox.change(|inner| inner.stored.clone())), ["is it done?"]);
        assert_eq!(calls(slack, "conversations.replies"), 2, "the third is in the history, without news");
    })
    .await;
}

#[tokio::test]
async fn trouble_with_the_history_is_waited_out_while_live_events_go_on() {
    let slack = FakeSlack::start().await;
    let last = slack.say(ANA, SHOP, "the last that was heard", None);
    let missed = slack.say(ANA, SHOP, "missed", None);
    slack.say(ANA, SHOP, "missed reply", Some(&missed));
    slack.give_up_unacked();
    slack.fail_next("conversations.history", Fault::Status(502));
    for _ in 0..7 {
        slack.fail_next("conversations.history", Fault::Refuse("internal_error"));
    }
    slack.fail_next("conversations.history", Fault::TooFast(2));
    slack.fail_next("conversations.replies", Fault::LoseAnswer);
    let inbox = heard_until(&last);
    inbox.change(|inner| inner.refuse = 1);
    listening_to(slack, inbox, timing(), async |slack, inbox| {
        let live = slack.say(BEN, SHOP, "live", None);
        caught_up(inbox).await;
        // One of them was refused at first: the live one comes again by itself, the others were fetched again.
        slack.redeliver(&live);
        let mut heard = texts(&inbox.stored(3).await);
        heard.sort();
        assert_eq!(heard, ["live", "missed", "missed reply"]);
    })
    .await;
}

#[tokio::test]
async fn a_channel_whose_history_is_refused_is_left_alone() {
    let slack = FakeSlack::start().await;
    slack.fail_next("conversations.history", Fault::Refuse("missing_scope"));
    let inbox = heard_until("1700000000.000100");
    listening_to(slack, inbox, timing(), async |slack, inbox| {
        slack.say(ANA, SHOP, "live", None);
        inbox.stored(1).await;
        slack.wait_until_acked().await;
        slack.cut_sockets();
        caught_up(inbox).await;
    })
    .await;
}

#[tokio::test]
async fn what_the_store_did_not_take_is_fetched_when_it_does_though_slack_has_given_up() {
    let slack = FakeSlack::start().await;
    let last = slack.say(ANA, SHOP, "the last that was heard", None);
    slack.give_up_unacked();
    listening_to(slack, heard_until(&last), timing(), async |slack, inbox| {
        caught_up(inbox).await;
        inbox.change(|inner| inner.refuse = usize::MAX);
        let lost = slack.say(ANA, SHOP, "while the disk was full", None);
        inbox.wait_for("delivery and fetching to be refused", |inner| inner.refused >= 2).await;
        slack.give_up_unacked();
        // What is stored next makes the store forget from where on something is missing.
        inbox.change(|inner| {
            inner.standing.since = Some(MessageTs::new(lost.as_str()));
            inner.refuse = 0;
        });
        assert_eq!(texts(&inbox.stored(1).await), ["while the disk was full"]);
    })
    .await;
}

/// A message as the store has it.
fn held(root: &str, ts: &str, from: &str) -> Incoming {
    let what = IncomingKind::Message { ts: MessageTs::new(ts), text: "as it was".into(), to_bot: false, files: vec![] };
    Incoming { thread: thread(root), from: UserId::new(from), name: from.into(), what, dedupe: vec![] }
}

/// What is stored of changes: `edit` or `delete` with the message's ts.
fn changes(inbox: &Inbox) -> Vec<String> {
    let change = |incoming: &Incoming| match &incoming.what {
        IncomingKind::Edited { ts, .. } => Some(format!("edit {ts}")),
        IncomingKind::Deleted { ts } => Some(format!("delete {ts} of {}", incoming.from)),
        _ => None,
    };
    inbox.change(|inner| inner.stored.iter().filter_map(change).collect())
}

#[tokio::test]
async fn what_was_edited_or_deleted_in_open_threads_is_found_without_news_in_them() {
    let slack = FakeSlack::start().await;
    let other = slack.say(BEN, SHOP, "another", None);
    let root = slack.say(ANA, SHOP, "long ago", None);
    let replies: Vec<String> = (0..9).map(|n| slack.say(BEN, SHOP, &format!("{n}"), Some(&root))).collect();
    let headless = slack.say(ANA, SHOP, "its first message goes", None);
    let stays = slack.say(BEN, SHOP, "its reply stays", Some(&headless));
    slack.pass(8 * 24 * 60 * 60);
    let last = slack.say(ANA, SHOP, "the last that was heard", None);
    slack.give_up_unacked();
    slack.edit(&replies[2], "edited");
    for gone in [&replies[4], &replies[8], &headless, &other] {
        slack.delete(gone);
    }
    slack.give_up_unacked();
    let inbox = heard_until(&last);
    inbox.change(|inner| {
        inner.standing.open = [&root, &headless, &other].map(|ts| MessageTs::new(ts.as_str())).into();
        inner.standing.held = replies.iter().map(|ts| held(&root, ts, BEN)).collect();
        let more = [(&root, &root, ANA), (&headless, &headless, ANA), (&headless, &stays, BEN), (&other, &other, BEN)];
        inner.standing.held.extend(more.map(|(root, ts, from)| held(root, ts, from)));
    });
    // An answer that is cut off says nothing; it is asked for again.
    slack.fail_next("conversations.replies", Fault::Status(502));
    listening_to(slack, inbox, timing(), async |slack, inbox| {
        caught_up(inbox).await;
        // Not the last reply, nor the first message of which nothing older is shown, nor the thread that is not shown.
        let expected = [format!("edit {}", replies[2]), format!("delete {} of {BEN}", replies[4])];
        assert_eq!(changes(inbox), expected);
        assert_eq!(texts(&inbox.change(|inner| inner.stored.clone())), [] as [&str; 0]);
        // Once more, and nothing is taken twice.
        inbox.change(|inner| inner.noted.clear());
        slack.cut_sockets();
        caught_up(inbox).await;
        assert_eq!(changes(inbox), expected);
    })
    .await;
}

#[tokio::test]
async fn what_was_said_in_a_second_gap_goes_before_the_rest_of_what_was_changed() {
    let slack = FakeSlack::start().await;
    let threads = ["one", "two", "three"].map(|text| {
        let root = slack.say(ANA, SHOP, text, None);
        let reply = slack.say(BEN, SHOP, "teh reply", Some(&root));
        (root, reply)
    });
    let last = slack.say(ANA, SHOP, "the last that was heard", None);
    threads.iter().for_each(|(_, reply)| slack.edit(reply, "the reply"));
    slack.give_up_unacked();
    let inbox = heard_until(&last);
    inbox.change(|inner| {
        inner.standing.open = threads.iter().map(|(root, _)| MessageTs::new(root.as_str())).collect();
    });
    slack.fail_next("conversations.replies", Fault::TooFast(1));
    listening_to(slack, inbox, timing(), async |slack, inbox| {
        let is_asked = |state: &fake_slack::State| state.faults.is_empty().then_some(());
        slack.wait_for("the first thread to be asked for", is_asked).await;
        slack.cut_sockets();
        slack.say(ANA, SHOP, "said in the second gap", None);
        slack.give_up_unacked();
        // Of the first thread nothing is shown, of the others nothing as long as this goes on.
        slack.fail_next("conversations.replies", Fault::Refuse("thread_not_found"));
        slack.break_method("conversations.replies", Fault::TooFast(1));
        assert_eq!(texts(&inbox.stored(1).await), ["said in the second gap"]);
        // It is closed from here on, though its threads are not looked through.
        caught_up(inbox).await;
        assert_eq!(changes(inbox), [] as [&str; 0]);
        // The store counts from later on now; what is still looked for must not be lost by that.
        inbox.change(|inner| inner.standing.since = Some(MessageTs::new("1800000000.000100")));
        slack.cut_sockets();
        slack.wait_for("two new sockets", |state| (state.opened >= 6 && state.sockets.len() == 2).then_some(())).await;
        slack.mend("conversations.replies");
        inbox.stored(4).await;
        let edits = [1, 2, 0].map(|n| format!("edit {}", threads[n].1));
        assert_eq!(changes(inbox), edits, "the rest first, from where it stood");
    })
    .await;
}

#[tokio::test]
async fn a_first_message_that_was_deleted_is_found_by_its_tombstone() {
    let slack = FakeSlack::start().await;
    slack.say(BEN, SHOP, "older than all", None);
    let root = slack.say(ANA, SHOP, "never mind", None);
    let reply = slack.say(BEN, SHOP, "hm", Some(&root));
    slack.give_up_unacked();
    slack.delete(&root);
    slack.give_up_unacked();
    let inbox = heard_until(&reply);
    inbox.change(|inner| {
        inner.standing.open = vec![MessageTs::new(root.as_str())];
        inner.standing.held = vec![held(&root, &root, ANA), held(&root, &reply, BEN)];
    });
    listening_to(slack, inbox, timing(), async |_, inbox| {
        caught_up(inbox).await;
        assert_eq!(changes(inbox), [format!("delete {root} of {ANA}")]);
    })
    .await;
}

#[tokio::test]
async fn of_a_thread_that_is_shown_in_part_nothing_counts_as_deleted() {
    let slack = FakeSlack::start().await;
    let root = slack.say(ANA, SHOP, "long", None);
    let replies: Vec<String> = (0..9).map(|n| slack.say(BEN, SHOP, &format!("{n}"), Some(&root))).collect();
    slack.give_up_unacked();
    slack.delete(&replies[1]);
    slack.give_up_unacked();
    slack.refuse_cursors();
    let inbox = heard_until(&replies[8]);
    inbox.change(|inner| {
        inner.standing.open = vec![MessageTs::new(root.as_str())];
        inner.standing.held = replies.iter().map(|ts| held(&root, ts, BEN)).collect();
    });
    listening_to(slack, inbox, timing(), async |_, inbox| {
        caught_up(inbox).await;
        assert_eq!(changes(inbox), [] as [&str; 0]);
    })
    .await;
}
