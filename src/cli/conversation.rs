//! The demo's conversation on the terminal: roles in colour, wrapped to the width, cards as indented blocks.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::paint::Paint;
use crate::config::process_env;
use crate::demo::Said;

/// Prints a conversation as it comes.
pub(super) struct Conversation {
    paint: Paint,
    width: usize,
    /// What was printed of each message.
    printed: Mutex<HashMap<String, String>>,
}

impl Conversation {
    /// For standard output as it is.
    pub(super) fn new() -> Self {
        let width = process_env("COLUMNS").and_then(|columns| columns.parse().ok()).unwrap_or(100);
        Self { paint: Paint::for_output(), width: usize::clamp(width, 40, 120), printed: Mutex::default() }
    }

    /// The text for a new message or for what is new in a known one; empty when there is nothing to print.
    pub(super) fn text(&self, said: &Said) -> String {
        let mut printed = self.printed.lock().unwrap_or_else(PoisonError::into_inner);
        let is_progress = said.key.starts_with("progress/");
        let content = match &said.file {
            Some(file) => format!("{}\n{}", file.name, file.content),
            None if is_progress => progress_line(&said.markdown),
            None => said.markdown.clone(),
        };
        if content.is_empty() || printed.get(&said.ts) == Some(&content) {
            return String::new();
        }
        let again = printed.insert(said.ts.clone(), content.clone()).is_some();
        if is_progress {
            return format!("{:>11}  {}\n", "", self.paint.dim(&content));
        }
        let content = if again { content.lines().last().unwrap_or_default().to_owned() } else { content };
        let author = self.paint.author(&said.author, &format!("{:>10}", said.author));
        let file = said.file.is_some();
        let mut text = String::from("\n");
        for (number, line) in content.lines().flat_map(|line| wrap(line, self.width - 13, file)).enumerate() {
            let margin = if number == 0 { author.clone() } else { " ".repeat(10) };
            let mark = if said.buttons.is_empty() && !file { " " } else { "│" };
            text.push_str(format!("{margin} {mark} {line}").trim_end());
            text.push('\n');
        }
        if !said.buttons.is_empty() {
            let labels: Vec<String> = said.buttons.iter().map(|button| format!("[{}]", button.label)).collect();
            text.push_str(&format!("{:>10} │ {}\n", "", labels.join(" ")));
        }
        text
    }
}

/// What a progress message says it is doing now: its last line but one; the last holds the figures.
fn progress_line(markdown: &str) -> String {
    let lines: Vec<&str> = markdown.lines().collect();
    match lines.as_slice() {
        [.., doing, _figures] if doing.ends_with('…') => (*doing).to_owned(),
        [.., figures] => figures.trim_matches('_').to_owned(),
        [] => String::new(),
    }
}

/// A line cut at spaces so that no part is wider than `width`; code is never cut.
fn wrap(line: &str, width: usize, code: bool) -> Vec<String> {
    if code || line.chars().count() <= width {
        return vec![line.to_owned()];
    }
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.last().map_or(0, |last| last.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else if let Some(current) = lines.last_mut() {
            if last > 0 {
                current.push(' ');
            }
            current.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{progress_line, wrap};

    #[test]
    fn long_lines_are_cut_at_spaces_and_nothing_is_lost() {
        assert_eq!(wrap("one two three four", 9, false), ["one two", "three", "four"]);
        assert_eq!(wrap("one two three four", 9, true), ["one two three four"]);
        assert_eq!(wrap("incomprehensibilities", 5, false), ["incomprehensibilities"]);
    }

    #[test]
    fn a_progress_message_says_what_it_does_now_and_its_figures_at_the_end() {
        assert_eq!(progress_line("✔ a\nreading `x` …\n_1 file · 2 s_"), "reading `x` …");
        assert_eq!(progress_line("✔ a\n_1 file · 2 s_"), "1 file · 2 s");
    }
}
