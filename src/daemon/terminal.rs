//! The same daemon for one thread, with the terminal as its chat: nothing is gathered, nothing else of the store goes on,
//! and it ends when the one at the terminal says so.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;

use super::open::Opened;
use super::projects::{self, Ready};
use super::{Failure, Notice, life, load, model, sandbox_notice};
use crate::chat::terminal::TerminalChat;
use crate::chat::{Chat, Incoming, Intake as _};
use crate::config::{Need, Settings};
use crate::ids::ThreadKey;
use crate::offload::offload;
use crate::runtime::Tasks;
use crate::runtime::intake::Routes;
use crate::runtime::ledger::Ledger;
use crate::runtime::models::Models;
use crate::runtime::slots::Slots;
use crate::runtime::witness::Witness;

pub use crate::chat::terminal::Shown;
pub use crate::runtime::witness::Committed;

/// What is done at the terminal.
#[derive(Clone, Debug)]
pub struct TerminalSetup {
    /// Where our own files lie.
    pub home: PathBuf,
    /// The repository.
    pub repository: PathBuf,
    /// The first message.
    pub task: String,
}

/// The terminal's end of the one thread.
pub struct Terminal {
    chat: Arc<TerminalChat>,
    routes: Routes,
    thread: ThreadKey,
    /// What is committed in the store, as it happens.
    pub committed: UnboundedReceiver<Committed>,
}

impl Terminal {
    /// The thread.
    pub fn thread(&self) -> &ThreadKey {
        &self.thread
    }

    /// Says something in it.
    pub async fn say(&self, text: &str) -> Result<(), Failure> {
        self.accept(self.chat.say(Some(&self.thread), text)).await
    }

    /// Presses a button.
    pub async fn press(&self, action: &str, value: &str) -> Result<(), Failure> {
        self.accept(self.chat.press(&self.thread, action, value)).await
    }

    async fn accept(&self, incoming: Incoming) -> Result<(), Failure> {
        let stored = self.routes.accept(incoming).await;
        stored.map(drop).map_err(|error| {
            let what = format!("what you said could not be stored: {:#}", error.0);
            Failure::new(what, "check the disk and the folder .codebutler, then run it again")
        })
    }
}

/// A line of what is typed; `None` at its end.
pub async fn typed_line() -> Option<String> {
    let read = || {
        let mut line = String::new();
        let read = std::io::stdin().read_line(&mut line).unwrap_or_default();
        (read > 0).then_some(line)
    };
    offload(read).await.flatten()
}

/// Begins the thread and lets `talk` lead it; what `talk` gives at the end comes back once everything is brought out.
/// `shutdown` ends the start; after that it is `talk`'s business.
pub async fn serve_terminal<T, W: Future<Output = T>>(
    setup: TerminalSetup,
    on_notice: impl Fn(&Notice),
    show: impl Fn(Shown) + Send + Sync + 'static,
    talk: impl FnOnce(Terminal) -> W,
    shutdown: impl Future<Output = ()>,
) -> Result<Option<T>, Vec<Failure>> {
    tokio::pin!(shutdown);
    let task = setup.task.clone();
    let Some(started) = life::start(shutdown.as_mut(), start(setup, on_notice, show)).await? else { return Ok(None) };
    let Start { ready, chat, committed, stop_grace } = started;
    let (tasks, stores) = (Tasks::default(), vec![ready.store()]);
    let routes = projects::serve_alone(ready, &tasks);
    let first = chat.say(None, &task);
    let terminal = Terminal { chat, routes, thread: first.thread.clone(), committed };
    let (finished, done) = oneshot::channel();
    let talking = async {
        terminal.accept(first).await.map_err(|failure| vec![failure])?;
        let outcome = talk(terminal).await;
        let _ = finished.send(());
        Ok(outcome)
    };
    let serving = life::serve(tasks, stores, stop_grace, async {
        let _ = done.await;
    });
    tokio::pin!(talking);
    tokio::pin!(serving);
    tokio::select! {
        // The store or a vital task is lost.
        served = &mut serving => served.map(|()| None),
        talked = &mut talking => {
            serving.await?;
            talked.map(Some)
        }
    }
}

struct Start {
    ready: Ready,
    chat: Arc<TerminalChat>,
    committed: UnboundedReceiver<Committed>,
    stop_grace: Duration,
}

async fn start(
    setup: TerminalSetup,
    on_notice: impl Fn(&Notice),
    show: impl Fn(Shown) + Send + Sync + 'static,
) -> Result<Start, Vec<Failure>> {
    let TerminalSetup { home, repository, task: _ } = setup;
    let Settings { global, repos } = load(&home, std::slice::from_ref(&repository), Need::Local)?;
    let Some(repo) = repos.into_iter().next() else {
        return Err(vec![Failure::new("there is no repository to work on", "name one with --repo PATH")]);
    };
    let one = Opened::open(&repo, &global.author, Vec::new()).await.map_err(|problem| vec![problem])?;
    one.notices.iter().for_each(&on_notice);
    sandbox_notice(&global).iter().for_each(&on_notice);
    let (channel, root) = (TerminalChat::channel(), one.repository.root().to_owned());
    let chat = Arc::new(TerminalChat::new(show));
    let mut settings = projects::settings(&home, &global, &repo, true);
    // The task is one message, and the whole of it.
    settings.accumulation = Duration::ZERO;
    let (witness, committed) = Witness::new();
    let server = (model(&global)?, Models::default(), Ledger::beside_others(&home));
    let as_chat: Arc<dyn Chat> = Arc::clone(&chat) as Arc<dyn Chat>;
    let project = one.project(&channel, as_chat, server, settings, Slots::default(), witness).await?;
    let ready = Ready { channel, name: crate::chat::terminal::PLACE.to_owned(), root, project };
    Ok(Start { ready, chat, committed, stop_grace: global.timing.stop_grace })
}
