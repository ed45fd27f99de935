//! `soak MINUTES`: people ask, order, approve, merge and stop for as long as one wants, while the daemon is ended every 20 s,
//! by kill -9 and by SIGTERM in turn; the last quarter is one life. What it holds is looked at all the time, and in the
//! end everything must have been answered once and nothing be left behind.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::json;

use crate::crowd::{Crowd, Said};
use crate::process::Held;
use crate::script::{CODER, last_calls, spoken_to};
use crate::support::fake_slack::{ANA, Message};
use crate::world::{Daemon, blocks_text, button};

const CHANNELS: usize = 3;
/// Threads that are not over yet, at most.
const AT_ONCE: usize = 12;
/// How long each life of the daemon is, and when in it the look is taken.
const LIFE: Duration = Duration::from_secs(20);
const LOOK_AT: Duration = Duration::from_secs(15);
const STEP: Duration = Duration::from_millis(100);
/// How long the last threads may take when nobody begins new ones.
const END: Duration = Duration::from_secs(300);
/// How long it may take until threads that are over are forgotten and their processes and files gone.
const CALM: Duration = Duration::from_secs(20);

/// Runs for so many minutes, prints a line a minute and a verdict.
pub async fn soak(minutes: u64) {
    let mut crowd = Crowd::new(CHANNELS, script).await;
    let temporary = crowd.world.folder.path().join("tmp");
    std::fs::create_dir(&temporary).expect("made");
    crowd.world.env.push(("TMPDIR".to_owned(), temporary.display().to_string()));
    crowd.world.global["timing"]["workerIdleMs"] = json!(5_000);
    crowd.world.global["limits"] = json!({ "maxConcurrentThreads": 4 });
    let (begun, length) = (Instant::now(), Duration::from_secs(60 * minutes));
    let mut soak =
        Soak { daemon: Some(crowd.start().await), crowd, threads: Vec::new(), restarts: 0, looks: Vec::new() };
    let (mut born, mut looked, mut printed) = (Instant::now(), false, 0);
    println!("minute | restarts | threads begun, over | {}", Held::HEAD);
    while begun.elapsed() < length {
        soak.begin_another();
        soak.act();
        if !looked && born.elapsed() >= LOOK_AT {
            looked = true;
            soak.look(begun.elapsed());
        }
        let last_quarter = begun.elapsed() > length * 3 / 4;
        if born.elapsed() >= LIFE {
            if !last_quarter {
                soak.restart().await;
            }
            (born, looked) = (Instant::now(), false);
        }
        if begun.elapsed().as_secs() / 60 > printed {
            printed += 1;
            soak.print(printed);
        }
        tokio::time::sleep(STEP).await;
    }
    let ended = Instant::now();
    while soak.threads.iter().any(|thread| !thread.over) && ended.elapsed() < END {
        soak.act();
        tokio::time::sleep(STEP).await;
    }
    tokio::time::sleep(CALM).await;
    soak.look(begun.elapsed());
    soak.print(printed + 1);
    soak.judge();
}

struct Soak {
    crowd: Crowd,
    daemon: Option<Daemon>,
    threads: Vec<Thread>,
    restarts: usize,
    looks: Vec<(Duration, Held)>,
}

/// What a thread is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Three questions, one after the other.
    Talk,
    /// A plan, an approval, a commit, a merge.
    Story,
    /// As a story, but stopped while a command runs, and closed.
    Stop,
}

struct Thread {
    number: usize,
    kind: Kind,
    channel: String,
    root: String,
    /// What people said, in order.
    said: Vec<Said>,
    /// In which life of the daemon a button was pressed; pressed again in the next if that had no effect.
    pressed: Option<usize>,
    over: bool,
}

impl Soak {
    fn begin_another(&mut self) {
        if self.threads.iter().filter(|thread| !thread.over).count() >= AT_ONCE {
            return;
        }
        let number = self.threads.len();
        let kind = [Kind::Talk, Kind::Story, Kind::Talk, Kind::Story, Kind::Stop][number % 5];
        let channel = self.crowd.channels[number % CHANNELS].clone();
        let text = match kind {
            Kind::Talk => format!("question {number}-1?"),
            Kind::Story => format!("story {number}"),
            Kind::Stop => format!("slow {number}"),
        };
        let first = self.crowd.say(&channel, &text, None);
        let root = first.ts.clone();
        self.threads.push(Thread { number, kind, channel, root, said: vec![first], pressed: None, over: false });
    }

