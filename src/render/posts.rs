//! What each event makes visible in the chat: a list of keyed posts. The outbox brings the chat in line with them; a
//! post under a known key replaces the older one.
//!
//! Quiet by default: an event that a person need not see gives nothing.

mod checks;
mod consult;
mod context;
mod money;
mod outside;

use super::cards;
use super::post::Post;
use super::progress;
use super::text::{Piece, extension, pieces};
use crate::agent::Role;
use crate::ids::{MessageTs, Millis, PlanId, QuestionId, RunId, UserId};
use crate::thread::event::{Answer, Event, Failure, InitStep, RunOutcome};
use crate::thread::stalled::Part;
use crate::thread::state::{PlanFate, Published, Thread};

/// A post and the key that names it within its thread.
pub type Keyed = (String, Post);

/// The key of the reaction that says “seen”.
pub fn seen_key(ts: &MessageTs) -> String {
    format!("eyes/{ts}")
}

/// The key of the card that waits for a person's word, when one does: an answer, an approval, a merge.
pub fn waiting_key(thread: &Thread) -> Option<String> {
    let question = thread.question.as_ref().map(|question| question_key(&question.id));
    let plan = || thread.waiting_plan().map(|plan| plan_key(&plan.id));
    let pull = || thread.pull.as_ref().and(thread.published.as_ref()).map(|published| pull_key(published.run));
    question.or_else(plan).or_else(pull)
}

fn question_key(id: &QuestionId) -> String {
    format!("question/{id}")
}

fn plan_key(id: &PlanId) -> String {
    format!("plan/{id}")
}

fn pull_key(run: RunId) -> String {
    format!("pull/{run}")
}

/// Whether this is the key of a progress message, which changes with every turn and may lag behind.
pub fn is_progress_key(key: &str) -> bool {
    key.starts_with(PROGRESS)
}

/// What the keys of progress messages begin with.
const PROGRESS: &str = "progress/";

/// The posts of one event, given the thread before and after it.
pub fn posts(before: &Thread, after: &Thread, event: &Event, at: Millis) -> Vec<Keyed> {
    let mut out = Out { seq: after.seq, posts: Vec::new() };
    match event {
        Event::CommandTaken { ts, answer, .. } => {
            match answer {
                Answer::None => {}
                Answer::Text { text } => out.say(None, text),
                Answer::ModelPool { pool, current, stand_in } => {
                    out.put("say", cards::model_pool(pool, current, stand_in.as_deref()));
                }
            }
            out.done(ts.iter());
        }
        Event::Refused { ts, by, reason } => {
            out.put("only", Post::Ephemeral { to: by.clone(), text: reason.clone() });
            out.done(ts.iter());
        }
        Event::MessageEdited { ts, .. } => edited(before, after, ts, &mut out),
        Event::BaseReady { base } => base.notice.iter().for_each(|notice| out.say(None, notice)),
        Event::BaseFailed { failure } | Event::WorkspaceFailed { failure } => {
            let early = matches!(event, Event::BaseFailed { .. });
            let (role, part) = if early { (Role::Pm, Part::Base) } else { (Role::Coder, Part::Workspace) };
            out.put("failed", cards::failure(after, role, failure, part));
            out.done(unanswered(after));
        }
        Event::ReplyReceived { run, reply, .. } => reply_posts(before, after, *run, &reply.text, at, &mut out),
        Event::RunStarted { run, .. }
        | Event::ToolsStarted { run, .. }
        | Event::ToolFinished { run, .. }
        | Event::RunQueued { run, .. }
        | Event::TodosWritten { run, .. } => {
            out.progress(after, *run, at, false);
        }
        Event::QuestionAsked { .. } => out.question(after, None),
        Event::QuestionAnswered { by, answer, .. } => out.question(before, Some(cards::answer(after, by, answer))),
        Event::PmAsked { id, .. } => consult::asked(after, id, &mut out),
        Event::PmAnswered { id, answer, knew } => consult::answered(before, id, answer, knew, &mut out),
        Event::NotePosted { role, text } => out.say(Some(*role), text),
        Event::RunEnded { run, outcome } => run_ended(before, after, *run, outcome, at, &mut out),
        Event::PlanProposed { .. } => plan_proposed(before, after, &mut out),
        Event::PlanChangeAsked { .. } => out.say(Some(Role::Pm), "What should change?"),
        Event::PlanApproved { by, .. } | Event::PlanCancelled { by, .. } => plan_judged(after, by, at, &mut out),
        Event::WorkspaceInitialised { steps } => workspace_initialised(steps, &mut out),
        Event::WorkPublished { .. } => work_published(before, after, &mut out),
        Event::PublishFailed { run, failure } => publish_failed(before, after, *run, failure, &mut out),
        Event::MergeRefused { failure } => merge_refused(before, failure, &mut out),
        Event::MergeInDoubt { failure } => merge_in_doubt(before, failure, &mut out),
        Event::CleanedUp { leftovers } => cleaned_up(after, leftovers, &mut out),
        Event::ThreadClosed { .. } => thread_closed(before, after, &mut out),
        Event::PmModelChosen { ts, name, model, .. } => {
            out.say(None, &format!("The PM now uses **{name}** (`{model}`) in this thread, with all that was said."));
            out.done(ts.iter());
        }
        Event::StopRequested { ts, .. } | Event::RetryRequested { ts, .. } | Event::TakenUp { ts, .. } => {
            out.done(ts.iter());
        }
        Event::ContextChanged { run, change } => context::changed(before, *run, change, &mut out),
        Event::Outside { news } => outside::outside(before, after, news, at, &mut out),
        Event::Checks { news } => checks::checks(before, after, news, &mut out),
        Event::Budget { news } => money::news(after, news, at, &mut out),
        Event::Spent { spent } => out.progress(after, spent.run, at, false),
        Event::ThreadOpened { .. }
        | Event::PersonNamed { .. }
        | Event::MessageReceived { .. }
        | Event::MessageDeleted { .. }
        | Event::ConversationOpened { .. }
        | Event::Heard { .. }
        | Event::Noted { .. }
        | Event::StuckNoticed { .. }
        | Event::WorkspaceReady { .. }
        | Event::Committed { .. }
        | Event::Pushed { .. }
        | Event::PullRequestOpened { .. }
        | Event::MergeRequested { .. }
        | Event::Merged { .. }
        | Event::CloseRequested { .. } => {}
    }
    money::settle(before, after, event, at, &mut out);
    consult::settle(before, after, event, &mut out);
    checks::settle(before, after, &mut out);
    out.posts
}

