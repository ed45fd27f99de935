//! Posting into a thread and reading it: each method of the chat port as the calls that it takes.

use serde::Deserialize;
use serde_json::{Value, json};

use super::blocks::{self, Rendered};
use super::events::Own;
use super::files::{self, File, Uploads};
use super::message::{self, Done, Posted};
use super::mrkdwn;
use super::names::Names;
use super::pages::{Page, Pages};
use super::plain;
use super::web_api::WebApi;
use crate::chat::{ChatError, Post};
use crate::ids::{MessageTs, ThreadKey, UserId};
use crate::thread::event::Earlier;

/// Pages that are read of one thread at most.
const PAGES: usize = 50;

#[derive(Default, Deserialize)]
#[serde(default)]
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
pub async fn post(
    web: &WebApi,
    uploads: &Uploads,
    thread: &ThreadKey,
    key: &str,
    post: &Post,
) -> Result<Option<MessageTs>, ChatError> {
    match post {
        Post::Message { role, text, buttons } => {
            message::post(web, thread, key, blocks::message(role.as_deref(), text, buttons)).await.map(Some)
        }
        Post::File { role, name, syntax, content } => {
            let file = File { role: role.as_deref(), name, syntax, content };
            files::post(web, uploads, thread, key, &file).await
        }
        Post::Reaction { ts, name } => react(web, thread, ts, name).await.map(|()| None),
        Post::Ephemeral { to, text } => {
            let text = blocks::message(None, text, &[]).text;
            let mut arguments = message::plain_arguments(thread, &text);
            arguments["thread_ts"] = json!(thread.ts);
            arguments["user"] = json!(to);
            web.post::<Done>("chat.postEphemeral", &arguments).await.map(|_| None)
        }
    }
}

/// Replaces a message.
pub async fn edit(web: &WebApi, thread: &ThreadKey, ts: &MessageTs, key: &str, post: &Post) -> Result<(), ChatError> {
    let Post::Message { role, text, buttons } = post else {
        return Err(ChatError::Refused { code: "only messages can be edited".to_owned(), remedy: None });
    };
    let Rendered { text, blocks } = blocks::message(role.as_deref(), text, buttons);
    let mut arguments = message::arguments(thread, key, &text);
    arguments["ts"] = json!(ts);
    // Slack keeps the old blocks unless it is given new ones, be it none.
    arguments["blocks"] = Value::from(blocks);
    web.post::<Done>("chat.update", &arguments).await.map(|_| ())
}

/// Says something that is not kept under a key: an answer where no repository is bound.
pub async fn say(web: &WebApi, thread: &ThreadKey, markdown: &str) -> Result<(), ChatError> {
    let mut arguments = message::plain_arguments(thread, &mrkdwn::from_markdown(markdown));
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
) -> Result<Vec<Earlier>, ChatError> {
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
                let line = reply.as_said(web, names).await;
                said.extend(line.map(|line| Earlier { ts: Some(MessageTs::new(reply.ts.as_str())), line }));
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
        Err(ChatError::Refused { code, .. }) if code.starts_with("already_reacted") => Ok(()),
        other => other.map(|_| ()),
    }
}

impl Reply {
    fn is_ours(&self, own: &Own) -> bool {
        self.user.as_deref() == Some(own.user.as_str()) || (self.bot_id.is_some() && self.bot_id == own.bot)
    }

    fn has_key(&self, key: &str) -> bool {
        message::has_key(&self.metadata, &self.blocks, key)
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
