//! A company for one story: a repository with a remote, a Slack, a model server, and the daemon as a child process.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use codebutler::scripted::{ScriptedLog, ScriptedReply, ScriptedRequest, ScriptedServer};
use serde_json::{Value, json};

use super::script::{CLAUDE, CODER, PM, Trouble, standard};
use super::support::fake_github::{FakeGitHub, REMOTE};
use super::support::fake_slack::{ANA, APP_TOKEN, BOT_TOKEN, FakeSlack, Message, SHOP};

/// How long the daemon may take for anything before a story is given up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often is looked for what nobody announces.
const LOOK: Duration = Duration::from_millis(5);

/// The tools of the PM that are built so far.
pub const PM_TOOLS: &[&str] =
    &["Read", "Grep", "Glob", "GitLog", "GitDiff", "GHStatus", "ProposePlan", "AskUser", "SlackNotify"];

/// The Coder's.
pub const CODER_TOOLS: &[&str] = &[
    "Read",
    "Grep",
    "Glob",
    "Write",
    "Edit",
    "Bash",
    "TodoWrite",
    "GitLog",
    "GitDiff",
    "GitCommit",
    "GitPush",
    "GHCreatePR",
    "GHStatus",
    "AskPM",
    "SlackNotify",
];

/// Everything around the daemon.
pub struct World {
    pub slack: FakeSlack,
    pub model: ScriptedLog,
    pub trouble: Trouble,
    pub folder: tempfile::TempDir,
    pub global: Value,
    pub repo: Value,
    /// Further variables of the daemon's environment.
    pub env: Vec<(String, String)>,
    /// Further arguments of `run`.
    pub arguments: Vec<String>,
}

impl World {
    /// A repository with a local bare remote, and the standard script.
    pub async fn new() -> Self {
        let trouble = Trouble::default();
        let mut world = Self::with_script(standard(trouble.clone())).await;
        world.trouble = trouble;
        world
    }

    /// The same with another script.
    pub async fn with_script(script: impl FnMut(&ScriptedRequest) -> ScriptedReply + Send + 'static) -> Self {
        Self::with_server(script, |server| server).await
    }

    /// The same with a model server that is told more, such as what its models cost.
    pub async fn with_server(
        script: impl FnMut(&ScriptedRequest) -> ScriptedReply + Send + 'static,
        tell: impl FnOnce(ScriptedServer) -> ScriptedServer,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let slack = FakeSlack::start().await;
        let server = ScriptedServer::start(script)
            .expect("a free port")
            .expect_key("sk-test")
            .expect_tools(PM, PM_TOOLS)
            .expect_tools(CLAUDE, PM_TOOLS)
            .expect_tools(CLAUDE, CODER_TOOLS)
            .expect_tools(CODER, CODER_TOOLS);
        let server = tell(server);
        let (url, model) = (server.url(), server.log());
        #[expect(clippy::disallowed_methods, reason = "a test's server; it ends with the test's runtime")]
        tokio::spawn(server.serve(std::future::pending()));
        let world = Self {
            global: json!({
                "slack": { "botToken": BOT_TOKEN, "appToken": APP_TOKEN, "apiUrl": slack.api_url() },
                "openrouter": { "apiKey": "sk-test", "baseUrl": url },
                "timing": { "accumulationMs": 20, "retryBaseMs": 1 },
                "sandbox": { "minimum": "none", "allowRoot": true },
            }),
            repo: json!({
                "slack": { "channelID": SHOP, "channelName": "shop" },
                "models": {
                    "pm": { "default": PM, "pool": { "kimi": PM, "claude": CLAUDE }, "fallback": [] },
                    "coder": { "model": CODER },
                },
            }),
            env: Vec::new(),
            arguments: Vec::new(),
            slack,
            model,
            trouble: Trouble::default(),
            folder,
        };
        world.make_repository();
        world
    }

    /// The same with the repository on a GitHub, for `gh` to talk to.
    pub async fn with_github(mut self) -> (Self, FakeGitHub) {
        let github = FakeGitHub::start(&self.remote()).await;
        for (name, value) in github.env() {
            if name == "HOME" {
                // Git's way to the fake is in a home; the daemon has its own.
                let settings = Path::new(&value).join(".gitconfig");
                std::fs::copy(settings, self.home().join(".gitconfig")).expect("copied");
            } else {
                self.env.push((name, value));
            }
        }
        self.git(&["remote", "set-url", "origin", REMOTE]);
        (self, github)
    }

