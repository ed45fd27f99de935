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
