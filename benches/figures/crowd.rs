//! A company with several repositories, each with its channel, and many people: what `load` and `soak` stand on. Looks
//! into the stores only to read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;

use crate::support::fake_slack::{BEN, SHOP, State};
use crate::world::{Daemon, World};

/// How often a moment that nobody announces is looked for.
const LOOK: Duration = Duration::from_millis(10);

/// A world with several repositories.
pub struct Crowd {
    pub world: World,
    /// The channel of each repository.
    pub channels: Vec<String>,
    /// The owner's checkout of each repository.
    pub checkouts: Vec<PathBuf>,
    /// The bare remote of each.
    pub remotes: Vec<PathBuf>,
}

/// A message that somebody wrote.
pub struct Said {
    pub ts: String,
    /// Milliseconds since 1970.
    pub at: i64,
}

impl Crowd {
    /// So many repositories with a channel each.
    pub async fn new(count: usize, script: impl FnMut(&ScriptedRequest) -> ScriptedReply + Send + 'static) -> Self {
        let mut world = World::with_script(script).await;
        world.slack.be_quiet();
        let (mut channels, mut checkouts) = (vec![SHOP.to_owned()], vec![world.checkout()]);
        let mut remotes = vec![world.remote()];
        for number in 1..count {
            let (channel, name) = (format!("C0LOAD{number:02}"), format!("load{number}"));
            world.slack.add_channel(&channel, &name);
            let (remote, checkout) = (format!("remote{number}.git"), world.folder.path().join(&name));
            world.git_in(world.folder.path(), &["clone", "-q", "--bare", "remote.git", &remote]);
            world.git_in(world.folder.path(), &["clone", "-q", &remote, &name]);
            let mut own = world.repo.clone();
            own["slack"] = json!({ "channelID": channel, "channelName": name });
            let folder = checkout.join(".codebutler");
            std::fs::create_dir_all(&folder).expect("made");
            std::fs::write(folder.join("config.json"), own.to_string()).expect("written");
            remotes.push(world.folder.path().join(remote));
            channels.push(channel);
            checkouts.push(checkout);
        }
        world.global["repos"] = json!(checkouts);
        Self { world, channels, checkouts, remotes }
    }

    /// Starts the daemon with all repositories, and waits for both sockets.
    pub async fn start(&self) -> Daemon {
        let daemon = self.world.start();
        self.world.slack.wait_for_sockets(2).await;
        daemon
    }

    /// Ben writes.
    pub fn say(&self, channel: &str, text: &str, thread: Option<&str>) -> Said {
        let at = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis());
        Said { ts: self.world.slack.say(BEN, channel, text, thread), at: at.expect("before the year 292277026") }
    }

    /// From the moment in which Slack had each message to that of its ack.
    pub fn acks(&self, said: &[Said]) -> Vec<Duration> {
        self.world.slack.look(|state| {
            let mut times = HashMap::new();
            for envelope in &state.envelopes {
                let event = &envelope.payload["event"];
                if let (Some(ts), (sent, Some(acked))) = (event["ts"].as_str(), envelope.times) {
                    times.insert(ts, acked.duration_since(sent));
                }
            }
            said.iter().filter_map(|said| times.get(said.ts.as_str()).copied()).collect()
        })
    }

    /// Whether each of the messages has this reaction.
    pub fn all_have(&self, said: &[Said], reaction: &str) -> bool {
        self.world.slack.look(|state: &State| {
            let with = |message: &&crate::support::fake_slack::Message| {
                message.bot.is_none() && message.reactions.iter().any(|name| name == reaction)
            };
            let with: std::collections::HashSet<&str> =
                state.messages.iter().filter(with).map(|message| message.ts.as_str()).collect();
            said.iter().all(|said| with.contains(said.ts.as_str()))
        })
    }

    /// Whether everything that was said is answered, as far as the stores know: nothing waits and nothing works.
    pub fn all_decided(&self) -> bool {
        self.stores().iter().all(|store| {
            let sql = "SELECT (SELECT count(*) FROM messages WHERE acked = 0) \
                       + (SELECT count(*) FROM sessions WHERE works = 1)";
            store.query_row(sql, [], |row| row.get::<_, i64>(0)).is_ok_and(|left| left == 0)
        })
    }

    /// From the moment in which each message was written to the commit of the reply that answers it. Panics unless each
    /// was heard by a model once: as a message, or as what was said before when it was delivered too late for that.
    pub fn answers(&self, said: &[Said]) -> Vec<Duration> {
        let mut answered = HashMap::new();
        for store in self.stores() {
            let sql = "SELECT thread, at, type, body FROM events \
                       WHERE type IN ('heard', 'base_ready', 'reply_received') ORDER BY thread, seq";
            let mut statement = store.prepare(sql).expect("the schema is known");
            let (mut heard, mut earlier) = (Vec::new(), Vec::new());
            let mut rows = statement.query([]).expect("it can be read");
            while let Some(row) = rows.next().expect("it can be read") {
                let (at, kind): (i64, String) = (row.get(1).expect("a time"), row.get(2).expect("a type"));
                if kind == "reply_received" {
                    for ts in heard.drain(..) {
                        assert_eq!(answered.insert(ts, at), None, "a message is heard twice");
                    }
                    for ts in earlier.drain(..) {
                        answered.entry(ts).or_insert(at);
                    }
                    continue;
                }
                let body: serde_json::Value =
                    serde_json::from_str(&row.get::<_, String>(3).expect("a body")).expect("JSON");
                let messages = body["messages"].as_array().into_iter().flatten().filter_map(|ts| ts.as_str());
                let history = body["base"]["history"].as_array().into_iter().flatten();
                heard.extend(messages.map(str::to_owned));
                earlier.extend(history.filter_map(|said| said["ts"].as_str()).map(str::to_owned));
            }
        }
        let answered =
            |said: &Said| answered.get(&said.ts).unwrap_or_else(|| panic!("{} is not heard", said.ts)) - said.at;
        said.iter().map(|said| millis(answered(said))).collect()
    }

    fn stores(&self) -> Vec<Connection> {
        let open = |checkout: &PathBuf| look_into(checkout).expect("the store is there");
        self.checkouts.iter().map(open).collect()
    }

    /// Waits until something is so; how long that took.
    pub async fn until(&self, what: &str, patience: Duration, is_so: impl Fn() -> bool) -> Duration {
        let begun = Instant::now();
        while !is_so() {
            assert!(begun.elapsed() < patience, "waited in vain for {what}");
            tokio::time::sleep(LOOK).await;
        }
        begun.elapsed()
    }
}

/// Opens a repository's store to look at it.
pub fn look_into(checkout: &Path) -> rusqlite::Result<Connection> {
    let store = Connection::open_with_flags(checkout.join(".codebutler/store.db"), OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    store.busy_timeout(Duration::from_secs(10))?;
    Ok(store)
}

fn millis(time: i64) -> Duration {
    Duration::from_millis(u64::try_from(time).unwrap_or_default())
}
