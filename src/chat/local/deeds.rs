//! What requests change is carried out whole, also when the client hangs up before its answer: what it sent may be stored
//! by then, and must be shown and worked on.
//!
//! Spawns nothing: whoever serves the page polls it.

use std::future::Future;

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream;
use tokio::sync::{mpsc, oneshot};

/// Takes what is to be carried out.
pub struct Deeds(mpsc::UnboundedSender<BoxFuture<'static, ()>>);

impl Deeds {
    /// With the future that carries out; it ends when nothing more can come.
    pub fn new() -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (deeds, mut queue) = mpsc::unbounded_channel::<BoxFuture<'static, ()>>();
        let queue = stream::poll_fn(move |context| queue.poll_recv(context));
        (Self(deeds), queue.for_each_concurrent(None, |deed| deed))
    }

    /// Carries it out; `None` when nobody does so any more.
    pub async fn whole<T: Send + 'static>(&self, deed: impl Future<Output = T> + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let deed = deed.map(|done| drop(answer.send(done)));
        self.0.send(deed.boxed()).ok()?;
        answered.await.ok()
    }
}
