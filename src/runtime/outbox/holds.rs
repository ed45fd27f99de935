//! What holds rows back after the chat's answers, and for how long. A pause that the chat asks for holds what it limits; a
//! channel that lets nothing in holds its lanes; trouble with a post holds its thread's posts, and with an edit or a
//! reaction only that. When several threads fail and nothing succeeds in between, it is an outage: then one call at a time
//! looks whether it is over, ever less often.
//!
//! Knows no clock; the time is an argument.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tokio::time::Instant;

use super::Reply;
use crate::ids::{ChannelId, ThreadKey};
use crate::store::{Ask, DuePost, Lane};

/// The first and the longest wait between tries while the chat or the store does not answer.
pub(super) const WAITS: (Duration, Duration) = (Duration::from_millis(400), Duration::from_secs(30));

/// The longest wait between tries in a channel that lets nothing in: somebody must do something first, or never will.
const KEPT_OUT: Duration = Duration::from_secs(5 * 60);

/// So many threads in trouble with no success in between are an outage.
const OUTAGE: usize = 2;

/// In an outage, how long after what was not tried yet the next such is: the trouble may be that of the others only.
const FRESH: Duration = Duration::from_secs(2);

/// When a post makes way for those behind it: after so many tries over so long a time, before each of which the chat took
/// something else. As long as it takes nothing at all it may be an outage of any length, and nothing is lost by it.
const TRIES: u32 = 10;
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// A rest after trouble, longer each time.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    until: Option<Instant>,
    wait: Option<Duration>,
}

impl Rest {
    /// When the rest ends, if it has not.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }

    fn at_least(&mut self, until: Instant) {
        self.until = self.until.max(Some(until));
    }

    /// Begins a rest twice as long as the last, up to `longest`; calls that fail together make one. Returns its end.
    pub(super) fn lengthen(&mut self, now: Instant, longest: Duration) -> Instant {
        if let Some(until) = self.until(now) {
            return until;
        }
        let wait = self.wait.map_or(WAITS.0, |wait| (wait * 2).min(longest));
        self.wait = Some(wait);
        self.at_least(now + wait);
        now + wait
    }
}

/// What trouble with a row holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// All posts of its thread, which are seen in order.
    Thread(ThreadKey),
    /// The row alone.
    Row(i64),
}

impl Subject {
    pub(super) fn of(row: &DuePost) -> Self {
        match row.lane() {
            Lane::Posts(_) => Self::Thread(row.thread.clone()),
            Lane::Edits(_) | Lane::Reactions(_) => Self::Row(row.id),
        }
    }
}

/// What the chat limits together.
#[derive(PartialEq, Eq, Hash)]
enum Limit {
    Posts(ChannelId),
    Edits,
    Reactions,
}

impl Limit {
    fn of(lane: &Lane) -> Self {
        match lane {
            Lane::Posts(channel) => Self::Posts(channel.clone()),
            Lane::Edits(_) => Self::Edits,
            Lane::Reactions(_) => Self::Reactions,
        }
    }
}

/// A lane of a channel into which nothing is let.
#[derive(Default)]
struct KeptOut {
    rest: Rest,
    /// The code that the operator was told of.
    told: Option<String>,
}

/// Something that failed when it was tried last.
struct Trouble {
    lane: Lane,
    rest: Rest,
    since: Instant,
    failed: Instant,
    /// Tries that failed although the chat had taken something since the try before.
    tries: u32,
    worked: u64,
}

/// Everything that holds rows back.
#[derive(Default)]
pub(super) struct Holds {
    limits: HashMap<Limit, Rest>,
    kept_out: HashMap<Lane, KeptOut>,
    troubled: HashMap<Subject, Trouble>,
    /// Threads that failed since the chat took something, and the rest of all that failed when they are many.
    failing: HashSet<ThreadKey>,
    outage: Rest,
    /// When something was tried in an outage for the first time.
    fresh: Option<Instant>,
    /// Counts the posts and edits that the chat took.
    worked: u64,
}

impl Holds {
    /// Whether a row may go now, with so many calls under way; if not, when to ask again, unless a call must end first.
    pub(super) fn check(&self, row: &DuePost, now: Instant, calls: usize) -> Result<(), Option<Instant>> {
        let lane = row.lane();
        let limit = self.limits.get(&Limit::of(&lane)).and_then(|rest| rest.until(now));
        let kept_out = self.kept_out.get(&lane).and_then(|kept_out| kept_out.rest.until(now));
        let trouble = self.troubled.get(&Subject::of(row));
        let troubled = trouble.and_then(|trouble| trouble.rest.until(now));
        if let Some(until) = limit.max(kept_out).max(troubled) {
            return Err(Some(until));
        }
        if !self.is_outage() {
            return Ok(());
        }
        match (trouble, self.fresh) {
            (Some(_), _) if self.outage.until(now).is_some() => Err(self.outage.until(now)),
            (Some(_), _) if calls > 0 => Err(None),
            (None, Some(fresh)) if fresh + FRESH > now => Err(Some(fresh + FRESH)),
            (Some(_), _) | (None, _) => Ok(()),
        }
    }

