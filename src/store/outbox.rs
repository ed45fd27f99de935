//! The outbox: what the chat should show, one row per key. A newer version of a row replaces an unsent older one, so
//! that a progress message is edited, not repeated.

use rusqlite::{Connection, params};

use super::actor::Operation;
use super::{Store, StoreError};
use crate::ids::{MessageTs, ThreadKey};
use crate::render::post::Post;

const POST_ONCE: Operation = Operation { label: "post_once", durable: false };
const MARK_TRIED: Operation = Operation { label: "mark_tried", durable: false };
const MARK_SENT: Operation = Operation { label: "mark_sent", durable: false };

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

/// Puts a post under a key; the same content again changes nothing.
pub(super) fn put(connection: &Connection, thread: &str, key: &str, post: &Post) -> Result<(), StoreError> {
    let post = serde_json::to_string(post)?;
    connection
        .prepare_cached(
            "INSERT INTO outbox (thread, key, post) VALUES (?1, ?2, ?3) \
             ON CONFLICT (thread, key) DO UPDATE SET post = excluded.post, revision = revision + 1 \
             WHERE post <> excluded.post",
        )?
        .execute(params![thread, key, post])?;
    Ok(())
}

impl Store {
    /// Puts a post outside a decision, unless there is one under this key.
    pub async fn post_once(&self, thread: &ThreadKey, key: &str, post: &Post) -> Result<(), StoreError> {
        let (thread, key, post) = (thread.to_text(), key.to_owned(), serde_json::to_string(post)?);
        self.write(POST_ONCE, move |connection| {
            let sql = "INSERT OR IGNORE INTO outbox (thread, key, post) VALUES (?1, ?2, ?3)";
            connection.execute(sql, params![thread, key, post])?;
            Ok(())
        })
        .await
    }

    /// Rows to send, in order.
    pub async fn due_posts(&self) -> Result<Vec<DuePost>, StoreError> {
        self.posts("WHERE revision > sent ORDER BY id LIMIT 100").await
    }

    /// Every row that was sent, in order: what the local chat shows after a restart.
    pub async fn sent_posts(&self) -> Result<Vec<DuePost>, StoreError> {
        self.posts("WHERE sent > 0 ORDER BY id").await
    }

    async fn posts(&self, condition: &str) -> Result<Vec<DuePost>, StoreError> {
        let sql = format!("SELECT id, thread, key, post, revision, ts, tried FROM outbox {condition}");
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            let mut due = Vec::new();
            while let Some(row) = rows.next()? {
                let Some(thread) = ThreadKey::parse(&row.get::<_, String>(1)?) else { continue };
                due.push(DuePost {
                    id: row.get(0)?,
                    thread,
                    key: row.get(2)?,
                    post: serde_json::from_str(&row.get::<_, String>(3)?)?,
                    revision: row.get(4)?,
                    ts: row.get::<_, Option<String>>(5)?.map(MessageTs::new),
                    tried: row.get(6)?,
                });
            }
            Ok(due)
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
            let sql = "UPDATE outbox SET sent = ?2, ts = coalesce(?3, ts), fault = ?4, tried = 1 WHERE id = ?1";
            let ts = ts.as_ref().map(MessageTs::as_str);
            connection.prepare_cached(sql)?.execute(params![id, revision, ts, fault])?;
            Ok(())
        })
        .await
    }
}
