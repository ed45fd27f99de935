//! Drives one thread: inbox rows and outcomes become commands, decisions are committed, pending effects are run.
//!
//! Lives from the first message until a minute after the last work; everything it knows is in the log.

mod rows;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{AbortHandle, Abortable, BoxFuture};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use self::rows::{command_of, hears_stop, past, title};
use super::activity;
use super::confession::confess;
use super::effects;
use super::kit::Kit;
use super::project::Project;
use super::tasks::panic_text;
use super::turnstile::Turnstile;
use super::witness::Committed;
use crate::agent::{ToolCall, ToolName};
use crate::chat::IncomingKind;
use crate::ids::{EffectId, Epoch, Millis, ThreadKey};
use crate::render::posts::{posts, waiting_key};
use crate::render::presence::presence;
use crate::render::progress::argument;
use crate::store::{Append, Session, Shown, StoreError, Waiting};
use crate::thread::event::Event;
use crate::thread::spending::{self, Spent};
use crate::thread::{Command, Effect, Phase, Restart, Rules, Thread, decide, durability, pending};

/// The longest wait before a thread that failed is tried again.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Works on a thread until nothing is left to do for a while, or until `stop`.
pub async fn run(project: Arc<Project>, key: ThreadKey, nudge: Arc<Notify>, stop: CancellationToken) {
    let mut wait = Duration::from_secs(5);
    let mut told = None;
    loop {
        let life = AssertUnwindSafe(live(&project, &key, &nudge, &stop)).catch_unwind();
        let id = format!("{:x}", project.clock.now().0);
        let ended = life.await;
        project.presence.set(&key, None);
        match ended {
            Ok(Ok(())) => return,
            Ok(Err(StoreError::Superseded { .. })) => {
                tracing::warn!(thread.ts = %key, "another worker has this thread; this one ends");
                return;
            }
            Ok(Err(StoreError::Closed)) => {
                // The daemon ends over this, says why, and the next one goes on; not at once, so that nobody sends
                // another worker before the daemon has come to that.
                tracing::debug!(thread.ts = %key, "the store is lost");
                return stop.cancelled().await;
            }
            Ok(Err(error)) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(thread.ts = %key, error.id = id, error, "the thread stopped");
            }
            Err(panic) => {
                let panic = panic_text(&*panic);
                tracing::error!(thread.ts = %key, error.id = id, panic, "the thread's worker panicked");
            }
        }
        let confessed = AssertUnwindSafe(confess(&project, &key, &id, &mut told)).catch_unwind().await;
        if let Err(panic) = confessed {
            tracing::error!(thread.ts = %key, panic = panic_text(&*panic), "the thread could not be told");
        }
        // The state in memory is not to be trusted now; the log is. Not at once, in case it happens again.
        tokio::select! {
            biased;
            () = tokio::time::sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn live(
    project: &Arc<Project>,
    key: &ThreadKey,
    nudge: &Notify,
    stop: &CancellationToken,
) -> Result<(), StoreError> {
    let mut worker = Worker::load(project, key).await?;
    if worker.thread.seq == 0 {
        // A person often writes a thought in several messages; whoever says stop has written the last of them.
        tokio::select! {
            biased;
            () = tokio::time::sleep(project.settings.accumulation) => {}
            stopped = hears_stop(project, key, nudge) => stopped?,
            () = stop.cancelled() => return Ok(()),
        }
    }
    worker.say_presence();
    worker.recover().await?;
    // Every row that is stored is followed by a nudge: between nudges the inbox need not be looked at.
    worker.read_inbox().await?;
    loop {
        if stop.is_cancelled() {
            // Also when an outcome has just made something pending: nothing begins any more.
            return worker.wind_down().await;
        }
        worker.start_effects().await?;
        let idle = worker.outcomes.is_empty();
        tokio::select! {
            biased;
            () = stop.cancelled() => return worker.wind_down().await,
            () = nudge.notified() => worker.read_inbox().await?,
            () = worker.turnstile.changed() => {}
            Some(spent) = worker.till.recv() => worker.count(spent).await?,
            Some(outcome) = worker.outcomes.next(), if !idle => worker.take(outcome).await?,
            () = tokio::task::yield_now(), if worker.unlogged.is_some() => worker.log(),
            () = tokio::time::sleep(project.settings.worker_idle), if idle && !worker.turnstile.waits() => return Ok(()),
        }
    }
}

/// What an effect came to; no command when it was aborted.
struct Outcome {
    id: EffectId,
    number: u64,
    command: Option<Command>,
}

/// One thread at work.
struct Worker<'a> {
    project: &'a Arc<Project>,
    /// Our turn at this thread: the store takes nothing from a worker that another has followed.
    epoch: Epoch,
    thread: Thread,
    kit: Kit,
    turnstile: Turnstile,
    running: HashMap<EffectId, Running>,
    /// Effects that are not wanted any more and tidy up, with their numbers; none of the same id begins before that.
    tidying: HashMap<EffectId, u64>,
    outcomes: FuturesUnordered<BoxFuture<'static, Outcome>>,
    started: u64,
    /// What model calls spent on attempts that brought nothing, also those that were ended since.
    till: UnboundedReceiver<Spent>,
    /// What the log is told once the effects of it are under way.
    unlogged: Option<Unlogged>,
}

/// What was committed and not yet logged.
struct Unlogged {
    before: Thread,
    events: Vec<Event>,
    at: Millis,
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.log();
    }
}

