//! The Web API's methods: arguments in, answer or error code out.

use serde_json::{Value, json};

use super::state::{Agent, BOT, Ephemeral, File, Message, State};
use super::{BOT_USER, TEAM, limits, past};

/// Languages that it can highlight.
const SYNTAXES: &[&str] = &["diff", "javascript", "python", "rust", "shell", "text"];

pub type Answer = Result<Value, String>;

pub fn call(state: &mut State, method: &str, arguments: &Value) -> Answer {
    match method {
        "auth.test" => Ok(json!({
            "url": "https://fake.slack.com/", "team": "Fake", "user": "codebutler", "team_id": TEAM,
            "user_id": BOT_USER, "bot_id": BOT, "is_enterprise_install": false,
        })),
        "apps.connections.open" => {
            let ticket = format!("ticket-{}", state.count());
            state.tickets.insert(ticket.clone());
            Ok(json!({ "url": format!("ws://{}/link?ticket={ticket}&app_id=1", state.address) }))
        }
        "conversations.info" => info(state, arguments),
        "conversations.history" => past::history(state, arguments),
        "conversations.replies" => past::replies(state, arguments),
        "users.info" => user(state, arguments),
        "chat.postMessage" => post_message(state, arguments),
        "chat.postEphemeral" => post_ephemeral(state, arguments),
        "chat.update" => update(state, arguments),
        "reactions.add" => react(state, arguments),
        "assistant.threads.setStatus" => words(state, arguments),
        "agents.sessions.setStatus" => session(state, arguments),
        "files.getUploadURLExternal" => upload_address(state, arguments),
        "files.completeUploadExternal" => complete_upload(state, arguments),
        _ => Err("unknown_method".to_owned()),
    }
}

pub fn text<'a>(arguments: &'a Value, name: &str) -> Result<&'a str, String> {
    arguments[name].as_str().filter(|text| !text.is_empty()).ok_or_else(|| format!("invalid_arguments: {name}"))
}

fn info(state: &State, arguments: &Value) -> Answer {
    let id = text(arguments, "channel")?;
    let channel = state.channels.get(id).ok_or("channel_not_found")?;
    let is_member = channel.members.contains(BOT_USER);
    Ok(json!({ "channel": { "id": id, "name": channel.name, "is_member": is_member, "is_archived": false } }))
}

fn user(state: &State, arguments: &Value) -> Answer {
    let id = text(arguments, "user")?;
    let name = state.users.get(id).ok_or("user_not_found")?;
    Ok(json!({ "user": { "id": id, "name": id.to_lowercase(), "profile": { "display_name": name, "real_name": "" } } }))
}

/// The channel, when the bot may write there.
fn writable<'a>(state: &State, arguments: &'a Value) -> Result<&'a str, String> {
    let id = arguments["channel"].as_str().or_else(|| arguments["channel_id"].as_str()).ok_or("channel_not_found")?;
    let channel = state.channels.get(id).ok_or("channel_not_found")?;
    if channel.members.contains(BOT_USER) { Ok(id) } else { Err("not_in_channel".to_owned()) }
}

/// The thread, which must exist and be named by its first message.
fn thread(state: &State, channel: &str, arguments: &Value) -> Result<Option<String>, String> {
    let Some(ts) = arguments["thread_ts"].as_str() else { return Ok(None) };
    match state.message(channel, ts) {
        None => Err("thread_not_found".to_owned()),
        Some(message) if message.thread_ts.as_deref().is_some_and(|root| root != ts) => {
            Err("cannot_reply_to_message".to_owned())
        }
        Some(_) => Ok(Some(ts.to_owned())),
    }
}

fn content(arguments: &Value) -> Result<(String, Vec<Value>), String> {
    let text = arguments["text"].as_str().unwrap_or_default().to_owned();
    let blocks = arguments["blocks"].as_array().cloned().unwrap_or_default();
    if text.is_empty() && blocks.is_empty() {
        return Err("no_text".to_owned());
    }
    limits::check_blocks(&blocks)?;
    Ok((text, blocks))
}

fn metadata(arguments: &Value) -> Result<Value, String> {
    let metadata = arguments["metadata"].clone();
    let good = metadata["event_type"].is_string() && metadata["event_payload"].is_object();
    if metadata.is_null() || good { Ok(metadata) } else { Err("invalid_metadata_format".to_owned()) }
}

fn post_message(state: &mut State, arguments: &Value) -> Answer {
    let channel = writable(state, arguments)?.to_owned();
    let thread_ts = thread(state, &channel, arguments)?;
    let ((text, blocks), metadata) = (content(arguments)?, metadata(arguments)?);
    let text: String = text.chars().take(40_000).collect();
    let ts = state.next_ts();
    let (user, bot) = (BOT_USER.to_owned(), Some(BOT.to_owned()));
    let message = Message {
        ts: ts.clone(),
        channel: channel.clone(),
        user,
        bot,
        text,
        thread_ts,
        blocks,
        metadata,
        ..Message::default()
    };
    // The words go with the next message of who is at work.
    message.thread_ts.as_ref().map(|thread| state.words.remove(thread));
    state.add(message);
    Ok(json!({ "channel": channel, "ts": ts }))
}

fn post_ephemeral(state: &mut State, arguments: &Value) -> Answer {
    let channel = writable(state, arguments)?.to_owned();
    let user = text(arguments, "user")?.to_owned();
    if !state.channels[&channel].members.contains(&user) {
        return Err("user_not_in_channel".to_owned());
    }
    let thread_ts = thread(state, &channel, arguments)?;
    let (text, _) = content(arguments)?;
    state.ephemerals.push(Ephemeral { channel, user, text, thread_ts });
    Ok(json!({ "message_ts": state.next_ts() }))
}

