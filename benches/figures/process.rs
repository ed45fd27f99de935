//! What Linux says of a process: memory and processor time, from `/proc`.

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
