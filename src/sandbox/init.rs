//! What a fresh worktree needs before commands can run in it, by the platform table of the specification (18).
//!
//! Only what is in the folder decides. A failed step is reported, never fatal (`decisions.md` 22).

use std::path::Path;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Script, Shell, installed};
use crate::process::Exit;
use crate::thread::event::InitStep;

/// How long one step may take.
const STEP_TIME: Duration = Duration::from_secs(600);

/// Characters of a failed step's output that are kept, from its end.
const KEPT_OUTPUT: usize = 2000;

/// Everything that initialising makes, on any platform.
const MAKES: &[&str] = &["node_modules", ".venv", ".target", ".derivedData", "Pods"];

/// What a worktree needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitPlan {
    /// Shell commands, in order.
    pub commands: Vec<String>,
    /// Names of what they and later builds make, for `.git/info/exclude`.
    pub makes: Vec<&'static str>,
}

/// Says what the worktree in `root` needs; `configured` are the commands of the repository's config, if it has any.
pub fn plan(root: &Path, configured: Option<&[String]>) -> InitPlan {
    if let Some(commands) = configured {
        return InitPlan { commands: commands.to_vec(), makes: MAKES.to_vec() };
    }
    let mut plan = InitPlan::default();
    apple(root, &mut plan);
    node(root, &mut plan);
    python(root, &mut plan);
    if root.join("Cargo.toml").is_file() {
        // Nothing to run; builds go where `sandbox::command` says.
        plan.makes.push(".target");
    }
    plan
}

fn apple(root: &Path, plan: &mut InitPlan) {
    let is_xcode = std::fs::read_dir(root).is_ok_and(|entries| {
        entries.flatten().any(|entry| {
            Path::new(&entry.file_name()).extension().is_some_and(|kind| kind == "xcodeproj" || kind == "xcworkspace")
        })
    });
    if is_xcode {
        plan.makes.push(".derivedData");
    }
    if root.join("Podfile").is_file() {
        plan.commands.push("pod install".to_owned());
        plan.makes.push("Pods");
    }
}

fn node(root: &Path, plan: &mut InitPlan) {
    let Ok(package) = std::fs::read_to_string(root.join("package.json")) else { return };
    let package: serde_json::Value = serde_json::from_str(&package).unwrap_or_default();
    let needs = ["dependencies", "devDependencies", "optionalDependencies", "workspaces"];
    plan.makes.push("node_modules");
    let has = |file: &str| root.join(file).is_file();
    let command = if has("package-lock.json") || has("npm-shrinkwrap.json") {
        "npm ci --no-audit --no-fund"
    } else if has("pnpm-lock.yaml") && installed("pnpm") {
        "pnpm install --frozen-lockfile"
    } else if has("yarn.lock") && installed("yarn") {
        "yarn install --frozen-lockfile"
    } else if needs.iter().any(|key| package.get(key).is_some()) {
        "npm install --no-audit --no-fund --no-package-lock"
    } else {
        return;
    };
    plan.commands.push(command.to_owned());
}

fn python(root: &Path, plan: &mut InitPlan) {
    const VENV: &str = "python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check";
    // A pyproject.toml without a project only configures tools.
    let is_project = std::fs::read_to_string(root.join("pyproject.toml"))
        .is_ok_and(|text| text.lines().any(|line| line.trim() == "[project]"));
    let install = if root.join("requirements.txt").is_file() {
        "-r requirements.txt"
    } else if is_project {
        "-e ."
    } else {
        return;
    };
    plan.commands.push(format!("{VENV} {install}"));
    plan.makes.push(".venv");
}

/// Runs the commands of a plan, one after the other; what fails is said and does not stop the next.
pub async fn run(
    shell: &dyn Shell,
    root: &Path,
    home: &Path,
    plan: &InitPlan,
    cancel: &CancellationToken,
) -> Vec<InitStep> {
    let mut steps = Vec::with_capacity(plan.commands.len());
    for command in &plan.commands {
        if cancel.is_cancelled() {
            break;
        }
        let script = Script {
            root: root.to_owned(),
            home: home.to_owned(),
            text: command.clone(),
            timeout: STEP_TIME,
            keep: (0, 64 << 10),
            cancel: cancel.clone(),
        };
        let fault = step(shell, script).await.err();
        steps.push(InitStep { command: command.clone(), ok: fault.is_none(), output: fault.unwrap_or_default() });
    }
    steps
}

