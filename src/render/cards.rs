//! Cards: the plan, the pull request, failures, the PM's models. Text and buttons; state decides which buttons remain.

use std::fmt::Write as _;

use super::evidence;
use super::post::{Button, ButtonStyle, Post};
use crate::agent::Role;
use crate::ids::{MessageTs, Millis};
use crate::thread::command::Action;
use crate::thread::event::{Failure, Publication, PullRequest};
use crate::thread::plan::code_list;
use crate::thread::question::{Ask, Question};
use crate::thread::stalled::Part;
use crate::thread::state::{PlanFate, PlanState, Published, Thread};

/// Characters of a choice that a button shows; Slack takes 75.
const OPTION_CHARS: usize = 75;

/// A plain message of a role, or of the daemon.
pub fn message(role: Option<Role>, text: impl Into<String>) -> Post {
    Post::Message { role: role.map(|role| role.title().to_owned()), text: text.into(), buttons: Vec::new() }
}

/// A message of a role with buttons.
pub fn card(role: Role, text: String, buttons: Vec<Button>) -> Post {
    Post::Message { role: Some(role.title().to_owned()), text, buttons }
}

/// What is shown in place of a message of the thread with this ts that cannot be shown.
pub fn missing(thread: &MessageTs) -> Post {
    let text = format!("⚠️ A message that belongs here could not be posted. `codebutler show {thread}` has its text.");
    message(None, text)
}

/// A button for an action.
pub fn button(action: Action, value: impl Into<String>, label: &str, style: ButtonStyle) -> Button {
    Button { action: action.id().to_owned(), value: value.into(), label: label.to_owned(), style, url: None }
}

/// The plan's card as it stands; `verdict` replaces the buttons.
pub fn plan(thread: &Thread, plan: &PlanState, verdict: Option<String>) -> Post {
    let content = &plan.plan;
    let mut text =
        format!("**Plan: {}** · workflow `{}`\n\n{}\n\n", content.title, content.workflow, content.summary.trim());
    for (number, step) in content.steps.iter().enumerate() {
        let _ = write!(text, "{}. {}", number + 1, step.text);
        if !step.files.is_empty() {
            let _ = write!(text, " · {}", code_list(&step.files));
        }
        text.push('\n');
    }
    text.push('\n');
    if let [only] = content.acceptance.as_slice() {
        let _ = writeln!(text, "**Done when** {only}");
    } else {
        text.push_str("**Done when**\n");
        content.acceptance.iter().for_each(|criterion| {
            let _ = writeln!(text, "- {criterion}");
        });
    }
    content.risks.iter().for_each(|risk| {
        let _ = writeln!(text, "\n**Risk:** {risk}");
    });
    let files = content.files.len();
    let branch = thread.base.as_ref().map_or("", |base| base.branch.as_str());
    let _ = write!(
        text,
        "\n_Touches {files} {} · base `{branch}@{}`{}_",
        if files == 1 { "file" } else { "files" },
        plan.base.short(),
        plan.estimate.map(|estimate| format!(" · {}", estimate.text())).unwrap_or_default()
    );
    let buttons = match verdict {
        Some(verdict) => {
            let _ = write!(text, "\n\n{verdict}");
            Vec::new()
        }
        None => vec![
            button(Action::PlanApprove, plan.id.as_str(), "Approve", ButtonStyle::Primary),
            button(Action::PlanChange, plan.id.as_str(), "Change", ButtonStyle::Plain),
            button(Action::PlanCancel, plan.id.as_str(), "Cancel", ButtonStyle::Danger),
        ],
    };
    card(Role::Pm, text, buttons)
}

/// A question with its choices; `verdict` replaces the buttons.
pub fn question(question: &Question, verdict: Option<String>) -> Post {
    let Ask { question: asked, options } = &question.ask;
    let mut text = asked.trim().to_owned();
    // A button holds few characters; the choices stand in the text where they would be cut.
    if options.iter().any(|option| option.chars().count() > OPTION_CHARS) {
        for (number, option) in (1..).zip(options) {
            let _ = write!(text, "\n{number}. {}", option.trim());
        }
    }
    let buttons = match verdict {
        Some(verdict) => {
            let _ = write!(text, "\n\n{verdict}");
            Vec::new()
        }
        None => {
            text.push_str(if options.is_empty() {
                "\n_Your next message here is the answer._"
            } else {
                "\n_Press a button, or write your own answer._"
            });
            let choice = |(index, option): (usize, &String)| {
                let label: String = option.trim().chars().take(OPTION_CHARS).collect();
                button(Action::AskOption, format!("{}/{index}", question.id), &label, ButtonStyle::Plain)
            };
            options.iter().enumerate().map(choice).collect()
        }
    };
    card(question.role, text, buttons)
}

/// What stands on a question's card once it was answered.
pub fn answer(thread: &Thread, by: &crate::ids::UserId, answer: &str) -> String {
    format!("**{}:** {}", thread.name_of(by), super::text::first_words(answer))
}

