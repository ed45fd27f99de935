//! The strict server: what it lets pass, what it refuses, and its small pages.

use std::future::pending;

use axum::http::HeaderValue;
use serde_json::Value;

use super::*;

fn user(text: &str) -> Value {
    json!({"role": "user", "content": [{"type": "text", "text": text}]})
}

fn said(text: &str) -> Value {
    json!({"role": "assistant", "content": [{"type": "text", "text": text}]})
}

fn called(ids: &[&str], arguments: &str) -> Value {
    let call = |id: &&str| json!({"id": id, "type": "function", "function": {"name": "Read", "arguments": arguments}});
    json!({"role": "assistant", "content": null, "tool_calls": ids.iter().map(call).collect::<Vec<_>>()})
}

fn result(id: &str) -> Value {
    json!({"role": "tool", "tool_call_id": id, "content": [{"type": "text", "text": "ok"}]})
}

fn body(messages: &[Value]) -> Value {
    let mut all = vec![json!({"role": "system", "content": [{"type": "text", "text": "rules"}]})];
    all.extend_from_slice(messages);
    let tools: Vec<_> =
        ["Read", "Glob"].map(|name| json!({"type": "function", "function": {"name": name}})).into_iter().collect();
    json!({"model": "a/b", "messages": all, "tools": tools, "stream": true})
}

fn rules() -> Rules {
    let mut rules = Rules::default();
    rules.expect_tools("a/b", &["Read", "Glob"]);
    rules.expect_tools("c/d", &["Read", "Glob"]);
    rules
}

/// Sends the requests one after the other; gives the number of the last one's conversation, or the rules it breaks.
fn check(requests: &[Value]) -> Result<usize, String> {
    let mut rules = rules();
    let mut outcome = Err("nothing was sent".to_owned());
    for request in requests {
        let checked = rules.check(&HeaderMap::new(), request.to_string().as_bytes());
        outcome = checked.map(|request| request.conversation).map_err(|broken| broken.join("; "));
    }
    outcome
}

#[test]
fn messages_that_break_a_rule_are_refused_with_the_reason() {
    let cases = [
        (vec![user("a"), user("b")], "message 2 (user): does not belong after `user`"),
        (vec![said("a")], "message 1 (assistant): does not belong after `system`; the last message is neither"),
        (vec![user("a"), called(&["1"], "{}")], "calls without a result at the end: {\"1\"}"),
        (vec![user("a"), called(&["1"], "{}"), user("b")], "message 3 (user): calls without a result: {\"1\"}"),
        (vec![user("a"), called(&["1", "2"], "{}"), result("1"), user("b")], "calls without a result: {\"2\"}"),
        (vec![user("a"), called(&["1"], "{}"), result("1"), result("1")], "there is no open call `1`"),
        (vec![user("a"), called(&["1", "1"], "{}"), result("1")], "the call id `1` is empty or not unique"),
        (vec![user("a"), called(&["1"], "[]"), result("1")], "the arguments of `1` are no JSON object"),
        (vec![json!({"role": "user", "content": "a"})], "message 1 (user): the content is not a list of text parts"),
        (vec![user(" ")], "the content is not a list of text parts"),
        (vec![user("a"), json!({"role": "system", "content": []})], "does not belong after `user`"),
        (vec![user("a"), said("b"), user("c")], "neither begin a conversation nor extend a known one"),
    ];
    for (messages, expected) in cases {
        let broken = check(&[body(&messages)]).expect_err(expected);
        assert!(broken.contains(expected) || broken.starts_with(expected), "{broken}");
    }
}

#[test]
fn a_conversation_is_followed_as_long_as_it_only_grows() {
    let mut marked = body(&[user("a"), said("b"), user("c")]);
    marked["messages"][3]["content"][0]["cache_control"] = json!({"type": "ephemeral"});
    let mut reasoned = said("b");
    reasoned["reasoning_details"] = json!([{"text": "hm"}]);
    let mut switched = body(&[user("a"), said("b"), user("c")]);
    switched["model"] = json!("c/d");
    let mut joined = body(&[user("a")]);
    joined["messages"][1]["content"].as_array_mut().expect("has parts").push(json!({"type": "text", "text": "b"}));
    let mut fewer = body(&[user("a"), said("b"), user("c")]);
    fewer["tools"].as_array_mut().expect("has tools").pop();
    let mut reordered = body(&[user("a")]);
    reordered["tools"].as_array_mut().expect("has tools").reverse();
    let first = || body(&[user("a")]);
    let extend = "the messages neither begin a conversation nor extend a known one byte for byte";
    let tools = |names: &str| format!("the tools are {names}, expected [[\"Read\", \"Glob\"]]");
    let cases = [
        (vec![first(), first()], Ok(0)),
        (vec![first(), body(&[user("other")])], Ok(1)),
        (vec![first(), body(&[user("a"), said("b"), user("c")])], Ok(0)),
        (vec![first(), marked], Ok(0)),
        (vec![first(), joined], Ok(0)),
        (vec![first(), body(&[user("a "), said("b"), user("c")])], Err(extend.to_owned())),
        (vec![first(), body(&[user("a"), reasoned, user("c")]), switched], Ok(0)),
        (vec![first(), fewer], Err(tools("[\"Read\"]"))),
        (vec![reordered], Err(tools("[\"Glob\", \"Read\"]"))),
    ];
    for (number, (requests, expected)) in cases.into_iter().enumerate() {
        assert_eq!(check(&requests), expected, "case {number}");
    }
}