/// Collects posts under keys of the event's number.
struct Out {
    seq: u64,
    posts: Vec<Keyed>,
}

impl Out {
    fn set(&mut self, key: String, post: Post) {
        self.posts.push((key, post));
    }

    fn put(&mut self, kind: &str, post: Post) {
        self.set(format!("{kind}/{}/{}", self.seq, self.posts.len()), post);
    }

    /// A text as messages and files.
    fn say(&mut self, role: Option<Role>, text: &str) {
        self.say_as(&self.seq.to_string(), self.posts.len(), role, text);
    }

    /// The Coder's report: said once, however often its work is tried to be published.
    fn report(&mut self, run: RunId, text: &str) {
        self.say_as(&format!("report-{run}"), 0, Some(Role::Coder), text);
    }

    fn say_as(&mut self, name: &str, first: usize, role: Option<Role>, text: &str) {
        for (number, piece) in (first..).zip(pieces(text)) {
            let post = match piece {
                Piece::Text(text) => cards::message(role, text),
                Piece::Code { language, code } => {
                    let name = format!("code-{name}-{number}.{}", extension(&language));
                    let role = role.map(|role| role.title().to_owned());
                    Post::File { role, name, syntax: language, content: code }
                }
            };
            self.set(format!("say/{name}/{number}"), post);
        }
    }

    fn done<'a>(&mut self, messages: impl Iterator<Item = &'a MessageTs>) {
        for ts in messages {
            let post = Post::Reaction { ts: ts.clone(), name: "white_check_mark".to_owned() };
            self.set(format!("done/{ts}"), post);
        }
    }

    /// The question of this thread; `verdict` replaces its buttons.
    fn question(&mut self, thread: &Thread, verdict: Option<String>) {
        if let Some(question) = &thread.question {
            self.set(question_key(&question.id), cards::question(question, verdict));
        }
    }

    fn progress(&mut self, thread: &Thread, run: RunId, at: Millis, ended: bool) {
        if let Some((role, run)) = thread.run(run)
            && let Some(post) = progress::progress(role, run, at, ended)
        {
            self.set(format!("{PROGRESS}{}", run.id), post);
        }
    }
}

