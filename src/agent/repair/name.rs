//! The tool that a model means by a name. A name in another case, with other separators or in a name space can mean exactly
//! one tool and is taken; all others are answered with the nearest.

use super::{SHOWN, shortened};
use crate::agent::{Role, ToolName};

/// Names that are nearer than this, in letters to change, are offered.
const NEAR: usize = 3;
/// What models put before a name.
const SPACES: [&str; 6] = ["functions", "function", "tools", "tool", "default_api", "multi_tool_use"];

/// The role's tool that a name means.
pub fn resolve(role: Role, name: &str) -> Option<ToolName> {
    let tools = role.tools();
    if let Some(tool) = ToolName::parse(name).filter(|tool| tools.contains(tool)) {
        return Some(tool);
    }
    let wanted = plain(bare(name));
    let mut meant = tools.into_iter().filter(|tool| plain(tool.as_str()) == wanted);
    let first = meant.next()?;
    meant.next().is_none().then_some(first)
}

/// What a model is told that calls a tool it does not have.
pub fn unknown_tool(role: Role, name: &str) -> String {
    let tools = role.tools();
    let wanted = plain(&shortened(bare(name), SHOWN));
    let mut near: Vec<(usize, ToolName)> = (tools.iter())
        .map(|tool| (distance(&wanted, &plain(tool.as_str())), *tool))
        .filter(|(distance, _)| *distance < NEAR)
        .collect();
    near.sort();
    let nearest = match near.as_slice() {
        [] => String::new(),
        near => {
            let names: Vec<String> = near.iter().take(3).map(|(_, tool)| format!("`{tool}`")).collect();
            format!(" Perhaps you mean {}.", names.join(" or "))
        }
    };
    let all: Vec<&str> = tools.into_iter().map(ToolName::as_str).collect();
    let name = shortened(name, SHOWN).replace('`', "'");
    if all.is_empty() {
        return format!("There is no tool `{name}` for you: you have none. Answer in words.");
    }
    format!("There is no tool `{name}` for you. Nothing was done.{nearest} You have: {}.", all.join(", "))
}

/// A name without its name space, and without what models leave of their own marks: `functions.Read:0`,
/// `Read<|channel|>`.
fn bare(name: &str) -> &str {
    let name = name.trim();
    let name = name.split("<|").next().unwrap_or(name);
    let name = match name.rsplit_once(':') {
        Some((before, number)) if number.chars().all(|c| c.is_ascii_digit()) => before,
        _ => name,
    };
    for space in SPACES {
        let (Some(before), Some(after)) = (name.get(..space.len()), name.get(space.len()..)) else { continue };
        if let Some(rest) = after.strip_prefix(['.', ':', '/']).filter(|_| before.eq_ignore_ascii_case(space)) {
            return rest;
        }
    }
    name
}

/// A name without case and separators.
fn plain(name: &str) -> String {
    let name = name.chars().filter(|c| !matches!(c, '_' | '-' | ' '));
    name.flat_map(char::to_lowercase).collect()
}

/// How many letters must be changed, added or taken away; a name that begins with another is near to it.
fn distance(one: &str, other: &str) -> usize {
    if !other.is_empty() && one.starts_with(other) {
        return 1;
    }
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (place, d) in other.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(row[place] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_can_mean_one_tool_is_that_tool() {
        let cases = [
            ("Read", Some(ToolName::Read)),
            ("read", Some(ToolName::Read)),
            (" READ ", Some(ToolName::Read)),
            ("functions.Read", Some(ToolName::Read)),
            ("functions.Read:0", Some(ToolName::Read)),
            ("default_api.git_log", Some(ToolName::GitLog)),
            ("Read<|channel|>commentary", Some(ToolName::Read)),
            ("todo_write", Some(ToolName::TodoWrite)),
            ("gh-create-pr", Some(ToolName::GhCreatePr)),
            ("read_file", None),
            ("ReadFile", None),
            ("Reed", None),
            ("ProposePlan", None),
            ("functions.", None),
            ("", None),
            ("rm -rf", None),
        ];
        for (name, expected) in cases {
            assert_eq!(resolve(Role::Coder, name), expected, "{name}");
        }
        assert_eq!(resolve(Role::Pm, "Write"), None, "another role's");
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest() {
        let cases = [
            (
                "read_file",
                "There is no tool `read_file` for you. Nothing was done. Perhaps you mean `Read`. You have: Read, Grep, Glob, ",
            ),
            ("Reed", "Perhaps you mean `Read`."),
            ("GitLogs", "Perhaps you mean `GitLog`."),
            ("Globb", "Perhaps you mean `Glob`."),
            ("`x`", "There is no tool `'x'` for you."),
        ];
        for (name, expected) in cases {
            let told = unknown_tool(Role::Coder, name);
            assert!(told.contains(expected), "{told}");
        }
        let told = unknown_tool(Role::Coder, &"x".repeat(10_000));
        assert!(told.len() < 400 && !told.contains("Perhaps"), "{told}");
        assert!(unknown_tool(Role::Researcher, "Read").contains("you have none"));
    }
}
