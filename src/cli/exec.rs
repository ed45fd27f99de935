//! `codebutler exec`: one thread from the terminal, for scripts and CI, on the same path as any chat.
//!
//! Where the thread stands is folded from what is committed; this file asks the person, or says why nobody can be asked.

mod printer;
mod stand;

use std::io::{IsTerminal as _, Read as _};
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::conversation::Conversation;
use super::{Ended, asynchronous, codebutler_home, fail, repos, saved};
use crate::config::process_env;
use crate::daemon::Failure;
use crate::daemon::terminal::{self, Committed, Shown, Terminal, TerminalSetup};
use crate::demo::{Pressable, Said, ShownFile};
use crate::render::post::Post;
use crate::store::StoredEvent;
use crate::telemetry;
use crate::thread::Thread;
use crate::thread::command::Action;
use printer::Printer;
use stand::{AtCap, Stand};

/// Do one task from the terminal: a question is answered, work becomes a pull request.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  codebutler exec \"where do we decide which retries are safe?\"\n  \
    codebutler exec --approve \"keep the last row of an export\"    for scripts: nobody is asked\n  \
    git log -1 --format=%B | codebutler exec -                     the task from standard input\n\n\
    Needs a model (openrouter in $CODEBUTLER_HOME/config.json) and no Slack. Exit code 0 when the question is answered\n\
    or the pull request is open, 1 when not, also when it is only a draft. Ctrl-C stops it and keeps the work.")]
pub(super) struct Args {
    /// What is asked or wanted; `-` reads it from standard input.
    #[arg(value_name = "TASK")]
    task: String,
    /// The repository. Default: the one around the working directory.
    #[arg(long, value_name = "PATH")]
    repo: Option<PathBuf>,
    /// Approve the plan without asking; never a risky command.
    #[arg(long)]
    approve: bool,
    /// Every event as a line of JSON in place of the conversation.
    #[arg(long)]
    json: bool,
}

pub(super) fn obey(args: Args) -> Result<(), Ended> {
    let Args { task, repo, approve, json } = args;
    let Some(repository) = repos::chosen(repo.as_slice()).pop() else {
        return Err(fail(
            "there is no git repository here",
            "go into one, or name it: codebutler exec --repo PATH TASK",
        ));
    };
    let task = task_of(task)?;
    let asks = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    telemetry::init(&process_env, telemetry::Level::Trouble);
    let setup = TerminalSetup { home: codebutler_home()?, repository, task };
    let printer = Printer::start()
        .map_err(|error| fail(format!("no thread to write from: {error}"), "check the limits on threads"))?;
    let notices = printer.clone();
    let on_notice = move |notice: &String| notices.error(format!("{notice}\n"));
    let (conversation, posts) = (Arc::new(Conversation::new()), printer.clone());
    let show = move |shown: Shown| {
        let text = said(&shown).map(|said| conversation.text(&said)).unwrap_or_default();
        // With JSON on standard output a person at the terminal still has to see what is asked.
        if json && asks {
            posts.error(text);
        } else if !json {
            posts.output(text);
        }
    };
    let (ended, written) = asynchronous::run(|stop| {
        let (stop, words) = (stop.shared(), printer.clone());
        let (interrupted, unread) = (stop.clone(), stop.clone());
        let talk = move |terminal| Talk { terminal, approve, asks, json, words, thread: None, ended: None };
        async move {
            let served =
                terminal::serve_terminal(setup, on_notice, show, |terminal| talk(terminal).lead(interrupted), stop);
            let ended = served.await?;
            if let Some(Ok(line)) = &ended {
                if json { printer.error(line) } else { printer.output(line) }
            }
            let given_up = unread.then(|()| tokio::time::sleep(UNREAD));
            let written = tokio::select! {
                written = printer.end() => Some(written),
                () = given_up => None,
            };
            Ok((ended, written))
        }
    })?;
    match (ended, written) {
        (_, None) => Err(Ended::AtOnce),
        (Some(Ok(_)), Some(Err(error))) => Err(fail(
            format!("it is done, but what was said could not be written: {error}"),
            "make room where the output goes; `codebutler threads` and `codebutler show` tell the rest",
        )),
        (Some(Ok(_)), Some(Ok(()))) => Ok(()),
        (Some(Err(failure)), _) => Err(Ended::Failed(vec![failure])),
        (None, _) => Err(fail("stopped before it had begun", "run it again; nothing was changed")),
    }
}

