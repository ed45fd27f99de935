//! The sender over a store on the calling task, a chat that lives in memory, and a clock that stands still while anything
//! can be done: so that every wait is the sender's own.

mod room;

mod any_weather;
mod lanes;
mod once;
mod patience;
mod turns;

use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::ids::{Epoch, Millis, ThreadKey};
use crate::store::simulated::{Disk, Moment, Verdict};
use crate::store::{Append, Session};
use room::{Mood, Room};

fn said(text: &str) -> Post {
    Post::Message { role: None, text: text.into(), buttons: vec![] }
}

fn eyes() -> Post {
    Post::Reaction { ts: MessageTs::new("1.0"), name: "eyes".into() }
}

/// A store, a chat and a sender, which runs only while it is waited for.
struct World {
    folder: tempfile::TempDir,
    store: Store,
    room: Room,
    changed: Arc<Notify>,
}

fn open(path: &Path, hook: impl FnMut(Moment, u64, &'static str) -> Verdict + Send + 'static) -> Store {
    Store::simulated(&Disk::of(path), hook).expect("opens")
}

impl World {
    fn new() -> Self {
        Self::with(|_, _, _| Verdict::Go)
    }

    fn with(hook: impl FnMut(Moment, u64, &'static str) -> Verdict + Send + 'static) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = open(&folder.path().join("store.db"), hook);
        Self { folder, store, room: Room::default(), changed: Arc::default() }
    }

    /// Puts posts into a channel.
    async fn put(&self, channel: &str, posts: &[(&str, Post)]) {
        self.put_into(channel, 1, posts).await;
    }

    /// Puts posts into a thread of a channel.
    async fn put_into(&self, channel: &str, thread: usize, posts: &[(&str, Post)]) {
        let thread = ThreadKey::parse(&format!("T1/{channel}/{thread}.0")).expect("a thread");
        let epoch: Epoch = self.store.lease(&thread).await.expect("leased");
        let append = Append {
            thread,
            epoch,
            expected: 0,
            at: Millis(1),
            events: vec![],
            posts: posts.iter().map(|(key, post)| ((*key).to_owned(), post.clone())).collect(),
            acked: vec![],
            session: Session {
                phase: "pm".into(),
                title: String::new(),
                works: false,
                pull: None,
                ..Session::default()
            },
            spent: vec![],
            durable: false,
        };
        self.store.append(append).await.expect("appended");
        self.changed.notify_one();
    }

    /// Lets the sender run for so many seconds of its clock.
    async fn run(&self, seconds: f64) {
        let chat: Arc<dyn Chat> = Arc::new(self.room.clone());
        let sender = send(self.store.clone(), chat, Arc::clone(&self.changed), CancellationToken::new());
        let _ = tokio::time::timeout(Duration::from_secs_f64(seconds), sender).await;
        // What was under way is gone with the sender.
        self.room.state().now.clear();
    }

    /// Lets it run while `meanwhile` does something.
    async fn run_while(&self, meanwhile: impl Future<Output = ()>) {
        let chat: Arc<dyn Chat> = Arc::new(self.room.clone());
        let stop = CancellationToken::new();
        let sender = send(self.store.clone(), chat, Arc::clone(&self.changed), stop.clone());
        let meanwhile = async {
            meanwhile.await;
            stop.cancel();
        };
        tokio::join!(sender, meanwhile);
    }
}

/// A world in which the card of C1 is shown and has a newer version.
async fn with_every_lane() -> World {
    let world = World::new();
    world.put("C1", &[("card", said("old"))]).await;
    world.run(1.0).await;
    world.put("C1", &[("card", said("new")), ("a", said("a")), ("b", said("b")), ("eyes/1", eyes())]).await;
    world.put("C2", &[("c", said("c"))]).await;
    world
}
