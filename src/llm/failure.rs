//! A model's error in words for the thread: what happened and what to do next. Nothing else decides on words here.

use super::ModelError;
use crate::thread::event::Failure;

/// How much of a server's own words people are shown, in characters.
const QUOTED: usize = 300;

impl ModelError {
    /// The failure as people in the thread read it; `model` is the one that was asked.
    pub fn failure(&self, model: &str) -> Failure {
        let (what, hint) = match self {
            Self::Unreachable { attempts, reason } => (
                format!("The model service did not answer after {}: {}", times(*attempts), quote(reason)),
                "Check the network and the service's status page, then say `!retry`.".to_owned(),
            ),
            Self::BadKey { message } => (
                format!("The model service does not accept the key (401): {}", quote(message)),
                "Put a valid `openrouter.apiKey` into the global `config.json` and restart, then say `!retry`."
                    .to_owned(),
            ),
            Self::NoCredit { message } => (
                format!("The model service refuses calls for lack of credit (402): {}", quote(message)),
                "Add credit, then say `!retry`.".to_owned(),
            ),
            Self::Forbidden { message } => (
                format!("The model service refused the request (403): {}", quote(message)),
                "Look at the key's limits, or say it in other words if it was moderation; then say `!retry`."
                    .to_owned(),
            ),
            Self::RateLimited { message } => (
                format!("The model service allows no more requests for now (429): {}", quote(message)),
                "Wait a while, then say `!retry`, or choose another model with `!pm NAME`.".to_owned(),
            ),
            Self::TooLong { message } => (
                format!("This conversation is longer than `{model}` can read: {}", quote(message)),
                "Open a new thread for the rest, or set a model with a larger context and say `!retry`.".to_owned(),
            ),
            Self::NoSuchModel { message } => (
                format!("The model `{model}` is not available: {}", quote(message)),
                "Set a model that the service offers in `.codebutler/config.json`, or choose another with `!pm NAME`; \
                 then say `!retry`."
                    .to_owned(),
            ),
            Self::Refused { status, message } => (
                format!("The model service refused the request to `{model}` ({status}): {}", quote(message)),
                "The same request would be refused again: choose another model with `!pm NAME`, or correct what it \
                 says; then say `!retry`."
                    .to_owned(),
            ),
        };
        Failure { what, hint }
    }
}

fn times(attempts: u32) -> String {
    if attempts == 1 { "1 attempt".to_owned() } else { format!("{attempts} attempts") }
}

/// A server's words on one line, of bounded length, ended with a dot.
fn quote(words: &str) -> String {
    let mut line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() > QUOTED {
        line = line.chars().take(QUOTED).chain(['…']).collect();
    }
    if line.is_empty() {
        line = "it gave no reason".to_owned();
    }
    if !line.ends_with(['.', '!', '?', '…']) {
        line.push('.');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_names_the_cause_and_the_next_step() {
        let message = || "x".repeat(1000);
        let errors = [
            ModelError::Unreachable { attempts: 6, reason: message() },
            ModelError::BadKey { message: message() },
            ModelError::NoCredit { message: message() },
            ModelError::Forbidden { message: message() },
            ModelError::RateLimited { message: message() },
            ModelError::TooLong { message: message() },
            ModelError::NoSuchModel { message: message() },
            ModelError::Refused { status: 422, message: message() },
        ];
        for error in errors {
            let failure = error.failure("a/b");
            assert!(failure.hint.contains("`!retry`"), "{}", failure.hint);
            assert!(failure.what.ends_with("xx…") && failure.what.len() < 450, "{}", failure.what);
        }
    }

    #[test]
    fn a_failure_reads_as_sentences() {
        let error = ModelError::NoCredit { message: "Insufficient\n credits".to_owned() };
        let expected = Failure {
            what: "The model service refuses calls for lack of credit (402): Insufficient credits.".to_owned(),
            hint: "Add credit, then say `!retry`.".to_owned(),
        };
        assert_eq!(error.failure("a/b"), expected);
        let error = ModelError::Unreachable { attempts: 1, reason: String::new() };
        assert_eq!(error.failure("a/b").what, "The model service did not answer after 1 attempt: it gave no reason.");
    }
}
