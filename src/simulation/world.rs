//! A world: the real runtime over the fakes, one life after another. A life is one tokio runtime with paused time; at
//! its end everything of it is dropped. The fakes' state, the people and the store's file live on.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Notify;

use super::chat::SimulatedChat;
use super::dice::Dice;
use super::fate::{Fate, Trouble, Turn};
use super::forge::SimulatedForge;
use super::model::{CLAUDE, CODER, PM, SimulatedModel};
use super::people::{CHANNEL, Outside, People, Step};
use super::probe::{Probe, Verdict};
use crate::agent::Role;
use crate::agent::catalogue::Listed;
use crate::chat::{Chat, Intake as _};
use crate::git::simulated::SimulatedGit;
use crate::ids::{ChannelId, Millis, ThreadKey};
use crate::runtime::intake::Routes;
use crate::runtime::models::Models;
use crate::runtime::project::{ChannelModels, Project, ProjectSettings};
use crate::runtime::slots::Slots;
use crate::runtime::tasks::TaskKind;
use crate::runtime::{Clock, Supervisor, Tasks, outbox, watch};
use crate::sandbox::simulated::SimulatedShell;
use crate::store::Store;
use crate::store::simulated::{Disk, Moment, Verdict as StoreVerdict};
use crate::thread::{Event, Rules};

/// After so long without a deed a world is at rest.
const QUIET: i64 = 8 * 60_000;
/// More lives than this mean that nothing goes on.
const MOST_LIVES: u32 = 400;
/// More often nobody has to repeat himself.
const MOST_REPEATS: u32 = 60;

/// What a world begins with.
pub struct Setup {
    /// What each person does, and when it begins (milliseconds since 1970).
    pub stories: Vec<(Vec<Step>, i64)>,
    pub fate: Fate,
    pub seed: u64,
    /// Late, doubled and disordered deliveries, graceful stops, clock jumps.
    pub unkind: bool,
    /// Coders at the same time.
    pub coders: u32,
    /// How much the models read.
    pub reads: Reads,
}

/// How much the PM's models read, and whether their list says so. The scripted Coder could not go on without what it saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// More than anybody says.
    Enough,
    /// So many tokens, as listed.
    Listed(u64),
    /// So many bytes; what is longer is refused without a word on how much.
    Refused(usize),
}

/// The world.
pub struct World {
    pub fate: Fate,
    pub chat: SimulatedChat,
    pub model: SimulatedModel,
    pub forge: SimulatedForge,
    pub git: SimulatedGit,
    pub people: People,
    pub lives: u32,
    /// Worktrees that somebody deleted by hand.
    pub robbed: BTreeSet<String>,
    pub shell: SimulatedShell,
    disk: Disk,
    folder: tempfile::TempDir,
    dice: Dice,
    /// Chance of what others do to the remote.
    others: Dice,
    unkind: bool,
    coders: u32,
    reads: Reads,
}

/// How a life ended.
enum End {
    Crashed,
    Stopped,
    Quiet,
    Stuck(String),
}

impl World {
    pub fn new(setup: Setup) -> Self {
        let Setup { stories, fate, seed, unkind, coders, reads } = setup;
        let most = if let Reads::Refused(most) = reads { most } else { usize::MAX };
        let memory = std::path::Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let folder = tempfile::Builder::new().prefix("codebutler-simulation-").tempdir_in(place);
        let folder = folder.expect("a temporary folder");
        let mut files: Vec<(String, String)> = (1..=stories.len())
            .map(|number| (format!("greeting-{number}.txt"), format!("hello-{number}\nsecond line\n")))
            .collect();
        let prompts = crate::config::prompts::paths().filter(|path| path.ends_with(".md"));
        files.extend(prompts.map(|path| (path.to_owned(), format!("You are simulated ({path}).\n"))));
        let files: Vec<(&str, &str)> = files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
        let git = SimulatedGit::new(folder.path().join("repository"), &files);
        Self {
            chat: SimulatedChat::new(fate.clone()),
            model: SimulatedModel::new(fate.clone(), !unkind, most),
            forge: SimulatedForge::new(fate.clone(), git.clone()),
            shell: SimulatedShell::new(),
            people: People::new(fate.clone(), stories, seed, unkind),
            dice: Dice::new(seed.rotate_left(17)),
            others: Dice::new(seed.rotate_left(29)),
            fate,
            git,
            disk: Disk::of(&folder.path().join("store.db")),
            folder,
            unkind,
            coders,
            reads,
            lives: 0,
            robbed: BTreeSet::new(),
        }
    }

