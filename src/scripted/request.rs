//! A request as a script sees it: parsed, with the questions that scripts ask of it.

use serde_json::Value;

/// A request that kept the rules.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedRequest {
    /// Its number among all good requests of the server, from 0.
    pub number: usize,
    /// The model that was asked.
    pub model: String,
    /// Which conversation it goes on with, from 0: one that began with other messages has another number.
    pub conversation: usize,
    /// Whether the conversation was made shorter since its last request: results are stubs now, or its earlier part is one
    /// message.
    pub shortened: bool,
    /// The conversation, the system message first.
    pub messages: Vec<ScriptedMessage>,
    /// The names of the tools on offer.
    pub tools: Vec<String>,
    /// Whether tool calls are forbidden in this turn.
    pub no_tools: bool,
    /// The headers, names in lower case; values that are no text are left out.
    pub headers: Vec<(String, String)>,
    /// The whole request.
    pub body: Value,
}

/// A message of the conversation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScriptedMessage {
    /// `system`, `user`, `assistant` or `tool`.
    pub role: String,
    /// The texts of its parts.
    pub parts: Vec<String>,
    /// An assistant's calls.
    pub calls: Vec<ScriptedCall>,
    /// Of a tool's result: the id of its call.
    pub call_id: Option<String>,
}

/// A tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptedCall {
    /// Its id; empty in a reply: the server makes one.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments as JSON text; in a reply they may be broken on purpose.
    pub arguments: String,
}

impl ScriptedRequest {
    /// How many turns the model has had in this conversation.
    pub fn turn(&self) -> usize {
        self.messages.iter().filter(|message| message.role == "assistant").count()
    }

    /// Everything that was said to the model as role `user`, oldest first.
    pub fn user_text(&self) -> String {
        let texts: Vec<String> =
            self.messages.iter().filter(|message| message.role == "user").map(ScriptedMessage::text).collect();
        texts.join("\n")
    }

    /// The last thing that was said to the model as role `user`.
    pub fn last_user_text(&self) -> String {
        self.messages.iter().rfind(|message| message.role == "user").map(ScriptedMessage::text).unwrap_or_default()
    }

    /// The result of the last call of a tool.
    pub fn last_result(&self, tool: &str) -> Option<String> {
        let ids: Vec<&str> = (self.messages.iter().flat_map(|message| &message.calls))
            .filter(|call| call.name == tool)
            .map(|call| call.id.as_str())
            .collect();
        let result = |message: &&ScriptedMessage| message.call_id.as_deref().is_some_and(|id| ids.contains(&id));
        self.messages.iter().rfind(result).map(ScriptedMessage::text)
    }
}

impl ScriptedMessage {
    /// Its parts as one text.
    pub fn text(&self) -> String {
        self.parts.join("\n")
    }

    /// Reads a message of a request.
    pub(super) fn parse(message: &Value) -> Self {
        let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let list = |key: &str| message.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Self {
            role: text(message, "role"),
            parts: list("content").iter().map(|part| text(part, "text")).collect(),
            calls: (list("tool_calls").iter())
                .map(|call| {
                    let function = call.get("function").unwrap_or(&Value::Null);
                    ScriptedCall {
                        id: text(call, "id"),
                        name: text(function, "name"),
                        arguments: text(function, "arguments"),
                    }
                })
                .collect(),
            call_id: message.get("tool_call_id").and_then(Value::as_str).map(str::to_owned),
        }
    }
}
