//! The local page as a person sees it: `codebutler demo` and `codebutler chat` in a real browser.
//!
//! With `CODEBUTLER_SCREENSHOTS=FOLDER` these stories also leave pictures there.

#[path = "support/web_driver.rs"]
mod web_driver;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use web_driver::{Browser, DESKTOP, NIGHT, PHONE};

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";

/// How long the program may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn the_demo_goes_from_the_bug_report_to_the_merge() {
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let demo = Program::start(folder.path(), &["demo"]);
    browser.open(&demo.page());
    browser.sees("#notice", "scripted model, real tools");
    browser.sees(".message[data-author=you]", "last row");
    browser.sees(".progress[data-author=pm]", "file");
    let card = browser.sees(".card[data-author=pm]", "Approve");
    for part in ["Plan: Keep the last row", "src/report.sh:", "Done when", "Touches 2 files", "Change", "Cancel"] {
        assert!(card.contains(part), "{part} is not on the card: {card}");
    }
    browser.sees("#turn", "waiting for you");
    browser.picture("plan", DESKTOP);
    browser.picture("plan-dark", NIGHT);
    browser.picture("plan-phone", PHONE);

    browser.press("Approve");
    browser.sees(".progress[data-author=coder]", "see the test fail");
    browser.picture("coder", DESKTOP);
    let card = browser.sees(".card[data-author=coder]", "Merge");
    for part in ["Done.", "exit code 0", "#1 Keep the last row", "2 files"] {
        assert!(card.contains(part), "{part} is not on the card: {card}");
    }
    browser.sees(".card[data-author=pm]", "Approved by you");
    let diff = browser.sees(".file summary", "pull-request-1");
    assert!(diff.contains(".diff") && diff.contains('+') && diff.contains('−'), "{diff}");
    browser.sees("#turn", "waiting for you");
    browser.picture("pull", DESKTOP);

    browser.run("document.querySelector('#text').focus()", &[]);
    browser.keys("merge");
    browser.keys(ENTER);
    browser.sees(".message[data-author=lead]", "Merged as");
    browser.until(
        "✅ on the message",
        "const said = [...document.querySelectorAll('.message[data-author=you]')].at(-1);\
         return said.querySelector('.text').innerText.trim() === 'merge' && said.querySelector('.reaction.done')",
        &[],
    );
    browser.until("a quiet thread", "return document.querySelector('#turn').hidden", &[]);
    browser.picture("merged", DESKTOP);
    browser.picture("merged-dark", NIGHT);
    browser.picture("merged-phone", PHONE);
    assert_eq!(browser.console(), Vec::<String>::new());
    drop(browser);
    demo.stop();
    let left: Vec<_> = std::fs::read_dir(folder.path().join("tmp")).expect("a folder").flatten().collect();
    assert!(left.is_empty(), "the demo leaves {left:?}");
}

#[test]
fn the_plan_is_approved_by_keyboard_alone() {
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let demo = Program::start(folder.path(), &["demo"]);
    browser.open(&demo.page());
    browser.sees(".card[data-author=pm]", "Approve");
    browser.run("document.activeElement.blur()", &[]);
    let mut passed = Vec::new();
    while passed.last().is_none_or(|name| name != "Approve") {
        assert!(passed.len() < 30, "Tab does not come to Approve: {passed:?}");
        browser.keys(TAB);
        passed.push(browser.focused());
    }
    browser.keys(ENTER);
    browser.sees(".card[data-author=pm]", "Approved by you");
    browser.sees(".card[data-author=coder]", "Merge");
    assert_eq!(browser.console(), Vec::<String>::new());
    demo.stop();
}

/// The program, with a home and a temporary folder of its own.
struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let [home, temporary] = ["home", "tmp"].map(|name| folder.join(name));
        for made in [&home, &temporary] {
            std::fs::create_dir_all(made).expect("a folder");
        }
        #[expect(clippy::disallowed_methods, reason = "the program under test")]
        let mut child = Command::new(env!("CARGO_BIN_EXE_codebutler"))
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", home)
            .env("TMPDIR", temporary)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = child.stdout.take().expect("piped");
        let (told, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = told.send(line);
            }
        });
        Self { child, lines }
    }

    /// The address that it prints.
    fn page(&self) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE).expect("the address of the page");
            if line.trim().starts_with("http://") {
                return line.trim().to_owned();
            }
        }
    }

    /// SIGTERM; it must end well.
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("it runs");
        let status = self.child.wait().expect("waited for");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
