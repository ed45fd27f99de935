//! Posting into a thread and reading it: each method of the chat port as the calls that it takes.

use serde::Deserialize;
use serde_json::{Value, json};

use super::blocks::{self, Rendered};
use super::events::Own;
use super::mrkdwn;
use super::names::Names;
use super::pages::{Page, Pages};
use super::plain;
use super::web_api::WebApi;
use crate::chat::{ChatError, Post};
use crate::ids::{MessageTs, ThreadKey, UserId};

/// The type of the metadata by which a post is found again.
const MARK: &str = "codebutler_post";
/// Pages that are read of one thread at most.
const PAGES: usize = 50;

#[derive(Deserialize)]
struct Posted {
    ts: String,
}

#[derive(Deserialize)]
struct Done {}

#[derive(Deserialize)]
struct UploadAddress {
    upload_url: String,
    file_id: String,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Reply {
    ts: String,
    user: Option<String>,
    username: Option<String>,
    bot_id: Option<String>,
    text: String,
    metadata: Value,
    blocks: Vec<Value>,
    files: Vec<ReplyFile>,
}

#[derive(Deserialize)]
struct ReplyFile {
    name: Option<String>,
}

/// Posts something new.
pub async fn post(web: &WebApi, thread: &ThreadKey, key: &str, post: &Post) -> Result<Option<MessageTs>, ChatError> {
    match post {
        Post::Message { role, text, buttons } => {
            let rendered = blocks::message(role.as_deref(), text, buttons);
            let mut arguments = arguments(thread, key, &rendered.text);
            arguments["thread_ts"] = json!(thread.ts);
            if !rendered.blocks.is_empty() {
                arguments["blocks"] = Value::from(rendered.blocks);
            }
            let posted: Posted = web.post("chat.postMessage", &arguments).await?;
            Ok(Some(MessageTs::new(posted.ts)))
        }
        Post::File { role, name, syntax, content } => {
            upload(web, thread, key, role.as_deref(), &File { name, syntax, content }).await.map(|()| None)
        }
        Post::Reaction { ts, name } => react(web, thread, ts, name).await.map(|()| None),
        Post::Ephemeral { to, text } => {
            let text = blocks::message(None, text, &[]).text;
            let mut arguments = plain_arguments(thread, &text);
            arguments["thread_ts"] = json!(thread.ts);
            arguments["user"] = json!(to);
            web.post::<Done>("chat.postEphemeral", &arguments).await.map(|_| None)
        }
    }
}

/// Replaces a message.
pub async fn edit(web: &WebApi, thread: &ThreadKey, ts: &MessageTs, key: &str, post: &Post) -> Result<(), ChatError> {
    let Post::Message { role, text, buttons } = post else {
        return Err(ChatError::Refused { code: "only messages can be edited".to_owned() });
    };
    let Rendered { text, blocks } = blocks::message(role.as_deref(), text, buttons);
    let mut arguments = arguments(thread, key, &text);
    arguments["ts"] = json!(ts);
    // Slack keeps the old blocks unless it is given new ones, be it none.
    arguments["blocks"] = Value::from(blocks);
    web.post::<Done>("chat.update", &arguments).await.map(|_| ())
}

/// Says something that is not kept under a key: an answer where no repository is bound.
pub async fn say(web: &WebApi, thread: &ThreadKey, markdown: &str) -> Result<(), ChatError> {
    let mut arguments = plain_arguments(thread, &mrkdwn::from_markdown(markdown));
    arguments["thread_ts"] = json!(thread.ts);
    web.post::<Posted>("chat.postMessage", &arguments).await.map(|_| ())
}

/// Looks for the post with this key, among messages by their metadata and among files by their block's id.
pub async fn find(web: &WebApi, own: &Own, thread: &ThreadKey, key: &str) -> Result<Option<MessageTs>, ChatError> {
    let mut pages = Pages::new(PAGES);
    while let Some(replies) = replies(web, thread, None, &mut pages).await? {
        let found = replies.into_iter().find(|reply| reply.is_ours(own) && reply.has_key(key));
        if let Some(reply) = found {
            return Ok(Some(MessageTs::new(reply.ts)));
        }
    }
    Ok(None)
}

/// What others said in the thread before a message.
pub async fn history(
    web: &WebApi,
    own: &Own,
    names: &Names,
    thread: &ThreadKey,
    before: &MessageTs,
) -> Result<Vec<String>, ChatError> {
    let mut said = Vec::new();
    if thread.ts == *before {
        return Ok(said);
    }
    let (mut pages, mut last) = (Pages::new(PAGES), String::new());
    while let Some(replies) = replies(web, thread, Some(before), &mut pages).await? {
        for reply in &replies {
            // Slack may repeat the first message on every page.
            let fresh = reply.ts.as_str() > last.as_str() && reply.ts.as_str() < before.as_str();
            if fresh && !reply.is_ours(own) {
                said.extend(reply.as_said(web, names).await);
                last.clone_from(&reply.ts);
            }
        }
    }
    Ok(said)
}

/// The next page of a thread; `None` behind the last.
async fn replies(
    web: &WebApi,
    thread: &ThreadKey,
    latest: Option<&MessageTs>,
    pages: &mut Pages,
) -> Result<Option<Vec<Reply>>, ChatError> {
    let mut window =
        vec![("channel", thread.channel.as_str()), ("ts", thread.ts.as_str()), ("include_all_metadata", "true")];
    window.extend(latest.map(|latest| ("latest", latest.as_str())));
    let Some(parameters) = pages.next(&window) else { return Ok(None) };
    let page: Page<Reply> = web.get("conversations.replies", &parameters).await?;
    Ok(Some(pages.take(page)))
}

async fn react(web: &WebApi, thread: &ThreadKey, ts: &MessageTs, name: &str) -> Result<(), ChatError> {
    let arguments = json!({ "channel": thread.channel, "timestamp": ts, "name": name });
    match web.post::<Done>("reactions.add", &arguments).await {
        Err(ChatError::Refused { code }) if code.starts_with("already_reacted") => Ok(()),
        other => other.map(|_| ()),
    }
}

struct File<'a> {
    name: &'a str,
    syntax: &'a str,
    content: &'a str,
}

