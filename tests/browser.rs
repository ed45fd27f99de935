//! The local page as a person sees it: `codebutler demo` and `codebutler chat` in a real browser.
//!
//! With `CODEBUTLER_SCREENSHOTS=FOLDER` these stories also leave pictures there.

#[path = "it/script.rs"]
#[expect(dead_code, reason = "these stories need no trouble with the model")]
mod script;
#[path = "support/web_driver.rs"]
mod web_driver;

use std::cell::OnceCell;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use codebutler::scripted::ScriptedServer;
use serde_json::json;
use web_driver::{Browser, DESKTOP, NIGHT, PHONE, STORY};

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";

/// How long the program may take to start and to end.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn the_demo_goes_from_the_bug_report_to_the_merge() {
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let demo = Program::start(folder.path(), &["demo"]);
    browser.open(demo.page());
    browser.sees("#notice", "scripted model, real tools");
    browser.sees(".message[data-author=you]", "last row");
    browser.sees(".progress[data-author=pm]", "file");
    let card = browser.sees(".card[data-author=pm]", "Approve");
    for part in ["Plan: Keep the last row", "src/report.sh:", "Done when", "Touches 2 files", "Change", "Cancel"] {
        assert!(card.contains(part), "{part} is not on the card: {card}");
    }
    browser.sees("#turn", "waiting for you");
    browser.sees(".reaction.done", "done");
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
    browser.sees(".file .patch", "src/report.sh");
    browser.sees(".file .del", "-while IFS=, read -r name quantity price; do");
    browser.sees(".file .add", "+while IFS=, read -r name quantity price || [ -n \"$name\" ]; do");
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
    browser.picture("story", STORY);
    browser.picture("merged-dark", NIGHT);
    browser.picture("merged-phone", PHONE);
    assert_eq!(browser.console(), Vec::<String>::new());
    drop(browser);
    demo.stop();
    let left: Vec<_> = std::fs::read_dir(folder.path().join("tmp")).expect("a folder").flatten().collect();
    assert!(left.is_empty(), "the demo leaves {left:?}");
}

#[test]
fn the_plan_is_approved_by_keyboard_alone_in_the_last_of_many_tabs() {
    let Some(browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let demo = Program::start(folder.path(), &["demo"]);
    browser.open(demo.page());
    browser.sees(".card[data-author=pm]", "Approve");
    // More than a browser has connections for one server.
    let mut tabs = Vec::new();
    for _ in 0..7 {
        tabs.push(browser.next_tab(demo.page()));
        browser.sees(".card[data-author=pm]", "Approve");
    }
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
    for tab in tabs {
        browser.go_to_tab(&tab);
        browser.sees(".card[data-author=coder]", "Merge");
    }
    assert_eq!(browser.console(), Vec::<String>::new());
    demo.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conversation_is_there_again_after_a_kill_and_in_every_tab() {
    let Some(browser) = Browser::start() else { return };
    let server = ScriptedServer::start(script::standard(script::Trouble::default())).expect("a free port");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shop = shop(folder.path(), &server.url());
    #[expect(clippy::disallowed_methods, reason = "a test's server; it ends with the test's runtime")]
    tokio::spawn(server.serve(std::future::pending()));
    let chat = Program::start(folder.path(), &["chat", "--repo", &shop]);
    browser.open(chat.page());
    browser.sees("#empty", "What should be done?");
    let first = browser.next_tab(chat.page());
    browser.sees("#empty", "What should be done?");
    browser.keys("please let `greeting.txt` say \"good morning\"");
    browser.keys(ENTER);
    browser.sees(".card[data-author=pm]", "Approve");
    browser.go_to_tab(&first);
    browser.sees(".card[data-author=pm]", "Approve");
    browser.sees(".reaction.done", "done");
    let before = browser.sees("#messages", "good morning");
    let address = chat.page().split('/').nth(2).expect("an address").to_owned();
    drop(chat);
    browser.sees("#lost", "The connection is lost");

    let chat = Program::start(folder.path(), &["chat", "--repo", &shop, "--listen", &address]);
    browser.sees("#lost", "Open the address that it printed");
    browser.open(chat.page());
    assert_eq!(browser.sees("#messages", "Approve"), before);
    browser.press("Approve");
    browser.sees(".card[data-author=pm]", "Approved by you");
    browser.reload();
    browser.sees(".card[data-author=coder]", "Merge");
    assert_eq!(browser.count("#threads li"), 1);
    assert_eq!(browser.count(".card[data-author=pm]"), 1);

    browser.next_tab(chat.page());
    browser.sees(".file summary", ".diff");
    browser.press("Merge");
    browser.sees(".message[data-author=lead]", "Merged as");
    chat.stop();
}

/// A repository with a remote and both configuration files; gives its path.
fn shop(folder: &Path, model: &str) -> String {
    let home = folder.join("home/.codebutler");
    let shop = folder.join("shop");
    for made in [&home, &shop.join(".codebutler")] {
        std::fs::create_dir_all(made).expect("a folder");
    }
    let global = json!({
        "openrouter": { "apiKey": "sk-test", "baseUrl": model },
        "timing": { "accumulationMs": 20 },
    });
    let models = json!({ "pm": { "default": script::PM, "fallback": [] }, "coder": { "model": script::CODER } });
    std::fs::write(home.join("config.json"), global.to_string()).expect("written");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(home.join("config.json"), private).expect("private");
    std::fs::write(shop.join(".codebutler/config.json"), json!({ "models": models }).to_string()).expect("written");
    std::fs::write(shop.join("greeting.txt"), "hello\nworld\n").expect("written");
    let steps: [&[&str]; 6] = [
        &["init", "-q", "--bare", "-b", "main", "../remote.git"],
        &["init", "-q", "-b", "main"],
        &["add", "greeting.txt"],
        &["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-qm", "Begin"],
        &["remote", "add", "origin", "../remote.git"],
        &["push", "-q", "origin", "main"],
    ];
    for arguments in steps {
        #[expect(clippy::disallowed_methods, reason = "a test makes the repository from outside the product")]
        let status = Command::new("git").args(arguments).current_dir(&shop).status().expect("git runs");
        assert!(status.success(), "git {arguments:?}");
    }
    shop.display().to_string()
}

/// The program, with a home and a temporary folder of its own.
struct Program {
    child: Child,
    lines: Receiver<String>,
    page: OnceCell<String>,
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
        Self { child, lines, page: OnceCell::new() }
    }

    /// The address that it prints.
    fn page(&self) -> &str {
        self.page.get_or_init(|| {
            loop {
                let line = self.lines.recv_timeout(PATIENCE).expect("the address of the page");
                if line.trim().starts_with("http://") {
                    return line.trim().to_owned();
                }
            }
        })
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
