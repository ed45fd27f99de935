//! The owner's checkout, moved from the base branch's commit to the merged one. Only what is as one of the two has it
//! is touched: anything else is the owner's own change and refuses the move.
//!
//! Files are written one after the other and the index last, so an attempt that was cut leaves some files as they are
//! to become. Those count as arrived. What only a cut explains (a file that is not there, or whose end is missing)
//! counts as ours when the record says that an attempt was begun.

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use git2::build::CheckoutBuilder;
use git2::{Delta, DiffOptions, FileMode, Index, Oid, Repository, Tree};

/// A move of the checkout from one commit's files to another's.
pub(super) struct Move<'a> {
    git: &'a Repository,
    index: Index,
    from: Tree<'a>,
    to: Tree<'a>,
    /// What an earlier attempt was moving to.
    begun: Option<Tree<'a>>,
}

/// How far a move has come: paths that differ on the way.
#[derive(Debug, Default)]
pub(super) struct Progress {
    arrived: bool,
    waiting: Vec<PathBuf>,
    /// Left by the cut, and to be written anew.
    torn: Vec<PathBuf>,
    staged: bool,
}

impl Progress {
    /// Whether nothing is left to be done.
    pub(super) fn is_complete(&self) -> bool {
        self.staged && self.waiting.is_empty() && self.torn.is_empty()
    }
}

impl<'a> Move<'a> {
    /// From a commit, which the checkout is on, to another. `begun` is the one that an earlier attempt was moving to.
    pub(super) fn new(git: &'a Repository, from: Oid, to: Oid, begun: Option<Oid>) -> Result<Self, git2::Error> {
        let tree = |commit: Oid| git.find_commit(commit)?.tree();
        // From another commit it was another move, and the owner has been at the checkout since.
        let same = |commit: &git2::Commit<'a>| commit.parent_ids().eq([from]);
        let begun = begun.and_then(|commit| git.find_commit(commit).ok()).filter(same);
        let begun = begun.map(|commit| commit.tree()).transpose()?;
        Ok(Self { git, index: git.index()?, from: tree(from)?, to: tree(to)?, begun })
    }

    /// Whether an earlier attempt may have left something.
    pub(super) fn was_begun(&self) -> bool {
        self.begun.is_some()
    }

    /// How far it has come; `None` when the checkout has changes of the owner's.
    pub(super) fn progress(&mut self) -> Result<Option<Progress>, git2::Error> {
        self.index.read(true)?;
        if self.index.has_conflicts() || self.git.state() != git2::RepositoryState::Clean {
            return Ok(None);
        }
        let (not_from, not_to) = (self.staged_against(&self.from)?, self.staged_against(&self.to)?);
        let changed = self.changed()?;
        let mut options = DiffOptions::new();
        options.ignore_submodules(true);
        let unstaged = paths(&self.git.diff_index_to_workdir(Some(&self.index), Some(&mut options))?);
        if !not_from.is_disjoint(&not_to) || !unstaged.is_subset(&changed) {
            return Ok(None);
        }
        let mut progress = Progress { staged: not_to.is_empty(), ..Progress::default() };
        let (not_from, not_to) = (self.differing(&self.from, &changed)?, self.differing(&self.to, &changed)?);
        for path in &changed {
            if !not_to.contains(path) {
                progress.arrived = true;
            } else if self.is_blocked(path, &changed) {
                return Ok(None);
            } else if !not_from.contains(path) {
                progress.waiting.push(path.clone());
            } else if self.is_torn(path) {
                progress.torn.push(path.clone());
            } else {
                return Ok(None);
            }
        }
        Ok(Some(progress))
    }

    /// Does what is left.
    pub(super) fn complete(&mut self, progress: &Progress) -> Result<(), git2::Error> {
        let mut checkout = CheckoutBuilder::new();
        checkout.safe();
        if !progress.arrived && progress.torn.is_empty() {
            return self.git.checkout_tree(self.to.as_object(), Some(&mut checkout));
        }
        self.check_out(&progress.waiting, checkout)?;
        progress.torn.iter().try_for_each(|path| self.prepare(path)).map_err(|error| {
            git2::Error::new(git2::ErrorCode::GenericError, git2::ErrorClass::Os, error.to_string())
        })?;
        let mut checkout = CheckoutBuilder::new();
        checkout.force();
        self.check_out(&progress.torn, checkout)?;
        self.index.read_tree(&self.to)?;
        self.index.write()
    }

