//! Why one attempt failed, what may help (the same model again, another one, nothing), and what it comes to in the end.

use std::time::Duration;

use serde_json::Value;

use crate::llm::ModelError;
use crate::llm::failure::lasting;

/// How much of a server's words is kept, in characters.
const KEPT: usize = 1000;

/// Words by which servers say that a conversation is too long; their codes and statuses differ.
const TOO_LONG: [&str; 8] = [
    "context length",
    "context_length",
    "context window",
    "context size",
    "context_size",
    "maximum context",
    "prompt is too long",
    "input is too long",
];

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// The server said no: by status, in the body of a good status, or in the stream.
    Refused {
        /// The HTTP status, or the code in its place.
        status: u16,
        /// The server's words.
        message: String,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// A broken connection, or a reply that is none.
    Lost {
        /// What happened.
        reason: String,
    },
    /// No connection at all: of a model this says nothing.
    Unreached {
        /// What happened.
        reason: String,
    },
    /// The server was silent for this long.
    Stalled(Duration),
    /// It showed signs of life for this long, and the model wrote nothing.
    Idle(Duration),
    /// The model wrote on and on.
    Endless {
        /// How far it got.
        reason: String,
    },
    /// A complete reply in which the model said and did nothing.
    Empty,
    /// The output limit was reached before the model said anything: it was still thinking.
    UsedUp,
    /// Moderation or a provider's filter held the request or the answer back.
    Filtered {
        /// Its words.
        message: String,
    },
}

/// What may help after a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The same request again, after a while.
    Again,
    /// The same, but another model is sooner of use.
    OtherFirst,
    /// Another model; without one, the same once more.
    Once,
    /// Another model only.
    OtherModel,
    /// Nothing: the same would be refused again, whoever is asked.
    None,
}

/// A server that wants to be left alone for longer than this is asked again only when no other model is left.
const LONG: Duration = Duration::from_secs(5);

impl Fault {
    pub(super) fn lost(reason: impl Into<String>) -> Self {
        Self::Lost { reason: reason.into() }
    }

    /// A refusal by status, with whatever body came with it.
    pub(super) fn from_status(status: u16, body: &[u8], retry_after: Option<Duration>) -> Self {
        let json = serde_json::from_slice::<Value>(body).ok();
        let message = match json.as_ref().map(|json| json.get("error").unwrap_or(json)) {
            Some(error) => words(error),
            None => plain(body),
        };
        if status == 403 && json.as_ref().is_some_and(is_moderation) {
            return Self::Filtered { message };
        }
        let status = if status == 429 && json.as_ref().is_some_and(is_quota) { 402 } else { status };
        Self::Refused { status, message, retry_after }
    }

    /// An error object that came with status 200.
    pub(super) fn from_error(error: &Value) -> Self {
        let message = words(error);
        let unsaid = if says_too_long(&message) { 400 } else { 502 };
        let status = if is_quota(error) { 402 } else { code(error.get("code")).unwrap_or(unsaid) };
        if status == 403 && is_moderation(error) {
            return Self::Filtered { message };
        }
        Self::Refused { status, message, retry_after: None }
    }

    /// What may help: `contract.md` 4.
    pub(super) fn remedy(&self) -> Remedy {
        match self {
            _ if self.is_too_long() || self.is_about_the_account() => Remedy::None,
            Self::Refused { status: 503, message, .. } if names_no_model(message) => Remedy::OtherFirst,
            Self::Refused { status: 408 | 429 | 500..=599, retry_after, .. } => {
                if retry_after.is_some_and(|after| after > LONG) { Remedy::OtherFirst } else { Remedy::Again }
            }
            // Behind one address stand many providers: what one cannot take ("tools are not supported"), another may.
            Self::Refused { status: 400..=499, .. } | Self::Filtered { .. } | Self::Endless { .. } => {
                Remedy::OtherModel
            }
            Self::Refused { .. } => Remedy::None,
            Self::UsedUp => Remedy::Once,
            Self::Stalled(_) | Self::Idle(_) => Remedy::OtherFirst,
            Self::Lost { .. } | Self::Unreached { .. } | Self::Empty => Remedy::Again,
        }
    }

    /// Whether the model is to blame, so that its breaker counts it.
    pub(super) fn counts(&self) -> bool {
        !matches!(self, Self::Unreached { .. }) && matches!(self.remedy(), Remedy::Again | Remedy::OtherFirst)
    }

