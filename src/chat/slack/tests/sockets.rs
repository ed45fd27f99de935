//! Sockets that end in every way there is: others take their place, and nothing that was acked is lost.

use super::fake_slack::State;
use super::*;

/// Two live sockets after so many were ever opened, at least.
fn two_of(state: &State, opened: usize) -> Option<()> {
    (state.opened >= opened && state.sockets.len() == 2).then_some(())
}

/// Where a line is in the fake's transcript.
fn line(state: &State, wanted: impl Fn(&str) -> bool) -> Option<usize> {
    state.transcript.iter().position(|line| wanted(line))
}

#[tokio::test]
async fn announced_ends_leave_no_gap_and_need_no_catching_up() {
    for reason in ["warning", "refresh_requested"] {
        listening(async |slack, inbox| {
            inbox.wait_for("the first", |inner| inner.noted.len() >= 2).await;
            slack.disconnect_sockets(reason);
            slack.wait_for("two new sockets", |state| two_of(state, 4)).await;
            slack.look(|state| {
                let opened = line(state, |line| line == "socket 3 is open").expect("it is");
                let left = line(state, |line| line.ends_with("is closed")).expect("one was left");
                assert!(
                    opened < left,
                    "the new one is open before the old one is left:\n{}",
                    state.transcript.join("\n")
                );
            });
            slack.say(ANA, SHOP, "one", None);
            slack.say(ANA, SHOP, "two", None);
            inbox.stored(2).await;
            slack.wait_until_acked().await;
            let gaps = inbox.change(|inner| inner.noted.iter().filter(|noted| **noted == Hearing::Gap).count());
            assert_eq!(gaps, 1, "only the start");
        })
        .await;
    }
}

#[tokio::test]
async fn what_comes_over_a_socket_that_is_to_be_renewed_is_still_taken() {
    listening(async |slack, inbox| {
        slack.disconnect_sockets("warning");
        slack.say(ANA, SHOP, "one", None);
        slack.say(ANA, SHOP, "two", None);
        inbox.stored(2).await;
        slack.wait_until_acked().await;
    })
    .await;
}

#[tokio::test]
async fn unwanted_sockets_are_tried_again_after_a_pause() {
    for reason in ["too_many_websockets", "link_disabled", "invented_in_2027"] {
        listening(async |slack, inbox| {
            slack.disconnect_sockets(reason);
            slack.wait_for("two new sockets", |state| two_of(state, 4)).await;
            slack.say(ANA, SHOP, "hello", None);
            inbox.stored(1).await;
            slack.wait_until_acked().await;
        })
        .await;
    }
}

#[tokio::test]
async fn sockets_that_break_without_a_word_are_opened_again_and_may_have_missed_something() {
    listening(async |slack, inbox| {
        slack.cut_sockets();
        slack.wait_for("two new sockets", |state| two_of(state, 4)).await;
        let gaps = |inner: &Inner| inner.noted.iter().filter(|noted| **noted == Hearing::Gap).count();
        inbox.wait_for("the gap", |inner| gaps(inner) >= 2).await;
        slack.say(ANA, SHOP, "after the cut", None);
        inbox.stored(1).await;
        slack.wait_until_acked().await;
    })
    .await;
}

#[tokio::test]
async fn half_open_sockets_are_given_up_by_their_silence() {
    // Short, but so that the new sockets are not given up as well on a busy machine.
    let timing = SlackTiming { ping: Duration::from_secs(1), ..timing() };
    listening_to(FakeSlack::start().await, Inbox::new(), timing, async |slack, inbox| {
        slack.freeze_sockets(2);
        for n in 0..4 {
            slack.say(ANA, SHOP, &format!("lost {n}"), None);
        }
        slack.wait_for("two live sockets", |state| two_of(state, 4)).await;
        slack.drop_frozen();
        assert_eq!(slack.redeliver_unacked(), 4);
        inbox.stored(4).await;
        slack.wait_until_acked().await;
    })
    .await;
}

#[tokio::test]
async fn without_a_network_it_is_tried_until_it_is_back() {
    listening(async |slack, inbox| {
        slack.go_offline();
        slack.wait_for_sockets(0).await;
        slack.say(ANA, SHOP, "nobody hears", None);
        slack.fail_next("apps.connections.open", Fault::TooFast(1));
        slack.fail_next("apps.connections.open", Fault::Refuse("internal_error"));
        slack.fail_next("apps.connections.open", Fault::Status(503));
        slack.go_online();
        slack.wait_for("two sockets", |state| two_of(state, 4)).await;
        slack.redeliver_unacked();
        inbox.stored(1).await;
        slack.wait_until_acked().await;
    })
    .await;
}

#[tokio::test]
async fn frames_that_mean_nothing_end_nothing() {
    listening(async |slack, inbox| {
        slack.send_garbage("");
        slack.send_garbage("{\"type\":\"events_api\",\"envelope_id\":7}");
        slack.send_garbage("\u{1f980} [1, 2");
        slack.send_frame(&json!({ "type": "invented_in_2027" }));
        slack.send_frame(&json!([1, 2, 3]));
        slack.say(ANA, SHOP, "one", None);
        slack.say(ANA, SHOP, "two", None);
        inbox.stored(2).await;
        slack.wait_until_acked().await;
        assert_eq!(slack.look(|state| state.opened), 2);
    })
    .await;
}

