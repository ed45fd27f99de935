//! Samples of events with their lines. Roles at work: their turns, calls, questions to each other, and when they get nowhere.

use super::*;

pub(super) fn roles() -> Vec<(Event, &'static str)> {
    let (run, role) = (RunId(1), Role::Pm);
    let todo = |status| Todo { content: SAID.into(), status };
    let todos = vec![todo(TodoStatus::Completed), todo(TodoStatus::Pending)];
    let twice = vec![call("Read", "{}"), call("Grep", "{}"), call("Read", "{}")];
    vec![
        (Event::ConversationOpened { role, system: vec![SAID.into()], tools: SAID.into() }, "-"),
        (
            Event::RunStarted { run: RunId(2), role: Role::Coder, model: "m".into(), by: None },
            "CLD run 2 begins with m",
        ),
        (Event::Heard { role, parts: vec![SAID.into()], messages: vec![] }, "-"),
        (Event::Noted { role, text: SAID.into() }, "-"),
        (
            reply(SAID, vec![]),
            "PM run 1, turn 2: says 12 characters · m · 100 tokens in (90 cached), 5 out · $0.25 | turn 2 says: SECRET words",
        ),
        (
            reply("", twice),
            "PM run 1, turn 2: calls Read ×2, Grep · m · 100 tokens in (90 cached), 5 out · $0.25 | turn 2 calls Read ×2, Grep",
        ),
        (
            reply(" ", vec![]),
            "PM run 1, turn 2: says nothing · m · 100 tokens in (90 cached), 5 out · $0.25 | turn 2 says nothing",
        ),
        (Event::ToolsStarted { run, calls: vec![] }, "-"),
        (done(false, None), "PM Bash done in 40 ms | · running `SECRET command`"),
        (done(true, None), "PM Bash failed in 40 ms | · running `SECRET command`: SECRET words"),
        (done(false, Some(3)), "PM Bash ended with exit code 3 in 40 ms | · running `SECRET command`"),
        (asked(run), "CLD asks question q1 with 1 option | asks: SECRET words"),
        (Event::RunQueued { run, place: Some(2), build: None }, "PM run 1 waits for its turn, place 2"),
        (Event::RunQueued { run, place: Some(1), build: Some("ios".into()) }, "PM run 1 waits to build (ios), place 1"),
        (Event::RunQueued { run, place: None, build: None }, "PM run 1 goes on"),
        (Event::TodosWritten { run, todos }, "PM checklist: 1 of 2 done"),
        (
            Event::NotePosted { role: Role::Lead, text: SAID.into() },
            "LED posts a note of 12 characters | posts a note: SECRET words",
        ),
        (ended(RunOutcome::Answered { text: SAID.into() }), "PM run 1 ended · 1 turn, 0 calls, 2 s, $0.25"),
        (
            ended(RunOutcome::Stopped { by: UserId::new("UANA"), doing: vec![SAID.into()], closing: false }),
            "PM run 1 was stopped by Ana (UANA) · 1 turn, 0 calls, 2 s, $0.25",
        ),
        (
            ended(RunOutcome::LimitReached { turns: 9, text: SAID.into() }),
            "WRN run 1 of the PM used up its 9 turns · 1 turn, 0 calls, 2 s, $0.25",
        ),
        (
            ended(RunOutcome::Failed { failure: failure() }),
            "WRN run 1 of the PM failed: It broke. · 1 turn, 0 calls, 2 s, $0.25",
        ),
    ]
}

pub(super) fn circles() -> Vec<(Event, &'static str)> {
    let (run, id, by) = (RunId(1), QuestionId::new("q1"), UserId::new("UANA"));
    let asked = PmQuestion { question: SAID.into(), context: Some(SAID.into()) };
    let noticed = |trouble, help| Event::StuckNoticed { run, trouble, help, what: SAID.into() };
    let answered = |knew| Event::PmAnswered { id: id.clone(), answer: SAID.into(), knew };
    vec![
        (
            Event::PmAsked { id: id.clone(), role: Role::Coder, run, call: None, asked },
            "CLD asks the PM question q1 with 12 characters | asks the PM: SECRET words",
        ),
        (answered(Knew::Pm), "PM answers question q1 | answers: SECRET words"),
        (
            answered(Knew::Person { by: by.clone() }),
            "PM answers question q1, as Ana (UANA) told it | answers, as Ana (UANA) told it: SECRET words",
        ),
        (answered(Knew::Nobody), "WRN question q1 to the PM has no answer | the PM has no answer: SECRET words"),
        (answered(Knew::Overtaken { by }), "INF Ana (UANA) wrote before question q1 was answered"),
        (
            noticed(Trouble::SameFailure, Help::Note),
            "WRN run 1 goes in circles (the same failure): it is told |; it had: SECRET words",
        ),
        (
            noticed(Trouble::Repeat, Help::Pause),
            "WRN run 1 goes in circles (the same call): a turn without tools |; it had: SECRET words",
        ),
        (
            noticed(Trouble::Idle, Help::AskPm),
            "WRN run 1 goes in circles (nothing new): the PM is asked |; it had: SECRET words",
        ),
        (
            noticed(Trouble::Undone, Help::End),
            "WRN run 1 goes in circles (edits that undo each other): it has to end |; it had: SECRET words",
        ),
        (
            ended(RunOutcome::Stuck { what: SAID.into(), text: SAID.into() }),
            "WRN run 1 of the PM went in circles · 1 turn, 0 calls, 2 s, $0.25",
        ),
    ]
}