    /// Whether every other model would be refused for the same reason.
    pub(super) fn is_about_the_account(&self) -> bool {
        matches!(self, Self::Refused { status: 401 | 402, .. })
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A word for the log.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Refused { status: 429, .. } => "rate limited",
            Self::Refused { status: 500..=599, .. } => "server error",
            Self::Refused { .. } => "refused",
            Self::Lost { .. } => "lost",
            Self::Unreached { .. } => "not reached",
            Self::Stalled(_) => "stalled",
            Self::Idle(_) => "idle",
            Self::Endless { .. } => "endless",
            Self::Empty => "empty",
            Self::UsedUp => "used up",
            Self::Filtered { .. } => "filtered",
        }
    }

    /// Replaces a text that must not be shown.
    pub(super) fn replace(&mut self, secret: &str, by: &str) {
        match self {
            Self::Refused { message: text, .. }
            | Self::Filtered { message: text }
            | Self::Lost { reason: text }
            | Self::Unreached { reason: text } => *text = text.replace(secret, by),
            Self::Stalled(_) | Self::Idle(_) | Self::Endless { .. } | Self::Empty | Self::UsedUp => {}
        }
    }

    /// What it comes to after so many attempts.
    pub(super) fn into_error(self, attempts: u32) -> ModelError {
        let too_long = self.is_too_long();
        let unreachable = |reason| ModelError::Unreachable { attempts, reason };
        let (status, message, after) = match self {
            Self::Refused { status, message, retry_after } => (status, message, retry_after),
            Self::Lost { reason } | Self::Unreached { reason } => return ModelError::Unreachable { attempts, reason },
            Self::Empty => return ModelError::Empty { attempts },
            Self::UsedUp => return ModelError::UsedUp { attempts },
            Self::Endless { reason } => return ModelError::Endless { reason },
            Self::Filtered { message } => return ModelError::Filtered { message },
            Self::Stalled(silence) => {
                return unreachable(format!("it said nothing for {} (`timing.stallMs`)", lasting(silence)));
            }
            Self::Idle(life) => {
                return unreachable(format!("it showed signs of life for {} and wrote nothing", lasting(life)));
            }
        };
        match status {
            _ if too_long => ModelError::TooLong { message },
            401 => ModelError::BadKey { message },
            402 => ModelError::NoCredit { message },
            403 => ModelError::Forbidden { message },
            404 => ModelError::NoSuchModel { message },
            400 | 503 if names_no_model(&message) => ModelError::NoSuchModel { message },
            429 => ModelError::RateLimited { message, after },
            408 | 500..=599 => unreachable(format!("{message} ({status})")),
            _ => ModelError::Refused { status, message },
        }
    }

    fn is_too_long(&self) -> bool {
        let Self::Refused { status, message, .. } = self else { return false };
        match status {
            413 => true,
            400 | 422 | 500 => says_too_long(message),
            _ => false,
        }
    }
}

fn says_too_long(message: &str) -> bool {
    let message = message.to_lowercase();
    TOO_LONG.iter().any(|words| message.contains(words))
}

/// How long to wait before the attempt after `attempt`: twice as long each time, jittered, or as the server asks; never
/// so long that nothing of the time `left` remains for the attempt itself.
pub(super) fn pause(base: Duration, attempt: u32, asked: Option<Duration>, left: Duration) -> Duration {
    let full = base.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1)));
    let chance = getrandom::u32().unwrap_or(u32::MAX / 2);
    let jittered = full / 2 + (full / 2).mul_f64(f64::from(chance) / f64::from(u32::MAX));
    jittered.max(asked.unwrap_or_default()).min(left - left / 8)
}

/// The `Retry-After` header: seconds, or a date.
pub(super) fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Duration::try_from(date.duration_since(jiff::Timestamp::now())).ok()
}

fn names_no_model(message: &str) -> bool {
    let message = message.to_lowercase();
    ["not a valid model", "no endpoints", "no available model", "no instances available", "model not found"]
        .iter()
        .any(|words| message.contains(words))
}

/// Whether a "too many requests" is really an account without money, which no waiting cures (OpenAI).
fn is_quota(error: &Value) -> bool {
    let error = error.get("error").unwrap_or(error);
    ["code", "type"].iter().any(|key| error.get(key).and_then(Value::as_str) == Some("insufficient_quota"))
}

