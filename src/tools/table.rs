//! All tools in one table, and the list of a role's tools as it is sent to a model.

use serde::Serialize;
use serde_json::Value;

use super::core_tools::{ASK_USER, Described, PROPOSE_PLAN, SLACK_NOTIFY, TODO_WRITE};
use super::{
    Tool, bash::Bash, edit::Edit, gh_create_pr::GhCreatePr, gh_status::GhStatus, git_commit::GitCommit,
    git_diff::GitDiff, git_log::GitLog, git_push::GitPush, glob::Glob, grep::Grep, read::Read, write::Write,
};
use crate::agent::{Role, ToolName};

/// Who answers a tool's calls.
enum Row {
    /// A tool runs them.
    Runs(&'static dyn Tool),
    /// The core does; this is what models read.
    Core(Described),
}

fn row(name: ToolName) -> Row {
    match name {
        ToolName::Read => Row::Runs(&Read),
        ToolName::Grep => Row::Runs(&Grep),
        ToolName::Glob => Row::Runs(&Glob),
        ToolName::Write => Row::Runs(&Write),
        ToolName::Edit => Row::Runs(&Edit),
        ToolName::Bash => Row::Runs(&Bash),
        ToolName::TodoWrite => Row::Core(TODO_WRITE),
        ToolName::ProposePlan => Row::Core(PROPOSE_PLAN),
        ToolName::AskUser => Row::Core(ASK_USER),
        ToolName::SlackNotify => Row::Core(SLACK_NOTIFY),
        ToolName::GitLog => Row::Runs(&GitLog),
        ToolName::GitDiff => Row::Runs(&GitDiff),
        ToolName::GitCommit => Row::Runs(&GitCommit),
        ToolName::GitPush => Row::Runs(&GitPush),
        ToolName::GhCreatePr => Row::Runs(&GhCreatePr),
        ToolName::GhStatus => Row::Runs(&GhStatus),
    }
}

/// The tool that runs the calls of this name; `None` for those that the core answers.
pub fn tool(name: ToolName) -> Option<&'static dyn Tool> {
    match row(name) {
        Row::Runs(tool) => Some(tool),
        Row::Core(_) => None,
    }
}

/// The tools of a role as the `tools` array of a request: the same bytes every time, so that caches of the prompt hold.
pub fn tool_list(role: Role) -> String {
    let entries: Vec<Entry> = role.tools().into_iter().map(entry).collect();
    serde_json::to_string(&entries).expect("names, texts and schemas are always JSON")
}

#[derive(Serialize)]
struct Entry {
    r#type: &'static str,
    function: Function,
}

#[derive(Serialize)]
struct Function {
    name: &'static str,
    description: &'static str,
    parameters: Value,
}

