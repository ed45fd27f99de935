//! The outbox: what the chat should show, one row per key. A newer version of a row replaces an unsent older one, so
//! that a progress message is edited, not repeated.

use rusqlite::{Connection, params};

use super::queue::Operation;
use super::{Store, StoreError};
use crate::ids::{ChannelId, MessageTs, ThreadKey};
use crate::render::post::Post;

const POST_ONCE: Operation = Operation { label: "post_once", durable: false, first: false };
/// Durable: what others can see must not be forgotten after a power failure. The flush also hardens every commit before
/// it, so that no message tells of a decision that is then lost.
const MARK_TRIED: Operation = Operation { label: "mark_tried", durable: true, first: false };
/// Not durable: when it is lost the row counts as tried, and is looked for.
const MARK_SENT: Operation = Operation { label: "mark_sent", durable: false, first: false };

/// A row that the chat does not show yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePost {
    /// Its number, which is the order of first posts.
    pub id: i64,
    /// The thread.
    pub thread: ThreadKey,
    /// Its key.
    pub key: String,
    /// What to show.
    pub post: Post,
    /// Which version this is.
    pub revision: i64,
    /// Where it was posted before.
    pub ts: Option<MessageTs>,
    /// Whether posting it was tried before, so that it may be there already.
    pub tried: bool,
}

/// What is sent without waiting for the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// What is new in a channel, in order.
    Posts(ChannelId),
    /// New versions of what is there.
    Edits,
    /// Reactions.
    Reactions,
}

impl DuePost {
    /// The lane it goes by.
    pub fn lane(&self) -> Lane {
        match (&self.post, &self.ts) {
            (Post::Reaction { .. }, _) => Lane::Reactions,
            (Post::Message { .. } | Post::File { .. } | Post::Ephemeral { .. }, Some(_)) => Lane::Edits,
            (Post::Message { .. } | Post::File { .. } | Post::Ephemeral { .. }, None) => {
                Lane::Posts(self.thread.channel.clone())
            }
        }
    }
}

/// The channel of a row: `thread` is WORKSPACE/CHANNEL/TS.
macro_rules! channel {
    () => {
        "substr(substr(thread, instr(thread, '/') + 1), 1, instr(substr(thread, instr(thread, '/') + 1), '/') - 1)"
    };
}

/// A post as it is stored.
#[derive(Debug)]
pub(super) struct Prepared {
    key: String,
    post: String,
    reaction: bool,
}

/// Posts as they are stored. Done by the caller, not by the store's thread.
pub(super) fn prepare(posts: &[(String, Post)]) -> Result<Vec<Prepared>, StoreError> {
    let prepare = |(key, post): &(String, Post)| {
        let reaction = matches!(post, Post::Reaction { .. });
        Ok(Prepared { key: key.clone(), post: serde_json::to_string(post)?, reaction })
    };
    posts.iter().map(prepare).collect()
}

/// Puts a post under a key; the same content again changes nothing.
pub(super) fn put(connection: &Connection, thread: &ThreadKey, post: &Prepared) -> Result<(), StoreError> {
    let Prepared { key, post, reaction } = post;
    let lane = if *reaction { "reaction".to_owned() } else { format!("post/{}", thread.channel) };
    connection
        .prepare_cached(
            "INSERT INTO outbox (thread, key, post, lane) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (thread, key) DO UPDATE SET post = excluded.post, revision = revision + 1 \
             WHERE post <> excluded.post",
        )?
        .execute(params![thread.to_text(), key, post, lane])?;
    Ok(())
}

