//! What Slack does to messages before and while they are read, through the binary.

use codebutler::scripted::ScriptedReply;
use serde_json::json;

use super::support::fake_slack::{ANA, BEN, BOT_USER, Fault, LOBBY, Message, SHOP, State};
use super::world::{Daemon, World};

/// What the PM was told so far, all requests together.
fn heard(world: &World) -> String {
    world.model.requests().last().map(|request| request.user_text()).unwrap_or_default()
}

/// Starts the daemon; what is said to it waits for more, longer than any test lasts.
fn never_read(world: &mut World) -> Daemon {
    world.global["timing"]["accumulationMs"] = json!(3_600_000);
    world.start()
}

/// Starts it again, so that what waits is read.
fn read_now(world: &mut World, daemon: Daemon) -> Daemon {
    daemon.kill();
    world.global["timing"]["accumulationMs"] = json!(20);
    world.start()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_edited_or_deleted_before_it_is_read_is_read_so() {
    let mut world = World::new().await;
    let daemon = never_read(&mut world);
    let ts = world.slack.say(BEN, SHOP, "where is teh greeting?", None);
    let second = world.slack.say(BEN, SHOP, "never mind this", Some(&ts));
    world.slack.wait_until_acked().await;
    world.slack.edit(&ts, "where is the greeting?");
    world.slack.delete(&second);
    world.slack.share(ANA, SHOP, "the picture", "greeting.png", Some(&ts));
    world.slack.wait_until_acked().await;
    let _daemon = read_now(&mut world, daemon);
    world.is_done(&ts).await;
    let heard = heard(&world);
    assert_eq!(heard, "Ben: where is the greeting?\nAna: the picture\n[attached: greeting.png]");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_sockets_and_deliveries_that_come_again_double_nothing() {
    let world = World::new().await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "one?", None);
    world.says(&ts, "Ben: one?").await;
    let opened = world.slack.look(|state| state.opened);
    world.slack.disconnect_sockets("refresh_requested");
    world
        .slack
        .wait_for("a new socket", |state| (state.opened > opened && !state.sockets.is_empty()).then_some(()))
        .await;
    let second = world.slack.say(BEN, SHOP, "two?", Some(&ts));
    world.slack.redeliver_unacked();
    world.is_done(&second).await;
    assert_eq!(heard(&world).matches("two?").count(), 1, "{}", heard(&world));
    assert_eq!(world.thread_texts(&ts).iter().filter(|text| text.contains("two?")).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_other_peoples_mentions_and_unbound_channels_are_left_alone() {
    let world = World::new().await;
    let _daemon = world.start();
    world.slack.bot_says(SHOP, "deploy finished", None);
    world.slack.say(BEN, SHOP, &format!("<@{ANA}> lunch?"), None);
    let lobby = world.slack.say(BEN, LOBBY, "<@U0BOT> hello?", None);
    world.says(&lobby, "I work in #shop").await;
    world.slack.wait_until_acked().await;
    assert!(world.model.requests().is_empty(), "no model was asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_server_that_is_down_is_told_and_retried_when_it_is_back() {
    let mut world = World::new().await;
    let url = world.global["openrouter"]["baseUrl"].clone();
    // A port that is ours as long as this lives, and at which nobody listens.
    let bound = tokio::net::TcpSocket::new_v4().expect("a socket");
    bound.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let nobody = bound.local_addr().expect("it is bound");
    world.global["openrouter"]["baseUrl"] = json!(format!("http://{nobody}/v1"));
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "hello?", None);
    world.card(&ts, "run_retry").await;
    world.says(&ts, "The model service did not answer after 6 attempts").await;
    daemon.stop();
    world.global["openrouter"]["baseUrl"] = url;
    let _daemon = world.start();
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.says(&ts, "I heard “Ben: hello?”").await;
}

/// Waits until everything that is under way is done: what comes over each socket now comes after all that.
async fn settled(world: &World) {
    world.slack.wait_until_acked().await;
    for text in ["flush one?", "flush two?"] {
        let ts = world.slack.say(ANA, SHOP, text, None);
        world.is_done(&ts).await;
    }
    world.slack.wait_until_acked().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_message_is_answered_once_however_often_it_comes() {
    let world = World::new().await;
    let _daemon = world.start();
    let slack = &world.slack;
    // The ack is lost, and it comes again at once, after a minute, after five.
    slack.lose_acks(1);
    let lost = slack.say(BEN, SHOP, "is the ack lost?", None);
    world.is_done(&lost).await;
    // Our own answer is an event, too; its ack may still be on its way.
    let unacked = |state: &State| state.envelopes.iter().filter(|envelope| envelope.ack.is_none()).count();
    slack.wait_for("all other acks", |state| (unacked(state) == 1).then_some(())).await;
    assert_eq!(slack.redeliver_unacked(), 1);
    slack.wait_until_acked().await;
    for _ in 0..2 {
        assert_eq!(slack.redeliver(&lost), 1);
        slack.wait_until_acked().await;
    }
    // A mention is two events, in either order.
    let before = slack.say(BEN, SHOP, &format!("<@{BOT_USER}> the mention first?"), None);
    world.is_done(&before).await;
    let after = slack.say_unheard(BEN, SHOP, &format!("<@{BOT_USER}> the mention last?"), None);
    slack.deliver_held(&after);
    slack.mention_late(&after);
    world.is_done(&after).await;
    // One gesture of a person becomes two messages.
    let gesture = slack.say(BEN, SHOP, "is one enough?", None);
    let twin = slack.twin(&gesture);
    let done = |state: &State| {
        let done = |message: &&Message| message.reactions.iter().any(|name| name == "white_check_mark");
        let twins = state.messages.iter().filter(|message| [&gesture, &twin].contains(&&message.ts));
        twins.filter(done).map(|message| message.ts.clone()).next()
    };
    let taken = slack.wait_for("one of the twins", done).await;
    for ts in [&lost, &before, &after, &gesture, &twin] {
        slack.redeliver(ts);
    }
    settled(&world).await;
    for (ts, text) in [
        (&lost, "is the ack lost?"),
        (&before, "the mention first?"),
        (&after, "the mention last?"),
        (&taken, "is one enough?"),
    ] {
        world.is_answered_once(ts, ts, text);
    }
    assert_eq!(slack.deliveries(&lost), 5);
    let other = if taken == twin { &gesture } else { &twin };
    assert!(world.thread_messages(other).is_empty());
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn disorder_breaks_nothing() {
    let world = World::new().await;
    let _daemon = world.start();
    let slack = &world.slack;
    let root = slack.say_unheard(BEN, SHOP, "the first of a thread", None);
    let reply = slack.say(ANA, SHOP, "a reply before its parent?", Some(&root));
    world.is_done(&reply).await;
    slack.deliver_held(&root);
    world.is_done(&root).await;
    let edited = slack.say_unheard(BEN, SHOP, "edited befor it came?", None);
    slack.edit(&edited, "edited before it came?");
    slack.wait_until_acked().await;
    slack.deliver_held(&edited);
    world.is_done(&edited).await;
    // What was read and answered already is edited and deleted.
    let read = slack.say(BEN, SHOP, "read already?", None);
    world.is_done(&read).await;
    slack.edit(&read, "read already, and changed?");
    slack.send_event(json!({ "type": "invented_in_2027", "channel": SHOP, "ts": read }));
    slack.send_envelope("invented_in_2027", json!({ "odd": true }));
    slack.send_garbage("no JSON at all");
    settled(&world).await;
    world.is_answered_once(&root, &reply, "a reply before its parent?");
    // What comes late was read as what had been said before, and is answered with the reply.
    world.is_answered_once(&root, &root, "Ben: the first of a thread");
    world.is_answered_once(&edited, &edited, "edited before it came?");
    world.is_answered_once(&read, &read, "read already?");
    world.refused(BEN, "I had read this message before you edited it").await;
    slack.delete(&read);
    let gone = slack.say_unheard(BEN, SHOP, "deleted before it came?", None);
    slack.delete(&gone);
    slack.wait_until_acked().await;
    slack.deliver_held(&gone);
    settled(&world).await;
    assert_eq!(world.thread_messages(&read).len(), 1);
    assert!(world.model.requests().iter().all(|request| !request.user_text().contains("deleted before it came?")));
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_edited_while_it_is_worked_on_is_heard_before_the_answer() {
    let mut asked = false;
    let world = World::with_script(move |request| {
        if !std::mem::replace(&mut asked, true) {
            let ask = json!({ "question": "Which one?", "options": ["This", "That"] });
            return ScriptedReply::text("").call("AskUser", &ask);
        }
        ScriptedReply::text(format!("Heard: {}", request.last_user_text()))
    })
    .await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "rename it to bar", None);
    let (card, first) = world.card(&ts, "ask_option").await;
    world.slack.edit(&ts, "rename it to &lt;baz&gt;");
    world.slack.wait_until_acked().await;
    daemon.kill();
    let _daemon = world.start();
    world.slack.press(ANA, "ask_option", &first, &card.ts);
    world.says(&ts, "Heard: [codebutler] Ben edited a message that you have read. It now says:").await;
    world.is_done(&ts).await;
    assert!(heard(&world).contains("rename it to <baz>"), "{}", heard(&world));
    assert!(world.slack.look(|state| state.ephemerals.is_empty()), "the answer tells that it was heard");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_our_calls_each_post_is_there_once() {
    let world = World::new().await;
    let _daemon = world.start();
    for (n, (method, fault)) in [
        ("chat.postMessage", Fault::LoseAnswer),
        ("chat.postMessage", Fault::RefuseAfter("internal_error")),
        ("chat.postMessage", Fault::Status(503)),
        ("chat.postMessage", Fault::TooFast(1)),
        ("reactions.add", Fault::LoseAnswer),
        ("reactions.add", Fault::RefuseAfter("internal_error")),
        ("reactions.add", Fault::Status(500)),
        ("reactions.add", Fault::TooFast(1)),
        ("conversations.replies", Fault::Status(502)),
    ]
    .into_iter()
    .enumerate()
    {
        if method == "conversations.replies" {
            // It is asked only when an answer was lost.
            world.slack.fail_next("chat.postMessage", Fault::LoseAnswer);
        }
        world.slack.fail_next(method, fault);
        let text = format!("trouble number {n}?");
        let ts = world.slack.say(BEN, SHOP, &text, None);
        world.is_done(&ts).await;
        world.is_answered_once(&ts, &ts, &text);
        assert!(world.slack.look(|state| state.faults.is_empty()), "{method}");
    }
    settled(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_an_edit_the_card_shows_it_in_the_end() {
    for fault in [Fault::LoseAnswer, Fault::RefuseAfter("internal_error"), Fault::Status(502), Fault::TooFast(1)] {
        let world = World::new().await;
        let _daemon = world.start();
        let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
        world.card(&ts, "plan_cancel").await;
        world.is_done(&ts).await;
        world.slack.fail_next("chat.update", fault);
        world.press(&ts, "plan_cancel").await;
        let shown = |state: &State| {
            let thread = state.thread(&ts);
            let cards = thread.iter().filter(|message| message.text.contains("*Plan:")).count();
            let pressable = thread.iter().any(|message| super::world::button(message, "plan_cancel").is_some());
            (cards == 1 && !pressable && state.faults.is_empty()).then_some(())
        };
        world.slack.wait_for("one card without buttons", shown).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_while_the_daemon_was_down_is_answered_once() {
    let world = World::new().await;
    let slack = &world.slack;
    let old = slack.say(BEN, SHOP, "before the first start?", None);
    slack.say(ANA, SHOP, "a reply before the first start?", Some(&old));
    slack.give_up_unacked();
    let daemon = world.start();
    let open = slack.say(BEN, SHOP, "an open thread?", None);
    world.is_done(&open).await;
    let unknown = slack.bot_says(SHOP, "deploy finished", None);
    slack.wait_until_acked().await;
    daemon.kill();
    let fresh = slack.say(ANA, SHOP, "new while you were away?", None);
    let reply = slack.say(BEN, SHOP, "a reply while you were away?", Some(&open));
    let strange = slack.say(ANA, SHOP, "a reply in an unknown thread?", Some(&unknown));
    let late = slack.say(BEN, SHOP, "a late reply to an old one?", Some(&old));
    let others = slack.say(BEN, SHOP, &format!("<@{ANA}> lunch?"), None);
    let typo = slack.say(BEN, SHOP, "edited whlie you were away?", None);
    slack.edit(&typo, "edited while you were away?");
    slack.edit(&open, "an open thread, edited while you were away?");
    let daemon = world.start();
    let missed = [
        (&fresh, &fresh, "new while you were away?"),
        (&open, &reply, "a reply while you were away?"),
        (&unknown, &strange, "a reply in an unknown thread?"),
        (&old, &late, "a late reply to an old one?"),
        (&typo, &typo, "edited while you were away?"),
    ];
    for (_, ts, _) in missed {
        world.is_done(ts).await;
    }
    world.refused(BEN, "I had read this message before you edited it").await;
    // Now they are delivered after all.
    assert!(slack.redeliver_unacked() >= 7, "all that was said, and what was not acked in time");
    settled(&world).await;
    // And nothing is fetched a second time.
    daemon.stop();
    let _daemon = world.start();
    settled(&world).await;
    for (thread, ts, text) in missed {
        world.is_answered_once(thread, ts, text);
    }
    world.is_answered_once(&open, &open, "an open thread?");
    assert_eq!(slack.look(|state| state.ephemerals.len()), 1, "the edit is told of once");
    let untouched = |ts: &str| slack.thread(ts).iter().all(|message| message.reactions.is_empty());
    assert!(untouched(&others), "what is for others is left alone");
    let first = slack.thread(&old);
    assert!(first.iter().take(2).all(|message| message.reactions.is_empty()), "nothing from before the first start");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_in_an_open_thread_while_the_daemon_was_down_is_heard_of() {
    let world = World::new().await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "one?", None);
    world.is_done(&ts).await;
    let mut replies = Vec::new();
    for text in ["two?", "three?", "four?"] {
        let reply = world.slack.say(ANA, SHOP, text, Some(&ts));
        world.is_done(&reply).await;
        replies.push(reply);
    }
    world.slack.wait_until_acked().await;
    daemon.kill();
    world.slack.edit(&replies[0], "two, and a half?");
    world.slack.delete(&replies[1]);
    world.slack.give_up_unacked();
    let _daemon = world.start();
    world.refused(ANA, "I had read this message before you edited it").await;
    // Nobody is told of a deletion: what was answered before is read again with the next message.
    let store = rusqlite::Connection::open(world.checkout().join(".codebutler/store.db")).expect("opens");
    let deleted = || {
        let sql = "SELECT count(*) FROM events WHERE type = 'message_deleted'";
        store.query_row(sql, [], |row| row.get::<_, i64>(0)).is_ok_and(|count| count == 1)
    };
    world.until("the deletion", deleted).await;
    let last = world.slack.say(BEN, SHOP, "and now?", Some(&ts));
    world.is_done(&last).await;
    let heard = heard(&world);
    for note in ["edited a message that you have read. It now says:\ntwo, and a half?", "it no longer counts:\nthree?"]
    {
        assert_eq!(heard.matches(note).count(), 1, "{note:?} in {heard}");
    }
    assert!(!heard.contains("no longer counts:\nfour?") && !heard.contains("no longer counts:\none?"), "{heard}");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_while_there_was_no_network_is_answered_once() {
    let world = World::new().await;
    let _daemon = world.start();
    let slack = &world.slack;
    let open = slack.say(BEN, SHOP, "an open thread?", None);
    world.is_done(&open).await;
    slack.go_offline();
    slack.wait_for_sockets(0).await;
    let fresh = slack.say(ANA, SHOP, "new without a network?", None);
    let reply = slack.say(BEN, SHOP, "a reply without a network?", Some(&open));
    slack.give_up_unacked();
    slack.fail_next("conversations.history", Fault::Status(503));
    slack.fail_next("conversations.replies", Fault::TooFast(1));
    slack.go_online();
    let live = slack.say(ANA, SHOP, "live again?", None);
    slack.wait_for_sockets(2).await;
    slack.redeliver_unacked();
    for (thread, ts, text) in [
        (&live, &live, "live again?"),
        (&fresh, &fresh, "new without a network?"),
        (&open, &reply, "a reply without a network?"),
    ] {
        world.is_done(ts).await;
        world.is_answered_once(thread, ts, text);
    }
    settled(&world).await;
    world.is_answered_once(&fresh, &fresh, "new without a network?");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_is_named_twice_is_refused_with_both_names() {
    let mut world = World::new().await;
    let (root, inner) = (world.checkout(), world.checkout().join("api"));
    std::fs::create_dir_all(inner.join(".codebutler")).expect("made");
    let own = json!({ "slack": { "channelID": "C0API" } }).to_string();
    std::fs::write(inner.join(".codebutler/config.json"), own).expect("written");
    world.global["repos"] = json!([inner]);
    let (status, log) = world.spawn().ended();
    assert_eq!(status.code(), Some(1), "{log}");
    let (root, inner) = (root.display(), inner.display());
    assert!(log.contains(&format!("`{inner}` and `{root}` are the same repository, {root}")), "{log}");
    assert!(!log.contains("kill"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_for_the_same_app_is_refused_with_the_pid_of_the_first() {
    let (world, mut other) = (World::new().await, World::new().await);
    other.global["slack"]["apiUrl"] = json!(world.slack.api_url());
    other.env.push(("TMPDIR".to_owned(), world.folder.path().to_string_lossy().into_owned()));
    let daemon = world.start();
    let pid = daemon.pid();
    let (status, log) = other.spawn().ended();
    assert_eq!(status.code(), Some(1), "{log}");
    let expected = format!("error: another codebutler (process {pid}) already serves this Slack app");
    assert!(log.contains(&expected) && log.contains(&format!("kill {pid}")), "{log}");
    assert!(log.contains("`repos`"), "{log}");
    for folder in [world.home().join(".codebutler/locks"), world.folder.path().to_owned()] {
        let names = std::fs::read_dir(&folder).expect("read").map(|entry| entry.expect("read").file_name());
        let locks: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        assert_eq!(locks.iter().filter(|name| name.ends_with(".lock")).count(), 1, "{locks:?}");
        assert!(locks.iter().all(|name| !name.contains("xapp")), "{locks:?}");
    }
    // With another folder for what is temporary, and the same home.
    other.env.clear();
    other.env.push(("HOME".to_owned(), world.home().to_string_lossy().into_owned()));
    let (status, log) = other.spawn().ended();
    assert!(status.code() == Some(1) && log.contains(&expected), "{log}");
    daemon.kill();
    other.env.clear();
    other.start();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thread_whose_first_message_comes_last_is_read_in_the_order_in_which_it_was_written() {
    let mut world = World::new().await;
    let daemon = never_read(&mut world);
    let ts = world.slack.say_unheard(BEN, SHOP, "the greeting is odd", None);
    let second = world.slack.say(BEN, SHOP, "do you see why?", Some(&ts));
    world.slack.wait_until_acked().await;
    world.slack.deliver_held(&ts);
    world.slack.wait_until_acked().await;
    let _daemon = read_now(&mut world, daemon);
    world.is_done(&ts).await;
    world.is_done(&second).await;
    assert_eq!(heard(&world), "Ben: the greeting is odd\nBen: do you see why?");
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_right_after_a_message_keeps_it_from_being_worked_on() {
    let mut world = World::new().await;
    // Longer than any test lasts: the stop ends the wait.
    let daemon = never_read(&mut world);
    let ts = world.slack.say(BEN, SHOP, "where is the greeting?", None);
    let stop = world.slack.say(BEN, SHOP, "!stop", Some(&ts));
    world.says(&ts, "Ben stopped this before anything began").await;
    world.is_done(&stop).await;
    world.is_done(&ts).await;
    let daemon = read_now(&mut world, daemon);
    let status = world.slack.say(BEN, SHOP, "!status", Some(&ts));
    world.is_done(&status).await;
    assert!(world.model.requests().is_empty(), "also after a restart");
    world.slack.say(BEN, SHOP, "!retry", Some(&ts));
    world.says(&ts, "Ben: where is the greeting?").await;
    drop(daemon);
    world.no_violations();
}