    fn act(&mut self) {
        let messages = self.threads_messages();
        for thread in self.threads.iter_mut().filter(|thread| !thread.over) {
            let own = messages.get(&thread.root).map_or(&[][..], Vec::as_slice);
            thread.act(&self.crowd, own, self.restarts);
        }
    }

    /// The messages of the threads that are not over, by thread.
    fn threads_messages(&self) -> BTreeMap<String, Vec<Message>> {
        let mut found: BTreeMap<String, Vec<Message>> =
            self.threads.iter().filter(|thread| !thread.over).map(|thread| (thread.root.clone(), Vec::new())).collect();
        self.crowd.world.slack.look(|state| {
            for message in &state.messages {
                let root = message.thread_ts.as_ref().unwrap_or(&message.ts);
                if let Some(own) = found.get_mut(root) {
                    own.push(message.clone());
                }
            }
        });
        found
    }

    /// Ends the daemon, in one way and in the other by turns, and starts it again.
    async fn restart(&mut self) {
        self.restarts += 1;
        let daemon = self.daemon.take().expect("it runs");
        if self.restarts.is_multiple_of(2) {
            let begun = Instant::now();
            let (status, log) = daemon.stop();
            assert!(status.success() && begun.elapsed() < Duration::from_secs(15), "{status} {log}");
        } else {
            daemon.kill();
        }
        self.daemon = Some(self.crowd.start().await);
        self.crowd.world.slack.redeliver_unacked();
        // So that what is fetched from the history stays about as much each time.
        self.crowd.world.slack.pass(1_800);
    }

