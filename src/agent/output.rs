//! The one rule for long results of tools: how much of them a model is shown, and how the rest is found again.
//!
//! A long result is shown with its beginning and its end. The whole is kept by the store under the id of its call;
//! `Read` pages through it under `output://ID`. `Read` itself is no such case: it shows whole lines from where it is
//! asked to, and says how to go on.

use super::tokens;

/// What the path of a kept result begins with; the id of its call follows.
pub const SCHEME: &str = "output://";
/// Tokens shown of a result.
pub const RESULT_TOKENS: u64 = 10_000;
/// The same in bytes, for a tool that fits its result to it.
pub const RESULT_BYTES: usize = 30_000;
/// Tokens shown by one `Read`.
pub const READ_TOKENS: u64 = 25_000;
/// Bytes kept of one output: what is longer loses its middle already where it is made. A text of this size is in memory
/// at most twice at a time (as it was captured and cleaned, then as it is and as it is written to the store).
pub const KEPT_BYTES: usize = 8 << 20;
/// Characters of a line in a kept result; longer ones are folded, so that every part of them can be shown.
const FOLD: usize = 2_000;

/// How much is shown, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caps {
    /// Of a result.
    pub result: usize,
    /// By one `Read`.
    pub read: usize,
}

impl Caps {
    /// For a model that reads so many tokens: one result must leave room for others.
    pub fn for_context(context: u64) -> Self {
        Self {
            result: tokens::bytes((context / 8).clamp(500, RESULT_TOKENS)),
            read: tokens::bytes((context / 5).clamp(800, READ_TOKENS)),
        }
    }
}

/// The path under which the result of a call is read again.
pub fn path(call: &str) -> String {
    format!("{SCHEME}{call}")
}

/// The call that a path names; `None` for a path of a file. Slashes lost or added on the way do not matter.
pub fn call_of(path: &str) -> Option<&str> {
    path.trim().strip_prefix("output:").map(|rest| rest.trim_start_matches('/'))
}

/// Beginning and end of a text that is longer than `cap` bytes, with what is left out said between them; `None` when it
/// is not. `kept` is the path of the whole, when there is one.
pub fn cut(text: &str, cap: usize, kept: Option<&str>) -> Option<String> {
    if text.len() <= cap {
        return None;
    }
    let head = head(text, cap / 2);
    let tail = tail(&text[head.len()..], cap / 2);
    let between = &text[head.len()..text.len() - tail.len()];
    let lines = folded(between).count();
    let size = tokens::short(tokens::estimate(between.len()));
    let way = match kept {
        Some(path) => {
            let next = folded(head).count() + usize::from(head.ends_with('\n') || head.is_empty());
            format!("Read `{path}` from offset {next} on shows them", next = next.max(1))
        }
        None => "they were not kept".to_owned(),
    };
    let gap = if head.ends_with('\n') { "" } else { "\n" };
    Some(format!("{head}{gap}… {lines} lines ({size} tokens) left out here; {way} …\n{tail}"))
}

/// The lines of a kept result as they are numbered: very long ones folded.
pub fn folded(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| {
        let mut rest = Some(line);
        std::iter::from_fn(move || {
            let line = rest?;
            let end = line.char_indices().nth(FOLD).map(|(at, _)| at);
            rest = end.map(|end| &line[end..]);
            Some(end.map_or(line, |end| &line[..end]))
        })
    })
}

/// As many whole lines from the beginning as fit; of a long line, as much as fits.
fn head(text: &str, most: usize) -> &str {
    let fits = &text[..boundary(text, most)];
    match fits.rfind('\n') {
        Some(end) if end >= most / 2 => &fits[..=end],
        _ => fits,
    }
}

/// The last position up to `at` where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// As many whole lines of the end as fit; of a long line, as much as fits.
fn tail(text: &str, most: usize) -> &str {
    let from = text.len().saturating_sub(most);
    let fits = &text[(from..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())..];
    match fits.find('\n') {
        Some(end) if end <= most / 2 => &fits[end + 1..],
        _ => fits,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_context_gets_small_results() {
        let caps = |context| {
            let Caps { result, read } = Caps::for_context(context);
            (result, read)
        };
        assert_eq!(caps(8_000), (3_000, 4_800));
        assert_eq!(caps(1_000), (1_500, 2_400));
        assert_eq!(caps(128_000), (30_000, 75_000));
        assert_eq!(caps(1_000_000), (RESULT_BYTES, 75_000));
    }

    #[test]
    fn what_is_left_out_is_counted_and_found_again() {
        let text: String = (1..=100).map(|number| format!("line {number}\n")).collect();
        let shown = cut(&text, 100, Some("output://c1")).expect("it is longer");
        let expected = "line 1\nline 2\nline 3\nline 4\nline 5\nline 6\nline 7\n\
                        … 87 lines (232 tokens) left out here; Read `output://c1` from offset 8 on shows them …\n\
                        line 95\nline 96\nline 97\nline 98\nline 99\nline 100\n";
        assert_eq!(shown, expected);
        assert_eq!(folded(&text).nth(7), Some("line 8"));
        assert_eq!(cut("short", 5, None), None);
        assert!(cut("too long", 5, None).is_some_and(|text| text.contains("they were not kept")));
    }

    #[test]
    fn a_path_names_its_call_whatever_became_of_its_slashes() {
        for path in ["output://c1", "output:/c1", " output:c1", "output:///c1 "] {
            assert_eq!(call_of(path), Some("c1"), "{path}");
        }
        assert_eq!(call_of("src/output://c1"), None);
        assert_eq!(path("c1"), "output://c1");
    }

    proptest! {
        #[test]
        fn the_beginning_and_the_end_are_the_texts_own_and_little_more_than_the_cap_is_shown(
            text in "[aé \n]{0,400}", cap in 0_usize..300
        ) {
            let Some(shown) = cut(&text, cap, Some("output://c")) else {
                prop_assert!(text.len() <= cap);
                return Ok(());
            };
            let (head, rest) = shown.split_once('…').expect("a mark");
            let (_, tail) = rest.rsplit_once("…\n").expect("a mark");
            prop_assert!(text.starts_with(head.trim_end_matches('\n')) && text.ends_with(tail));
            prop_assert!(head.len() + tail.len() <= cap + 1 && shown.len() <= cap + 200);
        }

        #[test]
        fn folding_loses_nothing(text in "[aé\n]{0,300}", times in 1_usize..30) {
            let text = text.repeat(times);
            let lines: Vec<&str> = folded(&text).collect();
            prop_assert!(lines.iter().all(|line| line.chars().count() <= FOLD));
            prop_assert_eq!(lines.concat(), text.replace('\n', ""));
        }
    }
}
