//! Posting a file: Slack's upload in three steps, the second of them to another host; and a message with the file's text
//! in its place when that does not work, so that what comes behind it does not wait for ever.
//!
//! Never waits or repeats: the outbox tries again, and looks before it does. Nothing is seen of an upload before its last
//! step; only until then may a message stand in for it within the same try.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::json;
use tracing::warn;

use super::blocks;
use super::message::{self, Done};
use super::mrkdwn::{code_block, escape};
use super::web_api::{WebApi, was_answered};
use crate::chat::ChatError;
use crate::ids::{ChannelId, MessageTs, ThreadKey};

/// So many failed uploads, and the post goes out without its file.
const TRIES: u32 = 3;

/// A file to be shown.
pub struct File<'a> {
    pub role: Option<&'a str>,
    pub name: &'a str,
    /// Its language; may be empty.
    pub syntax: &'a str,
    pub content: &'a str,
}

/// What is remembered of uploads: one entry per thread at most, for the posts of a thread go out one at a time. After a
/// restart it begins anew, which costs a few tries.
#[derive(Default)]
pub struct Uploads {
    // Std locks: held for a look or an insert, never over an await.
    failed: Mutex<HashMap<ThreadKey, Failed>>,
    /// Channels in which a file was given up and none was uploaded since.
    given_up: Mutex<HashSet<ChannelId>>,
    /// Files that Slack has and that their channel does not let in yet, with their posts.
    waiting: Mutex<HashMap<ThreadKey, Waiting>>,
}

/// A file that Slack has, and the key of its post.
struct Waiting {
    key: String,
    file_id: String,
}

/// Uploads of a thread that failed one after the other.
struct Failed {
    /// The post that was to be uploaded last.
    key: String,
    times: u32,
    reason: Reason,
}

/// Why there is no file, in words for people.
#[derive(Clone)]
struct Reason {
    /// A main clause.
    what: String,
    /// What the operator can do: a sentence.
    hint: String,
}

/// How an upload ended.
enum Fault {
    /// It has nothing to do with files: Slack cannot be reached or wants a pause, or the channel lets nothing in. It
    /// passes.
    Passing(ChatError),
    /// A step does not work although Slack can be reached. After the last step the file may be there all the same.
    Failed { error: ChatError, reason: Reason, perhaps_shown: bool },
    /// It is refused for good.
    Refused(Reason),
}

#[derive(Deserialize)]
struct Address {
    upload_url: String,
    file_id: String,
}

/// Posts a file, or, when it was tried often enough, a message with its text.
pub async fn post(
    web: &WebApi,
    uploads: &Uploads,
    thread: &ThreadKey,
    key: &str,
    file: &File<'_>,
) -> Result<Option<MessageTs>, ChatError> {
    if let Some(reason) = uploads.given_up(thread, key) {
        return post_in_its_place(web, uploads, thread, key, file, &reason).await.map(Some);
    }
    let reason = match upload(web, uploads, thread, key, file).await {
        Ok(()) => {
            uploads.succeeded(thread);
            return Ok(None);
        }
        Err(Fault::Passing(error)) => return Err(error),
        Err(Fault::Refused(reason)) => reason,
        Err(Fault::Failed { error, reason, perhaps_shown }) => {
            let times = uploads.failed(thread, key, &reason);
            if perhaps_shown || times < TRIES {
                return Err(error);
            }
            reason
        }
    };
    post_in_its_place(web, uploads, thread, key, file, &reason).await.map(Some)
}

