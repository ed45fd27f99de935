//! The bot's mention at the beginning of a message: `@codebutler`, in any case.

const MENTION: &str = "@codebutler";

/// The text without a leading mention, and whether there was one.
pub fn split(text: &str) -> (&str, bool) {
    let text = text.trim();
    let Some((head, rest)) = text.split_at_checked(MENTION.len()) else { return (text, false) };
    let ends = |c: char| c.is_whitespace() || c == ',' || c == ':';
    if !head.eq_ignore_ascii_case(MENTION) || !rest.chars().next().is_none_or(ends) {
        return (text, false);
    }
    (rest.trim_start_matches(ends), true)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn only_a_whole_mention_at_the_beginning_counts() {
        let cases = [
            ("@codebutler status", ("status", true)),
            ("  @CodeButler: fix it ", ("fix it", true)),
            ("@codebutler", ("", true)),
            ("@codebutlers status", ("@codebutlers status", false)),
            ("ask @codebutler", ("ask @codebutler", false)),
            ("@codebutlé", ("@codebutlé", false)),
            ("", ("", false)),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text), expected, "{text:?}");
        }
    }
}
