//! Much at once in one channel: all of it is taken, or nothing overtakes what is not.

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, join_all};

use super::super::events::{Envelope, Heard, HeardKind};
use super::super::listener::{Listener, UNDER_WAY};
use super::*;

/// A message's timestamp.
fn at(n: usize) -> MessageTs {
    MessageTs::new(format!("{}.000100", 1_700_000_000 + n))
}

/// A listener whose store is locked.
async fn listener() -> (FakeSlack, Arc<Inbox>, Listener) {
    let slack = FakeSlack::start().await;
    let connection = chat(&slack).await.connection;
    let inbox = Inbox::new();
    inbox.change(|inner| inner.locked = true);
    let (listener, _) = Listener::new(connection, inbox.clone());
    (slack, inbox, listener)
}

/// Takes a message of one thread, as a socket does.
async fn take(listener: &Listener, n: usize) -> BoxFuture<'_, Option<String>> {
    let what = HeardKind::Message { ts: at(n), text: n.to_string(), to_bot: true, mentions_bot: false, files: vec![] };
    let (channel, from) = (ChannelId::new(SHOP), UserId::new(ANA));
    let heard = Heard { channel, thread: at(0), from, what, dedupe: vec![n.to_string()], direct: false };
    listener.take(n.to_string(), Envelope::Heard(heard)).await
}

async fn take_all(listener: &Listener, numbers: std::ops::Range<usize>) -> Vec<BoxFuture<'_, Option<String>>> {
    let mut taken = Vec::new();
    for n in numbers {
        taken.push(take(listener, n).await);
    }
    taken
}

#[tokio::test]
async fn a_burst_into_one_channel_is_all_acked_and_in_order() {
    let (_slack, inbox, listener) = listener().await;
    let taken = take_all(&listener, 0..2_000).await;
    inbox.change(|inner| inner.locked = false);
    let acks = join_all(taken).await;
    let refused = acks.iter().filter(|ack| ack.is_none()).count();
    assert_eq!(refused, 0);
    let given = inbox.change(|inner| inner.given.clone());
    assert_eq!(given, (0..2_000).map(at).collect::<Vec<_>>());
}

#[tokio::test]
async fn behind_what_found_no_place_nothing_is_taken_until_the_channel_has_drained() {
    let (_slack, inbox, listener) = listener().await;
    let mut taken = take_all(&listener, 0..UNDER_WAY).await;
    assert_eq!(take(&listener, UNDER_WAY).await.now_or_never(), Some(None), "the first that finds no place");
    listener.unstored.notified().now_or_never().expect("what was refused is to be fetched");
    // One place is free again, and then all but one.
    drop(taken.pop());
    assert_eq!(take(&listener, UNDER_WAY + 1).await.now_or_never(), Some(None), "it would overtake");
    taken.truncate(1);
    assert_eq!(take(&listener, UNDER_WAY + 2).await.now_or_never(), Some(None), "it would still overtake");
    inbox.change(|inner| inner.locked = false);
    assert!(join_all(taken).await.iter().all(Option::is_some));
    let last = take(&listener, UNDER_WAY + 3).await.await;
    assert!(last.is_some(), "there is room again");
    let given = inbox.change(|inner| inner.given.clone());
    assert_eq!(given, (0..UNDER_WAY).chain([UNDER_WAY + 3]).map(at).collect::<Vec<_>>());
}
