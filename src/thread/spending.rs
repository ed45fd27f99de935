//! What was spent and begun lately in all threads of all repositories: the facts behind the caps that no thread knows of
//! itself. Folded from entries that are stored with the events they come from; a day is one of UTC.
//!
//! Pure: `runtime/ledger.rs` holds it, `store/spending.rs` stores the entries.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::budget::{Budget, Cap};
use super::context::Change;
use super::event::Event;
use super::state::Thread;
use crate::agent::{Role, Usage};
use crate::ids::{ChannelId, Millis, RunId, ThreadKey, UserId};

/// Milliseconds of an hour and of a day.
const HOUR: i64 = 60 * 60 * 1000;
const DAY: i64 = 24 * HOUR;

/// How far back entries count for anything.
pub const LOOK_BACK: i64 = DAY + HOUR;

/// The day of a moment, in days since 1970, UTC.
pub fn day_of(at: Millis) -> i64 {
    at.0.div_euclid(DAY)
}

/// What an event adds to what was spent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Entry {
    /// A model answered, or was paid for nothing.
    Call {
        /// Whose model; unknown of what was stored before it was noted.
        #[serde(default)]
        role: Option<Role>,
        /// The person who started the run.
        #[serde(default)]
        user: Option<UserId>,
        /// The model.
        model: String,
        /// What it used.
        usage: Usage,
    },
    /// A person started a run.
    Run {
        /// The run.
        run: RunId,
        /// Who.
        user: UserId,
    },
    /// The run was paused before its first request: it does not count yet.
    Held {
        /// The run.
        run: RunId,
    },
    /// An approver raised a cap; a run that was held counts now.
    Raised {
        /// The cap.
        cap: Cap,
        /// By how much.
        amount: f64,
        /// The run that was paused.
        run: RunId,
        /// Who started it.
        user: Option<UserId>,
    },
}

/// What a request to a model used that brought nothing: its reply could not be taken, broke off, or was not waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Whose model.
    pub role: Role,
    /// The run, which may have ended since.
    pub run: RunId,
    /// The person who started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<UserId>,
    /// The model.
    pub model: String,
    /// What it used, as far as the server said.
    pub usage: Usage,
}

impl Thread {
    /// Adds what was spent in vain: it is paid like the rest, also when its run has ended.
    pub(super) fn spend(&mut self, spent: &Spent) {
        self.usage.entry(spent.role).or_default().add(&spent.usage);
        if let Some(run) = self.runs.get_mut(&spent.role).filter(|run| run.id == spent.run) {
            run.usage.add(&spent.usage);
        }
    }
}

/// The entry of an event, given the thread before it.
pub fn entry(before: &Thread, event: &Event) -> Option<Entry> {
    match event {
        Event::ReplyReceived { run, reply, .. } => {
            let (role, active) = before.run(*run)?;
            let (user, model) = (active.by.clone(), reply.model.clone());
            Some(Entry::Call { role: Some(role), user, model, usage: reply.usage })
        }
        Event::ContextChanged { run, change: Change::Compacted { usage, .. } } if usage.calls > 0 => {
            let (role, active) = before.run(*run)?;
            let (user, model) = (active.by.clone(), active.model.clone());
            Some(Entry::Call { role: Some(role), user, model, usage: *usage })
        }
        Event::Spent { spent: Spent { role, by, model, usage, .. } } => {
            Some(Entry::Call { role: Some(*role), user: by.clone(), model: model.clone(), usage: *usage })
        }
        Event::RunStarted { run, by: Some(user), .. } => Some(Entry::Run { run: *run, user: user.clone() }),
        Event::Budget { news: Budget::Reached { run, cap, .. } } if !cap.is_money() => Some(Entry::Held { run: *run }),
        Event::Budget { news: Budget::Freed { run, .. } } => {
            let (_, active) = before.run(*run)?;
            let was_held = active.paused.as_ref().is_some_and(|paused| !paused.used.cap.is_money());
            let user = active.by.clone().filter(|_| was_held)?;
            Some(Entry::Run { run: *run, user })
        }
        Event::Budget { news: Budget::Raised { run, cap, amount, .. } } => {
            let user = before.run(*run).and_then(|(_, active)| active.by.clone());
            Some(Entry::Raised { cap: *cap, amount: *amount, run: *run, user })
        }
        _ => None,
    }
}

/// What was spent and begun lately.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spending {
    days: BTreeMap<i64, Day>,
    runs: Vec<Begun>,
    raises: Vec<Raise>,
    last: u64,
}

