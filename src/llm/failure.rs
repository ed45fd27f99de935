//! A model's error in words for the thread: what happened and what to do next. Nothing else decides on words here.

use std::time::Duration;

use super::ModelError;
use crate::agent::Role;
use crate::thread::event::Failure;

/// How much of a server's own words people are shown, in characters.
const QUOTED: usize = 300;

impl ModelError {
    /// The failure as people in the thread read it; `model` is the one that was asked, as this role's.
    pub fn failure(&self, model: &str, role: Role) -> Failure {
        let other = match role {
            Role::Coder => "set another `models.coder.model`",
            Role::Pm | Role::Researcher | Role::Artist | Role::Lead => "choose another model with `!pm NAME`",
        };
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
                "Look at the key's limits and rights, then say `!retry`.".to_owned(),
            ),
            Self::Filtered { message } => (
                format!("A content filter held back the request or the answer of `{model}`: {}", quote(message)),
                format!("Say it in other words, or {other}; then say `!retry`."),
            ),
            Self::RateLimited { message, after } => (
                format!("The model service allows no more requests for now (429): {}", quote(message)),
                match after {
                    Some(after) => format!(
                        "It asks to be left alone for {}: wait, or {other}; then say `!retry`.",
                        lasting(*after)
                    ),
                    None => format!("Wait a while, or {other}; then say `!retry`."),
                },
            ),
            Self::TooLong { message } => (
                format!("This conversation is longer than `{model}` can read: {}", quote(message)),
                "Open a new thread for the rest, or set a model with a larger context and say `!retry`.".to_owned(),
            ),
            Self::Empty { attempts } => (
                format!("The model `{model}` gave an empty answer: {}.", times(*attempts)),
                format!("Say `!retry`, or {other}."),
            ),
            Self::UsedUp { attempts } => (
                format!(
                    "The model `{model}` used up its output limit before it said anything (it may have been thinking): {}.",
                    times(*attempts)
                ),
                format!("Ask for less at once, or {other}; then say `!retry`."),
            ),
            Self::Endless { reason } => {
                (format!("The model `{model}` came to no end: {}", quote(reason)), format!("Say `!retry`, or {other}."))
            }
            Self::NoSuchModel { message } => (
                format!("The model `{model}` is not available: {}", quote(message)),
                format!(
                    "Set a model that the service offers in `.codebutler/config.json`, or {other}; then say `!retry`."
                ),
            ),
            Self::Refused { status, message } => (
                format!("The model service refused the request to `{model}` ({status}): {}", quote(message)),
                format!(
                    "The same request would be refused again: {other}, or correct what it says; then say `!retry`."
                ),
            ),
            Self::Fallbacks { first, model: fallback, last } => {
                let Failure { what, hint } = first.failure(model, role);
                (format!("{what} The fallback `{fallback}` failed too: {}", quote(&last.to_string())), hint)
            }
        };
        Failure { what, hint }
    }
}

/// A length of time in few words.
pub(crate) fn lasting(time: Duration) -> String {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds.div_ceil(60)),
        _ => format!("{} h", seconds.div_ceil(3_600)),
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
            ModelError::RateLimited { message: message(), after: None },
            ModelError::Filtered { message: message() },
            ModelError::Endless { reason: message() },
            ModelError::TooLong { message: message() },
            ModelError::NoSuchModel { message: message() },
            ModelError::Refused { status: 422, message: message() },
            ModelError::Fallbacks {
                first: Box::new(ModelError::Empty { attempts: 3 }),
                model: "c/d".to_owned(),
                last: Box::new(ModelError::NoSuchModel { message: message() }),
            },
        ];
        for error in errors {
            let failure = error.failure("a/b", Role::Pm);
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
        assert_eq!(error.failure("a/b", Role::Pm), expected);
        let error = ModelError::Unreachable { attempts: 1, reason: String::new() };
        let what = error.failure("a/b", Role::Pm).what;
        assert_eq!(what, "The model service did not answer after 1 attempt: it gave no reason.");
        let error = ModelError::Fallbacks {
            first: Box::new(ModelError::Empty { attempts: 3 }),
            model: "c/d".to_owned(),
            last: Box::new(ModelError::NoSuchModel { message: "gone".to_owned() }),
        };
        let expected = Failure {
            what: "The model `a/b` gave an empty answer: 3 attempts. The fallback `c/d` failed too: the model is not \
                   available: gone."
                .to_owned(),
            hint: "Say `!retry`, or set another `models.coder.model`.".to_owned(),
        };
        assert_eq!(error.failure("a/b", Role::Coder), expected);
    }
}
