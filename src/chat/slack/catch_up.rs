//! Fetches what was said while nobody listened for longer than Slack delivers again: new messages of the bound channels,
//! and replies in threads that we know or that the history shows to have new ones.
//!
//! What is found is read and stored as if it had just been said. Nothing live waits for this, and Slack's rates hold.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::events::{self, Heard};
use super::listener::Listener;
use super::pages::{Page, Pages};
use crate::chat::{CatchUp, ChatError, Hearing, IntakeError, earlier};
use crate::ids::{ChannelId, MessageTs};

/// How far back the history is looked through for threads with new replies; of older threads, only those that we know
/// are asked for.
const LOOK_BACK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Pages that are read of one channel or thread at most.
const PAGES: usize = 100;
/// Slack takes 50 of these calls a minute, and the outbox needs some: a burst, then one per interval.
const INTERVAL: Duration = Duration::from_millis(1500);
const BURST: u32 = 20;
/// Tries of one call that Slack does not answer, before its channel is put off.
const TRIES: u32 = 5;
/// The longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("Slack did not show it")]
    Chat(#[from] ChatError),
    #[error(transparent)]
    Intake(#[from] IntakeError),
}

/// Fetches what was missed, each time `missed` is notified. `gaps` counts how often something may have been missed.
pub async fn run(listener: &Listener, missed: &Notify, gaps: &AtomicU64, retry_base: Duration) {
    let mut fetcher = Fetcher { listener, retry_base, unfetched: HashMap::new(), next: None };
    missed.notified().await;
    loop {
        let mut tries = 0;
        let mut channels: Vec<ChannelId> = bound(listener);
        loop {
            channels = fetcher.round(channels, gaps).await;
            if channels.is_empty() {
                missed.notified().await;
                break;
            }
            let pause = tokio::time::sleep(fetcher.grown(tries));
            tries += 1;
            tokio::select! {
                () = pause => {}
                () = missed.notified() => channels = bound(listener),
            }
        }
    }
}

fn bound(listener: &Listener) -> Vec<ChannelId> {
    listener.intake.bound_channels().into_iter().map(|(channel, _)| channel).collect()
}

struct Fetcher<'a> {
    listener: &'a Listener,
    retry_base: Duration,
    /// From where on a channel is still to be fetched. Kept here because the store, which may be the trouble, cannot
    /// remember it then, and forgets it with the next message that it takes.
    unfetched: HashMap<ChannelId, MessageTs>,
    /// When the next call would be due if there were no bursts.
    next: Option<Instant>,
}

