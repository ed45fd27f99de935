//! One look at many pull requests: a single GraphQL query, since REST has none that says who merged or closed.

use std::fmt::Write as _;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::GitHub;
use crate::forge::{ForgeError, PullState};
use crate::ids::CommitId;
use crate::thread::outside::PullFate;

/// What is asked of each pull request.
const FIELDS: &str = "{ number state headRefName headRefOid headRef { name } mergeCommit { oid } mergedBy { login } \
    timelineItems(last: 1, itemTypes: [CLOSED_EVENT, REOPENED_EVENT]) { nodes { \
    ... on ClosedEvent { actor { login } } ... on ReopenedEvent { actor { login } } } } \
    commits(last: 1) { nodes { commit { oid author { name user { login } } } } } }";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    number: u64,
    state: String,
    head_ref_name: String,
    head_ref_oid: String,
    head_ref: Option<Value>,
    merge_commit: Option<Oid>,
    merged_by: Option<User>,
    timeline_items: Nodes<Turn>,
    commits: Nodes<Last>,
}

#[derive(Debug, Deserialize)]
struct Nodes<T> {
    nodes: Vec<Option<T>>,
}

#[derive(Debug, Deserialize)]
struct Oid {
    oid: String,
}

#[derive(Debug, Deserialize)]
struct User {
    login: String,
}

#[derive(Debug, Deserialize)]
struct Turn {
    actor: Option<User>,
}

#[derive(Debug, Deserialize)]
struct Last {
    commit: Commit,
}

#[derive(Debug, Deserialize)]
struct Commit {
    oid: String,
    author: Option<Author>,
}

#[derive(Debug, Deserialize)]
struct Author {
    name: Option<String>,
    user: Option<User>,
}

impl GitHub {
    pub(super) async fn look(&self, numbers: &[u64]) -> Result<Vec<PullState>, ForgeError> {
        let mut query = "query($owner: String!, $name: String!) { repository(owner: $owner, name: $name) {".to_owned();
        for number in numbers {
            let _ = write!(query, " p{number}: pullRequest(number: {number}) {FIELDS}");
        }
        query.push_str(" } }");
        let variables = json!({"owner": self.owner, "name": self.repository});
        let mut value = self.gh.query(&query, &variables, "look at the pull requests").await?;
        // One that is unknown is null, and named in `errors` beside the others.
        let found: Option<Map<String, Value>> = match value.pointer_mut("/data/repository").map(Value::take) {
            Some(Value::Object(found)) => Some(found),
            _ => None,
        };
        let Some(found) = found else { return Err(refused(&value)) };
        let read = |value: Value| serde_json::from_value(value).map(state).map_err(|error| not_understood(&error));
        found.into_iter().filter(|(_, value)| !value.is_null()).map(|(_, value)| read(value)).collect()
    }
}

fn state(seen: Seen) -> PullState {
    let last = seen.timeline_items.nodes.into_iter().flatten().next_back();
    let actor = last.and_then(|event| event.actor).map(|user| user.login);
    let commit = seen.commits.nodes.into_iter().flatten().next_back().map(|last| last.commit);
    let author = commit.filter(|commit| commit.oid == seen.head_ref_oid).and_then(|commit| commit.author);
    let author = author.and_then(|author| author.user.map(|user| user.login).or(author.name));
    let head = CommitId::new(seen.head_ref_oid);
    let (fate, by) = match seen.state.as_str() {
        "MERGED" => {
            let commit = seen.merge_commit.map_or_else(|| head.clone(), |commit| CommitId::new(commit.oid));
            (PullFate::Merged { commit }, seen.merged_by.map(|user| user.login))
        }
        "CLOSED" => (PullFate::Closed, actor),
        _ => (PullFate::Open, actor),
    };
    let branch_gone = seen.head_ref.is_none();
    PullState { number: seen.number, fate, branch: seen.head_ref_name, head, branch_gone, by, author }
}

fn refused(value: &Value) -> ForgeError {
    let said = value.pointer("/errors/0/message").and_then(Value::as_str).unwrap_or("no reason given");
    ForgeError {
        what: format!("Could not look at the pull requests: {}.", said.trim_end_matches('.')),
        hint: "Check the remote with `git remote -v` and the login with `gh auth status`.".to_owned(),
    }
}

fn not_understood(error: &serde_json::Error) -> ForgeError {
    ForgeError {
        what: format!("Could not look at the pull requests: GitHub's answer was not understood ({error})."),
        hint: "If it stays, update CodeButler.".to_owned(),
    }
}
