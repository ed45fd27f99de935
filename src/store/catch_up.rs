//! What the store knows of how far a channel was heard, for a chat that fetches what came while nobody listened.
//!
//! Two settings per channel: from where on it is served at all, and, while something may have been missed, up to where
//! everything was heard. Never looks at what a message says.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension as _, params};
use serde::Deserialize;

use super::queue::Operation;
use super::{Store, StoreError};
use crate::chat::Incoming;
use crate::ids::{ChannelId, MessageTs, Millis};

/// How far a channel was heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Nothing that is not newer than this is ours. `None`: the channel was never served.
    pub served_from: Option<MessageTs>,
    /// Up to here everything was heard: where the gap began, else the newest message that is stored.
    pub heard_until: Option<MessageTs>,
}

/// The part of a stored message that says under which keys it may come again.
#[derive(Deserialize)]
struct Keys {
    dedupe: Vec<String>,
}

/// First, as what people did is: where a gap begins is noted before what is heard after it, whatever else waits.
const NOTE_STANDING: Operation = Operation { label: "note_standing", durable: true, first: true };

impl Store {
    /// How far a channel was heard.
    pub async fn standing(&self, channel: &ChannelId) -> Result<Standing, StoreError> {
        let channel = channel.clone();
        self.read(move |connection| standing(connection, &channel)).await
    }

    /// The threads of a channel that are open, however long they have waited, and those in which something was decided
    /// since `after`; the open ones and then the latest first, so many at most.
    pub async fn recent_threads(
        &self,
        channel: &ChannelId,
        after: Millis,
        most: u32,
    ) -> Result<Vec<MessageTs>, StoreError> {
        let channel = channel.clone();
        self.read(move |connection| {
            threads(connection, "(updated_at >= ?2 OR phase <> 'closed')", &channel, after, most)
        })
        .await
    }

    /// The open threads in which something was decided since `after`.
    pub async fn open_threads(
        &self,
        channel: &ChannelId,
        after: Millis,
        most: u32,
    ) -> Result<Vec<MessageTs>, StoreError> {
        let channel = channel.clone();
        self.read(move |connection| {
            threads(connection, "updated_at >= ?2 AND phase <> 'closed'", &channel, after, most)
        })
        .await
    }

    /// The messages of a channel between these two, both included, that are not known to be deleted.
    pub async fn held(
        &self,
        channel: &ChannelId,
        from: &MessageTs,
        until: &MessageTs,
    ) -> Result<Vec<Incoming>, StoreError> {
        let (channel, from, until) = (channel.clone(), from.clone(), until.clone());
        self.read(move |connection| held(connection, &channel, &from, &until)).await
    }

    /// The keys under which what is stored of a channel since `from` may come again; they are known for as long as the
    /// message is stored, not only for a day.
    pub async fn keys_since(&self, channel: &ChannelId, from: &MessageTs) -> Result<HashSet<String>, StoreError> {
        let (channel, from) = (channel.clone(), from.clone());
        self.read(move |connection| keys_since(connection, &channel, &from)).await
    }

    /// Remembers from where on a channel is served, unless that is known.
    pub async fn serve_from(&self, channel: &ChannelId, ts: &MessageTs) -> Result<(), StoreError> {
        let (channel, ts) = (channel.clone(), ts.clone());
        self.write(NOTE_STANDING, move |connection| serve_from(connection, &channel, &ts)).await
    }

    /// Remembers up to where a channel was heard, because from now on something may be missed; unless something may
    /// have been missed already.
    pub async fn open_gap(&self, channel: &ChannelId) -> Result<(), StoreError> {
        let channel = channel.clone();
        self.write(NOTE_STANDING, move |connection| open_gap(connection, &channel)).await
    }

    /// Nothing is missed any more, and what is not newer than `done` need never be looked at again.
    pub async fn close_gap(&self, channel: &ChannelId, done: &MessageTs) -> Result<(), StoreError> {
        let (channel, done) = (channel.clone(), done.clone());
        self.write(NOTE_STANDING, move |connection| close_gap(connection, &channel, &done)).await
    }
}

fn served_key(channel: &ChannelId) -> String {
    format!("served_from/{channel}")
}

fn gap_key(channel: &ChannelId) -> String {
    format!("heard_until/{channel}")
}

fn standing(connection: &Connection, channel: &ChannelId) -> Result<Standing, StoreError> {
    let mut setting = connection.prepare_cached("SELECT value FROM settings WHERE key = ?1")?;
    let mut get = |key: String| setting.query_row([key], |row| row.get::<_, String>(0)).optional();
    let (served_from, gap) = (get(served_key(channel))?, get(gap_key(channel))?);
    let newest: Option<String> = connection
        .prepare_cached("SELECT max(timestamp) FROM messages WHERE channel_id = ?1 AND said = 1")?
        .query_row([channel.as_str()], |row| row.get(0))?;
    let heard_until = gap.or(newest);
    Ok(Standing { served_from: served_from.map(MessageTs::new), heard_until: heard_until.map(MessageTs::new) })
}

