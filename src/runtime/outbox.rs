//! Sends posts: brings the chat in line with the outbox, in order, at the chat's pace, each post once.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::chat::{Chat, ChatError};
use crate::ids::ChannelId;
use crate::render::post::Post;
use crate::store::{DuePost, Store};

/// Posts that may go out at once before the chat's pace holds.
const BURST: u32 = 4;

/// The longest wait between tries while the chat does not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Sends until `stop`. `changed` is notified whenever the outbox has something new.
pub async fn send(store: Store, chat: Arc<dyn Chat>, changed: Arc<Notify>, stop: CancellationToken) {
    let mut pace = Pace { per_post: chat.pace(), next: HashMap::new() };
    let mut wait = Duration::from_millis(200);
    loop {
        let round = tokio::select! {
            round = send_due(&store, &*chat, &mut pace) => round,
            () = stop.cancelled() => return,
        };
        let pause = match round {
            Round::Idle => {
                wait = Duration::from_millis(200);
                None
            }
            Round::Wait(pause) => Some(pause),
            Round::Trouble => {
                wait = (wait * 2).min(LONGEST_WAIT);
                Some(wait)
            }
        };
        tokio::select! {
            () = changed.notified(), if pause.is_none() => {}
            () = tokio::time::sleep(pause.unwrap_or(LONGEST_WAIT)) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// What a round of sending came to.
enum Round {
    /// Everything is sent.
    Idle,
    /// Something waits for the pace or for a rate limit.
    Wait(Duration),
    /// The chat or the store did not answer.
    Trouble,
}

async fn send_due(store: &Store, chat: &dyn Chat, pace: &mut Pace) -> Round {
    loop {
        let due = match store.due_posts().await {
            Ok(due) if due.is_empty() => return Round::Idle,
            Ok(due) => due,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the outbox cannot be read");
                return Round::Trouble;
            }
        };
        for row in due {
            if let Some(pause) = pace.take(&row) {
                return Round::Wait(pause);
            }
            let (ts, fault) = match send_one(store, chat, &row).await {
                Ok(ts) => (ts, None),
                Err(ChatError::RateLimited { retry_after_ms }) => {
                    return Round::Wait(Duration::from_millis(retry_after_ms.max(100)));
                }
                Err(ChatError::Refused { code }) => {
                    tracing::error!(thread.ts = %row.thread, post.key = row.key, code, "the chat refused a post");
                    (None, Some(code))
                }
                Err(error @ ChatError::Unreachable(_)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the chat cannot be reached");
                    return Round::Trouble;
                }
            };
            if let Err(error) = store.mark_sent(row.id, row.revision, ts, fault).await {
                tracing::error!(error = &error as &dyn std::error::Error, "the outbox cannot be written");
                return Round::Trouble;
            }
        }
    }
}

/// Brings one row to the chat. A post whose answer may have been lost is looked for before it is made again.
async fn send_one(store: &Store, chat: &dyn Chat, row: &DuePost) -> Result<Option<crate::ids::MessageTs>, ChatError> {
    let DuePost { thread, key, post, .. } = row;
    let known = match (&row.ts, row.tried, post) {
        (Some(ts), ..) => Some(ts.clone()),
        (None, true, Post::Message { .. } | Post::File { .. }) => chat.find(thread, key).await?,
        // Nobody can look whether an ephemeral message was seen: rather once too few than twice.
        (None, true, Post::Ephemeral { .. }) => return Ok(None),
        (None, true, Post::Reaction { .. }) | (None, false, _) => None,
    };
    match (known, post) {
        (Some(ts), Post::Message { .. }) => {
            chat.edit(thread, &ts, key, post).await?;
            Ok(Some(ts))
        }
        (Some(ts), Post::File { .. } | Post::Reaction { .. } | Post::Ephemeral { .. }) => Ok(Some(ts)),
        (None, _) => {
            let store_failed = |error: crate::store::StoreError| ChatError::Unreachable(error.into());
            store.mark_tried(row.id).await.map_err(store_failed)?;
            chat.post(thread, key, post).await
        }
    }
}

/// Keeps the chat's pace per channel: a short burst, then one post per interval.
struct Pace {
    per_post: Duration,
    next: HashMap<ChannelId, Instant>,
}

impl Pace {
    /// Takes a place for this row, or says how long to wait for one. Reactions have limits of their own.
    fn take(&mut self, row: &DuePost) -> Option<Duration> {
        if self.per_post.is_zero() || matches!(row.post, Post::Reaction { .. }) {
            return None;
        }
        let now = Instant::now();
        let next = self.next.entry(row.thread.channel.clone()).or_insert(now);
        let earliest = now.checked_sub(self.per_post * BURST).unwrap_or(now);
        *next = (*next).max(earliest);
        if *next > now {
            return Some(*next - now);
        }
        *next += self.per_post;
        None
    }
}
