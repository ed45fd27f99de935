//! Takes what people do: finds the repository by channel, stores it durably with the 👀 that says so, wakes the thread.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::project::Project;
use super::supervisor::Supervisor;
use crate::chat::{Incoming, IncomingKind, Intake, IntakeError};
use crate::ids::{ChannelId, UserId};
use crate::render::post::Post;
use crate::render::posts::seen_key;

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
        let accepted = route.project.store.accept(incoming, posts, route.project.clock.now()).await;
        let fresh = accepted.map_err(|error| IntakeError(error.into()))?;
        if fresh {
            route.project.outbox_changed.notify_one();
            route.supervisor.wake(thread);
        }
        Ok(fresh)
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
}
