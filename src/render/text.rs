//! Texts cut into what a chat can show: long code as files, long texts as several messages.

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Markdown for one message.
    Text(String),
    /// Code for a file.
    Code {
        /// The language as the fence names it; may be empty.
        language: String,
        /// The code, with a final newline.
        code: String,
    },
}

/// Code of this many lines or more goes up as a file (`contract.md` 3).
pub const FILE_LINES: usize = 20;

/// A message is at most this many characters: Slack refuses edits of more than 4,000.
pub const MESSAGE_CHARS: usize = 3_500;

/// The beginning of a text: its first line, at most 200 characters.
pub fn first_words(text: &str) -> String {
    first_line(text, 200)
}

/// The first line of a text, at most so many characters, with a mark where it was cut.
pub fn first_line(text: &str, most: usize) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    match line.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// Cuts a text into pieces, in order. An empty text has none.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut prose = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(fence) = Fence::opening(line) else {
            push_line(&mut prose, line);
            continue;
        };
        let code: Vec<&str> = lines.by_ref().take_while(|line| !fence.is_closed_by(line)).collect();
        if code.len() >= FILE_LINES {
            push_prose(&mut pieces, &mut prose);
            pieces.push(Piece::Code { language: fence.language, code: code.join("\n") + "\n" });
        } else {
            push_line(&mut prose, line);
            code.iter().for_each(|line| push_line(&mut prose, line));
            push_line(&mut prose, &fence.mark);
        }
    }
    push_prose(&mut pieces, &mut prose);
    pieces
}

/// The opening of a fenced code block.
struct Fence {
    mark: String,
    language: String,
}

impl Fence {
    fn opening(line: &str) -> Option<Self> {
        let line = line.trim_start();
        let sign = line.chars().next().filter(|sign| matches!(sign, '`' | '~'))?;
        let length = line.chars().take_while(|other| *other == sign).count();
        let language = line[length..].split_whitespace().next().unwrap_or_default();
        if length < 3 || language.contains('`') {
            return None;
        }
        Some(Self { mark: line[..length].to_owned(), language: language.to_owned() })
    }

    fn is_closed_by(&self, line: &str) -> bool {
        let line = line.trim();
        line.starts_with(&self.mark) && line.trim_start_matches(&self.mark[..1]).is_empty()
    }
}

fn push_line(prose: &mut String, line: &str) {
    prose.push_str(line);
    prose.push('\n');
}

/// Moves the prose into pieces of at most [`MESSAGE_CHARS`], cut at a paragraph, else at a line, else anywhere.
fn push_prose(pieces: &mut Vec<Piece>, prose: &mut String) {
    let mut rest = prose.trim();
    while !rest.is_empty() {
        let Some((limit, _)) = rest.char_indices().nth(MESSAGE_CHARS) else {
            pieces.push(Piece::Text(rest.to_owned()));
            break;
        };
        let head = &rest[..limit];
        let cut = head.rfind("\n\n").or_else(|| head.rfind('\n')).filter(|cut| *cut > 0).unwrap_or(limit);
        pieces.push(Piece::Text(rest[..cut].trim_end().to_owned()));
        rest = rest[cut..].trim_start_matches('\n');
    }
    prose.clear();
}

/// The usual file extension of a language; `txt` when it is unknown.
pub fn extension(language: &str) -> &str {
    match language.to_lowercase().as_str() {
        "rust" | "rs" => "rs",
        "python" | "py" => "py",
        "javascript" | "js" => "js",
        "typescript" | "ts" => "ts",
        "tsx" => "tsx",
        "go" => "go",
        "java" => "java",
        "kotlin" | "kt" => "kt",
        "swift" => "swift",
        "ruby" | "rb" => "rb",
        "c" => "c",
        "cpp" | "c++" => "cpp",
        "csharp" | "cs" => "cs",
        "sh" | "bash" | "shell" => "sh",
        "json" => "json",
        "yaml" | "yml" => "yaml",
        "toml" => "toml",
        "html" => "html",
        "css" => "css",
        "sql" => "sql",
        "diff" | "patch" => "diff",
        "markdown" | "md" => "md",
        "xml" => "xml",
        _ => "txt",
    }
}

#[cfg(test)]
mod tests {
    use super::{MESSAGE_CHARS, Piece, pieces};

    fn code(lines: usize) -> String {
        (1..=lines).map(|line| format!("line {line}\n")).collect()
    }

    #[test]
    fn short_code_stays_inline_and_long_code_becomes_a_file() {
        let short = format!("Look:\n```rust\n{}```\nthat is all", code(19));
        assert_eq!(pieces(&short), [Piece::Text(short)]);
        let long = format!("Look:\n~~~rust\n{}~~~\nthat is all", code(20));
        let expected = [
            Piece::Text("Look:".into()),
            Piece::Code { language: "rust".into(), code: code(20) },
            Piece::Text("that is all".into()),
        ];
        assert_eq!(pieces(&long), expected);
    }

    #[test]
    fn an_unclosed_fence_and_an_empty_text_are_no_trouble() {
        assert_eq!(pieces("  \n"), []);
        assert_eq!(pieces("```\nx"), [Piece::Text("```\nx\n```".into())]);
        assert_eq!(pieces("```inline``` code"), [Piece::Text("```inline``` code".into())]);
    }

    proptest::proptest! {
        #[test]
        fn no_piece_is_too_long_and_no_word_is_lost(text in "([a-zé]{1,9}[ \n]{1,2}){0,1500}") {
            let pieces = pieces(&text);
            let mut words = Vec::new();
            for piece in &pieces {
                let Piece::Text(text) = piece else { panic!("no code here") };
                assert!(text.chars().count() <= MESSAGE_CHARS);
                words.extend(text.split_whitespace().map(str::to_owned));
            }
            // A text without a line break in reach is cut inside a word: compare the letters.
            assert_eq!(words.concat(), text.split_whitespace().collect::<String>());
        }
    }
}
