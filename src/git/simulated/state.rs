//! What a simulated repository and its remote hold: commits, branch heads, records of worktrees. No probe, no faults.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::{Fault, Files, unreachable};
use crate::git::{BaseCommit, GitError};
use crate::ids::{CommitId, ThreadKey};
use crate::thread::event::Workspace;

/// A commit; named by a hash of all it holds, so that equal histories have equal names.
#[derive(Clone, Debug)]
pub(super) struct Commit {
    pub(super) files: Files,
    pub(super) parents: Vec<CommitId>,
    pub(super) message: String,
}

#[derive(Debug)]
struct Record {
    workspace: Workspace,
    complete: bool,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) commits: BTreeMap<CommitId, Commit>,
    /// Heads on the remote.
    pub(super) remote: BTreeMap<String, CommitId>,
    /// Heads of the remote as they were last fetched or pushed.
    pub(super) fetched: BTreeMap<String, CommitId>,
    pub(super) local: BTreeMap<String, CommitId>,
    pub(super) own_edits: BTreeMap<String, String>,
    pub(super) excluded: BTreeSet<String>,
    records: BTreeMap<String, Record>,
    pub(super) offline: bool,
    pub(super) faults: BTreeMap<&'static str, VecDeque<Fault>>,
    pub(super) deeds: Vec<String>,
}

impl State {
    pub(super) fn note(&mut self, deed: String) {
        self.deeds.push(deed);
    }

    /// Adds a commit and gives its name.
    pub(super) fn commit(&mut self, files: Files, parents: Vec<CommitId>, message: &str) -> CommitId {
        let commit = Commit { files, parents, message: message.to_owned() };
        let digest = Sha256::digest(format!("{commit:?}"));
        let id: String = digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect();
        let id = CommitId::new(id);
        self.commits.insert(id.clone(), commit);
        id
    }

    pub(super) fn files(&self, commit: &CommitId) -> Files {
        self.commits[commit].files.clone()
    }

    /// A commit and all it builds on, itself first.
    pub(super) fn history(&self, commit: &CommitId) -> Vec<CommitId> {
        let mut found = vec![commit.clone()];
        let mut at = 0;
        while at < found.len() {
            for parent in &self.commits[&found[at]].parents {
                if !found.contains(parent) {
                    found.push(parent.clone());
                }
            }
            at += 1;
        }
        found
    }

    pub(super) fn is_in(&self, commit: &CommitId, later: &CommitId) -> bool {
        self.history(later).contains(commit)
    }

    /// The newest commit that both build on.
    pub(super) fn merge_base(&self, one: &CommitId, other: &CommitId) -> Option<CommitId> {
        let of_other = self.history(other);
        self.history(one).into_iter().find(|commit| of_other.contains(commit))
    }

    /// Files of `onto` with the changes of `head`; `Err` names those that both changed, each in its own way.
    pub(super) fn merged(&self, head: &CommitId, onto: &CommitId) -> Result<Files, Vec<String>> {
        let base = self.merge_base(head, onto).map(|base| self.files(&base)).unwrap_or_default();
        let (ours, mut theirs) = (self.files(head), self.files(onto));
        let mut conflicts = Vec::new();
        for path in changed(&base, &ours) {
            let (before, ours, now) = (base.get(&path), ours.get(&path), theirs.get(&path));
            if now != before && now != ours {
                conflicts.push(path);
            } else if let Some(content) = ours {
                theirs.insert(path, content.clone());
            } else {
                theirs.remove(&path);
            }
        }
        if conflicts.is_empty() { Ok(theirs) } else { Err(conflicts) }
    }

    /// Fetches a branch; its head, when the remote has it.
    pub(super) fn fetch(&mut self, branch: &str) -> Result<Option<CommitId>, GitError> {
        if self.offline {
            return Err(unreachable());
        }
        let head = self.remote.get(branch).cloned();
        if let Some(head) = &head {
            self.fetched.insert(branch.to_owned(), head.clone());
        }
        Ok(head)
    }

