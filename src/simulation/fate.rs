//! What befalls a simulated world: where it is cut, what goes wrong, what time it is. Every fake asks here before and
//! after each deed, so that all of them share one numbering of the points at which a life can end.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::dice::Dice;
use super::probe::WAITED;
use crate::ids::Millis;

/// When simulated time begins: 2026-01-01, 00:00 UTC.
pub const BEGIN: i64 = 1_767_225_600_000;

/// What happens at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Go,
    /// This life is over: nothing that comes after it happens.
    Crash,
    /// It takes so long.
    Wait(Duration),
    /// It fails (the store's writes).
    Fail,
}

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    None,
    /// It fails before anything happened.
    Before,
    /// It happens, but its answer is lost.
    After,
    /// The service wants to be left alone for so many milliseconds.
    TooFast(u64),
    /// The service refuses.
    Refused,
}

/// Everything random that goes wrong, until it stops.
#[derive(Clone, Debug)]
pub struct Weather {
    pub dice: Dice,
    /// From then on nothing goes wrong any more.
    pub calm_from: i64,
    /// In a thousand points.
    pub crash: u64,
    /// In a thousand crashes: the machine's power fails, and not only the program dies.
    pub power: u64,
    /// In a thousand calls.
    pub trouble: u64,
    /// In a thousand points.
    pub slow: u64,
    /// In a thousand model calls.
    pub model: u64,
    /// Times without network, from and to.
    pub outages: Vec<(i64, i64)>,
    /// Times in which the store fails, from and to.
    pub store: Vec<(i64, i64)>,
    /// Times in which nothing can be read from the store.
    pub unread: Vec<(i64, i64)>,
    /// In a thousand writes of the store: it fails, and the next one may not.
    pub slips: u64,
    /// Chance of the faults that came later, so that the others stay where they were.
    pub later: Dice,
    /// Times in which a rule of the remote refuses every push.
    pub refused: Vec<(i64, i64)>,
    /// Times in which the disk that git writes to is full.
    pub full: Vec<(i64, i64)>,
}

/// The fate of one world. Clones share it.
#[derive(Clone)]
pub struct Fate(Arc<Mutex<Inner>>);

struct Inner {
    points: u64,
    cuts: Vec<u64>,
    dead: bool,
    crashed: Arc<Notify>,
    weather: Option<Weather>,
    busy: u32,
    activity: u64,
    /// Milliseconds of earlier lives.
    before: i64,
    life: Option<Instant>,
    /// How far the product's clock is off.
    skew: i64,
    trace: Option<Vec<String>>,
    digest: u64,
    crashes: u32,
    /// Where the next write fails, whatever the weather.
    fails_at: Option<&'static str>,
    /// Whether every cut is a power failure.
    dark: bool,
    /// Whether the last crash was one.
    power_failed: bool,
    /// Until when something last went wrong or took long, by the label of the point.
    hindered: BTreeMap<String, i64>,
}