/// What was spent on a day.
#[derive(Clone, Debug, Default, PartialEq)]
struct Day {
    all: Usage,
    by_user: BTreeMap<UserId, Usage>,
}

/// A run that a person started.
#[derive(Clone, Debug, PartialEq)]
pub struct Begun {
    /// In which thread.
    pub thread: ThreadKey,
    /// Who.
    pub user: UserId,
    run: RunId,
    at: Millis,
    /// In which order they came.
    number: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct Raise {
    at: Millis,
    cap: Cap,
    amount: f64,
    user: Option<UserId>,
    channel: ChannelId,
}

/// From when on runs count, and up to which.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    since: Millis,
    before: u64,
}

impl Spending {
    /// Adds an entry of this thread.
    pub fn record(&mut self, thread: &ThreadKey, at: Millis, entry: &Entry) {
        self.forget(at);
        match entry {
            Entry::Call { user, usage, .. } => {
                let day = self.days.entry(day_of(at)).or_default();
                day.all.add(usage);
                if let Some(user) = user {
                    day.by_user.entry(user.clone()).or_default().add(usage);
                }
            }
            Entry::Run { run, user } => self.begin(thread, *run, user, at),
            Entry::Held { run } => self.runs.retain(|begun| begun.run != *run || begun.thread != *thread),
            Entry::Raised { cap, amount, run, user } => {
                let (user, channel) = (user.clone(), thread.channel.clone());
                if let Some(user) = user.as_ref().filter(|_| !cap.is_money()) {
                    self.begin(thread, *run, user, at);
                }
                self.raises.push(Raise { at, cap: *cap, amount: *amount, user, channel });
            }
        }
    }

    fn begin(&mut self, thread: &ThreadKey, run: RunId, user: &UserId, at: Millis) {
        self.last += 1;
        let begun = Begun { thread: thread.clone(), user: user.clone(), run, at, number: self.last };
        self.runs.push(begun);
    }

    /// Drops what counts for nothing any more.
    fn forget(&mut self, now: Millis) {
        self.days.retain(|day, _| *day >= day_of(now) - 1);
        self.runs.retain(|begun| begun.at.0 > now.0 - LOOK_BACK);
        self.raises.retain(|raise| raise.at.0 > now.0 - LOOK_BACK);
    }

    /// What was spent on a day.
    pub fn on(&self, day: i64) -> Usage {
        self.days.get(&day).map(|day| day.all).unwrap_or_default()
    }

    /// What was spent on a day in runs that this person started.
    pub fn of_user_on(&self, user: &UserId, day: i64) -> Usage {
        self.days.get(&day).and_then(|day| day.by_user.get(user)).copied().unwrap_or_default()
    }

    /// What approvers added to a day's cap.
    pub fn raised_on(&self, day: i64) -> f64 {
        self.raised(|raise| raise.cap == Cap::Day && day_of(raise.at) == day)
    }

    /// What approvers added within the last hour to what this person may start.
    pub fn raised_for(&self, user: &UserId, now: Millis) -> f64 {
        let is_of = |raise: &Raise| raise.cap == Cap::UserHour && raise.user.as_ref() == Some(user);
        self.raised(|raise| is_of(raise) && raise.at.0 > now.0 - HOUR)
    }

    /// The same for a repository, which is known by its channel.
    pub fn raised_in(&self, channel: &ChannelId, now: Millis) -> f64 {
        let is_in = |raise: &Raise| raise.cap == Cap::RepoHour && raise.channel == *channel;
        self.raised(|raise| is_in(raise) && raise.at.0 > now.0 - HOUR)
    }

    fn raised(&self, counts: impl Fn(&Raise) -> bool) -> f64 {
        self.raises.iter().filter(|raise| counts(raise)).map(|raise| raise.amount).sum()
    }

    /// The runs of the last hour that a run comes after: all, when it does not count itself yet.
    pub fn place_of(&self, thread: &ThreadKey, run: RunId, now: Millis) -> Place {
        let own = self.runs.iter().rfind(|begun| begun.run == run && begun.thread == *thread);
        Place { since: Millis(now.0 - HOUR), before: own.map_or(u64::MAX, |own| own.number) }
    }

    /// How many of those there are.
    pub fn runs_before(&self, place: Place, counts: impl Fn(&Begun) -> bool) -> u32 {
        let before = |begun: &&Begun| begun.at > place.since && begun.number < place.before;
        let runs = self.runs.iter().filter(before).filter(|begun| counts(begun)).count();
        u32::try_from(runs).unwrap_or(u32::MAX)
    }
}
