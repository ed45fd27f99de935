//! A shell script as its simple commands: words, without redirections, comments and the bodies of here-documents. What
//! is run to make a word, `$(…)`, is a command of its own.
//!
//! Not a shell: nothing is expanded, and what is rare (patterns of a `case` within `$(…)`, here-documents that feed a
//! shell) is read wrongly rather than at length.

/// How deep `$(…)` may lie within each other; deeper is unreadable.
const DEEPEST: u8 = 32;

/// Bytes up to which the end of `((…))` is looked for, so that a script of nothing but parentheses is read soon.
const LONGEST_ARITHMETIC: usize = 200;

/// A word of a command, its quotes taken away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Whether nothing in it was quoted: only then it can be a keyword.
    pub(super) is_bare: bool,
}

impl Word {
    pub(super) fn bare(text: &str) -> Self {
        Self { text: text.to_owned(), is_bare: true }
    }
}

/// The simple commands of a script; `None`: its quotes or parentheses are not closed.
pub(super) fn commands(script: &str) -> Option<Vec<Vec<Word>>> {
    let mut reader = Reader { rest: script, commands: Vec::new(), documents: Vec::new() };
    reader.list(None, DEEPEST)?;
    Some(reader.commands)
}

struct Reader<'a> {
    rest: &'a str,
    commands: Vec<Vec<Word>>,
    /// Here-documents whose bodies begin on the next line.
    documents: Vec<Document>,
}

struct Document {
    end: String,
    /// Whether tabs before its lines do not count.
    indented: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip_blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r']);
    }

    /// Reads commands up to the end of the script, or to and with `end` (`)` or a backtick). `None`: something is open.
    fn list(&mut self, end: Option<char>, depth: u8) -> Option<()> {
        let mut words = Vec::new();
        let mut open = 0_usize;
        loop {
            self.skip_blanks();
            match self.peek() {
                None => {
                    self.close(&mut words);
                    return end.is_none().then_some(());
                }
                Some('#') => self.rest = &self.rest[self.rest.find('\n').unwrap_or(self.rest.len())..],
                Some('<' | '>') => self.redirection(end, depth)?,
                Some('&') if self.rest.starts_with("&>") => {
                    self.next();
                    self.redirection(end, depth)?;
                }
                Some('(') if self.arithmetic() => {}
                Some('\\') if self.take("\\\n") || self.take("\\\r\n") => {}
                // A backtick ends also what is open within it; so there is always progress.
                Some(c) if Some(c) == end && (open == 0 || c == '`') => {
                    self.next();
                    self.close(&mut words);
                    return Some(());
                }
                Some(c) if is_separator(c) => {
                    self.next();
                    self.close(&mut words);
                    match c {
                        '(' => open += 1,
                        ')' => open = open.saturating_sub(1),
                        '\n' => self.skip_documents(),
                        _ => {}
                    }
                }
                Some(_) => {
                    let word = self.word(end, depth)?;
                    let is_descriptor = word.is_bare && word.text.bytes().all(|byte| byte.is_ascii_digit());
                    // The 2 of `2>file`.
                    if !(is_descriptor && self.rest.starts_with(['<', '>'])) {
                        words.push(word);
                    }
                }
            }
        }
    }

    fn close(&mut self, words: &mut Vec<Word>) {
        if !words.is_empty() {
            self.commands.push(std::mem::take(words));
        }
    }

    /// Reads one word, up to something that can be in none.
    fn word(&mut self, end: Option<char>, depth: u8) -> Option<Word> {
        let mut word = Word { text: String::new(), is_bare: true };
        while let Some(c) = self.peek() {
            if is_separator(c) || matches!(c, ' ' | '\t' | '\r' | '<' | '>') || (c == '`' && end == Some('`')) {
                break;
            }
            self.next();
            word.is_bare &= !matches!(c, '\\' | '\'' | '"');
            match c {
                '\\' => word.text.extend(self.next().filter(|c| *c != '\n')),
                '\'' => self.until_quote(&mut word.text)?,
                '"' => self.double_quoted(&mut word.text, depth)?,
                '$' if self.take("'") => self.with_escapes(&mut word.text)?,
                '$' | '`' => self.substitution(c, &mut word.text, depth)?,
                c => word.text.push(c),
            }
        }
        Some(word)
    }

    fn until_quote(&mut self, text: &mut String) -> Option<()> {
        let (quoted, rest) = self.rest.split_once('\'')?;
        text.push_str(quoted);
        self.rest = rest;
        Some(())
    }

    /// `$'…'`, in which a backslash may stand before the quote.
    fn with_escapes(&mut self, text: &mut String) -> Option<()> {
        loop {
            match self.next()? {
                '\'' => return Some(()),
                '\\' => text.push(self.next()?),
                c => text.push(c),
            }
        }
    }

    fn double_quoted(&mut self, text: &mut String, depth: u8) -> Option<()> {
        loop {
            match self.next()? {
                '"' => return Some(()),
                '\\' => match self.next()? {
                    '\n' => {}
                    c @ ('"' | '\\' | '$' | '`') => text.push(c),
                    c => text.extend(['\\', c]),
                },
                c @ ('$' | '`') => self.substitution(c, text, depth)?,
                c => text.push(c),
            }
        }
    }

    /// What stands after a `$` or a backtick: its commands are read, its result is not known.
    fn substitution(&mut self, sign: char, text: &mut String, depth: u8) -> Option<()> {
        text.push(sign);
        if sign == '$' && self.arithmetic() {
            return Some(());
        }
        let end = match sign {
            '`' => '`',
            _ if self.take("(") => ')',
            _ => return Some(()),
        };
        self.list(Some(end), depth.checked_sub(1)?)
    }

    /// Passes `((…))`, in which `<<` begins no here-document. Parentheses that are not closed together are subshells.
    fn arithmetic(&mut self) -> bool {
        let Some(rest) = self.rest.strip_prefix("((") else { return false };
        let mut open = 0_usize;
        for (at, c) in rest.char_indices().take_while(|(at, _)| *at < LONGEST_ARITHMETIC) {
            match c {
                '(' => open += 1,
                ')' if open > 0 => open -= 1,
                ')' => {
                    let after = rest[at..].strip_prefix("))");
                    self.rest = after.unwrap_or(self.rest);
                    return after.is_some();
                }
                // Whoever breaks lines in it writes commands.
                '\n' => return false,
                _ => {}
            }
        }
        false
    }

    /// Passes `>file`, `2>&1`, `<<<word`, and the beginning of a here-document. `>(…)` is left to be read as commands.
    fn redirection(&mut self, end: Option<char>, depth: u8) -> Option<()> {
        let is_document = !self.rest.starts_with("<<<") && self.take("<<");
        let indented = is_document && self.take("-");
        if !is_document {
            let signs = ["<<<", ">>", ">&", ">|", "<&", "<>", ">", "<"];
            let _ = signs.iter().any(|sign| self.take(sign));
        }
        self.skip_blanks();
        let target = self.word(end, depth)?;
        if is_document {
            self.documents.push(Document { end: target.text, indented });
        }
        Some(())
    }

    /// Passes the bodies of the here-documents that were begun on the line before.
    fn skip_documents(&mut self) {
        for document in std::mem::take(&mut self.documents) {
            while !self.rest.is_empty() {
                let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
                self.rest = rest;
                let line = line.trim_end_matches('\r');
                if document.end == if document.indented { line.trim_start_matches('\t') } else { line } {
                    break;
                }
            }
        }
    }
}

/// What ends a simple command.
fn is_separator(c: char) -> bool {
    matches!(c, '\n' | ';' | '&' | '|' | '(' | ')')
}
