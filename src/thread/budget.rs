//! The caps on what may be spent: what is reached before a model request, and the fold of what people do about it.
//!
//! A run at a cap is paused in the log, so that it survives restarts and holds no place. Costs are known only after a call:
//! a cap is passed by at most the calls that were under way. What was spent elsewhere comes in by the rules.

use serde::{Deserialize, Serialize};

use super::rules::Rules;
use super::spending::day_of;
use super::state::{Run, Thread};
use crate::agent::compaction::is_far;
use crate::agent::{Role, Usage};
use crate::ids::{MessageTs, RunId, UserId};

/// A limit of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cap {
    /// US dollars of one thread.
    Thread,
    /// US dollars of a day (UTC), over all repositories.
    Day,
    /// Runs that one person starts within an hour, over all repositories.
    UserHour,
    /// Runs that people start within an hour in one repository.
    RepoHour,
}

impl Cap {
    /// Whether it counts money, not runs.
    pub fn is_money(self) -> bool {
        match self {
            Self::Thread | Self::Day => true,
            Self::UserHour | Self::RepoHour => false,
        }
    }
}

/// The caps as they are configured; `None`: there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Caps {
    /// US dollars of one thread.
    pub thread_usd: Option<f64>,
    /// US dollars of a day.
    pub day_usd: Option<f64>,
    /// Runs of one person within an hour.
    pub user_runs: Option<u32>,
    /// Runs in one repository within an hour.
    pub repo_runs: Option<u32>,
}

/// A cap and what is used of it, in US dollars or runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Used {
    /// Which.
    pub cap: Cap,
    /// What is used.
    pub spent: f64,
    /// What may be used, with all that was added to it.
    pub limit: f64,
    /// What a raise adds: the cap as configured.
    pub raise: f64,
}

impl Used {
    /// Whether nothing is left.
    pub fn is_up(&self) -> bool {
        self.spent >= self.limit
    }

    /// Whether four fifths are used, but not all.
    fn is_near(&self) -> bool {
        self.spent >= 0.8 * self.limit && !self.is_up()
    }
}

/// What happened to a budget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Budget {
    /// A run may not ask its model: it waits for a person.
    Reached {
        /// The run.
        run: RunId,
        /// The cap.
        cap: Cap,
        /// What is used, in US dollars or runs.
        spent: f64,
        /// What may be used.
        limit: f64,
        /// What a raise adds.
        raise: f64,
    },
    /// An approver added the original cap once more; the run goes on.
    Raised {
        /// The run.
        run: RunId,
        /// The cap.
        cap: Cap,
        /// What was added.
        amount: f64,
        /// Who.
        by: UserId,
    },
    /// There is room again without a raise; the run goes on.
    Freed {
        /// The run.
        run: RunId,
        /// Whose word let us look.
        by: UserId,
        /// The command, when it was one.
        ts: Option<MessageTs>,
    },
    /// Four fifths of a cap are used.
    Near {
        /// The cap.
        cap: Cap,
        /// What is used.
        spent: f64,
        /// What may be used.
        limit: f64,
        /// The day, in days since 1970, of a day's cap.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        day: Option<i64>,
        /// The PM's model from now on, when it is a cheaper one: name and slug.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<(String, String)>,
        /// Whether a request with the former model is under way. It is paid for, so its answer is waited for.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        after_reply: bool,
    },
}

/// A run that waits at a cap.
#[derive(Clone, Debug, PartialEq)]
pub struct Paused {
    /// Tells this pause from others of the thread: the number of its event. Cards carry it.
    pub id: u64,
    /// What was used then.
    pub used: Used,
}

/// What a thread knows of its own budget beside its usage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Purse {
    /// What approvers added to the thread's cap.
    pub raised_usd: f64,
    /// The thread's limit that it was told to be near.
    pub told_limit: Option<f64>,
    /// The day whose cap it was told to be near.
    pub told_day: Option<i64>,
    /// Whether a person chose the PM's model after that: then it is not changed for the money's sake any more.
    pub is_chosen: bool,
}

impl Thread {
    pub(super) fn apply_budget(&mut self, news: &Budget) {
        let seq = self.seq;
        match news {
            Budget::Reached { run, cap, spent, limit, raise } => {
                let used = Used { cap: *cap, spent: *spent, limit: *limit, raise: *raise };
                self.pause(*run, Some(Paused { id: seq, used }));
            }
            Budget::Raised { run, cap, amount, .. } => {
                self.pause(*run, None);
                if *cap == Cap::Thread {
                    self.purse.raised_usd += amount;
                }
            }
            Budget::Freed { run, .. } => self.pause(*run, None),
            Budget::Near { cap, limit, day, model, after_reply, .. } => {
                match cap {
                    Cap::Thread => self.purse.told_limit = Some(*limit),
                    Cap::Day | Cap::UserHour | Cap::RepoHour => self.purse.told_day = *day,
                }
                if model.is_some() {
                    self.pm_choice.clone_from(model);
                    if !after_reply {
                        self.take_model();
                    }
                }
            }
        }
    }