/// How long what was said may stay unread after a signal.
const UNREAD: std::time::Duration = std::time::Duration::from_secs(1);

/// The words of the task.
fn task_of(task: String) -> Result<String, Ended> {
    let task = if task == "-" {
        let mut text = String::new();
        std::io::stdin().lock().read_to_string(&mut text).map_err(|error| {
            fail(format!("the task cannot be read from standard input: {error}"), "give it as an argument")
        })?;
        text
    } else {
        task
    };
    if task.trim().is_empty() {
        let hint = "say what is to be done: codebutler exec \"keep the last row of an export\"".to_owned();
        return Err(Ended::Usage(Failure { what: "the task is empty".to_owned(), hint }));
    }
    Ok(task)
}

/// A post as the conversation prints it.
fn said(shown: &Shown) -> Option<Said> {
    let (author, markdown, buttons, file) = match &shown.post {
        Post::Message { role, text, buttons } => (role.clone(), without_commands(text), buttons.clone(), None),
        Post::File { role, name, content, .. } => {
            let file = ShownFile { name: name.clone(), content: content.clone() };
            (role.clone(), String::new(), Vec::new(), Some(file))
        }
        Post::Ephemeral { text, .. } => (None, without_commands(text), Vec::new(), None),
        Post::Reaction { .. } => return None,
    };
    // Only what is asked here is offered; the rest is done by other means.
    let asked = [Action::PlanApprove.id(), Action::PlanChange.id(), Action::PlanCancel.id(), Action::AskOption.id()];
    let buttons = buttons.into_iter().filter(|button| asked.contains(&button.action.as_str()));
    let buttons = buttons.map(|button| Pressable { action: button.action, value: button.value, label: button.label });
    Some(Said {
        ts: shown.ts.to_string(),
        key: shown.key.clone(),
        author: author.unwrap_or_else(|| "codebutler".to_owned()),
        markdown,
        buttons: buttons.collect(),
        file,
        reactions: Vec::new(),
    })
}

/// Without the sentences that name a command of the chat: here nobody can say one.
fn without_commands(text: &str) -> String {
    let line = |line: &str| {
        if !line.contains("`!") {
            return line.to_owned();
        }
        let sentences = line.split_inclusive(". ").filter(|sentence| !sentence.contains("`!"));
        sentences.collect::<String>().trim_end().to_owned()
    };
    text.split('\n').map(line).collect::<Vec<_>>().join("\n")
}

/// The thread being led to its end: a last line to print, or why it failed.
struct Talk {
    terminal: Terminal,
    approve: bool,
    /// Whether a person can be asked.
    asks: bool,
    json: bool,
    words: Printer,
    thread: Option<Thread>,
    /// How it ends once the thread has come to rest.
    ended: Option<Failure>,
}

type Outcome = Result<String, Failure>;

impl Talk {
    async fn lead(mut self, interrupted: impl Future<Output = ()>) -> Outcome {
        tokio::pin!(interrupted);
        let mut stopping = false;
        let mut failure = None;
        loop {
            tokio::select! {
                biased;
                () = &mut interrupted, if !stopping => {
                    stopping = true;
                    let words = self.wind_up();
                    self.terminal.say(words).await?;
                    self.ended.get_or_insert_with(stand::stopped);
                    continue;
                }
                committed = self.terminal.committed.recv() => {
                    let Some(committed) = committed else { return Err(stand::lost()) };
                    self.follow(&committed, &mut failure);
                }
            }
            // Several commits may be there at once: only the last of them says where it stands.
            while let Ok(committed) = self.terminal.committed.try_recv() {
                self.follow(&committed, &mut failure);
            }
            let Some(thread) = &self.thread else { continue };
            let stand = stand::of(thread, failure.as_ref());
            if let Some(ended) = &self.ended {
                if stand.is_at_rest() {
                    return Err(stand::kept(thread, ended.clone()));
                }
                continue;
            }
            let answered = tokio::select! {
                biased;
                answered = self.answer(stand) => answered?,
                // At a question, too.
                () = &mut interrupted, if !stopping => {
                    stopping = true;
                    self.end(stand::stopped()).await?;
                    None
                }
            };
            if let Some(outcome) = answered {
                return outcome;
            }
        }
    }

