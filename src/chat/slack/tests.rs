//! The adapter against the fake Slack: over real HTTP and real sockets.

#[path = "../../../tests/support/fake_slack.rs"]
#[expect(dead_code, reason = "some of what can go wrong is played through the binary only")]
mod fake_slack;
mod missed;
mod sockets;

use std::collections::HashSet;
use std::sync::Mutex;

use serde_json::json;

use self::fake_slack::{ANA, ANA_DM, APP_TOKEN, BEN, BOT_TOKEN, BOT_USER, FakeSlack, Fault, LOBBY, RANDOM, SHOP, TEAM};
use super::*;
use crate::chat::{Button, ButtonStyle, CatchUp, Hearing, Incoming, IncomingKind, IntakeError};
use crate::ids::UserId;

/// An inbox in memory that can be out of order.
struct Inbox {
    inner: Mutex<Inner>,
    changes: tokio::sync::watch::Sender<()>,
}

#[derive(Default)]
struct Inner {
    stored: Vec<Incoming>,
    keys: HashSet<String>,
    refuse: usize,
    refused: usize,
    ready: usize,
    /// What is said of where the channel stands.
    standing: CatchUp,
    noted: Vec<Hearing>,
}

impl Inbox {
    fn new() -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default(), changes: tokio::sync::watch::Sender::new(()) })
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.inner.lock().expect("no test panics within"));
        self.changes.send_replace(());
        result
    }

    async fn wait_for(&self, what: &str, there: impl Fn(&Inner) -> bool) {
        let mut changes = self.changes.subscribe();
        let waiting = changes.wait_for(|()| there(&self.inner.lock().expect("no test panics within")));
        let waited = tokio::time::timeout(std::time::Duration::from_secs(120), waiting).await;
        waited.unwrap_or_else(|_| panic!("waited in vain for {what}")).expect("the inbox lives");
    }

    async fn stored(&self, count: usize) -> Vec<Incoming> {
        self.wait_for(&format!("{count} stored"), |inner| inner.stored.len() >= count).await;
        self.change(|inner| inner.stored.clone())
    }
}

#[async_trait]
impl Intake for Inbox {
    async fn accept(&self, incoming: Incoming) -> Result<bool, IntakeError> {
        self.change(|inner| {
            if inner.refuse > 0 {
                inner.refuse -= 1;
                inner.refused += 1;
                return Err(IntakeError(anyhow::anyhow!("the disk is full")));
            }
            let known = incoming.dedupe.iter().any(|key| inner.keys.contains(key));
            inner.keys.extend(incoming.dedupe.iter().cloned());
            if !known {
                inner.stored.push(incoming);
            }
            Ok(!known)
        })
    }

    async fn choose_channel_model(&self, channel: &ChannelId, _by: &UserId, name: &str) -> Result<String, IntakeError> {
        self.change(|inner| match inner.refuse {
            0 => Ok(format!("The PM of **{channel}** uses `{name}` now.")),
            _ => Err(IntakeError(anyhow::anyhow!("the disk is full"))),
        })
    }

    fn bound_channels(&self) -> Vec<(ChannelId, String)> {
        vec![(ChannelId::new(SHOP), "shop".to_owned())]
    }

    async fn heard_until(&self, _channel: &ChannelId) -> Result<CatchUp, IntakeError> {
        Ok(self.change(|inner| inner.standing.clone()))
    }

    async fn note(&self, _channel: &ChannelId, hearing: Hearing) -> Result<(), IntakeError> {
        self.change(|inner| inner.noted.push(hearing));
        Ok(())
    }
}

/// Pauses that nobody waits for; pings as in life.
fn timing() -> SlackTiming {
    SlackTiming { retry_base: Duration::from_millis(1), ..SlackTiming::default() }
}