    /// The thread's worktree by its record, or a new one under a name that nobody has.
    pub(super) fn reserve(&mut self, thread: &ThreadKey, slug: &str, base: &BaseCommit, prefix: &str) -> Workspace {
        if let Some(workspace) = self.workspace_of(thread) {
            return workspace;
        }
        let names = (1..).map(|number| if number == 1 { slug.to_owned() } else { format!("{slug}-{number}") });
        let free = |slug: &String| {
            let branch = format!("{prefix}{slug}");
            let recorded = self.records.values().any(|record| record.workspace.slug == *slug);
            !recorded && !self.local.contains_key(&branch) && !self.remote.contains_key(&branch)
        };
        let slug = names.into_iter().find(free).expect("numbers do not end");
        let branch = format!("{prefix}{slug}");
        let workspace = Workspace { slug, branch, base: base.commit.clone(), base_branch: base.branch.clone() };
        self.records.insert(thread.to_text(), Record { workspace: workspace.clone(), complete: false });
        workspace
    }

    pub(super) fn workspace_of(&self, thread: &ThreadKey) -> Option<Workspace> {
        self.records.get(&thread.to_text()).map(|record| record.workspace.clone())
    }

    pub(super) fn is_complete(&self, thread: &ThreadKey) -> bool {
        self.records.get(&thread.to_text()).is_some_and(|record| record.complete)
    }

    pub(super) fn complete(&mut self, thread: &ThreadKey) {
        self.records.get_mut(&thread.to_text()).expect("reserved before").complete = true;
    }

    /// Removes record and branch; gives what is left. Commits that are nowhere else keep the branch.
    pub(super) fn remove(&mut self, workspace: &Workspace, secured: Option<&CommitId>) -> Vec<String> {
        self.records.retain(|_, record| record.workspace.slug != workspace.slug);
        let Some(head) = self.local.get(&workspace.branch) else { return Vec::new() };
        let known = [&workspace.branch, &workspace.base_branch].into_iter().filter_map(|name| self.fetched.get(name));
        let safe = known.chain(secured).chain([&workspace.base]).any(|commit| self.is_in(head, commit));
        if !safe {
            return vec![format!("The branch `{}` was kept: it has commits that are nowhere else.", workspace.branch)];
        }
        self.local.remove(&workspace.branch);
        Vec::new()
    }

    /// The files in a worktree's folder, but for what git overlooks.
    pub(super) fn read_folder(&self, folder: &Path) -> Files {
        fn collect(state: &State, folder: &Path, below: &str, files: &mut Files) {
            for entry in std::fs::read_dir(folder).expect("a folder is read").map(|entry| entry.expect("an entry")) {
                let name = entry.file_name().into_string().expect("a name in UTF-8");
                let kind = entry.file_type().expect("a kind");
                if state.excluded.contains(&name) {
                } else if kind.is_dir() {
                    collect(state, &entry.path(), &format!("{below}{name}/"), files);
                } else if kind.is_file() {
                    let content = std::fs::read(entry.path()).expect("a file is read");
                    files.insert(format!("{below}{name}"), String::from_utf8_lossy(&content).into_owned());
                }
            }
        }
        let mut files = Files::new();
        collect(self, folder, "", &mut files);
        files
    }
}

/// Paths whose content differs.
pub(super) fn changed(one: &Files, other: &Files) -> Vec<String> {
    let paths: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    paths.into_iter().filter(|path| one.get(*path) != other.get(*path)).cloned().collect()
}

/// Writes files into a folder, which is made.
pub(super) fn write_files(folder: &Path, files: &Files) {
    std::fs::create_dir_all(folder).expect("a folder is made");
    for (path, content) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder above")).expect("a folder is made");
        std::fs::write(path, content).expect("a file is written");
    }
}
