//! Slack's own ways to show that we are at work: the session of an agent with its Stop button, where the app is declared
//! as an agent, and the line of words beneath a thread. What the workspace does not offer is found out by trying, and
//! not tried again for a while.
//!
//! Never an error to anybody: reactions and the progress message say the same.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::message::Done;
use super::web_api::WebApi;
use crate::chat::{ChatError, Kept, Presence};
use crate::ids::ThreadKey;

/// How long a refusal holds: someone may change the app meanwhile.
const HOLDS: Duration = Duration::from_secs(3600);

/// The session of a thread, with the Stop button while it is `processing`.
const SESSION: &str = "agents.sessions.setStatus";
/// The words beneath a thread; Slack takes them away after two minutes or with our next message.
const WORDS: &str = "assistant.threads.setStatus";

/// Refusals that are about one thread and say nothing of the others.
const OF_A_THREAD: &[&str] = &[
    "channel_not_found",
    "invalid_thread_ts",
    "is_archived",
    "message_not_found",
    "not_in_channel",
    "thread_not_found",
    "thread_ts_required",
];

/// What Slack refused lately. Std locks, held for one look.
#[derive(Default)]
pub struct Ways {
    session: Way,
    words: Way,
}

/// Until when one way is not tried.
#[derive(Default)]
struct Way(Mutex<Option<Instant>>);

impl Way {
    fn is_open(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|until| until <= Instant::now())
    }

    fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + HOLDS);
    }
}

/// How Slack keeps what it shows, as far as is known.
pub fn kept(ways: &Ways) -> Kept {
    match (ways.session.is_open(), ways.words.is_open()) {
        (true, _) => Kept::Long,
        (false, true) => Kept::Awhile,
        (false, false) => Kept::Nothing,
    }
}

/// Shows what we do, by every way that is open: the words are no part of a session, nor is the button of the words.
pub async fn show(web: &WebApi, ways: &Ways, thread: &ThreadKey, presence: &Presence) -> Result<(), ChatError> {
    let session = |status| call(web, &ways.session, SESSION, thread, status);
    let words = |status| call(web, &ways.words, WORDS, thread, status);
    match presence {
        Presence::Works(text) => {
            session("processing").await?;
            words(text).await
        }
        Presence::Says(text) => words(text).await,
        Presence::Rests => {
            words("").await?;
            session("active").await
        }
    }
}

async fn call(web: &WebApi, way: &Way, method: &str, thread: &ThreadKey, status: &str) -> Result<(), ChatError> {
    if !way.is_open() {
        return Ok(());
    }
    let arguments = json!({ "channel_id": thread.channel, "thread_ts": thread.ts, "status": status });
    match web.post::<Done>(method, &arguments).await {
        Ok(_) => Ok(()),
        Err(ChatError::Refused { code, .. }) => {
            let code = code.split(':').next().unwrap_or_default();
            if !OF_A_THREAD.contains(&code) {
                tracing::info!(method, code, "Slack does not offer this; it is not asked again for an hour");
                way.close();
            }
            Ok(())
        }
        Err(error) => Err(error),
    }
}
