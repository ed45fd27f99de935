//! Changes as a model reads them: a list of files with line counts, then the patches as far as they fit.

use std::fmt::Write as _;

use git2::{DiffFindOptions, DiffOptions, Patch};

use super::thread_git::{Opened, ThreadGit, pathspec, short};
use super::{GitError, internal, leftover};

/// Most characters of a diff: what a model is shown of it at once, with room for a word on what is left out.
pub const LIMIT: usize = crate::agent::output::RESULT_BYTES - 2_000;
/// Most characters of one file's patch among others.
const FILE_LIMIT: usize = 8_000;
/// Files over this size are treated as binary.
const LARGE: i64 = 2 << 20;

/// How much changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiffStat {
    /// Files changed.
    pub files: u32,
    /// Lines added.
    pub added: u32,
    /// Lines removed.
    pub removed: u32,
}

impl ThreadGit {
    /// The thread's changes, committed and not, against the point where its branch left the base branch, or against
    /// `base`. Without a worktree: what the base commit changed, or how it differs from `base`.
    pub async fn diff(&self, base: Option<&str>, path: Option<&str>) -> Result<String, GitError> {
        let (base, path) = (base.map(str::to_owned), pathspec(path));
        self.in_repository(move |opened| {
            let from = opened.diff_start(base.as_deref())?;
            let text = opened.diff_text(from, path.as_deref(), opened.workspace.is_some());
            text.map_err(|error| internal("compare the files", &error))
        })
        .await
    }

    /// Files that the thread's work changed since its branch left its base branch, committed or not.
    pub async fn changed(&self) -> Result<Vec<String>, GitError> {
        self.workspace()?;
        self.in_repository(|opened| {
            let from = opened.merge_base()?;
            let diff = opened.compare(Some(from), None, true).map_err(|error| internal("compare the files", &error))?;
            let is_leftover = |delta: &git2::DiffDelta<'_>| {
                delta.new_file().path().and_then(std::path::Path::to_str).is_some_and(leftover::is_one)
            };
            Ok(diff.deltas().filter(|delta| !is_leftover(delta)).map(|delta| delta_name(&delta)).collect())
        })
        .await
    }

    /// What the branch's commits changed against the point where it left the base branch, whatever else is in the
    /// worktree.
    pub async fn diff_commits(&self) -> Result<String, GitError> {
        self.in_repository(|opened| {
            let from = opened.merge_base()?;
            opened.diff_text(Some(from), None, false).map_err(|error| internal("compare the commits", &error))
        })
        .await
    }

    /// How much the branch's commits changed against the point where it left the base branch.
    pub async fn diff_stat(&self) -> Result<DiffStat, GitError> {
        self.in_repository(|opened| {
            let from = opened.merge_base()?;
            opened.stat(from).map_err(|error| internal("compare the commits", &error))
        })
        .await
    }
}

impl Opened {
    fn diff_start(&self, base: Option<&str>) -> Result<Option<git2::Oid>, GitError> {
        let Some(base) = base else {
            return match &self.workspace {
                Some(_) => self.merge_base().map(Some),
                None => Ok(self.head_commit()?.parent_id(0).ok()),
            };
        };
        // The thread's head and the remote's branches, never those of the owner's checkout.
        let base = match base.strip_prefix("HEAD") {
            Some(rest) if rest.is_empty() || rest.starts_with(['~', '^']) => &format!("{}{rest}", self.head),
            _ => base,
        };
        let tracking = self.repository.tracking(base).and_then(|name| self.git.revparse_single(&name).ok());
        let found = tracking.map_or_else(|| self.git.revparse_single(base), Ok);
        let commit = found.and_then(|object| object.peel_to_commit()).map_err(|_| {
            GitError::new(
                format!("`{base}` is no commit, branch or tag of this repository."),
                "Give a commit's hash as GitLog shows it, or leave `base` out.",
            )
        })?;
        Ok(Some(commit.id()))
    }

