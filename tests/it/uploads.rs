//! Answers with a file, through the binary: whatever becomes of the upload, the answer is there once, in its place, and
//! nothing behind it waits for ever.

use super::support::fake_slack::{ANA, BEN, Fault, Message, SHOP, State, UPLOAD};
use super::world::World;

const COMPLETE: &str = "files.completeUploadExternal";
const SORRY: &str = "could not be uploaded as a file";

/// Somebody asks for code, which is answered with some words and a file. The thread.
fn ask(world: &World) -> String {
    world.slack.say(BEN, SHOP, "may I see the code?", None)
}

/// What the bot has said in a thread must be those words, and then the code: as a file or as text.
fn is_answered(world: &World, thread: &str, as_file: bool) {
    let messages = world.thread_messages(thread);
    let shown: Vec<_> = messages.iter().map(|message| (message.files.len(), message.text.contains(SORRY))).collect();
    let code = if as_file { (1, false) } else { (0, true) };
    assert_eq!(shown, [(0, false), code], "{messages:#?}");
    let Message { text, files, .. } = &messages[1];
    let content = files.first().and_then(|file| file.content.as_ref()).unwrap_or(text);
    assert!((1..=25).all(|line| content.contains(&format!("line {line}\n"))), "{content}");
}

/// How many uploads were begun.
fn begun(state: &State) -> usize {
    state.uploads.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_takes_no_bytes_silences_nobody() {
    for fault in [Fault::Cut, Fault::Status(403), Fault::TooFast(0)] {
        let world = World::new().await;
        world.slack.break_method(UPLOAD, fault);
        let daemon = world.start();
        let thread = ask(&world);
        world.says(&thread, "Here it is").await;
        // Said while the file is tried, in another thread of the channel.
        let other = world.slack.say(ANA, SHOP, "is anybody there?", None);
        world.is_done(&thread).await;
        world.is_done(&other).await;
        is_answered(&world, &thread, false);
        world.is_answered_once(&other, &other, "is anybody there?");
        // The next file waits for nobody any more; and when the host is back, files are.
        let second = ask(&world);
        world.is_done(&second).await;
        is_answered(&world, &second, false);
        assert_eq!(world.slack.look(begun), 4);
        world.slack.mend(UPLOAD);
        let third = ask(&world);
        world.is_done(&third).await;
        is_answered(&world, &third, true);
        let (_, log) = daemon.stop();
        let told =
            |line: &&str| line.contains(" WRN ") && line.contains(&thread) && line.contains("its text is posted");
        assert_eq!(log.lines().filter(told).count(), 1, "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_works_in_the_end_is_there_once() {
    let world = World::new().await;
    let _daemon = world.start();
    let troubles: [&[(&str, Fault)]; 4] = [
        &[(UPLOAD, Fault::Cut), (UPLOAD, Fault::Cut)],
        &[("files.getUploadURLExternal", Fault::Cut), (UPLOAD, Fault::LoseAnswer), (COMPLETE, Fault::Cut)],
        &[(COMPLETE, Fault::LoseAnswer)],
        &[(COMPLETE, Fault::RefuseAfter("internal_error")), ("conversations.replies", Fault::Status(502))],
    ];
    for trouble in troubles {
        for (method, fault) in trouble {
            world.slack.fail_next(method, *fault);
        }
        let thread = ask(&world);
        world.is_done(&thread).await;
        is_answered(&world, &thread, true);
        assert!(world.slack.look(|state| state.faults.is_empty()));
    }
    world.slack.fail_next("files.getUploadURLExternal", Fault::Refuse("missing_scope"));
    let thread = ask(&world);
    world.is_done(&thread).await;
    is_answered(&world, &thread, false);
    assert!(world.thread_texts(&thread)[1].contains("Give the Slack app the scope `files:write`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_of_an_upload_that_cannot_work_the_text_is_there_once() {
    let world = World::new().await;
    world.slack.break_method(UPLOAD, Fault::Cut);
    // Whoever posts never hears whether it worked.
    world.slack.break_method("chat.postMessage", Fault::LoseAnswer);
    for tries in 1..=4 {
        let before = world.slack.look(begun);
        let daemon = world.start();
        let thread = ask(&world);
        let there = |state: &State| {
            let text = state.thread(&thread).iter().any(|message| message.text.contains(SORRY));
            (text || begun(state) - before >= tries).then_some(())
        };
        world.slack.wait_for("a step of the upload", there).await;
        daemon.kill();
        let daemon = world.start();
        world.slack.redeliver_unacked();
        world.is_done(&thread).await;
        is_answered(&world, &thread, false);
        daemon.stop();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_behind_an_upload_whose_answer_never_came_the_file_is_there_once() {
    let world = World::new().await;
    world.slack.break_method(COMPLETE, Fault::LoseAnswer);
    let daemon = world.start();
    let thread = ask(&world);
    let there = |state: &State| state.thread(&thread).iter().any(|message| !message.files.is_empty()).then_some(());
    world.slack.wait_for("the file", there).await;
    daemon.kill();
    let _daemon = world.start();
    world.slack.redeliver_unacked();
    world.is_done(&thread).await;
    is_answered(&world, &thread, true);
}
