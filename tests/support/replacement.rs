//! The task of most stories: replace a file's first line. What the PM proposes, and how the Coder finds its task in what
//! it was told. For the scripted model of `tests/it` and the one in memory of `src/simulation`.

use serde_json::{Value, json};

/// The plan that replaces a line.
pub fn plan(file: &str, old: &str, new: &str) -> Value {
    json!({
        "title": format!("Say {new}"),
        "workflow": "bugfix",
        "summary": format!("The first line of `{file}:1` says {old}."),
        "steps": [{ "text": format!("Replace <{old}> by <{new}>"), "files": [format!("{file}:1")] }],
        "files": [file],
        "acceptance": [format!("{file} says {new}")],
    })
}

/// The file, the old and the new line of the newest plan in what the Coder was told.
pub fn task(told: &str) -> Option<(String, String, String)> {
    let step = told.lines().rfind(|line| line.contains("Replace <"))?;
    let mut marks = step.split(['<', '>']);
    let (_, old, _, new) = (marks.next()?, marks.next()?, marks.next()?, marks.next()?);
    let file = step.split('`').nth(1)?.split(':').next()?;
    Some((file.to_owned(), old.to_owned(), new.to_owned()))
}
