//! Watches the open pull requests of a project: people merge, close and push to them outside the chat
//! (`decisions.md` 19). One call per round whatever their number, none when there is none.
//!
//! What a thread must know goes into the inbox as a row of its own, once; what was stored there last is what is
//! compared with, also after a restart. Decides nothing: the thread does.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::project::Project;
use super::supervisor::Supervisor;
use super::tasks::panic_text;
use crate::chat::{Incoming, IncomingKind};
use crate::forge::PullState;
use crate::ids::{CommitId, ThreadKey, UserId};
use crate::store::StoreError;
use crate::thread::outside::{PullFate, Sighting};

/// As many pull requests as one call asks for. Of more, each round takes the next.
const PER_ROUND: usize = 100;

/// After failures the time between two rounds grows up to so many times.
const SLOWEST: u32 = 16;

/// Watches until `stop`.
pub async fn watch(project: Arc<Project>, supervisor: Supervisor, stop: CancellationToken) {
    let mut watch = Watch { project, supervisor, known: None, heads: HashMap::new(), next: 0 };
    let mut slower = 1;
    loop {
        let round = tokio::select! {
            biased;
            round = AssertUnwindSafe(watch.round()).catch_unwind() => round.unwrap_or_else(|panic| {
                // Over one pull request, perhaps: the others are still there, and so is everything else.
                tracing::error!(panic = panic_text(&*panic), "a bug in looking at the pull requests");
                Err("a bug of ours".to_owned())
            }),
            () = stop.cancelled() => return,
        };
        slower = match round {
            Ok(()) => 1,
            Err(trouble) => {
                // Told once: a forge that is away is no trouble of any thread.
                if slower == 1 {
                    tracing::warn!(trouble, "the pull requests could not be looked at; trying on");
                }
                (slower * 2).min(SLOWEST)
            }
        };
        tokio::select! {
            biased;
            () = tokio::time::sleep(watch.project.settings.poll.saturating_mul(slower)) => {}
            () = watch.project.pulls_asked.notified() => {}
            () = stop.cancelled() => return,
        }
    }
}

struct Watch {
    project: Arc<Project>,
    supervisor: Supervisor,
    /// What was stored last of each thread's pull request, and how many rows there are; `None` until it was read.
    known: Option<HashMap<ThreadKey, (u64, Sighting)>>,
    /// The head that each pull request had when it was last looked at, and whether that one is foreign.
    heads: HashMap<u64, (CommitId, bool)>,
    /// Where the next round begins when there are more than one call asks for.
    next: usize,
}

impl Watch {
    async fn round(&mut self) -> Result<(), String> {
        let watched = self.project.store.watched_pulls().await.map_err(|error| in_words(&error))?;
        if watched.is_empty() {
            return Ok(());
        }
        if self.known.is_none() {
            self.known = Some(self.stored().await.map_err(|error| in_words(&error))?);
        }
        let turn = turn(&watched, &mut self.next);
        let numbers: Vec<u64> = turn.iter().map(|(_, number)| *number).collect();
        let states = self.project.forge.changes(&numbers).await.map_err(|error| error.what)?;
        for state in states {
            if let Some((thread, _)) = turn.iter().find(|(_, number)| *number == state.number) {
                let seen = self.sighting(state).await;
                self.tell(thread, seen).await.map_err(|error| in_words(&error))?;
            }
        }
        Ok(())
    }

    async fn stored(&self) -> Result<HashMap<ThreadKey, (u64, Sighting)>, StoreError> {
        let mut known: HashMap<ThreadKey, (u64, Sighting)> = HashMap::new();
        for (thread, seen) in self.project.store.sightings().await? {
            let rows = known.get(&thread).map_or(0, |(rows, _)| *rows);
            known.insert(thread, (rows + 1, seen));
        }
        Ok(known)
    }

