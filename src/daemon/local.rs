//! The same daemon for one repository, with the local page as its chat.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::open::Opened;
use super::projects::{self, Ready};
use super::{Failure, Notice, Served, life, load, model, sandbox_notice, store_problem};
use crate::chat::local::{LocalChat, LocalOptions, LogLine, LogQuery, LogReader, Restored};
use crate::chat::{Chat, Incoming, IncomingKind};
use crate::config::{Need, Settings};
use crate::ids::ChannelId;
use crate::runtime::Tasks;
use crate::runtime::ledger::Ledger;
use crate::runtime::models::Models;
use crate::runtime::slots::Slots;
use crate::runtime::tasks::TaskKind;
use crate::runtime::witness::Witness;
use crate::store::{Store, StoreError};
use crate::telemetry;

/// What the local chat serves.
#[derive(Clone, Debug)]
pub struct LocalSetup {
    /// Where our own files lie.
    pub home: PathBuf,
    /// The repository.
    pub repository: PathBuf,
    /// Where the page listens.
    pub listen: SocketAddr,
    /// What the page says on top.
    pub notice: Option<String>,
}

/// Everything that serves, with the page bound and nobody answering there yet.
struct Start {
    page: Arc<LocalChat>,
    ready: Ready,
    stop_grace: Duration,
}

/// Serves one repository on the local page until `shutdown`, which also ends the start. `on_ready` gets the page's
/// address. `tasks` may hold what the caller runs beside it.
pub async fn serve_local(
    setup: LocalSetup,
    tasks: Tasks,
    on_notice: impl Fn(&Notice),
    on_ready: impl FnOnce(&Served, &str),
    shutdown: impl Future<Output = ()>,
) -> Result<(), Vec<Failure>> {
    tokio::pin!(shutdown);
    let Some(started) = life::start(shutdown.as_mut(), start(setup, on_notice)).await? else {
        life::wind_down(tasks, Duration::ZERO).await;
        return Ok(());
    };
    let Start { page, ready, stop_grace } = started;
    let served = Served { channel: ready.channel.clone(), repository: ready.root.clone() };
    let stores = vec![ready.store()];
    let routes = projects::serve(vec![ready], &tasks);
    let (stop, url) = (tasks.stop_token(), page.url());
    tasks.spawn(TaskKind::Chat, "page", async move {
        if let Err(error) = page.serve(Arc::new(routes), stop).await {
            tracing::error!(error = &error as &dyn std::error::Error, "the page ended");
        }
    });
    on_ready(&served, &url);
    life::serve(tasks, stores, stop_grace, shutdown).await
}

async fn start(setup: LocalSetup, on_notice: impl Fn(&Notice)) -> Result<Start, Vec<Failure>> {
    let LocalSetup { home, repository, listen, notice } = setup;
    let Settings { global, repos } = load(&home, std::slice::from_ref(&repository), Need::Local)?;
    // The global file may list other repositories; the local page serves the one it was asked for.
    let Some(repo) = repos.into_iter().next() else {
        return Err(vec![Failure::new("there is no repository to serve", "name one with --repo PATH")]);
    };
    let one = Opened::open(&repo, &global.author, Vec::new()).await.map_err(|problem| vec![problem])?;
    one.notices.iter().for_each(&on_notice);
    sandbox_notice(&global).iter().for_each(&on_notice);
    let (channel, root) = (ChannelId::new("local"), one.repository.root().to_owned());
    let name = root.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let log: Arc<dyn LogReader> = Arc::new(OwnLog);
    let options = LocalOptions { listen, token: None, title: name.clone(), notice, channel: channel.clone(), log };
    let restored = restored(&one.store).await.map_err(|error| vec![store_problem(&error)])?;
    let page = LocalChat::bind(options, restored).map_err(|error| {
        vec![Failure::new(
            format!("the page cannot listen on {listen}: {error}"),
            "choose another address with --listen 127.0.0.1:PORT",
        )]
    })?;
    let page = Arc::new(page);
    let model = model(&global)?;
    let settings = projects::settings(&home, &global, &repo, true);
    let chat: Arc<dyn Chat> = Arc::clone(&page) as Arc<dyn Chat>;
    let (server, witness) = ((model, Models::default(), Ledger::beside_others(&home)), Witness::default());
    let project = one.project(&channel, chat, server, settings, Slots::default(), witness).await?;
    let ready = Ready { channel, name, root, project };
    Ok(Start { page, ready, stop_grace: global.timing.stop_grace })
}

/// The log of this process, for the page.
#[derive(Debug)]
struct OwnLog;

impl LogReader for OwnLog {
    fn read(&self, query: &LogQuery) -> Vec<LogLine> {
        let LogQuery { thread, after, limit } = query.clone();
        let kept = telemetry::recent(&telemetry::Query { thread, after, limit }).into_iter();
        kept.map(|telemetry::Kept { seq, record }| LogLine {
            seq,
            time: record.time,
            tag: record.tag.to_owned(),
            thread: record.thread,
            text: record.text,
        })
        .collect()
    }
}

/// What the local page showed before it was stopped.
async fn restored(store: &Store) -> Result<Vec<Restored>, StoreError> {
    let mut restored = Vec::new();
    for Incoming { thread, what, .. } in store.written().await? {
        if let IncomingKind::Message { ts, text, .. } = what {
            restored.push(Restored::Said { thread, ts, text });
        }
    }
    for row in store.sent_posts().await? {
        restored.push(Restored::Posted { thread: row.thread, key: row.key, ts: row.ts, post: row.post });
    }
    Ok(restored)
}
