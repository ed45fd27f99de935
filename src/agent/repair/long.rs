//! Long arguments that are refused: they would fill the conversation and help nobody, so the model gets its call back with
//! `{}` and the reason, like one whose arguments are broken. What a tool would take is left alone, whatever its length.

use serde_json::Value;

use super::{fit, misfit, name};
use crate::agent::{Role, ToolCall};

/// Arguments up to this many bytes go back as they came.
const SHORT: usize = 4 << 10;

/// Finds the long calls of a role's reply that its tools, given as their list is sent, would refuse; and leaves of all
/// refused ones no more than the reason.
pub(super) fn drop_refused(role: Role, tools: &str, calls: &mut [ToolCall]) {
    let mut list: Option<Value> = None;
    for call in calls.iter_mut().filter(|call| call.arguments.len() > SHORT) {
        if call.fault.is_none() {
            let list = list.get_or_insert_with(|| serde_json::from_str(tools).unwrap_or_default());
            call.fault = refusal(role, list, call);
        }
        if call.fault.is_some() {
            "{}".clone_into(&mut call.arguments);
        }
    }
}

fn refusal(role: Role, list: &Value, call: &ToolCall) -> Option<String> {
    if name::resolve(role, &call.name).is_none() {
        return Some(name::unknown_tool(role, &call.name));
    }
    let functions = list.as_array()?.iter().filter_map(|entry| entry.get("function"));
    let mut of_name = functions.filter(|function| function.get("name").and_then(Value::as_str) == Some(&call.name));
    let schema = of_name.next()?.get("parameters")?;
    let arguments = serde_json::from_str(&call.arguments).ok()?;
    let reason = fit::fit(schema, fit::without_unknown(schema, arguments, SHORT)).err()?;
    Some(misfit(&call.name, &reason, schema))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::agent::repair::schema_of;
    use crate::ids::CallId;
    use crate::thread::plan::Plan;

    #[test]
    fn long_arguments_are_dropped_when_they_are_refused_and_only_then() {
        let long = "x".repeat(SHORT);
        let plan = schema_of::<Plan>();
        let read = json!({ "type": "object", "required": ["file_path"],
            "properties": { "file_path": { "type": "string" }, "limit": { "type": "integer" } } });
        let tool = |name: &str, parameters: Value| json!({ "type": "function", "function": { "name": name, "parameters": parameters } });
        let tools = json!([tool("Read", read), tool("ProposePlan", plan)]).to_string();
        let a_plan = |more: Value| {
            let mut plan = json!({ "title": long, "workflow": "w", "summary": "s", "steps": ["a"], "files": [], "acceptance": ["b"] });
            plan.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
            plan
        };
        let cases = [
            ("Read", json!({ "file_path": long }), None),
            (
                "Read",
                json!({ "file_path": "a", "limit": long }),
                Some("`limit` must be a whole number from 0, not \"xxx"),
            ),
            ("Read", json!({ "file_path": "a", "limit": "x" }), None),
            ("Read", json!({ "file_path": "a", "more": long }), Some("unknown field `more`")),
            (
                "Read",
                json!({ "limit": 1, "path": "a", "File-Path": { "a": long } }),
                Some("`file_path` must be a text, not an object"),
            ),
            ("Raed", json!({ "file_path": long }), Some("There is no tool `Raed` for you")),
            ("ProposePlan", a_plan(json!({})), None),
            ("ProposePlan", a_plan(json!({ "notes": "short", "steps": [{ "text": "a", "why": "b" }] })), None),
            ("ProposePlan", a_plan(json!({ "steps": [{ "why": "b" }] })), Some("missing field `steps[0].text`")),
        ];
        for (name, arguments, expected) in cases {
            let arguments = arguments.to_string();
            let mut calls =
                [ToolCall { id: CallId::new("1"), name: name.into(), arguments: arguments.clone(), fault: None }];
            drop_refused(Role::Pm, &tools, &mut calls);
            let [call] = calls;
            let fault = call.fault.unwrap_or_default();
            match expected {
                None => assert_eq!((call.arguments, fault.as_str()), (arguments, ""), "{name}"),
                Some(words) => {
                    assert_eq!(call.arguments, "{}", "{name}");
                    assert!(fault.contains(words) && fault.len() < 600, "{fault}");
                }
            }
        }
    }
}
