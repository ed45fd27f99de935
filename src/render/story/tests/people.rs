//! Samples of events with their lines. What people say and decide, and what is told to them.

use super::*;

pub(super) fn people() -> Vec<(Event, &'static str)> {
    let (by, ts) = (UserId::new("UANA"), MessageTs::new("2.0"));
    let message = |files: &[&str]| Message {
        ts: ts.clone(),
        from: by.clone(),
        name: "Ana".into(),
        text: SAID.into(),
        files: files.iter().map(ToString::to_string).collect(),
    };
    let taken = |answer| Event::CommandTaken { ts: None, by: by.clone(), answer };
    vec![
        (Event::ThreadOpened { by: by.clone() }, "INF Ana (UANA) opened the thread"),
        (Event::PersonNamed { user: by.clone(), name: SAID.into() }, "-"),
        (
            Event::MessageReceived { message: message(&[]) },
            "MSG Ana (UANA) wrote 12 characters | Ana (UANA) wrote: SECRET words",
        ),
        (
            Event::MessageReceived { message: message(&["SECRET.png"]) },
            "MSG Ana (UANA) wrote 12 characters and sent 1 file | Ana (UANA) wrote and sent 1 file: SECRET words",
        ),
        (
            Event::MessageEdited { ts: ts.clone(), text: SAID.into() },
            "MSG an unread message was changed to 12 characters | an unread message was changed: SECRET words",
        ),
        (Event::MessageDeleted { ts: ts.clone() }, "MSG an unread message was deleted"),
        (taken(Answer::None), "MSG Ana (UANA) gave a command"),
        (taken(Answer::Text { text: SAID.into() }), "MSG Ana (UANA) gave a command and was answered |: SECRET words"),
        (
            taken(Answer::ModelPool { pool: vec![], current: "m".into(), stand_in: None }),
            "MSG Ana (UANA) was shown the PM's models",
        ),
        (
            Event::Refused { ts: None, by: UserId::new("UEVE"), reason: SAID.into() },
            "MSG UEVE was refused |: SECRET words",
        ),
        (
            Event::PmModelChosen { by: by.clone(), ts: None, name: "kimi".into(), model: "moon/kimi".into() },
            "INF Ana (UANA) chose kimi (moon/kimi) as PM",
        ),
        (
            Event::QuestionAnswered { id: QuestionId::new("q1"), by: by.clone(), ts: None, answer: SAID.into() },
            "MSG Ana (UANA) answered question q1 | Ana (UANA) answered: SECRET words",
        ),
        (Event::StopRequested { by: by.clone(), ts: None }, "INF Ana (UANA) stopped what was running"),
        (Event::RetryRequested { by: by.clone(), ts: None }, "INF Ana (UANA) wants it tried again"),
        (
            Event::TakenUp { by: by.clone(), ts: None, parts: vec![Part::Run(Role::Coder), Part::Workspace] },
            "INF Ana (UANA) wants it tried again: run/coder, workspace",
        ),
        (Event::CloseRequested { by: by.clone(), ts: None }, "INF Ana (UANA) wants the thread closed"),
        (
            Event::MergeRequested { by, ts: None, head: CommitId::new("abcdef1234") },
            "INF Ana (UANA) wants abcdef1 merged",
        ),
    ]
}
