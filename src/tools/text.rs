//! The form of a text file that an edit must not change: byte order mark and line endings.
//!
//! Models write `\n`. In a file with `\r\n` their text is matched and put in as if they had written what is there.

/// How a text file is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Form {
    /// It begins with a byte order mark.
    pub mark: bool,
    /// Its first line ends with CRLF.
    pub crlf: bool,
}

const MARK: char = '\u{feff}';

impl Form {
    /// The form of a file.
    pub fn of(text: &str) -> Self {
        let crlf = text.find('\n').is_some_and(|end| text[..end].ends_with('\r'));
        Self { mark: text.starts_with(MARK), crlf }
    }

    /// A whole new content in this form.
    pub fn apply(self, content: &str) -> String {
        let mark = if self.mark && !content.starts_with(MARK) { "\u{feff}" } else { "" };
        let body = if self.crlf { content.replace("\r\n", "\n").replace('\n', "\r\n") } else { content.to_owned() };
        format!("{mark}{body}")
    }
}

/// A text with `\r\n` read as `\n`, and where each part of it stands in the original.
#[derive(Debug)]
pub struct Unified {
    /// The text with `\n` only.
    pub text: String,
    /// Byte positions in `text` of those `\n` that are `\r\n` in the original, rising.
    folded: Vec<usize>,
}

impl Unified {
    /// Reads `\r\n` as `\n`.
    pub fn new(original: &str) -> Self {
        let mut text = String::with_capacity(original.len());
        let mut folded = Vec::new();
        let mut rest = original;
        while let Some(at) = rest.find("\r\n") {
            text.push_str(&rest[..at]);
            folded.push(text.len());
            text.push('\n');
            rest = &rest[at + 2..];
        }
        text.push_str(rest);
        Self { text, folded }
    }

    /// The position in the original of a position in the text.
    pub fn original(&self, position: usize) -> usize {
        position + self.folded.partition_point(|folded| *folded < position)
    }

    /// Whether the text put in at this position should have CRLF: as the nearest line end before it, or the first.
    pub fn is_crlf_at(&self, position: usize) -> bool {
        let end = self.text[..position].rfind('\n').or_else(|| self.text.find('\n'));
        end.is_some_and(|end| self.folded.binary_search(&end).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_found_back_in_the_original() {
        let original = "a\r\nb\nc\r\n\r\nd";
        let unified = Unified::new(original);
        assert_eq!(unified.text, "a\nb\nc\n\nd");
        let positions: Vec<usize> = (0..=unified.text.len()).map(|position| unified.original(position)).collect();
        assert_eq!(positions, [0, 1, 3, 4, 5, 6, 8, 10, 11]);
        let crlf: Vec<bool> = (0..unified.text.len()).map(|position| unified.is_crlf_at(position)).collect();
        assert_eq!(crlf, [true, true, true, true, false, false, true, true]);
    }

    #[test]
    fn a_lone_carriage_return_is_text() {
        let unified = Unified::new("a\rb\r\r\nc");
        assert_eq!(unified.text, "a\rb\r\nc");
        assert_eq!(unified.original(5), 6);
    }
}