    async fn sighting(&mut self, state: PullState) -> Sighting {
        let PullState { number, fate, branch, head, branch_gone, by, author } = state;
        let foreign = fate == PullFate::Open && self.is_foreign(number, &branch, &head).await;
        let by = if foreign { author } else { by };
        Sighting { number, fate, head, foreign, branch_gone, by }
    }

    /// Whether the head is no commit of the thread's own branch, which has everything that we ever push before it is
    /// pushed. A foreign one is fetched, so that it can be taken over.
    async fn is_foreign(&mut self, number: u64, branch: &str, head: &CommitId) -> bool {
        if let Some((known, foreign)) = self.heads.get(&number)
            && known == head
        {
            return *foreign;
        }
        let repository = &self.project.repository;
        let mut foreign = !repository.branch_has(branch, head).await.unwrap_or(false);
        if foreign {
            if let Err(error) = repository.remote_head(branch).await {
                tracing::warn!(error = &error as &dyn std::error::Error, "a branch that moved could not be fetched");
            }
            // The Coder may have taken it over meanwhile.
            foreign = !repository.branch_has(branch, head).await.unwrap_or(false);
        }
        self.heads.insert(number, (head.clone(), foreign));
        foreign
    }

    /// Stores what the thread does not know yet, and wakes it.
    async fn tell(&mut self, thread: &ThreadKey, seen: Sighting) -> Result<(), StoreError> {
        let known = self.known.get_or_insert_default();
        let (rows, last) = known.get(thread).map_or((0, None), |(rows, last)| (*rows, Some(last)));
        let last = last.filter(|last| last.number == seen.number).cloned();
        let last = last.unwrap_or_else(|| Sighting::begin(seen.number, seen.head.clone()));
        if seen.is_known_by(&last) {
            return Ok(());
        }
        let fate = match &seen.fate {
            PullFate::Open => "open",
            PullFate::Closed => "closed",
            PullFate::Merged { .. } => "merged",
        };
        // The count tells a second close from the first.
        let key = format!("pull:{}:{fate}:{}:{}:{rows}", seen.number, seen.head, thread.to_text());
        let incoming = Incoming {
            thread: thread.clone(),
            from: UserId::forge(),
            name: UserId::forge().to_string(),
            what: IncomingKind::PullChanged { seen: seen.clone() },
            dedupe: vec![key],
        };
        tracing::info!(thread.ts = %thread, pull = seen.number, fate, foreign = seen.foreign, "a pull request changed");
        self.project.store.accept(incoming, Vec::new(), self.project.clock.now()).await?;
        known.insert(thread.clone(), (rows + 1, seen));
        self.supervisor.wake(thread.clone());
        Ok(())
    }
}

/// The pull requests of this round.
fn turn(watched: &[(ThreadKey, u64)], next: &mut usize) -> Vec<(ThreadKey, u64)> {
    if watched.len() <= PER_ROUND {
        return watched.to_vec();
    }
    let start = *next % watched.len();
    *next = start + PER_ROUND;
    watched.iter().cycle().skip(start).take(PER_ROUND).cloned().collect()
}

fn in_words(error: &StoreError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ChannelId, MessageTs};

    #[test]
    fn a_round_asks_for_a_hundred_and_the_next_for_those_after_them() {
        let watched = |count: u64| -> Vec<(ThreadKey, u64)> {
            let key = |number: u64| ThreadKey {
                workspace: "T1".to_owned(),
                channel: ChannelId::new("C1"),
                ts: MessageTs::new(format!("{number}.0")),
            };
            (0..count).map(|number| (key(number), number)).collect()
        };
        let mut next = 0;
        assert_eq!(turn(&watched(100), &mut next).len(), 100);
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..3 {
            let turn = turn(&watched(250), &mut next);
            assert_eq!(turn.len(), PER_ROUND);
            seen.extend(turn.into_iter().map(|(_, number)| number));
        }
        assert_eq!(seen.len(), 250, "nobody is forgotten");
        // Fewer than where the next would begin.
        assert_eq!(turn(&watched(150), &mut next).len(), PER_ROUND);
    }
}
