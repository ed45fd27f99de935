//! CodeButler: an AI dev team in a Slack thread. `ARCHITECTURE.md` is the map.

mod agent;
mod chat;
mod cli;
mod config;
mod daemon;
mod demo;
mod forge;
mod git;
mod ids;
mod llm;
mod lock;
mod offload;
mod process;
mod render;
mod runtime;
mod sandbox;
pub mod scripted;
#[cfg(test)]
mod simulation;
mod store;
mod telemetry;
mod thread;
mod tools;

pub use cli::main;