    fn make_repository(&self) {
        std::fs::create_dir_all(self.home()).expect("the home");
        std::fs::create_dir_all(self.checkout()).expect("the checkout");
        std::fs::write(self.checkout().join("greeting.txt"), "hello\nworld\n").expect("written");
        std::fs::write(self.checkout().join("other.txt"), "other\n").expect("written");
        self.git(&["init", "-q", "--bare", "-b", "main", "../remote.git"]);
        self.git(&["init", "-q", "-b", "main"]);
        self.git(&["add", "."]);
        self.git(&["commit", "-qm", "Begin"]);
        self.git(&["remote", "add", "origin", &self.remote().to_string_lossy()]);
        self.git(&["push", "-q", "origin", "main"]);
    }

    /// `HOME` of the daemon.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The owner's checkout.
    pub fn checkout(&self) -> PathBuf {
        self.folder.path().join("shop")
    }

    /// The bare remote.
    pub fn remote(&self) -> PathBuf {
        self.folder.path().join("remote.git")
    }

    /// Runs git in the checkout; gives what it printed.
    pub fn git(&self, arguments: &[&str]) -> String {
        self.git_in(&self.checkout(), arguments)
    }

    /// Runs git in a folder; gives what it printed.
    pub fn git_in(&self, folder: &Path, arguments: &[&str]) -> String {
        #[expect(clippy::disallowed_methods, reason = "a test looks at the repository from outside the product")]
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com"])
            .args(arguments)
            .current_dir(folder)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("HOME", self.home())
            .output()
            .expect("git runs");
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// The content of a file at the head of a branch of the remote; empty when it is not there.
    pub fn at_remote(&self, branch: &str, file: &str) -> String {
        #[expect(clippy::disallowed_methods, reason = "a test looks at the repository from outside the product")]
        let output = Command::new("git")
            .args(["show", &format!("{branch}:{file}")])
            .current_dir(self.remote())
            .output()
            .expect("git runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The branches of the remote.
    pub fn remote_branches(&self) -> Vec<String> {
        let listed = self.git_in(&self.remote(), &["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
        listed.lines().map(str::to_owned).collect()
    }

    /// Writes both configuration files.
    pub fn write_config(&self) {
        let home = self.home().join(".codebutler");
        std::fs::create_dir_all(&home).expect("made");
        let global = home.join("config.json");
        std::fs::write(&global, self.global.to_string()).expect("written");
        std::fs::set_permissions(&global, std::fs::Permissions::from_mode(0o600)).expect("private");
        let own = self.checkout().join(".codebutler");
        std::fs::create_dir_all(&own).expect("made");
        std::fs::write(own.join("config.json"), self.repo.to_string()).expect("written");
    }

    /// Starts the daemon without waiting for anything.
    pub fn spawn(&self) -> Daemon {
        self.write_config();
        #[expect(clippy::disallowed_methods, reason = "the program under test")]
        let mut command = Command::new(program());
        command
            .args(["run", "--repo"])
            .arg(self.checkout())
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("TMPDIR", self.folder.path())
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Daemon::start(command)
    }

    /// Starts the daemon and waits until it is ready.
    pub fn start(&self) -> Daemon {
        let daemon = self.spawn();
        daemon.wait_for(&format!("ready channel={SHOP} repo={}", self.checkout().display()));
        daemon
    }

    /// Waits until a message of the bot in this thread is as wanted.
    pub async fn reply(&self, thread: &str, what: &str, wanted: impl Fn(&Message) -> bool) -> Message {
        let find = |state: &super::support::fake_slack::State| {
            state.thread(thread).into_iter().find(|message| message.bot.is_some() && wanted(message))
        };
        self.slack.wait_for(what, find).await
    }

    /// Waits until the bot says something with this text.
    pub async fn says(&self, thread: &str, text: &str) -> Message {
        self.reply(thread, text, |message| message.text.contains(text) || blocks_text(message).contains(text)).await
    }

    /// Waits for a card with this button.
    pub async fn card(&self, thread: &str, action: &str) -> (Message, String) {
        let message = self.reply(thread, action, |message| button(message, action).is_some()).await;
        let value = button(&message, action).expect("just seen");
        (message, value)
    }

    /// Presses the button of this action as Ana, wherever it is in the thread.
    pub async fn press(&self, thread: &str, action: &str) {
        let (message, value) = self.card(thread, action).await;
        self.slack.press(ANA, action, &value, &message.ts);
    }

    /// Waits for 👀 and ✅ on a person's message; after a trouble they may come in either order.
    pub async fn is_done(&self, ts: &str) {
        self.slack
            .wait_for("👀 and ✅", |state| {
                let message = state.messages.iter().find(|message| message.ts == ts)?;
                let has = |wanted: &str| message.reactions.iter().any(|name| name == wanted);
                (has("eyes") && has("white_check_mark")).then_some(())
            })
            .await;
    }

    /// Waits until something that nobody announces is so.
    pub async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        assert!(came(PATIENCE, LOOK, is_so).await, "waited in vain for {what}");
    }

    /// Waits until a person was told alone that something was refused.
    pub async fn refused(&self, user: &str, reason: &str) {
        self.slack
            .wait_for(reason, |state| {
                state.ephemerals.iter().any(|only| only.user == user && only.text.contains(reason)).then_some(())
            })
            .await;
    }

    /// What the bot has posted in a thread.
    pub fn thread_messages(&self, thread: &str) -> Vec<Message> {
        self.slack.thread(thread).into_iter().filter(|message| message.bot.is_some()).collect()
    }

    /// The texts of what the bot has posted in a thread.
    pub fn thread_texts(&self, thread: &str) -> Vec<String> {
        self.thread_messages(thread).into_iter().map(|message| message.text).collect()
    }

    /// A person's message must have been answered once: one post quotes it, one 👀, one ✅.
    pub fn is_answered_once(&self, thread: &str, ts: &str, text: &str) {
        let texts = self.thread_texts(thread);
        assert_eq!(texts.iter().filter(|answer| answer.contains(text)).count(), 1, "{text:?} in {texts:#?}");
        let mut reactions = self.slack.look(|state| {
            let message = state.messages.iter().find(|message| message.ts == ts);
            message.map(|message| message.reactions.clone()).unwrap_or_default()
        });
        reactions.sort();
        assert_eq!(reactions, ["eyes", "white_check_mark"], "{text:?}");
    }

    /// The model server must have seen only good requests.
    pub fn no_violations(&self) {
        let violations = self.model.violations();
        assert!(violations.is_empty(), "{}", violations.join("\n"));
    }
}

/// Looks again and again for what nobody announces; whether it came in time.
pub async fn came(patience: Duration, every: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let looking = async {
        let mut looks = tokio::time::interval(every);
        while !is_so() {
            looks.tick().await;
        }
    };
    tokio::time::timeout(patience, looking).await.is_ok()
}

/// The program: the one that was built with this, or, to compare one with another, that of `CODEBUTLER_BINARY`.
fn program() -> PathBuf {
    std::env::var_os("CODEBUTLER_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_codebutler").into(), PathBuf::from)
}

/// The text of a message's blocks.
pub fn blocks_text(message: &Message) -> String {
    serde_json::to_string(&message.blocks).unwrap_or_default()
}

/// The value of a message's button with this action.
pub fn button(message: &Message, action: &str) -> Option<String> {
    let mut elements = message.blocks.iter().filter_map(|block| block["elements"].as_array()).flatten();
    let button = elements.find(|element| element["action_id"] == action)?;
    Some(button["value"].as_str().unwrap_or_default().to_owned())
}

/// The daemon's process.
pub struct Daemon {
    child: Child,
    output: Arc<(Mutex<Output>, Condvar)>,
}

#[derive(Default)]
struct Output {
    lines: Vec<String>,
    ended: bool,
}

impl Daemon {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("the program starts");
        let stderr = child.stderr.take().expect("piped");
        let output = Arc::new((Mutex::new(Output::default()), Condvar::new()));
        let shared = Arc::clone(&output);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                shared.0.lock().unwrap_or_else(PoisonError::into_inner).lines.push(line);
                shared.1.notify_all();
            }
            shared.0.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
            shared.1.notify_all();
        });
        Self { child, output }
    }

    /// Waits for a line of its log.
    pub fn wait_for(&self, line: &str) {
        self.wait_for_line(line, |printed| printed == line);
    }

    /// Waits for a line of its log with this text in it.
    pub fn mentions(&self, text: &str) {
        self.wait_for_line(text, |printed| printed.contains(text));
    }

    fn wait_for_line(&self, line: &str, is_it: impl Fn(&str) -> bool) {
        let started = Instant::now();
        let mut output = self.output.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !output.lines.iter().any(|printed| is_it(printed)) {
            assert!(!output.ended && started.elapsed() < PATIENCE, "no line {line:?} in:\n{}", output.lines.join("\n"));
            output = self.output.1.wait_timeout(output, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until it has ended by itself; gives its status and its log.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("waited for");
        let mut output = self.output.0.lock().unwrap_or_else(PoisonError::into_inner);
        while !output.ended {
            output = self.output.1.wait(output).unwrap_or_else(PoisonError::into_inner);
        }
        let text = output.lines.join("\n");
        drop(output);
        (status, text)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM, without waiting for what comes of it.
    pub fn terminate(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
    }

    /// SIGTERM; gives its status and its log.
    pub fn stop(self) -> (ExitStatus, String) {
        self.terminate();
        self.ended()
    }

    /// SIGKILL, as a power failure would.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let output = self.output.0.lock().unwrap_or_else(PoisonError::into_inner);
            #[expect(clippy::print_stdout, reason = "a failed test shows what the program said")]
            {
                println!("the daemon's log:\n{}", output.lines.join("\n"));
            }
        }
    }
}