#[test]
fn a_request_must_stream_and_name_a_model_that_exists() {
    let with = |key: &str, value: Value| {
        let mut body = body(&[user("a")]);
        body[key] = value;
        check(&[body])
    };
    assert_eq!(with("stream", json!(false)), Err("`stream` is not true".to_owned()));
    assert_eq!(with("model", json!("x/y")), Err("there is no model `x/y`".to_owned()));
    assert_eq!(with("tools", json!([])), Ok(0));
}

/// Sends a request by hand, as any HTTP client would.
async fn send(base: &str, path: &str, key: &str, body: Option<&Value>) -> (u16, String) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let url = format!("{base}{path}");
    let request = match body {
        Some(body) => client.post(url).json(body),
        None => client.get(url),
    };
    let response = request.bearer_auth(key).send().await.expect("the server answers");
    (response.status().as_u16(), response.text().await.expect("has a body"))
}

#[tokio::test]
async fn violations_are_answered_and_remembered_and_requests_can_be_read() {
    let script = |request: &ScriptedRequest| {
        assert_eq!((request.turn(), request.last_result("Read").as_deref()), (1, Some("ok")));
        ScriptedReply::text(request.user_text())
    };
    let server = ScriptedServer::start(script).expect("a port is free").expect_key("k");
    let server = server.expect_tools("a/b", &["Read", "Glob"]);
    let (url, log) = (server.url(), server.log());
    let requests = async {
        let first = body(&[user("a")]);
        assert_eq!(send(&url, "/chat/completions", "wrong", Some(&first)).await.0, 401);
        let (status, refusal) = send(&url, "/chat/completions", "k", Some(&body(&[user("a"), user("b")]))).await;
        assert_eq!((status, refusal.contains("does not belong after")), (400, true), "{refusal}");
        assert_eq!(send(&url, "/key", "k", None).await.0, 200);
        let (status, models) = send(&url, "/models", "k", None).await;
        assert_eq!((status, models.contains("\"a/b\"")), (200, true), "{models}");
    };
    tokio::select! {
        () = requests => {}
        ended = server.serve(pending()) => panic!("the server ended: {ended:?}"),
    }
    let expected = ["the key is missing or wrong", "message 2 (user): does not belong after `user`"];
    assert_eq!((log.violations(), log.requests().len()), (expected.map(str::to_owned).to_vec(), 0));
}

#[test]
fn a_script_sees_the_conversation() {
    let mut headers = HeaderMap::new();
    headers.insert("x-title", HeaderValue::from_static("CodeButler"));
    let mut rules = rules();
    let first = body(&[user("a")]).to_string();
    rules.check(&headers, first.as_bytes()).expect("begins a conversation");
    let next = body(&[user("a"), called(&["1"], r#"{"file_path":"x"}"#), result("1"), user("more")]);
    let request = rules.check(&headers, next.to_string().as_bytes()).expect("goes on");
    assert_eq!(request.last_result("Read"), Some("ok".to_owned()));
    assert_eq!(request.last_result("Glob"), None);
    assert_eq!((request.user_text(), request.last_user_text()), ("a\nmore".to_owned(), "more".to_owned()));
    assert_eq!((request.number, request.conversation, request.turn(), request.tools.len()), (1, 0, 1, 2));
    assert_eq!(request.headers, [("x-title".to_owned(), "CodeButler".to_owned())]);
}

#[tokio::test]
async fn it_stops_when_told_even_while_a_reply_is_stalled() {
    let script = |_: &ScriptedRequest| ScriptedReply::fault(ScriptedFault::Stall);
    let server = ScriptedServer::start(script).expect("a port is free");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let (url, log) = (server.url(), server.log());
    let asked = async {
        let request = body(&[user("a")]);
        let answer = send(&url, "/chat/completions", "", Some(&request));
        tokio::pin!(answer);
        // The stop comes when the reply has begun and its end is missing.
        while log.requests().is_empty() {
            tokio::select! {
                answer = &mut answer => panic!("it did not stall: {answer:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
        stop.send(()).expect("the server is there");
        answer.await
    };
    let serving = server.serve(async {
        let _ = stopped.await;
    });
    let (answer, served) = tokio::join!(asked, serving);
    assert!(answer.1.ends_with("data: [DONE]\n\n") && served.is_ok(), "{answer:?} {served:?}");
}