/// Whether a refusal was by moderation: OpenRouter says then what was flagged.
fn is_moderation(error: &Value) -> bool {
    let error = error.get("error").unwrap_or(error);
    let flagged = |key: &str| error.pointer(&format!("/metadata/{key}")).is_some_and(|value| !value.is_null());
    flagged("reasons") || flagged("flagged_input")
}

/// An error's code as an HTTP status: a number, a number as text, or one of OpenAI's words.
fn code(code: Option<&Value>) -> Option<u16> {
    let status = match code? {
        Value::String(word) => match word.as_str() {
            "context_length_exceeded" => 400,
            "invalid_api_key" => 401,
            "model_not_found" => 404,
            "rate_limit_exceeded" => 429,
            _ => word.parse().ok()?,
        },
        number => u16::try_from(number.as_u64()?).ok()?,
    };
    (400..600).contains(&status).then_some(status)
}

/// The server's words in an error, with those of the provider behind it.
fn words(error: &Value) -> String {
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Null) | None => None,
        Some(other) => Some(other.to_string()),
    };
    let message = match error {
        Value::String(text) => text.clone(),
        _ => text(error.get("message")).or_else(|| text(error.get("detail"))).unwrap_or_else(|| error.to_string()),
    };
    let metadata = error.get("metadata");
    let raw = text(metadata.and_then(|data| data.get("raw"))).filter(|raw| *raw != message);
    shortened(&raw.map_or(message.clone(), |raw| format!("{message}: {raw}")))
}

