//! What Linux says of a process: memory and processor time, from `/proc`.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Ticks per second in `/proc/PID/stat`; part of Linux's interface to programs, whatever the kernel's own clock.
const TICKS: u64 = 100;

/// The memory that a process has now, in MiB.
pub fn resident(pid: u32) -> f64 {
    status(pid, "VmRSS:")
}

/// The most memory that it ever had, in MiB.
pub fn peak(pid: u32) -> f64 {
    status(pid, "VmHWM:")
}

fn status(pid: u32, name: &str) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("Linux says so");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kib / 1024.0
}

/// The processor time of a process, its own and the system's for it; its children count for themselves.
pub fn cpu(pid: u32) -> Duration {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process runs");
    // The name may hold anything, brackets too; the fields after it begin with the third.
    let (_, fields) = text.rsplit_once(')').expect("the name stands in brackets");
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    Duration::from_millis(ticks * 1000 / TICKS)
}

/// How long a program takes from its start to its end.
pub fn wall(program: &str, arguments: &[&str]) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "the program that is measured, and what it is compared with")]
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status().expect("the program runs");
    let time = begun.elapsed();
    assert!(status.success(), "{program} {arguments:?} ends well");
    time
}

/// How long the disk takes to make a small write last, so many times: a message is acked after one of these.
pub fn flushes(folder: &std::path::Path) -> Vec<Duration> {
    let mut file = std::fs::File::create(folder.join("flushed")).expect("made");
    let mut flush = || {
        file.write_all(&[0; 4096]).expect("written");
        let begun = Instant::now();
        file.sync_data().expect("flushed");
        begun.elapsed()
    };
    (0..100).map(|_| flush()).collect()
}

/// What a daemon holds at a moment.
#[derive(Clone, Debug, Default)]
pub struct Held {
    /// MiB of memory.
    pub resident: f64,
    /// `None` when it is not known: the daemon shows its descriptors to root alone.
    pub files: Option<usize>,
    pub threads: usize,
    pub children: usize,
    /// Files in its own temporary folder.
    pub temporary: usize,
    pub worktrees: usize,
    /// Branches beside `main`, in the checkouts and their remotes.
    pub branches: usize,
    /// Bytes of the stores.
    pub store: u64,
}

impl Held {
    /// The names of what is printed.
    pub const HEAD: &str =
        "MiB resident | open files | threads | children | temporary files | worktrees | branches | MiB of stores";

    /// What Linux says of a process; the rest is for others to fill in.
    pub fn of(pid: u32) -> Self {
        let count = |what: &str| std::fs::read_dir(format!("/proc/{pid}/{what}")).map(Iterator::count);
        Self {
            resident: resident(pid),
            files: count("fd").ok(),
            threads: count("task").expect("the process runs"),
            children: children(pid),
            ..Self::default()
        }
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { resident, files, threads, children, temporary, worktrees, branches, store } = self;
        let store = *store as f64 / f64::from(1 << 20);
        let files = files.map_or_else(|| "not known".to_owned(), |files| files.to_string());
        write!(
            f,
            "{resident:.1} | {files} | {threads} | {children} | {temporary} | {worktrees} | {branches} | {store:.1}"
        )
    }
}

/// How many processes have this one as their parent, the dead ones that nobody has waited for among them.
fn children(pid: u32) -> usize {
    let is_child = |entry: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        let (_, fields) = stat.rsplit_once(')')?;
        (fields.split_whitespace().nth(1)?.parse::<u32>().ok()? == pid).then_some(())
    };
    std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(is_child).count()
}
