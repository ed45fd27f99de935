//! The records: one JSON file per pull request, written whole or not at all.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Inner, refused};
use crate::forge::{ForgeError, NewPullRequest, body};
use crate::ids::CommitId;
use crate::thread::event::PullRequest;

/// A pull request as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) body: String,
    pub(super) branch: String,
    pub(super) base: String,
    /// The branch's head when it was opened.
    pub(super) head: CommitId,
    pub(super) draft: bool,
    pub(super) state: State,
    /// The squash commit.
    #[serde(default)]
    pub(super) merged: Option<CommitId>,
    /// The squash commit that the owner's checkout is being moved to. Stays when the move was cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) moving: Option<CommitId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Open,
    Closed,
    Merged,
}

impl State {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Merged => "merged",
        }
    }
}

impl Record {
    /// The open pull request after a further piece of work.
    pub(super) fn brought_up_to_date(self, new: &NewPullRequest) -> Self {
        let title = if body::is_unfinished(&self.body) { new.title.clone() } else { self.title };
        let body = body::updated(&self.body, new).unwrap_or(self.body);
        Self { draft: new.draft, title, body, ..self }
    }
}

impl From<Record> for PullRequest {
    fn from(record: Record) -> Self {
        Self { number: record.number, url: String::new(), title: record.title, draft: record.draft }
    }
}

impl Inner {
    fn folder(&self) -> PathBuf {
        self.git_dir.join("codebutler").join("pulls")
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder().join(format!("{number}.json"))
    }

    pub(super) fn records(&self) -> Result<Vec<Record>, ForgeError> {
        let folder = self.folder();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(fault(&folder, &error)),
        };
        let names =
            entries.flatten().filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".json")?.parse().ok());
        names.map(|number| self.record(number)).collect()
    }

    pub(super) fn record(&self, number: u64) -> Result<Record, ForgeError> {
        let path = self.path(number);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let hint = "Ask here for the work to be published again.";
                return Err(refused(format!("There is no pull request #{number}."), hint));
            }
            Err(error) => return Err(fault(&path, &error)),
        };
        serde_json::from_slice(&text).map_err(|error| {
            refused(
                format!("The record `{}` is damaged: {error}.", path.display()),
                "Correct it or delete it, then try again.",
            )
        })
    }

    /// A new record under the next free number.
    pub(super) fn add(&self, new: &NewPullRequest) -> Result<Record, ForgeError> {
        let head = self.local_head(&new.branch)?.ok_or_else(|| {
            refused(format!("The branch `{}` is gone.", new.branch), "Open a new thread for the work.")
        })?;
        let number = self.records()?.iter().map(|record| record.number).max().unwrap_or(0) + 1;
        self.save(Record {
            number,
            title: new.title.clone(),
            body: body::fresh(new),
            branch: new.branch.clone(),
            base: new.base.clone(),
            head,
            draft: new.draft,
            state: State::Open,
            merged: None,
            moving: None,
        })
    }

    pub(super) fn save(&self, record: Record) -> Result<Record, ForgeError> {
        let (folder, path) = (self.folder(), self.path(record.number));
        let temporary = path.with_extension("tmp");
        let text = serde_json::to_vec_pretty(&record).expect("a record is plain data");
        let write = || {
            std::fs::create_dir_all(&folder)?;
            let mut file = std::fs::File::create(&temporary)?;
            file.write_all(&text)?;
            file.sync_all()?;
            std::fs::rename(&temporary, &path)
        };
        write().map_err(|error| fault(&path, &error))?;
        Ok(record)
    }
}

fn fault(path: &Path, error: &std::io::Error) -> ForgeError {
    refused(
        format!("`{}` could not be used: {error}.", path.display()),
        "Check the folder's permissions and the free disk space, then try again.",
    )
}