impl Fate {
    /// A fate that cuts at these points, counted from 1 over all lives.
    pub fn new(cuts: Vec<u64>, weather: Option<Weather>) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            points: 0,
            cuts,
            dead: false,
            crashed: Arc::default(),
            weather,
            busy: 0,
            activity: 0,
            before: BEGIN,
            life: None,
            skew: 0,
            trace: None,
            digest: 0xcbf2_9ce4_8422_2325,
            crashes: 0,
            fails_at: None,
            dark: false,
            power_failed: false,
            hindered: BTreeMap::new(),
        })))
    }

    /// Every cut is a power failure.
    pub fn darken(&self) {
        self.inner().dark = true;
    }

    /// The next write that passes this point fails.
    pub fn fail_at(&self, label: &'static str) {
        self.inner().fails_at = Some(label);
    }

    /// Whether this life ended by a power failure; asked once for each.
    pub fn power_failed(&self) -> bool {
        std::mem::take(&mut self.inner().power_failed)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps everything that happens as text.
    pub fn keep_trace(&self) {
        self.inner().trace = Some(Vec::new());
    }

    pub fn trace(&self) -> Vec<String> {
        self.inner().trace.clone().unwrap_or_default()
    }

    /// A hash over everything that happened.
    pub fn digest(&self) -> u64 {
        self.inner().digest
    }

    pub fn points(&self) -> u64 {
        self.inner().points
    }

    pub fn crashes(&self) -> u32 {
        self.inner().crashes
    }

    /// Begins a life; within its runtime. The answer is notified when it is cut.
    pub fn begin_life(&self) -> Arc<Notify> {
        let mut inner = self.inner();
        inner.dead = false;
        inner.busy = 0;
        inner.life = Some(Instant::now());
        let now = inner.now();
        inner.hinder("life", now);
        inner.crashed = Arc::default();
        Arc::clone(&inner.crashed)
    }

    /// Ends a life; within its runtime. Nothing that is still under way does anything any more.
    pub fn end_life(&self) {
        let mut inner = self.inner();
        inner.before = inner.now();
        inner.life = None;
        inner.dead = true;
    }

    /// True time in milliseconds.
    pub fn now(&self) -> i64 {
        self.inner().now()
    }

    /// Lets time pass between lives.
    pub fn pass(&self, ms: i64) {
        self.inner().before += ms;
    }

    /// The time as the product's clock shows it.
    pub fn shown(&self) -> Millis {
        let inner = self.inner();
        Millis(inner.now() + inner.skew)
    }

    /// Makes the product's clock jump.
    pub fn jump(&self, ms: i64) {
        self.note(&format!("clock jumps by {ms}"));
        self.inner().skew += ms;
    }

    /// Whether nothing can be read from the store now.
    pub fn reads_fail(&self) -> bool {
        let mut inner = self.inner();
        let now = inner.now();
        let fails = !inner.dead && inner.is_in(|weather| &weather.unread);
        if fails {
            inner.note("store: a read fails");
            inner.hinder("store", now);
        }
        fails
    }

    /// Whether a rule or a full disk is in the way of git at this label. A worktree is half made when the disk is full.
    pub fn impedes_git(&self, label: &str) -> bool {
        const WRITES: [&str; 4] =
            ["git.create_worktree.half", "git.restore_worktree.start", "git.snapshot.start", "git.commit_all.start"];
        let mut inner = self.inner();
        let refused = label == "git.push.start" && inner.is_in(|weather| &weather.refused);
        let full = WRITES.contains(&label) && inner.is_in(|weather| &weather.full);
        if refused || full {
            inner.note(&format!("{label}: {}", if refused { "refused by a rule" } else { "the disk is full" }));
        }
        refused || full
    }

    /// Whatever has this label could not go on before `until`.
    pub fn hinder(&self, label: &str, until: i64) {
        self.inner().hinder(label, until);
    }

    /// Until when something last kept this thread from showing anything: its own calls to chat and model, or what all
    /// threads share. What goes wrong with git, shell and forge is told at once, and hinders only while it lasts; but who
    /// did something on the forge is shown nothing until the forge can be looked at.
    pub fn hindered(&self, thread: &str, looks: bool) -> i64 {
        let concerns = |label: &str| match label.split('.').next().unwrap_or_default() {
            "chat" | "model" => label.contains(thread),
            "look" => looks,
            "slow" | "store" | "life" | "outage" => true,
            _ => label == thread,
        };
        let inner = self.inner();
        let until = inner.hindered.iter().filter(|(label, _)| concerns(label)).map(|(_, until)| *until);
        until.max().unwrap_or_default()
    }

    /// Writes a line into the trace.
    pub fn note(&self, line: &str) {
        self.inner().note(line);
    }

    /// What happened so far, as a number that grows with every deed.
    pub fn activity(&self) -> u64 {
        self.inner().activity
    }

    /// Whether a call is under way.
    pub fn is_busy(&self) -> bool {
        self.inner().busy > 0
    }

    /// Whether this life is over.
    pub fn is_dead(&self) -> bool {
        self.inner().dead
    }

    /// Whether things still go wrong.
    pub fn is_stormy(&self) -> bool {
        let inner = self.inner();
        inner.weather.as_ref().is_some_and(|weather| inner.now() < weather.calm_from)
    }

    /// Passes a point: says what happens there. A pure look at something is no deed and keeps nobody awake.
    pub fn turn(&self, label: &str, deed: bool) -> Turn {
        self.inner().turn(label, deed)
    }

    /// Passes a point; never comes back when the life ends there.
    pub async fn at(&self, label: &str) {
        self.pass_point(label, true).await;
    }

    /// The same for something that merely looks.
    pub async fn at_look(&self, label: &str) {
        self.pass_point(label, false).await;
    }

    async fn pass_point(&self, label: &str, deed: bool) {
        match self.turn(label, deed) {
            Turn::Go | Turn::Fail => {}
            Turn::Crash => std::future::pending().await,
            Turn::Wait(time) => self.wait(time).await,
        }
    }

    /// Lets time pass; never comes back when the life ends meanwhile.
    pub async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// What goes wrong with a call to the network.
    pub fn trouble(&self, port: &str) -> Trouble {
        let mut inner = self.inner();
        let trouble = inner.trouble(port);
        if trouble != Trouble::None {
            inner.note(&format!("{port}: {trouble:?}"));
        }
        trouble
    }

    /// Chance for a call to a model, beside the network's own.
    pub fn model_chance(&self, choices: u64) -> Option<u64> {
        let mut inner = self.inner();
        let now = inner.now();
        let weather = inner.weather.as_mut().filter(|weather| now < weather.calm_from)?;
        let per_mille = weather.model;
        weather.dice.chance(per_mille).then(|| weather.dice.below(choices))
    }

    /// A call is under way until the guard is dropped.
    pub fn enter(&self) -> Busy {
        self.inner().busy += 1;
        Busy(self.clone())
    }
}