/// Who edits what was read and is being worked on by nobody should not wait for an answer.
fn edited(before: &Thread, after: &Thread, ts: &MessageTs, out: &mut Out) {
    let Some(message) = before.said.iter().find(|message| message.ts == *ts) else { return };
    if after.is_closed() || after.runs.values().any(|run| run.stale) {
        return;
    }
    let text = "I had read this message before you edited it, and go by the new words from your next message on. \
                Write here if something should change now.";
    out.put("only", Post::Ephemeral { to: message.from.clone(), text: text.to_owned() });
}

/// Messages that no role has read.
fn unanswered(thread: &Thread) -> impl Iterator<Item = &MessageTs> {
    thread.conversations.get(&Role::Pm).into_iter().flat_map(|pm| &pm.unheard).map(|message| &message.ts)
}

fn reply_posts(before: &Thread, after: &Thread, run: RunId, text: &str, at: Millis, out: &mut Out) {
    out.progress(after, run, at, false);
    let Some((role, run)) = after.run(run) else { return };
    // The Coder's last text is its report and stands on the card of what it published. Text beside calls is talk to
    // itself. A limit's last words are told when the run ends.
    // What it says to the role that asked it, or to itself in a turn without tools, is not for people.
    let speaks = role != Role::Coder && run.answers.is_none() && run.calls.is_empty() && !text.trim().is_empty();
    if speaks && before.run(run.id).is_some_and(|(_, before)| !before.watch.pauses()) {
        out.say(Some(role), text);
    }
}

fn run_ended(before: &Thread, after: &Thread, id: RunId, outcome: &RunOutcome, at: Millis, out: &mut Out) {
    let Some((role, run)) = before.run(id) else { return };
    out.progress(before, id, at, true);
    if before.question.as_ref().is_some_and(|question| question.run == id) {
        out.question(before, Some("**Void:** the run ended before an answer.".to_owned()));
    }
    if run.answers.is_some() {
        // Who asked it says the rest.
        out.done(run.messages.iter().filter(|ts| !consult::owed_elsewhere(after, ts)));
        return;
    }
    match outcome {
        RunOutcome::Answered { .. } => {}
        RunOutcome::Stopped { .. } => out.say(Some(role), &consult::stopped(before, after, role, run, outcome)),
        RunOutcome::LimitReached { turns, .. } => {
            if role != Role::Coder {
                out.say(None, &format!("The {} used up its {turns} turns. `!retry` lets it go on.", role.title()));
            }
        }
        RunOutcome::Stuck { what, .. } => {
            if role != Role::Coder {
                let text = format!(
                    "The {} went in circles: it had {what}. `!retry` lets it begin anew; other words may help more.",
                    role.title()
                );
                out.say(None, &text);
            }
        }
        RunOutcome::Failed { failure } => out.put("failed", cards::failure(after, role, failure, Part::Run(role))),
    }
    out.done(run.messages.iter());
    // What the PM had not read waits with it for `!retry` or the next message; the card above says so.
    if role == Role::Pm && matches!(outcome, RunOutcome::Stopped { .. } | RunOutcome::Failed { .. }) {
        out.done(unanswered(after));
    }
}

fn plan_judged(after: &Thread, by: &UserId, at: Millis, out: &mut Out) {
    if let Some(plan) = &after.plan {
        let verdict = cards::verdict(after, plan, by, at);
        out.set(plan_key(&plan.id), cards::plan(after, plan, Some(verdict)));
    }
}

fn plan_proposed(before: &Thread, after: &Thread, out: &mut Out) {
    if let Some(old) = before.waiting_plan() {
        let verdict = "**Void:** there is a newer plan below.".to_owned();
        out.set(plan_key(&old.id), cards::plan(before, old, Some(verdict)));
    }
    if let Some(plan) = &after.plan {
        out.set(plan_key(&plan.id), cards::plan(after, plan, None));
    }
}

fn work_published(before: &Thread, after: &Thread, out: &mut Out) {
    if let Some(old) = &before.published {
        publication(old, false, out);
    }
    let Some(published) = &after.published else { return };
    if is_long(published) {
        // Too much for one card: the report goes ahead of it.
        let headline = super::evidence::headline(&published.evidence).map(|text| format!("{text}\n\n"));
        out.report(published.run, &format!("{}{}", headline.unwrap_or_default(), published.report));
    }
    publication(published, !after.is_closed(), out);
    if let Some(diff) = published.summary.diff.as_ref().filter(|diff| !diff.is_empty()) {
        let number = after.pull.as_ref().map_or(0, |pull| pull.number);
        let name = format!("pull-request-{number}-run-{}.diff", published.run);
        let role = Some(Role::Coder.title().to_owned());
        out.put("say", Post::File { role, name, syntax: "diff".to_owned(), content: diff.clone() });
    }
}

