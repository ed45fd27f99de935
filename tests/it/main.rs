//! Stories through the binary: the real program as a child process, against a Slack and a model server in this process,
//! real git, and where it is installed the real gh. Each module is one kind of story.

mod script;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "not every test plays every person or breaks everything that can break")]
mod support;
mod world;

mod approval;
mod commands;
mod crowd;
mod demo;
mod failures;
mod fallbacks;
mod faults;
mod github;
mod happy_path;
mod killed;
mod local;
mod locked_store;
mod looking;
mod money;
mod outside;
mod prompts;
mod questions;
mod repair;
mod slack;
mod stopping;
mod uploads;
