//! Lets a thread's effects begin when it is their turn: a run needs a place of its role, a build one of its platform.
//!
//! A place is held exactly as long as the run has something to do: a run that waits for a person holds none. Which
//! places are taken is `slots`' business; what is pending is the core's.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;

use super::project::ProjectSettings;
use super::slots::{Claim, Lane, Limited, Slots};
use crate::agent::{Platform, Role, ToolName};
use crate::ids::{ChannelId, EffectId, RunId};
use crate::render::progress::argument;
use crate::thread::{Command, Effect, Thread};

/// Runs of each role but the Coder at the same time, over all repositories (`decisions.md` 27b).
const OTHERS: u32 = 16;

/// Places in a queue up to which each step is told.
const EXACT: u32 = 5;

/// The claims of one thread.
pub struct Turnstile {
    slots: Slots,
    channel: ChannelId,
    /// Notified when a place in a queue changes.
    changed: Arc<Notify>,
    runs: BTreeMap<RunId, Claim>,
    builds: BTreeMap<EffectId, Build>,
}

struct Build {
    run: RunId,
    platform: Platform,
    claim: Claim,
}

impl Turnstile {
    /// Without a claim.
    pub fn new(slots: Slots, channel: ChannelId) -> Self {
        Self { slots, channel, changed: Arc::default(), runs: BTreeMap::new(), builds: BTreeMap::new() }
    }

    /// Asks for what the pending effects need and gives back what none needs any more.
    pub fn align(&mut self, pending: &[Effect], settings: &ProjectSettings) {
        self.runs.retain(|run, _| pending.iter().any(|effect| run_of(effect).is_some_and(|(of, _)| of == *run)));
        self.builds.retain(|id, _| pending.iter().any(|effect| effect.id() == *id));
        for effect in pending {
            let Some((run, role)) = run_of(effect) else { continue };
            if !self.runs.contains_key(&run) {
                let claim = self.slots.claim(self.lanes(role, settings), Arc::clone(&self.changed));
                self.runs.insert(run, claim);
            }
            if let Some((platform, limit)) = build_of(effect, settings)
                && !self.builds.contains_key(&effect.id())
            {
                let claim = self.slots.claim(vec![(Lane::Builds(platform), limit)], Arc::clone(&self.changed));
                self.builds.insert(effect.id(), Build { run, platform, claim });
            }
        }
    }

    fn lanes(&self, role: Role, settings: &ProjectSettings) -> Vec<Limited> {
        match role {
            Role::Coder => {
                vec![(Lane::Role(role), settings.coders_in_all), (Lane::Coders(self.channel.clone()), settings.coders)]
            }
            Role::Pm | Role::Researcher | Role::Artist | Role::Lead => vec![(Lane::Role(role), OTHERS)],
        }
    }

    /// Whether this effect may begin.
    pub fn admits(&self, effect: &Effect) -> bool {
        let run = run_of(effect).and_then(|(run, _)| self.runs.get(&run));
        let build = self.builds.get(&effect.id()).map(|build| &build.claim);
        run.into_iter().chain(build).all(|claim| claim.place().is_none())
    }

    /// Whether something waits for its turn.
    pub fn waits(&self) -> bool {
        self.runs.values().chain(self.builds.values().map(|build| &build.claim)).any(|claim| claim.place().is_some())
    }

    /// Runs that stand elsewhere than the thread noted, as commands that note it.
    pub fn moved(&self, thread: &Thread) -> Vec<Command> {
        let place = |(run, claim): (&RunId, &Claim)| {
            let of_build = || {
                let build = self.builds.values().find(|build| build.run == *run)?;
                Some((build.claim.place()?, Some(build.platform.name().to_owned())))
            };
            let (place, build) = match claim.place().map(|place| (place, None)).or_else(of_build) {
                Some((place, build)) => (Some(place), build),
                None => (None, None),
            };
            let noted = thread.run(*run).and_then(|(_, run)| run.queue.as_ref());
            let is_noted = match (noted, place) {
                (Some(noted), Some(place)) => noted.build == build && !is_news(noted.place, place),
                (noted, place) => noted.is_none() && place.is_none(),
            };
            (!is_noted).then(|| Command::Queued { run: *run, place, build: build.clone() })
        };
        self.runs.iter().filter_map(place).collect()
    }

    /// Waits until a place may have changed.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// Whether a place in the queue is worth noting when another was noted. Near the front each step is; far behind only a
/// good way: when hundreds wait, each that goes moves all the others.
fn is_news(noted: u32, place: u32) -> bool {
    place != noted && (place <= EXACT || place > noted || place <= noted - noted / 4)
}

/// The run whose turn an effect is.
fn run_of(effect: &Effect) -> Option<(RunId, Role)> {
    match effect {
        Effect::CallModel { run, role, .. } | Effect::RunTool { run, role, .. } => Some((*run, *role)),
        Effect::PrepareBase
        | Effect::PrepareWorkspace { .. }
        | Effect::InitWorkspace
        | Effect::Publish { .. }
        | Effect::Merge { .. }
        | Effect::CleanUp { .. } => None,
    }
}

/// The platform of a build whose number is limited, and the limit.
fn build_of(effect: &Effect, settings: &ProjectSettings) -> Option<(Platform, u32)> {
    let Effect::RunTool { tool: ToolName::Bash, call, .. } = effect else { return None };
    let platform = Platform::of_command(&argument(&call.arguments, "command")?)?;
    let limit = settings.builds.get(&platform).copied().or(platform.default_limit())?;
    Some((platform, limit))
}

#[cfg(test)]
mod tests {
    use super::is_news;

    #[test]
    fn the_front_of_the_queue_is_told_each_step_and_the_rest_now_and_then() {
        let (mut noted, mut told) = (500, 0);
        for place in (1..500).rev() {
            if is_news(noted, place) {
                (noted, told) = (place, told + 1);
            }
            assert!(noted == place || noted > 5 && noted - noted / 4 < place, "{noted} stands for {place}");
        }
        assert!(told < 25, "{told}");
        assert!(is_news(3, 7), "who asked anew says so");
        assert!(!is_news(7, 7));
    }
}