    /// Lives until everything is at rest; an error says what never came to rest.
    pub fn run(&mut self) -> Result<(), String> {
        loop {
            self.lives += 1;
            match self.live() {
                End::Quiet => return Ok(()),
                End::Stuck(why) => return Err(why),
                End::Crashed | End::Stopped if self.lives >= MOST_LIVES => {
                    return Err(format!("still not done after {MOST_LIVES} lives"));
                }
                End::Crashed | End::Stopped => {
                    if self.fate.power_failed() && self.disk.fail().expect("the store's log can be cut") {
                        self.fate.note("what was not flushed is gone");
                        self.model.seen().rewind();
                    }
                    let away = if self.unkind { *self.dice.pick(&[500, 2_000, 30_000, 400_000]) } else { 2_000 };
                    self.fate.pass(away);
                }
            }
        }
    }

    fn live(&mut self) -> End {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        let runtime = runtime.expect("a runtime");
        runtime.block_on(self.drive())
    }

    async fn drive(&mut self) -> End {
        let fate = self.fate.clone();
        let crashed = fate.begin_life();
        fate.note("LIFE begins");
        let tasks = Tasks::default();
        let started = {
            let starting = self.start(&tasks);
            tokio::select! {
                biased;
                () = crashed.notified() => None,
                routes = starting => Some(routes),
            }
        };
        let end = match started {
            Some(Ok(routes)) => self.serve(&routes, &crashed, &tasks).await,
            // The store could not be opened or read: the service manager starts the program again.
            Some(Err(_)) => End::Stopped,
            None => End::Crashed,
        };
        fate.end_life();
        end
    }

    /// What the daemon does at its start.
    async fn start(&self, tasks: &Tasks) -> Result<Routes, crate::store::StoreError> {
        let channel = ChannelId::new(CHANNEL);
        let store = self.store()?;
        let clock = self.fate.clone();
        let project = Arc::new(self.project(store.clone(), Clock::of(move || clock.shown())).await?);
        let supervisor = Supervisor::start(Arc::clone(&project), tasks);
        let watching = watch::watch(Arc::clone(&project), supervisor.clone(), tasks.stop_token());
        tasks.spawn(TaskKind::Watch, CHANNEL, watching);
        let chat: Arc<dyn Chat> = Arc::clone(&project.chat);
        let sender = outbox::send(store, chat, Arc::clone(&project.outbox_changed), tasks.end_token());
        tasks.spawn(TaskKind::Outbox, CHANNEL, sender);
        Ok(Routes::new([(channel, "simulated".to_owned(), project, supervisor)]))
    }

    /// The repository at work, over this store and by this clock.
    pub async fn project(&self, store: Store, clock: Clock) -> Result<Project, crate::store::StoreError> {
        let channel_models = ChannelModels::load(&store, &ChannelId::new(CHANNEL)).await?;
        Ok(Project {
            store,
            outbox_changed: Arc::new(Notify::new()),
            chat: Arc::new(self.chat.clone()),
            model: Arc::new(self.model.clone()),
            models: self.models(),
            repository: Arc::new(self.git.reborn(self.probe("git"))),
            shell: Arc::new(self.shell.reborn(self.probe("shell"))),
            forge: Arc::new(self.forge.clone()),
            pulls_asked: Arc::new(Notify::new()),
            settings: self.settings(),
            clock,
            channel_models,
            slots: Slots::default(),
        })
    }

    fn models(&self) -> Models {
        let models = Models::default();
        if let Reads::Listed(tokens) = self.reads {
            let listed = Listed { context: Some(tokens), price: None };
            models.set([PM, CLAUDE].map(|model| (model.to_owned(), listed)).into_iter().collect());
        }
        models
    }

    fn store(&self) -> Result<Store, crate::store::StoreError> {
        let fate = self.fate.clone();
        Store::simulated(&self.disk, move |moment, _, label| {
            let when = match moment {
                Moment::Before => "before",
                Moment::After => "after",
                // No point of its own: a life that ends at a read is the same as one that ended at the write before it.
                Moment::Reading => return if fate.reads_fail() { StoreVerdict::Fail } else { StoreVerdict::Go },
            };
            match fate.turn(&format!("store.{label}.{when}"), true) {
                Turn::Go | Turn::Wait(_) => StoreVerdict::Go,
                Turn::Crash => StoreVerdict::Crash,
                Turn::Fail => StoreVerdict::Fail,
            }
        })
    }

