//! The one place that builds a child process: working directory chosen, environment by allow-list, standard input
//! closed, own process group, time limit, bounded output, the whole group killed at the end. What outlives us is found
//! again by a mark in its environment.
//!
//! Knows nothing of git, gh or shells; callers name program, arguments and variables.

mod orphans;
mod running;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Pid;
use tokio_util::sync::CancellationToken;

use self::running::Running;
pub use orphans::{Orphan, end_orphans, kill_orphans};
pub use running::AtGate;

/// Variables that every child may see. Secrets are never among them.
const ALWAYS: &[&str] = &["PATH", "LANG", "LC_ALL", "TZ"];

/// Variables by which a program that acts for the user finds his settings, certificates and agents (`decisions.md` 18).
const ACCOUNTS: &[&str] = &["HOME", "GITHUB_TOKEN", "GIT_SSL_CAINFO", "SSH_AUTH_SOCK"];

/// Beginnings of such variables' names.
const ACCOUNT_FAMILIES: &[&str] = &["XDG_", "GH_", "SSL_CERT_"];

/// The process id in a text. None for 0 and below, which the kernel gives for what is not there or not in our namespace:
/// `rustix` takes neither, and panics below 0.
pub fn pid_in(text: &str) -> Option<Pid> {
    let pid: i32 = text.trim().parse().ok()?;
    if pid > 0 { Pid::from_raw(pid) } else { None }
}

/// A child process to be run.
#[derive(Clone, Debug)]
pub struct Program {
    program: OsString,
    args: Vec<OsString>,
    directory: PathBuf,
    env: Vec<(OsString, OsString)>,
    timeout: Duration,
    head: usize,
    tail: usize,
    cancel: CancellationToken,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It was killed after its time limit.
    TimedOut,
    /// It was killed because nobody wanted its result any more.
    Cancelled,
}

/// What a child gave.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it ended.
    pub exit: Exit,
    /// Its standard output; with [`Program::merged`] both streams in the order in which they were written.
    pub stdout: Captured,
    /// Its standard error.
    pub stderr: Captured,
    /// Whether something that it started went on then and held its output open.
    pub left: bool,
}

/// Output of a child, head and tail kept when it was longer than allowed.
#[derive(Clone, Debug, Default)]
pub struct Captured {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    dropped: usize,
}

/// Why a child could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program is not there.
    #[error("`{program}` is not installed or not on the PATH")]
    NotFound {
        /// Its name.
        program: String,
    },
    /// The system refused.
    #[error("`{program}` could not be run")]
    Io {
        /// Its name.
        program: String,
        /// The system's reason.
        #[source]
        source: std::io::Error,
    },
}

impl Program {
    /// A program by name or path, to run in `directory`.
    pub fn new(program: impl Into<OsString>, directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        let mut built = Self {
            program: program.into(),
            args: Vec::new(),
            env: vec![(orphans::MARK.into(), directory.clone().into_os_string())],
            directory,
            timeout: Duration::from_secs(120),
            head: 1 << 20,
            tail: 1 << 20,
            cancel: CancellationToken::new(),
        };
        for name in ALWAYS {
            built = built.inherit(name);
        }
        built
    }

    /// Adds arguments.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Sets a variable.
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Passes a variable on from our own environment, when it is set.
    pub fn inherit(mut self, name: &str) -> Self {
        if let Some(value) = std::env::var_os(name) {
            self.env.push((name.into(), value));
        }
        self
    }

    /// Passes on what a program needs that reaches the user's accounts: home, settings, tokens of the forge,
    /// certificates, proxies, the ssh agent. Never for programs that a model chose.
    pub fn with_accounts(mut self) -> Self {
        let wanted = |name: &str| {
            ACCOUNTS.contains(&name)
                || ACCOUNT_FAMILIES.iter().any(|family| name.starts_with(family))
                || name.to_ascii_uppercase().ends_with("_PROXY")
        };
        self.env.extend(std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(wanted)));
        self
    }

    /// Sets the time limit; the default is two minutes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Keeps at most this many bytes from the beginning and from the end of each stream; the default is 1 MiB each.
    pub fn keep(mut self, head: usize, tail: usize) -> Self {
        (self.head, self.tail) = (head, tail);
        self
    }

    /// Kills the child when this token is cancelled.
    pub fn cancelled_by(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Runs it to its end, standard output and standard error apart.
    pub async fn run(self) -> Result<Finished, ProcessError> {
        Running::start(self, false, Stdio::null())?.finish().await
    }

    /// Runs it to its end, both streams merged into `stdout` in the order in which they were written.
    pub async fn merged(self) -> Result<Finished, ProcessError> {
        Running::start(self, true, Stdio::null())?.finish().await
    }

    /// Starts it with both streams merged and a pipe as its standard input, where it is to wait before it does anything.
    pub fn at_gate(self) -> Result<AtGate, ProcessError> {
        AtGate::start(self)
    }

    /// Where the program is. The standard library looks on the PATH it gives to a child only after a `fork`, which
    /// copies the page tables of the whole daemon; a path it starts without one.
    fn path(&self) -> OsString {
        let named_by_path = Path::new(&self.program).components().count() > 1;
        let paths = self.env.iter().rfind(|(name, _)| name == "PATH").filter(|_| !named_by_path);
        let folders = paths.map(|(_, paths)| std::env::split_paths(paths).collect()).unwrap_or_else(Vec::new);
        let mut candidates = folders.into_iter().filter(|folder| folder.is_absolute()).map(|f| f.join(&self.program));
        let found =
            candidates.find(|path| rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file());
        // Not found: starting it by its name says so.
        found.map_or_else(|| self.program.clone(), PathBuf::into_os_string)
    }
}

