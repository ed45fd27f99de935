//! A small GitHub: the REST calls that CodeButler makes, over a bare repository, for the real `gh` to talk to.
//!
//! `gh` reaches it through a unix socket (`http_unix_socket` in a private configuration), git through `insteadOf` in a
//! private home, so that neither needs a certificate or a name. Merging really squashes in the bare repository. Every
//! request is recorded, every rule can be switched. Depends on nothing of the library.

#[path = "fake_github/absence.rs"]
mod absence;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use git2::{Oid, Repository};
use serde_json::{Value, json};

/// The remote URL of the repository that the fake has.
pub const REMOTE: &str = "https://github.com/octo/demo.git";
/// The token it accepts.
const TOKEN: &str = "fake-token";
const REPOSITORY: &str = "/repos/octo/demo";

/// A running fake. It ends when it is dropped.
pub struct FakeGitHub {
    folder: tempfile::TempDir,
    world: Arc<Mutex<World>>,
    server: tokio::task::JoinHandle<()>,
}

/// What the repository demands of a merge, and how it stands with reviews and checks.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// A review is required and missing.
    pub review_missing: bool,
    /// A required check has not finished.
    pub checks_pending: bool,
    /// Squash merges are switched off.
    pub no_squash: bool,
    /// Merges go through a queue.
    pub merge_queue: bool,
    /// Drafts cannot be made.
    pub no_drafts: bool,
    /// So many times more `mergeable` is not known yet.
    pub unsettled: u32,
    /// Reviews as (login, state).
    pub reviews: Vec<(String, String)>,
    /// Check runs as (name, status, conclusion).
    pub checks: Vec<(String, String, Option<String>)>,
}

/// What goes wrong with the next request of that method whose path ends so.
#[derive(Clone, Debug)]
pub struct Trouble {
    /// The method.
    pub method: &'static str,
    /// The end of the path, without query.
    pub path: &'static str,
    /// The status that is answered.
    pub status: u16,
    /// The message that is answered.
    pub message: &'static str,
    /// Whether the work is done nevertheless.
    pub works: bool,
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query, decoded.
    pub path: String,
    /// The body; null for none.
    pub body: Value,
}

struct World {
    bare: PathBuf,
    rules: Rules,
    troubles: Vec<(Trouble, Headers)>,
    pulls: Vec<Value>,
    requests: Vec<Request>,
    doubles: Vec<String>,
    line: absence::Line,
}

/// Headers of an answer.
type Headers = Vec<(&'static str, String)>;

impl FakeGitHub {
    /// Serves the bare repository as `octo/demo`.
    pub async fn start(bare: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let socket = folder.path().join("gh.sock");
        let listener = tokio::net::UnixListener::bind(&socket).expect("a free socket");
        let config = folder.path().join("gh");
        std::fs::create_dir(&config).expect("made");
        let settings = format!("version: 1\nhttp_unix_socket: {}\n", socket.display());
        std::fs::write(config.join("config.yml"), settings).expect("written");
        let rewrite = format!("[url \"{}\"]\n\tinsteadOf = {REMOTE}\n", bare.display());
        std::fs::write(folder.path().join(".gitconfig"), rewrite).expect("written");
        let world = World {
            bare: bare.to_path_buf(),
            rules: Rules::default(),
            troubles: Vec::new(),
            pulls: Vec::new(),
            requests: Vec::new(),
            doubles: Vec::new(),
            line: absence::Line::default(),
        };
        let world = Arc::new(Mutex::new(world));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&world));
        let serving = async move { axum::serve(listener, router).await.expect("serves until it is dropped") };
        #[expect(clippy::disallowed_methods, reason = "a test's server; aborted when it is dropped")]
        let server = tokio::spawn(serving);
        Self { folder, world, server }
    }

    /// Variables by which `gh` and `git` of a child process reach the fake.
    pub fn env(&self) -> Vec<(String, String)> {
        let home = self.folder.path().display().to_string();
        let config = self.folder.path().join("gh").display().to_string();
        let variables = [("HOME", home), ("GH_CONFIG_DIR", config), ("GH_TOKEN", TOKEN.to_owned())];
        variables.map(|(name, value)| (name.to_owned(), value)).into()
    }

    /// Changes the rules.
    pub fn set(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut lock(&self.world).rules);
    }

    /// Lets a coming request go wrong, once.
    pub fn trouble(&self, trouble: Trouble) {
        self.trouble_with(trouble, Vec::new());
    }

    /// The same with headers in the answer.
    pub fn trouble_with(&self, trouble: Trouble, headers: Headers) {
        lock(&self.world).troubles.push((trouble, headers));
    }

    /// What was asked for although it was done already.
    pub fn doubles(&self) -> Vec<String> {
        lock(&self.world).doubles.clone()
    }

    /// Everything that was asked so far.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.world).requests.clone()
    }

    /// Someone changes a pull request on the site.
    pub fn edit(&self, number: u64, changes: &Value) {
        let closes = changes["state"] == "closed";
        let changes = changes.as_object().into_iter().flatten();
        let mut world = lock(&self.world);
        // As on GitHub: what is pushed after the end is not of the pull request.
        let last = world.show(number).filter(|_| closes).map(|pull| pull["head"].clone());
        for pull in world.pulls.iter_mut().filter(|pull| pull["number"] == number) {
            pull["head"] = last.clone().unwrap_or_else(|| pull["head"].take());
            changes.clone().for_each(|(name, value)| pull[name] = value.clone());
        }
    }

    /// A pull request as the API shows it.
    pub fn pull(&self, number: u64) -> Value {
        lock(&self.world).show(number).unwrap_or_default()
    }
}

