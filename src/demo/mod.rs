//! The demo: the whole product on a fresh machine. A sample repository, the real daemon with the local page, and a
//! scripted model behind the real model adapter, unless a real one is named. With `--auto` the person is played too.

mod player;
mod sample;
mod script;

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::agent::Role;
use crate::config::settings::SandboxLevel;
use crate::daemon::{self, Failure, LocalSetup};
use crate::runtime::Tasks;
use crate::runtime::tasks::TaskKind;
use crate::sandbox;
use crate::scripted::ScriptedServer;

/// `codebutler demo`.
#[derive(Clone, Debug)]
pub struct DemoOptions {
    /// Plays the user too, ends after the merge.
    pub auto: bool,
    /// Where the page listens; `None`: a free loopback port.
    pub listen: Option<SocketAddr>,
    /// Keeps the sample repository.
    pub keep: bool,
    /// Who answers.
    pub model: DemoModel,
    /// The sandbox level that a person chose.
    pub sandbox: Option<SandboxLevel>,
}

/// Who answers in the demo.
#[derive(Clone, Debug)]
pub enum DemoModel {
    /// The script.
    Scripted,
    /// OpenRouter.
    OpenRouter {
        /// Its key.
        api_key: SecretString,
        /// The model of every role; `None`: each role's default.
        model: Option<String>,
    },
    /// Another OpenAI-compatible server, without a key.
    Server {
        /// Its address, without a slash at its end.
        base_url: String,
        /// The model of every role.
        model: String,
    },
}

/// What the demo tells the one who watches the terminal.
pub enum DemoEvent<'a> {
    /// The page is up.
    Page {
        /// Its address.
        url: &'a str,
        /// What the page says about model and sandbox.
        notice: &'a str,
        /// The sample repository.
        repository: &'a Path,
    },
    /// Something was said; only with `--auto`.
    Said(&'a player::Said),
}

pub use player::{Outcome, Pressable, Said, ShownFile};

/// Runs the demo until the pull request is merged (`--auto`) or `shutdown`. Gives the played outcome.
pub async fn run(
    options: DemoOptions,
    tell: impl Fn(DemoEvent<'_>) + Send + Sync,
    shutdown: impl Future<Output = ()>,
) -> Result<Option<Outcome>, Vec<Failure>> {
    let started = std::time::Instant::now();
    let level = sandbox::Level::available();
    let wanted = options.sandbox.map_or(sandbox::Level::Full, wanted_level);
    let held = options.sandbox.is_none() && matches!(options.model, DemoModel::Scripted) || level >= wanted;
    if !held {
        return Err(vec![Failure {
            what: format!("commands are to run at sandbox level {}, and the level here is {level}", wanted.name()),
            hint: format!("add --sandbox {} if you accept that for the demo's own sample repository", level.name()),
        }]);
    }
    let folder = Folder::create(options.keep).map_err(cannot)?;
    let tasks = Tasks::default();
    let repository = prepare(&folder.path, &options.model, &tasks).map_err(cannot)?;
    let notice = notice(&options.model, level);
    let setup = LocalSetup {
        home: folder.path.join("home"),
        repository: repository.clone(),
        listen: options.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0))),
        notice: Some(notice.clone()),
    };
    let (address, told) = oneshot::channel();
    let on_ready = |_: &daemon::Served, url: &str| {
        tell(DemoEvent::Page { url, notice: &notice, repository: &repository });
        let _ = address.send(url.to_owned());
    };
    let (finished, done) = oneshot::channel();
    let play = async {
        let Ok(url) = told.await else { return None };
        let outcome = if options.auto {
            player::play(&url, &repository, started, &notice, |said| tell(DemoEvent::Said(said))).await
        } else {
            match player::report_bug(&url).await {
                Ok(()) => std::future::pending().await,
                Err(error) => Err(error),
            }
        };
        let _ = finished.send(());
        Some(outcome)
    };
    let stop = async {
        tokio::select! {
            _ = done => {}
            () = shutdown => {}
        }
    };
    let serve = daemon::serve_local(setup, tasks, |_| {}, on_ready, stop);
    tokio::pin!(serve);
    tokio::pin!(play);
    // The player never outlives the daemon; it may end before it.
    let (served, played) = tokio::select! {
        served = &mut serve => (served, None),
        played = &mut play => (serve.await, played),
    };
    served?;
    match played {
        None => Ok(None),
        Some(Ok(outcome)) => Ok(Some(outcome)),
        Some(Err(error)) => Err(cannot(error)),
    }
}

