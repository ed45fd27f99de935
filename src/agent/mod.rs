//! What a role is and how a model's turn goes on: roles, tool names, transcripts, the next step.
//!
//! Pure: no tokio, files, network, clock or randomness. The driver is `runtime/`.

pub mod build;
pub mod catalogue;
pub mod compaction;
pub mod conversation;
pub mod estimate;
pub mod output;
pub mod repair;
pub mod role;
pub mod step;
pub mod stuck;
pub mod tokens;
pub mod tool_name;
pub mod usage;

pub use build::Platform;
pub use catalogue::Catalogue;
pub use conversation::{Entry, ToolCall};
pub use role::Role;
pub use step::{Step, next_step};
pub use tool_name::ToolName;
pub use usage::{Usage, dollars};
