//! The fake's HTTP side: tokens, encodings, faults, uploads, and the sockets.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ws::{self, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State as Extract};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::state::{APP, Fault, Outgoing, Socket, State};
use super::{APP_TOKEN, BOT_TOKEN, Shared, UPLOAD, web_methods};

/// Methods that do not read JSON (`json_input_supported` in Slack's reference).
const NO_JSON: &[&str] = &["conversations.info", "conversations.replies", "files.getUploadURLExternal", "users.info"];

pub fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api/{method}", any(call))
        .route("/upload/{file}", post(upload))
        .route("/link", get(link))
        .with_state(shared)
}

async fn call(
    Extract(shared): Extract<Arc<Shared>>,
    Path(method): Path<String>,
    headers: HeaderMap,
    uri: Uri,
    body: Bytes,
) -> Response {
    let arguments = arguments(&method, &headers, &uri, &body);
    let response = shared.change(|state| {
        if !state.offline {
            state.log(format!("call: {method} {}", arguments.as_ref().unwrap_or(&Value::Null)));
        }
        unless_broken(state, &method, |state| {
            let result = token(&method, &headers).and(arguments).and_then(|arguments| {
                state.calls.push((method.clone(), arguments.clone()));
                web_methods::call(state, &method, &arguments)
            });
            state.log(format!("answer: {method} {result:?}"));
            answer(result)
        })
    });
    or_silence(response).await
}

async fn or_silence(response: Option<Response>) -> Response {
    match response {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

/// Does what is asked for, as far as the next fault of that method lets it; `None`: no answer ever comes.
fn unless_broken(state: &mut State, method: &str, act: impl FnOnce(&mut State) -> Response) -> Option<Response> {
    if state.offline {
        return Some(cut());
    }
    Some(match state.next_fault(method) {
        None => act(state),
        Some(Fault::TooFast(seconds)) => {
            let wait = [(header::RETRY_AFTER, seconds.to_string())];
            let body = axum::Json(json!({ "ok": false, "error": "ratelimited" }));
            (StatusCode::TOO_MANY_REQUESTS, wait, body).into_response()
        }
        Some(Fault::Status(status)) => {
            let status = StatusCode::from_u16(status).expect("a test names a status");
            (status, "<html>something is wrong</html>").into_response()
        }
        Some(Fault::Cut) => cut(),
        Some(Fault::Refuse(code)) => answer(Err(code.to_owned())),
        Some(Fault::LoseAnswer) => {
            act(state);
            cut()
        }
        Some(Fault::RefuseAfter(code)) => {
            act(state);
            answer(Err(code.to_owned()))
        }
        Some(Fault::Silence) => {
            state.log(format!("call without an answer: {method}"));
            return None;
        }
    })
}

/// Headers, then a body that ends in the middle: the caller cannot know what happened.
fn cut() -> Response {
    let cut: Result<Bytes, _> = Err(std::io::Error::other("the fake loses this answer"));
    Response::new(Body::from_stream(stream::iter([cut])))
}

fn answer(result: Result<Value, String>) -> Response {
    let body = match result {
        Ok(mut body) => {
            body["ok"] = json!(true);
            body
        }
        Err(code) => json!({ "ok": false, "error": code }),
    };
    axum::Json(body).into_response()
}

fn token(method: &str, headers: &HeaderMap) -> Result<(), String> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let (right, other) = match method {
        "apps.connections.open" => (APP_TOKEN, BOT_TOKEN),
        _ => (BOT_TOKEN, APP_TOKEN),
    };
    match bearer {
        None => Err("not_authed".to_owned()),
        Some(token) if token == right => Ok(()),
        Some(token) if token == other => Err("not_allowed_token_type".to_owned()),
        Some(_) => Err("invalid_auth".to_owned()),
    }
}

/// The arguments of a call: query and form everywhere, JSON where the method reads it.
fn arguments(method: &str, headers: &HeaderMap, uri: &Uri, body: &Bytes) -> Result<Value, String> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut arguments = pairs(uri.query().unwrap_or_default());
    if kind.starts_with("application/json") {
        if NO_JSON.contains(&method) {
            return Err("invalid_arguments".to_owned());
        }
        let json: Value = serde_json::from_slice(body).map_err(|_| "invalid_json".to_owned())?;
        let object = json.as_object().ok_or("json_not_object")?;
        for (name, value) in object {
            arguments[name] = value.clone();
        }
    } else if !body.is_empty() {
        let form = String::from_utf8(body.to_vec()).map_err(|_| "invalid_form_data".to_owned())?;
        for (name, value) in pairs(&form).as_object().into_iter().flatten() {
            arguments[name] = value.clone();
        }
    }
    Ok(arguments)
}

fn pairs(query: &str) -> Value {
    let uri: Uri = format!("/?{query}").parse().unwrap_or_default();
    let pairs = Query::<HashMap<String, String>>::try_from_uri(&uri).map(|Query(pairs)| pairs).unwrap_or_default();
    json!(pairs)
}

async fn upload(Extract(shared): Extract<Arc<Shared>>, Path(id): Path<String>, body: Bytes) -> Response {
    let response = shared.change(|state| {
        state.log(format!("upload: {id}, {} bytes", body.len()));
        unless_broken(state, UPLOAD, |state| {
            let Some(file) = state.uploads.get_mut(&id) else { return StatusCode::NOT_FOUND.into_response() };
            if file.length != body.len() {
                return StatusCode::BAD_REQUEST.into_response();
            }
            file.content = Some(String::from_utf8_lossy(&body).into_owned());
            format!("OK - {}", body.len()).into_response()
        })
    });
    or_silence(response).await
}

async fn link(
    Extract(shared): Extract<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    // A ticket is good for one socket.
    let ticket = query.get("ticket").cloned().unwrap_or_default();
    if !shared.change(|state| state.tickets.remove(&ticket) && !state.offline) {
        return StatusCode::FORBIDDEN.into_response();
    }
    upgrade.on_upgrade(move |socket| serve(shared, socket))
}

async fn serve(shared: Arc<Shared>, mut socket: WebSocket) {
    let (out, mut waiting) = mpsc::unbounded_channel();
    let number = shared.change(|state| {
        state.opened += 1;
        let number = state.opened;
        let hello = json!({
            "type": "hello", "num_connections": state.sockets.len() + 1, "connection_info": { "app_id": APP },
            "debug_info": { "host": "wss-1", "build_number": 1, "approximate_connection_time": 18060 },
        });
        let _ = out.send(Outgoing::Frame(hello.to_string()));
        state.log(format!("socket {number} is open"));
        state.sockets.push(Socket { number, out });
        number
    });
    loop {
        tokio::select! {
            outgoing = waiting.recv() => match outgoing {
                Some(Outgoing::Frame(frame)) => {
                    if socket.send(ws::Message::Text(frame.into())).await.is_err() {
                        break;
                    }
                }
                Some(Outgoing::Freeze) => {
                    while !matches!(waiting.recv().await, Some(Outgoing::Cut) | None) {}
                    break;
                }
                Some(Outgoing::Cut) | None => break,
            },
            incoming = socket.recv() => match incoming {
                Some(Ok(ws::Message::Text(text))) => shared.change(|state| state.acked(&text)),
                Some(Ok(ws::Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
    shared.change(|state| {
        state.log(format!("socket {number} is closed"));
        state.sockets.retain(|socket| socket.number != number);
    });
}
