//! What other processes of the same user spend: a list of the repositories that were ever opened, beside the global
//! configuration, and a look into their stores. Limits per day and hour are over all of them.
//!
//! Only reads those stores. What cannot be read is not counted, and said in the log.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;

use crate::ids::{Millis, ThreadKey};
use crate::store::{self, Reader};
use crate::thread::spending::Entry;

/// The list of repositories in `$CODEBUTLER_HOME`, one path a line.
const LIST: &str = "repositories";

/// So old may be what is known of other processes.
const FRESH: Duration = Duration::from_secs(1);

/// What is known of the others.
pub(super) struct Others {
    list: PathBuf,
    /// The repositories that this process drives: of those it knows by itself.
    own: BTreeSet<PathBuf>,
    looked: Option<Instant>,
    stores: BTreeMap<PathBuf, Other>,
}

/// Another repository's store, and how far it was read.
#[derive(Default)]
struct Other {
    reader: Option<Reader>,
    row: i64,
    failed: bool,
}

/// What was spent, when, in which thread.
pub(super) type Spent = Vec<(ThreadKey, Millis, Entry)>;

impl Others {
    pub(super) fn new(home: &Path) -> Self {
        let (own, stores) = (BTreeSet::new(), BTreeMap::new());
        Self { list: home.join(LIST), own, looked: None, stores }
    }

    /// Takes a repository for one that this process drives, and lets other processes know of it.
    pub(super) fn join(&mut self, repository: &Path) {
        self.own.insert(repository.to_owned());
        if !self.listed().contains(repository)
            && let Err(error) = self.add(repository)
        {
            let list = self.list.display();
            tracing::warn!(%error, "other processes cannot count what is spent here: {list} cannot be written");
        }
    }

    fn add(&self, repository: &Path) -> std::io::Result<()> {
        use std::os::unix::fs::OpenOptionsExt as _;
        if let Some(home) = self.list.parent() {
            std::fs::create_dir_all(home)?;
        }
        // One write at the end, so that two processes do not mix their lines.
        let mut list = std::fs::File::options().append(true).create(true).mode(0o600).open(&self.list)?;
        list.write_all(format!("{}\n", repository.display()).as_bytes())
    }

    fn listed(&self) -> BTreeSet<PathBuf> {
        let list = std::fs::read_to_string(&self.list).unwrap_or_default();
        list.lines().filter(|line| !line.is_empty()).map(PathBuf::from).collect()
    }

    /// Whether it is time to look again; then it counts as looked.
    pub(super) fn is_due(&mut self) -> bool {
        let due = self.looked.is_none_or(|looked| looked.elapsed() >= FRESH);
        if due {
            self.looked = Some(Instant::now());
        }
        due
    }

    /// What the others spent since the last look, of what is not older than `since`.
    pub(super) fn look(&mut self, since: Millis) -> Spent {
        let mut spent = Vec::new();
        for repository in self.listed().difference(&self.own) {
            let other = self.stores.entry(repository.clone()).or_default();
            match other.read(repository, since) {
                Ok(more) => {
                    other.failed = false;
                    spent.extend(more);
                }
                Err(error) => {
                    other.reader = None;
                    if !std::mem::replace(&mut other.failed, true) {
                        let repository = repository.display();
                        tracing::warn!(%error, "what is spent in {repository} is not counted here: its store cannot be read");
                    }
                }
            }
        }
        spent
    }
}

impl Other {
    fn read(&mut self, repository: &Path, since: Millis) -> Result<Spent, store::StoreError> {
        if self.reader.is_none() {
            self.reader = Reader::open(&store::path_in(repository))?;
        }
        // A repository that is gone spends nothing.
        let Some(reader) = &self.reader else { return Ok(Vec::new()) };
        let (row, spent) = reader.spending_after(self.row, since)?;
        self.row = row;
        Ok(spent)
    }
}
