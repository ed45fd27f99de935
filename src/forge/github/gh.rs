//! One call of `gh api`, and what went wrong with it in plain words.
//!
//! Status and headers are read from the answer itself (`--include`): gh's own messages differ between its versions.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::forge::ForgeError;
use crate::process::{Exit, Finished, ProcessError, Program};

/// How often a call is tried, with pauses of one, two and four seconds between.
pub(super) const TRIES: u32 = 4;

/// The longest wait in seconds for the end of a rate limit; people are told of a longer one.
const LONGEST_WAIT: u64 = 60;

/// How `gh` is called.
#[derive(Clone, Debug)]
pub(super) struct Gh {
    /// Where it runs.
    pub(super) directory: PathBuf,
    /// The host it talks to.
    pub(super) host: String,
    /// How long a second of waiting is; shorter in tests.
    pub(super) second: Duration,
    /// Variables beside those passed on; for tests.
    pub(super) env: Vec<(OsString, OsString)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
    /// A GraphQL query, or a mutation that is the same done twice.
    Query,
}

/// What the server answered, whatever its status.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Gh {
    /// One call, tried again after a while: what is the same done twice when the server failed, everything when the
    /// server refused it for a rate limit that ends soon.
    pub(super) async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, Trouble> {
        let mut tries = 0;
        loop {
            let result = self.once(method, path, body).await;
            let backoff = 1 << tries;
            tries += 1;
            let seconds = match &result {
                Ok(answer) if answer.is_rate_limit() => answer.rate_limit_ends().filter(|after| *after <= LONGEST_WAIT),
                Ok(answer) => (answer.status >= 500 && method.is_safe_twice()).then_some(backoff),
                Err(Trouble::Transient(_)) => method.is_safe_twice().then_some(backoff),
                Err(Trouble::Final(_)) => None,
            };
            match seconds {
                Some(seconds) if tries < TRIES => {
                    let pause = self.second.saturating_mul(u32::try_from(seconds).unwrap_or(u32::MAX));
                    tracing::debug!(path, seconds, "GitHub is asked again");
                    tokio::time::sleep(pause).await;
                }
                Some(_) | None => return result,
            }
        }
    }

    /// A GraphQL query, or a mutation that is the same done twice. Its own errors stand in the answer.
    pub(super) async fn query(&self, query: &str, variables: &Value, doing: &str) -> Result<Value, ForgeError> {
        let body = json!({"query": query, "variables": variables});
        self.call(Method::Query, "graphql", Some(&body)).await?.read(doing)
    }

    async fn once(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, Trouble> {
        let input = body.map(PrivateFile::with).transpose().map_err(|error| {
            Trouble::Final(ForgeError {
                what: format!("A file for `gh` could not be written: {error}."),
                hint: "Check the free space of the temporary folder; then `!retry`.".to_owned(),
            })
        })?;
        let mut program = Program::new("gh", &self.directory)
            .with_accounts()
            .args(["api", "--include", "--hostname", &self.host, "--method", method.name(), path])
            .args(["--header", "Accept: application/vnd.github+json", "--header", "X-GitHub-Api-Version: 2022-11-28"])
            .env("GH_PROMPT_DISABLED", "1")
            .env("GH_NO_UPDATE_NOTIFIER", "1")
            .env("NO_COLOR", "1")
            // Passed on with the other `GH_` variables; they would colour and page the answer.
            .env("GH_FORCE_TTY", "")
            .env("GH_PAGER", "cat")
            .timeout(Duration::from_secs(60))
            .keep(16 << 20, 0);
        if let Some(input) = &input {
            program = program.args([OsString::from("--input"), input.0.clone().into_os_string()]);
        }
        for (name, value) in &self.env {
            program = program.env(name, value);
        }
        self.understand(program.run().await)
    }

    fn understand(&self, result: Result<Finished, ProcessError>) -> Result<Answer, Trouble> {
        let again = "Check the network connection; then `!retry`.".to_owned();
        let finished = result.map_err(|error| {
            Trouble::Final(match error {
                ProcessError::NotFound { .. } => ForgeError {
                    what: "`gh`, GitHub's command line, is not installed.".to_owned(),
                    hint: "Install it (https://cli.github.com) and run `gh auth login`; then `!retry`.".to_owned(),
                },
                ProcessError::Io { source, .. } => ForgeError {
                    what: format!("`gh` could not be run: {source}."),
                    hint: "Check the installation with `gh --version`; then `!retry`.".to_owned(),
                },
            })
        })?;
        if let Some(answer) = Answer::parse(&finished.stdout.text()) {
            return if answer.status == 401 { Err(Trouble::Final(self.not_logged_in())) } else { Ok(answer) };
        }
        let said = finished.stderr.text();
        let said = said.trim().lines().next().unwrap_or_default().trim_end_matches('.');
        match finished.exit {
            Exit::Code(4) => Err(Trouble::Final(self.not_logged_in())),
            Exit::TimedOut => Err(Trouble::Transient(ForgeError {
                what: format!("{} did not answer within a minute.", self.host),
                hint: again,
            })),
            Exit::Code(_) | Exit::Signal(_) | Exit::Cancelled => Err(Trouble::Transient(ForgeError {
                what: format!(
                    "{} could not be reached: {}.",
                    self.host,
                    if said.is_empty() { "no reason" } else { said }
                ),
                hint: again,
            })),
        }
    }

    fn not_logged_in(&self) -> ForgeError {
        ForgeError {
            what: format!("`gh` is not logged in to {}.", self.host),
            hint: format!("Run `gh auth login --hostname {}`, or set `GH_TOKEN`; then `!retry`.", self.host),
        }
    }
}