fn update(state: &mut State, arguments: &Value) -> Answer {
    let (channel, ts) = (writable(state, arguments)?, text(arguments, "ts")?.to_owned());
    let before = state.message(channel, &ts).ok_or("message_not_found")?.clone();
    if before.bot.as_deref() != Some(BOT) {
        return Err("cant_update_message".to_owned());
    }
    let text = arguments["text"].as_str().map(str::to_owned).unwrap_or_else(|| before.text.clone());
    if text.chars().count() > 4_000 {
        return Err("msg_too_long".to_owned());
    }
    // What is not given stays.
    let blocks = arguments["blocks"].as_array().cloned().unwrap_or_else(|| before.blocks.clone());
    limits::check_blocks(&blocks)?;
    let metadata = Some(metadata(arguments)?).filter(|metadata| !metadata.is_null()).unwrap_or(before.metadata.clone());
    let after = Message { text, blocks, metadata, edits: before.edits + 1, ..before.clone() };
    *state.message_mut(&ts) = after.clone();
    state.deliver_edit(&before, &after);
    Ok(json!({ "channel": after.channel, "ts": ts, "text": after.text }))
}

fn react(state: &mut State, arguments: &Value) -> Answer {
    let channel = writable(state, arguments)?;
    let (ts, name) = (text(arguments, "timestamp")?, text(arguments, "name")?);
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_+-'".contains(c)) {
        return Err("invalid_name".to_owned());
    }
    let message = state.message(channel, ts).ok_or("message_not_found")?;
    if message.reactions.iter().any(|other| other == name) {
        return Err("already_reacted".to_owned());
    }
    state.message_mut(ts).reactions.push(name.to_owned());
    Ok(json!({}))
}

/// The line of words beneath a thread; `chat:write` is enough for it.
fn words(state: &mut State, arguments: &Value) -> Answer {
    if state.agent == Agent::Unknown {
        return Err("unknown_method".to_owned());
    }
    let thread = own_thread(state, arguments, "invalid_thread_ts")?;
    let status = arguments["status"].as_str().ok_or("invalid_arguments: status")?.to_owned();
    if status.is_empty() {
        drop(state.words.remove(&thread))
    } else {
        drop(state.words.insert(thread, status))
    }
    Ok(json!({}))
}

/// The session of a thread, which only an app has that is declared as an agent.
fn session(state: &mut State, arguments: &Value) -> Answer {
    match state.agent {
        Agent::Unknown => return Err("unknown_method".to_owned()),
        Agent::NotDeclared => return Err("not_authorized".to_owned()),
        Agent::Declared => {}
    }
    let status = text(arguments, "status")?.to_owned();
    if !["active", "processing", "suspended", "closed"].contains(&status.as_str()) {
        return Err("invalid_arguments: status".to_owned());
    }
    let thread = own_thread(state, arguments, "thread_ts_required")?;
    state.sessions.insert(thread, status.clone());
    Ok(json!({ "status": status, "agent_status": status }))
}

/// The thread that a status is for: its arguments are named unlike those of messages.
fn own_thread(state: &State, arguments: &Value, missing: &str) -> Result<String, String> {
    let named = arguments
        .as_object()
        .is_some_and(|named| named.keys().all(|name| ["channel_id", "thread_ts", "status"].contains(&name.as_str())));
    if !named || arguments["channel_id"].as_str().is_none() {
        return Err("invalid_arguments".to_owned());
    }
    let channel = writable(state, arguments)?;
    thread(state, channel, arguments)?.ok_or_else(|| missing.to_owned())
}

fn upload_address(state: &mut State, arguments: &Value) -> Answer {
    let name = text(arguments, "filename")?.to_owned();
    let length = text(arguments, "length")?.parse().map_err(|_| "invalid_arguments")?;
    let syntax = arguments["snippet_type"].as_str().map(str::to_owned);
    if syntax.as_deref().is_some_and(|syntax| !SYNTAXES.contains(&syntax)) {
        return Err("unknown_snippet_type".to_owned());
    }
    let id = format!("F{:08}", state.count());
    let url = format!("http://{}/upload/{id}", state.address);
    state.uploads.insert(id.clone(), File { id: id.clone(), name, syntax, length, ..File::default() });
    Ok(json!({ "upload_url": url, "file_id": id }))
}

fn complete_upload(state: &mut State, arguments: &Value) -> Answer {
    let channel = writable(state, arguments)?.to_owned();
    let thread_ts = thread(state, &channel, arguments)?;
    let mut files = Vec::new();
    for named in arguments["files"].as_array().ok_or("invalid_arguments")? {
        let id = text(named, "id")?;
        let uploaded = state.uploads.get(id).filter(|file| file.content.is_some()).ok_or("file_not_found")?;
        let title = named["title"].as_str().unwrap_or(&uploaded.name).to_owned();
        files.push(File { title, ..uploaded.clone() });
    }
    let comment = arguments["initial_comment"].as_str().unwrap_or_default().to_owned();
    // Blocks are ignored beside a comment.
    let blocks = match comment.as_str() {
        "" => arguments["blocks"].as_array().cloned().unwrap_or_default(),
        _ => Vec::new(),
    };
    limits::check_blocks(&blocks)?;
    let answer: Vec<Value> = files.iter().map(|file| json!({ "id": file.id, "title": file.title })).collect();
    let message = Message {
        ts: state.next_ts(),
        channel,
        user: BOT_USER.to_owned(),
        bot: Some(BOT.to_owned()),
        text: comment,
        thread_ts,
        blocks,
        files,
        ..Message::default()
    };
    state.add(message);
    Ok(json!({ "files": answer }))
}