impl Fetcher<'_> {
    /// Catches up with these channels; those that must be tried again.
    async fn round(&mut self, mut channels: Vec<ChannelId>, gaps: &AtomicU64) -> Vec<ChannelId> {
        let mut left = Vec::new();
        // Those that failed last come last: a store that takes nothing costs the others no wait.
        channels.sort_by_key(|channel| self.unfetched.contains_key(channel));
        for channel in channels {
            let before = gaps.load(Ordering::Relaxed);
            let caught_up = match self.channel(&channel).await {
                // Something may have been missed meanwhile; what was found now may not hide it.
                Ok(_) if gaps.load(Ordering::Relaxed) != before => continue,
                Ok(newest) => self.listener.intake.note(&channel, Hearing::Whole(newest)).await.map_err(Fault::from),
                Err(fault) => Err(fault),
            };
            let Err(fault) = caught_up else {
                self.unfetched.remove(&channel);
                continue;
            };
            let refused = matches!(fault, Fault::Chat(ChatError::Refused { .. }));
            let reason = format!("{:#}", anyhow::Error::from(fault));
            warn!(%channel, reason, "not fetched what was said while nobody listened");
            left.extend((!refused).then_some(channel));
        }
        left
    }

    /// Catches up with one channel; the newest message that is dealt with.
    async fn channel(&mut self, channel: &ChannelId) -> Result<MessageTs, Fault> {
        let CatchUp { since, threads, known } = self.listener.intake.heard_until(channel).await?;
        let Some(since) = since else { return self.first(channel).await };
        let since =
            self.unfetched.get(channel).map_or_else(|| since.clone(), |before| since.clone().min(before.clone()));
        self.unfetched.insert(channel.clone(), since.clone());
        let oldest = earlier(&since, LOOK_BACK);
        let shown = self.history(channel, &oldest).await?;
        let mut taken = self.take(channel, &shown, &since, &known).await?;
        let asked = replied(&shown, &since).chain(threads.into_iter().filter(|thread| *thread < oldest));
        let asked: Vec<MessageTs> = asked.collect();
        for thread in &asked {
            match self.replies(channel, thread, &since).await {
                Ok(replies) => taken += self.take(channel, &replies, &since, &known).await?,
                // Deleted with all its replies, perhaps; the others go on.
                Err(ChatError::Refused { code, .. }) => debug!(%channel, thread.ts = %thread, code, "no replies"),
                Err(error) => return Err(error.into()),
            }
        }
        let newest = shown.iter().filter_map(ts).max();
        if taken > 0 {
            info!(%channel, messages = taken, "fetched what was said while nobody listened");
        }
        debug!(%channel, since = %since, shown = shown.len(), threads = asked.len(), taken, "caught up");
        Ok(newest.map_or_else(|| since.clone(), |newest| newest.max(since.clone())))
    }

    /// Serves a channel for the first time: nothing that is there now is for us. By Slack's clock, not by ours.
    async fn first(&mut self, channel: &ChannelId) -> Result<MessageTs, Fault> {
        let newest = self.page("conversations.history", &[("channel", channel.as_str()), ("limit", "1")]).await?;
        let first = match newest.messages.iter().filter_map(ts).max() {
            None => MessageTs::new("0000000000.000000"),
            Some(newest) => {
                let shown = self.history(channel, &earlier(&newest, LOOK_BACK)).await?;
                let replies = shown.iter().filter_map(|message| message["latest_reply"].as_str().map(MessageTs::new));
                replies.chain(shown.iter().filter_map(ts)).max().unwrap_or(newest)
            }
        };
        self.listener.intake.note(channel, Hearing::First(first.clone())).await?;
        Ok(first)
    }

    /// Stores those of these messages that are newer than `since`, in order, and newer edits of those that we may know;
    /// how many were new to us.
    async fn take(
        &self,
        channel: &ChannelId,
        messages: &[Value],
        since: &MessageTs,
        known: &HashSet<String>,
    ) -> Result<usize, IntakeError> {
        let own = &self.listener.connection.own;
        let is_known = |heard: &Heard| heard.dedupe.iter().any(|key| known.contains(key));
        let mut shown: Vec<(MessageTs, &Value)> =
            messages.iter().filter_map(|message| Some((ts(message)?, message))).collect();
        shown.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut taken = 0;
        for (ts, message) in shown {
            match events::read_past(message, channel, own) {
                Ok(heard) if ts <= *since || is_known(&heard) => {}
                Ok(heard) => taken += usize::from(self.listener.accept(heard).await?),
                Err(reason) => debug!(%channel, %ts, reason, "not for us"),
            }
            // Also of one that is new: an older edit of it may be stored.
            if message["edited"]["ts"].as_str().is_some_and(|at| at > since.as_str())
                && let Some(edit) = events::read_past_edit(message, channel, own)
            {
                taken += usize::from(self.listener.accept(edit).await?);
            }
        }
        Ok(taken)
    }

    async fn history(&mut self, channel: &ChannelId, oldest: &MessageTs) -> Result<Vec<Value>, ChatError> {
        let window = [("channel", channel.as_str()), ("oldest", oldest.as_str()), ("inclusive", "true")];
        self.pages("conversations.history", &window).await
    }

    async fn replies(
        &mut self,
        channel: &ChannelId,
        thread: &MessageTs,
        since: &MessageTs,
    ) -> Result<Vec<Value>, ChatError> {
        let window = [("channel", channel.as_str()), ("ts", thread.as_str()), ("oldest", since.as_str())];
        let mut replies = self.pages("conversations.replies", &window).await?;
        // Slack opens every page with the first message, which the history has shown.
        replies.retain(|message| message["ts"] != thread.as_str());
        Ok(replies)
    }

    async fn pages(&mut self, method: &str, window: &[(&str, &str)]) -> Result<Vec<Value>, ChatError> {
        let (mut messages, mut pages) = (Vec::new(), Pages::new(PAGES));
        while let Some(parameters) = pages.next(window) {
            let page = self.page(method, &parameters).await?;
            messages.extend(pages.take(page));
        }
        if !pages.is_done() {
            warn!(
                method,
                messages = messages.len(),
                "too much was said while nobody listened; the oldest of it is not read"
            );
        }
        Ok(messages)
    }

    /// One page, however often Slack asks for patience; a few times when it does not answer.
    async fn page(&mut self, method: &str, parameters: &[(&str, &str)]) -> Result<Page<Value>, ChatError> {
        let mut tries = 0;
        loop {
            self.pace().await;
            let pause = match self.listener.connection.web.get::<Page<Value>>(method, parameters).await {
                Err(ChatError::RateLimited { retry_after_ms }) => Duration::from_millis(retry_after_ms),
                Err(ChatError::Unreachable(error)) if tries < TRIES => {
                    debug!(method, error = format!("{error:#}"), "tried again");
                    tries += 1;
                    self.grown(tries)
                }
                other => return other,
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Waits for a place among the calls.
    async fn pace(&mut self) {
        let now = Instant::now();
        let next = self.next.map_or(now, |next| next.max(now));
        if let Some(place) = next.checked_sub(INTERVAL * (BURST - 1)) {
            tokio::time::sleep_until(place).await;
        }
        self.next = Some(next + INTERVAL);
    }

    /// The pause after so many tries.
    fn grown(&self, tries: u32) -> Duration {
        self.retry_base.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE)
    }
}

fn ts(message: &Value) -> Option<MessageTs> {
    message["ts"].as_str().map(MessageTs::new)
}

/// The threads with a reply that is newer than `since`, as the history shows them.
fn replied(shown: &[Value], since: &MessageTs) -> impl Iterator<Item = MessageTs> {
    let newer = move |message: &&Value| message["latest_reply"].as_str().is_some_and(|reply| reply > since.as_str());
    shown.iter().filter(newer).filter_map(ts)
}
