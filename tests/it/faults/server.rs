//! Faults of the server: statuses, errors in place of replies, streams that break or are none.

use codebutler::scripted::ScriptedFault;

use super::*;

/// Fails in this way as often as `bad` says; then it is well.
fn fails(fault: ScriptedFault, bad: usize, number: usize) -> ScriptedReply {
    if number < bad { ScriptedReply::fault(fault) } else { ScriptedReply::text("all is well") }
}

fn raw(code: u16, headers: &[(&str, &str)], body: &str) -> ScriptedReply {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ScriptedReply::fault(ScriptedFault::Raw { code, headers, body: body.as_bytes().to_vec() })
}

fn once(reply: ScriptedReply, number: usize) -> ScriptedReply {
    if number == 0 { reply } else { ScriptedReply::text("all is well") }
}

const ALWAYS: usize = usize::MAX;
const WELL: &str = "all is well";
const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
const DONE: &str = "[DONE]";

static CASES: &[Case] = &[
    case("400", 1, "refused the request to `test/pm` (400): bad. The same request would be refused again", |_, n| {
        fails(status(400, "bad"), ALWAYS, n)
    }),
    case("401", 1, "does not accept the key (401): no. Put a valid `openrouter.apiKey`", |_, n| {
        fails(status(401, "no"), ALWAYS, n)
    }),
    case("402", 1, "lack of credit (402): pay. Add credit, then say `!retry`", |_, n| {
        fails(status(402, "pay"), ALWAYS, n)
    }),
    case("403", 1, "refused the request (403): flagged. Look at the key's limits and rights", |_, n| {
        fails(status(403, "flagged"), ALWAYS, n)
    }),
    case("404", 1, "The model `test/pm` is not available: gone. Set a model", |_, n| {
        fails(status(404, "gone"), ALWAYS, n)
    }),
    case("408 once", 2, WELL, |_, n| fails(status(408, "late"), 1, n)),
    case("409", 1, "(409): twice", |_, n| fails(status(409, "twice"), ALWAYS, n)),
    case("413", 1, "does not fit into what `test/pm` reads", |_, n| fails(status(413, "big"), ALWAYS, n)),
    case("422", 1, "(422): odd", |_, n| fails(status(422, "odd"), ALWAYS, n)),
    case("429 thrice", 4, WELL, |_, n| fails(status(429, "slow"), 3, n)),
    case("429 always", 6, "allows no more requests for now (429): slow. Wait a while", |_, n| {
        fails(status(429, "slow"), ALWAYS, n)
    }),
    case(
        "429 for an hour",
        1,
        "(429): slow. It asks to be left alone for 60 min: wait, or choose another model",
        |_, n| {
            let body = r#"{"error":{"message":"slow"}}"#.to_owned();
            fails(ScriptedFault::Status { code: 429, body, retry_after: Some("3600".to_owned()) }, ALWAYS, n)
        },
    ),
    case("429 with a time", 2, WELL, |_, n| {
        let fault = ScriptedFault::Status { code: 429, body: String::new(), retry_after: Some("0".to_owned()) };
        fails(fault, 1, n)
    }),
    case("429 without money", 1, "lack of credit (402): pay", |_, n| {
        let body = r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#.to_owned();
        fails(ScriptedFault::Status { code: 429, body, retry_after: None }, ALWAYS, n)
    }),
    case("500 five times", 6, WELL, |_, n| fails(status(500, "oops"), 5, n)),
    case("500 always", 6, "did not answer after 6 attempts: oops (500). Check the network", |_, n| {
        fails(status(500, "oops"), ALWAYS, n)
    }),
    case("502 as a page", 6, "an HTML page in place of an answer", |_, _| {
        raw(502, &[("content-type", "text/html")], "<html>bad gateway")
    }),
    case("503 once", 2, WELL, |_, n| fails(status(503, "busy"), 1, n)),
    case("503 without a provider", 6, "is not available: No available model provider", |_, n| {
        fails(status(503, "No available model provider"), ALWAYS, n)
    }),
    case("too long by its words", 1, "does not fit into what `test/pm` reads", |_, n| {
        fails(status(400, "maximum context length is 8"), ALWAYS, n)
    }),
    case("an error with 200, once", 2, WELL, |_, n| {
        fails(ScriptedFault::ErrorInBody { code: 429, message: "slow".to_owned() }, 1, n)
    }),
    case("an error with 200", 1, "lack of credit (402): pay", |_, n| {
        fails(ScriptedFault::ErrorInBody { code: 402, message: "pay".to_owned() }, ALWAYS, n)
    }),
    case("an error after text", 2, WELL, |_, n| {
        fails(ScriptedFault::ErrorMidStream { code: 502, message: "upstream".to_owned() }, 1, n)
    }),
    case("an error after half a call", 2, WELL, |_, n| {
        let fault = ScriptedFault::ErrorMidStream { code: 500, message: "upstream".to_owned() };
        once(ScriptedReply::text("").call("Read", &json!({ "file_path": "x".repeat(500) })).with_fault(fault), n)
    }),
    case("an error in a choice", 2, WELL, |_, n| {
        once(ScriptedReply::stream_of(&[r#"{"choices":[{"error":{"code":503,"message":"m"}}]}"#, DONE]), n)
    }),
    case("cut after text", 2, WELL, |_, n| fails(ScriptedFault::CutMidStream, 1, n)),
    case("cut always", 6, "did not answer after 6 attempts: the reply was cut off", |_, n| {
        fails(ScriptedFault::CutMidStream, ALWAYS, n)
    }),
    case("cut after half a call", 2, WELL, |_, n| {
        let reply = ScriptedReply::text("").call("Read", &json!({ "file_path": "x".repeat(500) }));
        once(reply.with_fault(ScriptedFault::CutMidStream), n)
    }),
    case("a broken connection", 2, WELL, |_, n| fails(ScriptedFault::ResetMidStream, 1, n)),
    case("an empty stream", 2, WELL, |_, n| fails(ScriptedFault::EmptyStream, 1, n)),
    case("an empty answer", 2, WELL, |_, n| once(ScriptedReply::text(""), n)),
    case("white space for an answer", 2, WELL, |_, n| once(ScriptedReply::text(" \n "), n)),
    case("empty always", 6, "The model `test/pm` gave an empty answer: 6 attempts. Say `!retry`", |_, _| {
        ScriptedReply::text("")
    }),
    case(
        "the output limit before a word",
        2,
        "used up its output limit before it said anything (it may have been thinking): 2 attempts. Ask for less at once",
        |_, _| ScriptedReply::text("").finish("length"),
    ),
    case("the output limit before a word, once", 2, WELL, |_, n| once(ScriptedReply::text("").finish("length"), n)),
    case("too long in the stream, without a code", 1, "does not fit into what `test/pm` reads", |_, _| {
        ScriptedReply::stream_of(&[r#"{"error":{"message":"This model's maximum context length is 8192 tokens"}}"#])
    }),
    case("no stream but JSON", 1, WELL, |_, _| ScriptedReply::text(WELL).with_fault(ScriptedFault::JsonInsteadOfSse)),
    case("no finish reason", 1, WELL, |_, _| {
        ScriptedReply::stream_of(&[r#"{"choices":[{"delta":{"content":"all is well"}}]}"#, DONE])
    }),
    case("a finish and no end", 1, WELL, |_, _| {
        ScriptedReply::stream_of(&[r#"{"choices":[{"delta":{"content":"all is well"}}]}"#, STOP])
    }),
    case("neither finish nor end", 2, WELL, |_, n| {
        once(ScriptedReply::stream_of(&[r#"{"choices":[{"delta":{"content":"half"}}]}"#]), n)
    }),
    case("an event that is no JSON", 2, WELL, |_, n| once(ScriptedReply::stream_of(&["{oops", STOP, DONE]), n)),
    case("numbers for texts", 1, WELL, |_, _| {
        ScriptedReply::stream_of(&[
            r#"{"id":7,"choices":[{"index":"0","delta":{"content":"all is well"},"finish_reason":null}]}"#,
            STOP,
            DONE,
        ])
    }),
    case("half characters", 1, "all is 😀 well", |_, _| {
        ScriptedReply::stream_of(&[
            r#"{"choices":[{"delta":{"content":"all is \ud83d"}}]}"#,
            r#"{"choices":[{"delta":{"content":"\ude00 well"}}]}"#,
            STOP,
            DONE,
        ])
    }),
    case("a refusal in its own member", 1, "I will not", |_, _| {
        ScriptedReply::stream_of(&[r#"{"choices":[{"delta":{"refusal":"I will not"}}]}"#, STOP, DONE])
    }),
    case(
        "a filtered answer",
        1,
        "A content filter held back the request or the answer of `test/pm`: the provider's content filter held the answer back. Say it in other words",
        |_, _| ScriptedReply::text("half of it").finish("content_filter"),
    ),
    case("finished by an error", 2, WELL, |_, n| once(ScriptedReply::text("half").finish("error"), n)),
    case("a text cut at the limit", 2, WELL, |request, n| {
        if n == 0 {
            return ScriptedReply::text("a very long answer").finish("length");
        }
        assert!(request.last_user_text().contains("reached the output limit"), "{}", request.last_user_text());
        ScriptedReply::text(WELL)
    }),
    case("cut at the limit again", 2, "cut off at the model's output limit", |_, _| {
        ScriptedReply::text("a very long answer").finish("length")
    }),
    case("a page with 200", 6, "neither a stream nor a completion; is the base URL right?", |_, _| {
        raw(200, &[("content-type", "text/html")], "<html>welcome")
    }),
    case("a redirect", 1, "it moved to https://elsewhere.test/v1; set the base URL", |_, _| {
        raw(308, &[("location", "https://elsewhere.test/v1")], "")
    }),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_the_server_ends_in_progress_or_in_one_message_with_the_next_step() {
    let world = World::with_script(script(CASES, false)).await;
    play(&world, CASES, false).await;
}
