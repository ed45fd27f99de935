//! The squash commit, made in memory, and how it reaches a local base branch without harming anyone's checkout.

use std::fmt::Write as _;

use git2::{Oid, Repository};

use super::checkout::Move;
use super::records::Record;
use super::{Inner, git_error, refused};
use crate::forge::{ForgeError, MergeRequest};
use crate::ids::CommitId;

/// How far back a base branch is searched for a merge that was already done.
const SEARCHED: usize = 1000;

impl Inner {
    fn git2(&self) -> Result<Repository, ForgeError> {
        Repository::open(&self.git_dir).map_err(|error| git_error("open the repository", &error))
    }

    pub(super) fn local_head(&self, branch: &str) -> Result<Option<CommitId>, ForgeError> {
        let git = self.git2()?;
        Ok(git.refname_to_id(&format!("refs/heads/{branch}")).ok().map(|oid| CommitId::new(oid.to_string())))
    }

    /// The commit by which the request is in the base already: our own of an attempt whose record was lost, or what
    /// someone merged by hand.
    pub(super) fn merged_by_hand(
        &self,
        request: &MergeRequest,
        base: &CommitId,
    ) -> Result<Option<CommitId>, ForgeError> {
        let look = |git: &Repository| {
            let (base, head) = (Oid::from_str(base.as_str())?, Oid::from_str(request.head.as_str())?);
            if base == head || git.find_commit(head).is_ok() && git.graph_descendant_of(base, head)? {
                return Ok(Some(base));
            }
            let trailer = trailer(request);
            marked(git, base, None, |line| line == trailer)
        };
        let found =
            look(&self.git2()?).map_err(|error: git2::Error| git_error("look through the base branch", &error))?;
        Ok(found.map(|oid| CommitId::new(oid.to_string())))
    }

    /// Our own squash of this record in the base, whose answer or record was lost, and the head that was merged by it:
    /// the branch may have moved since. As far as the base's commits are here; what it had when the record was made is
    /// not searched.
    pub(super) fn squashed(
        &self,
        record: &Record,
        head: Option<&CommitId>,
        base: &CommitId,
    ) -> Option<(CommitId, CommitId)> {
        let mark = mark(record.number);
        // Another clone counts its pull requests from one too: the head must be of this branch, which people may have
        // rebased since.
        let of_this = |merged: &str| {
            let merged = CommitId::new(merged);
            let rebased = |head| self.is_in(&merged, head) && !self.is_in(&merged, &record.head);
            self.is_in(&record.head, &merged) || head.is_some_and(rebased)
        };
        let git = self.git2().ok()?;
        let (base, since) = (oid(base).ok()?, oid(&record.head).ok());
        let of = |line: &str| line.strip_prefix(&mark).filter(|merged| of_this(merged)).map(CommitId::new);
        let found = marked(&git, base, since, |line| of(line).is_some()).ok()??;
        let merged = git.find_commit(found).ok()?.message().ok()?.lines().find_map(of)?;
        Some((CommitId::new(found.to_string()), merged))
    }

    /// Whether a commit is here.
    pub(super) fn has(&self, commit: &CommitId) -> bool {
        let look = || Some(self.git2().ok()?.find_commit(oid(commit).ok()?).is_ok());
        look().unwrap_or(false)
    }

    /// Whether the base has this commit, as far as its own are here.
    pub(super) fn is_in(&self, commit: &CommitId, base: &CommitId) -> bool {
        let look = || {
            let (git, commit, base) = (self.git2().ok()?, oid(commit).ok()?, oid(base).ok()?);
            git.graph_descendant_of(base, commit).ok()
        };
        commit == base || look().unwrap_or(false)
    }

    /// Files on which the two sides disagree.
    pub(super) fn conflicts(&self, base: &CommitId, head: &CommitId) -> Result<Vec<String>, ForgeError> {
        let git = self.git2()?;
        let index = merged_index(&git, base, head).map_err(|error| git_error("merge the branch", &error))?;
        Ok(conflicting(&index))
    }

