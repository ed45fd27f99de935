//! Pull requests on GitHub, by `gh api` with the user's own login (`decisions.md` 15 to 19).
//!
//! An answer may be lost after the work was done: every act first looks, and after an error looks again. Never touches
//! git, and never reads or stores a token.

mod changes;
mod gh;
mod merge;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Forge, ForgeError, MergeError, MergeRequest, NewPullRequest, PullRequestStatus, PullState, body};
use crate::ids::CommitId;
use crate::thread::event::PullRequest;
use gh::{Answer, Gh, Method, TRIES, Trouble};

/// The pull requests of one repository on GitHub or a GitHub Enterprise Server.
#[derive(Clone, Debug)]
pub struct GitHub {
    gh: Gh,
    owner: String,
    repository: String,
}

/// What we read of a pull request.
#[derive(Clone, Debug, Deserialize)]
struct Pull {
    number: u64,
    #[serde(default)]
    node_id: String,
    html_url: String,
    title: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    draft: bool,
    state: String,
    #[serde(default)]
    merged: bool,
    #[serde(default)]
    mergeable: Option<bool>,
    #[serde(default)]
    merge_commit_sha: Option<String>,
    head: Tip,
}

#[derive(Clone, Debug, Deserialize)]
struct Tip {
    #[serde(rename = "ref")]
    branch: String,
    sha: String,
}

impl From<Pull> for PullRequest {
    fn from(pull: Pull) -> Self {
        Self { number: pull.number, url: pull.html_url, title: pull.title, draft: pull.draft }
    }
}

impl GitHub {
    /// The repository that a remote's raw URL names, when its host is github.com or `GH_HOST`. `directory` is where
    /// `gh` runs.
    pub fn detect(remote_url: &str, directory: PathBuf) -> Option<Self> {
        let own = std::env::var("GH_HOST").ok();
        let (host, owner, repository) = parse(remote_url, own.as_deref())?;
        let gh = Gh { directory, host, second: Duration::from_secs(1), env: Vec::new() };
        Some(Self { gh, owner, repository })
    }

    fn path(&self, rest: &str) -> String {
        format!("repos/{}/{}/{rest}", self.owner, self.repository)
    }

    async fn get(&self, rest: &str) -> Result<Answer, ForgeError> {
        Ok(self.gh.call(Method::Get, &self.path(rest), None).await?)
    }

    async fn pull(&self, number: u64) -> Result<Pull, ForgeError> {
        let doing = format!("read pull request #{number}");
        self.get(&format!("pulls/{number}")).await?.read(&doing)
    }

    /// The open pull request of a branch.
    async fn find(&self, branch: &str) -> Result<Option<Pull>, ForgeError> {
        let head = encode(&format!("{}:{branch}", self.owner));
        let found: Vec<Pull> =
            self.get(&format!("pulls?state=open&per_page=100&head={head}")).await?.read("look for the pull request")?;
        // GitHub ignores a filter that it does not understand.
        Ok(found.into_iter().find(|pull| pull.head.branch == branch))
    }

    /// Waits, longer each time; `tries` counts from 1.
    async fn pause(&self, tries: u32) {
        tokio::time::sleep(self.gh.second * tries).await;
    }

    async fn create(&self, new: &NewPullRequest, draft: bool) -> Result<Pull, Trouble> {
        let body =
            json!({"title": new.title, "body": body::fresh(new), "head": new.branch, "base": new.base, "draft": draft});
        let answer = self.gh.call(Method::Post, &self.path("pulls"), Some(&body)).await?;
        if answer.status == 422 && draft && answer.says("raft pull requests are not supported") {
            return Box::pin(self.create(new, false)).await;
        }
        if answer.status == 422 && answer.says("No commits between") {
            return Err(Trouble::Final(ForgeError {
                what: format!("The branch `{}` has no commits that `{}` has not.", new.branch, new.base),
                hint: "Commit and push something first.".to_owned(),
            }));
        }
        let again = "`!retry` pushes it again.";
        let by_hand = "Bring it back on GitHub, then `!retry`.";
        for (field, branch, hint) in [("head", &new.branch, again), ("base", &new.base, by_hand)] {
            if answer.refuses_field(field) {
                let what = format!("The branch `{branch}` is not on GitHub: someone deleted it there.");
                return Err(Trouble::Final(ForgeError { what, hint: hint.to_owned() }));
            }
        }
        answer.read_act("open the pull request")
    }

