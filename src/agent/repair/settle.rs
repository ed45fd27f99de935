//! What concerns a whole reply before it is stored: names that mean one tool, calls that stand in the text, the same call
//! twice, too many calls. After it every call has a name that can be kept; what must not run has a fault.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{long, name, shortened, written};
use crate::agent::{Role, ToolCall};

/// Calls of one reply that are run.
const MOST_RUN: usize = 32;
/// Calls of one reply that are kept and answered; a model that makes more is in a loop.
pub const MOST_KEPT: usize = 64;
/// The longest name that is kept.
const LONGEST_NAME: usize = 64;

/// Settles a role's reply: its text and its calls. `tools` is the role's list of tools as it is sent.
pub fn settle(role: Role, tools: &str, text: &mut String, calls: &mut Vec<ToolCall>) {
    if calls.is_empty()
        && let Some((rest, found)) = written::calls(role, text)
    {
        (*text, *calls) = (rest, found);
    }
    let all = calls.len();
    calls.truncate(MOST_KEPT);
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    for (index, call) in calls.iter_mut().enumerate() {
        match name::resolve(role, &call.name) {
            Some(tool) => tool.as_str().clone_into(&mut call.name),
            None => call.name = shortened(&call.name, LONGEST_NAME),
        }
        if call.fault.is_some() {
            continue;
        }
        if index >= MOST_RUN {
            let number = if all > MOST_KEPT { format!("more than {MOST_KEPT}") } else { all.to_string() };
            call.fault = Some(format!(
                "Not run: {number} calls in one reply are too many; the first {MOST_RUN} were taken. Look at their \
                 results, then make the next calls."
            ));
        } else if all > 1 && !seen.insert((call.name.clone(), same_order(&call.arguments))) {
            call.fault = Some(
                "Not run: it is the same as an earlier call of this reply, which has the result. If you want it again, \
                 call it in your next reply."
                    .to_owned(),
            );
        }
    }
    long::drop_refused(role, tools, calls);
}

/// Arguments in one spelling, so that the same ones are seen to be the same.
fn same_order(arguments: &str) -> String {
    fn sorted(value: Value) -> Value {
        match value {
            Value::Object(mut object) => {
                object.sort_keys();
                Value::Object(object.into_iter().map(|(key, value)| (key, sorted(value))).collect())
            }
            Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
            other => other,
        }
    }
    serde_json::from_str(arguments).map_or_else(|_| arguments.to_owned(), |value| sorted(value).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::CallId;

    fn call(name: &str, arguments: &str) -> ToolCall {
        ToolCall { id: CallId::new(""), name: name.to_owned(), arguments: arguments.to_owned(), fault: None }
    }

    /// The names, and for each call whether it runs.
    fn settled(role: Role, mut calls: Vec<ToolCall>) -> Vec<(String, bool)> {
        settle(role, "[]", &mut String::new(), &mut calls);
        calls.into_iter().map(|call| (call.name, call.fault.is_none())).collect()
    }

    #[test]
    fn names_are_made_those_of_the_tools() {
        let long = "n".repeat(10_000);
        let calls = vec![call("bash", "{}"), call("Reed", "{}"), call(&long, "{}"), call("a\0\nb", "{}")];
        let names: Vec<String> = settled(Role::Coder, calls).into_iter().map(|(name, _)| name).collect();
        assert_eq!([&names[0], &names[1], &names[3]], ["Bash", "Reed", "a  b"]);
        assert_eq!(names[2].chars().count(), LONGEST_NAME + 1);
    }

    #[test]
    fn the_same_call_twice_runs_once() {
        let calls = vec![
            call("Bash", r#"{"command":"a","timeout":1}"#),
            call("bash", r#"{"timeout":1,"command":"a"}"#),
            call("Bash", r#"{"command":"b"}"#),
            call("Read", r#"{"command":"b"}"#),
        ];
        let run: Vec<bool> = settled(Role::Coder, calls).into_iter().map(|(_, run)| run).collect();
        assert_eq!(run, [true, false, true, true]);
    }

    #[test]
    fn of_an_endless_list_the_first_are_run_and_few_are_kept() {
        let calls = (0..10_000).map(|number| call("Read", &format!(r#"{{"file_path":"{number}"}}"#))).collect();
        let settled = settled(Role::Pm, calls);
        assert_eq!((settled.len(), settled.iter().filter(|(_, run)| *run).count()), (MOST_KEPT, MOST_RUN));
    }
}
