//! Two sockets are held, so that one still hears while Slack renews the other; the new one is open before the old one is
//! left. What fails is opened again for ever, after pauses that grow and that Slack may set.
//!
//! Knows when something may have been missed, and has `catch_up.rs` fetch it. Never reads an envelope.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{join, join_all};
use futures_util::stream::FuturesUnordered;
use secrecy::SecretString;
use slack_morphism::SlackApiToken;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::listener::{self, Listener};
use super::socket::{self, End, Signals, Socket, Taken};
use super::web_api::token;
use super::{Connection, SlackTiming, catch_up};
use crate::chat::{ChatError, Hearing, Intake};

/// How many are held.
const SOCKETS: u32 = 2;
/// The longest pause between two tries to open one, unless Slack sets a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Of the first pause: how long to wait when Slack has just refused a socket.
const UNWANTED: u32 = 20;
/// A socket that ends without a word sooner than this is no success.
const SHORT_LIFE: Duration = Duration::from_secs(10);

/// Listens until it is stopped. What was being stored then is stored to its end.
pub async fn run(
    connection: Arc<Connection>,
    app_token: &SecretString,
    timing: SlackTiming,
    intake: Arc<dyn Intake>,
    on_ready: impl Fn() + Send + Sync + 'static,
    stop: CancellationToken,
) {
    let (listener, notices) = Listener::new(connection.clone(), intake);
    let (wanted, mut asked) = mpsc::unbounded_channel();
    let sockets = Sockets {
        app_token: token(app_token),
        timing,
        wanted,
        state: Mutex::new(State { on_ready: Some(Box::new(on_ready)), ..State::default() }),
        gaps: AtomicU64::default(),
        missed: Notify::new(),
        stop: stop.clone(),
        listener: &listener,
    };
    let aside = async {
        let fetching = catch_up::run(&listener, &sockets.missed, &sockets.gaps, timing.retry_base);
        tokio::join!(fetching, sockets.unstored(), listener::tell(&connection, notices));
    };
    tokio::join!(sockets.hold(&mut asked), stop.run_until_cancelled(aside));
}

struct Sockets<'a> {
    listener: &'a Listener,
    app_token: SlackApiToken,
    timing: SlackTiming,
    /// Another socket is to be opened after this pause. Every socket asks once for one to take its place.
    wanted: mpsc::UnboundedSender<Duration>,
    /// A std lock: held for one change, never over an await.
    state: Mutex<State>,
    /// How often something may have been missed.
    gaps: AtomicU64,
    /// A socket is up again after something may have been missed.
    missed: Notify,
    stop: CancellationToken,
}

#[derive(Default)]
struct State {
    /// Called and dropped at the first hello.
    on_ready: Option<Box<dyn Fn() + Send + Sync>>,
    /// How many have said hello and not ended.
    up: usize,
    /// Whether something may have been missed since the last hello.
    gap: bool,
    /// Those that Slack is about to close; they are left at the next hello of another.
    leaving: Vec<CancellationToken>,
    /// How many in a row ended soon and without a word.
    short_lives: u32,
}