#[tokio::test]
async fn a_store_that_is_locked_holds_no_other_channel_and_no_socket() {
    let inbox = Inbox::new();
    inbox.change(|inner| (inner.with_lobby, inner.locked) = (true, true));
    // The start may not wait for it, either.
    listening_to(FakeSlack::start().await, inbox, timing(), async |slack, inbox| {
        // A large burst, over both sockets.
        let said: Vec<String> = (0..1500).map(|n| slack.say(ANA, SHOP, &format!("locked {n}"), None)).collect();
        let lobby: Vec<String> = (0..4).map(|n| slack.say(BEN, LOBBY, &format!("free {n}"), None)).collect();
        let acked = |state: &State, ts: &String| {
            let mut of = state.envelopes.iter().filter(|envelope| envelope.payload["event"]["ts"] == *ts);
            of.any(|envelope| envelope.ack.is_some())
        };
        slack.wait_for("the lobby's acks", |state| lobby.iter().all(|ts| acked(state, ts)).then_some(())).await;
        assert!(slack.look(|state| !said.iter().any(|ts| acked(state, ts))), "nothing is acked that is not stored");
        // A socket that is lost is replaced while the lock is held.
        slack.cut_sockets();
        slack.wait_for("two new sockets", |state| two_of(state, 4)).await;
        let more = slack.say(BEN, LOBBY, "free again", None);
        slack.wait_for("its ack", |state| acked(state, &more).then_some(())).await;
        assert!(slack.look(|state| !said.iter().any(|ts| acked(state, ts))));
        inbox.change(|inner| inner.locked = false);
        // What came over the lost sockets was stored, but never acked.
        slack.redeliver_unacked();
        slack.wait_until_acked().await;
        let stored =
            inbox.change(|inner| inner.stored.iter().filter_map(|one| one.said_at().cloned()).collect::<HashSet<_>>());
        assert!(said.iter().chain(&lobby).all(|ts| stored.contains(&MessageTs::new(ts.as_str()))));
        assert_eq!(slack.look(|state| state.opened), 4);
    })
    .await;
}

#[tokio::test]
async fn a_socket_that_is_left_is_read_until_what_came_over_it_is_stored() {
    let inbox = Inbox::new();
    inbox.change(|inner| inner.with_lobby = true);
    listening_to(FakeSlack::start().await, inbox, timing(), async |slack, inbox| {
        inbox.wait_for("both channels", |inner| inner.noted.len() >= 4).await;
        inbox.change(|inner| inner.locked = true);
        // One over each socket.
        slack.say(ANA, SHOP, "one", None);
        slack.say(ANA, SHOP, "two", None);
        inbox.wait_for("both to wait for the lock", |inner| inner.given.len() == 2).await;
        slack.disconnect_sockets("warning");
        let all_four = |state: &State| (state.opened == 4 && state.sockets.len() == 4).then_some(());
        slack.wait_for("two new sockets beside the old ones", all_four).await;
        for round in 0..3 {
            // One over each of the four, the old ones among them.
            let said: Vec<String> = (0..4).map(|n| slack.say(BEN, LOBBY, &format!("{round} {n}"), None)).collect();
            let acked = |state: &State| {
                let of_lobby = state.envelopes.iter().filter(|envelope| envelope.ack.is_some());
                let acked: HashSet<&str> = of_lobby.filter_map(|one| one.payload["event"]["ts"].as_str()).collect();
                said.iter().all(|ts| acked.contains(ts.as_str())).then_some(())
            };
            slack.wait_for("the lobby's acks", acked).await;
            // Longer than a socket that is left stays without a word.
            tokio::time::pause();
            tokio::time::advance(Duration::from_millis(300)).await;
            tokio::time::resume();
        }
        inbox.change(|inner| inner.locked = false);
        slack.wait_until_acked().await;
        slack.wait_for("the old ones to be left", |state| two_of(state, 4)).await;
        assert!(slack.look(|state| state.envelopes.iter().all(|envelope| envelope.attempt == 0)));
    })
    .await;
}

#[tokio::test]
async fn one_channel_s_events_are_given_to_its_store_in_the_order_of_their_socket() {
    listening(async |slack, inbox| {
        inbox.change(|inner| inner.locked = true);
        let said: Vec<String> = (0..200).map(|n| slack.say(ANA, SHOP, &format!("{n}"), None)).collect();
        inbox.wait_for("all to be given", |inner| inner.given.len() == said.len()).await;
        let given = inbox.change(|inner| inner.given.clone());
        // Each other one comes over the other socket.
        for socket in 0..2 {
            let over: Vec<&String> = said.iter().skip(socket).step_by(2).collect();
            let in_order: Vec<&str> =
                given.iter().map(MessageTs::as_str).filter(|ts| over.iter().any(|one| one == ts)).collect();
            assert_eq!(in_order, over);
        }
        inbox.change(|inner| inner.locked = false);
        slack.wait_until_acked().await;
    })
    .await;
}