/// Runs one command; what went wrong, with the end of its output.
async fn step(shell: &dyn Shell, script: Script) -> Result<(), String> {
    let finished = shell.run(script).await.map_err(|error| error.to_string())?;
    let how = match finished.exit {
        Exit::Code(0) => return Ok(()),
        Exit::Code(code) => format!("exit code {code}"),
        Exit::Signal(signal) => format!("killed by signal {signal}"),
        Exit::TimedOut => format!("killed after {} s", STEP_TIME.as_secs()),
        Exit::Cancelled => "stopped".to_owned(),
    };
    let text = super::terminal::plain(&finished.stdout.text());
    let start = text.char_indices().rev().nth(KEPT_OUTPUT).map_or(0, |(start, _)| start);
    Err(format!("{}\n{how}", text[start..].trim()).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::HostShell;
    use super::*;

    fn planned(files: &[(&str, &str)]) -> (Vec<String>, Vec<&'static str>) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (path, content) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
            std::fs::write(path, content).expect("a file");
        }
        let plan = plan(folder.path(), None);
        (plan.commands, plan.makes)
    }

    #[test]
    fn each_platform_gets_what_it_needs() {
        let venv = "python3 -m venv .venv && .venv/bin/pip install --quiet --disable-pip-version-check";
        let npm = "npm install --no-audit --no-fund --no-package-lock";
        for (files, commands, makes) in [
            (&[("README.md", "")][..], vec![], vec![]),
            (&[("go.mod", "")], vec![], vec![]),
            (&[("Cargo.toml", "")], vec![], vec![".target"]),
            (
                &[("package.json", "{}"), ("package-lock.json", "{}")],
                vec!["npm ci --no-audit --no-fund".to_owned()],
                vec!["node_modules"],
            ),
            (&[("package.json", r#"{"dependencies": {"a": "1"}}"#)], vec![npm.to_owned()], vec!["node_modules"]),
            (&[("package.json", r#"{"scripts": {}}"#)], vec![], vec!["node_modules"]),
            (&[("package.json", "broken")], vec![], vec!["node_modules"]),
            (
                &[("requirements.txt", ""), ("pyproject.toml", "[project]")],
                vec![format!("{venv} -r requirements.txt")],
                vec![".venv"],
            ),
            (&[("pyproject.toml", "[tool.x]\n[project]\nname = 'a'")], vec![format!("{venv} -e .")], vec![".venv"]),
            (&[("pyproject.toml", "[tool.ruff]")], vec![], vec![]),
            (&[("Podfile", ""), ("App.xcodeproj/x", "")], vec!["pod install".to_owned()], vec![".derivedData", "Pods"]),
            (&[("App.xcworkspace/x", "")], vec![], vec![".derivedData"]),
            (
                &[("Cargo.toml", ""), ("package.json", r#"{"devDependencies": {}}"#), ("requirements.txt", "")],
                vec![npm.to_owned(), format!("{venv} -r requirements.txt")],
                vec!["node_modules", ".venv", ".target"],
            ),
        ] {
            assert_eq!(planned(files), (commands, makes), "{files:?}");
        }
    }

    #[test]
    fn the_config_wins_over_the_table() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("requirements.txt"), "").expect("a file");
        let commands = ["make deps".to_owned()];
        let plan = plan(folder.path(), Some(&commands));
        assert_eq!((plan.commands.as_slice(), plan.makes.as_slice()), (&commands[..], MAKES));
    }

    #[tokio::test]
    async fn steps_are_run_in_order_and_a_failure_shows_its_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (root, home) = (folder.path().join("work"), folder.path().join("home"));
        std::fs::create_dir(&root).expect("a folder");
        let commands = ["echo one > a", "cat a; echo wrong >&2; exit 3", "mv a b"].map(str::to_owned);
        let plan = plan(&root, Some(&commands));
        let steps = run(&HostShell::default(), &root, &home, &plan, &CancellationToken::new()).await;
        let told: Vec<_> = steps.iter().map(|step| (step.ok, step.output.as_str())).collect();
        assert_eq!(told, [(true, ""), (false, "one\nwrong\nexit code 3"), (true, "")]);
        assert!(root.join("b").exists());
    }

    #[tokio::test]
    async fn a_long_failure_is_cut_to_its_end() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let plan = plan(folder.path(), Some(&["seq 1 100000; exit 1".to_owned()]));
        let steps =
            run(&HostShell::default(), folder.path(), &folder.path().join("home"), &plan, &CancellationToken::new())
                .await;
        assert!(steps[0].output.ends_with("99999\n100000\nexit code 1"), "{}", steps[0].output);
        assert!(steps[0].output.len() < KEPT_OUTPUT + 20, "{}", steps[0].output.len());
    }

    #[tokio::test]
    async fn a_stopped_initialisation_runs_nothing_more() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let cancel = CancellationToken::new();
        cancel.cancel();
        let plan = plan(folder.path(), Some(&["touch made".to_owned()]));
        assert_eq!(run(&HostShell::default(), folder.path(), &folder.path().join("home"), &plan, &cancel).await, []);
        assert!(!folder.path().join("made").exists());
    }
}
