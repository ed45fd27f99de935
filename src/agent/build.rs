//! Which commands are heavy builds, and of which platforms: several of them at once would bring a machine to a halt, so
//! their number is limited (`limits.concurrentBuilds`).
//!
//! A guess from the command's words, like a person's. It is a courtesy for speed and no border: a build that hides in a
//! script, a Makefile or a variable is not seen, and whoever wants to get past it can.

mod invocation;
mod script;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use self::invocation::{Invocation, Runs, after_options};
use self::script::Word;

/// How often a script may hold another (`bash -c`) before it is taken by its words.
const DEEPEST: u8 = 4;

/// Words of an unreadable script that are looked at together.
const WINDOW: usize = 16;

/// A platform whose builds are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    Xcode,
    Node,
    Go,
    Python,
    Rust,
    Jvm,
}

impl Platform {
    /// All platforms.
    pub const ALL: [Self; 6] = [Self::Xcode, Self::Node, Self::Go, Self::Python, Self::Rust, Self::Jvm];

    /// The name in the configuration and in what people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xcode => "xcode",
            Self::Node => "node",
            Self::Go => "go",
            Self::Python => "python",
            Self::Rust => "rust",
            Self::Jvm => "jvm",
        }
    }

    /// The platform of that name, also by the names of its language and tool.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "xcode" | "ios" | "ios/xcode" | "swift" => Self::Xcode,
            "node" | "nodejs" | "node.js" | "npm" => Self::Node,
            "go" => Self::Go,
            "python" => Self::Python,
            "rust" | "cargo" => Self::Rust,
            "jvm" | "java" | "gradle" | "maven" => Self::Jvm,
            _ => return None,
        })
    }

    /// How many builds may run at once when the configuration says nothing; `None`: as many as there are.
    pub fn default_limit(self) -> Option<u32> {
        // Two builds of Xcode on one machine fight over its simulators and its memory.
        (self == Self::Xcode).then_some(1)
    }

    /// The platforms that this command builds for; none when it is no heavy build.
    pub fn of_command(command: &str) -> BTreeSet<Self> {
        let mut found = BTreeSet::new();
        read(command, DEEPEST, &mut found);
        found
    }
}

/// Adds what a script builds for.
fn read(script: &str, depth: u8, found: &mut BTreeSet<Platform>) {
    match script::commands(script) {
        Some(commands) if depth > 0 => commands.iter().for_each(|words| of_words(words, Some(depth), found)),
        _ => by_words(script, found),
    }
}

/// A script that cannot be read: whatever stands in it as a word may be run.
fn by_words(script: &str, found: &mut BTreeSet<Platform>) {
    let is_border = |c: char| c.is_whitespace() || ";&|(){}<>`'\"$".contains(c);
    let words: Vec<Word> = script.split(is_border).filter(|word| !word.is_empty()).map(Word::bare).collect();
    for start in 0..words.len() {
        // Scripts within it are not read: their words are looked at anyway.
        of_words(&words[start..words.len().min(start + WINDOW)], None, found);
    }
}

/// Adds what a simple command builds for; `depth`: how many scripts within scripts are still read.
fn of_words(words: &[Word], depth: Option<u8>, found: &mut BTreeSet<Platform>) {
    match (invocation::of(words), depth) {
        (Runs::Program(invocation), _) => found.extend(of_invocation(&invocation)),
        (Runs::Script(script), Some(depth)) => read(&script, depth - 1, found),
        (Runs::Script(_), None) | (Runs::Nothing, _) => {}
    }
}

fn of_invocation(invocation: &Invocation<'_>) -> Option<Platform> {
    let with_value: &[&str] = match invocation.program {
        "cargo" => &["-C", "-Z", "--color", "--config", "--manifest-path"],
        "npm" => &["-w", "--prefix", "--workspace"],
        "pnpm" => &["-C", "-F", "--dir", "--filter"],
        "yarn" => &["--cwd"],
        "go" => &["-C"],
        _ => &[],
    };
    let verb = after_options(invocation.arguments, with_value).first().map_or("", |word| word.text.as_str());
    match (invocation.program, verb) {
        (
            "cargo",
            "build" | "b" | "test" | "t" | "check" | "c" | "clippy" | "run" | "r" | "bench" | "nextest" | "doc"
            | "install",
        ) => Some(Platform::Rust),
        ("npm" | "pnpm" | "yarn" | "bun", "run" | "test" | "t" | "build" | "install" | "i" | "ci") => {
            Some(Platform::Node)
        }
        ("go", "build" | "test" | "vet" | "run" | "install") => Some(Platform::Go),
        ("pip" | "pip3", "install") | ("pytest" | "tox" | "nox", _) => Some(Platform::Python),
        ("swift", "build" | "test" | "run")
        | ("pod", "install" | "update")
        | ("carthage", "bootstrap" | "build" | "update")
        | ("xcodebuild", _) => Some(Platform::Xcode),
        ("mvn" | "mvnw" | "gradle" | "gradlew", _) => Some(Platform::Jvm),
        _ => None,
    }
}