impl Captured {
    /// What a fake printed.
    #[cfg(test)]
    pub fn of(text: &str) -> Self {
        Self { head: text.into(), ..Self::default() }
    }

    fn push(&mut self, mut bytes: &[u8], head: usize, tail: usize) {
        if self.head.len() < head {
            let count = bytes.len().min(head - self.head.len());
            self.head.extend_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
        }
        self.tail.extend(bytes);
        let excess = self.tail.len().saturating_sub(tail);
        self.tail.drain(..excess);
        self.dropped += excess;
    }

    /// The text as [`Captured::text`] gives it, without a second copy of what was captured.
    pub fn into_text(self) -> String {
        let Self { head: mut bytes, tail, dropped } = self;
        if dropped > 0 {
            bytes.extend_from_slice(format!("\n… {dropped} bytes left out …\n").as_bytes());
        }
        let (front, back) = tail.as_slices();
        bytes.extend_from_slice(front);
        bytes.extend_from_slice(back);
        drop(tail);
        String::from_utf8(bytes).unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned())
    }

    /// How many bytes were left out in the middle.
    #[cfg(test)]
    fn dropped(&self) -> usize {
        self.dropped
    }

    /// Takes a piece of text out of the beginning, wherever it stands there.
    pub fn leave_out(&mut self, piece: &str) {
        while let Some(at) = self.head.windows(piece.len()).position(|window| window == piece.as_bytes()) {
            self.head.drain(at..at + piece.len());
        }
    }

    /// The text; what was left out in the middle is said in its place. Invalid UTF-8 is replaced.
    pub fn text(&self) -> String {
        let (front, back) = self.tail.as_slices();
        let tail = [front, back].concat();
        if self.dropped == 0 {
            return String::from_utf8_lossy(&[self.head.as_slice(), &tail].concat()).into_owned();
        }
        format!(
            "{}\n… {} bytes left out …\n{}",
            String::from_utf8_lossy(&self.head),
            self.dropped,
            String::from_utf8_lossy(&tail)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Program {
        Program::new("sh", std::env::temp_dir()).args(["-c", script])
    }

    #[tokio::test]
    async fn streams_are_merged_in_order_and_the_code_is_told() {
        let finished = shell("echo a; echo b >&2; echo c; exit 3").merged().await.expect("sh runs");
        assert_eq!((finished.stdout.text().as_str(), finished.exit), ("a\nb\nc\n", Exit::Code(3)));
    }

    #[tokio::test]
    async fn the_environment_is_an_allow_list_and_standard_input_is_closed() {
        let finished = shell("cat; env | cut -d= -f1 | sort | tr '\\n' ' '").env("EXTRA", "1").run().await.expect("sh");
        for name in finished.stdout.text().split_whitespace() {
            assert!(
                ["EXTRA", "OLDPWD", "PWD", "SHLVL", "_", orphans::MARK].contains(&name) || ALWAYS.contains(&name),
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn accounts_add_known_variables_and_no_others() {
        let finished = shell("env | cut -d= -f1").with_accounts().run().await.expect("sh");
        let names = finished.stdout.text();
        let known = |name: &str| {
            ["OLDPWD", "PWD", "SHLVL", "_", orphans::MARK].contains(&name)
                || ALWAYS.contains(&name)
                || ACCOUNTS.contains(&name)
                || ACCOUNT_FAMILIES.iter().any(|family| name.starts_with(family))
                || name.to_uppercase().ends_with("_PROXY")
        };
        assert!(names.lines().any(|name| name == "HOME"), "{names}");
        assert!(names.lines().all(known), "{names}");
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "there is something to be kept back");
    }

    #[tokio::test]
    async fn the_whole_group_dies_at_the_time_limit() {
        let started = std::time::Instant::now();
        let finished = shell("sleep 600 & sleep 600").timeout(Duration::from_millis(50)).merged().await.expect("sh");
        assert_eq!(finished.exit, Exit::TimedOut);
        assert!(started.elapsed() < Duration::from_secs(300));
    }

    #[tokio::test]
    async fn long_output_keeps_its_head_and_tail() {
        let finished = shell("seq 1 1000").keep(10, 10).run().await.expect("sh");
        let text = finished.stdout.text();
        assert!(text.starts_with("1\n2\n3\n4\n5\n") && text.ends_with("999\n1000\n"), "{text}");
        assert_eq!(finished.stdout.dropped(), 3893 - 20);
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let error = Program::new("no-such-program", std::env::temp_dir()).run().await.expect_err("not there");
        assert!(matches!(error, ProcessError::NotFound { program } if program == "no-such-program"));
    }
}