/// An effect under way, and the two ways to end it: its future is dropped, unless it tidies up, and what it started
/// elsewhere is told.
struct Running {
    /// Tells this effect from an earlier one of the same id.
    number: u64,
    restart: Restart,
    tidies_up: bool,
    abort: AbortHandle,
    cancel: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.cancel.cancel();
        if !self.tidies_up {
            self.abort.abort();
        }
    }
}

impl<'a> Worker<'a> {
    async fn load(project: &'a Arc<Project>, key: &ThreadKey) -> Result<Self, StoreError> {
        let (tell, till) = unbounded_channel();
        let mut worker = Self {
            project,
            epoch: project.store.lease(key).await?,
            thread: Thread::new(key.clone()),
            kit: Kit::new(key.clone(), tell),
            turnstile: Turnstile::new(project.slots.clone(), key.channel.clone()),
            running: HashMap::new(),
            tidying: HashMap::new(),
            outcomes: FuturesUnordered::new(),
            started: 0,
            till,
            unlogged: None,
        };
        for (at, event) in project.store.load(key).await? {
            worker.thread.apply(&event, at);
            worker.kit.apply(&event);
        }
        Ok(worker)
    }

    /// After a restart: calls that change something and were under way are told to the model as cut, and work that an
    /// older version was about to publish is looked at for its checks first.
    async fn recover(&mut self) -> Result<(), StoreError> {
        let rules = self.rules().await;
        let calls: Vec<_> = (pending(&self.thread, |role| rules.turns(role)).into_iter())
            .filter(|effect| effect.restart() == Restart::Report)
            .filter_map(|effect| match effect {
                Effect::RunTool { run, call, .. } => Some((run, call.id)),
                _ => None,
            })
            .collect();
        let unchecked = self.thread.publishing.as_ref().is_some_and(|publishing| publishing.checked.is_none());
        if calls.is_empty() && !unchecked {
            return Ok(());
        }
        self.carry_out(Command::Interrupted { calls }, Vec::new()).await
    }

    /// Deals with everything that waits in the inbox, a batch at a time, each in one commit.
    async fn read_inbox(&mut self) -> Result<(), StoreError> {
        loop {
            let mut waiting = self.project.store.waiting(&self.thread.key).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            if self.thread.seq == 0 {
                // Two sockets bring them in any order, and what was said before the first is read as history.
                let place = |waiting: &Waiting| {
                    let says = matches!(waiting.incoming.what, IncomingKind::Message { .. });
                    (waiting.incoming.said_at().cloned(), !says)
                };
                waiting.sort_by_key(place);
            }
            let (mut rules, mut after) = (self.rules().await, self.thread.clone());
            let (mut events, mut acked) = (Vec::new(), Vec::new());
            let card = match waiting_key(&self.thread) {
                Some(key) => self.project.store.shown(&self.thread.key, &key).await?,
                None => Shown::Perhaps,
            };
            for Waiting { id, incoming } in waiting {
                acked.push(id);
                rules.unseen = match (&card, &incoming.what) {
                    (Shown::Not, _) => true,
                    (Shown::At(card), IncomingKind::Message { ts, .. }) => ts < card,
                    (Shown::At(_) | Shown::Perhaps, _) => false,
                };
                let Some(command) = command_of(incoming) else { continue };
                for event in decide(&after, command, &rules) {
                    after.apply(&event, rules.now);
                    events.push(event);
                }
            }
            self.commit(events, acked).await?;
        }
    }

