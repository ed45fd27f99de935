//! The squash merge on GitHub: looked at first, pinned to the reviewed head, and every refusal in its own words.

use serde::Deserialize;
use serde_json::json;

use super::gh::{Answer, Method, TRIES, Trouble};
use super::{GitHub, Pull};
use crate::forge::{ForgeError, MergeError, MergeRequest};
use crate::ids::CommitId;

/// How often GitHub is asked whether a pull request can be merged while it still computes that.
const LOOKS: u32 = 6;

impl GitHub {
    pub(super) async fn squash(&self, request: &MergeRequest) -> Result<CommitId, MergeError> {
        let mut attempt = 0;
        loop {
            let pull = match self.settled(request.number).await {
                Ok(pull) => pull,
                // An earlier try, of this life or of one that was killed, may have been a success.
                Err(Trouble::Transient(error)) => return Err(MergeError::Unknown(error)),
                Err(Trouble::Final(error)) if attempt > 0 => return Err(MergeError::Unknown(error)),
                Err(Trouble::Final(error)) => return Err(MergeError::Refused(error)),
            };
            if let Some(commit) = merged(&pull) {
                return Ok(commit);
            }
            check(&pull, request)?;
            attempt += 1;
            let refused = match self.put(request).await {
                Ok(commit) => return Ok(commit),
                Err(refused) => refused,
            };
            // The answer may be all that failed; and the base may have moved in between.
            match refused {
                Trouble::Transient(_) if attempt < TRIES => self.pause(attempt).await,
                refused => return self.unless_merged(request.number, refused).await,
            }
        }
    }

    /// The pull request once GitHub knows whether it can be merged.
    async fn settled(&self, number: u64) -> Result<Pull, Trouble> {
        let mut pull = self.look_at(number).await?;
        for look in 1..LOOKS {
            if pull.merged || pull.state != "open" || pull.mergeable.is_some() {
                break;
            }
            self.pause(look).await;
            pull = self.look_at(number).await?;
        }
        Ok(pull)
    }

    /// How the pull request stands; a trouble that is final says that GitHub cannot be asked this at all.
    async fn look_at(&self, number: u64) -> Result<Pull, Trouble> {
        let answer = self.gh.call(Method::Get, &self.path(&format!("pulls/{number}")), None).await?;
        answer.read_act(&format!("read pull request #{number}"))
    }

    async fn unless_merged(&self, number: u64, refused: Trouble) -> Result<CommitId, MergeError> {
        match (self.look_at(number).await, refused) {
            (Ok(pull), refused) => merged(&pull).ok_or(MergeError::Refused(refused.into())),
            (Err(_), Trouble::Final(error)) => Err(MergeError::Refused(error)),
            (Err(_), Trouble::Transient(error)) => Err(MergeError::Unknown(error)),
        }
    }

    async fn put(&self, request: &MergeRequest) -> Result<CommitId, Trouble> {
        #[derive(Deserialize)]
        struct Done {
            sha: String,
        }
        let body = json!({
            "sha": request.head.as_str(),
            "merge_method": "squash",
            "commit_title": request.title,
            "commit_message": request.message,
        });
        let path = self.path(&format!("pulls/{}/merge", request.number));
        let answer = self.gh.call(Method::Put, &path, Some(&body)).await?;
        if (200..300).contains(&answer.status) {
            return answer.read_act("merge").map(|done: Done| CommitId::new(done.sha));
        }
        Err(refusal(&answer, request))
    }
}

fn merged(pull: &Pull) -> Option<CommitId> {
    pull.merged.then(|| CommitId::new(pull.merge_commit_sha.clone().unwrap_or_else(|| pull.head.sha.clone())))
}

fn check(pull: &Pull, request: &MergeRequest) -> Result<(), ForgeError> {
    let number = pull.number;
    let error = |what: String, hint: &str| Err(ForgeError { what, hint: hint.to_owned() });
    if pull.state != "open" {
        return error(
            format!("Pull request #{number} was closed on GitHub."),
            "Open it again there and say `merge`, or `!retry` for a new one with the same work, or `!close` this thread.",
        );
    }
    if pull.head.sha != request.head.as_str() {
        return Err(moved(request));
    }
    if pull.draft {
        return error(
            format!("Pull request #{number} is a draft."),
            "Finish what it lists (say so here), or press “Ready for review” on GitHub; then say `merge`.",
        );
    }
    if pull.mergeable == Some(false) {
        return Err(conflict(request));
    }
    Ok(())
}

fn moved(request: &MergeRequest) -> ForgeError {
    ForgeError {
        what: format!(
            "The branch `{}` has another head than the reviewed `{}`: someone pushed to it.",
            request.branch,
            request.head.short()
        ),
        hint: format!(
            "`!retry` lets the Coder take the new commits over; or look at pull request #{} and merge it on GitHub.",
            request.number
        ),
    }
}

fn conflict(request: &MergeRequest) -> ForgeError {
    ForgeError {
        what: format!("Pull request #{} conflicts with `{}`.", request.number, request.base),
        hint: format!("Ask here for `{}` to be merged into the branch, then say `merge` again.", request.base),
    }
}

/// Parts of GitHub's refusals (HTTP 405), what they mean, what to do.
const RULES: &[(&str, &str, &str)] = &[
    ("draft", "it is a draft", "Press “Ready for review” on GitHub, then say `merge`."),
    (
        "merge queue",
        "this branch is merged by a merge queue",
        "Press “Merge when ready” on GitHub; when it is merged, say `merge` here to clean up.",
    ),
    (
        "squash merg",
        "the repository does not allow squash merges",
        "Allow them in its settings and say `merge` again, or merge it on GitHub and say `merge` here to clean up.",
    ),
    ("review", "a review is missing", "Ask a reviewer for it, then say `merge` again."),
    ("status check", "a required check has not passed", "Wait until the checks are green, then say `merge` again."),
    ("check", "a required check has not passed", "Wait until the checks are green, then say `merge` again."),
    ("workflow", "the login may not change workflow files", "Run `gh auth refresh -s workflow`, then say `merge`."),
    (
        "not authorized",
        "the login may not merge here",
        "Give the account the right to, or let someone merge it on GitHub and say `merge` here to clean up.",
    ),
];

fn refusal(answer: &Answer, request: &MergeRequest) -> Trouble {
    let said = answer.message();
    let lower = said.to_lowercase();
    match answer.status {
        409 if lower.contains("head branch") || lower.contains("head sha") => Trouble::Final(moved(request)),
        405 | 409 if lower.contains("base branch was modified") => Trouble::Transient(ForgeError {
            what: format!("`{}` moved while pull request #{} was merged.", request.base, request.number),
            hint: "Say `merge` again.".to_owned(),
        }),
        405 if lower.contains("conflict") || lower.contains("not mergeable") => Trouble::Final(conflict(request)),
        405 | 403 | 422 if RULES.iter().any(|(part, _, _)| lower.contains(part)) && !lower.contains("rate limit") => {
            let rule = RULES.iter().find(|(part, _, _)| lower.contains(part));
            let (_, why, hint) = rule.expect("one of them matched");
            Trouble::Final(ForgeError {
                what: format!("GitHub refuses to merge pull request #{}: {why} (“{said}”).", request.number),
                hint: (*hint).to_owned(),
            })
        }
        status => {
            let error = answer.done(&format!("merge pull request #{}", request.number));
            let error = error.expect_err("a refusal is no success");
            if status >= 500 { Trouble::Transient(error) } else { Trouble::Final(error) }
        }
    }
}