    /// The fate as the fakes of git and the shell ask it.
    fn probe(&self, port: &'static str) -> Probe {
        let fate = self.fate.clone();
        Probe::new(move |label| {
            match fate.turn(label, true) {
                Turn::Crash => return Verdict::Crash,
                Turn::Wait(time) => return Verdict::Wait(time),
                Turn::Fail => return Verdict::Fail,
                Turn::Go => {}
            }
            if fate.impedes_git(label) {
                return Verdict::Fail;
            }
            // Only what goes over the network, and at its start or end, fails by itself.
            let Some((operation, moment)) = label.rsplit_once('.') else { return Verdict::Go };
            let distant =
                ["git.fetch_base", "git.push", "git.remote_head", "git.delete_merged_branch"].contains(&operation);
            if port != "git" || !distant || moment != "start" {
                return Verdict::Go;
            }
            if fate.trouble(operation) == Trouble::None { Verdict::Go } else { Verdict::Fail }
        })
    }

    fn settings(&self) -> ProjectSettings {
        let list = |role: Role| {
            let tool = |name: String| format!(r#"{{"type":"function","function":{{"name":"{name}"}}}}"#);
            let tools: Vec<String> = role.tools().into_iter().map(|name| tool(name.to_string())).collect();
            (role, format!("[{}]", tools.join(",")))
        };
        let lists: Vec<(Role, String)> = Role::ALL.into_iter().map(list).collect();
        let pool = [("kimi", PM), ("claude", CLAUDE)].map(|(name, slug)| (name.to_owned(), slug.to_owned()));
        ProjectSettings {
            home: self.folder.path().join("home"),
            accumulation: Duration::from_secs(3),
            poll: Duration::from_secs(30),
            worker_idle: Duration::from_secs(60),
            stop_grace: Duration::from_secs(10),
            coders_in_all: self.coders,
            coders: self.coders,
            builds: Default::default(),
            bash_timeout: Duration::from_secs(120),
            rules: Rules {
                allowed: Vec::new(),
                approvers: Vec::new(),
                pm_pool: pool.to_vec(),
                pm_model: PM.to_owned(),
                coder_model: CODER.to_owned(),
                pm_turns: 15,
                coder_turns: 40,
                checks: Vec::new(),
                tool_lists: lists.into(),
                slash: false,
                now: Millis::default(),
                unseen: false,
            },
            base: None,
            branch_prefix: "codebutler/".to_owned(),
            author: "CodeButler <codebutler@localhost>".to_owned(),
            init: None,
            pm_fallback: Vec::new(),
            coder_fallback: Vec::new(),
        }
    }

    /// The chat's side of a life: people act, what they do is delivered.
    async fn serve(&mut self, routes: &Routes, crashed: &Notify, tasks: &Tasks) -> End {
        let fate = self.fate.clone();
        let changed = self.chat.changed();
        let mut on_the_way = FuturesUnordered::new();
        let mut taken = Vec::new();
        let (mut activity, mut since) = (fate.activity(), fate.now());
        let end = loop {
            let now = fate.now();
            if fate.is_stormy() && self.unkind && self.dice.chance(3) {
                if self.dice.chance(500) {
                    fate.jump(self.dice.between(-3 * 3_600_000, 3 * 3_600_000));
                } else {
                    fate.note("STOP");
                    let in_time = tokio::select! {
                        biased;
                        () = crashed.notified() => break End::Crashed,
                        in_time = tasks.shut_down(Duration::from_secs(11)) => in_time,
                    };
                    fate.note(if in_time { "stopped in time" } else { "stopped with something left" });
                    break End::Stopped;
                }
            }
            if fate.is_stormy() && self.unkind && self.others.chance(4) {
                self.disturb_remote();
            }
            let outside = self.people.act(&mut self.chat.room());
            for (thread, what) in outside {
                self.do_outside(&thread, what);
            }
            for delivery in self.people.due(now) {
                fate.note(&format!("delivery {} try {}", delivery.number, delivery.attempt));
                let accepted = routes.accept(delivery.incoming.clone()).map({
                    let delivery = delivery.clone();
                    move |result| (delivery, result.is_ok())
                });
                on_the_way.push(accepted.boxed());
                taken.push(delivery);
            }
            if fate.activity() != activity || fate.is_busy() {
                (activity, since) = (fate.activity(), now);
            } else if now - since >= QUIET && self.people.are_done() && on_the_way.is_empty() {
                break End::Quiet;
            }
            if let Some(stuck) = self.stuck() {
                break End::Stuck(stuck);
            }
            let next = self.people.next().unwrap_or(i64::MAX).clamp(now + 1, now + 30_000);
            let pause = Duration::from_millis(u64::try_from(next - now).expect("it is later"));
            tokio::select! {
                biased;
                () = crashed.notified() => break End::Crashed,
                Some((delivery, stored)) = on_the_way.next(), if !on_the_way.is_empty() => {
                    taken.retain(|other| !(other.number == delivery.number && other.attempt == delivery.attempt));
                    if !stored {
                        self.people.again(delivery, fate.now());
                    }
                }
                () = changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        };
        drop(on_the_way);
        for delivery in taken {
            self.people.again(delivery, fate.now());
        }
        end
    }

    fn stuck(&self) -> Option<String> {
        let actor = self.people.actors.iter().find(|actor| actor.repeats > MOST_REPEATS)?;
        Some(format!("{} waits for ever at {:?}", actor.name, actor.steps.get(actor.at)))
    }

    /// Somebody who is in no thread moves the base, or tidies up branches without a pull request.
    fn disturb_remote(&mut self) {
        let heads = self.git.remote_heads();
        let has_pull = |branch: &String| branch == "main" || self.forge.has_open(branch);
        let free: Vec<String> = heads.into_keys().filter(|branch| !has_pull(branch)).collect();
        if free.is_empty() || self.others.chance(500) {
            let file = format!("elsewhere-{}.txt", self.others.roll());
            self.fate.note("outside: the base moves");
            self.git.somebody_pushes("main", &[(&file, "somebody works here, too\n")]);
        } else {
            let branch = self.others.pick(&free);
            self.fate.note(&format!("outside: {branch} is deleted"));
            self.git.somebody_deletes(branch);
        }
    }

    fn do_outside(&mut self, thread: &ThreadKey, what: Outside) {
        let Some(workspace) = self.git.workspace(thread) else { return };
        match what {
            Outside::DeleteWorktree => {
                let _ = std::fs::remove_dir_all(crate::git::Git::worktree_path(&self.git, &workspace));
                self.robbed.insert(workspace.slug);
            }
            Outside::PushToBranch => {
                if self.git.remote_heads().contains_key(&workspace.branch) {
                    self.git.somebody_pushes(&workspace.branch, &[("by-hand.txt", "somebody was here\n")]);
                }
            }
            Outside::ClosePull => self.forge.close_by_hand(&workspace.branch),
            Outside::MergePull => self.forge.merge_by_hand(&workspace.branch),
        }
    }

    /// The folder that worktrees lie in.
    pub fn branches(&self) -> PathBuf {
        self.folder.path().join("repository/.codebutler/branches")
    }

    /// What the store holds at the end.
    pub fn remains(&self) -> Remains {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        runtime.block_on(async {
            let store = Store::simulated(&self.disk, |_, _, _| StoreVerdict::Go).expect("the store opens");
            let mut logs = Vec::new();
            let mut waiting = 0;
            for key in self.people.actors.iter().filter_map(|actor| actor.key.clone()) {
                waiting += store.waiting(&key).await.expect("the inbox is read").len();
                let log = store.load(&key).await.expect("the log is read");
                logs.push((key, log));
            }
            let due = store.due_posts().await.expect("the outbox is read");
            let unsent = due.into_iter().map(|row| row.key).collect();
            let at_work = store.threads_at_work().await.expect("threads are listed");
            Remains { logs, waiting, unsent, at_work }
        })
    }
}

/// What is in the store when a world is at rest.
pub struct Remains {
    pub logs: Vec<(ThreadKey, Vec<(Millis, Event)>)>,
    /// Inbox rows that nobody dealt with.
    pub waiting: usize,
    /// Posts that were not sent.
    pub unsent: Vec<String>,
    /// Threads that still have something to do.
    pub at_work: Vec<ThreadKey>,
}