fn workspace_initialised(steps: &[InitStep], out: &mut Out) {
    for step in steps.iter().filter(|step| !step.ok) {
        out.say(None, &format!("Preparing the worktree: `{}` failed. The Coder knows.", step.command));
    }
}

fn publish_failed(before: &Thread, after: &Thread, run: RunId, failure: &Failure, out: &mut Out) {
    let report = before.publishing.as_ref().map_or("", |publishing| publishing.report.trim());
    if !report.is_empty() {
        out.report(run, report);
    }
    out.set(format!("failed/{}", after.seq), cards::failure(after, Role::Coder, failure, Part::Publish));
}

/// Whether a report is too much for one card.
fn is_long(published: &Published) -> bool {
    let evidence = super::evidence::card(&published.evidence).chars().count();
    published.report.chars().count() + evidence > super::text::MESSAGE_CHARS
        || pieces(&published.report).iter().any(|piece| matches!(piece, Piece::Code { .. }))
}

/// The card of what a run was published as.
fn publication(published: &Published, open: bool, out: &mut Out) {
    let post = if is_long(published) {
        cards::publication(&Published { report: "The report is above.".to_owned(), ..published.clone() }, open)
    } else {
        cards::publication(published, open)
    };
    out.set(pull_key(published.run), post);
}

fn merge_refused(before: &Thread, failure: &Failure, out: &mut Out) {
    let text = format!("Not merged. {}\n{}", failure.what, failure.hint);
    out.say(Some(Role::Lead), &text);
    out.done(before.merging.as_ref().and_then(|merging| merging.ts.as_ref()).into_iter());
}

fn merge_in_doubt(before: &Thread, failure: &Failure, out: &mut Out) {
    let number = before.pull.as_ref().map_or(0, |pull| pull.number);
    let text = format!(
        "It is not known whether pull request #{number} was merged. {} {}\nIt is also looked up by \
         itself: if it was merged, this thread says so and ends. To say `merge` or `!retry` is safe: nothing is merged \
         twice.",
        failure.what, failure.hint
    );
    out.say(Some(Role::Lead), &text);
    out.done(before.merging.as_ref().and_then(|merging| merging.ts.as_ref()).into_iter());
}

fn cleaned_up(after: &Thread, leftovers: &[String], out: &mut Out) {
    let mut text = match &after.merged {
        Some(commit) => match after.closing.as_ref().and_then(|closing| closing.elsewhere.as_ref()) {
            Some(elsewhere) => outside::merged(after, elsewhere, commit),
            None => format!("Merged as `{}`", commit.short()),
        },
        None => "Closed without merging".to_owned(),
    };
    text.push_str(if leftovers.is_empty() { ", branch and worktree removed." } else { "." });
    let total = after.total_usage();
    if !total.is_free() {
        text.push_str(&format!(" {} in total.", total.cost_text()));
    }
    if !leftovers.is_empty() {
        text.push_str(" Still there:");
        leftovers.iter().for_each(|left| text.push_str(&format!("\n- {left}")));
    }
    out.say(Some(Role::Lead), &text);
}

fn thread_closed(before: &Thread, after: &Thread, out: &mut Out) {
    if let Some(plan) = before.waiting_plan() {
        let verdict = "**Void:** the thread is closed.".to_owned();
        out.set(plan_key(&plan.id), cards::plan(before, plan, Some(verdict)));
    }
    if let Some(published) = &before.published {
        publication(published, false, out);
    }
    if before.closing.is_none() && after.plan.as_ref().is_some_and(|plan| plan.fate == PlanFate::Cancelled) {
        out.say(Some(Role::Pm), "The plan is cancelled and the thread closed. Nothing was changed.");
    } else if before.closing.as_ref().is_some_and(|closing| !closing.cleaned) {
        out.say(None, "The thread is closed. Nothing was changed.");
    }
    out.done(before.closing.as_ref().and_then(|closing| closing.ts.as_ref()).into_iter());
    // Nobody reads any more what the close overtook, unless the PM is at work or only waits for its base.
    if after.base.is_some() && !after.runs.contains_key(&Role::Pm) {
        out.done(unanswered(after));
    }
}
