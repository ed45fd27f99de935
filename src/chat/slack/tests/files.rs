//! Files go up in three steps and are found again; when they cannot, their text goes out, once, and never too early.

use super::fake_slack::{Message, UPLOAD};
use super::*;

const ADDRESS: &str = "files.getUploadURLExternal";
const COMPLETE: &str = "files.completeUploadExternal";

fn file(name: &str, syntax: &str, content: &str) -> Post {
    let (name, syntax, content) = (name.into(), syntax.into(), content.into());
    Post::File { role: Some("Coder".into()), name, syntax, content }
}

fn main_rs() -> Post {
    file("main.rs", "rust", "fn main() {}\n")
}

/// A thread to post into.
async fn begin() -> (FakeSlack, SlackChat, ThreadKey) {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = thread(&slack.say(ANA, SHOP, "hello", None));
    (slack, chat, root)
}

/// What was posted in a thread.
fn posted(slack: &FakeSlack, thread: &ThreadKey) -> Vec<Message> {
    slack.thread(thread.ts.as_str()).split_off(1)
}

async fn fails(chat: &SlackChat, thread: &ThreadKey, key: &str) {
    let tried = chat.post(thread, key, &main_rs()).await;
    assert!(matches!(tried, Err(ChatError::Unreachable(_))), "{key}: {tried:?}");
}

/// The post goes out as text; its text.
async fn goes_out_as_text(slack: &FakeSlack, chat: &SlackChat, thread: &ThreadKey, key: &str) -> String {
    let ts = chat.post(thread, key, &main_rs()).await.expect("posted").expect("as a message");
    assert_eq!(chat.find(thread, key).await.expect("looked").as_ref(), Some(&ts));
    let message = posted(slack, thread).pop().expect("it is there");
    assert_eq!((message.ts.as_str(), message.files.len(), message.blocks.len()), (ts.as_str(), 0, 0));
    message.text
}

async fn goes_up(slack: &FakeSlack, chat: &SlackChat, thread: &ThreadKey, key: &str) {
    assert_eq!(chat.post(thread, key, &main_rs()).await.expect("uploaded"), None);
    let message = posted(slack, thread).pop().expect("it is there");
    assert_eq!(message.files[0].content.as_deref(), Some("fn main() {}\n"));
    assert_eq!(chat.find(thread, key).await.expect("looked"), Some(MessageTs::new(message.ts)));
}

#[tokio::test]
async fn a_file_goes_up_in_three_steps_and_is_found_again() {
    let (slack, chat, thread) = begin().await;
    let file = |name: &str, syntax: &str| file(name, syntax, "fn main() {}\n");
    chat.post(&thread, "file/1", &file("main.rs", "rust")).await.expect("uploaded");
    chat.post(&thread, "file/2", &file("main.zig", "zig")).await.expect("uploaded without highlighting");
    slack.fail_next("files.completeUploadExternal", Fault::LoseAnswer);
    let lost = chat.post(&thread, "file/3", &file("notes", "")).await;
    assert!(matches!(lost, Err(ChatError::Unreachable(_))), "{lost:?}");
    let shared: Vec<_> = posted(&slack, &thread)
        .into_iter()
        .map(|message| {
            let file = message.files[0].clone();
            let shown = message.blocks[0]["text"]["text"].as_str().unwrap_or_default().to_owned();
            (message.ts, shown, file.title, file.syntax, file.content)
        })
        .collect();
    let content = Some("fn main() {}\n".to_owned());
    for (n, (name, syntax)) in [("main.rs", Some("rust")), ("main.zig", None), ("notes", None)].into_iter().enumerate()
    {
        let (ts, shown, title, seen_syntax, seen) = &shared[n];
        assert_eq!((shown, title.as_str()), (&format!("*Coder:* `{name}`"), name));
        assert_eq!((seen_syntax.as_deref(), seen), (syntax, &content));
        let found = chat.find(&thread, &format!("file/{}", n + 1)).await.expect("looked");
        assert_eq!(found, Some(MessageTs::new(ts.as_str())));
    }
}