fn options(slack: &FakeSlack) -> SlackOptions {
    let (bot_token, app_token) = (BOT_TOKEN.into(), APP_TOKEN.into());
    SlackOptions { bot_token, app_token, api_url: slack.api_url(), timing: timing() }
}

fn bound(channels: &[(&str, &str)]) -> Vec<(ChannelId, String)> {
    channels.iter().map(|(id, name)| (ChannelId::new(*id), (*name).to_owned())).collect()
}

async fn chat(slack: &FakeSlack) -> SlackChat {
    SlackChat::start(options(slack), &bound(&[(SHOP, "shop")])).await.expect("everything is right")
}

/// Runs `test` while the adapter listens; then stops it and waits for its end.
async fn listening(test: impl AsyncFnOnce(&FakeSlack, &Inbox)) {
    listening_to(FakeSlack::start().await, Inbox::new(), timing(), test).await;
}

async fn listening_to(
    slack: FakeSlack,
    inbox: Arc<Inbox>,
    timing: SlackTiming,
    test: impl AsyncFnOnce(&FakeSlack, &Inbox),
) {
    let options = SlackOptions { timing, ..options(&slack) };
    let chat = SlackChat::start(options, &bound(&[(SHOP, "shop")])).await.expect("everything is right");
    let stop = CancellationToken::new();
    let counting = inbox.clone();
    let on_ready = move || counting.change(|inner| inner.ready += 1);
    tokio::join!(chat.run(inbox.clone(), on_ready, stop.clone()), async {
        slack.wait_for_sockets(2).await;
        test(&slack, &inbox).await;
        stop.cancel();
    });
    slack.wait_for_sockets(0).await;
    assert_eq!(inbox.change(|inner| inner.ready), 1, "ready is said once");
}

fn thread(ts: &str) -> ThreadKey {
    ThreadKey { workspace: TEAM.into(), channel: ChannelId::new(SHOP), ts: MessageTs::new(ts) }
}

fn said(role: &str, text: &str) -> Post {
    Post::Message { role: Some(role.into()), text: text.into(), buttons: vec![] }
}