fn threads(
    connection: &Connection,
    which: &str,
    channel: &ChannelId,
    after: Millis,
    most: u32,
) -> Result<Vec<MessageTs>, StoreError> {
    let sql = format!(
        "SELECT thread_ts FROM sessions WHERE channel_id = ?1 AND {which} \
         ORDER BY phase = 'closed', updated_at DESC LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![channel.as_str(), after.0, most], |row| row.get::<_, String>(0))?;
    rows.map(|ts| Ok(MessageTs::new(ts?))).collect()
}

fn held(
    connection: &Connection,
    channel: &ChannelId,
    from: &MessageTs,
    until: &MessageTs,
) -> Result<Vec<Incoming>, StoreError> {
    // A message that came after its deletion is stored as deleted.
    let sql = "SELECT incoming FROM messages AS held WHERE channel_id = ?1 AND timestamp BETWEEN ?2 AND ?3 AND said = 1 \
               AND json_extract(incoming, '$.what.kind') = 'message' AND NOT EXISTS (SELECT 1 FROM messages AS change \
               WHERE change.channel_id = ?1 AND change.timestamp = held.timestamp AND change.said = 0 \
               AND json_extract(change.incoming, '$.what.kind') = 'deleted')";
    let mut statement = connection.prepare_cached(sql)?;
    let place = [channel.as_str(), from.as_str(), until.as_str()];
    let rows = statement.query_map(place, |row| row.get::<_, String>(0))?;
    rows.map(|incoming| Ok(serde_json::from_str(&incoming?)?)).collect()
}

fn keys_since(connection: &Connection, channel: &ChannelId, from: &MessageTs) -> Result<HashSet<String>, StoreError> {
    let sql = "SELECT incoming FROM messages WHERE timestamp >= ?2 AND channel_id = ?1 AND said = 1";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([channel.as_str(), from.as_str()], |row| row.get::<_, String>(0))?;
    let mut keys = HashSet::new();
    for row in rows {
        keys.extend(serde_json::from_str::<Keys>(&row?)?.dedupe);
    }
    Ok(keys)
}

fn serve_from(connection: &Connection, channel: &ChannelId, ts: &MessageTs) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO settings (key, value) VALUES (?1, ?2)";
    connection.execute(sql, params![served_key(channel), ts.as_str()])?;
    Ok(())
}

fn open_gap(connection: &Connection, channel: &ChannelId) -> Result<(), StoreError> {
    let sql = "INSERT OR IGNORE INTO settings (key, value) SELECT ?1, heard FROM (SELECT coalesce( \
               (SELECT max(timestamp) FROM messages WHERE channel_id = ?2 AND said = 1), \
               (SELECT value FROM settings WHERE key = ?3)) AS heard) WHERE heard IS NOT NULL";
    connection.execute(sql, params![gap_key(channel), channel.as_str(), served_key(channel)])?;
    Ok(())
}