#[tokio::test]
async fn a_host_out_of_reach_costs_a_few_tries_and_then_the_text_goes_out() {
    let (slack, chat, thread) = begin().await;
    slack.break_method(UPLOAD, Fault::Cut);
    fails(&chat, &thread, "file/1").await;
    fails(&chat, &thread, "file/1").await;
    assert_eq!(posted(&slack, &thread), []);
    assert_eq!(
        goes_out_as_text(&slack, &chat, &thread, "file/1").await,
        "*Coder:* `main.rs` could not be uploaded as a file: the upload to `127.0.0.1` does not work. The machine that I \
         run on must be able to reach `127.0.0.1`. Its text:\n```\nfn main() {}\n```"
    );
    // The next one costs one try, be it of the same name in another thread.
    let uploads = |slack: &FakeSlack| slack.look(|state| state.uploads.len());
    let before = uploads(&slack);
    goes_out_as_text(&slack, &chat, &thread, "file/2").await;
    let other = ThreadKey { ts: MessageTs::new(slack.say(ANA, SHOP, "hi", None)), ..thread.clone() };
    goes_out_as_text(&slack, &chat, &other, "file/2").await;
    assert_eq!(uploads(&slack), before + 2);
    // Another channel has a count of its own.
    let elsewhere = MessageTs::new(slack.say(ANA, LOBBY, "hi", None));
    let elsewhere = ThreadKey { channel: ChannelId::new(LOBBY), ts: elsewhere, ..thread.clone() };
    fails(&chat, &elsewhere, "file/3").await;
    slack.mend(UPLOAD);
    goes_up(&slack, &chat, &thread, "file/4").await;
    slack.break_method(UPLOAD, Fault::Status(403));
    fails(&chat, &thread, "file/5").await;
}

#[tokio::test]
async fn what_works_after_two_failures_goes_up_once() {
    let (slack, chat, thread) = begin().await;
    slack.fail_next(UPLOAD, Fault::Cut);
    slack.fail_next(UPLOAD, Fault::Status(503));
    fails(&chat, &thread, "file/1").await;
    fails(&chat, &thread, "file/1").await;
    goes_up(&slack, &chat, &thread, "file/1").await;
    assert_eq!(posted(&slack, &thread).len(), 1);
}

#[tokio::test]
async fn what_is_refused_for_good_goes_out_as_text_at_once() {
    let (slack, chat, thread) = begin().await;
    let cases = [
        (
            ADDRESS,
            Fault::Refuse("missing_scope"),
            "Slack refuses it (missing_scope). Give the Slack app the scope `files:write`",
        ),
        (ADDRESS, Fault::Refuse("storage_limit_reached"), "Delete old files of the Slack workspace"),
        (ADDRESS, Fault::Refuse("file_uploads_disabled"), "An admin of the Slack workspace can allow"),
        (UPLOAD, Fault::Status(413), "`127.0.0.1` refuses it (http_413)"),
        (COMPLETE, Fault::Refuse("file_update_failed"), "Slack refuses it (file_update_failed)"),
    ];
    for (number, (method, fault, words)) in cases.into_iter().enumerate() {
        slack.fail_next(method, fault);
        let text = goes_out_as_text(&slack, &chat, &thread, &format!("file/{number}")).await;
        assert!(text.contains(words) && text.contains("fn main() {}"), "{text}");
    }
}

#[tokio::test]
async fn a_file_that_only_its_channel_does_not_let_in_is_uploaded_once() {
    let (slack, chat, thread) = begin().await;
    let uploads = |slack: &FakeSlack| slack.look(|state| state.uploads.len());
    slack.kick_bot(SHOP);
    for _ in 0..5 {
        let refused = chat.post(&thread, "file/1", &main_rs()).await.expect_err("refused");
        assert!(
            matches!(&refused, ChatError::Refused { code, remedy: Some(_) } if code == "not_in_channel"),
            "{refused:?}"
        );
    }
    assert_eq!(uploads(&slack), 1);
    slack.invite_bot(SHOP);
    goes_up(&slack, &chat, &thread, "file/1").await;
    assert_eq!((uploads(&slack), posted(&slack, &thread).len()), (1, 1));
    // What is refused for another reason the second time, such as that Slack has forgotten the file, begins anew.
    slack.fail_next(COMPLETE, Fault::Refuse("is_archived"));
    chat.post(&thread, "file/2", &main_rs()).await.expect_err("refused");
    slack.fail_next(COMPLETE, Fault::Refuse("file_not_found"));
    goes_up(&slack, &chat, &thread, "file/2").await;
    assert_eq!((uploads(&slack), posted(&slack, &thread).len()), (3, 2));
    // The file of one post is never shown as another's.
    slack.fail_next(COMPLETE, Fault::Refuse("is_archived"));
    chat.post(&thread, "file/3", &main_rs()).await.expect_err("refused");
    goes_up(&slack, &chat, &thread, "file/4").await;
    assert_eq!(uploads(&slack), 5);
}