impl Drop for FakeGitHub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

type Answer = (u16, Value);

async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = decode(uri.path());
    let query = decode(uri.query().unwrap_or_default());
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let mut world = lock(&world);
    let full = if query.is_empty() { path.clone() } else { format!("{path}?{query}") };
    world.follow_the_branches();
    world.requests.push(Request { method: method.to_string(), path: full, body: body.clone() });
    if let Some(works) = world.line.cuts(method.as_str(), &path) {
        if works {
            world.route(method.as_str(), &path, &query, &body);
        }
        return absence::cut();
    }
    let login = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    let ((status, value), more) = if login.ends_with(TOKEN) {
        world.troubled(method.as_str(), &path, &query, &body)
    } else {
        (said(401, "Bad credentials"), Vec::new())
    };
    let status = StatusCode::from_u16(status).expect("a good status");
    let headers = [("content-type", "application/json"), ("x-oauth-scopes", "repo, read:org, workflow")];
    let text = if status == StatusCode::NO_CONTENT { String::new() } else { value.to_string() };
    let mut response = (status, headers, text).into_response();
    for (name, value) in more {
        response.headers_mut().insert(name, value.parse().expect("a good header"));
    }
    response
}

impl World {
    fn troubled(&mut self, method: &str, path: &str, query: &str, body: &Value) -> (Answer, Headers) {
        let fits = |(trouble, _): &(Trouble, Headers)| trouble.method == method && path.ends_with(trouble.path);
        let Some(index) = self.troubles.iter().position(fits) else {
            return (self.route(method, path, query, body), Vec::new());
        };
        let (trouble, headers) = self.troubles.remove(index);
        if trouble.works {
            self.route(method, path, query, body);
        }
        (said(trouble.status, trouble.message), headers)
    }

    /// GitHub knows each branch's head, and closes what lost its branch.
    fn follow_the_branches(&mut self) {
        let tips: Vec<Option<Oid>> =
            self.pulls.iter().map(|pull| self.tip(pull["head"]["ref"].as_str().unwrap_or_default())).collect();
        for (pull, tip) in self.pulls.iter_mut().zip(tips).filter(|(pull, _)| pull["state"] == "open") {
            match tip {
                Some(tip) => pull["head"]["sha"] = tip.to_string().into(),
                None => pull["state"] = "closed".into(),
            }
        }
    }