/// What may be sent next: the first of each channel's posts, which are sent in order; some reactions, of which the one
/// that says "done" comes after what its thread was told before it; and the edits, of which progress messages come last
/// because they may lag behind. Of each channel so many, for what one channel does not let in must not hide the others'.
const DUE: [&str; 3] = [
    "WHERE id IN (SELECT min(id) FROM outbox WHERE revision > sent AND lane GLOB 'post/*' GROUP BY lane) ORDER BY id",
    concat!(
        "WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY ",
        channel!(),
        " ORDER BY id) AS place FROM outbox WHERE revision > sent AND lane = 'reaction' \
         AND NOT (key GLOB 'done/*' AND EXISTS (SELECT 1 FROM outbox AS post \
         WHERE post.thread = outbox.thread AND post.id < outbox.id AND post.revision > post.sent \
         AND post.lane GLOB 'post/*'))) WHERE place <= 16) ORDER BY id"
    ),
    concat!(
        "WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY ",
        channel!(),
        " ORDER BY key GLOB 'progress/*', id) AS place FROM outbox WHERE revision > sent AND lane = 'edit') \
         WHERE place <= 500) ORDER BY key GLOB 'progress/*', id"
    ),
];

impl Store {
    /// Puts a post outside a decision, unless there is one under this key.
    pub async fn post_once(&self, thread: &ThreadKey, key: &str, post: &Post) -> Result<(), StoreError> {
        let (thread, key) = (thread.clone(), key.to_owned());
        let posts = prepare(&[(key.clone(), post.clone())])?;
        self.write(POST_ONCE, move |connection| {
            let sql = "SELECT 1 FROM outbox WHERE thread = ?1 AND key = ?2";
            if connection.prepare_cached(sql)?.exists(params![thread.to_text(), key])? {
                return Ok(());
            }
            posts.iter().try_for_each(|post| put(connection, &thread, post))
        })
        .await
    }

    /// What may be sent next in each lane: never a row before another that must be sent first.
    pub async fn due_posts(&self) -> Result<Vec<DuePost>, StoreError> {
        self.posts(&DUE).await
    }

    /// Every row that was sent, in order: what the local chat shows after a restart.
    pub async fn sent_posts(&self) -> Result<Vec<DuePost>, StoreError> {
        self.posts(&["WHERE sent > 0 ORDER BY id"]).await
    }

    async fn posts(&self, conditions: &'static [&'static str]) -> Result<Vec<DuePost>, StoreError> {
        self.read(move |connection| {
            let mut found = Vec::new();
            for condition in conditions {
                let sql = format!("SELECT id, thread, key, post, revision, ts, tried FROM outbox {condition}");
                let mut statement = connection.prepare_cached(&sql)?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    found.extend(due_post(row)?);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Notes that a row is about to be posted: from now on it may be there.
    pub async fn mark_tried(&self, id: i64) -> Result<(), StoreError> {
        self.write(MARK_TRIED, move |connection| {
            connection.prepare_cached("UPDATE outbox SET tried = 1 WHERE id = ?1")?.execute([id])?;
            Ok(())
        })
        .await
    }

    /// Notes that the chat shows this version of a row, or that it never will, with the reason.
    pub async fn mark_sent(
        &self,
        id: i64,
        revision: i64,
        ts: Option<MessageTs>,
        fault: Option<String>,
    ) -> Result<(), StoreError> {
        self.write(MARK_SENT, move |connection| {
            let sql = "UPDATE outbox SET sent = ?2, ts = coalesce(?3, ts), fault = ?4, tried = 1, \
                       lane = CASE WHEN ?3 IS NULL THEN lane ELSE 'edit' END WHERE id = ?1";
            let ts = ts.as_ref().map(MessageTs::as_str);
            connection.prepare_cached(sql)?.execute(params![id, revision, ts, fault])?;
            Ok(())
        })
        .await
    }
}

fn due_post(row: &rusqlite::Row<'_>) -> Result<Option<DuePost>, StoreError> {
    let Some(thread) = ThreadKey::parse(&row.get::<_, String>(1)?) else { return Ok(None) };
    Ok(Some(DuePost {
        id: row.get(0)?,
        thread,
        key: row.get(2)?,
        post: serde_json::from_str(&row.get::<_, String>(3)?)?,
        revision: row.get(4)?,
        ts: row.get::<_, Option<String>>(5)?.map(MessageTs::new),
        tried: row.get(6)?,
    }))
}