#[tokio::test]
async fn a_message_is_stored_once_then_acked() {
    listening(async |slack, inbox| {
        let ts = slack.say(ANA, SHOP, "the export of <@U0BEN> drops a row &amp; more", None);
        let mention = slack.say(BEN, SHOP, &format!("<@{BOT_USER}> pm claude"), Some(&ts));
        slack.bot_says(SHOP, "build failed", Some(&ts));
        slack.say(ANA, SHOP, &format!("<@{BEN}> lunch?"), None);
        slack.share(ANA, SHOP, "", "audio_message.m4a", Some(&ts));
        slack.send_event(json!({ "type": "invented_in_2027", "channel": { "odd": true } }));
        slack.send_frame(&json!({ "type": "invented_too" }));
        let stored = inbox.stored(3).await;
        slack.wait_until_acked().await;
        let first = stored.iter().find(|incoming| incoming.from.as_str() == ANA).expect("Ana's is there");
        let what = IncomingKind::Message {
            ts: MessageTs::new(ts.as_str()),
            text: "the export of @Ben drops a row & more".into(),
            to_bot: false,
            files: vec![],
        };
        assert_eq!((&first.thread, first.name.as_str(), &first.what), (&thread(&ts), "Ana", &what));
        let second = stored.iter().find(|incoming| incoming.from.as_str() == BEN).expect("Ben's is there");
        let what = IncomingKind::Message {
            ts: MessageTs::new(mention.as_str()),
            text: "pm claude".into(),
            to_bot: true,
            files: vec![],
        };
        assert_eq!((&second.thread, second.name.as_str(), &second.what), (&thread(&ts), "Ben", &what));
        assert_eq!(inbox.change(|inner| inner.stored.len()), 3, "the mention and its message are one");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_not_acked_and_comes_again() {
    listening(async |slack, inbox| {
        inbox.change(|inner| inner.refuse = 1);
        let ts = slack.say(ANA, SHOP, "hello", None);
        inbox.wait_for("the refusal", |inner| inner.refused == 1).await;
        // A later one is acked behind it on each socket, so an ack of the first would be here by then.
        slack.say(ANA, SHOP, "second", None);
        slack.say(ANA, SHOP, "third", None);
        inbox.stored(2).await;
        slack.wait_for("two acks", |state| (acks(state) == 2).then_some(())).await;
        assert_eq!(slack.redeliver_unacked(), 1);
        let stored = inbox.stored(3).await;
        assert_eq!(stored[2].thread, thread(&ts));
        slack.wait_for("the third ack", |state| (acks(state) == 3).then_some(())).await;
        assert_eq!(slack.redeliver_unacked(), 0);
    })
    .await;
}

fn acks(state: &fake_slack::State) -> usize {
    state.envelopes.iter().filter(|envelope| envelope.ack.is_some()).count()
}

#[tokio::test]
async fn edits_deletions_and_presses_reach_their_thread() {
    listening(async |slack, inbox| {
        let ts = slack.say(ANA, SHOP, "drps a row", None);
        inbox.stored(1).await;
        slack.unfurl(&ts);
        slack.edit(&ts, "drops a row");
        inbox.stored(2).await;
        let card = chat(slack).await;
        let post = Post::Message { role: Some("PM".into()), text: "**Plan**".into(), buttons: options_of_a_card() };
        let card = card.post(&thread(&ts), "plan/1", &post).await.expect("posted").expect("has a ts");
        slack.press(BEN, "plan_approve", "p1", card.as_str());
        inbox.stored(3).await;
        slack.press(BEN, "ask_option", "2", card.as_str());
        inbox.stored(4).await;
        slack.delete(&ts);
        let stored = inbox.stored(5).await;
        let pressed = |action: &str, value: &str| IncomingKind::Pressed { action: action.into(), value: value.into() };
        let at = MessageTs::new(ts.as_str());
        let kinds: Vec<_> =
            stored.iter().skip(1).map(|incoming| (incoming.name.as_str(), incoming.what.clone())).collect();
        let edited = match &kinds[0].1 {
            IncomingKind::Edited { at: Some(edited), .. } if *edited > at => Some(edited.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            kinds,
            [
                ("Ana", IncomingKind::Edited { ts: at.clone(), text: "drops a row".into(), at: edited }),
                ("Ben", pressed("plan_approve", "p1")),
                ("Ben", pressed("ask_option", "2")),
                ("Ana", IncomingKind::Deleted { ts: at }),
            ]
        );
        assert!(stored.iter().all(|incoming| incoming.thread == thread(&ts)));
        slack.wait_until_acked().await;
    })
    .await;
}

fn options_of_a_card() -> Vec<Button> {
    let button = |action: &str, value: &str, style, url: Option<&str>| Button {
        action: action.into(),
        value: value.into(),
        label: "Label".into(),
        style,
        url: url.map(Into::into),
    };
    vec![
        button("plan_approve", "p1", ButtonStyle::Primary, None),
        button("plan_cancel", "p1", ButtonStyle::Danger, None),
        button("ask_option", "1", ButtonStyle::Plain, None),
        button("ask_option", "2", ButtonStyle::Plain, None),
        button("open", "", ButtonStyle::Plain, Some("https://example.com/pr/1")),
    ]
}

#[tokio::test]
async fn the_slash_command_sets_the_channel_s_model_and_says_how_it_is_in_a_thread() {
    listening(async |slack, inbox| {
        let answer = slack.slash(ANA, SHOP, "/pm", "claude").await;
        assert_eq!(answer, "The PM of *C0SHOP* uses `claude` now.\nIn a thread it is `!pm NAME`.");
        let elsewhere = slack.slash(ANA, LOBBY, "/pm", "claude").await;
        assert_eq!(elsewhere, "No repository is bound to this channel. I work in #shop.");
        inbox.change(|inner| inner.refuse = 1);
        let failed = slack.slash(ANA, SHOP, "/pm", "claude").await;
        assert_eq!(failed, "That could not be stored; nothing has changed. Try again in a moment.");
    })
    .await;
}

#[tokio::test]
async fn where_no_repository_is_bound_a_mention_is_told_so_once() {
    listening(async |slack, inbox| {
        let mention = format!("<@{BOT_USER}> fix it");
        let ts = slack.say(ANA, LOBBY, &mention, None);
        slack.say(ANA, LOBBY, &mention, Some(&ts));
        slack.say(ANA, LOBBY, "not for the bot", None);
        let direct = slack.say(ANA, ANA_DM, "hello", None);
        let own = |state: &fake_slack::State| {
            let own = state.messages.iter().filter(|message| message.user == BOT_USER);
            let own: Vec<_> = own.map(|message| (message.thread_ts.clone(), message.text.clone())).collect();
            (own.len() == 2).then_some(own)
        };
        let words = "No repository is bound to this channel. I work in #shop.";
        let told = slack.wait_for("two notices", own).await;
        slack.wait_until_acked().await;
        let expected = HashSet::from([(Some(ts), words.to_owned()), (Some(direct), words.to_owned())]);
        assert_eq!(told.into_iter().collect::<HashSet<_>>(), expected);
        assert_eq!(slack.look(|state| own(state).map(|own| own.len())), Some(2));
        assert!(inbox.change(|inner| inner.stored.is_empty()));
    })
    .await;
}

#[tokio::test]
async fn a_post_is_found_again_by_its_key_also_when_its_answer_was_lost() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.say(ANA, SHOP, "hello", None);
    let thread = thread(&root);
    for n in 0..6 {
        slack.say(BEN, SHOP, &format!("talk {n}"), Some(&root));
    }
    let plain = chat.post(&thread, "answer/1", &said("PM", "It is in <!channel> `a.rs`")).await.expect("posted");
    slack.fail_next("chat.postMessage", Fault::LoseAnswer);
    let lost = chat.post(&thread, "answer/2", &said("PM", "again")).await;
    assert!(matches!(lost, Err(ChatError::Unreachable(_))), "{lost:?}");
    let second = chat.find(&thread, "answer/2").await.expect("found").expect("it was posted");
    assert_eq!(chat.find(&thread, "answer/1").await.expect("found"), plain);
    assert_eq!(chat.find(&thread, "answer/3").await.expect("looked"), None);
    let texts: Vec<_> = slack.thread(&root).into_iter().skip(7).map(|message| (message.ts, message.text)).collect();
    let first = plain.expect("has a ts").to_string();
    assert_eq!(
        texts,
        [(first, "*PM:* It is in &lt;!channel&gt; `a.rs`".to_owned()), (second.to_string(), "*PM:* again".to_owned()),]
    );
    let sent = slack.look(|state| {
        state.calls.iter().find(|(method, _)| method == "chat.postMessage").map(|(_, arguments)| arguments.clone())
    });
    assert_eq!(
        sent,
        Some(json!({
            "channel": SHOP, "thread_ts": root, "text": "*PM:* It is in &lt;!channel&gt; `a.rs`", "parse": "none",
            "link_names": false, "unfurl_links": false, "unfurl_media": false,
            "metadata": { "event_type": "codebutler_post", "event_payload": { "key": "answer/1" } },
        }))
    );
}

#[tokio::test]
async fn an_edit_replaces_text_and_buttons() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.say(ANA, SHOP, "hello", None);
    let card = Post::Message { role: Some("PM".into()), text: "**Plan**".into(), buttons: options_of_a_card() };
    let ts = chat.post(&thread(&root), "plan/1", &card).await.expect("posted").expect("has a ts");
    chat.edit(&thread(&root), &ts, "plan/1", &said("PM", "Approved by Ana")).await.expect("edited");
    let long = said("PM", &"a long & winding line\n".repeat(1_000));
    let message = slack.thread(&root).remove(1);
    assert_eq!((message.text.as_str(), message.blocks.as_slice()), ("*PM:* Approved by Ana", [].as_slice()));
    chat.edit(&thread(&root), &ts, "plan/1", &long).await.expect("cut to what may be edited");
    assert_eq!(chat.find(&thread(&root), "plan/1").await.expect("found"), Some(ts));
    let gone = chat.edit(&thread(&root), &MessageTs::new("1.1"), "plan/1", &long).await;
    assert!(matches!(gone, Err(ChatError::Refused { ref code }) if code == "message_not_found"), "{gone:?}");
}

#[tokio::test]
async fn errors_say_whether_trying_again_helps() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.say(ANA, SHOP, "hello", None);
    let post = said("PM", "hi");
    let cases = [
        (Fault::TooFast(7), "rate limited for 7000 ms"),
        (Fault::Refuse("rate_limited"), "rate limited for 30000 ms"),
        (Fault::Refuse("is_archived"), "the chat refused: is_archived"),
        (Fault::Refuse("internal_error"), "the chat did not answer"),
        (Fault::Status(407), "the chat did not answer"),
        (Fault::Status(413), "the chat refused: http_413"),
    ];
    for (fault, expected) in cases {
        slack.fail_next("chat.postMessage", fault);
        let error = chat.post(&thread(&root), "k", &post).await.expect_err("it fails");
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(slack.thread(&root).len(), 1);
    slack.kick_bot(SHOP);
    let error = chat.post(&thread(&root), "k", &post).await.expect_err("it fails");
    assert_eq!(error.to_string(), "the chat refused: not_in_channel");
}

#[tokio::test]
async fn a_file_goes_up_in_two_steps_and_is_found_again() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.say(ANA, SHOP, "hello", None);
    let file = |name: &str, syntax: &str| Post::File {
        role: Some("Coder".into()),
        name: name.into(),
        syntax: syntax.into(),
        content: "fn main() {}\n".into(),
    };
    chat.post(&thread(&root), "file/1", &file("main.rs", "rust")).await.expect("uploaded");
    chat.post(&thread(&root), "file/2", &file("main.zig", "zig")).await.expect("uploaded without highlighting");
    slack.fail_next("files.completeUploadExternal", Fault::LoseAnswer);
    let lost = chat.post(&thread(&root), "file/3", &file("notes", "")).await;
    assert!(matches!(lost, Err(ChatError::Unreachable(_))), "{lost:?}");
    let shared: Vec<_> = slack
        .thread(&root)
        .into_iter()
        .skip(1)
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
        let found = chat.find(&thread(&root), &format!("file/{}", n + 1)).await.expect("looked");
        assert_eq!(found, Some(MessageTs::new(ts.as_str())));
    }
}

