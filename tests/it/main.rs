//! Stories through the binary: the real program as a child process, against a Slack and a model server in this process,
//! real git, and where it is installed the real gh. Each module is one kind of story.

mod script;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "not every test plays every person or breaks everything that can break")]
mod support;
mod world;

mod approval;
mod circles;
mod commands;
mod consults;
mod cost;
mod crowd;
mod demo;
mod evidence;
mod exec;
mod failures;
mod fallbacks;
mod faults;
mod github;
mod happy_path;
mod killed;
mod local;
mod locked_store;
mod long;
mod looking;
mod money;
mod outside;
mod parallel;
mod presence;
mod prompts;
mod questions;
mod real_model;
mod repair;
mod slack;
mod spent;
mod steering;
mod stopping;
mod uploads;
