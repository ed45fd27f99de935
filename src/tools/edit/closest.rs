//! What stands in a file instead of a text that an edit did not find: the closest lines and how they differ.
//!
//! Most misses are whitespace, quotes or a line remembered wrongly; saying which saves the model from reading the
//! whole file again.

use similar::{ChangeTag, TextDiff};

use crate::tools::read::numbered_line;

/// Lines of a text looked at; a longer one is compared by its beginning.
const MAX_COMPARED: usize = 60;
/// Lines of the file shown.
const MAX_SHOWN: usize = 30;
/// How like a single line must be to be worth showing, of 1.
const LIKE: f64 = 0.5;

/// Says what is there instead of `old`, and what to do. Both with `\n` only.
pub fn explain(text: &str, old: &str) -> String {
    if let Some(plain) = without_numbers(old)
        && text.contains(&plain)
    {
        return "It has Read's line numbers in it: leave out the number and the tab before each line.".to_owned();
    }
    let file: Vec<&str> = text.lines().map(|line| line.trim_start_matches('\u{feff}')).collect();
    let wanted: Vec<&str> = old.trim_matches('\n').lines().take(MAX_COMPARED).collect();
    let Some(start) = place(&file, &wanted) else {
        return "Nothing in the file is like it. Read the file, or look for it with Grep.".to_owned();
    };
    let end = (start + wanted.len()).min(file.len());
    let found = &file[start..end];
    let lines = if end == start + 1 { format!("line {end}") } else { format!("lines {} to {end}", start + 1) };
    let shown: Vec<String> =
        found.iter().take(MAX_SHOWN).enumerate().map(|(index, line)| numbered_line(start + index + 1, line)).collect();
    format!("Closest is {lines}:\n{}\n{}", shown.join("\n"), difference(start, found, &wanted))
}

/// The text without `     7<tab>` before each line, when every line has that.
fn without_numbers(old: &str) -> Option<String> {
    let plain = |line: &str| {
        let (number, rest) = line.split_once('\t')?;
        number.trim_start().parse::<usize>().ok().map(|_| rest.to_owned())
    };
    let lines: Option<Vec<String>> = old.lines().map(plain).collect();
    lines.map(|lines| lines.join("\n")).filter(|text| !text.trim().is_empty())
}

/// The index of the line at which the closest lines begin.
fn place(file: &[&str], wanted: &[&str]) -> Option<usize> {
    let squashed: Vec<String> = file.iter().map(|line| squash(line)).collect();
    let targets: Vec<String> = wanted.iter().map(|line| squash(line)).collect();
    let last = targets.len().checked_sub(1)?;
    // The first and the last line may be cut by the edges of the text.
    let fits = |index: usize, line: &str| {
        let target = &targets[index];
        match (index == 0, index == last) {
            _ if target.is_empty() || line.is_empty() => false,
            (true, true) => line.contains(target.as_str()),
            (true, false) => line.ends_with(target.as_str()),
            (false, true) => line.starts_with(target.as_str()),
            (false, false) => line == target,
        }
    };
    let score = |start: usize| {
        let window = &squashed[start..squashed.len().min(start + targets.len())];
        window.iter().enumerate().filter(|(index, line)| fits(*index, line)).count()
    };
    // The first of the best.
    let best =
        (0..file.len()).map(|start| (score(start), start)).max_by_key(|(score, start)| (*score, usize::MAX - start));
    if let Some((1.., start)) = best {
        return Some(start);
    }
    let (index, anchor) = targets.iter().enumerate().max_by_key(|(_, line)| line.len())?;
    let (likeness, line) = squashed
        .iter()
        .enumerate()
        .map(|(line, text)| (strsim::sorensen_dice(anchor, text), line))
        .max_by(|(one, a), (other, b)| one.total_cmp(other).then(b.cmp(a)))?;
    (likeness >= LIKE).then(|| line.saturating_sub(index))
}

/// What differs: by kind when it is only spacing or quotes, else line by line.
fn difference(start: usize, found: &[&str], wanted: &[&str]) -> String {
    let pairs = found.iter().zip(wanted).enumerate().filter(|(_, (there, given))| there != given);
    let kinds: Option<Vec<String>> = pairs
        .map(|(index, (there, given))| kind(there, given).map(|kind| format!("line {}: {kind}", start + index + 1)))
        .collect();
    match kinds {
        Some(kinds) if found.len() == wanted.len() && !kinds.is_empty() => {
            let more = kinds.len().saturating_sub(3);
            let more = if more > 0 { format!("; {more} more lines the same way or similar") } else { String::new() };
            format!("It differs in {}{more}. Copy the text exactly as it stands there.", kinds[..kinds.len().min(3)].join("; "))
        }
        Some(kinds) if kinds.is_empty() => {
            "It differs only at its ends: blank lines, or the end of the file. Copy the text exactly as it stands there."
                .to_owned()
        }
        _ => format!("The difference (- in old_string, + in the file):\n{}", diff(wanted, found)),
    }
}

/// How two lines differ when it is only spacing or quotes.
fn kind(there: &str, given: &str) -> Option<String> {
    let indent = |line: &str| spaces(&line[..line.len() - line.trim_start().len()]);
    if there.trim() == given.trim() {
        return Some(if indent(there) == indent(given) {
            "spaces at the end of the line".to_owned()
        } else {
            format!("indentation (the file has {}, old_string has {})", indent(there), indent(given))
        });
    }
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    if words(there) == words(given) {
        return Some("spacing inside the line".to_owned());
    }
    (squash(there) == squash(given)).then(|| "quotes, dashes or spacing".to_owned())
}

/// `4 spaces`, `1 tab`, `2 tabs and 1 space`, `none`.
fn spaces(indent: &str) -> String {
    let counted = |wanted: char, name: &str| {
        let count = indent.chars().filter(|c| *c == wanted).count();
        (count > 0).then(|| format!("{count} {name}{}", if count == 1 { "" } else { "s" }))
    };
    let parts: Vec<String> = [counted('\t', "tab"), counted(' ', "space")].into_iter().flatten().collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(" and ") }
}

/// A line without white space and with plain quotes and dashes: what models get wrong most.
fn squash(line: &str) -> String {
    let plain = |c: char| match c {
        '\u{2018}' | '\u{2019}' | '"' | '`' | '\u{201c}' | '\u{201d}' => '\'',
        '\u{2013}' | '\u{2014}' | '\u{2212}' => '-',
        c => c,
    };
    line.chars().filter(|c| !c.is_whitespace()).map(plain).collect()
}

fn diff(wanted: &[&str], found: &[&str]) -> String {
    let diff = TextDiff::from_slices(wanted, found);
    let lines = diff.iter_all_changes().map(|change| {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        format!("{sign}{}", change.value())
    });
    lines.take(2 * MAX_SHOWN).collect::<Vec<_>>().join("\n")
}