#[tokio::test]
async fn reactions_and_ephemeral_messages_leave_no_post() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.say(ANA, SHOP, "hello", None);
    let eyes = Post::Reaction { ts: MessageTs::new(root.as_str()), name: "eyes".into() };
    assert_eq!(chat.post(&thread(&root), "r", &eyes).await.expect("reacted"), None);
    assert_eq!(chat.post(&thread(&root), "r", &eyes).await.expect("it is there already"), None);
    let private = Post::Ephemeral { to: UserId::new(BEN), text: "Only *approvers* may <do> that".into() };
    assert_eq!(chat.post(&thread(&root), "e", &private).await.expect("told"), None);
    assert_eq!(slack.thread(&root)[0].reactions, ["eyes"]);
    let seen = slack.look(|state| {
        state
            .ephemerals
            .iter()
            .map(|seen| (seen.user.clone(), seen.text.clone(), seen.thread_ts.clone()))
            .collect::<Vec<_>>()
    });
    assert_eq!(seen, [(BEN.to_owned(), "Only _approvers_ may &lt;do&gt; that".to_owned(), Some(root))]);
}

#[tokio::test]
async fn the_history_is_what_others_said_before() {
    let slack = FakeSlack::start().await;
    let chat = chat(&slack).await;
    let root = slack.bot_says(SHOP, "alert &lt;500&gt;", None);
    slack.say(ANA, SHOP, &format!("<@{BEN}> have you seen <https://a.b|this>"), Some(&root));
    chat.post(&thread(&root), "k", &said("PM", "our own")).await.expect("posted");
    slack.share(BEN, SHOP, "yes", "trace.txt", Some(&root));
    for n in 0..4 {
        slack.say(ANA, SHOP, &format!("more {n}"), Some(&root));
    }
    let before = slack.say(BEN, SHOP, "now you", Some(&root));
    slack.say(BEN, SHOP, "later", Some(&root));
    let history = chat.history(&thread(&root), &MessageTs::new(before)).await.expect("read");
    let lines: Vec<&str> = history.iter().map(|said| said.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "U0OTHERBOT: alert <500>",
            "Ana: @Ben have you seen this (https://a.b)",
            "Ben: yes [file: trace.txt]",
            "Ana: more 0",
            "Ana: more 1",
            "Ana: more 2",
            "Ana: more 3",
        ]
    );
    assert_eq!(history[0].ts, Some(MessageTs::new(root)), "it is known again by its ts");
    let fresh = slack.say(ANA, SHOP, "new", None);
    let none = chat.history(&thread(&fresh), &MessageTs::new(fresh.as_str())).await.expect("nothing to read");
    assert_eq!(none, []);
    let link = chat.permalink(&thread("1700000001.000200"));
    assert_eq!(link.as_deref(), Some("https://fake.slack.com/archives/C0SHOP/p1700000001000200"));
}