    fn route(&mut self, method: &str, path: &str, query: &str, body: &Value) -> Answer {
        let Some(rest) = path.strip_prefix(REPOSITORY) else { return self.outside(method, path, body) };
        let parts: Vec<&str> = rest.split('/').skip(1).collect();
        match (method, parts.as_slice()) {
            ("GET", [] | [""]) => (200, json!({"full_name": "octo/demo", "default_branch": "main"})),
            ("GET", ["pulls"]) => self.list(query),
            ("POST", ["pulls"]) => self.create(body),
            ("PUT", ["pulls", number, "merge"]) => self.merge(number, body),
            ("GET", ["pulls", _, "reviews"]) => {
                let review = |(login, state): &(String, String)| json!({"user": {"login": login}, "state": state});
                (200, self.rules.reviews.iter().map(review).collect())
            }
            ("GET", ["pulls", number]) => self.look(number),
            ("PATCH", ["pulls", number]) => self.edit(number, body),
            ("GET", ["commits", _, "check-runs"]) => {
                let run = |(name, status, conclusion): &(String, String, Option<String>)| json!({"name": name, "status": status, "conclusion": conclusion});
                (200, json!({"check_runs": self.rules.checks.iter().map(run).collect::<Value>()}))
            }
            ("GET", ["commits", _, "status"]) => (200, json!({"statuses": []})),
            _ => said(404, "Not Found"),
        }
    }

    /// What is not about the repository: who is logged in, and GraphQL's mutations.
    fn outside(&mut self, method: &str, path: &str, body: &Value) -> Answer {
        match (method, path) {
            ("GET", "/" | "/user") => (200, json!({"login": "octo"})),
            ("POST", "/graphql") if body["query"].as_str().is_some_and(|query| query.contains("ReadyForReview")) => {
                let id = body["variables"]["id"].clone();
                for pull in self.pulls.iter_mut().filter(|pull| pull["node_id"] == id) {
                    pull["draft"] = false.into();
                }
                (200, json!({"data": {"markPullRequestReadyForReview": {"pullRequest": {"isDraft": false}}}}))
            }
            ("POST", "/graphql")
                if body["query"].as_str().is_some_and(|query| query.contains("convertPullRequest")) =>
            {
                if self.rules.no_drafts {
                    return (
                        200,
                        json!({"data": null, "errors": [{"message": "Draft pull requests are not supported"}]}),
                    );
                }
                let id = body["variables"]["id"].clone();
                for pull in self.pulls.iter_mut().filter(|pull| pull["node_id"] == id) {
                    pull["draft"] = true.into();
                }
                (200, json!({"data": {"convertPullRequestToDraft": {"pullRequest": {"isDraft": true}}}}))
            }
            ("POST", "/graphql") if body["query"].as_str().is_some_and(|query| query.contains("pullRequest(")) => {
                self.look_at_many(body)
            }
            ("POST", "/graphql") => (200, json!({"data": {"viewer": {"login": "octo"}}})),
            _ => said(404, "Not Found"),
        }
    }

    /// One query over many pull requests, each under an alias `p7`. An unknown one is null, and an error beside.
    fn look_at_many(&self, body: &Value) -> Answer {
        let query = body["query"].as_str().unwrap_or_default();
        let numbers =
            query.split("pullRequest(number: ").skip(1).filter_map(|rest| rest.split(')').next()?.parse().ok());
        let seen: serde_json::Map<String, Value> =
            numbers.map(|number: u64| (format!("p{number}"), self.node(number).unwrap_or_default())).collect();
        let mut answer = json!({"data": {}});
        if seen.values().any(Value::is_null) {
            answer["errors"] = json!([{"type": "NOT_FOUND", "message": "Could not resolve to a PullRequest"}]);
        }
        answer["data"]["repository"] = seen.into();
        (200, answer)
    }