/// A body that is not JSON: its text, unless it is a page made for browsers.
fn plain(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.is_empty() {
        "no reason given".to_owned()
    } else if text.starts_with('<') {
        "an HTML page in place of an answer; is the base URL right?".to_owned()
    } else {
        shortened(text)
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(KEPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_become_errors_that_a_person_can_do_something_about() {
        let cases: [(u16, &str, &str); 18] = [
            (400, r#"{"error":{"message":"bad","code":400}}"#, "the model service refused the request (400): bad"),
            (
                400,
                r#"{"error":{"message":"x is not a valid model ID"}}"#,
                "the model is not available: x is not a valid model ID",
            ),
            (
                400,
                r#"{"error":{"message":"This endpoint's maximum context length is 8"}}"#,
                "the conversation is too long for the model: This endpoint's maximum context length is 8",
            ),
            (401, r#"{"error":{"message":"No auth"}}"#, "the model service does not accept the key (401): No auth"),
            (
                402,
                r#"{"error":{"message":"Credits"}}"#,
                "the model service refuses calls for lack of credit (402): Credits",
            ),
            (
                403,
                r#"{"error":{"message":"Flagged","metadata":{"raw":"why"}}}"#,
                "the model service refused the request (403): Flagged: why",
            ),
            (404, r#"{"error":{"message":"No endpoints found"}}"#, "the model is not available: No endpoints found"),
            (404, "<html>", "the model is not available: an HTML page in place of an answer; is the base URL right?"),
            (408, "late", "the model service cannot be reached after 3 attempts: late (408)"),
            (409, r#"{"detail":"twice"}"#, "the model service refused the request (409): twice"),
            (413, "", "the conversation is too long for the model: no reason given"),
            (422, r#"{"error":"odd"}"#, "the model service refused the request (422): odd"),
            (429, r#"{"error":{"message":"slow"}}"#, "the model service is rate limited (429): slow"),
            (
                429,
                r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#,
                "the model service refuses calls for lack of credit (402): pay",
            ),
            (
                500,
                r#"{"error":{"message":"the request exceeds the available context size"}}"#,
                "the conversation is too long for the model: the request exceeds the available context size",
            ),
            (
                502,
                "<html>",
                "the model service cannot be reached after 3 attempts: an HTML page in place of an answer; is the base URL right? (502)",
            ),
            (
                503,
                r#"{"error":{"message":"No available model provider"}}"#,
                "the model is not available: No available model provider",
            ),
            (
                503,
                r#"{"error":{"message":"busy"}}"#,
                "the model service cannot be reached after 3 attempts: busy (503)",
            ),
        ];
        for (status, body, expected) in cases {
            let fault = Fault::from_status(status, body.as_bytes(), None);
            let passes = matches!(status, 408 | 429 | 502 | 503) && !body.contains("insufficient");
            assert_eq!(fault.counts(), passes, "{status} {body}");
            let for_all =
                matches!(status, 401 | 402 | 413) || ["context", "insufficient"].iter().any(|w| body.contains(w));
            let other = !passes && !for_all;
            let remedy = match (passes, other) {
                (true, _) if body.contains("No available") => Remedy::OtherFirst,
                (true, _) => Remedy::Again,
                (false, true) => Remedy::OtherModel,
                (false, false) => Remedy::None,
            };
            assert_eq!(fault.remedy(), remedy, "{status} {body}");
            assert_eq!(fault.into_error(3).to_string(), expected);
        }
    }

    #[test]
    fn an_error_in_the_stream_counts_as_its_code_says() {
        let cases = [
            (r#"{"code":429,"message":"m"}"#, 429),
            (r#"{"code":"502","message":"m"}"#, 502),
            (r#"{"code":"context_length_exceeded","message":"m"}"#, 400),
            (r#"{"code":"server_error","message":"m"}"#, 502),
            (r#"{"code":7,"message":"m"}"#, 502),
            (r#"{"type":"insufficient_quota","message":"m"}"#, 402),
            (r#"{"message":"This model's maximum context length is 8192 tokens"}"#, 400),
            (r#"{"message":"m"}"#, 502),
        ];
        for (error, expected) in cases {
            let fault = Fault::from_error(&serde_json::from_str(error).expect("is JSON"));
            assert!(matches!(fault, Fault::Refused { status, .. } if status == expected), "{error}: {fault:?}");
        }
    }

    #[test]
    fn what_is_not_a_status_has_its_own_remedy() {
        let moderated = br#"{"error":{"code":403,"message":"m","metadata":{"reasons":["violence"]}}}"#;
        let key_limit = br#"{"error":{"code":403,"message":"Key limit exceeded"}}"#;
        let slow = |seconds| Fault::from_status(429, b"{}", Some(Duration::from_secs(seconds)));
        let cases = [
            (Fault::from_status(403, moderated, None), Remedy::OtherModel, false),
            (Fault::from_status(403, key_limit, None), Remedy::OtherModel, false),
            (Fault::from_status(308, b"", None), Remedy::None, false),
            (Fault::Endless { reason: String::new() }, Remedy::OtherModel, false),
            (Fault::UsedUp, Remedy::Once, false),
            (Fault::Idle(Duration::from_secs(60)), Remedy::OtherFirst, true),
            (slow(5), Remedy::Again, true),
            (slow(6), Remedy::OtherFirst, true),
            (Fault::lost("cut"), Remedy::Again, true),
            (Fault::Unreached { reason: "refused".to_owned() }, Remedy::Again, false),
            (Fault::Stalled(Duration::from_secs(60)), Remedy::OtherFirst, true),
            (Fault::Empty, Remedy::Again, true),
        ];
        for (fault, remedy, counts) in cases {
            assert_eq!((fault.remedy(), fault.counts()), (remedy, counts), "{fault:?}");
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_date() {
        let cases = [("7", 7), (" 1.5 ", 1), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("soon", 0), ("-3", 0), ("NaN", 0)];
        for (value, expected) in cases {
            assert_eq!(retry_after(value).unwrap_or_default().as_secs(), expected, "{value}");
        }
        let later = jiff::Timestamp::now() + Duration::from_secs(90);
        let date = jiff::fmt::rfc2822::to_string(&later.to_zoned(jiff::tz::TimeZone::UTC)).expect("has a date");
        assert!((85..=90).contains(&retry_after(&date).unwrap_or_default().as_secs()), "{date}");
    }

    #[test]
    fn pauses_double_with_jitter_and_keep_within_the_time_left() {
        let (base, left) = (Duration::from_millis(100), Duration::from_secs(80));
        for attempt in 1..6 {
            let full = base * 2_u32.pow(attempt - 1);
            let paused = pause(base, attempt, None, left);
            assert!(full / 2 <= paused && paused <= full, "{attempt}: {paused:?}");
        }
        assert_eq!(pause(base, 1, Some(Duration::from_secs(9)), left), Duration::from_secs(9));
        assert_eq!(pause(base, 1, Some(Duration::from_secs(900)), left), Duration::from_secs(70));
        assert_eq!(pause(base, u32::MAX, None, Duration::ZERO), Duration::ZERO);
    }
}
