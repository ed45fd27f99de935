//! A shell that starts no process, for simulations. It understands a handful of scripts, or asks a function.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Script, Shell, shell::ShellError};
use crate::process::{Captured, Exit, Finished};
use crate::simulation::probe::Probe;

/// How a simulated script goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Play {
    /// How long it runs on tokio's clock, unless it is stopped or its time is over; [`Duration::MAX`] = for ever.
    pub lasts: Duration,
    /// What it prints.
    pub output: String,
    /// Its exit code.
    pub code: i32,
}

impl Play {
    /// Ends at once.
    pub fn ends(code: i32, output: impl Into<String>) -> Self {
        Self { lasts: Duration::ZERO, output: output.into(), code }
    }
}

/// A shell in memory. Clones share what was run.
#[derive(Clone)]
pub struct SimulatedShell {
    probe: Probe,
    play: Arc<dyn Fn(&Script) -> Play + Send + Sync>,
    ran: Arc<Mutex<Vec<String>>>,
}

impl SimulatedShell {
    /// Plays what [`plain`] understands.
    pub fn new() -> Self {
        Self::playing(|script| plain(&script.root, &script.text))
    }

    /// Plays what the function says; it may change files too.
    pub fn playing(play: impl Fn(&Script) -> Play + Send + Sync + 'static) -> Self {
        Self { probe: Probe::none(), play: Arc::new(play), ran: Arc::default() }
    }

    /// The same shell for the next life, with the probe that watches it.
    pub fn reborn(&self, probe: Probe) -> Self {
        Self { probe, ..self.clone() }
    }

    /// Scripts that were begun, in order.
    pub fn ran(&self) -> Vec<String> {
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Shell for SimulatedShell {
    async fn run(&self, script: Script) -> Result<Finished, ShellError> {
        let broken = || ShellError::Home(std::io::Error::other("simulated trouble"));
        if !self.probe.at("shell.run.start").await {
            return Err(broken());
        }
        self.ran.lock().unwrap_or_else(PoisonError::into_inner).push(script.text.clone());
        let play = (self.play)(&script);
        let exit = tokio::select! {
            biased;
            () = script.cancel.cancelled() => Exit::Cancelled,
            () = tokio::time::sleep(play.lasts) => Exit::Code(play.code),
            () = tokio::time::sleep(script.timeout) => Exit::TimedOut,
        };
        if !self.probe.at("shell.run.end").await {
            return Err(broken());
        }
        Ok(Finished { exit, stdout: Captured::of(&play.output), stderr: Captured::default(), left: false })
    }
}

/// Scripts that need no function: `grep -q TEXT FILE` (code 0 when the file holds the text, else 1), `write FILE TEXT`,
/// `sleep SECONDS`, `hang`, `exit CODE [WORDS]`. Anything else prints itself and ends with 0.
pub fn plain(root: &Path, script: &str) -> Play {
    let number = |text: &str| text.parse().expect("a number");
    match script.split(' ').collect::<Vec<_>>().as_slice() {
        ["grep", "-q", text, file] => {
            let found = std::fs::read_to_string(root.join(file)).is_ok_and(|content| content.contains(text));
            Play::ends(i32::from(!found), "")
        }
        ["write", file, text @ ..] => match std::fs::write(root.join(file), text.join(" ")) {
            Ok(()) => Play::ends(0, ""),
            Err(error) => Play::ends(1, error.to_string()),
        },
        ["sleep", seconds] => Play { lasts: Duration::from_secs(number(seconds)), ..Play::ends(0, "") },
        ["hang"] => Play { lasts: Duration::MAX, ..Play::ends(0, "") },
        ["exit", code, words @ ..] => Play::ends(i32::try_from(number(code)).expect("a small code"), words.join(" ")),
        _ => Play::ends(0, script),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::simulation::probe::Verdict;

    fn script(root: &Path, text: &str) -> Script {
        Script {
            root: root.to_owned(),
            home: root.join("home"),
            text: text.to_owned(),
            timeout: Duration::from_millis(20),
            keep: (1000, 1000),
            cancel: CancellationToken::new(),
        }
    }

    #[tokio::test]
    async fn scripts_are_played() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shell = SimulatedShell::new();
        let cases = [
            ("grep -q right a", "", Exit::Code(1)),
            ("write a all right", "", Exit::Code(0)),
            ("grep -q right a", "", Exit::Code(0)),
            ("exit 3", "", Exit::Code(3)),
            ("sleep 0", "", Exit::Code(0)),
            ("sleep 60", "", Exit::TimedOut),
            ("make it", "make it", Exit::Code(0)),
        ];
        for (text, output, exit) in cases {
            let finished = shell.run(script(folder.path(), text)).await.expect("it runs");
            assert_eq!((finished.stdout.text().as_str(), finished.exit), (output, exit), "{text}");
        }
        assert_eq!(shell.ran(), cases.map(|(text, ..)| text.to_owned()));
    }

    #[tokio::test]
    async fn a_script_that_hangs_is_cancelled_and_a_probe_cuts_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shell = SimulatedShell::new();
        let mut hanging = script(folder.path(), "hang");
        hanging.timeout = Duration::MAX;
        let cancel = hanging.cancel.clone();
        let (finished, ()) = tokio::join!(shell.run(hanging), async { cancel.cancel() });
        assert_eq!(finished.expect("it runs").exit, Exit::Cancelled);
        for (label, verdict, ran) in [
            ("shell.run.start", Verdict::Crash, 1),
            ("shell.run.end", Verdict::Crash, 2),
            ("shell.run.start", Verdict::Fail, 2),
            ("shell.run.end", Verdict::Fail, 3),
        ] {
            let shell = shell.reborn(Probe::new(move |at| if at == label { verdict } else { Verdict::Go }));
            let ended = shell.run(script(folder.path(), "sleep 0")).now_or_never();
            assert!(ended.is_none_or(|result| result.is_err()) && shell.ran().len() == ran, "{label} {verdict:?}");
        }
    }

    #[tokio::test]
    async fn a_function_may_say_how_it_goes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let shell = SimulatedShell::playing(|script| Play::ends(7, format!("{}!", script.text)));
        let finished = shell.run(script(folder.path(), "a")).await.expect("it runs");
        assert_eq!((finished.stdout.text().as_str(), finished.exit), ("a!", Exit::Code(7)));
    }
}
