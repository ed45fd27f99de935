//! One call of `gh api`, and what went wrong with it in plain words.
//!
//! Status and headers are read from the answer itself (`--include`): gh's own messages differ between its versions.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::forge::ForgeError;
use crate::process::{Exit, Finished, ProcessError, Program};

/// How `gh` is called.
#[derive(Clone, Debug)]
pub(super) struct Gh {
    /// Where it runs.
    pub(super) directory: PathBuf,
    /// The host it talks to.
    pub(super) host: String,
    /// Variables beside those passed on; for tests.
    pub(super) env: Vec<(OsString, OsString)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// What the server answered, whatever its status.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Gh {
    /// One call. What is the same done twice is tried once more when the server failed.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        pause: Duration,
    ) -> Result<Answer, ForgeError> {
        let first = self.once(method, path, body).await;
        let again = match &first {
            Ok(answer) => answer.status >= 500,
            Err(Fault::Unreachable(_)) => true,
            Err(Fault::Final(_)) => false,
        };
        let answer = if again && method.is_safe_twice() {
            tokio::time::sleep(pause).await;
            self.once(method, path, body).await
        } else {
            first
        };
        answer.map_err(|(Fault::Unreachable(error) | Fault::Final(error))| error)
    }

    async fn once(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, Fault> {
        let input = body.map(PrivateFile::with).transpose().map_err(|error| {
            Fault::Final(ForgeError {
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

    fn understand(&self, result: Result<Finished, ProcessError>) -> Result<Answer, Fault> {
        let again = "Check the network connection; then `!retry`.".to_owned();
        let finished = result.map_err(|error| {
            Fault::Final(match error {
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
            return if answer.status == 401 { Err(Fault::Final(self.not_logged_in())) } else { Ok(answer) };
        }
        let said = finished.stderr.text();
        let said = said.trim().lines().next().unwrap_or_default().trim_end_matches('.');
        match finished.exit {
            Exit::Code(4) => Err(Fault::Final(self.not_logged_in())),
            Exit::TimedOut => Err(Fault::Unreachable(ForgeError {
                what: format!("{} did not answer within a minute.", self.host),
                hint: again,
            })),
            Exit::Code(_) | Exit::Signal(_) | Exit::Cancelled => Err(Fault::Unreachable(ForgeError {
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

/// Why there is no answer.
enum Fault {
    /// It may be there the next time.
    Unreachable(ForgeError),
    /// It will not come by itself.
    Final(ForgeError),
}

impl Method {
    /// Whether a second call does no more than the first.
    fn is_safe_twice(self) -> bool {
        match self {
            Self::Get | Self::Patch | Self::Delete => true,
            // A merge pinned to a head is refused the second time, and a created thing would be there twice.
            Self::Put | Self::Post => false,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
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
        if (200..300).contains(&self.status) {
            return Ok(());
        }
        let said = self.message();
        let (why, hint) = match self.status {
            403 | 429 if self.is_rate_limit() => {
                let when = self.header("retry-after").map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
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

    fn is_rate_limit(&self) -> bool {
        let said = self.message().to_lowercase();
        self.status == 429
            || said.contains("rate limit")
            || said.contains("abuse")
            || self.header("x-ratelimit-remaining") == Some("0")
    }

    /// What GitHub says is wrong, in one line without final dot.
    pub(super) fn message(&self) -> String {
        let value: Value = serde_json::from_str(&self.body).unwrap_or_default();
        let text = |value: &Value| value.get("message").and_then(Value::as_str).map(str::to_owned);
        let details = value.get("errors").and_then(Value::as_array).into_iter().flatten();
        let details: Vec<String> =
            details.filter_map(|error| text(error).or_else(|| error.as_str().map(str::to_owned))).collect();
        let mut said = text(&value).unwrap_or_else(|| "no reason given".to_owned());
        if !details.is_empty() {
            said = format!("{said}: {}", details.join("; "));
        }
        said.split_whitespace().collect::<Vec<_>>().join(" ").trim_end_matches('.').to_owned()
    }
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
