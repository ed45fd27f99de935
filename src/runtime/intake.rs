//! Takes what people do: finds the repository by channel, stores it durably with the 👀 that says so, wakes the thread.
//! Knows how far each channel was heard, so that a chat can fetch the rest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::project::Project;
use super::supervisor::Supervisor;
use crate::chat::{CatchUp, Hearing, Incoming, IncomingKind, Intake, IntakeError, earlier};
use crate::ids::{ChannelId, Millis, UserId};
use crate::render::post::Post;
use crate::render::posts::seen_key;
use crate::store::{Standing, Store, StoreError};

/// How much of what was heard is looked at again: events come out of order, and some come late.
const OVERLAP: Duration = Duration::from_secs(60 * 60);
/// Threads that are asked for replies: the open ones and those of the last 30 days, so many at most.
const RECENT_MS: i64 = 30 * 24 * 60 * 60 * 1000;
const RECENT: u32 = 200;
/// Open threads that are looked through for what was changed, and for how long they and their messages are.
const OPEN: u32 = 50;
const CHANGED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The channels of one daemon and what they lead to.
pub struct Routes {
    routes: HashMap<ChannelId, Route>,
}

struct Route {
    name: String,
    project: Arc<Project>,
    supervisor: Supervisor,
}

impl Routes {
    /// Routes from each project's channel.
    pub fn new(projects: impl IntoIterator<Item = (ChannelId, String, Arc<Project>, Supervisor)>) -> Self {
        let routes =
            projects.into_iter().map(|(id, name, project, supervisor)| (id, Route { name, project, supervisor }));
        Self { routes: routes.collect() }
    }
}

#[async_trait]
impl Intake for Routes {
    async fn accept(&self, incoming: Incoming) -> Result<bool, IntakeError> {
        let Some(route) = self.routes.get(&incoming.thread.channel) else { return Ok(false) };
        let mut posts = Vec::new();
        if let IncomingKind::Message { ts, .. } = &incoming.what {
            posts.push((seen_key(ts), Post::Reaction { ts: ts.clone(), name: "eyes".to_owned() }));
        }
        let thread = incoming.thread.clone();
        let store = &route.project.store;
        let accepted = store.accept(incoming, posts, route.project.clock.now()).await;
        // It may have been stored before without anybody hearing of it, or now although an error is told. What was dealt
        // with needs no worker: the chat brings much again.
        let waits = match &accepted {
            Ok(true) => true,
            Ok(false) => store.waiting(&thread).await.map_or(true, |waiting| !waiting.is_empty()),
            Err(_) => store.waiting(&thread).await.is_ok_and(|waiting| !waiting.is_empty()),
        };
        if waits {
            route.project.outbox_changed.notify_one();
            route.supervisor.wake(thread);
        }
        accepted.map_err(|error| IntakeError(error.into()))
    }

    async fn choose_channel_model(&self, channel: &ChannelId, by: &UserId, name: &str) -> Result<String, IntakeError> {
        let Some(route) = self.routes.get(channel) else {
            return Ok("This channel is bound to no repository.".to_owned());
        };
        if !route.project.rules(channel).may_use(by) {
            return Ok("This bot works only for the people listed in its configuration.".to_owned());
        }
        route.project.choose_channel_model(channel, name).await.map_err(|error| IntakeError(error.into()))
    }

    fn bound_channels(&self) -> Vec<(ChannelId, String)> {
        self.routes.iter().map(|(id, route)| (id.clone(), route.name.clone())).collect()
    }

    async fn heard_until(&self, channel: &ChannelId) -> Result<CatchUp, IntakeError> {
        let Some(Route { project, .. }) = self.routes.get(channel) else { return Ok(CatchUp::default()) };
        catch_up(&project.store, channel, project.clock.now()).await.map_err(|error| IntakeError(error.into()))
    }

    async fn note(&self, channel: &ChannelId, hearing: Hearing) -> Result<(), IntakeError> {
        let Some(Route { project, .. }) = self.routes.get(channel) else { return Ok(()) };
        let noted = match hearing {
            Hearing::First(ts) => project.store.serve_from(channel, &ts).await,
            Hearing::Gap => project.store.open_gap(channel).await,
            Hearing::Whole(ts) => project.store.close_gap(channel, &earlier(&ts, OVERLAP)).await,
        };
        noted.map_err(|error| IntakeError(error.into()))
    }
}

async fn catch_up(store: &Store, channel: &ChannelId, now: Millis) -> Result<CatchUp, StoreError> {
    let (since, heard) = match store.standing(channel).await? {
        Standing { served_from: None, heard_until: None } => return Ok(CatchUp::default()),
        // The first message was stored before it was known from where on the channel is served, or by a version that
        // did not ask. An overlap could reach back to before the first start.
        Standing { served_from: None, heard_until: Some(newest) } => {
            store.serve_from(channel, &newest).await?;
            (newest.clone(), newest)
        }
        Standing { served_from: Some(first), heard_until: None } => (first.clone(), first),
        Standing { served_from: Some(first), heard_until: Some(newest) } => {
            (first.max(earlier(&newest, OVERLAP)), newest)
        }
    };
    let changed_ms = i64::try_from(CHANGED.as_millis()).unwrap_or(i64::MAX);
    Ok(CatchUp {
        threads: store.recent_threads(channel, Millis(now.0 - RECENT_MS), RECENT).await?,
        known: store.keys_since(channel, &since).await?,
        open: store.open_threads(channel, Millis(now.0 - changed_ms), OPEN).await?,
        held: store.held(channel, &earlier(&heard, CHANGED), &heard).await?,
        since: Some(since),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{MessageTs, ThreadKey};

    fn ts(second: u64) -> MessageTs {
        MessageTs::new(format!("{second}.000100"))
    }

    async fn hear(store: &Store, channel: &ChannelId, second: u64) {
        let thread = ThreadKey { workspace: "T1".into(), channel: channel.clone(), ts: ts(second) };
        let what = IncomingKind::Message { ts: ts(second), text: "hi".into(), to_bot: false, files: vec![] };
        let dedupe = vec![format!("ts:{channel}:{}", ts(second))];
        let incoming = Incoming { thread, from: UserId::new("U1"), name: "Ana".into(), what, dedupe };
        store.accept(incoming, Vec::new(), Millis(0)).await.expect("stored");
    }

    #[tokio::test]
    async fn nothing_from_before_the_first_start_is_ever_fetched() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("store.db")).expect("a new store");
        let shop = ChannelId::new("C1");
        let since = async || catch_up(&store, &shop, Millis(0)).await.expect("read").since;
        assert_eq!(since().await, None);
        hear(&store, &shop, 1_700_010_000).await;
        assert_eq!(since().await, Some(ts(1_700_010_000)), "no overlap: the hour before may be before the first start");
        hear(&store, &shop, 1_700_010_100).await;
        assert_eq!(since().await, Some(ts(1_700_010_000)));
        hear(&store, &shop, 1_700_020_000).await;
        assert_eq!(since().await, Some(ts(1_700_020_000 - 3_600)));
        let known = catch_up(&store, &shop, Millis(0)).await.expect("read").known;
        assert_eq!(known.into_iter().collect::<Vec<_>>(), ["ts:C1:1700020000.000100"]);
    }
}
