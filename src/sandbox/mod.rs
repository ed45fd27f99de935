//! What commands run in: their environment, their home, and how far the kernel holds them.
//!
//! Every command that a repository or a model brings goes through the port [`Shell`]: `Bash`, the initialisation of a
//! worktree, later checks and MCP servers. No layer of the kernel is built yet, so the level is always `none`, and
//! whoever shows it says so.

pub mod init;
pub mod shell;
#[cfg(test)]
pub mod simulated;
pub mod terminal;

pub use shell::{HostShell, Script, Shell};

use std::fmt;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::process::Program;

/// How far commands are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Not at all: a command may do whatever the daemon's user may.
    None,
    /// By Landlock and seccomp, without namespaces.
    Reduced,
    /// By namespaces, Landlock and seccomp.
    Full,
}

impl Level {
    /// The strongest level of this machine.
    pub fn available() -> Self {
        Self::None
    }
}

impl Level {
    /// The level's name, as the configuration writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Reduced => "reduced",
            Self::Full => "full",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none (not built yet: commands run with your rights)",
            Self::Reduced => "reduced",
            Self::Full => "full",
        })
    }
}

/// Variables with which toolchains are told where they live, and the place under the real home where they live
/// without them. The home of commands is another one, so they would not be found there. Paths only, never a secret.
const TOOLCHAINS: &[(&str, &str)] = &[
    ("ASDF_DATA_DIR", ".asdf"),
    ("CARGO_HOME", ".cargo"),
    ("GOPATH", "go"),
    ("NVM_DIR", ".nvm"),
    ("PIP_CACHE_DIR", ".cache/pip"),
    ("PYENV_ROOT", ".pyenv"),
    ("RBENV_ROOT", ".rbenv"),
    ("RUSTUP_HOME", ".rustup"),
    ("VOLTA_HOME", ".volta"),
    ("npm_config_cache", ".npm"),
];

/// Variables without such a place: passed on as they are.
const PASSED: &[&str] = &["DEVELOPER_DIR", "JAVA_HOME"];

/// The same for every command: no questions, no pager, no colours.
const FIXED: &[(&str, &str)] = &[
    ("CI", "1"),
    ("GIT_CONFIG_NOSYSTEM", "1"),
    ("GIT_PAGER", "cat"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("NO_COLOR", "1"),
    ("PAGER", "cat"),
    ("TERM", "dumb"),
];

/// Without a name git does not even begin a merge. Commits of the product's own never use it.
const IDENTITY: &str = "[user]\n\tname = CodeButler\n\temail = codebutler@localhost\n";

/// A shell command in the folder `root`, with the environment and home that commands get. The private `home` is made.
fn command(root: &Path, home: &Path, script: &str) -> std::io::Result<Program> {
    let temporary = home.join("tmp");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&temporary)?;
    match std::fs::File::create_new(home.join(".gitconfig")) {
        Ok(mut settings) => settings.write_all(IDENTITY.as_bytes())?,
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let mut program = Program::new(shell(), root).args(["-c", script]).env("HOME", home).env("TMPDIR", temporary);
    for (name, value) in FIXED {
        program = program.env(*name, *value);
    }
    for name in PASSED {
        program = program.inherit(name);
    }
    for (name, place) in TOOLCHAINS {
        if let Some(folder) = toolchain(name, place) {
            program = program.env(*name, folder);
        }
    }
    if root.join("Cargo.toml").is_file() {
        program = program.env("CARGO_TARGET_DIR", root.join(".target"));
    }
    let venv = root.join(".venv");
    if venv.join("bin").is_dir() {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths([venv.join("bin")].into_iter().chain(std::env::split_paths(&path)));
        program = path.into_iter().fold(program, |program, path| program.env("PATH", path));
        program = program.env("VIRTUAL_ENV", venv);
    }
    Ok(program)
}

fn toolchain(name: &str, place: &str) -> Option<PathBuf> {
    let named = std::env::var_os(name).map(PathBuf::from);
    let folder = named.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(place)))?;
    folder.is_dir().then_some(folder)
}

/// `bash` where it is installed, else `sh`. Models write for bash.
pub fn shell() -> &'static str {
    static SHELL: OnceLock<&str> = OnceLock::new();
    SHELL.get_or_init(|| if installed("bash") { "bash" } else { "sh" })
}

/// Whether a program of this name is on the PATH.
pub fn installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}
