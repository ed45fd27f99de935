//! What a terminal would show in the end of what a program wrote: no escape sequences, no overwritten progress lines.

/// The text as plain lines.
pub fn plain(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    let mut line_start = 0;
    // A carriage return only takes the line back; what stands there goes when something is written over it.
    let mut overwrite = false;
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => overwrite |= skip_escape(&mut chars),
            '\u{9b}' => overwrite |= skip_sequence(&mut chars),
            '\n' => {
                text.push('\n');
                (line_start, overwrite) = (text.len(), false);
            }
            '\r' => overwrite = true,
            '\u{8}' => {
                if text.len() > line_start {
                    text.pop();
                }
            }
            c if c.is_control() && c != '\t' => {}
            c => {
                if overwrite {
                    text.truncate(line_start);
                    overwrite = false;
                }
                text.push(c);
            }
        }
    }
    text
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Skips what follows an escape character; says whether it takes the line back to its beginning.
fn skip_escape(chars: &mut Chars<'_>) -> bool {
    match chars.next() {
        Some('[') => skip_sequence(chars),
        // Titles and links: up to the bell or the string terminator.
        Some(']' | 'P' | '_' | '^' | 'X') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || c == '\u{9c}' || c == '\u{1b}' && chars.next_if_eq(&'\\').is_some() {
                    break;
                }
            }
            false
        }
        // Character sets: one more.
        Some('(' | ')' | '*' | '+' | '#' | '%' | ' ') => {
            chars.next();
            false
        }
        _ => false,
    }
}

/// Skips a control sequence; says whether it takes the line back to its beginning (`1G`).
fn skip_sequence(chars: &mut Chars<'_>) -> bool {
    let mut parameters = String::new();
    while let Some(c) = chars.next_if(|c| ('\u{20}'..='\u{7e}').contains(c)) {
        if c >= '@' {
            return c == 'G' && matches!(parameters.as_str(), "" | "0" | "1");
        }
        parameters.push(c);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_what_one_would_see() {
        for (raw, wanted) in [
            ("plain\n\ttext ü\n", "plain\n\ttext ü\n"),
            ("a\r\nb\r\n", "a\nb\n"),
            ("\u{1b}[1;31mred\u{1b}[0m and \u{1b}[38;5;9mmore\u{1b}[m", "red and more"),
            (" 10%\r 50%\r100%\ndone\n", "100%\ndone\n"),
            ("50%\r", "50%"),
            ("50%\r\u{1b}[2K100%", "100%"),
            ("50%\u{1b}[2K\u{1b}[1G100%", "100%"),
            ("keep\n1\r2\n", "keep\n2\n"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}(Btext\u{1b}=", "text"),
            ("a\u{7}b\u{0}c\u{9b}31md", "abcd"),
            ("b\u{8}bo\u{8}o", "bo"),
            ("\n\u{8}a", "\na"),
            ("end\u{1b}", "end"),
            ("end\u{1b}[", "end"),
            ("end\u{1b}[31", "end"),
            ("\u{1b}[31\nnext", "\nnext"),
        ] {
            assert_eq!(plain(raw), wanted, "{raw:?}");
        }
    }
}