/// Posts a file's text. Until that is there the file stays given up.
async fn post_in_its_place(
    web: &WebApi,
    uploads: &Uploads,
    thread: &ThreadKey,
    key: &str,
    file: &File<'_>,
    reason: &Reason,
) -> Result<MessageTs, ChatError> {
    let posted = post_text(web, thread, key, file, reason).await;
    if posted.is_ok() {
        locked(&uploads.failed).remove(thread);
    }
    posted
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Uploads {
    /// Why this post goes out without its file, if that is settled.
    fn given_up(&self, thread: &ThreadKey, key: &str) -> Option<Reason> {
        let failed = locked(&self.failed);
        let failed = failed.get(thread).filter(|last| last.key == key && last.times >= TRIES)?;
        Some(failed.reason.clone())
    }

    /// Notes a failure; how many there were. After one that was given up the channel's next has one try.
    fn failed(&self, thread: &ThreadKey, key: &str, reason: &Reason) -> u32 {
        let mut given_up = locked(&self.given_up);
        let mut failed = locked(&self.failed);
        let before = failed.get(thread).filter(|last| last.key == key).map_or(0, |last| last.times);
        let before = if given_up.contains(&thread.channel) { before.max(TRIES - 1) } else { before };
        if before + 1 >= TRIES {
            given_up.insert(thread.channel.clone());
        }
        failed.insert(thread.clone(), Failed { key: key.to_owned(), times: before + 1, reason: reason.clone() });
        before + 1
    }

    /// The file of this post, when Slack has its bytes already. It is kept only if [`Self::keep`] is called again.
    fn take(&self, thread: &ThreadKey, key: &str) -> Option<String> {
        let Waiting { key: of, file_id } = locked(&self.waiting).remove(thread)?;
        (of == key).then_some(file_id)
    }

    fn keep(&self, thread: &ThreadKey, key: &str, file_id: String) {
        locked(&self.waiting).insert(thread.clone(), Waiting { key: key.to_owned(), file_id });
    }

    fn succeeded(&self, thread: &ThreadKey) {
        locked(&self.given_up).remove(&thread.channel);
        locked(&self.failed).remove(thread);
    }
}

/// Uploads a file. When only its channel does not let it in, its bytes are not brought a second time.
async fn upload(web: &WebApi, uploads: &Uploads, thread: &ThreadKey, key: &str, file: &File<'_>) -> Result<(), Fault> {
    if let Some(file_id) = uploads.take(thread, key) {
        match share(web, uploads, thread, key, file, file_id).await {
            // Slack keeps a file that nobody sees for a while only.
            Err(Fault::Refused(_)) => {}
            done => return done,
        }
    }
    let Address { upload_url, file_id } = address(web, file).await.map_err(|error| Fault::of_slack(error, false))?;
    let bytes = web.upload(&upload_url, file.content.as_bytes()).await;
    bytes.map_err(|error| Fault::of_host(&upload_url, error))?;
    share(web, uploads, thread, key, file, file_id).await
}

/// The last step. The message that shows the file carries no metadata; its block's id is the key.
async fn share(
    web: &WebApi,
    uploads: &Uploads,
    thread: &ThreadKey,
    key: &str,
    file: &File<'_>,
    file_id: String,
) -> Result<(), Fault> {
    let mut shown = blocks::section(&blocks::prefixed(file.role, &format!("`{}`", escape(file.name))));
    shown["block_id"] = json!(message::block_id(key));
    let arguments = json!({
        "files": [{ "id": file_id, "title": file.name }],
        "channel_id": thread.channel,
        "thread_ts": thread.ts,
        "blocks": [shown],
    });
    match web.post::<Done>("files.completeUploadExternal", &arguments).await {
        Ok(_) => Ok(()),
        Err(error) if is_of_the_channel(&error) => {
            uploads.keep(thread, key, file_id);
            Err(Fault::Passing(error))
        }
        Err(error) => Err(Fault::of_slack(error, true)),
    }
}

/// Whether this refuses messages as well as files, until somebody does something about it.
fn is_of_the_channel(error: &ChatError) -> bool {
    matches!(error, ChatError::Refused { code, remedy: Some(_) } if !lacks_scope(code))
}

fn lacks_scope(code: &str) -> bool {
    let code = code.split(':').next().unwrap_or_default();
    matches!(code, "missing_scope" | "no_permission" | "not_allowed_token_type")
}

async fn address(web: &WebApi, file: &File<'_>) -> Result<Address, ChatError> {
    const METHOD: &str = "files.getUploadURLExternal";
    let length = file.content.len().to_string();
    let mut parameters = vec![("filename", file.name), ("length", length.as_str())];
    if file.syntax.is_empty() {
        return web.get(METHOD, &parameters).await;
    }
    parameters.push(("snippet_type", file.syntax));
    match web.get(METHOD, &parameters).await {
        // Without the highlighting, then.
        Err(ChatError::Refused { code, .. })
            if code.starts_with("unknown_snippet_type") || code.starts_with("snippet_too_large") =>
        {
            parameters.pop();
            web.get(METHOD, &parameters).await
        }
        other => other,
    }
}

impl Fault {
    /// The meaning of an error of Slack's own methods.
    fn of_slack(error: ChatError, perhaps_shown: bool) -> Self {
        match error {
            ChatError::Refused { code, .. } => Self::Refused(Reason::refused(&code)),
            ChatError::Unreachable(ref reason) if was_answered(&error) => {
                let what = format!("Slack does not take it at the moment ({reason})");
                let hint = "Later files are tried again; `status.slack.com` may know of trouble.".to_owned();
                Self::Failed { reason: Reason { what, hint }, error, perhaps_shown }
            }
            error @ (ChatError::Unreachable(_) | ChatError::RateLimited { .. }) => Self::Passing(error),
        }
    }

    /// The meaning of an error of the host that takes the bytes. Slack was reached a moment ago.
    fn of_host(upload_url: &str, error: ChatError) -> Self {
        let address = upload_url.parse::<http::Uri>().ok();
        let host = address.as_ref().and_then(http::Uri::host).unwrap_or("Slack's host for files");
        let hint = format!("The machine that I run on must be able to reach `{host}`.");
        let what = format!("the upload to `{host}` does not work");
        let error = match error {
            ChatError::Refused { code, .. } => {
                return Self::Refused(Reason { what: format!("`{host}` refuses it ({code})"), hint });
            }
            ChatError::Unreachable(cause) => {
                ChatError::Unreachable(cause.context(format!("the upload to {host} failed")))
            }
            error @ ChatError::RateLimited { .. } => error,
        };
        Self::Failed { error, reason: Reason { what, hint }, perhaps_shown: false }
    }
}

impl Reason {
    /// A refusal with this code of Slack's.
    fn refused(code: &str) -> Self {
        let hint = match code.split(':').next().unwrap_or_default() {
            _ if lacks_scope(code) => {
                "Give the Slack app the scope `files:write` (api.slack.com/apps, OAuth & Permissions) and install it again."
            }
            "storage_limit_reached" => "Delete old files of the Slack workspace, or give it more storage.",
            "file_uploads_disabled" | "file_upload_size_restricted" => {
                "An admin of the Slack workspace can allow such uploads."
            }
            _ => "Slack's documentation of `files.completeUploadExternal` says what that code means.",
        };
        Self { what: format!("Slack refuses it ({code})"), hint: hint.to_owned() }
    }
}

/// Posts a file's text, or as much of it as one message holds: one message is there or it is not, whatever happens in
/// between, and is found again by its key.
async fn post_text(
    web: &WebApi,
    thread: &ThreadKey,
    key: &str,
    file: &File<'_>,
    reason: &Reason,
) -> Result<MessageTs, ChatError> {
    let rendered = blocks::long_message(&text(thread, file, reason));
    let posted = message::post(web, thread, key, rendered).await;
    // Otherwise it is not there, and comes this way again or is told of by the outbox.
    if matches!(posted, Ok(_) | Err(ChatError::Unreachable(_))) {
        let Reason { what, hint } = reason;
        warn!(thread.ts = %thread, post.key = key, what, hint, "a file could not be uploaded; its text is posted instead");
    }
    posted
}

fn text(thread: &ThreadKey, file: &File<'_>, Reason { what, hint }: &Reason) -> String {
    let name = escape(file.name);
    let said = format!("`{name}` could not be uploaded as a file: {}. {}", escape(what), escape(hint));
    if file.content.trim().is_empty() {
        return blocks::prefixed(file.role, &said);
    }
    // No more than is enough to see that it is too much.
    let code = code_block(&file.content.chars().take(blocks::SECTIONS + 1).collect::<String>());
    let whole = blocks::prefixed(file.role, &format!("{said} Its text:\n{code}"));
    if whole.chars().count() <= blocks::SECTIONS {
        return whole;
    }
    let all = format!("`codebutler show {} --events --json` has all of it.", thread.ts);
    blocks::prefixed(file.role, &format!("{said} {all} The beginning of its text:\n{code}"))
}
