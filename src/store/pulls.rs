//! What the watch over pull requests needs: which threads have one that may still change, and what was last seen of
//! each. Both are read from what is stored for other reasons.

use super::{Store, StoreError};
use crate::chat::{Incoming, IncomingKind};
use crate::ids::{ThreadKey, UserId};
use crate::thread::Event;
use crate::thread::outside::Sighting;

impl Store {
    /// The threads that are not closed and have a pull request, with the number of their newest.
    pub async fn watched_pulls(&self) -> Result<Vec<(ThreadKey, u64)>, StoreError> {
        self.run(|database| {
            // Before these phases nothing is published, and after them nothing changes.
            let sql = "SELECT session_id, (SELECT body FROM events WHERE thread = session_id \
                       AND type = 'pull_request_opened' ORDER BY seq DESC LIMIT 1) AS opened \
                       FROM sessions WHERE phase IN ('coder', 'review') AND opened IS NOT NULL ORDER BY session_id";
            let mut statement = database.connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            let mut watched = Vec::new();
            for row in rows {
                let (thread, body) = row?;
                if let (Some(thread), Event::PullRequestOpened { pull }) =
                    (ThreadKey::parse(&thread), serde_json::from_str(&body)?)
                {
                    watched.push((thread, pull.number));
                }
            }
            Ok(watched)
        })
        .await
    }

    /// What was stored as seen of pull requests, oldest first, dealt with or not.
    pub async fn sightings(&self) -> Result<Vec<(ThreadKey, Sighting)>, StoreError> {
        self.run(|database| {
            let sql = "SELECT incoming FROM messages WHERE from_user = ?1 ORDER BY id";
            let mut statement = database.connection.prepare(sql)?;
            let rows = statement.query_map([UserId::forge().as_str()], |row| row.get::<_, String>(0))?;
            let mut sightings = Vec::new();
            for row in rows {
                if let Incoming { thread, what: IncomingKind::PullChanged { seen }, .. } = serde_json::from_str(&row?)?
                {
                    sightings.push((thread, seen));
                }
            }
            Ok(sightings)
        })
        .await
    }
}