    /// Notes what was spent in vain.
    async fn count(&mut self, spent: Spent) -> Result<(), StoreError> {
        self.carry_out(Command::Spent(spent), Vec::new()).await
    }

    /// Drops what was ended, and notes what that had spent.
    async fn close(&mut self) -> Result<(), StoreError> {
        self.outcomes.clear();
        self.count_all().await
    }

    async fn count_all(&mut self) -> Result<(), StoreError> {
        while let Ok(spent) = self.till.try_recv() {
            self.count(spent).await?;
        }
        Ok(())
    }

    /// Takes the outcome of an effect, unless it was ended or started again since.
    async fn take(&mut self, outcome: Outcome) -> Result<(), StoreError> {
        let Outcome { id, number, command } = outcome;
        self.tidying.retain(|_, tidying| *tidying != number);
        // Before anything is decided on what it brought: the next call is not made as if nothing had been spent.
        self.count_all().await?;
        let Some(command) = command else { return Ok(()) };
        if self.running.get(&id).is_none_or(|running| running.number != number) {
            return Ok(());
        }
        self.running.remove(&id);
        let mut rules = self.rules().await;
        if let Some(workflow) = proposed_workflow(&command) {
            // Without it the plan is shown without an estimate.
            rules.similar = self.project.store.finished(&workflow).await.unwrap_or_default();
        }
        let events = decide(&self.thread, command, &rules);
        self.commit(events, Vec::new()).await
    }

    /// What a decision made now goes by.
    async fn rules(&mut self) -> Rules {
        self.project.ledger.look_at_others(self.project.clock.now()).await;
        self.project.rules(&self.thread.key.channel)
    }

    async fn carry_out(&mut self, command: Command, acked: Vec<i64>) -> Result<(), StoreError> {
        let rules = self.rules().await;
        let events = decide(&self.thread, command, &rules);
        self.commit(events, acked).await
    }

    /// The one commit point: events, posts, inbox rows and the session's row in one transaction.
    async fn commit(&mut self, events: Vec<Event>, acked: Vec<i64>) -> Result<(), StoreError> {
        if events.is_empty() && acked.is_empty() {
            return Ok(());
        }
        let at = self.project.clock.now();
        let (mut shown, mut spent) = (Vec::new(), Vec::new());
        let mut after: Option<Thread> = None;
        let mut durable = !acked.is_empty();
        for event in &events {
            let before = after.as_ref().unwrap_or(&self.thread);
            durable |= durability::must_last(before, event);
            spent.extend(spending::entry(before, event));
            let mut next = before.clone();
            next.apply(event, at);
            shown.extend(posts(before, &next, event, at));
            after = Some(next);
        }
        let append = Append {
            thread: self.thread.key.clone(),
            epoch: self.epoch,
            expected: self.thread.seq,
            at,
            posts: shown,
            spent: spent.clone(),
            durable,
            events: events.clone(),
            acked,
            session: self.session(after.as_ref().unwrap_or(&self.thread)),
        };
        let posted = !append.posts.is_empty();
        let written = self.project.store.append(append);
        // Meanwhile: the disk takes its time.
        let ready = async { effects::prepare(self.project, after.as_ref().unwrap_or(&self.thread), &events) };
        tokio::join!(biased; written, ready).0?;
        self.project.ledger.record(&self.thread.key, at, &spent);
        let (thread, first) = (&self.thread.key, self.thread.seq + 1);
        self.project.witness.tell(|| Committed { thread: thread.clone(), first, at, events: events.clone() });
        events.iter().for_each(|event| self.kit.apply(event));
        if let Some(after) = after {
            let before = std::mem::replace(&mut self.thread, after);
            self.log();
            self.unlogged = Some(Unlogged { before, events, at });
            self.say_presence();
        }
        if posted {
            self.project.outbox_changed.notify_one();
        }
        Ok(())
    }

    /// Logs what was committed last.
    fn log(&mut self) {
        if let Some(Unlogged { before, events, at }) = self.unlogged.take() {
            activity::log(&before, &events, at);
        }
    }

    /// What goes on, for the chat to show in a way of its own.
    fn say_presence(&self) {
        self.project.presence.set(&self.thread.key, presence(&self.thread));
    }

