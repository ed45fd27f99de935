//! Lets a thread's effects begin when it is their turn: a run needs a place of its role, a build one of each of its
//! platforms. The initialisation of a worktree builds too (`pod install`), and belongs to no run.
//!
//! A place is held exactly as long as the run has something to do: a run that waits for a person holds none. Which
//! places are taken is `slots`' business; what is pending is the core's.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::Notify;

use super::project::ProjectSettings;
use super::slots::{Claim, Lane, Limited, Slots};
use crate::agent::{Platform, Role, ToolName};
use crate::ids::{ChannelId, EffectId, RunId};
use crate::render::progress::argument;
use crate::thread::state::Run;
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
    /// What each effect builds whose run's turn has come; `None`: nothing whose number is limited.
    builds: BTreeMap<EffectId, Option<Build>>,
}

struct Build {
    /// `None`: the initialisation of the worktree, or the repository's checks.
    run: Option<RunId>,
    claim: Claim,
}

impl Turnstile {
    /// Without a claim.
    pub fn new(slots: Slots, channel: ChannelId) -> Self {
        Self { slots, channel, changed: Arc::default(), runs: BTreeMap::new(), builds: BTreeMap::new() }
    }

    /// Asks for what the pending effects need and gives back what none needs any more; `init` gives the commands that
    /// initialise the worktree.
    ///
    /// A build asks only once its run has a place. Whoever held a build's place while waiting for a run's could wait for
    /// one that waits for the build.
    pub fn align(&mut self, pending: &[Effect], settings: &ProjectSettings, init: impl Fn() -> Vec<String>) {
        self.runs.retain(|run, _| pending.iter().any(|effect| run_of(effect).is_some_and(|(of, _)| of == *run)));
        self.builds.retain(|id, _| pending.iter().any(|effect| effect.id() == *id));
        for effect in pending {
            let run = run_of(effect);
            if let Some((run, role)) = run
                && !self.runs.contains_key(&run)
            {
                let claim = self.slots.claim(self.lanes(role, settings), Arc::clone(&self.changed));
                self.runs.insert(run, claim);
            }
            let run = run.map(|(run, _)| run);
            let goes = run.is_none_or(|run| self.runs.get(&run).is_some_and(|claim| claim.place().is_none()));
            if goes && !self.builds.contains_key(&effect.id()) {
                let lanes = builds_of(effect, settings, &init);
                let is_limited = !lanes.is_empty();
                let claim = || self.slots.claim(lanes, Arc::clone(&self.changed));
                let build = is_limited.then(|| Build { run, claim: claim() });
                self.builds.insert(effect.id(), build);
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
        // Unknown: its run waits, or waited when it was last asked; who has got a place since is told so and asks again.
        let build = self.builds.get(&effect.id());
        build.is_some_and(|build| build.as_ref().is_none_or(|build| build.claim.place().is_none()))
    }

    /// Whether something waits for its turn.
    pub fn waits(&self) -> bool {
        let builds = self.builds.values().flatten().map(|build| &build.claim);
        self.runs.values().chain(builds).any(|claim| claim.place().is_some())
    }

    /// Runs that stand elsewhere than the thread noted, as commands that note it.
    pub fn moved(&self, thread: &Thread) -> Vec<Command> {
        let moved = |run: &Run| {
            let (place, build) = match self.queue(run) {
                Some((place, Lane::Builds(platform))) => (Some(place), Some(platform.name().to_owned())),
                Some((place, Lane::Role(_) | Lane::Coders(_))) => (Some(place), None),
                None => (None, None),
            };
            let is_noted = match (&run.queue, place) {
                (Some(noted), Some(place)) => noted.build == build && !is_news(noted.place, place),
                (noted, place) => noted.is_none() && place.is_none(),
            };
            (!is_noted).then_some(Command::Queued { run: run.id, place, build })
        };
        thread.runs.values().filter_map(moved).collect()
    }

    /// Where a run stands, and for what: its role's turn, its build's, or that of the initialisation which its command
    /// waits for.
    fn queue(&self, run: &Run) -> Option<(u32, Lane)> {
        let of_run = || {
            let builds = self.builds.values().flatten();
            builds.filter(|build| build.run == Some(run.id)).find_map(|build| build.claim.queue())
        };
        let wants_shell = || {
            let mut open = run.calls.iter().filter(|call| call.started && !call.done);
            open.any(|call| call.tool == Some(ToolName::Bash))
        };
        let init = || self.builds.get(&Effect::InitWorkspace.id())?.as_ref()?.claim.queue();
        let own = self.runs.get(&run.id).and_then(Claim::queue).or_else(of_run);
        own.or_else(|| init().filter(|_| wants_shell()))
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
        | Effect::TakeBaseline { .. }
        | Effect::RunCheck { .. }
        | Effect::Publish { .. }
        | Effect::Merge { .. }
        | Effect::CleanUp { .. } => None,
    }
}

/// The platforms that an effect builds for and whose builds are limited, with the limits.
fn builds_of(effect: &Effect, settings: &ProjectSettings, init: impl Fn() -> Vec<String>) -> Vec<Limited> {
    let commands: Vec<String> = match effect {
        Effect::RunTool { tool: ToolName::Bash, call, .. } => {
            argument(&call.arguments, "command").into_iter().collect()
        }
        Effect::InitWorkspace => init(),
        // What the checks need is made there, too.
        Effect::TakeBaseline { commands, .. } => init().into_iter().chain(commands.iter().cloned()).collect(),
        Effect::RunCheck { command, .. } => vec![command.clone()],
        Effect::RunTool { .. }
        | Effect::CallModel { .. }
        | Effect::PrepareBase
        | Effect::PrepareWorkspace { .. }
        | Effect::Publish { .. }
        | Effect::Merge { .. }
        | Effect::CleanUp { .. } => return Vec::new(),
    };
    let platforms: BTreeSet<Platform> = commands.iter().flat_map(|command| Platform::of_command(command)).collect();
    let limit = |platform: &Platform| settings.builds.get(platform).copied().or(platform.default_limit());
    platforms.into_iter().filter_map(|platform| Some((Lane::Builds(platform), limit(&platform)?))).collect()
}