fn entry(name: ToolName) -> Entry {
    let (description, parameters) = match row(name) {
        Row::Runs(tool) => (tool.description(), tool.schema()),
        Row::Core(described) => (described.description, (described.schema)()),
    };
    let function = Function { name: name.as_str(), description: description.trim(), parameters };
    Entry { r#type: "function", function }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::output;
    use crate::tools::{bash, git_log, glob, grep, read, walk, write};

    /// Name and arguments of each tool, `?` behind those that may be left out.
    fn outline(role: Role) -> String {
        let tools: Value = serde_json::from_str(&tool_list(role)).expect("JSON");
        let line = |tool: &Value| {
            assert_eq!(
                (&tool["type"], &tool["function"]["parameters"]["type"]),
                (&"function".into(), &"object".into())
            );
            let parameters = &tool["function"]["parameters"];
            let required = parameters["required"].as_array().cloned().unwrap_or_default();
            let names = parameters["properties"].as_object().expect("an object").keys();
            let names = names.map(|name| {
                let optional = if required.contains(&name.as_str().into()) { "" } else { "?" };
                format!(" {name}{optional}")
            });
            format!("{}:{}", tool["function"]["name"].as_str().expect("a name"), names.collect::<String>())
        };
        tools.as_array().expect("an array").iter().map(line).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn each_role_is_offered_its_tools_in_order() {
        let look = "Read: file_path offset? limit?\n\
                    Grep: pattern path? glob? type? output_mode? -i? -n? -A? -B? -C? multiline? head_limit?\n\
                    Glob: pattern path?";
        let git = "GitLog: path? limit?\nGitDiff: base? path?";
        let note = "SlackNotify: text";
        let plan = "ProposePlan: title workflow summary steps files acceptance risks?\nAskUser: question options?";
        assert_eq!(outline(Role::Pm), format!("{look}\n{git}\nGHStatus:\n{plan}\n{note}"));
        assert_eq!(outline(Role::Lead), format!("{look}\n{git}\nGHStatus:\n{note}"));
        assert_eq!(outline(Role::Artist), format!("{look}\n{note}"));
        assert_eq!(outline(Role::Researcher), "");
        assert_eq!(
            outline(Role::Coder),
            format!(
                "{look}\nWrite: file_path content\nEdit: file_path old_string new_string replace_all?\n\
                 Bash: command timeout? description?\nTodoWrite: todos\n{git}\nGitCommit: message\nGitPush:\n\
                 GHCreatePR: title body\nGHStatus:\n{note}"
            )
        );
    }

    #[test]
    fn the_list_is_the_same_every_time_and_has_no_noise() {
        let list = tool_list(Role::Coder);
        assert_eq!(list, tool_list(Role::Coder));
        assert!(list.starts_with(r#"[{"type":"function","function":{"name":"Read","description":"Reads a text file"#));
        for noise in ["$schema", "$ref", "\"title\":\"", "\"format\"", "\"null\"", "oneOf", "anyOf"] {
            assert!(!list.contains(noise), "{noise}");
        }
    }

    #[test]
    fn the_name_in_the_table_is_the_tools_own() {
        for name in ToolName::ALL {
            assert_eq!(tool(name).map_or(name, Tool::name), name);
        }
    }

    /// A number in a description is one of these constants; a changed constant without its text fails here.
    #[test]
    fn descriptions_state_the_limits_as_they_are() {
        for (name, wanted) in [
            (
                ToolName::Read,
                vec![
                    format!("{} lines", read::DEFAULT_LINES),
                    format!("{} tokens", output::READ_TOKENS),
                    format!("over {} characters", read::MAX_LINE),
                ],
            ),
            (
                ToolName::Grep,
                vec![
                    format!("{} entries", grep::DEFAULT_ENTRIES),
                    format!("cut to {} characters", grep::MAX_LINE),
                    format!("after {} s", walk::SEARCH_SECONDS),
                ],
            ),
            (ToolName::Glob, vec![format!("{} paths", glob::MAX_PATHS)]),
            (
                ToolName::GitLog,
                vec![format!("{} by default, at most {}", git_log::DEFAULT_COMMITS, git_log::MAX_COMMITS)],
            ),
            (ToolName::GitDiff, vec![format!("{} characters", crate::git::diff::LIMIT)]),
            (ToolName::Write, vec![format!("{} MiB", write::MAX_WRITTEN >> 20)]),
            (
                ToolName::Bash,
                vec![
                    format!("{} by default", bash::DEFAULT_TIMEOUT_MS),
                    format!("at most {}", bash::MAX_TIMEOUT_MS),
                    format!("{} tokens", output::RESULT_TOKENS),
                ],
            ),
        ] {
            let text = entry(name).function.description;
            for limit in wanted {
                assert!(text.contains(&limit), "{name} does not say `{limit}`");
            }
        }
        let schema = |name| entry(name).function.parameters.to_string();
        assert!(schema(ToolName::Bash).contains(&format!(
            "{} by default, at most {}",
            bash::DEFAULT_TIMEOUT_MS,
            bash::MAX_TIMEOUT_MS
        )));
        assert!(schema(ToolName::Grep).contains(&format!("{} by default", grep::DEFAULT_ENTRIES)));
    }

    #[test]
    fn descriptions_are_short_and_end_with_an_example() {
        for entry in ToolName::ALL.into_iter().map(entry) {
            let (name, text) = (entry.function.name, entry.function.description);
            let words = text.split_whitespace().count();
            assert!((60..=150).contains(&words), "{name}: {words} words");
            let example = text.lines().last().expect("a line");
            assert!(example.starts_with("Example"), "{name}: {example}");
            let json = example.split_once("`").and_then(|(_, rest)| rest.strip_suffix('`')).expect("code at the end");
            serde_json::from_str::<Value>(json).unwrap_or_else(|fault| panic!("{name}: {fault}: {json}"));
        }
    }
}