#[tokio::test]
async fn everything_that_is_wrong_at_start_is_said_at_once() {
    let slack = FakeSlack::start().await;
    let wrong = |what: &str, hint: &str| (what.to_owned(), hint.to_owned());
    let start = async |options: SlackOptions, channels: &[(&str, &str)]| {
        let problems = SlackChat::start(options, &bound(channels)).await.err().expect("it cannot start");
        problems.into_iter().map(|problem| (problem.what, problem.hint)).collect::<Vec<_>>()
    };
    let channels = start(options(&slack), &[(SHOP, "shop"), (RANDOM, "old-name"), ("C404", "gone")]).await;
    assert_eq!(
        channels,
        [
            wrong("the bot is not in #random (C0RANDOM)", "in Slack, type /invite @codebutler there"),
            wrong(
                "there is no channel C404 (#gone) that the bot can see",
                "check slack.channelID; if the channel is private, type /invite @codebutler there"
            ),
        ]
    );
    let swapped = SlackOptions { bot_token: APP_TOKEN.into(), app_token: "xapp-old".into(), ..options(&slack) };
    let tokens: Vec<_> = start(swapped, &[(SHOP, "shop")]).await.into_iter().map(|(what, _)| what).collect();
    assert_eq!(
        tokens,
        ["Slack refuses slack.botToken (not_allowed_token_type)", "Slack refuses slack.appToken (invalid_auth)",]
    );
    let url = slack.api_url();
    drop(slack);
    let gone = SlackOptions {
        bot_token: BOT_TOKEN.into(),
        app_token: APP_TOKEN.into(),
        api_url: "http://127.0.0.1:9/api".into(),
        timing: timing(),
    };
    let [(what, hint)] = <[_; 1]>::try_from(start(gone, &[]).await).expect("one problem, not one per token");
    assert!(what.starts_with("Slack cannot be reached at http://127.0.0.1:9/api ("), "{what} {url}");
    assert_eq!(hint, "check the network and slack.apiUrl");
}
