//! One thing that is wrong with the configuration: where, what, and what to do about it.
//!
//! Problems are collected, never thrown: a person sees all of them at once. They never quote a secret.

use std::fmt;
use std::path::{Path, PathBuf};

/// Something in a configuration file that keeps CodeButler from starting.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// The file it is in.
    pub file: PathBuf,
    /// The path of the key: `slack.botToken`, `repos[0]`; empty when the whole file is meant.
    pub key: String,
    /// What is wrong, as a predicate of file and key: `is missing`.
    pub what: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.key.is_empty() {
            write!(f, "{} {}", self.file.display(), self.what)
        } else {
            write!(f, "{}: {} {}", self.file.display(), self.key, self.what)
        }
    }
}

/// The problems of one file, while it is being read.
#[derive(Debug)]
pub(super) struct Problems<'a> {
    file: &'a Path,
    found: Vec<Problem>,
    unreadable: bool,
}

impl<'a> Problems<'a> {
    pub(super) fn of(file: &'a Path) -> Self {
        Self { file, found: Vec::new(), unreadable: false }
    }

    pub(super) fn add(&mut self, key: impl Into<String>, what: impl Into<String>, fix: impl Into<String>) {
        let (key, what, fix) = (key.into(), what.into(), fix.into());
        self.found.push(Problem { file: self.file.to_owned(), key, what, fix });
    }

    /// The file as a whole cannot be used: nothing more is to be said about any key of it.
    pub(super) fn unreadable(&mut self, what: impl Into<String>, fix: impl Into<String>) {
        self.unreadable = true;
        self.add("", what, fix);
    }

    /// Whether this key, or one that holds it, has a problem already: then one more says nothing new.
    pub(super) fn about(&self, key: &str) -> bool {
        let holds = |holder: &str| {
            let rest = key.strip_prefix(holder).filter(|_| !holder.is_empty());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.unreadable || self.found.iter().any(|problem| holds(&problem.key))
    }

    /// All of them, those of one section together.
    pub(super) fn into_vec(mut self) -> Vec<Problem> {
        self.found.sort_by(|a, b| a.key.cmp(&b.key));
        self.found
    }
}