impl Sockets<'_> {
    async fn hold(&self, asked: &mut mpsc::UnboundedReceiver<Duration>) {
        // What came before the first hello was not heard, either.
        join(self.gap(), self.lives(asked)).await;
    }

    async fn lives(&self, asked: &mut mpsc::UnboundedReceiver<Duration>) {
        let mut lives: FuturesUnordered<_> =
            (0..SOCKETS).map(|place| self.live(self.timing.retry_base * 2 * place)).collect();
        loop {
            while let Ok(pause) = asked.try_recv() {
                lives.push(self.live(pause));
            }
            if lives.is_empty() {
                return;
            }
            tokio::select! {
                Some(pause) = asked.recv() => lives.push(self.live(pause)),
                Some(()) = lives.next() => {}
            }
        }
    }

    /// The life of one socket; before it ends it asks for another to take its place.
    async fn live(&self, pause: Duration) {
        let Some(mut socket) = self.opened(pause).await else { return };
        self.hello();
        let (leave, began) = (CancellationToken::new(), Instant::now());
        let (mut renewed, mut taken) = (false, Taken::new());
        let end = {
            let signals = Signals { leave: &leave, stop: &self.stop, ping: self.timing.ping };
            let on_renewal = |reason: &str| {
                info!(reason, "Slack renews a connection");
                renewed = true;
                self.state().leaving.push(leave.clone());
                self.want(Duration::ZERO);
            };
            socket.listen(self.listener, signals, on_renewal, &mut taken).await
        };
        let replace = async {
            if !self.stop.is_cancelled() {
                self.replace(&end, began.elapsed(), renewed).await;
            }
        };
        // A store may be slow with what was taken; another socket must not wait for that.
        join(replace, socket.close(&end, taken)).await;
    }

    /// Has another socket take the place of one that has ended.
    async fn replace(&self, end: &End, lived: Duration, renewed: bool) {
        let up = {
            let mut state = self.state();
            state.up -= 1;
            state.up
        };
        debug!(?end, up, "a Slack connection ended");
        let pause = self.pause_after(end, lived);
        let noting = async {
            if up == 0 || matches!(end, End::Lost(_)) {
                self.gap().await;
            }
        };
        let wanting = async {
            if !renewed {
                self.want(pause);
            }
        };
        // In this order: the stores keep it, so that nothing that the other socket hears hides the gap.
        join(noting, wanting).await;
    }

    /// Opens a socket, however often that must be tried; `None` when we stop.
    async fn opened(&self, mut pause: Duration) -> Option<Socket> {
        let Connection { web, own, .. } = &*self.listener.connection;
        for tries in 0.. {
            self.stop.run_until_cancelled(tokio::time::sleep(pause)).await?;
            let opening = socket::open(web, &self.app_token, own);
            let error = match self.stop.run_until_cancelled(opening).await? {
                Ok(socket) => return Some(socket),
                Err(error) => error,
            };
            pause = match &error {
                ChatError::RateLimited { retry_after_ms } => Duration::from_millis(*retry_after_ms),
                ChatError::Unreachable(_) | ChatError::Refused { .. } => self.grown(tries),
            };
            let reason = format!("{:#}", anyhow::Error::from(error));
            // Said once, then at ever greater distances: a night without network must not fill a disk.
            if u32::is_power_of_two(tries + 1) {
                warn!(reason, tries = tries + 1, "no connection to Slack; trying on");
            } else {
                debug!(reason, tries = tries + 1, "no connection to Slack");
            }
        }
        None
    }

    fn hello(&self) {
        let (on_ready, missed) = {
            let mut state = self.state();
            state.up += 1;
            state.leaving.drain(..).for_each(|leave| leave.cancel());
            (state.on_ready.take(), std::mem::take(&mut state.gap))
        };
        debug!(missed, "a Slack connection is up");
        if let Some(on_ready) = on_ready {
            on_ready();
        }
        if missed {
            self.missed.notify_one();
        }
    }

    /// Has what could not be stored fetched, however long that takes: no socket need end for it to be missed.
    async fn unstored(&self) {
        loop {
            self.listener.unstored.notified().await;
            self.note_gap().await;
            self.missed.notify_one();
        }
    }

    /// Something may have been missed; it is fetched when a socket is up again.
    async fn gap(&self) {
        self.state().gap = true;
        self.note_gap().await;
    }

    /// Has it remembered how far each channel was heard. Each store is told at the first poll, so before whatever is
    /// heard after that; none waits for another, and a stop waits for none.
    async fn note_gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
        let intake = &self.listener.intake;
        let noting = intake.bound_channels().into_iter().map(|(channel, _)| async move {
            if let Err(error) = intake.note(&channel, Hearing::Gap).await {
                let reason = format!("{:#}", anyhow::Error::from(error));
                warn!(%channel, reason, "not remembered how far the channel was heard");
            }
        });
        self.stop.run_until_cancelled(join_all(noting)).await;
    }

    fn pause_after(&self, end: &End, lived: Duration) -> Duration {
        let mut state = self.state();
        let soon = matches!(end, End::Lost(_)) && lived < SHORT_LIFE;
        state.short_lives = if soon { state.short_lives + 1 } else { 0 };
        match end {
            End::Unwanted(reason) => {
                warn!(reason, "Slack does not want a connection");
                self.timing.retry_base * UNWANTED
            }
            // One that was only just open may be bad luck.
            End::Lost(_) if state.short_lives > SOCKETS => self.grown(state.short_lives - SOCKETS),
            End::Lost(_) | End::Left | End::Closed => Duration::ZERO,
        }
    }

    /// The pause after so many tries.
    fn grown(&self, tries: u32) -> Duration {
        self.timing.retry_base.saturating_mul(1 << tries.min(16)).min(LONGEST_PAUSE)
    }

    fn want(&self, pause: Duration) {
        // The other end is held as long as this one.
        let _ = self.wanted.send(pause);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
