//! What goes on in a thread, in the few words by which a chat itself shows that somebody is at work: `is reading
//! src/a.rs …`. Pure; what waits for a person or for a place in a queue is no work.

use crate::thread::state::{Run, Thread, WorkspaceState};

/// Most characters of it.
const CHARS: usize = 100;

/// What goes on; `None` while nothing does.
pub fn presence(thread: &Thread) -> Option<String> {
    let asks = thread.question.as_ref().map(|question| question.run);
    let works = |run: &&Run| run.queue.is_none() && run.paused.is_none() && run.asks.is_none() && Some(run.id) != asks;
    let doing = |run: &Run| match run.doing.as_slice() {
        [] => "is thinking".to_owned(),
        [first, ..] => format!("is {}", first.replace('`', "")),
    };
    let run = thread.runs.values().find(works).map(doing);
    let daemon = || {
        if thread.publishing.is_some() {
            Some("is bringing the work to the pull request".to_owned())
        } else if thread.merging.is_some() {
            Some("is merging".to_owned())
        } else if thread.workspace == WorkspaceState::Wanted && thread.stalled.is_empty() {
            Some("is making a worktree".to_owned())
        } else {
            None
        }
    };
    let words = run.or_else(daemon)?;
    Some(words.chars().take(CHARS).chain(" …".chars()).collect())
}

#[cfg(test)]
mod tests {
    use super::presence;
    use crate::agent::Role;
    use crate::thread::command::{Action, Command};
    use crate::thread::tests::Story;

    #[test]
    fn it_says_what_is_done_and_nothing_while_a_person_is_waited_for() {
        let mut story = Story::new();
        let shown = |story: &Story| presence(&story.thread);
        assert_eq!(shown(&story), None);
        story.say("BEN", "the export crashes");
        story.base();
        assert_eq!(shown(&story).as_deref(), Some("is thinking …"));
        story.reply(Role::Pm, "", &[("Read", r#"{"file_path":"src/a.rs"}"#)]);
        assert_eq!(shown(&story).as_deref(), Some("is reading src/a.rs …"));
        story.tool(Role::Pm, "c0_1", "text", Vec::new());
        story.reply(Role::Pm, "", &[("AskUser", r#"{"question":"Refuse it?"}"#)]);
        assert_eq!(shown(&story), None, "a person is asked");
        story.say("BEN", "yes");
        assert!(shown(&story).is_some());
        story.propose("Refuse it");
        assert_eq!(shown(&story), None, "a plan waits");
        let id = story.plan_id();
        story.press("ANA", Action::PlanApprove, &id);
        assert!(shown(&story).is_some());
        story.workspace();
        let long = format!(r#"{{"command":"{}"}}"#, "x".repeat(500));
        story.reply(Role::Coder, "", &[("Bash", &long)]);
        assert!(shown(&story).is_some_and(|words| words.starts_with("is running xxx") && words.chars().count() < 103));
        let mut asks = story.clone();
        asks.tool(Role::Coder, "c0_1", "", Vec::new());
        asks.reply(Role::Coder, "", &[("AskPM", r#"{"question":"Which?"}"#)]);
        assert_eq!(shown(&asks).as_deref(), Some("is thinking …"), "the PM, who is asked");
        asks.reply(Role::Pm, "", &[("AskUser", r#"{"question":"Which?"}"#)]);
        assert_eq!(shown(&asks), None, "both wait for a person");
        let mut paused = story.clone();
        paused.tool(Role::Coder, "c0_1", "", Vec::new());
        paused.rules.caps.thread_usd = Some(0.0);
        let run = paused.thread.runs[&Role::Coder].id;
        paused.act(Command::CallDue { run });
        assert_eq!(shown(&paused), None, "it waits at a cap");
        story.say("ANA", "!stop");
        assert_eq!(
            shown(&story).as_deref(),
            Some("is bringing the work to the pull request …"),
            "what is there is kept"
        );
        story.published();
        assert_eq!(shown(&story), None, "over");
    }
}