    /// What ends the work: a stop keeps what is there; where nothing is yet, nothing is left to go on.
    fn wind_up(&self) -> &'static str {
        let works = self.thread.as_ref().is_some_and(|thread| thread.workspace().is_some());
        if works { "!stop" } else { "!close" }
    }

    /// Ends the thread with this failure.
    async fn end(&mut self, failure: Failure) -> Result<(), Failure> {
        self.ended = Some(failure);
        let words = self.wind_up();
        self.terminal.say(words).await
    }

    fn follow(&mut self, committed: &Committed, failure: &mut Option<crate::thread::event::Failure>) {
        if committed.thread != *self.terminal.thread() {
            return;
        }
        let thread = self.thread.get_or_insert_with(|| Thread::new(committed.thread.clone()));
        for (seq, event) in (committed.first..).zip(&committed.events) {
            thread.apply(event, committed.at);
            if let Some(why) = stand::failure_in(event) {
                *failure = Some(why);
            }
            if self.json {
                let body = serde_json::to_string(event).unwrap_or_default();
                let stored = StoredEvent { seq, at: committed.at, body };
                self.words.output(saved::line(&committed.thread, &stored) + "\n");
            }
        }
    }

    /// Does what the thread waits for; gives the end when it is there.
    async fn answer(&mut self, stand: Stand) -> Result<Option<Outcome>, Failure> {
        match stand {
            Stand::Works => {}
            Stand::Plan(id) if self.approve => self.terminal.press(Action::PlanApprove.id(), &id).await?,
            Stand::Plan(_) if !self.asks => self.end(stand::nobody_approves()).await?,
            Stand::Plan(id) => self.ask_approval(&id).await?,
            Stand::Question(question) if !self.asks => self.end(stand::nobody_answers(&question)).await?,
            Stand::Question(_) => match self.ask("Your answer: ").await {
                Some(words) if !words.is_empty() => self.terminal.say(&words).await?,
                Some(_) | None => self.end(stand::not_answered()).await?,
            },
            Stand::Cap(cap) if !self.asks => self.end(stand::nobody_raises(&cap)).await?,
            Stand::Cap(cap) => self.ask_raise(&cap).await?,
            Stand::Done(line) => return Ok(Some(Ok(line))),
            Stand::Failed(failure) => return Ok(Some(Err(failure))),
        }
        Ok(None)
    }

    async fn ask_approval(&mut self, id: &str) -> Result<(), Failure> {
        let Some(words) = self.ask("Approve this plan? [y/N, or what should change] ").await else {
            return self.end(stand::not_approved()).await;
        };
        match words.to_lowercase().as_str() {
            "y" | "yes" | "approve" | "ok" => self.terminal.press(Action::PlanApprove.id(), id).await,
            "" | "n" | "no" => self.end(stand::not_approved()).await,
            _ => self.terminal.say(&words).await,
        }
    }

    async fn ask_raise(&mut self, cap: &AtCap) -> Result<(), Failure> {
        match self.ask("Raise this limit and go on? [y/N] ").await.map(|words| words.to_lowercase()).as_deref() {
            Some("y" | "yes" | "raise") => self.terminal.press(Action::BudgetRaise.id(), &cap.id).await,
            _ => self.end(stand::nobody_raises(cap)).await,
        }
    }

    /// Asks on the terminal; `None` at the end of what is typed.
    async fn ask(&self, prompt: &str) -> Option<String> {
        // The card that is asked about is on its way to the screen.
        tokio::time::sleep(SETTLE).await;
        self.words.error(format!("\n{prompt}"));
        terminal::typed_line().await.map(|line| line.trim().to_owned())
    }
}

/// How long a card may take from its commit to the screen: the sender gathers what comes together.
const SETTLE: std::time::Duration = std::time::Duration::from_millis(150);

#[cfg(test)]
mod tests {
    use super::without_commands;

    #[test]
    fn what_names_a_command_of_the_chat_is_left_out() {
        let cases = [
            ("Stopped in turn 2. Kept on `x`. `!retry` goes on.", "Stopped in turn 2. Kept on `x`."),
            ("It failed.\nSay `!retry`, or choose another model with `!pm NAME`.", "It failed.\n"),
            ("- `make !x` is fine. And `a!`.", "- `make !x` is fine. And `a!`."),
            ("no end of `!stop`", ""),
        ];
        for (text, left) in cases {
            assert_eq!(without_commands(text), left);
        }
    }
}
