//! The outbox: what the chat should show, one row per key. A newer version of a row replaces an unsent older one, so
//! that a progress message is edited, not repeated.

mod due;

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};

pub use self::due::{Ask, Due, Turn};
use super::queue::Operation;
use super::{Store, StoreError};
use crate::ids::{ChannelId, MessageTs, ThreadKey};
use crate::render::post::Post;

const POST_ONCE: Operation = Operation { label: "post_once", durable: false, first: false };
/// Durable: what others can see must not be forgotten after a power failure. The flush also hardens every commit before
/// it, so that no message tells of a decision that is then lost.
const MARK_TRIED: Operation = Operation { label: "mark_tried", durable: true, first: false };
const MARK_UNTRIED: Operation = Operation { label: "mark_untried", durable: false, first: false };
/// Not durable: when it is lost the row counts as tried, and is looked for.
const MARK_SENT: Operation = Operation { label: "mark_sent", durable: false, first: false };

/// Whether people can see a post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It was never sent.
    Not,
    /// It may be there, and nobody knows since when.
    Perhaps,
    /// It is there, as the message with this ts.
    At(MessageTs),
}

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
    /// Whether its thread has others behind it in its lane.
    pub more: bool,
}

/// What is sent without waiting for the others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// What is new in a channel, in order within each thread.
    Posts(ChannelId),
    /// New versions of what is there.
    Edits(ChannelId),
    /// Reactions.
    Reactions(ChannelId),
}

impl DuePost {
    /// The lane it goes by.
    pub fn lane(&self) -> Lane {
        let channel = self.thread.channel.clone();
        match (&self.post, &self.ts) {
            (Post::Reaction { .. }, _) => Lane::Reactions(channel),
            (Post::Message { .. } | Post::File { .. } | Post::Ephemeral { .. }, Some(_)) => Lane::Edits(channel),
            (Post::Message { .. } | Post::File { .. } | Post::Ephemeral { .. }, None) => Lane::Posts(channel),
        }
    }
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
    let (channel, thread) = (&thread.channel, thread.to_text());
    let posts = format!("post/{channel}");
    let lane = match reaction {
        false => posts,
        // It says that all was told, and comes when it was.
        true if key.starts_with("done/") && is_told_something(connection, &posts, &thread)? => {
            format!("done/{channel}")
        }
        true => format!("reaction/{channel}"),
    };
    connection
        .prepare_cached(
            "INSERT INTO outbox (thread, key, post, lane) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (thread, key) DO UPDATE SET post = excluded.post, revision = revision + 1 \
             WHERE post <> excluded.post",
        )?
        .execute(params![thread, key, post, lane])?;
    Ok(())
}

fn is_told_something(connection: &Connection, posts: &str, thread: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM outbox WHERE revision > sent AND lane = ?1 AND thread = ?2 LIMIT 1";
    Ok(connection.prepare_cached(sql)?.exists(params![posts, thread])?)
}

/// Lets the reactions go that waited for a post of this thread, as far as no other comes before them.
fn release_done(connection: &Connection, thread: &str, channel: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE outbox SET lane = 'reaction/' || ?2 \
             WHERE revision > sent AND lane = 'done/' || ?2 AND thread = ?1 AND id < coalesce((SELECT min(id) \
             FROM outbox WHERE revision > sent AND lane = 'post/' || ?2 AND thread = ?1), 9e18)",
        )?
        .execute(params![thread, channel])?;
    Ok(())
}

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
    pub async fn due(&self, ask: &Arc<Ask>) -> Result<Due, StoreError> {
        let ask = Arc::clone(ask);
        self.read(move |connection| due::look(connection, &ask)).await
    }

    /// The rows of [`Self::due`] when nothing is held back.
    #[cfg(test)]
    pub async fn due_posts(&self) -> Result<Vec<DuePost>, StoreError> {
        Ok(self.due(&Arc::default()).await?.posts)
    }

    /// Every row that was sent, in order: what the local chat shows after a restart.
    pub async fn sent_posts(&self) -> Result<Vec<DuePost>, StoreError> {
        self.read(|connection| due::rows(connection, "WHERE sent > 0 ORDER BY id", [])).await
    }

    /// Whether people can see what a thread posted under this key; of a key that is not known one cannot say.
    pub async fn shown(&self, thread: &ThreadKey, key: &str) -> Result<Shown, StoreError> {
        let (thread, key) = (thread.to_text(), key.to_owned());
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT ts, tried FROM outbox WHERE thread = ?1 AND key = ?2")?;
            let row = statement
                .query_row([&thread, &key], |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, bool>(1)?)))
                .optional()?;
            Ok(match row {
                Some((Some(ts), _)) => Shown::At(MessageTs::new(ts)),
                Some((None, false)) => Shown::Not,
                Some((None, true)) | None => Shown::Perhaps,
            })
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

    /// Notes that a row which was to be posted is certainly not there.
    pub async fn mark_untried(&self, id: i64) -> Result<(), StoreError> {
        self.write(MARK_UNTRIED, move |connection| {
            connection.prepare_cached("UPDATE outbox SET tried = 0 WHERE id = ?1")?.execute([id])?;
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
            // thread is WORKSPACE/CHANNEL/TS, and a lane is KIND/CHANNEL.
            let sql = "UPDATE outbox SET sent = ?2, ts = coalesce(?3, ts), fault = ?4, tried = 1, \
                       lane = CASE WHEN ?3 IS NULL THEN lane ELSE 'edit' || substr(lane, instr(lane, '/')) END \
                       WHERE id = ?1 RETURNING thread, substr(lane, instr(lane, '/') + 1)";
            let ts = ts.as_ref().map(MessageTs::as_str);
            let marked = connection
                .prepare_cached(sql)?
                .query_row(params![id, revision, ts, fault], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
                })
                .optional()?;
            marked.map_or(Ok(()), |(thread, channel)| release_done(connection, &thread, &channel))
        })
        .await
    }
}