/// A call under way.
pub struct Busy(Fate);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.busy = inner.busy.saturating_sub(1);
    }
}

impl Inner {
    fn now(&self) -> i64 {
        let elapsed = self.life.map_or(0, |life| i64::try_from(life.elapsed().as_millis()).expect("a short life"));
        self.before + elapsed
    }

    fn note(&mut self, line: &str) {
        let line = format!("{:>10} {line}", self.now() - BEGIN);
        for byte in line.bytes() {
            self.digest = (self.digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        if let Some(trace) = &mut self.trace {
            trace.push(line);
        }
    }

    fn kill(&mut self, why: &str) {
        if self.dead {
            return;
        }
        let by_chance = self.weather.as_mut().is_some_and(|weather| weather.dice.chance(weather.power));
        self.power_failed = self.dark || by_chance;
        self.note(&format!("{} {why}", if self.power_failed { "POWER FAILURE" } else { "CRASH" }));
        self.dead = true;
        self.crashes += 1;
        self.crashed.notify_one();
    }

    fn turn(&mut self, label: &str, deed: bool) -> Turn {
        if self.dead {
            return Turn::Crash;
        }
        if label == WAITED {
            return Turn::Go;
        }
        self.activity += u64::from(deed);
        self.points += 1;
        self.note(label);
        if self.cuts.contains(&self.points) {
            self.kill(label);
            return Turn::Crash;
        }
        if self.fails_at.take_if(|at| *at == label).is_some() {
            return Turn::Fail;
        }
        let now = self.now();
        let Some(weather) = self.weather.as_mut().filter(|weather| now < weather.calm_from) else { return Turn::Go };
        if label.starts_with("store.") {
            if weather.dice.chance(weather.crash) {
                self.kill(label);
                return Turn::Crash;
            }
            let fails = weather.store.iter().any(|(from, to)| (*from..*to).contains(&now));
            if fails && label == "store.accept.after" {
                // A row of the inbox may also be stored without anybody being told so.
                self.hinder("store", now);
                return Turn::Fail;
            }
            if !label.ends_with(".before") {
                return Turn::Go;
            }
            if weather.slips > 0 && weather.later.chance(weather.slips) {
                self.note("store: a write fails");
                return Turn::Fail;
            }
            if !fails {
                return Turn::Go;
            }
            self.hinder("store", now);
            return Turn::Fail;
        }
        if weather.dice.chance(weather.crash) {
            self.kill(label);
            return Turn::Crash;
        }
        if weather.dice.chance(weather.slow) {
            let ms = *weather.dice.pick(&[10, 1_000, 30_000, 400_000]);
            let ms = weather.dice.below(ms);
            let until = now + i64::try_from(ms).expect("a short wait");
            // One post that takes long holds those of all threads.
            self.hinder(if label.starts_with("model.") { label } else { "slow" }, until);
            return Turn::Wait(Duration::from_millis(ms));
        }
        Turn::Go
    }

    fn is_in(&self, windows: impl Fn(&Weather) -> &Vec<(i64, i64)>) -> bool {
        let now = self.now();
        let weather = self.weather.as_ref().filter(|weather| now < weather.calm_from);
        weather.is_some_and(|weather| windows(weather).iter().any(|(from, to)| (*from..*to).contains(&now)))
    }

    fn hinder(&mut self, label: &str, until: i64) {
        let known = self.hindered.entry(label.to_owned()).or_default();
        *known = until.max(*known);
    }

    fn trouble(&mut self, port: &str) -> Trouble {
        let now = self.now();
        let Some(weather) = self.weather.as_mut().filter(|weather| now < weather.calm_from) else {
            return Trouble::None;
        };
        if weather.outages.iter().any(|(from, to)| (*from..*to).contains(&now)) {
            self.hinder("outage", now);
            return Trouble::Before;
        }
        if !weather.dice.chance(weather.trouble) {
            return Trouble::None;
        }
        let wait = weather.dice.below(40_000);
        let kinds = [Trouble::Before, Trouble::After, Trouble::After, Trouble::TooFast(wait), Trouble::Refused];
        let trouble = *weather.dice.pick(&kinds);
        let wait = if let Trouble::TooFast(ms) = trouble { i64::try_from(ms).expect("a short wait") } else { 0 };
        self.hinder(if port == "forge.changes" { "look" } else { port }, now + wait);
        trouble
    }
}