    /// Makes of a torn file what libgit2 overwrites: one of which nothing is left may be none to it.
    fn prepare(&self, path: &Path) -> std::io::Result<()> {
        let Some(file) = self.git.workdir().map(|root| root.join(path)) else { return Ok(()) };
        if self.to.get_path(path).is_err() {
            return std::fs::remove_file(file);
        }
        if let Some(folder) = file.parent() {
            std::fs::create_dir_all(folder)?;
        }
        match std::fs::File::create_new(file) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn check_out(&self, paths: &[PathBuf], mut checkout: CheckoutBuilder<'_>) -> Result<(), git2::Error> {
        if paths.is_empty() {
            return Ok(());
        }
        checkout.disable_pathspec_match(true).update_index(false);
        for path in paths {
            checkout.path(path);
        }
        self.git.checkout_tree(self.to.as_object(), Some(&mut checkout))
    }

    /// Files that differ between the two commits, or that an earlier attempt may have changed.
    fn changed(&self) -> Result<BTreeSet<PathBuf>, git2::Error> {
        let mut changed = BTreeSet::new();
        for to in std::iter::once(&self.to).chain(&self.begun) {
            let diff = self.git.diff_tree_to_tree(Some(&self.from), Some(to), None)?;
            let is_submodule = |file: git2::DiffFile<'_>| file.mode() == FileMode::Commit;
            let files =
                diff.deltas().filter(|delta| !is_submodule(delta.old_file()) && !is_submodule(delta.new_file()));
            changed.extend(files.filter_map(|delta| path_of(&delta)));
        }
        Ok(changed)
    }

    fn staged_against(&self, tree: &Tree<'_>) -> Result<BTreeSet<PathBuf>, git2::Error> {
        Ok(paths(&self.git.diff_tree_to_index(Some(tree), Some(&self.index), None)?))
    }

    /// Those of the paths where the disk is not as the tree.
    fn differing(&self, tree: &Tree<'_>, of: &BTreeSet<PathBuf>) -> Result<BTreeSet<PathBuf>, git2::Error> {
        // No path would mean all.
        if of.is_empty() {
            return Ok(BTreeSet::new());
        }
        let mut options = DiffOptions::new();
        options.disable_pathspec_match(true).ignore_submodules(true).include_typechange(true);
        options.include_untracked(true).recurse_untracked_dirs(true);
        options.include_ignored(true).recurse_ignored_dirs(true);
        for path in of {
            options.pathspec(path);
        }
        Ok(paths(&self.git.diff_tree_to_workdir(Some(tree), Some(&mut options))?))
    }

    /// Whether something of the owner's is where a folder on the way to a file must be.
    fn is_blocked(&self, path: &Path, changed: &BTreeSet<PathBuf>) -> bool {
        let Some(root) = self.git.workdir() else { return false };
        let is_folder = |folder: &Path| root.join(folder).symlink_metadata().map_or(true, |meta| meta.is_dir());
        path.ancestors().skip(1).any(|folder| !changed.contains(folder) && !is_folder(folder))
    }

    /// Whether a file is what an earlier attempt left of it: nothing, or the beginning of what it was to become.
    fn is_torn(&self, path: &Path) -> bool {
        let (Some(begun), Some(root)) = (&self.begun, self.git.workdir()) else { return false };
        let file = root.join(path);
        let content = match file.symlink_metadata() {
            Err(error) => return error.kind() == std::io::ErrorKind::NotFound,
            Ok(meta) if meta.is_file() => std::fs::read(&file).ok(),
            Ok(meta) if meta.is_symlink() => {
                std::fs::read_link(&file).ok().map(|target| target.as_os_str().as_bytes().to_vec())
            }
            Ok(_) => None,
        };
        let Some(content) = content else { return false };
        [begun, &self.to].into_iter().any(|tree| {
            let blob = tree.get_path(path).and_then(|entry| self.git.find_blob(entry.id()));
            blob.is_ok_and(|blob| blob.content().starts_with(&content))
        })
    }
}

fn paths(diff: &git2::Diff<'_>) -> BTreeSet<PathBuf> {
    diff.deltas().filter(|delta| delta.status() != Delta::Unmodified).filter_map(|delta| path_of(&delta)).collect()
}

fn path_of(delta: &git2::DiffDelta<'_>) -> Option<PathBuf> {
    let file = if delta.status() == Delta::Deleted { delta.old_file() } else { delta.new_file() };
    file.path().map(Path::to_path_buf)
}