    fn pause(&mut self, id: RunId, paused: Option<Paused>) {
        if let Some(run) = self.runs.values_mut().find(|run| run.id == id) {
            run.paused = paused;
        }
    }

    /// The PM's run goes on with the model that was chosen for it.
    pub(super) fn take_model(&mut self) {
        let Some((_, model)) = &self.pm_choice else { return };
        if let Some(run) = self.runs.get_mut(&Role::Pm).filter(|run| run.model != *model) {
            model.clone_into(&mut run.model);
            run.stand_in = None;
        }
    }

    /// The request that is to be made, or is under way, to the PM's model: run and turns before it.
    pub fn asks_pm(&self) -> Option<(RunId, u32)> {
        let run = self.runs.get(&Role::Pm).filter(|run| run.thinks() && run.paused.is_none())?;
        Some((run.id, run.turns))
    }

    /// The pauses of its runs.
    pub fn pauses(&self) -> impl Iterator<Item = (Role, &Run, &Paused)> {
        self.runs.iter().filter_map(|(role, run)| Some((*role, run, run.paused.as_ref()?)))
    }

    /// What the thread has used of its own cap.
    pub fn used(&self, rules: &Rules) -> Option<Used> {
        let raise = rules.caps.thread_usd?;
        let Usage { cost_usd, .. } = self.total_usage();
        Some(Used { cap: Cap::Thread, spent: cost_usd, limit: raise + self.purse.raised_usd, raise })
    }
}

/// What is used of the day's cap.
pub fn used_today(rules: &Rules) -> Option<Used> {
    let raise = rules.caps.day_usd?;
    let limit = raise + rules.spending.raised_on(day_of(rules.now));
    Some(Used { cap: Cap::Day, spent: rules.spending.on(day_of(rules.now)).cost_usd, limit, raise })
}

/// The first cap that a run's next request to its model would pass.
pub fn reached(thread: &Thread, run: &Run, rules: &Rules) -> Option<Used> {
    let money = [thread.used(rules), used_today(rules)];
    // A run that has begun has been counted, and goes on.
    let runs = if run.turns == 0 { used_runs(thread, run, rules) } else { [None, None] };
    money.into_iter().chain(runs).flatten().find(Used::is_up)
}

/// What others have used of the caps on runs, when this run counts.
fn used_runs(thread: &Thread, run: &Run, rules: &Rules) -> [Option<Used>; 2] {
    let Some(by) = &run.by else { return [None, None] };
    let (caps, spending, now) = (&rules.caps, &rules.spending, rules.now);
    let used = |cap, limit: u32, (runs, raised): (u32, f64)| {
        let raise = f64::from(limit);
        Used { cap, spent: f64::from(runs), limit: raise + raised, raise }
    };
    let before = spending.place_of(&thread.key, run.id, now);
    let user = || (spending.runs_before(before, |other| other.user == *by), spending.raised_for(by, now));
    let channel = &thread.key.channel;
    let repo =
        || (spending.runs_before(before, |other| other.thread.channel == *channel), spending.raised_in(channel, now));
    [
        caps.user_runs.map(|limit| used(Cap::UserHour, limit, user())),
        caps.repo_runs.map(|limit| used(Cap::RepoHour, limit, repo())),
    ]
}

/// The cheapest model that reads the PM's conversation with room to go on: a switch to one that has to cut it at once
/// saves nothing. One of which nobody knows what it reads is taken at its word; a server that refuses it is believed.
fn cheaper(thread: &Thread, rules: &Rules, current: &str) -> Option<(String, String)> {
    let size = thread.conversations.get(&Role::Pm).map_or(0, |pm| pm.tokens);
    let fits = |slug: &str| {
        let reads = thread.contexts.get(slug).copied().into_iter().chain(rules.models.context(slug)).min();
        reads.is_none_or(|context| is_far(size, context))
    };
    rules.models.cheaper(&rules.pm_pool, current, fits).cloned()
}

/// What the thread must be told because little is left: of its own cap, or of the day's as long as it works.
pub fn near(thread: &Thread, rules: &Rules, asked: Option<(RunId, u32)>) -> Option<Budget> {
    if thread.is_closed() {
        return None;
    }
    let today = day_of(rules.now);
    let own = thread.used(rules).filter(|used| used.is_near() && thread.purse.told_limit != Some(used.limit));
    let works = thread.runs.values().any(|run| run.thinks() && run.paused.is_none());
    let of_day = || used_today(rules).filter(|used| works && used.is_near() && thread.purse.told_day != Some(today));
    let Used { cap, spent, limit, .. } = own.or_else(of_day)?;
    let current = thread.pm_choice.as_ref().map_or(rules.pm_model.as_str(), |(_, model)| model);
    let model = if thread.purse.is_chosen { None } else { cheaper(thread, rules, current) };
    let after_reply = asked.is_some() && asked == thread.asks_pm() && model.is_some();
    Some(Budget::Near { cap, spent, limit, day: (cap == Cap::Day).then_some(today), model, after_reply })
}