    fn node(&self, number: u64) -> Option<Value> {
        let pull = self.pulls.iter().find(|pull| pull["number"] == number)?;
        let branch = pull["head"]["ref"].as_str()?;
        let merged = pull["merged"] == true;
        let state = if merged {
            "MERGED"
        } else if pull["state"] == "open" {
            "OPEN"
        } else {
            "CLOSED"
        };
        let login = |name: &str| pull[name].as_str().map(|login| json!({"login": login}));
        let head = pull["head"]["sha"].as_str()?;
        let git = self.git();
        let commit = git.find_commit(Oid::from_str(head).ok()?).ok()?;
        let author = commit.author().name().ok().map(|name| json!({"name": name, "user": null}));
        Some(json!({
            "number": number,
            "state": state,
            "headRefName": branch,
            "headRefOid": head,
            "headRef": self.tip(branch).map(|_| json!({"name": branch})),
            "mergeCommit": pull["merge_commit_sha"].as_str().filter(|_| merged).map(|commit| json!({"oid": commit})),
            "mergedBy": login("merged_by"),
            "timelineItems": {"nodes": login("actor").map(|actor| json!({"actor": actor})).into_iter().collect::<Vec<_>>()},
            "commits": {"nodes": [{"commit": {"oid": head, "author": author}}]},
        }))
    }

    fn list(&self, query: &str) -> Answer {
        let wanted = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let branch = wanted("head").and_then(|head| head.strip_prefix("octo:"));
        let state = wanted("state").unwrap_or("open");
        let numbers = self.pulls.iter().filter_map(|pull| pull["number"].as_u64());
        let shown = numbers.filter_map(|number| self.show(number));
        let fits = |pull: &Value| {
            (state == "all" || pull["state"] == state) && branch.is_none_or(|branch| pull["head"]["ref"] == branch)
        };
        (200, shown.filter(fits).collect())
    }

    fn create(&mut self, body: &Value) -> Answer {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (branch, base) = (text("head"), text("base"));
        let (Some(head), Some(onto)) = (self.tip(&branch), self.tip(&base)) else {
            let field = if self.tip(&base).is_some() { "head" } else { "base" };
            let error = json!({"resource": "PullRequest", "field": field, "code": "invalid"});
            return (422, json!({"message": "Validation Failed", "errors": [error]}));
        };
        if self.pulls.iter().any(|pull| pull["state"] == "open" && pull["head"]["ref"] == branch.as_str()) {
            self.doubles.push(format!("a second pull request of {branch}"));
            return invalid(&format!("A pull request already exists for octo:{branch}."));
        }
        let git = self.git();
        if head == onto || git.graph_descendant_of(onto, head).unwrap_or(false) {
            return invalid(&format!("No commits between {base} and {branch}"));
        }
        if self.rules.no_drafts && body["draft"] == true {
            return said(422, "Draft pull requests are not supported in this repository.");
        }
        let number = self.pulls.len() as u64 + 1;
        self.pulls.push(json!({
            "number": number,
            "node_id": format!("PR_{number}"),
            "html_url": format!("https://github.com/octo/demo/pull/{number}"),
            "title": body["title"],
            "body": body["body"],
            "draft": body["draft"],
            "state": "open",
            "merged": false,
            "mergeable": null,
            "merge_commit_sha": null,
            "head": {"ref": branch, "sha": head.to_string()},
            "base": {"ref": base},
        }));
        (201, self.show(number).unwrap_or_default())
    }

    fn look(&mut self, number: &str) -> Answer {
        let Some(mut pull) = number.parse().ok().and_then(|number| self.show(number)) else {
            return said(404, "Not Found");
        };
        if self.rules.unsettled > 0 {
            self.rules.unsettled -= 1;
            pull["mergeable"] = Value::Null;
        }
        (200, pull)
    }

    fn edit(&mut self, number: &str, body: &Value) -> Answer {
        let wanted: Option<u64> = number.parse().ok();
        let found = self.pulls.iter_mut().find(|pull| pull["number"].as_u64() == wanted);
        let Some(pull) = found else { return said(404, "Not Found") };
        if body["state"] == "closed" {
            pull["actor"] = "octo".into();
        }
        for name in ["title", "body", "state"] {
            if let Some(value) = body.get(name) {
                pull[name] = value.clone();
            }
        }
        self.look(number)
    }