/// Uploads a file in Slack's two steps. The message that shows it carries no metadata; its block's id is the key.
async fn upload(
    web: &WebApi,
    thread: &ThreadKey,
    key: &str,
    role: Option<&str>,
    file: &File<'_>,
) -> Result<(), ChatError> {
    let address = upload_address(web, file).await?;
    web.upload(&address.upload_url, file.content.as_bytes()).await?;
    let mut shown = blocks::section(&blocks::prefixed(role, &format!("`{}`", mrkdwn::escape(file.name))));
    shown["block_id"] = json!(block_id(key));
    let arguments = json!({
        "files": [{ "id": address.file_id, "title": file.name }],
        "channel_id": thread.channel,
        "thread_ts": thread.ts,
        "blocks": [shown],
    });
    web.post::<Done>("files.completeUploadExternal", &arguments).await.map(|_| ())
}

async fn upload_address(web: &WebApi, file: &File<'_>) -> Result<UploadAddress, ChatError> {
    const METHOD: &str = "files.getUploadURLExternal";
    let length = file.content.len().to_string();
    let mut parameters = vec![("filename", file.name), ("length", length.as_str())];
    if file.syntax.is_empty() {
        return web.get(METHOD, &parameters).await;
    }
    parameters.push(("snippet_type", file.syntax));
    match web.get(METHOD, &parameters).await {
        // Without the highlighting, then.
        Err(ChatError::Refused { code })
            if code.starts_with("unknown_snippet_type") || code.starts_with("snippet_too_large") =>
        {
            parameters.pop();
            web.get(METHOD, &parameters).await
        }
        other => other,
    }
}

/// The key as a block's id, which may have 255 characters.
fn block_id(key: &str) -> String {
    format!("{MARK}:{key}").chars().take(255).collect()
}

/// Arguments of a message that is found again by its key.
fn arguments(thread: &ThreadKey, key: &str, text: &str) -> Value {
    let mut arguments = plain_arguments(thread, text);
    arguments["metadata"] = json!({ "event_type": MARK, "event_payload": { "key": key } });
    arguments
}

/// Arguments of a message in which Slack itself makes no links, mentions or previews.
fn plain_arguments(thread: &ThreadKey, text: &str) -> Value {
    json!({
        "channel": thread.channel,
        "text": text,
        "parse": "none",
        "link_names": false,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

impl Reply {
    fn is_ours(&self, own: &Own) -> bool {
        self.user.as_deref() == Some(own.user.as_str()) || (self.bot_id.is_some() && self.bot_id == own.bot)
    }

    fn has_key(&self, key: &str) -> bool {
        let metadata = &self.metadata;
        let posted = metadata["event_type"] == MARK && metadata["event_payload"]["key"] == key;
        posted || self.blocks.iter().any(|block| block["block_id"] == block_id(key).as_str())
    }

    /// `Name: text`, with the names of its files; nothing for a message without either.
    async fn as_said(&self, web: &WebApi, names: &Names) -> Option<String> {
        let author = self.user.as_ref().map(UserId::new);
        let mut people = plain::mentioned(&self.text);
        people.extend(author.clone());
        let known = names.of(web, &people).await;
        let name = author.as_ref().and_then(|author| known.get(author).cloned());
        let name = name.or_else(|| self.username.clone()).or_else(|| self.user.clone());
        let mut parts = vec![plain::to_markdown(&self.text, &known)];
        parts.extend(self.files.iter().filter_map(|file| Some(format!("[file: {}]", file.name.as_deref()?))));
        parts.retain(|part| !part.trim().is_empty());
        (!parts.is_empty()).then(|| format!("{}: {}", name.as_deref().unwrap_or("a bot"), parts.join(" ")))
    }
}