    /// With what is in the worktree, committed or not, or with the head.
    fn compare(
        &self,
        from: Option<git2::Oid>,
        path: Option<&std::path::Path>,
        worktree: bool,
    ) -> Result<git2::Diff<'_>, git2::Error> {
        let mut options = DiffOptions::new();
        options.ignore_submodules(true).max_size(LARGE).disable_pathspec_match(true).include_typechange(true);
        options.indent_heuristic(true);
        if let Some(path) = path {
            options.pathspec(path);
        }
        let from = from.map(|oid| self.git.find_commit(oid)?.tree()).transpose()?;
        let mut diff = if worktree {
            options.include_untracked(true).recurse_untracked_dirs(true).show_untracked_content(true);
            self.git.diff_tree_to_workdir_with_index(from.as_ref(), Some(&mut options))?
        } else {
            let to = self.git.find_commit(self.head)?.tree()?;
            self.git.diff_tree_to_tree(from.as_ref(), Some(&to), Some(&mut options))?
        };
        diff.find_similar(Some(DiffFindOptions::new().renames(true).for_untracked(true)))?;
        Ok(diff)
    }

    fn diff_text(
        &self,
        from: Option<git2::Oid>,
        path: Option<&std::path::Path>,
        worktree: bool,
    ) -> Result<String, git2::Error> {
        let diff = self.compare(from, path, worktree)?;
        let from = from.map_or_else(|| "nothing".to_owned(), short);
        let to = if worktree { "the worktree".to_owned() } else { short(self.head) };
        let count = diff.deltas().len();
        if count == 0 {
            return Ok(format!("No changes between {from} and {to}.\n"));
        }
        let mut text = format!("{count} {} changed from {from} to {to}:\n", if count == 1 { "file" } else { "files" });
        let mut patches = Vec::new();
        for index in 0..count {
            let Some(delta) = diff.get_delta(index) else { continue };
            let name = delta_name(&delta);
            let patch = Patch::from_diff(&diff, index)?;
            let (line, body) = match patch {
                Some(mut patch) if !patch.delta().flags().is_binary() => {
                    let (_, added, removed) = patch.line_stats()?;
                    let body = String::from_utf8_lossy(&patch.to_buf()?).into_owned();
                    (format!("{name} (+{added} -{removed})"), body)
                }
                _ => (format!("{name} (binary)"), String::new()),
            };
            if text.len() < LIMIT / 3 {
                let _ = writeln!(text, "  {line}");
            }
            patches.push((name, body));
        }
        append_patches(&mut text, &patches);
        Ok(text)
    }

    fn stat(&self, from: git2::Oid) -> Result<DiffStat, git2::Error> {
        let (from, to) = (self.git.find_commit(from)?.tree()?, self.git.find_commit(self.head)?.tree()?);
        let mut options = DiffOptions::new();
        let mut diff = self.git.diff_tree_to_tree(Some(&from), Some(&to), Some(&mut options))?;
        diff.find_similar(Some(DiffFindOptions::new().renames(true)))?;
        let stats = diff.stats()?;
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Ok(DiffStat {
            files: count(stats.files_changed()),
            added: count(stats.insertions()),
            removed: count(stats.deletions()),
        })
    }
}

/// Adds the patches in order until the limit; a long one is cut in the middle, the rest is named.
fn append_patches(text: &mut String, patches: &[(String, String)]) {
    let mut left_out = Vec::new();
    let total: usize = patches.iter().map(|(_, body)| body.len()).sum();
    for (name, body) in patches.iter().filter(|(_, body)| !body.is_empty()) {
        let room = LIMIT.saturating_sub(text.len());
        let most = if total <= room || patches.len() == 1 { room } else { room.min(FILE_LIMIT) };
        if body.len() > most && most < FILE_LIMIT / 4 {
            left_out.push(name.as_str());
            continue;
        }
        let _ = write!(text, "\n{}", cut(body, most));
    }
    if !left_out.is_empty() {
        let _ = write!(
            text,
            "\n{} more are left out here; GitDiff with a `path` shows one: {}\n",
            left_out.len(),
            left_out.iter().take(50).copied().collect::<Vec<_>>().join(", ")
        );
    }
}

/// Head and tail of a patch at line ends, with what is left out said in between.
fn cut(body: &str, most: usize) -> String {
    if body.len() <= most {
        return body.to_owned();
    }
    let head_end = boundary(body, most * 2 / 3);
    let head_end = body[..head_end].rfind('\n').map_or(head_end, |at| at + 1);
    let tail_start = boundary(body, body.len() - most / 4);
    let tail_start = body[tail_start..].find('\n').map_or(tail_start, |at| tail_start + at + 1);
    let lines = body[head_end..tail_start].lines().count();
    format!("{}… {lines} lines left out …\n{}", &body[..head_end], &body[tail_start..])
}

/// The last position up to `at` where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn delta_name(delta: &git2::DiffDelta<'_>) -> String {
    let path = |file: git2::DiffFile<'_>| file.path().map(|path| path.display().to_string()).unwrap_or_default();
    let (old, new) = (path(delta.old_file()), path(delta.new_file()));
    match delta.status() {
        git2::Delta::Renamed => format!("{old} -> {new}"),
        git2::Delta::Added | git2::Delta::Untracked => format!("{new} new"),
        git2::Delta::Deleted => format!("{old} deleted"),
        _ => new,
    }
}