fn wanted_level(level: SandboxLevel) -> sandbox::Level {
    match level {
        SandboxLevel::Full => sandbox::Level::Full,
        SandboxLevel::Reduced => sandbox::Level::Reduced,
        SandboxLevel::None => sandbox::Level::None,
    }
}

fn cannot(error: anyhow::Error) -> Vec<Failure> {
    let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
    let hint = "run it again with RUST_LOG=debug and --keep to see more".to_owned();
    vec![Failure { what: causes.join(": "), hint }]
}

fn notice(model: &DemoModel, level: sandbox::Level) -> String {
    let model = match model {
        DemoModel::Scripted => "scripted model, real tools".to_owned(),
        DemoModel::OpenRouter { model: Some(model), .. } | DemoModel::Server { model, .. } => format!("model: {model}"),
        DemoModel::OpenRouter { model: None, .. } => "models: OpenRouter".to_owned(),
    };
    format!("{model} · sandbox: {level}")
}

/// The demo's folder in the temporary directory, removed at the end unless it is to be kept.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn create(keep: bool) -> anyhow::Result<Self> {
        let mut bytes = [0; 6];
        getrandom::fill(&mut bytes).context("no randomness")?;
        let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = std::env::temp_dir().join(format!("codebutler-demo-{name}"));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path: path.canonicalize()?, keep })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Makes the sample and both configuration files; starts the scripted model when it is the one to answer.
fn prepare(folder: &Path, model: &DemoModel, tasks: &Tasks) -> anyhow::Result<PathBuf> {
    let repository = sample::create(folder)?;
    let mut global = json!({ "timing": { "accumulationMs": 200, "retryBaseMs": 100 } });
    let mut repo = json!({ "checks": [script::TESTS] });
    match model {
        DemoModel::Scripted => {
            let names = |role: Role| role.tools().into_iter().map(crate::agent::ToolName::as_str).collect::<Vec<_>>();
            let server = ScriptedServer::start(script::DemoScript)?
                .expect_tools(script::PM, &names(Role::Pm))
                .expect_tools(script::CODER, &names(Role::Coder));
            global["openrouter"] = json!({ "baseUrl": server.url() });
            repo["models"] = models(script::PM, script::CODER);
            let stop = tasks.stop_token();
            tasks.spawn(TaskKind::ScriptedModel, "scripted", async move {
                let stopped = async move { stop.cancelled().await };
                if let Err(error) = server.serve(stopped).await {
                    tracing::error!(error = &error as &dyn std::error::Error, "the scripted model ended");
                }
            });
        }
        DemoModel::OpenRouter { api_key, model } => {
            global["openrouter"] = json!({ "apiKey": api_key.expose_secret() });
            if let Some(model) = model {
                repo["models"] = models(model, model);
            }
        }
        DemoModel::Server { base_url, model } => {
            global["openrouter"] = json!({ "baseUrl": base_url });
            repo["models"] = models(model, model);
        }
    }
    write_private(&folder.join("home/config.json"), &global)?;
    write_private(&repository.join(".codebutler/config.json"), &repo)?;
    Ok(repository)
}

fn models(pm: &str, coder: &str) -> Value {
    json!({
        "pm": { "default": pm, "pool": { "demo": pm }, "fallback": [] },
        "coder": { "model": coder },
        "researcher": { "model": pm },
        "lead": { "model": pm },
    })
}

/// Writes a file that only its owner can read: it may hold a key.
fn write_private(path: &Path, content: &Value) -> anyhow::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(serde_json::to_string_pretty(content)?.as_bytes())?;
    Ok(())
}
