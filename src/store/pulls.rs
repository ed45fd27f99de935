//! What the watch over pull requests needs: which threads have one that may still change, and what was last seen of
//! each. Both are read from what is stored for other reasons.

use super::{Store, StoreError};
use crate::chat::{Incoming, IncomingKind};
use crate::ids::{ThreadKey, UserId};
use crate::thread::outside::Sighting;

impl Store {
    /// The threads that are not closed and have a pull request, with the number of their newest.
    pub async fn watched_pulls(&self) -> Result<Vec<(ThreadKey, u64)>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT session_id, pull FROM sessions WHERE pull IS NOT NULL ORDER BY session_id";
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?;
            let mut watched = Vec::new();
            for row in rows {
                let (thread, number) = row?;
                watched.extend(ThreadKey::parse(&thread).zip(u64::try_from(number).ok()));
            }
            Ok(watched)
        })
        .await
    }

    /// What was stored as seen of pull requests, oldest first, dealt with or not.
    pub async fn sightings(&self) -> Result<Vec<(ThreadKey, Sighting)>, StoreError> {
        self.read(|connection| {
            let sql = "SELECT incoming FROM messages WHERE from_user = ?1 ORDER BY id";
            let mut statement = connection.prepare(sql)?;
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
