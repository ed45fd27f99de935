//! The results of earlier calls, which `Read` pages through: what is asked of whoever keeps them.

use async_trait::async_trait;

use super::ToolError;

/// Gives back whole results of one conversation.
#[async_trait]
pub trait Outputs: Send + Sync {
    /// The whole result of the call of this id.
    async fn read(&self, call: &str) -> Result<String, ToolError>;
}

/// What the model reads when a call has no result that it could read.
pub fn missing(call: &str) -> ToolError {
    ToolError::for_model(format!(
        "There is no result `{call}` of an earlier call in this conversation. A shortened result names its own path."
    ))
}

/// Results in memory.
#[cfg(test)]
#[derive(Clone, Default)]
pub struct KeptInMemory(std::sync::Arc<std::sync::Mutex<std::collections::BTreeMap<String, String>>>);

#[cfg(test)]
impl KeptInMemory {
    pub fn keep(&self, call: &str, text: &str) {
        self.0.lock().expect("no test panics within").insert(call.to_owned(), text.to_owned());
    }
}

#[cfg(test)]
#[async_trait]
impl Outputs for KeptInMemory {
    async fn read(&self, call: &str) -> Result<String, ToolError> {
        self.0.lock().expect("no test panics within").get(call).cloned().ok_or_else(|| missing(call))
    }
}