/// Why something was not done, as far as we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It may go well the next time. It may also have been done, with the answer lost.
    Transient(ForgeError),
    /// It will not go away by itself.
    Final(ForgeError),
}

impl From<Trouble> for ForgeError {
    fn from((Trouble::Transient(error) | Trouble::Final(error)): Trouble) -> Self {
        error
    }
}

impl Method {
    /// Whether a second call does no more than the first.
    fn is_safe_twice(self) -> bool {
        match self {
            Self::Get | Self::Patch | Self::Query => true,
            // A merge pinned to a head is refused the second time, and a created thing would be there twice.
            Self::Put | Self::Post => false,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post | Self::Query => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

impl Answer {
    /// Status line, headers, empty line, body.
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("HTTP/")?;
        let (head, body) = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")).unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next()?.split_whitespace().nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self { status, headers: lines.filter_map(header).collect(), body: body.to_owned() })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Whether the body has this text.
    pub(super) fn says(&self, text: &str) -> bool {
        self.body.contains(text)
    }

    /// The body of a success; `doing` completes “GitHub could not …”.
    pub(super) fn read<T: DeserializeOwned>(&self, doing: &str) -> Result<T, ForgeError> {
        self.done(doing)?;
        serde_json::from_str(&self.body).map_err(|error| ForgeError {
            what: format!("Could not {doing}: GitHub's answer was not understood ({error})."),
            hint: "Try again with `!retry`; if it stays, update CodeButler.".to_owned(),
        })
    }

    /// Nothing for a success, the error in words else.
    pub(super) fn done(&self, doing: &str) -> Result<(), ForgeError> {
        if (200..300).contains(&self.status) && !self.is_rate_limit() {
            return Ok(());
        }
        let said = self.message();
        let (why, hint) = match self.status {
            _ if self.is_rate_limit() => {
                let when = self.rate_limit_ends().map(|seconds| format!(" for {}", span(seconds))).unwrap_or_default();
                (format!("GitHub refuses more requests{when}: {said}"), "Wait a little, then `!retry`.")
            }
            403 => (
                format!("the login may not do that: {said}"),
                "Give the account write access, or log in with another one (`gh auth login`); then `!retry`.",
            ),
            404 => (
                "GitHub does not know it, or the login may not see it".to_owned(),
                "Check the remote with `git remote -v` and the login with `gh auth status`; then `!retry`.",
            ),
            500.. => (
                format!("GitHub has trouble of its own (HTTP {})", self.status),
                "See https://www.githubstatus.com and `!retry` later.",
            ),
            status => (format!("{said} (HTTP {status})"), "Change what GitHub names, then `!retry`."),
        };
        Err(ForgeError { what: format!("Could not {doing}: {why}."), hint: hint.to_owned() })
    }

    /// The body of a success; a failure of the server, or an answer cut short, may hide one.
    pub(super) fn read_act<T: DeserializeOwned>(&self, doing: &str) -> Result<T, Trouble> {
        let hides = self.status >= 500 || (200..300).contains(&self.status) && !self.is_rate_limit();
        self.read(doing).map_err(if hides { Trouble::Transient } else { Trouble::Final })
    }

    /// Whether it was not done since too much was asked. GraphQL says so in a success.
    fn is_rate_limit(&self) -> bool {
        match self.status {
            429 => true,
            403 => {
                let said = self.message().to_lowercase();
                said.contains("rate limit")
                    || said.contains("abuse")
                    || self.header("x-ratelimit-remaining") == Some("0")
            }
            200 if self.says("RATE_LIMITED") => {
                let value: Value = serde_json::from_str(&self.body).unwrap_or_default();
                value.pointer("/errors/0/type").and_then(Value::as_str) == Some("RATE_LIMITED")
            }
            _ => false,
        }
    }

    /// In how many seconds the rate limit ends, when GitHub says so.
    fn rate_limit_ends(&self) -> Option<u64> {
        let number = |name: &str| self.header(name)?.parse::<u64>().ok();
        number("retry-after").or_else(|| {
            let reset = number("x-ratelimit-reset").filter(|_| self.header("x-ratelimit-remaining") == Some("0"))?;
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
            Some(reset.saturating_sub(now) + 1)
        })
    }

    /// Whether GitHub finds fault with this field of what was sent.
    pub(super) fn refuses_field(&self, field: &str) -> bool {
        let value: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let errors = value.get("errors").and_then(Value::as_array);
        self.status == 422 && errors.into_iter().flatten().any(|error| error["field"] == field)
    }

    /// What GitHub says is wrong, in one line without final dot.
    pub(super) fn message(&self) -> String {
        let value: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let text = |value: &Value| value.get("message").and_then(Value::as_str).map(str::to_owned);
        let details = value.get("errors").and_then(Value::as_array).into_iter().flatten();
        let details: Vec<String> =
            details.filter_map(|error| text(error).or_else(|| error.as_str().map(str::to_owned))).collect();
        let said = text(&value).into_iter().chain((!details.is_empty()).then(|| details.join("; ")));
        let said =
            said.reduce(|all, detail| format!("{all}: {detail}")).unwrap_or_else(|| "no reason given".to_owned());
        said.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
    }
}

/// A span of time in words: `40 s`, `25 min`.
fn span(seconds: u64) -> String {
    if seconds <= 120 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}

/// A file that only we can read, gone when it is dropped. `gh` reads bodies from a file: its standard input is closed.
struct PrivateFile(PathBuf);

impl PrivateFile {
    fn with(body: &Value) -> std::io::Result<Self> {
        let number = getrandom::u64().map_err(|error| std::io::Error::other(error.to_string()))?;
        let path = std::env::temp_dir().join(format!("codebutler-{number:016x}.json"));
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let written = Self(path);
        file.write_all(body.to_string().as_bytes())?;
        Ok(written)
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