/// What stands on the plan's card in place of the buttons once it was judged.
pub fn verdict(thread: &Thread, plan: &PlanState, by: &crate::ids::UserId, at: Millis) -> String {
    let word = match plan.fate {
        PlanFate::Approved { .. } => "Approved",
        PlanFate::Cancelled | PlanFate::Waiting => "Cancelled",
    };
    format!("**{word} by {}** · {}", thread.name_of(by), clock(at))
}

/// `14:02 UTC`.
pub(super) fn clock(at: Millis) -> String {
    let minutes = at.0.div_euclid(60_000);
    format!("{:02}:{:02} UTC", minutes.div_euclid(60).rem_euclid(24), minutes.rem_euclid(60))
}

/// The card at the end of a Coder run: its report, and the pull request with its buttons while it can be merged.
pub fn publication(published: &Published, open: bool) -> Post {
    let Published { report, summary, draft, pull, .. } = published;
    let mut text = report.trim().to_owned();
    if text.is_empty() {
        text.push_str("The run ended without a report.");
    }
    // What the log shows goes before what the model says.
    if let Some(headline) = evidence::headline(&published.evidence) {
        text = format!("{headline}\n\n_The Coder's report:_\n{text}");
    }
    let evidence = evidence::card(&published.evidence);
    if !evidence.is_empty() {
        let _ = write!(text, "\n\n{evidence}");
    }
    let mut buttons = Vec::new();
    match (pull, &summary.head) {
        (Some(pull), Some(head)) => {
            let _ = write!(text, "\n\n{}", pull_line(pull, summary));
            if let Some(draft) = draft {
                let _ = write!(text, "\n**Draft, not finished:** {draft}. `!retry` goes on.");
                if published.can_be_merged() {
                    text.push_str(" It failed in the same way before this work, so `merge` works all the same.");
                }
            }
            if open {
                if draft.is_some() {
                    let part = Part::Run(Role::Coder).name();
                    buttons.push(button(Action::RunRetry, part, "Go on", ButtonStyle::Primary));
                }
                if published.can_be_merged() {
                    let style = if draft.is_some() { ButtonStyle::Plain } else { ButtonStyle::Primary };
                    buttons.push(button(Action::PrMerge, head.as_str(), "Merge", style));
                }
                buttons.extend(open_button(pull));
            }
        }
        (pull, _) => {
            let _ = match pull {
                Some(pull) => write!(
                    text,
                    "\n\nAgainst the base nothing is changed any more; pull request #{} stays as it was.",
                    pull.number
                ),
                None => write!(text, "\n\nNothing was changed, so there is no pull request."),
            };
            if let Some(draft) = draft {
                let _ = write!(text, " **Not finished:** {draft}. `!retry` goes on.");
            }
        }
    }
    if !summary.left_out.is_empty() {
        text.push_str("\n\nLeft out:\n");
        summary.left_out.iter().for_each(|file| {
            let _ = writeln!(text, "- {file}");
        });
        if summary.head.is_some() && !published.evidence.checks.is_empty() {
            text.push_str("_The checks ran with these in place._");
        }
    }
    card(Role::Coder, text, buttons)
}

fn open_button(pull: &PullRequest) -> Option<Button> {
    if pull.url.is_empty() {
        return None;
    }
    Some(Button {
        action: "pr_open".to_owned(),
        value: pull.number.to_string(),
        label: "Open on GitHub".to_owned(),
        style: ButtonStyle::Plain,
        url: Some(pull.url.clone()),
    })
}

/// `**#482 Title** · +31 −4 · 2 files`, linked where there is a page.
fn pull_line(pull: &PullRequest, summary: &Publication) -> String {
    let name = format!("#{} {}", pull.number, pull.title);
    let name = if pull.url.is_empty() { format!("**{name}**") } else { format!("**[{name}]({})**", pull.url) };
    let files = if summary.files == 1 { "file" } else { "files" };
    format!("{name} · +{} −{} · {} {files}", summary.added, summary.removed, summary.files)
}

/// Something went wrong: what, what is kept, what to do, with a button to try this part again.
pub fn failure(thread: &Thread, role: Role, failure: &Failure, part: Part) -> Post {
    let mut text = format!("I stopped. {}", failure.what.trim());
    if let Some(workspace) = thread.workspace() {
        let _ = write!(text, " Nothing is lost: the work is on `{}`.", workspace.branch);
    }
    let _ = write!(text, "\n{}", failure.hint.trim());
    if !failure.hint.contains("!retry") {
        text.push_str(" Then press Retry or say `!retry`.");
    }
    card(role, text, vec![button(Action::RunRetry, part.name(), "Retry", ButtonStyle::Primary)])
}

/// The PM's models as buttons.
pub fn model_pool(pool: &[(String, String)], current: &str, stand_in: Option<&str>) -> Post {
    let mut text = format!("The PM uses **{current}** in this thread. `!pm NAME` or a button changes it:\n");
    pool.iter().for_each(|(name, model)| {
        let _ = writeln!(text, "- **{name}**: `{model}`");
    });
    if let Some(model) = stand_in {
        let _ = writeln!(text, "It does not answer just now; the fallback `{model}` does.");
    }
    let buttons = pool.iter().take(25).map(|(name, _)| button(Action::PmModel, name, name, ButtonStyle::Plain));
    Post::Message { role: None, text, buttons: buttons.collect() }
}
