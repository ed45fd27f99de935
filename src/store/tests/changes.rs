//! Edits and deletions that come before their message, or in another order than they were made in.

use super::*;

fn said(text: &str) -> Incoming {
    let what = IncomingKind::Message { ts: MessageTs::new("1.0"), text: text.into(), to_bot: true, files: vec![] };
    Incoming { what, ..incoming("1.0", &[]) }
}

fn edited(text: &str, at: &str) -> Incoming {
    let what = IncomingKind::Edited { ts: MessageTs::new("1.0"), text: text.into(), at: Some(MessageTs::new(at)) };
    Incoming { what, ..incoming("1.0", &[]) }
}

fn deleted() -> Incoming {
    Incoming { what: IncomingKind::Deleted { ts: MessageTs::new("1.0") }, ..incoming("1.0", &[]) }
}

/// What waits after these came one after the other, with a restart before each, and how many 👀 are shown.
async fn after(came: &[Incoming]) -> (Vec<String>, usize) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store.db");
    for one in came {
        let store = reopen(&path);
        let is_message = matches!(one.what, IncomingKind::Message { .. });
        let posts = is_message.then(|| ("seen/1.0".to_owned(), eyes())).into_iter().collect();
        store.accept(one.clone(), posts, NOW).await.expect("stored or known");
    }
    let store = reopen(&path);
    let waiting = store.waiting(&key("1.0")).await.expect("read");
    let words = waiting.into_iter().map(|waiting| match waiting.incoming.what {
        IncomingKind::Message { text, to_bot, .. } => format!("says{} {text}", if to_bot { " to us" } else { "" }),
        IncomingKind::Edited { text, .. } => format!("edits {text}"),
        IncomingKind::Deleted { .. } => "deletes".to_owned(),
        other => format!("{other:?}"),
    });
    (words.collect(), store.due_posts().await.expect("read").len())
}

fn eyes() -> Post {
    Post::Reaction { ts: MessageTs::new("1.0"), name: "eyes".into() }
}

#[tokio::test]
async fn a_message_is_taken_as_it_stands_when_its_changes_came_first() {
    let cases: [(&[Incoming], &[&str]); 8] = [
        (&[said("teh"), edited("the", "2.0")], &["says to us teh", "edits the"]),
        (&[edited("the", "2.0"), said("teh")], &["edits the", "says to us the"]),
        (&[edited("two", "3.0"), edited("one", "2.0"), said("teh")], &["edits two", "says to us two"]),
        (&[said("teh"), edited("two", "3.0"), edited("one", "2.0")], &["says to us teh", "edits two"]),
        (&[edited("one", "2.0"), edited("two", "3.0"), said("teh")], &["edits one", "edits two", "says to us two"]),
        (&[deleted(), said("teh")], &["deletes", "deletes"]),
        (&[deleted(), said("teh"), said("teh")], &["deletes", "deletes"]),
        (&[deleted(), edited("one", "2.0"), said("teh")], &["deletes", "deletes"]),
    ];
    for (came, expected) in cases {
        let (words, eyes) = after(came).await;
        assert_eq!(words, expected);
        assert_eq!(eyes, usize::from(!words.iter().any(|word| word == "deletes")), "{words:?}");
    }
    let unreadable = "UPDATE messages SET incoming = '{\"later\":1}' WHERE said = 0";
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(&folder).await;
    for change in [edited("one", "2.0"), edited("two", "3.0")] {
        assert!(store.accept(change, vec![], NOW).await.expect("stored"));
    }
    let connection = rusqlite::Connection::open(folder.path().join("store.db")).expect("opens");
    let damaged = connection.execute(&format!("{unreadable} AND incoming LIKE '%two%'"), []).expect("damaged");
    let pressed = IncomingKind::Pressed { action: "a".into(), value: "v".into() };
    for later in [said("teh"), Incoming { what: pressed, ..incoming("1.0", &[]) }, edited("three", "4.0")] {
        assert!(store.accept(later, vec![], NOW).await.expect("one that cannot be read blocks nobody"));
    }
    let sql = "SELECT content FROM messages WHERE said = 1";
    let text = connection.query_one(sql, [], |row| row.get::<_, String>(0)).expect("a row");
    assert_eq!((damaged, text.as_str()), (1, "one"), "the change that can be read counts");
    let of_another = Incoming { from: UserId::new("EVE"), ..edited("evil", "2.0") };
    assert_eq!(after(&[of_another, said("good")]).await.0, ["edits evil", "says to us good"]);
}