    /// Makes the squash commit on top of `base`. Nothing refers to it yet.
    pub(super) fn squash(&self, request: &MergeRequest, base: &CommitId) -> Result<CommitId, ForgeError> {
        let git = self.git2()?;
        let mut index =
            merged_index(&git, base, &request.head).map_err(|error| git_error("merge the branch", &error))?;
        let files = conflicting(&index);
        if !files.is_empty() {
            return Err(refused(
                format!("`{}` conflicts with `{}` in {}.", request.branch, request.base, files.join(", ")),
                format!("Ask here for `{}` to be merged into the branch, then say `merge` again.", request.base),
            ));
        }
        let mut commit = || {
            let tree = git.find_tree(index.write_tree_to(&git)?)?;
            let parent = git.find_commit(Oid::from_str(base.as_str())?)?;
            let signature = git2::Signature::now(&self.author.0, &self.author.1)?;
            git.commit(None, &signature, &signature, &message(request), &tree, &[&parent])
        };
        let commit = commit().map_err(|error| git_error("make the squash commit", &error))?;
        Ok(CommitId::new(commit.to_string()))
    }

    /// Moves the local base branch on, and with it the owner's checkout when that is on it and clean.
    pub(super) fn advance_local(
        &self,
        request: &MergeRequest,
        base: &CommitId,
        commit: &CommitId,
    ) -> Result<(), ForgeError> {
        let git = self.git2()?;
        let name = format!("refs/heads/{}", request.base);
        let fault = |error: git2::Error| git_error(&format!("move `{}` on", request.base), &error);
        let (old, new) = (oid(base)?, oid(commit)?);
        self.refuse_other_checkouts(&git, request, &name)?;
        if !git.is_bare() && is_on(&git, &name) {
            self.move_checkout(&git, request, old, new)?;
        }
        let log = format!("codebutler: pull request #{}", request.number);
        match git.reference_matching(&name, new, true, old, &log) {
            Ok(_) => Ok(()),
            Err(error) if error.code() == git2::ErrorCode::Modified => Err(moved(request)),
            Err(error) => Err(fault(error)),
        }
    }

    fn move_checkout(&self, git: &Repository, request: &MergeRequest, old: Oid, new: Oid) -> Result<(), ForgeError> {
        let fault = |error: git2::Error| git_error("move your checkout on", &error);
        if git.refname_to_id("HEAD").map_err(fault)? != old {
            return Err(moved(request));
        }
        let record = self.record(request.number)?;
        let begun = record.moving.as_ref().map(oid).transpose()?;
        let mut checkout = Move::new(git, old, new, begun).map_err(fault)?;
        let Some(progress) = checkout.progress().map_err(fault)? else { return Err(self.unclean(request)) };
        if progress.is_complete() {
            return Ok(());
        }
        let is_first = !checkout.was_begun();
        if is_first {
            let moving = Some(CommitId::new(new.to_string()));
            // Without it a cut is only taken for the owner's change, more often than need be.
            if let Err(error) = self.save(Record { moving, ..record.clone() }) {
                tracing::warn!(
                    pull = record.number,
                    error = error.what,
                    "a move of the checkout could not be recorded"
                );
            }
        }
        checkout.complete(&progress).map_err(|error| match error.code() {
            git2::ErrorCode::Conflict if is_first => {
                // Nothing was moved. Should this fail too, the next attempt only takes more for its own.
                let _ = self.save(record);
                self.unclean(request)
            }
            git2::ErrorCode::Conflict => self.unclean(request),
            _ => fault(error),
        })
    }

    fn unclean(&self, request: &MergeRequest) -> ForgeError {
        refused(
            format!("Your checkout is on `{}` and has changes that are not committed.", request.base),
            format!("Commit or stash them and say `merge` again, or merge yourself: `{}`.", self.by_hand(request)),
        )
    }