    /// Replaces title and body of a pull request that was not finished; of any other the evidence only.
    async fn bring_up_to_date(&self, pull: Pull, new: &NewPullRequest) -> Result<Pull, ForgeError> {
        let old = pull.body.as_deref().unwrap_or_default();
        let Some(text) = body::updated(old, new) else { return Ok(pull) };
        let title = if body::is_unfinished(old) { &new.title } else { &pull.title };
        let body = json!({"title": title, "body": text});
        let path = self.path(&format!("pulls/{}", pull.number));
        let answer = self.gh.call(Method::Patch, &path, Some(&body)).await?;
        answer.read("update the pull request")
    }

    /// Takes the draft mark off; only GraphQL can.
    async fn mark_ready(&self, pull: &Pull) -> Result<(), ForgeError> {
        let query = "mutation($id: ID!) { markPullRequestReadyForReview(input: {pullRequestId: $id}) \
                     { pullRequest { isDraft } } }";
        let value = self.gh.query(query, &json!({"id": pull.node_id}), "mark the pull request as ready").await?;
        match value.get("errors") {
            None => Ok(()),
            // The mark went by an attempt whose answer was lost, or by a person.
            Some(_) if self.pull(pull.number).await.is_ok_and(|pull| !pull.draft) => Ok(()),
            Some(errors) => {
                let message = errors.pointer("/0/message").and_then(Value::as_str).unwrap_or("no reason given");
                Err(ForgeError {
                    what: format!("Pull request #{} could not be marked as ready: {message}.", pull.number),
                    hint: format!("Do it by hand: {}", pull.html_url),
                })
            }
        }
    }

    /// Makes a draft of one that is open as ready; whether it is one now. Not every repository has drafts, and then the
    /// body and the thread say what is missing.
    async fn mark_draft(&self, pull: &Pull) -> bool {
        let query = "mutation($id: ID!) { convertPullRequestToDraft(input: {pullRequestId: $id}) \
                     { pullRequest { isDraft } } }";
        match self.gh.query(query, &json!({"id": pull.node_id}), "mark the pull request as a draft").await {
            Ok(value) if value.get("errors").is_none() => true,
            Ok(_) => self.pull(pull.number).await.is_ok_and(|pull| pull.draft),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the pull request is no draft");
                false
            }
        }
    }

    async fn reviews(&self, number: u64) -> Result<Vec<String>, ForgeError> {
        #[derive(Deserialize)]
        struct Review {
            user: Option<User>,
            state: String,
        }
        #[derive(Deserialize)]
        struct User {
            login: String,
        }
        let answer = self.get(&format!("pulls/{number}/reviews?per_page=100")).await?;
        let reviews: Vec<Review> = answer.read("read the reviews")?;
        let mut latest: Vec<(String, &str)> = Vec::new();
        for review in reviews {
            let words = match review.state.as_str() {
                "APPROVED" => "approved",
                "CHANGES_REQUESTED" => "asked for changes",
                "COMMENTED" => "commented",
                "DISMISSED" => "had a review that was dismissed",
                _ => continue,
            };
            let login = review.user.map_or_else(|| "someone".to_owned(), |user| user.login);
            match latest.iter_mut().find(|(name, _)| *name == login) {
                // A comment does not take back a verdict.
                Some((_, verdict)) if words != "commented" => *verdict = words,
                Some(_) => {}
                None => latest.push((login, words)),
            }
        }
        Ok(latest.into_iter().map(|(name, words)| format!("{name} {words}")).collect())
    }

    /// Check runs and commit statuses of a commit, one line each. A login that may not see them gets that as a line.
    async fn checks(&self, sha: &str) -> Result<Vec<String>, ForgeError> {
        #[derive(Deserialize)]
        struct Runs {
            check_runs: Vec<Check>,
        }
        #[derive(Deserialize)]
        struct Check {
            name: String,
            status: String,
            conclusion: Option<String>,
        }
        #[derive(Deserialize)]
        struct Statuses {
            statuses: Vec<Status>,
        }
        #[derive(Deserialize)]
        struct Status {
            context: String,
            state: String,
        }
        let (runs, statuses) = (format!("commits/{sha}/check-runs?per_page=100"), format!("commits/{sha}/status"));
        let (runs, statuses) = futures_util::future::try_join(self.get(&runs), self.get(&statuses)).await?;
        let mut lines = Vec::new();
        if matches!(runs.status, 403 | 404) {
            lines.push("checks cannot be read with this login".to_owned());
        } else {
            let runs: Runs = runs.read("read the checks")?;
            lines.extend(runs.check_runs.into_iter().map(|check| {
                let state = check.conclusion.unwrap_or(check.status).replace('_', " ");
                format!("{}: {state}", check.name)
            }));
        }
        if !matches!(statuses.status, 403 | 404) {
            let statuses: Statuses = statuses.read("read the checks")?;
            lines.extend(statuses.statuses.into_iter().map(|status| format!("{}: {}", status.context, status.state)));
        }
        Ok(lines)
    }
}