    /// Notes that a row is on its way.
    pub(super) fn started(&mut self, row: &DuePost, now: Instant) {
        if self.is_outage() && !self.is_troubled(row) {
            self.fresh = Some(now);
        }
    }

    /// Whether this, or what is before it in its thread, failed when it was tried last.
    pub(super) fn is_troubled(&self, row: &DuePost) -> bool {
        self.troubled.contains_key(&Subject::of(row))
    }

    /// Whether nothing was let into the lane when it was tried last.
    pub(super) fn is_kept_out(&self, lane: &Lane) -> bool {
        self.kept_out.contains_key(lane)
    }

    /// Whether a row was tried so often that this try is its last.
    pub(super) fn is_last_try(&self, row: &DuePost, now: Instant) -> bool {
        let trouble = self.troubled.get(&Subject::of(row));
        trouble
            .is_some_and(|trouble| trouble.tries >= TRIES && now.saturating_duration_since(trouble.since) >= PATIENCE)
    }

    /// In an outage, brings rows into the order in which they look whether it is over: what was never tried, then what
    /// failed longest ago, so that no post which fails anyway keeps all others from trying.
    pub(super) fn order(&self, due: &mut [DuePost]) {
        if self.is_outage() {
            due.sort_by_key(|row| self.troubled.get(&Subject::of(row)).map(|trouble| trouble.failed));
        }
    }

    /// Adds what need not be looked at now; `full` says of a lane whether it has no place for what is in trouble. Returns
    /// when to look again at the latest.
    pub(super) fn fill(
        &self,
        ask: &mut Ask,
        now: Instant,
        calls: usize,
        full: impl Fn(&Lane) -> bool,
    ) -> Option<Instant> {
        let mut next = self.is_outage().then(|| self.outage.until(now)).flatten();
        let mut soonest = |until: Option<Instant>| {
            next = next.into_iter().chain(until).min();
            until.is_some()
        };
        for (limit, rest) in &self.limits {
            if soonest(rest.until(now))
                && let Limit::Posts(channel) = limit
            {
                ask.shut.insert(Lane::Posts(channel.clone()));
            }
        }
        for (lane, kept_out) in &self.kept_out {
            if soonest(kept_out.rest.until(now)) {
                ask.shut.insert(lane.clone());
            }
        }
        let waits = self.is_outage() && (calls > 0 || self.outage.until(now).is_some());
        for (subject, trouble) in &self.troubled {
            if soonest(trouble.rest.until(now)) || waits || full(&trouble.lane) {
                match subject {
                    Subject::Thread(thread) => drop(ask.threads.insert(thread.clone())),
                    Subject::Row(row) => drop(ask.rows.insert(*row)),
                }
            }
        }
        next
    }

    /// It is dealt with.
    pub(super) fn noted(&mut self, subject: &Subject, lane: &Lane, reply: Reply) {
        self.troubled.remove(subject);
        match reply {
            Reply::Shown => {
                self.answered();
                if self.kept_out.remove(lane).is_some() {
                    tracing::info!(?lane, "the chat lets us in again");
                }
                self.worked += u64::from(!matches!(lane, Lane::Reactions(_)));
            }
            Reply::Refused => self.answered(),
            Reply::Unasked => {}
        }
    }

    /// The chat wants a pause.
    pub(super) fn too_fast(&mut self, lane: &Lane, until: Instant) {
        self.answered();
        self.limits.entry(Limit::of(lane)).or_default().at_least(until);
    }

    /// The chat lets nothing into a lane.
    pub(super) fn kept_out(&mut self, lane: &Lane, code: String, remedy: &'static str, now: Instant) {
        self.answered();
        let kept_out = self.kept_out.entry(lane.clone()).or_default();
        kept_out.rest.lengthen(now, KEPT_OUT);
        // Once, and not with every try: it may last for ever.
        if kept_out.told.as_ref() != Some(&code) {
            tracing::error!(?lane, code, hint = remedy, "the chat lets nothing be sent here; it is kept, and tried on");
            kept_out.told = Some(code);
        }
    }

    /// The store did not take that a row is tried.
    pub(super) fn not_stored(&mut self, subject: Subject, lane: Lane, now: Instant) {
        self.trouble(subject, lane, now);
    }

    /// The chat did not answer, or failed.
    pub(super) fn failed(&mut self, subject: Subject, lane: Lane, thread: ThreadKey, now: Instant) {
        let worked = self.worked;
        let trouble = self.trouble(subject, lane, now);
        if worked > trouble.worked {
            trouble.tries += 1;
            trouble.worked = worked;
        }
        self.failing.insert(thread);
        if self.is_outage() {
            self.outage.lengthen(now, WAITS.1);
        }
    }

    fn trouble(&mut self, subject: Subject, lane: Lane, now: Instant) -> &mut Trouble {
        let first = Trouble { lane, rest: Rest::default(), since: now, failed: now, tries: 0, worked: self.worked };
        let trouble = self.troubled.entry(subject).or_insert(first);
        trouble.failed = now;
        trouble.rest.lengthen(now, WAITS.1);
        trouble
    }

    fn is_outage(&self) -> bool {
        self.failing.len() >= OUTAGE
    }

    fn answered(&mut self) {
        self.failing.clear();
        self.outage = Rest::default();
        self.fresh = None;
    }
}
