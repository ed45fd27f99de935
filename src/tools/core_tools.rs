//! The tools whose calls are events of the thread: what models read about them. `thread::decide` answers the calls.

use schemars::JsonSchema;

use super::arguments::schema_of;
use crate::thread::consult::PmQuestion;
use crate::thread::plan::{Plan, Todo};
use crate::thread::question::Ask;

/// What a model is told of a tool that nothing outside the core runs.
pub struct Described {
    /// The description.
    pub description: &'static str,
    /// The schema of its arguments.
    pub schema: fn() -> serde_json::Value,
}

/// `TodoWrite`.
pub const TODO_WRITE: Described =
    Described { description: include_str!("todo_write.md"), schema: schema_of::<TodoWrite> };
/// `ProposePlan`.
pub const PROPOSE_PLAN: Described =
    Described { description: include_str!("propose_plan.md"), schema: schema_of::<Plan> };
/// `AskUser`.
pub const ASK_USER: Described = Described { description: include_str!("ask_user.md"), schema: schema_of::<Ask> };
/// `AskPM`.
pub const ASK_PM: Described = Described { description: include_str!("ask_pm.md"), schema: schema_of::<PmQuestion> };
/// `SlackNotify`.
pub const SLACK_NOTIFY: Described =
    Described { description: include_str!("slack_notify.md"), schema: schema_of::<SlackNotify> };

#[derive(JsonSchema)]
#[expect(dead_code, reason = "the shape of what `thread::decide::turn` reads; only its schema is used")]
struct TodoWrite {
    todos: Vec<Todo>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "the shape of what `thread::decide::turn` reads; only its schema is used")]
struct SlackNotify {
    /// Markdown.
    text: String,
}
