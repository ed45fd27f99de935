//! What a kill, a person or a command left broken is put in order, and whoever must know of it is told.

use std::path::Path;

use codebutler::scripted::{ScriptedReply, ScriptedRequest};
use serde_json::json;

use super::script::{last_calls, running, with_coder};
use super::support::fake_slack::{BEN, SHOP};
use super::world::{World, blocks_text};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_daemon_left_running_is_ended_before_work_goes_on() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let command = "echo $$ >begun; setsid sh -c 'echo $$ >left; sleep 600' & sleep 600";
    let world = World::with_script(with_coder(running(command))).await;
    let daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    let worktree = world.checkout().join(".codebutler/branches/say-hi");
    let pid = |file: &str| std::fs::read_to_string(worktree.join(file)).unwrap_or_default().trim().to_owned();
    world.until("the command", || !pid("begun").is_empty() && !pid("left").is_empty()).await;
    // One that has ended has no command line any more, even while nobody has asked for its status.
    let runs =
        |pid: &str| std::fs::read(Path::new("/proc").join(pid).join("cmdline")).is_ok_and(|line| !line.is_empty());
    let (begun, left) = (pid("begun"), pid("left"));
    daemon.kill();
    assert!(runs(&begun) && runs(&left), "a kill of the daemon does not reach them");
    let _daemon = world.start();
    assert!(!runs(&begun) && !runs(&left));
    world.says(&ts, "Interrupted: the program was restarted while this was running").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_outlives_its_killed_holder_for_a_moment_is_waited_for() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let world = World::new().await;
    let daemon = world.start();
    let path = world.checkout().join(".codebutler/store.db.lock");
    daemon.kill();
    // A child of the killed one that is not another program yet has its descriptors.
    let lock = std::fs::File::open(&path).expect("it was made");
    lock.lock().expect("free");
    let daemon = world.spawn();
    daemon.mentions(&path.display().to_string());
    drop(lock);
    daemon.wait_for(&format!("ready channel={SHOP} repo={}", world.checkout().display()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coder_learns_that_its_worktree_was_deleted_and_goes_on() {
    let coder = |request: &ScriptedRequest| {
        let result = |tool| request.last_result(tool).unwrap_or_default();
        let wrote = |content: &str| json!({ "file_path": "new.txt", "content": content });
        match (last_calls(request).as_slice(), result("Read")) {
            ([], _) => ScriptedReply::text("").call("Write", &wrote("one\n")),
            (["Write"], read) if read.is_empty() => {
                ScriptedReply::text("").call("Bash", &json!({ "command": "rm -rf \"$PWD\"" }))
            }
            (["Bash"], _) => ScriptedReply::text("").call("Read", &json!({ "file_path": "greeting.txt" })),
            (["Read"], read) if read.contains("Nothing was done") => {
                ScriptedReply::text(read).call("Read", &json!({ "file_path": "greeting.txt" }))
            }
            (["Read"], _) => ScriptedReply::text("").call("Write", &wrote("two\n")),
            (["Write"], read) => ScriptedReply::text(format!("Read then: {}", read.replace('\n', " "))),
            (other, _) => ScriptedReply::text(format!("lost after {other:?}")),
        }
    };
    let world = World::with_script(with_coder(coder)).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    world.says(&ts, "Read then:      1\thello").await;
    world.card(&ts, "pr_merge").await;
    assert_eq!(world.at_remote("codebutler/say-hi", "new.txt"), "two\n");
    let told = world.model.requests().iter().any(|request| {
        let read = request.last_result("Read").unwrap_or_default();
        read.contains("the worktree was missing") && read.contains("Uncommitted changes are gone.")
    });
    assert!(told);
    world.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_learn_that_uncommitted_work_was_deleted_before_it_was_published() {
    let coder = |request: &ScriptedRequest| match last_calls(request).as_slice() {
        [] => ScriptedReply::text("").call("Write", &json!({ "file_path": "a.txt", "content": "a\n" })),
        ["Write"] => ScriptedReply::text("").call("GitCommit", &json!({ "message": "Add a" })),
        ["GitCommit"] => ScriptedReply::text("").call("Bash", &json!({ "command": "echo b >a.txt; rm -rf \"$PWD\"" })),
        _ => ScriptedReply::text("Done."),
    };
    let world = World::with_script(with_coder(coder)).await;
    let _daemon = world.start();
    let ts = world.slack.say(BEN, SHOP, "let `greeting.txt` say \"hi\"", None);
    world.press(&ts, "plan_approve").await;
    let (card, _) = world.card(&ts, "pr_merge").await;
    let text = blocks_text(&card);
    assert!(text.contains("Left out:") && text.contains("the worktree had been deleted and was made again"), "{text}");
    assert_eq!(world.at_remote("codebutler/say-hi", "a.txt"), "a\n");
    world.no_violations();
}