#[tokio::test]
async fn a_slack_out_of_reach_is_waited_for_as_long_as_it_takes() {
    let (slack, chat, thread) = begin().await;
    for method in [ADDRESS, COMPLETE] {
        slack.break_method(method, Fault::Cut);
        for _ in 0..5 {
            fails(&chat, &thread, "file/1").await;
        }
        slack.mend(method);
    }
    slack.fail_next(ADDRESS, Fault::TooFast(3));
    let tried = chat.post(&thread, "file/1", &main_rs()).await;
    assert!(matches!(tried, Err(ChatError::RateLimited { retry_after_ms: 3000 })), "{tried:?}");
    goes_up(&slack, &chat, &thread, "file/1").await;
    assert_eq!(posted(&slack, &thread).len(), 1);
}

#[tokio::test]
async fn after_the_last_step_the_text_goes_out_only_when_somebody_has_looked_for_the_file() {
    let (slack, chat, thread) = begin().await;
    slack.fail_next(COMPLETE, Fault::RefuseAfter("internal_error"));
    fails(&chat, &thread, "file/1").await;
    assert!(chat.find(&thread, "file/1").await.expect("looked").is_some());
    slack.break_method(COMPLETE, Fault::Refuse("internal_error"));
    for _ in 0..3 {
        fails(&chat, &thread, "file/2").await;
        assert_eq!(chat.find(&thread, "file/2").await.expect("looked"), None);
        assert_eq!(posted(&slack, &thread).len(), 1);
    }
    let text = goes_out_as_text(&slack, &chat, &thread, "file/2").await;
    assert!(text.contains("Slack does not take it at the moment (internal_error)"), "{text}");
    assert_eq!(posted(&slack, &thread).len(), 2);
}

#[tokio::test]
async fn a_text_whose_answer_is_lost_is_found_and_one_that_never_came_is_posted_without_more_tries() {
    let (slack, chat, thread) = begin().await;
    slack.break_method(UPLOAD, Fault::Cut);
    slack.fail_next("chat.postMessage", Fault::Cut);
    for _ in 0..3 {
        fails(&chat, &thread, "file/1").await;
    }
    let asked = |slack: &FakeSlack| slack.look(|state| state.uploads.len());
    assert_eq!((posted(&slack, &thread).len(), asked(&slack)), (0, 3));
    slack.fail_next("chat.postMessage", Fault::LoseAnswer);
    fails(&chat, &thread, "file/1").await;
    assert_eq!((posted(&slack, &thread).len(), asked(&slack)), (1, 3));
    assert!(chat.find(&thread, "file/1").await.expect("looked").is_some());
}

#[tokio::test]
async fn of_a_long_text_as_much_goes_out_as_one_message_shows() {
    let (slack, chat, thread) = begin().await;
    slack.break_method(ADDRESS, Fault::Refuse("missing_scope"));
    let long = format!("```\n{}", "let a = &b;\n".repeat(3_000));
    let sizes = [(5_000, true), (8_000, true), (long.len(), false)];
    for (number, (size, whole)) in sizes.into_iter().enumerate() {
        let post = file("a.rs", "rust", &long[..size]);
        chat.post(&thread, &format!("file/{number}"), &post).await.expect("posted").expect("as a message");
        let Message { text, blocks, .. } = posted(&slack, &thread).pop().expect("it is there");
        let shown: Vec<&str> = blocks.iter().map(|block| block["text"]["text"].as_str().expect("a section")).collect();
        let (first, last) = (shown[0], shown[shown.len() - 1]);
        assert!(text.starts_with("*Coder:* `a.rs` could not be uploaded") && text.ends_with("… (cut)"), "{text}");
        assert_eq!(first.contains("has all of it. The beginning of its text:"), !whole, "{first}");
        assert_eq!(last.ends_with("… (cut)"), !whole, "{last}");
        assert!(shown.iter().all(|part| part.matches("```").count() == 2), "{shown:#?}");
        let lines = shown.iter().map(|part| part.matches("let a = &amp;b;").count()).sum::<usize>();
        assert!(if whole { lines == size / 12 } else { lines > 600 }, "{lines} of {size}");
    }
    let show = format!("`codebutler show {} --events --json`", thread.ts);
    assert!(posted(&slack, &thread).pop().expect("it is there").text.contains(&show));
    chat.post(&thread, "file/empty", &file("empty", "", "")).await.expect("posted");
    assert!(posted(&slack, &thread).pop().expect("it is there").text.ends_with("install it again."));
}
