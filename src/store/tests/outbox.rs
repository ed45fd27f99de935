//! What of the outbox may be sent next.

use super::{append, key, open, said};
use crate::ids::{ChannelId, Epoch, MessageTs, ThreadKey};
use crate::render::post::Post;
use crate::render::posts::is_progress_key;
use crate::store::{Append, Lane, Store};

fn reaction(name: &str) -> Post {
    Post::Reaction { ts: MessageTs::new("1.0"), name: name.into() }
}

async fn due(store: &Store) -> Vec<String> {
    store.due_posts().await.expect("read").into_iter().map(|row| row.key).collect()
}

#[tokio::test]
async fn each_thread_shows_its_first_post_and_the_rest_waits_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let other = ThreadKey::parse("T1/C2/1.0").expect("a thread");
    assert_eq!(store.lease(&other).await.expect("leased"), Epoch(1));
    let posts = [("a", said("a")), ("b", said("b")), ("c", said("c"))];
    store.append(append(0, vec![], &posts, vec![])).await.expect("appended");
    let elsewhere = Append { thread: other, ..append(0, vec![], &[("d", said("d"))], vec![]) };
    store.append(elsewhere).await.expect("appended");
    assert_eq!(due(&store).await, ["a", "d"]);
    store.mark_sent(1, 1, Some(MessageTs::new("1.1")), None).await.expect("noted");
    assert_eq!(due(&store).await, ["b", "d"]);
    let newer = [("a", said("A")), ("b", said("B"))];
    store.append(append(0, vec![], &newer, vec![])).await.expect("appended");
    let rows = store.due_posts().await.expect("read");
    let rows: Vec<_> = rows.iter().map(|row| (row.key.as_str(), row.lane(), row.revision)).collect();
    let posts = |channel| Lane::Posts(ChannelId::new(channel));
    assert_eq!(rows, [("b", posts("C1"), 2), ("d", posts("C2"), 1), ("a", Lane::Edits(ChannelId::new("C1")), 2)]);
    // The older version was under way when the newer came: the newer is an edit of it.
    store.mark_sent(2, 1, Some(MessageTs::new("1.2")), None).await.expect("noted");
    assert_eq!(due(&store).await, ["c", "d", "a", "b"]);
}

#[tokio::test]
async fn what_is_done_is_said_after_what_was_said_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    let posts =
        [("say/1/0", said("answer")), ("done/1.0", reaction("white_check_mark")), ("eyes/2.0", reaction("eyes"))];
    store.append(append(0, vec![], &posts, vec![])).await.expect("appended");
    store.append(append(0, vec![], &[("say/2/0", said("more"))], vec![])).await.expect("appended");
    assert_eq!(due(&store).await, ["say/1/0", "eyes/2.0"], "only what is done waits for the answer");
    store.mark_sent(1, 1, Some(MessageTs::new("1.1")), None).await.expect("noted");
    assert_eq!(due(&store).await, ["say/2/0", "done/1.0", "eyes/2.0"], "and not for what came later");
}

#[tokio::test]
async fn an_edit_that_a_decision_needs_is_shown_before_those_that_may_lag() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    for key in ["progress/1", "plan/1"] {
        assert_eq!(is_progress_key(key), key == "progress/1", "the store and the pace mean the same");
        store.append(append(0, vec![], &[(key, said("one"))], vec![])).await.expect("appended");
        let id = store.due_posts().await.expect("read")[0].id;
        store.mark_sent(id, 1, Some(MessageTs::new("1.1")), None).await.expect("noted");
        store.append(append(0, vec![], &[(key, said("two"))], vec![])).await.expect("appended");
    }
    assert_eq!(due(&store).await, ["plan/1", "progress/1"]);
    store.post_once(&key("1.0"), "plan/1", &said("three")).await.expect("nothing to do");
    store.post_once(&key("1.0"), "crashed/1", &said("sorry")).await.expect("put");
    let rows = store.due_posts().await.expect("read");
    assert_eq!((rows[0].key.as_str(), &rows[1].post), ("crashed/1", &said("two")));
}

#[tokio::test]
async fn a_post_that_cannot_be_read_holds_nothing_and_is_missed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    store.append(append(0, vec![], &[("a", said("a")), ("b", said("b"))], vec![])).await.expect("appended");
    let outside = rusqlite::Connection::open(folder.path().join("store.db")).expect("opens");
    outside.execute("UPDATE outbox SET post = '{\"kind\":\"hologram\"}' WHERE key = 'a'", []).expect("damaged");
    let first = store.due_posts().await.expect("read").remove(0);
    assert_eq!((first.key.as_str(), &first.post), ("a", &crate::render::cards::missing(&MessageTs::new("1.0"))));
    store.mark_sent(first.id, first.revision, Some(MessageTs::new("1.1")), None).await.expect("noted");
    assert_eq!(due(&store).await, ["b"]);
}