    fn by_hand(&self, request: &MergeRequest) -> String {
        let root = self.root.display();
        format!("git -C {root} merge --squash {} && git -C {root} commit", request.branch)
    }

    /// Another worktree on the base branch would look as if everything had been reverted in it.
    fn refuse_other_checkouts(&self, git: &Repository, request: &MergeRequest, name: &str) -> Result<(), ForgeError> {
        let names = git.worktrees().map_err(|error| git_error("list the worktrees", &error))?;
        for worktree in names.iter().filter_map(|name| git.find_worktree(name.ok()??).ok()) {
            let there = Repository::open_from_worktree(&worktree).is_ok_and(|other| is_on(&other, name));
            if there {
                let path = worktree.path().display();
                return Err(refused(
                    format!("`{}` is checked out in `{path}`.", request.base),
                    format!(
                        "Switch that worktree to another branch and say `merge` again, or merge there: `git -C {path} \
                         merge --squash {} && git -C {path} commit`.",
                        request.branch
                    ),
                ));
            }
        }
        Ok(())
    }
}

fn moved(request: &MergeRequest) -> ForgeError {
    refused(format!("`{}` moved while it was merged to.", request.base), "Say `merge` again.")
}

fn oid(commit: &CommitId) -> Result<Oid, ForgeError> {
    Oid::from_str(commit.as_str()).map_err(|error| git_error("read a commit's hash", &error))
}

fn is_on(git: &Repository, name: &str) -> bool {
    git.find_reference("HEAD").is_ok_and(|head| head.symbolic_target().ok().flatten() == Some(name))
}

fn merged_index(git: &Repository, base: &CommitId, head: &CommitId) -> Result<git2::Index, git2::Error> {
    let base = git.find_commit(Oid::from_str(base.as_str())?)?;
    let head = git.find_commit(Oid::from_str(head.as_str())?)?;
    git.merge_commits(&base, &head, None)
}

fn conflicting(index: &git2::Index) -> Vec<String> {
    let path = |entry: git2::IndexEntry| format!("`{}`", String::from_utf8_lossy(&entry.path));
    let conflicts = index.conflicts().into_iter().flatten().flatten();
    let mut files: Vec<String> =
        conflicts.filter_map(|conflict| conflict.our.or(conflict.their).or(conflict.ancestor).map(path)).collect();
    files.sort();
    files.dedup();
    files
}

/// The newest commit of `base` with such a line in its message, without what `since` has.
fn marked(
    git: &Repository,
    base: Oid,
    since: Option<Oid>,
    is_it: impl Fn(&str) -> bool,
) -> Result<Option<Oid>, git2::Error> {
    let mut walk = git.revwalk()?;
    walk.push(base)?;
    if let Some(since) = since.filter(|since| git.find_commit(*since).is_ok()) {
        walk.hide(since)?;
    }
    for id in walk.take(SEARCHED) {
        let commit = git.find_commit(id?)?;
        if commit.message().is_ok_and(|message| message.lines().any(&is_it)) {
            return Ok(Some(commit.id()));
        }
    }
    Ok(None)
}

/// The mark by which a merge is known again.
fn trailer(request: &MergeRequest) -> String {
    format!("{}{}", mark(request.number), request.head)
}

/// What the mark of every merge of this pull request begins with.
fn mark(number: u64) -> String {
    format!("Codebutler-Pull: {number} head=")
}

fn message(request: &MergeRequest) -> String {
    let mut message = request.title.trim().to_owned();
    let rest = request.message.trim();
    if !rest.is_empty() {
        let _ = write!(message, "\n\n{rest}");
    }
    // Trailers stand in one paragraph.
    let joined = rest.lines().last().is_some_and(|line| line.starts_with("Requested-by: "));
    let _ = writeln!(message, "{}{}", if joined { "\n" } else { "\n\n" }, trailer(request));
    message
}
