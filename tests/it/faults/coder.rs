//! Faults in the middle of the Coder's work: nothing half is done, what was done is kept, and the run goes on.

use super::*;

const WELL: &str = "the Coder went on";

/// One call with these arguments, then the end.
fn calls(name: &str, arguments: &str, number: usize) -> ScriptedReply {
    if number == 0 { ScriptedReply::text("").raw_call("", name, arguments) } else { ScriptedReply::text(WELL) }
}

/// A file is written, the fault, and then the end.
fn after_work(fault: ScriptedReply, bad: usize, number: usize) -> ScriptedReply {
    match number {
        0 => ScriptedReply::text("").call("Write", &json!({ "file_path": "new.txt", "content": "new\n" })),
        number if number <= bad => fault,
        _ => ScriptedReply::text(WELL),
    }
}

static CASES: &[Case] = &[
    case("half a write", 2, WELL, |_, n| calls("Write", r#"{"file_path":"new.txt","content":"half"#, n))
        .results(&["incomplete: they end in the middle"])
        .file("new.txt", None),
    case("a write without its brace", 2, WELL, |_, n| calls("Write", r#"{"file_path":"new.txt","content":"all""#, n))
        .results(&["incomplete"])
        .file("new.txt", None),
    case("a write cut at the limit", 2, WELL, |_, n| {
        calls("Write", r#"{"file_path":"new.txt","content":"half"#, n).finish(if n == 0 { "length" } else { "" })
    })
    .results(&["the reply reached the output limit in the middle of this call"])
    .file("new.txt", None),
    case("a write with line breaks", 2, WELL, |_, n| calls("Write", "{\"file_path\":\"new.txt\",\"content\":\"one\ntwo\n\"}", n))
        .file("new.txt", Some("one\ntwo\n")),
    case("a write with another member", 2, WELL, |_, n| calls("Write", r#"{"file_path":"new.txt","content":"x","append":true}"#, n))
        .results(&["unknown field `append`"])
        .file("new.txt", None),
    case("a write of an object", 2, WELL, |_, n| calls("Write", r#"{"file_path":"new.txt","content":{"a":1}}"#, n))
        .results(&["`content` must be a text, not an object"])
        .file("new.txt", None),
    case("a write in the text", 2, WELL, |_, n| match n {
        0 => ScriptedReply::text("<function=Write>\n<parameter=file_path>\nnew.txt\n</parameter>\n<parameter=content>\nx\n</parameter>\n</function>"),
        _ => ScriptedReply::text(WELL),
    })
    .file("new.txt", Some("x")),
    case("half a write in the text", 2, WELL, |_, n| match n {
        0 => ScriptedReply::text("<function=Write>\n<parameter=file_path>\nnew.txt\n</parameter>\n<parameter=content>\nx"),
        _ => ScriptedReply::text(WELL),
    })
    .results(&["has no end"])
    .file("new.txt", None),
    case("the same command twice", 2, WELL, |_, n| match n {
        0 => ScriptedReply::text("").raw_call("", "Bash", r#"{"command":"echo x >>new.txt"}"#).raw_call("", "bash", r#"{"command":"echo x >>new.txt"}"#),
        _ => ScriptedReply::text(WELL),
    })
    .results(&["Not run: it is the same"])
    .file("new.txt", Some("x\n")),
    case("a command with NUL", 2, WELL, |_, n| calls("Bash", r#"{"command":"echo \u0000"}"#, n)).results(&["`command` has a NUL character"]),
    case("an edit with a switch as text", 3, WELL, |_, n| match n {
        0 => ScriptedReply::text("").call("Read", &json!({ "file_path": "greeting.txt" })),
        1 => ScriptedReply::text("").call("Edit", &json!({ "file_path": "greeting.txt", "old_string": "o", "new_string": "0", "replace_all": "true" })),
        _ => ScriptedReply::text(WELL),
    })
    .file("greeting.txt", Some("hell0\nw0rld\n")),
    case("a checklist as text", 2, WELL, |_, n| calls("TodoWrite", r#"{"todos":"[{'content': 'c', 'status': 'In Progress'}]"}"#, n)).results(&["saved"]),
    case("empty in mid-work", 3, WELL, |_, n| after_work(ScriptedReply::text(""), 1, n)).file("new.txt", Some("new\n")),
    case("empty in mid-work for good", 7, "gave an empty answer: 6 attempts. Nothing is lost: the work is on", |_, n| {
        after_work(ScriptedReply::text(""), usize::MAX, n)
    })
    .file("new.txt", Some("new\n")),
    case("cut in mid-work", 3, WELL, |_, n| after_work(ScriptedReply::fault(codebutler::scripted::ScriptedFault::CutMidStream), 1, n)).file("new.txt", Some("new\n")),
    case("no credit in mid-work", 2, "lack of credit (402): pay", |_, n| after_work(ScriptedReply::fault(status(402, "pay")), usize::MAX, n)).file("new.txt", Some("new\n")),
];

#[tokio::test(flavor = "multi_thread")]
async fn nothing_half_is_done_and_what_was_done_is_kept() {
    let mut world = World::with_script(script(CASES, true)).await;
    world.global["limits"] = json!({ "maxConcurrentThreads": 8 });
    world.repo["limits"] = json!({ "maxConcurrentThreads": 8 });
    play(&world, CASES, true).await;
}

/// A run that failed for good goes on where it stopped, with all that it had.
static RETRIED: &[Case] =
    &[case("empty until a person says retry", 7, "gave an empty answer: 6 attempts", |_, n| match n {
        0..=6 => after_work(ScriptedReply::text(""), 6, n),
        _ => ScriptedReply::text(WELL),
    })
    .file("new.txt", Some("new\n"))];

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_goes_on_from_the_work_that_was_kept() {
    let world = World::with_script(script(RETRIED, true)).await;
    let page = Page::open(&world);
    let case = &RETRIED[0];
    let thread = page.say(None, &format!("{} go", case.mark())).await;
    let value = page.button(&thread, "plan_approve").await;
    page.press(&thread, "plan_approve", &value).await;
    assert_eq!(held(&world, &page, case, &thread).await, Ok(()));
    page.say(Some(&thread), "!retry").await;
    assert!(page.shows(&thread, WELL).await);
    let last = world.model.requests().pop().expect("asked");
    assert!(last.messages.iter().flat_map(|message| &message.calls).any(|call| call.name == "Write"), "{last:?}");
    page.button(&thread, "pr_merge").await;
    world.no_violations();
}
