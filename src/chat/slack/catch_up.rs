//! Fetches what was said while nobody listened for longer than Slack delivers again: new messages of the bound channels,
//! and replies in threads that we know or that the history shows to have new ones. Threads that are open and were active
//! of late are read from their beginning, for what was edited or deleted in them.
//!
//! What is found is read and stored as if it had just been said. Nothing live waits for this, and Slack's rates hold.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::change_keys::delete_key;
use super::events::{self, Heard};
use super::listener::Listener;
use super::pages::{Page, Pages};
use crate::chat::{CatchUp, ChatError, Hearing, Incoming, IncomingKind, IntakeError, earlier};
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
    let mut fetcher = Fetcher { listener, retry_base, unfetched: HashMap::new(), scans: HashMap::new(), next: None };
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

/// What counts as missed in a channel.
struct Missed {
    /// Messages that are newer than this.
    since: MessageTs,
    /// Edits that are newer than this.
    edited_since: MessageTs,
    /// As in [`CatchUp`]: not these.
    known: HashSet<String>,
}

/// A channel of which everything new is taken.
struct News {
    /// The value of `gaps` before it was looked at.
    gap: u64,
    /// The newest message that is dealt with.
    newest: MessageTs,
    missed: Missed,
    /// The oldest message that was shown.
    oldest: Option<MessageTs>,
    /// As in [`CatchUp`].
    open: Vec<MessageTs>,
    held: Vec<Incoming>,
}

/// A look through a channel's open threads that did not come to its end.
struct Scan {
    /// From where on edits are looked for.
    since: MessageTs,
    /// The threads that were looked through, the latest last. They are looked through again after the others: what was
    /// missed after that is in none of them.
    done: Vec<MessageTs>,
}

struct Fetcher<'a> {
    listener: &'a Listener,
    retry_base: Duration,
    /// From where on a channel is still to be fetched. Kept here because the store, which may be the trouble, cannot
    /// remember it then, and forgets it with the next message that it takes.
    unfetched: HashMap<ChannelId, MessageTs>,
    scans: HashMap<ChannelId, Scan>,
    /// When the next call would be due if there were no bursts.
    next: Option<Instant>,
}

