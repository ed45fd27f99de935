//! Sends posts: brings the chat in line with the outbox, in order, at the chat's pace, each post once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::pace::{Pace, is_post};
use crate::chat::{Chat, ChatError};
use crate::render::post::Post;
use crate::store::{DuePost, Store};

/// How long news are let come together while something waits for the pace: a run changes its progress message with
/// every turn, and each look costs the store a query.
const GATHER: Duration = Duration::from_millis(20);

/// The longest wait between tries while the chat does not answer.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Sends until `stop`. `changed` is notified whenever the outbox has something new.
pub async fn send(store: Store, chat: Arc<dyn Chat>, changed: Arc<Notify>, stop: CancellationToken) {
    let mut pace = Pace::new(chat.pace());
    let mut wait = Duration::from_millis(200);
    loop {
        let round = tokio::select! {
            round = send_due(&store, &*chat, &mut pace) => round,
            () = stop.cancelled() => return,
        };
        let rest = async {
            match round {
                Round::Idle => changed.notified().await,
                Round::Paced(pause) => {
                    let news = async {
                        tokio::time::sleep(GATHER).await;
                        changed.notified().await;
                    };
                    // Whichever is first: what did not wait before may be there now.
                    let _ = tokio::time::timeout(pause, news).await;
                }
                Round::TooFast(pause) => tokio::time::sleep(pause).await,
                Round::Trouble => {
                    wait = (wait * 2).min(LONGEST_WAIT);
                    tokio::time::sleep(wait).await;
                }
            }
        };
        tokio::select! {
            () = rest => {}
            () = stop.cancelled() => return,
        }
        if !matches!(round, Round::Trouble) {
            wait = Duration::from_millis(200);
        }
    }
}

/// What a round of sending came to.
#[derive(Clone, Copy)]
enum Round {
    /// Everything is sent.
    Idle,
    /// What is left waits for the pace, this long at least.
    Paced(Duration),
    /// The chat wants to be left alone for so long.
    TooFast(Duration),
    /// The chat or the store did not answer.
    Trouble,
}

async fn send_due(store: &Store, chat: &dyn Chat, pace: &mut Pace) -> Round {
    loop {
        let mut due = match store.due_posts().await {
            Ok(due) if due.is_empty() => return Round::Idle,
            Ok(due) => due,
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "the outbox cannot be read");
                return Round::Trouble;
            }
        };
        pace.order(&mut due);
        let mut pause: Option<Duration> = None;
        let mut held = HashSet::new();
        let mut sent = false;
        for row in due {
            // A post that waits holds back the later posts of its channel, not edits and reactions.
            let in_order = is_post(&row);
            if in_order && held.contains(&row.thread.channel) {
                continue;
            }
            if let Err(wait) = pace.take(&row, Instant::now()) {
                pause = Some(pause.map_or(wait, |pause| pause.min(wait)));
                if in_order {
                    held.insert(row.thread.channel);
                }
                continue;
            }
            if let Err(round) = bring(store, chat, row).await {
                return round;
            }
            sent = true;
        }
        if let (Some(pause), false) = (pause, sent) {
            return Round::Paced(pause);
        }
    }
}

/// Brings one row to the chat and notes that it is there.
async fn bring(store: &Store, chat: &dyn Chat, row: DuePost) -> Result<(), Round> {
    let (ts, fault) = match send_one(store, chat, &row).await {
        Ok(ts) => {
            super::activity::sent(&row);
            (ts, None)
        }
        Err(ChatError::RateLimited { retry_after_ms }) => {
            return Err(Round::TooFast(Duration::from_millis(retry_after_ms.max(100))));
        }
        Err(ChatError::Refused { code }) => {
            tracing::error!(thread.ts = %row.thread, post.key = row.key, code, "the chat refused a post");
            (None, Some(code))
        }
        Err(error @ ChatError::Unreachable(_)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the chat cannot be reached");
            return Err(Round::Trouble);
        }
    };
    store.mark_sent(row.id, row.revision, ts, fault).await.map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the outbox cannot be written");
        Round::Trouble
    })
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
