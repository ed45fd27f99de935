//! The names people know each other by, asked of Slack once and kept.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use serde::Deserialize;
use tokio::time::Instant;
use tracing::debug;

use super::web_api::WebApi;
use crate::chat::ChatError;
use crate::ids::UserId;

/// How long a message may wait for names; then it goes on with ids. Slack wants its ack within 3 s.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long nobody is asked for after that: every message would wait in turn, and all that come behind it.
const REST: Duration = Duration::from_secs(30);

/// The names that are known.
#[derive(Default)]
pub struct Names {
    // A std lock: held for a look or an insert, never over an await.
    known: Mutex<HashMap<UserId, String>>,
    /// Until when Slack is not asked. As above.
    resting: Mutex<Option<Instant>>,
}

#[derive(Deserialize)]
struct UserInfo {
    user: User,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    name: String,
    #[serde(default)]
    profile: Profile,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Profile {
    display_name: String,
    real_name: String,
}

impl Names {
    /// The names of these people, as far as they can be had within two seconds.
    pub async fn of(&self, web: &WebApi, users: &[UserId]) -> HashMap<UserId, String> {
        let rests =
            self.resting.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|until| until > Instant::now());
        let unknown = users.iter().filter(|user| !rests && self.get(user).is_none());
        let asked = unknown.map(|user| self.ask(web, user));
        if tokio::time::timeout(PATIENCE, join_all(asked)).await.is_err() {
            debug!("Slack is slow with names; ids stand in");
            *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + REST);
        }
        users.iter().filter_map(|user| Some((user.clone(), self.get(user)?))).collect()
    }

    fn get(&self, user: &UserId) -> Option<String> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(user).cloned()
    }

    async fn ask(&self, web: &WebApi, user: &UserId) {
        let name = match web.get::<UserInfo>("users.info", &[("user", user.as_str())]).await {
            Ok(UserInfo { user }) => called(user),
            // It will not be better next time: no scope, or a person of another workspace.
            Err(ChatError::Refused { code, .. }) => {
                debug!(%user, code, "no name");
                None
            }
            Err(ChatError::RateLimited { .. } | ChatError::Unreachable(_)) => return,
        };
        let name = name.unwrap_or_else(|| user.to_string());
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(user.clone(), name);
    }
}

/// The first name that is not empty, on one line.
fn called(user: User) -> Option<String> {
    [user.profile.display_name, user.profile.real_name, user.name]
        .into_iter()
        .map(|name| name.chars().filter(|c| !c.is_control()).collect::<String>().trim().to_owned())
        .find(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slack_that_is_slow_with_names_delays_one_message_and_not_each() {
        // It takes connections and never answers.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = silent.local_addr().expect("bound");
        let web = WebApi::new(&format!("http://{address}/api"), &"xoxb-1".into()).expect("a client");
        let (names, began) = (Names::default(), Instant::now());
        for user in ["U1", "U1", "U2", "U3"] {
            assert!(names.of(&web, &[UserId::new(user)]).await.is_empty());
        }
        assert!(began.elapsed() < PATIENCE * 2, "{:?}", began.elapsed());
        tokio::time::advance(REST).await;
        names.of(&web, &[UserId::new("U1")]).await;
        assert!(began.elapsed() >= REST + PATIENCE * 2, "asked again: {:?}", began.elapsed());
    }
}