    fn merge(&mut self, number: &str, body: &Value) -> Answer {
        let Some(pull) = number.parse().ok().and_then(|number| self.show(number)) else {
            return said(404, "Not Found");
        };
        if pull["merged"] == true {
            self.doubles.push(format!("a second merge of #{number}"));
        }
        if let Some(refusal) = self.refusal(&pull, body) {
            return refusal;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let message = format!("{}\n\n{}", text(&body["commit_title"]), text(&body["commit_message"]));
        let base = text(&pull["base"]["ref"]);
        let squashed = self.squash(&base, &text(&pull["head"]["sha"]), &message);
        let Ok(commit) = squashed else { return said(405, "Pull Request is not mergeable") };
        let number = pull["number"].clone();
        for stored in self.pulls.iter_mut().filter(|stored| stored["number"] == number) {
            stored["state"] = "closed".into();
            stored["merged"] = true.into();
            stored["merged_by"] = "octo".into();
            stored["merge_commit_sha"] = commit.to_string().into();
            stored["head"] = pull["head"].clone();
        }
        (200, json!({"sha": commit.to_string(), "merged": true, "message": "Pull Request successfully merged"}))
    }

    fn refusal(&self, pull: &Value, body: &Value) -> Option<Answer> {
        let rules = &self.rules;
        if pull["state"] != "open" {
            return Some(said(405, "Pull Request is not mergeable"));
        }
        if pull["draft"] == true {
            return Some(said(405, "Pull Request is still a draft"));
        }
        if body["sha"] != pull["head"]["sha"] {
            return Some(said(409, "Head branch was modified. Review and try the merge again."));
        }
        let refused = [
            (rules.no_squash && body["merge_method"] == "squash", "Squash merges are not allowed on this repository."),
            (rules.merge_queue, "Changes must be made through the merge queue"),
            (rules.review_missing, "At least 1 approving review is required by reviewers with write access."),
            (rules.checks_pending, "Required status check \"build\" is expected."),
        ];
        refused.iter().find(|(on, _)| *on).map(|(_, message)| said(405, message))
    }

    fn squash(&self, base: &str, head: &str, message: &str) -> Result<Oid, git2::Error> {
        let git = self.git();
        let name = format!("refs/heads/{base}");
        let onto = git.find_commit(git.refname_to_id(&name)?)?;
        let head = git.find_commit(Oid::from_str(head)?)?;
        let mut index = git.merge_commits(&onto, &head, None)?;
        let tree = git.find_tree(index.write_tree_to(&git)?)?;
        let who = git2::Signature::now("GitHub", "noreply@github.com")?;
        git.commit(Some(&name), &who, &who, message, &tree, &[&onto])
    }

    /// A pull request with what follows from the repository as it is now.
    fn show(&self, number: u64) -> Option<Value> {
        let mut pull = self.pulls.iter().find(|pull| pull["number"] == number)?.clone();
        if pull["state"] != "open" {
            return Some(pull);
        }
        let head = self.tip(pull["head"]["ref"].as_str()?)?;
        let base = self.tip(pull["base"]["ref"].as_str()?)?;
        let git = self.git();
        let merged = git.merge_commits(&git.find_commit(base).ok()?, &git.find_commit(head).ok()?, None).ok()?;
        pull["head"]["sha"] = head.to_string().into();
        pull["mergeable"] = (!merged.has_conflicts()).into();
        Some(pull)
    }

    fn tip(&self, branch: &str) -> Option<Oid> {
        self.git().refname_to_id(&format!("refs/heads/{branch}")).ok()
    }

    fn git(&self) -> Repository {
        Repository::open(&self.bare).expect("the bare repository")
    }
}

fn said(status: u16, message: &str) -> Answer {
    if status == 200 {
        // GraphQL's way to refuse.
        return (200, json!({"errors": [{"type": "RATE_LIMITED", "message": message}]}));
    }
    (status, json!({"message": message, "documentation_url": "https://docs.github.com/rest"}))
}

fn invalid(message: &str) -> Answer {
    (422, json!({"message": "Validation Failed", "errors": [{"resource": "PullRequest", "message": message}]}))
}

/// Undoes percent-encoding.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|code| u8::from_str_radix(std::str::from_utf8(code).ok()?, 16).ok());
        match (first, code) {
            (b'%', Some(code)) => {
                bytes.push(code);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