impl Fetcher<'_> {
    /// Catches up with these channels; those that must be tried again.
    async fn round(&mut self, mut channels: Vec<ChannelId>, gaps: &AtomicU64) -> Vec<ChannelId> {
        let (mut left, mut heard) = (Vec::new(), Vec::new());
        // Those that failed last come last: a store that takes nothing costs the others no wait.
        channels.sort_by_key(|channel| self.unfetched.contains_key(channel));
        for channel in channels {
            match self.news(&channel, gaps).await {
                Ok(news) => heard.push((channel, news)),
                Err(fault) => left.extend(put_off(channel, fault)),
            }
        }
        // What is new goes before what was changed, in all channels.
        for (channel, news) in heard {
            if let Err(fault) = self.changes(&channel, &news, gaps).await {
                left.extend(put_off(channel, fault));
            }
        }
        left
    }

    /// Has it remembered that nothing of this channel is missed, unless something may have been missed meanwhile: what
    /// was found now may not hide it.
    async fn close(&mut self, channel: &ChannelId, news: &News, gaps: &AtomicU64) -> Result<(), Fault> {
        if gaps.load(Ordering::Relaxed) == news.gap {
            self.listener.intake.note(channel, Hearing::Whole(news.newest.clone())).await?;
            self.unfetched.remove(channel);
        }
        Ok(())
    }

    /// Takes what was newly said in one channel.
    async fn news(&mut self, channel: &ChannelId, gaps: &AtomicU64) -> Result<News, Fault> {
        let news = self.fetch(channel, gaps.load(Ordering::Relaxed)).await?;
        // A scan that was broken off goes on from here; the channel's messages need not wait for it once more.
        if self.scans.contains_key(channel) {
            self.close(channel, &news, gaps).await?;
        }
        Ok(news)
    }

    async fn fetch(&mut self, channel: &ChannelId, gap: u64) -> Result<News, Fault> {
        let CatchUp { since, threads, known, open, held } = self.listener.intake.heard_until(channel).await?;
        let Some(since) = since else { return self.first(channel, gap).await };
        let since =
            self.unfetched.get(channel).map_or_else(|| since.clone(), |before| since.clone().min(before.clone()));
        self.unfetched.insert(channel.clone(), since.clone());
        let edited_since =
            self.scans.get(channel).map_or_else(|| since.clone(), |scan| since.clone().min(scan.since.clone()));
        let missed = Missed { since: since.clone(), edited_since, known };
        let oldest = earlier(&since, LOOK_BACK);
        let shown = self.history(channel, &oldest).await?;
        let mut taken = self.take(channel, &shown, &missed).await?;
        let asked = replied(&shown, &since).chain(threads.into_iter().filter(|thread| *thread < oldest));
        let asked: Vec<MessageTs> = asked.collect();
        for thread in &asked {
            match self.replies(channel, thread, &since).await {
                Ok(replies) => taken += self.take(channel, &replies, &missed).await?,
                // Deleted with all its replies, perhaps; the others go on.
                Err(ChatError::Refused { code, .. }) => debug!(%channel, thread.ts = %thread, code, "no replies"),
                Err(error) => return Err(error.into()),
            }
        }
        if taken > 0 {
            info!(%channel, messages = taken, "fetched what was said while nobody listened");
        }
        debug!(%channel, since = %since, shown = shown.len(), threads = asked.len(), taken, "caught up");
        let newest = shown.iter().filter_map(ts).max();
        let newest = newest.map_or_else(|| since.clone(), |newest| newest.max(since.clone()));
        let oldest = shown.iter().filter(is_there).filter_map(ts).min();
        Ok(News { gap, newest, missed, oldest, open, held })
    }

    /// Takes what was changed in the open threads of one channel, and closes it when all are looked through. What could
    /// not be looked through waits for the next round.
    async fn changes(&mut self, channel: &ChannelId, news: &News, gaps: &AtomicU64) -> Result<(), Fault> {
        let mut done = self.scans.remove(channel).map(|scan| scan.done).unwrap_or_default();
        let scanned = self.scan(channel, news, gaps, &mut done).await;
        if matches!(scanned, Ok(true)) {
            return self.close(channel, news, gaps).await;
        }
        done.retain(|thread| news.open.contains(thread));
        self.scans.insert(channel.clone(), Scan { since: news.missed.edited_since.clone(), done });
        scanned.map(drop)
    }

    /// Looks through the open threads of one channel, those that are not done first. False: something may have been
    /// missed meanwhile, and what was said goes before what was changed.
    async fn scan(
        &mut self,
        channel: &ChannelId,
        news: &News,
        gaps: &AtomicU64,
        done: &mut Vec<MessageTs>,
    ) -> Result<bool, Fault> {
        let mut threads: Vec<&MessageTs> = news.open.iter().collect();
        threads.sort_by_key(|thread| done.iter().position(|one| one == *thread));
        for thread in threads {
            if gaps.load(Ordering::Relaxed) != news.gap {
                return Ok(false);
            }
            let taken = self.changed(channel, thread, news).await?;
            if taken > 0 {
                info!(%channel, thread.ts = %thread, changes = taken, "fetched what was changed while nobody listened");
            }
            done.retain(|one| one != thread);
            done.push(thread.clone());
        }
        Ok(true)
    }

    /// Takes what was changed in one thread, as far as its whole text shows it; how much was new to us.
    async fn changed(&mut self, channel: &ChannelId, thread: &MessageTs, news: &News) -> Result<usize, Fault> {
        let (said, is_whole) = match self.whole(channel, thread).await {
            Ok(said) => said,
            Err(ChatError::Refused { code, .. }) => {
                debug!(%channel, thread.ts = %thread, code, "not shown");
                return Ok(0);
            }
            Err(error) => return Err(error.into()),
        };
        let mut taken = self.take(channel, &said, &news.missed).await?;
        let held = news.held.iter().filter(|held| is_whole && held.thread.ts == *thread);
        for gone in gone(held, &said, news.oldest.as_ref()) {
            taken += usize::from(self.listener.intake.accept(gone).await?);
        }
        Ok(taken)
    }

    /// Serves a channel for the first time: nothing that is there now is for us. By Slack's clock, not by ours.
    async fn first(&mut self, channel: &ChannelId, gap: u64) -> Result<News, Fault> {
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
        let missed = Missed { since: first.clone(), edited_since: first.clone(), known: HashSet::new() };
        Ok(News { gap, newest: first, missed, oldest: None, open: Vec::new(), held: Vec::new() })
    }

    /// Stores those of these messages that were missed, in order, and missed edits of those that we may know; how many
    /// were new to us.
    async fn take(&self, channel: &ChannelId, messages: &[Value], missed: &Missed) -> Result<usize, IntakeError> {
        let Missed { since, edited_since, known } = missed;
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
            if message["edited"]["ts"].as_str().is_some_and(|at| at > edited_since.as_str())
                && let Some(edit) = events::read_past_edit(message, channel, own)
            {
                taken += usize::from(self.listener.accept(edit).await?);
            }
        }
        Ok(taken)
    }

    async fn history(&mut self, channel: &ChannelId, oldest: &MessageTs) -> Result<Vec<Value>, ChatError> {
        let window = [("channel", channel.as_str()), ("oldest", oldest.as_str()), ("inclusive", "true")];
        Ok(self.pages("conversations.history", &window).await?.0)
    }

    /// A thread from its first message on, and whether that is all of it.
    async fn whole(&mut self, channel: &ChannelId, thread: &MessageTs) -> Result<(Vec<Value>, bool), ChatError> {
        self.pages("conversations.replies", &[("channel", channel.as_str()), ("ts", thread.as_str())]).await
    }

    async fn replies(
        &mut self,
        channel: &ChannelId,
        thread: &MessageTs,
        since: &MessageTs,
    ) -> Result<Vec<Value>, ChatError> {
        let window = [("channel", channel.as_str()), ("ts", thread.as_str()), ("oldest", since.as_str())];
        let (mut replies, _) = self.pages("conversations.replies", &window).await?;
        // Slack opens every page with the first message, which the history has shown.
        replies.retain(|message| message["ts"] != thread.as_str());
        Ok(replies)
    }

    /// What all pages show, and whether they are all.
    async fn pages(&mut self, method: &str, window: &[(&str, &str)]) -> Result<(Vec<Value>, bool), ChatError> {
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
        Ok((messages, pages.is_done()))
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

/// The deletions of those messages of a thread that all of it, as Slack shows it, has no more.
///
/// Only between two messages that are still there: what Slack shows nothing older of may be gone by its age, and what it
/// shows nothing newer of may not have come to where we ask. So the newest message of a thread never counts as deleted.
fn gone<'a>(
    held: impl Iterator<Item = &'a Incoming>,
    thread: &[Value],
    oldest: Option<&MessageTs>,
) -> impl Iterator<Item = Incoming> {
    let there: HashSet<MessageTs> = thread.iter().filter(is_there).filter_map(ts).collect();
    let (oldest, newest) = (there.iter().chain(oldest).min().cloned(), there.iter().max().cloned());
    held.filter_map(move |held| {
        let ts = held.said_at()?;
        let is_between = oldest.as_ref()? < ts && ts < newest.as_ref()?;
        let gone = || Incoming {
            what: IncomingKind::Deleted { ts: ts.clone() },
            dedupe: vec![delete_key(held.thread.channel.as_str(), ts.as_str())],
            ..held.clone()
        };
        (is_between && !there.contains(ts)).then(gone)
    })
}

/// Whether this is a message. In place of a first message that was deleted stands a tombstone, as long as there are
/// replies.
fn is_there(message: &&Value) -> bool {
    message["subtype"] != "tombstone"
}

/// The channel, if it is to be tried again.
fn put_off(channel: ChannelId, fault: Fault) -> Option<ChannelId> {
    let refused = matches!(fault, Fault::Chat(ChatError::Refused { .. }));
    let reason = format!("{:#}", anyhow::Error::from(fault));
    warn!(%channel, reason, "not fetched what was said while nobody listened");
    (!refused).then_some(channel)
}