#[async_trait]
impl Forge for GitHub {
    async fn open(&self, new: &NewPullRequest) -> Result<PullRequest, ForgeError> {
        let mut tries = 0;
        let mut pull = loop {
            if let Some(pull) = self.find(&new.branch).await? {
                let mut pull = self.bring_up_to_date(pull, new).await?;
                if !pull.draft && new.draft {
                    pull.draft = self.mark_draft(&pull).await;
                }
                break pull;
            }
            tries += 1;
            match self.create(new, new.draft).await {
                Ok(pull) => break pull,
                Err(Trouble::Transient(_)) if tries < TRIES => self.pause(tries).await,
                Err(trouble) => break self.find(&new.branch).await.ok().flatten().ok_or(trouble)?,
            }
        };
        if pull.draft && !new.draft {
            self.mark_ready(&pull).await?;
            pull.draft = false;
        }
        Ok(pull.into())
    }

    async fn find_open(&self, branch: &str) -> Result<Option<u64>, ForgeError> {
        Ok(self.find(branch).await?.map(|pull| pull.number))
    }

    async fn status(&self, number: u64) -> Result<PullRequestStatus, ForgeError> {
        let pull = self.pull(number).await?;
        let (reviews, checks) =
            futures_util::future::try_join(self.reviews(number), self.checks(&pull.head.sha)).await?;
        let state = if pull.merged { "merged".to_owned() } else { pull.state };
        Ok(PullRequestStatus { state, mergeable: pull.mergeable, head: CommitId::new(pull.head.sha), reviews, checks })
    }

    async fn changes(&self, numbers: &[u64]) -> Result<Vec<PullState>, ForgeError> {
        self.look(numbers).await
    }

    async fn ready(&self, number: u64) -> Result<(), ForgeError> {
        let pull = self.pull(number).await?;
        if pull.draft && pull.state == "open" { self.mark_ready(&pull).await } else { Ok(()) }
    }

    async fn merge(&self, request: &MergeRequest) -> Result<CommitId, MergeError> {
        self.squash(request).await
    }

    async fn close(&self, number: u64) -> Result<(), ForgeError> {
        let body = json!({"state": "closed"});
        let path = self.path(&format!("pulls/{number}"));
        let closed = self.gh.call(Method::Patch, &path, Some(&body)).await.map_err(ForgeError::from);
        match closed.and_then(|answer| answer.read::<Pull>("close the pull request")) {
            Ok(_) => Ok(()),
            Err(error) => match self.pull(number).await {
                Ok(pull) if pull.state == "closed" => Ok(()),
                _ => Err(error),
            },
        }
    }
}

/// Host, owner and repository of a remote URL in one of git's three forms.
fn parse(url: &str, own_host: Option<&str>) -> Option<(String, String, String)> {
    let (host, path) = match url.split_once("://") {
        Some(("https" | "http" | "ssh" | "git" | "git+ssh", rest)) => rest.split_once('/')?,
        Some(_) => return None,
        None => url.split_once(':').filter(|(host, _)| !host.contains('/'))?,
    };
    let host = host.rsplit('@').next()?.split(':').next()?.to_ascii_lowercase();
    let host = match host.as_str() {
        // ssh over port 443, and the web's spelling.
        "github.com" | "ssh.github.com" | "www.github.com" => "github.com".to_owned(),
        _ if own_host.is_some_and(|own| own.eq_ignore_ascii_case(&host)) => host,
        _ => return None,
    };
    let path = path.trim_matches('/');
    let (owner, repository) = path.strip_suffix(".git").unwrap_or(path).split_once('/')?;
    let plain = |part: &str| {
        !matches!(part, "" | "." | "..") && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    (plain(owner) && plain(repository)).then(|| (host, owner.to_owned(), repository.to_owned()))
}

/// Percent-encodes a part of a URL.
fn encode(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