    /// The row of a thread in listings.
    fn session(&self, thread: &Thread) -> Session {
        let settings = &self.project.settings;
        Session {
            phase: Phase::of(thread).to_string(),
            title: title(thread),
            works: !pending(thread, |role| settings.rules.turns(role)).is_empty(),
            pull: thread.pull.as_ref().filter(|_| !thread.is_closed()).map(|pull| pull.number),
            workflow: thread.approved.as_ref().map(|(plan, _)| plan.workflow.clone()),
            past: past(thread),
        }
    }

    /// What is pending now, with places asked for; what runs and is not pending any more is ended.
    async fn align(&mut self) -> Result<Vec<Effect>, StoreError> {
        let settings = &self.project.settings;
        let wanted = pending(&self.thread, |role| settings.rules.turns(role));
        let ids: Vec<EffectId> = wanted.iter().map(Effect::id).collect();
        self.end_effects(|id, _| ids.contains(id));
        let init = || effects::init_commands(self.project, &self.thread);
        self.turnstile.align(&wanted, settings, init);
        for command in self.turnstile.moved(&self.thread) {
            self.carry_out(command, Vec::new()).await?;
        }
        Ok(wanted)
    }

    /// Asks before each new request to a model whether it may be made. Says whether anything changed by that.
    async fn mind_budget(&mut self, wanted: &[Effect]) -> Result<bool, StoreError> {
        let seq = self.thread.seq;
        for effect in wanted {
            if let Effect::CallModel { run, .. } = effect
                && !self.running.contains_key(&effect.id())
                && self.turnstile.admits(effect)
            {
                self.carry_out(Command::CallDue { run: *run }, Vec::new()).await?;
            }
        }
        Ok(self.thread.seq != seq)
    }

    /// Starts what is pending, may begin and is not running; ends what runs and is not pending any more.
    async fn start_effects(&mut self) -> Result<(), StoreError> {
        let mut wanted = self.align().await?;
        while self.mind_budget(&wanted).await? {
            wanted = self.align().await?;
        }
        let ids: Vec<EffectId> = wanted.iter().map(Effect::id).collect();
        for (id, effect) in ids.into_iter().zip(wanted) {
            let is_under_way = self.running.contains_key(&id) || self.tidying.contains_key(&id);
            if is_under_way || !self.turnstile.admits(&effect) {
                continue;
            }
            let (cancel, restart, tidies_up) = (CancellationToken::new(), effect.restart(), effect.tidies_up());
            let work = effects::run(self.project, &self.thread, &mut self.kit, effect, cancel.clone());
            let (abort, registration) = AbortHandle::new_pair();
            self.started += 1;
            let number = self.started;
            self.running.insert(id.clone(), Running { number, restart, tidies_up, abort, cancel });
            let work = Abortable::new(work, registration);
            self.outcomes.push(async move { Outcome { id, number, command: work.await.ok() } }.boxed());
        }
        Ok(())
    }

    /// Ends what runs and is not to go on.
    fn end_effects(&mut self, goes_on: impl Fn(&EffectId, &Running) -> bool) {
        let tidying = &mut self.tidying;
        self.running.retain(|id, running| {
            let goes_on = goes_on(id, running);
            if !goes_on && running.tidies_up {
                tidying.insert(id.clone(), running.number);
            }
            goes_on
        });
    }

    /// Lets what must not be cut come to its end, for as long as the grace lasts; nothing new begins. What is simply
    /// done again after a restart, such as a model call, ends at once.
    async fn wind_down(&mut self) -> Result<(), StoreError> {
        let grace = tokio::time::sleep(self.project.settings.stop_grace);
        tokio::pin!(grace);
        loop {
            self.end_effects(|_, running| running.restart != Restart::Again);
            if self.running.is_empty() && self.tidying.is_empty() {
                return self.close().await;
            }
            tokio::select! {
                biased;
                Some(spent) = self.till.recv() => self.count(spent).await?,
                Some(outcome) = self.outcomes.next() => self.take(outcome).await?,
                () = &mut grace => {
                    let left: Vec<String> = self.running.keys().map(ToString::to_string).collect();
                    tracing::warn!(thread.ts = %self.thread.key, left = left.join(", "), "cut by the stop");
                    return self.close().await;
                }
            }
        }
    }
}

/// The workflow of the plan that a reply proposes.
fn proposed_workflow(command: &Command) -> Option<String> {
    let Command::ModelAnswered { result: Ok(reply), .. } = command else { return None };
    let proposes = |call: &&ToolCall| ToolName::parse(&call.name) == Some(ToolName::ProposePlan);
    reply.calls.iter().find(proposes).and_then(|call| argument(&call.arguments, "workflow"))
}
