//! What people want in simulated worlds: each story is a script for one person in one thread. Every story works on a
//! file of its own, `greeting-N.txt`.

use super::people::{Outside, Step};

/// The full story: a bug, the PM's question, the plan, another model in between, approval, work, merge.
pub fn full(number: usize) -> Vec<Step> {
    vec![
        wish(number, "good-day", "(ask) "),
        Step::SeeButton("ask_option"),
        Step::Press("ask_option"),
        Step::SeeButton("plan_approve"),
        Step::Type("!pm claude"),
        Step::See("The PM now uses **claude**"),
        Step::Press("plan_approve"),
        Step::SeeButton("pr_merge"),
        Step::Type("merge"),
        Step::SeeMerged,
        Step::SeeDone,
    ]
}

/// A question and its answer.
pub fn question(_: usize) -> Vec<Step> {
    vec![Step::Say("What is this project?".to_owned()), Step::See("I heard"), Step::SeeDone]
}

/// Long answers again and again, until a model that reads little cannot read them all; then a wish.
pub fn long_talk(number: usize) -> Vec<Step> {
    let round = |round| [Step::Say(format!("Tell me a story of {round}.")), Step::See("I heard"), Step::SeeDone];
    (1..=12).flat_map(round).chain(to_the_pull(number)).collect()
}

/// A plan that is changed once, approved by a word, merged by the button.
pub fn changed(number: usize) -> Vec<Step> {
    vec![
        wish(number, "good-day", "(note) "),
        Step::SeeButton("plan_change"),
        Step::Press("plan_change"),
        Step::See("What should change?"),
        wish(number, "good-evening", ""),
        Step::SeeButton("plan_approve"),
        Step::Type("approve"),
        Step::SeeButton("pr_merge"),
        Step::Press("pr_merge"),
        Step::SeeMerged,
    ]
}

/// Further work on the same pull request, a question in between, merged by hand-typed command.
pub fn follow_up(number: usize) -> Vec<Step> {
    vec![
        wish(number, "good-day", ""),
        Step::SeeButton("plan_approve"),
        Step::Press("plan_approve"),
        Step::Rest(4_000),
        Step::Ask("Will it take long?"),
        Step::SeeButton("pr_merge"),
        wish(number, "good-evening", ""),
        Step::SeeButton("plan_approve"),
        Step::Type("lgtm"),
        Step::SeeButton("pr_merge"),
        Step::Type("!merge"),
        Step::SeeMerged,
    ]
}

/// A typed answer to a question, then the plan is cancelled.
pub fn cancelled(number: usize) -> Vec<Step> {
    vec![
        wish(number, "good-day", "(ask) "),
        Step::SeeButton("ask_option"),
        Step::Say("Hm, show me the plan first.".to_owned()),
        Step::SeeButton("plan_cancel"),
        Step::Press("plan_cancel"),
        Step::See("the thread closed"),
    ]
}

/// Two messages at once, then work that is stopped and closed.
pub fn closed(number: usize) -> Vec<Step> {
    vec![
        Step::Say("Hello there.".to_owned()),
        wish(number, "good-day", ""),
        Step::SeeButton("plan_approve"),
        Step::Press("plan_approve"),
        Step::Rest(3_000),
        Step::Type("!stop"),
        Step::SeeDone,
        Step::Type("!close"),
        Step::See("losed"),
        Step::SeeDone,
    ]
}

/// Work during which somebody deletes the worktree.
pub fn robbed(number: usize) -> Vec<Step> {
    vec![
        wish(number, "good-day", ""),
        Step::SeeButton("plan_approve"),
        Step::Press("plan_approve"),
        Step::Rest(4_000),
        Step::Outside(Outside::DeleteWorktree),
        // What was not committed may be lost, and is told so; a second wish brings new work.
        Step::SeeReport,
        wish(number, "good-evening", ""),
        Step::SeeButton("plan_approve"),
        Step::Press("plan_approve"),
        Step::SeeButton("pr_merge"),
        Step::Type("merge"),
        Step::SeeMerged,
    ]
}

/// Somebody pushes to the branch before it is merged: it is not merged unseen.
pub fn pushed_to(number: usize) -> Vec<Step> {
    let more = [
        Step::Outside(Outside::PushToBranch),
        Step::See("Someone else pushed to"),
        Step::Type("!close"),
        Step::See("Closed without merging"),
    ];
    to_the_pull(number).into_iter().chain(more).collect()
}

/// Somebody closes the pull request; a new one is opened and merged.
pub fn closed_there(number: usize) -> Vec<Step> {
    let more = [
        Step::Outside(Outside::ClosePull),
        Step::See("was closed on GitHub"),
        Step::Type("!retry"),
        Step::Rest(30_000),
        Step::SeeButton("pr_merge"),
        Step::Type("merge"),
        Step::SeeMerged,
    ];
    to_the_pull(number).into_iter().chain(more).collect()
}

/// Somebody merges the pull request on the forge.
pub fn merged_there(number: usize) -> Vec<Step> {
    let more = [Step::Outside(Outside::MergePull), Step::See("was merged on GitHub")];
    to_the_pull(number).into_iter().chain(more).collect()
}

fn to_the_pull(number: usize) -> Vec<Step> {
    vec![
        wish(number, "good-day", ""),
        Step::SeeButton("plan_approve"),
        Step::Press("plan_approve"),
        Step::SeeButton("pr_merge"),
    ]
}

fn wish(number: usize, new: &str, flags: &str) -> Step {
    Step::Say(format!("{flags}The file `greeting-{number}.txt` should say \"{new}-{number}\"."))
}