fn close_gap(connection: &Connection, channel: &ChannelId, done: &MessageTs) -> Result<(), StoreError> {
    connection.execute("DELETE FROM settings WHERE key = ?1", [gap_key(channel)])?;
    let sql = "UPDATE settings SET value = ?2 WHERE key = ?1 AND value < ?2";
    connection.execute(sql, params![served_key(channel), done.as_str()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::IncomingKind;
    use crate::ids::{ThreadKey, UserId};
    use crate::store::log::{Append, Session};
    use crate::thread::Event;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("store.db")).expect("a new store");
        (folder, store)
    }

    fn ts(second: u32) -> MessageTs {
        MessageTs::new(format!("17000000{second:02}.000100"))
    }

    async fn hear(store: &Store, channel: &ChannelId, second: u32) {
        let thread = ThreadKey { workspace: "T1".into(), channel: channel.clone(), ts: ts(second) };
        let what = IncomingKind::Message { ts: ts(second), text: "hi".into(), to_bot: false, files: vec![] };
        let dedupe = vec![format!("ts:{channel}:{}", ts(second)), format!("client:{second}")];
        let incoming = Incoming { thread, from: UserId::new("U1"), name: "Ana".into(), what, dedupe };
        store.accept(incoming, Vec::new(), Millis(0)).await.expect("stored");
    }

    async fn heard_until(store: &Store, channel: &ChannelId) -> Option<MessageTs> {
        store.standing(channel).await.expect("read").heard_until
    }

    #[tokio::test]
    async fn a_gap_begins_where_it_was_first_noticed_and_ends_when_all_is_fetched() {
        let (_folder, store) = store();
        let (shop, other) = (ChannelId::new("C1"), ChannelId::new("C2"));
        store.open_gap(&shop).await.expect("nothing to remember");
        assert_eq!(store.standing(&shop).await.expect("read"), Standing::default());
        hear(&store, &shop, 10).await;
        hear(&store, &other, 40).await;
        store.open_gap(&shop).await.expect("remembered");
        hear(&store, &shop, 20).await;
        store.open_gap(&shop).await.expect("there is one");
        assert_eq!(heard_until(&store, &shop).await, Some(ts(10)), "what came since says nothing of the gap");
        store.close_gap(&shop, &ts(15)).await.expect("closed");
        assert_eq!(heard_until(&store, &shop).await, Some(ts(20)));
        assert_eq!(heard_until(&store, &other).await, Some(ts(40)));
    }

    #[tokio::test]
    async fn where_a_channel_is_served_from_only_moves_on() {
        let (_folder, store) = store();
        let shop = ChannelId::new("C1");
        let served = async || store.standing(&shop).await.expect("read").served_from;
        store.close_gap(&shop, &ts(5)).await.expect("nothing to close");
        assert_eq!(served().await, None);
        store.serve_from(&shop, &ts(10)).await.expect("kept");
        store.serve_from(&shop, &ts(30)).await.expect("it is known");
        assert_eq!(served().await, Some(ts(10)));
        store.open_gap(&shop).await.expect("remembered");
        hear(&store, &shop, 50).await;
        assert_eq!(heard_until(&store, &shop).await, Some(ts(10)), "nobody had said anything before the gap");
        for done in [20, 15] {
            store.close_gap(&shop, &ts(done)).await.expect("closed");
            assert_eq!(served().await, Some(ts(20)));
        }
    }

    #[tokio::test]
    async fn what_is_held_is_what_was_said_and_not_deleted() {
        let (_folder, store) = store();
        let shop = ChannelId::new("C1");
        for second in [10, 20, 30, 40, 50] {
            hear(&store, &shop, second).await;
        }
        hear(&store, &ChannelId::new("C2"), 25).await;
        let change = |second, what| {
            let thread = ThreadKey { workspace: "T1".into(), channel: shop.clone(), ts: ts(second) };
            Incoming { thread, from: UserId::new("U1"), name: "Ana".into(), what, dedupe: vec![] }
        };
        let edited = IncomingKind::Edited { ts: ts(20), text: "hello".into(), at: None };
        for change in [
            change(20, edited),
            change(30, IncomingKind::Deleted { ts: ts(30) }),
            // Before its message.
            change(45, IncomingKind::Deleted { ts: ts(45) }),
        ] {
            store.accept(change, Vec::new(), Millis(0)).await.expect("stored");
        }
        hear(&store, &shop, 45).await;
        let held = store.held(&shop, &ts(20), &ts(45)).await.expect("read");
        let held: Vec<_> = held.iter().filter_map(|held| held.said_at().cloned()).collect();
        assert_eq!(held, [ts(20), ts(40)]);
    }

    #[tokio::test]
    async fn a_thread_that_waits_for_a_person_is_asked_for_replies_however_old_it_is() {
        let (_folder, store) = store();
        let shop = ChannelId::new("C1");
        for (second, phase, at) in [(10, "pm", 1), (20, "closed", 2), (30, "closed", 50), (40, "review", 60)] {
            let thread = ThreadKey { workspace: "T1".into(), channel: shop.clone(), ts: ts(second) };
            let epoch = store.lease(&thread).await.expect("leased");
            let session =
                Session { phase: phase.into(), title: String::new(), works: false, pull: None, ..Session::default() };
            let events = vec![Event::ThreadOpened { by: UserId::new("U1") }];
            let (posts, acked, at) = (Vec::new(), Vec::new(), Millis(at));
            let append =
                Append { thread, epoch, expected: 0, at, events, posts, acked, session, spent: vec![], durable: false };
            store.append(append).await.expect("appended");
        }
        let recent = async |most| store.recent_threads(&shop, Millis(40), most).await.expect("read");
        assert_eq!(recent(10).await, [ts(40), ts(10), ts(30)]);
        assert_eq!(recent(2).await, [ts(40), ts(10)], "the open ones before the closed");
        assert_eq!(store.open_threads(&shop, Millis(40), 10).await.expect("read"), [ts(40)]);
    }

    #[tokio::test]
    async fn keys_are_known_as_long_as_the_message_is() {
        let (_folder, store) = store();
        let shop = ChannelId::new("C1");
        for second in [10, 20, 30] {
            hear(&store, &shop, second).await;
        }
        hear(&store, &ChannelId::new("C2"), 25).await;
        let keys = store.keys_since(&shop, &ts(20)).await.expect("read");
        let expected = ["ts:C1:1700000020.000100", "client:20", "ts:C1:1700000030.000100", "client:30"];
        assert_eq!(keys, expected.into_iter().map(str::to_owned).collect());
    }
}
