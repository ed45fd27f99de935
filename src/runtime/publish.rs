//! The end of a Coder run: what is uncommitted is committed, the branch pushed, the pull request opened or found
//! (`contract.md` 5). Every step may have happened before; then it is found, not repeated.

#[cfg(test)]
mod tests;

use crate::forge::UNFINISHED;
use crate::git::Selection;
use crate::thread::command::Deed;
use crate::thread::event::{Failure, Publication};
use crate::thread::state::Publishing;
use crate::tools::ThreadWork;

/// Brings the Coder's work to the pull request. `title` is the plan's, `evidence` what the log shows. The deeds are what was done, also when the rest
/// failed. Without changes against the base there is no pull request, and the publication has no head.
pub async fn publish(
    work: &ThreadWork,
    publishing: &Publishing,
    title: &str,
    evidence: &str,
) -> (Result<Publication, Failure>, Vec<Deed>) {
    let mut deeds = Vec::new();
    let result = bring(work, publishing, title, evidence, &mut deeds).await;
    (result, deeds)
}

async fn bring(
    work: &ThreadWork,
    publishing: &Publishing,
    title: &str,
    evidence: &str,
    deeds: &mut Vec<Deed>,
) -> Result<Publication, Failure> {
    let selection = Selection::TrackedAnd(publishing.wrote.clone());
    let done = work.git.commit_all(title, selection).await?;
    deeds.extend(done.commit.map(Deed::Committed));
    let stat = work.git.diff_stat().await?;
    if stat.files == 0 {
        return Ok(Publication { left_out: done.left_out, ..Publication::default() });
    }
    let head = work.git.head().await?;
    work.deliver(title, &body(publishing), Some(evidence), publishing.missing().is_some(), deeds).await?;
    let (files, added, removed) = (stat.files, stat.added, stat.removed);
    Ok(Publication { head: Some(head), files, added, removed, left_out: done.left_out, diff: None })
}

fn body(publishing: &Publishing) -> String {
    match publishing.missing() {
        Some(missing) => {
            // One line: it is the part that is replaced above a body of other people's words.
            let missing = missing.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("{UNFINISHED} {missing}\n\n{}", publishing.report.trim())
        }
        None => publishing.report.trim().to_owned(),
    }
}