    fn look(&mut self, at: Duration) {
        let pid = self.daemon.as_ref().expect("it runs").pid();
        let mut held = Held::of(pid);
        let world = &self.crowd.world;
        held.temporary = entries(&world.folder.path().join("tmp"));
        for (checkout, remote) in self.crowd.checkouts.iter().zip(&self.crowd.remotes) {
            let listed = world.git_in(checkout, &["worktree", "list", "--porcelain"]);
            held.worktrees += listed.lines().filter(|line| line.starts_with("worktree ")).count() - 1;
            let branches = |folder: &Path| {
                let listed = world.git_in(folder, &["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
                listed.lines().filter(|name| *name != "main").count()
            };
            held.branches += branches(checkout) + branches(remote);
            for ending in ["", "-wal"] {
                let file = checkout.join(format!(".codebutler/store.db{ending}"));
                held.store += std::fs::metadata(file).map_or(0, |file| file.len());
            }
        }
        self.looks.push((at, held));
    }

    fn print(&self, minute: u64) {
        let over = self.threads.iter().filter(|thread| thread.over).count();
        if let Some((_, held)) = self.looks.last() {
            println!("{minute} | {} | {}, {over} | {held}", self.restarts, self.threads.len());
        }
    }

    /// Whether the daemon's open files could be counted, which only root may.
    fn files_are_known(&self) -> bool {
        self.looks.iter().all(|(_, held)| held.files.is_some())
    }

    /// What became of it all.
    fn judge(&self) {
        let mut faults = Vec::new();
        self.judge_threads(&mut faults);
        self.judge_repositories(&mut faults);
        self.judge_growth(&mut faults);
        faults.extend(self.crowd.world.model.violations());
        let count = |kind| self.threads.iter().filter(|thread| thread.kind == kind).count();
        println!(
            "{} restarts, {} talks, {} stories, {} stops, {} messages of people",
            self.restarts,
            count(Kind::Talk),
            count(Kind::Story),
            count(Kind::Stop),
            self.threads.iter().map(|thread| thread.said.len()).sum::<usize>(),
        );
        match faults.as_slice() {
            [] if self.files_are_known() => {
                println!("verdict: nothing grew, nothing was left, everything was answered once")
            }
            [] => println!(
                "verdict: nothing that can be seen grew, nothing was left, everything was answered once; whether open \
                 files grew is not known: soak as root to see them"
            ),
            faults => println!("verdict: {} faults\n{}", faults.len(), faults.join("\n")),
        }
    }

    fn judge_threads(&self, faults: &mut Vec<String>) {
        for thread in &self.threads {
            let messages = self.crowd.world.slack.thread(&thread.root);
            if let Err(fault) = thread.judge(&messages) {
                let shown: Vec<String> = messages.iter().map(|message| message.text.clone()).collect();
                faults.push(format!("thread {} ({:?}): {fault}: {shown:?}", thread.number, thread.kind));
            }
        }
    }

    /// Each story is one commit, and nothing is left of any.
    fn judge_repositories(&self, faults: &mut Vec<String>) {
        for (channel, remote) in self.crowd.channels.iter().zip(&self.crowd.remotes) {
            let is_story = |thread: &&Thread| thread.kind == Kind::Story && thread.channel == *channel && thread.over;
            let stories = self.threads.iter().filter(is_story).count();
            let commits = self.crowd.world.git_in(remote, &["rev-list", "--count", "main"]);
            if commits != (stories + 1).to_string() {
                faults.push(format!("{channel}: {commits} commits of {stories} stories"));
            }
        }
        let left = &self.looks.last().expect("there was a look").1;
        for (what, count) in [("worktrees", left.worktrees), ("branches", left.branches), ("children", left.children)] {
            if count > 0 {
                faults.push(format!("{count} {what} are left"));
            }
        }
        if left.temporary > 0 {
            faults.push(format!("{} temporary files are left", left.temporary));
        }
    }

    /// The lives in the middle beside the last quarter, which is one life.
    fn judge_growth(&self, faults: &mut Vec<String>) {
        let end = self.looks.last().expect("there was a look").0;
        let mean = |from: u32, to: u32, value: &dyn Fn(&Held) -> f64| {
            let within = |at: &Duration| *at >= end * from / 20 && *at < end * to / 20;
            let values: Vec<f64> =
                self.looks.iter().filter(|(at, _)| within(at)).map(|(_, held)| value(held)).collect();
            values.iter().sum::<f64>() / values.len().max(1) as f64
        };
        let mut compare = |what: &str, more: f64, value: &dyn Fn(&Held) -> f64| {
            for (name, before, after) in [("lives", (2, 7), (10, 15)), ("the last life", (15, 17), (18, 20))] {
                let (before, after) = (mean(before.0, before.1, value), mean(after.0, after.1, value));
                println!("{what} over {name}: {before:.1} → {after:.1}");
                if after > before * 1.15 + more {
                    faults.push(format!("{what} grew over {name}: {before:.1} → {after:.1}"));
                }
            }
        };
        compare("MiB resident", 2.0, &|held| held.resident);
        if self.files_are_known() {
            compare("open files", 6.0, &|held| held.files.unwrap_or_default() as f64);
        }
        compare("threads", 3.0, &|held| held.threads as f64);
        compare("child processes", 3.0, &|held| held.children as f64);
        compare("temporary files", 2.0, &|held| held.temporary as f64);
        compare("worktrees", 4.0, &|held| held.worktrees as f64);
    }
}

impl Thread {
    fn say(&mut self, crowd: &Crowd, text: &str) {
        let said = crowd.say(&self.channel, text, Some(&self.root));
        self.said.push(said);
    }

    fn press(&mut self, crowd: &Crowd, messages: &[Message], action: &str, life: usize) {
        let card = messages.iter().rev().find_map(|message| Some((message, button(message, action)?)));
        if let Some((message, value)) = card.filter(|_| self.pressed != Some(life)) {
            self.pressed = Some(life);
            crowd.world.slack.press(ANA, action, &value, &message.ts);
        }
    }

    /// One look at the thread, and what the people in it do about it.
    fn act(&mut self, crowd: &Crowd, messages: &[Message], life: usize) {
        let bots = || messages.iter().filter(|message| message.bot.is_some());
        let says = |text: &str| bots().any(|message| message.text.contains(text));
        let shows = |action| bots().any(|message| button(message, action).is_some());
        let all_done = messages.iter().filter(|message| message.bot.is_none()).all(is_done);
        let asked = self.said.len();
        match self.kind {
            Kind::Talk if all_done && asked == 3 => self.over = true,
            Kind::Talk if all_done => self.say(crowd, &format!("question {}-{}?", self.number, asked + 1)),
            Kind::Story | Kind::Stop if shows("plan_approve") => self.press(crowd, messages, "plan_approve", life),
            Kind::Story if says("Merged as") => self.over = all_done,
            Kind::Story if shows("pr_merge") && asked == 1 => self.say(crowd, "merge"),
            Kind::Stop if says("Closed without merging") => self.over = all_done,
            Kind::Stop if asked == 2 && says("Stopped by") => self.say(crowd, "!close"),
            // The command is under way, as the progress message says.
            Kind::Stop if asked == 1 && bots().any(|message| shown(message).contains("sleep")) => {
                self.say(crowd, "!stop");
            }
            Kind::Talk | Kind::Story | Kind::Stop => {}
        }
    }

    /// Whether everything was said and done once.
    fn judge(&self, messages: &[Message]) -> Result<(), String> {
        if !self.over {
            return Err("it is not over".to_owned());
        }
        let bots: Vec<&Message> = messages.iter().filter(|message| message.bot.is_some()).collect();
        let mut keys: Vec<String> =
            bots.iter().map(|message| message.metadata["event_payload"]["key"].to_string()).collect();
        keys.sort();
        let posted = keys.len();
        keys.dedup();
        if keys.len() != posted {
            return Err("a post is there twice".to_owned());
        }
        for message in messages.iter().filter(|message| message.bot.is_none()) {
            let mut reactions = message.reactions.clone();
            reactions.sort();
            if reactions != ["eyes", "white_check_mark"] {
                return Err(format!("{} has {reactions:?}", message.text));
            }
        }
        let wanted: Vec<String> = match self.kind {
            Kind::Talk => (1..=3).map(|turn| format!("Answer {}-{turn}.", self.number)).collect(),
            Kind::Story => vec!["*Plan: ".to_owned(), "Merged as".to_owned()],
            Kind::Stop => vec!["*Plan: ".to_owned(), "Stopped by".to_owned(), "Closed without merging".to_owned()],
        };
        for text in wanted {
            let count = bots.iter().filter(|message| message.text.contains(&text)).count();
            if count != 1 {
                return Err(format!("“{text}” is there {count} times"));
            }
        }
        Ok(())
    }
}

fn shown(message: &Message) -> String {
    format!("{} {}", message.text, blocks_text(message))
}

fn is_done(message: &Message) -> bool {
    message.reactions.iter().any(|name| name == "white_check_mark")
}

/// Files of a temporary folder, but for the lock that says which daemon serves the Slack app.
fn entries(folder: &Path) -> usize {
    let is_lock = |entry: &std::fs::DirEntry| entry.path().extension().is_some_and(|ending| ending == "lock");
    std::fs::read_dir(folder).map_or(0, |entries| entries.flatten().filter(|entry| !is_lock(entry)).count())
}

fn script(request: &ScriptedRequest) -> ScriptedReply {
    if request.model == CODER { coder(request) } else { pm(request) }
}

fn pm(request: &ScriptedRequest) -> ScriptedReply {
    let asked = request.last_user_text();
    let words = || asked.split_whitespace().map(|word| word.trim_end_matches('?'));
    let after = |name: &str| words().skip_while(|word| *word != name).nth(1);
    if !spoken_to(request) {
        return ScriptedReply::text("");
    }
    if let Some(number) = after("question") {
        return ScriptedReply::text(format!("Answer {number}."));
    }
    let Some((kind, number)) = ["story", "slow"].into_iter().find_map(|kind| Some((kind, after(kind)?))) else {
        return ScriptedReply::text("Noted.");
    };
    ScriptedReply::text("").call(
        "ProposePlan",
        &json!({
            "title": format!("Do {kind} {number}"), "workflow": "bugfix", "summary": "A file is missing.",
            "steps": [{ "text": format!("Make the file <{kind}-{number}>") }],
            "files": [format!("notes/{kind}-{number}")], "acceptance": ["It is there"],
        }),
    )
}

/// Looks before it believes: a result may say that it was interrupted.
fn coder(request: &ScriptedRequest) -> ScriptedReply {
    let system = request.messages.first().map(|message| message.text()).unwrap_or_default();
    let text = format!("{system}\n{}", request.user_text());
    let name = text.rfind("Make the file <").and_then(|at| text[at..].split(['<', '>']).nth(1)).unwrap_or("nothing");
    let again = ScriptedReply::text("").call(
        "Bash",
        &match name.starts_with("slow") {
            true => json!({ "command": "sleep 120" }),
            false => json!({ "command": format!("mkdir -p notes && echo {name} >notes/{name} && cat notes/{name}") }),
        },
    );
    match last_calls(request).as_slice() {
        ["Bash"] if request.last_result("Bash").is_some_and(|result| result.contains("Interrupted")) => again,
        ["Bash"] if name.starts_with("slow") => ScriptedReply::text("It was not stopped."),
        ["Bash"] => ScriptedReply::text("").call("GitCommit", &json!({ "message": format!("Do {name}") })),
        ["GitCommit"] => ScriptedReply::text("").call("GitPush", &json!({})),
        ["GitPush"] => {
            ScriptedReply::text("").call("GHCreatePR", &json!({ "title": format!("Do {name}"), "body": "As asked." }))
        }
        ["GHCreatePR"] => ScriptedReply::text("Done."),
        _ => again,
    }
}
