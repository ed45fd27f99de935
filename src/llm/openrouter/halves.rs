//! Half characters: events in which a server cut a text between the two halves of an escaped character (`\\ud83d` alone).
//! No strict parser takes such an event. Pure.

/// The event with each half escaped within its text, so that it can be read; `None` when it has none.
///
/// Two halves of a call's arguments are whole again when their pieces are put together, and a half that stays alone is a
/// fault of the call, which the model is told.
pub(super) fn escaped(event: &str) -> Option<String> {
    let (mut out, mut rest, mut found) = (String::with_capacity(event.len() + 16), event, false);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let length = match (code(escape), escape.get(6..).and_then(code)) {
            (Some(0xD800..0xDC00), Some(0xDC00..0xE000)) => 12,
            (Some(0xD800..0xE000), _) => {
                found = true;
                out.push('\\');
                6
            }
            // The escaped character, too: it may be a backslash.
            _ => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        out.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    out.push_str(rest);
    found.then_some(out)
}

/// A text that was put together from such events: two halves are their character, one alone is the sign for none.
pub(super) fn joined(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("\\u") {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let length = match (code(escape), escape.get(6..).and_then(code)) {
            (Some(high @ 0xD800..0xDC00), Some(low @ 0xDC00..0xE000)) => {
                let code = 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
                12
            }
            (Some(0xD800..0xE000), _) => {
                out.push(char::REPLACEMENT_CHARACTER);
                6
            }
            _ => {
                out.push_str("\\u");
                2
            }
        };
        rest = &escape[length..];
    }
    out.push_str(rest);
    out
}

/// The code of the escape that a text begins with.
fn code(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_found_and_joined() {
        let cases = [
            (r#"{"a":"x"}"#, None),
            (r#"{"a":"\\ud83d \n \ud83d\ude00"}"#, None),
            (r#"{"a":"\ud83d"}"#, Some(r#"{"a":"\\ud83d"}"#)),
            (r#"{"a":"\ude00!"}"#, Some(r#"{"a":"\\ude00!"}"#)),
            (r#"{"a":"\ud83d\ud83d\ude00"}"#, Some(r#"{"a":"\\ud83d\ud83d\ude00"}"#)),
            (r"\", None),
            (r"\ud8", None),
        ];
        for (event, expected) in cases {
            assert_eq!(escaped(event).as_deref(), expected, "{event}");
        }
        assert_eq!(joined(r"a \ud83d\ude00 \ud83d \u0041 \u"), "a 😀 \u{fffd} \\u0041 \\u");
    }
}
