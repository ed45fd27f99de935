//! `Read`: a file's lines with their numbers.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::arguments::{self, number};
use super::{KnownFiles, Place, Tool, ToolContext, ToolError, ToolOutput, blocking, walk};
use crate::agent::{ToolName, output};

/// Lines shown when the call names no limit.
pub const DEFAULT_LINES: usize = 2000;
/// Characters shown of one line.
pub const MAX_LINE: usize = 2000;

/// The tool.
pub struct Read;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    /// Path of the file: relative to the workspace, or absolute inside it.
    file_path: String,
    /// First line to show, from 1. Only for files too long to show at once.
    #[serde(default, deserialize_with = "number")]
    offset: Option<u64>,
    /// How many lines to show. Only for files too long to show at once.
    #[serde(default, deserialize_with = "number")]
    limit: Option<u64>,
}

#[async_trait]
impl Tool for Read {
    fn name(&self) -> ToolName {
        ToolName::Read
    }

    fn description(&self) -> &'static str {
        include_str!("read.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let arguments: Arguments = arguments::parse(self.name(), arguments)?;
        let most = context.caps.read;
        if let Some(call) = output::call_of(&arguments.file_path) {
            let text = context.outputs.read(call).await?;
            return blocking(move || page(&text, most, &arguments)).await;
        }
        let (place, known) = (context.place.clone(), context.known_files.clone());
        blocking(move || read(&place, &known, most, &arguments)).await
    }
}

/// A part of the kept result of an earlier call.
fn page(text: &str, most: usize, arguments: &Arguments) -> Result<ToolOutput, ToolError> {
    let lines = || output::folded(text);
    Ok(ToolOutput::text(numbered(&arguments.file_path, lines, most, arguments)?))
}

fn read(place: &Place, known: &KnownFiles, most: usize, arguments: &Arguments) -> Result<ToolOutput, ToolError> {
    let path = place.path(&arguments.file_path)?;
    let content = place.read(&path).map_err(|error| walk::explain(place, &path, error))?;
    if let Some(kind) = binary_kind(&content) {
        return Err(ToolError::ForModel(format!(
            "`{path}` is not text: {kind}, {} bytes. Read shows text only; use Bash if you must look into it.",
            content.len()
        )));
    }
    known.note(&path, &content);
    let text = String::from_utf8_lossy(&content);
    let body = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if body.is_empty() {
        return Ok(ToolOutput::text(format!("`{path}` exists and is empty.")));
    }
    let mut shown = numbered(&path.to_string(), || body.lines(), most, arguments)?;
    if matches!(text, std::borrow::Cow::Owned(_)) {
        shown.push_str(
            "\n[This file is not valid UTF-8; bytes that are not are shown as \u{fffd}. Edit cannot change it.]",
        );
    }
    Ok(ToolOutput::text(shown))
}

/// The wanted lines with their numbers, up to `most` bytes, and how to go on when there are more.
fn numbered<'a, L: Iterator<Item = &'a str>>(
    path: &str,
    lines: impl Fn() -> L,
    most: usize,
    arguments: &Arguments,
) -> Result<String, ToolError> {
    let number = |number: Option<u64>| number.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let first = number(arguments.offset).unwrap_or(1).max(1);
    let limit = number(arguments.limit).filter(|limit| *limit > 0).unwrap_or(DEFAULT_LINES);
    let total = lines().count();
    if first > total {
        return Err(ToolError::ForModel(format!(
            "`{path}` has only {total} lines, so there is nothing from line {first} on. Give a smaller `offset`."
        )));
    }
    let mut shown = String::new();
    let mut last = first - 1;
    for line in lines().skip(first - 1).take(limit) {
        let line = numbered_line(last + 1, line);
        // The first line is shown in any case, so that each call gets further.
        if !shown.is_empty() && shown.len() + line.len() > most {
            break;
        }
        if !shown.is_empty() {
            shown.push('\n');
        }
        shown.push_str(&line);
        last += 1;
    }
    if last < total {
        let next = last + 1;
        shown.push_str(&format!("\n[Lines {first} to {last} of {total}. Go on with offset {next}.]"));
    }
    Ok(shown)
}

/// One line as Read shows it: `     7<tab>text`, cut when it is very long.
pub fn numbered_line(number: usize, line: &str) -> String {
    match line.char_indices().nth(MAX_LINE) {
        None => format!("{number:6}\t{line}"),
        Some((end, _)) => {
            let rest = line[end..].chars().count();
            format!("{number:6}\t{}… [{rest} more characters in this line]", &line[..end])
        }
    }
}

/// What a binary content probably is; `None` for text. Text has no NUL in its first 8 KiB, as for git and ripgrep.
pub fn binary_kind(content: &[u8]) -> Option<&'static str> {
    const MAGIC: &[(&[u8], &str)] = &[
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"%PDF-", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive (or a document or package made of one)"),
        (b"\x1f\x8b", "gzip data"),
        (b"\x7fELF", "an ELF program or library"),
        (b"\xcf\xfa\xed\xfe", "a Mach-O program or library"),
        (b"\xca\xfe\xba\xbe", "a Java class or Mach-O file"),
        (b"\0asm", "a WebAssembly module"),
        (b"SQLite format 3\0", "an SQLite database"),
        (b"\xff\xfe", "probably UTF-16 text"),
        (b"\xfe\xff", "probably UTF-16 text"),
    ];
    if !content[..content.len().min(8 << 10)].contains(&0) && !content.starts_with(b"%PDF-") {
        return None;
    }
    let known = MAGIC.iter().find(|(magic, _)| content.starts_with(magic));
    Some(known.map_or("binary data", |(_, kind)| kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::testing::Ground;

    async fn read(ground: &Ground, arguments: &str) -> String {
        ground.text(&Read, arguments).await
    }

    #[tokio::test]
    async fn lines_are_numbered_as_by_cat() {
        let ground = Ground::new(&[("a.rs", "fn a() {\n\tb();\n}\n")]);
        let wanted = "     1\tfn a() {\n     2\t\tb();\n     3\t}";
        assert_eq!(read(&ground, r#"{"file_path":"a.rs"}"#).await, wanted);
        let absolute = format!(r#"{{"file_path":"{}/a.rs"}}"#, ground.root().display());
        assert_eq!(read(&ground, &absolute).await, wanted);
    }

    #[tokio::test]
    async fn a_part_says_how_to_go_on() {
        let ground = Ground::new(&[("a", "1\n2\n3\n4\n5\n")]);
        for (arguments, wanted) in [
            (
                r#"{"file_path":"a","offset":2,"limit":2}"#,
                "     2\t2\n     3\t3\n[Lines 2 to 3 of 5. Go on with offset 4.]",
            ),
            (r#"{"file_path":"a","offset":4}"#, "     4\t4\n     5\t5"),
            (r#"{"file_path":"a","offset":0,"limit":1}"#, "     1\t1\n[Lines 1 to 1 of 5. Go on with offset 2.]"),
            (r#"{"file_path":"a","offset":"5","limit":0}"#, "     5\t5"),
            (
                r#"{"file_path":"a","offset":6}"#,
                "error: `a` has only 5 lines, so there is nothing from line 6 on. Give a smaller `offset`.",
            ),
        ] {
            assert_eq!(read(&ground, arguments).await, wanted, "{arguments}");
        }
    }

    #[tokio::test]
    async fn the_result_of_an_earlier_call_is_paged_through() {
        let ground = Ground::new(&[]);
        ground.keep("call_7", &format!("one\n{}\nlast\nexit code 0", "ü".repeat(2_003)));
        let all = format!("     1\tone\n     2\t{}\n     3\tüüü\n     4\tlast\n     5\texit code 0", "ü".repeat(2_000));
        assert_eq!(read(&ground, r#"{"file_path":"output://call_7"}"#).await, all);
        let part = read(&ground, r#"{"file_path":"output://call_7","offset":4,"limit":1}"#).await;
        assert_eq!(part, "     4\tlast\n[Lines 4 to 4 of 5. Go on with offset 5.]");
        let none = read(&ground, r#"{"file_path":"output://call_8"}"#).await;
        assert!(none.starts_with("error: There is no result `call_8`"), "{none}");
    }

    #[tokio::test]
    async fn line_ends_and_marks_are_not_shown() {
        let ground = Ground::new(&[("dos", "\u{feff}a\r\nb\r\n"), ("open", "a\nb"), ("blank", "\n"), ("empty", "")]);
        assert_eq!(read(&ground, r#"{"file_path":"dos"}"#).await, "     1\ta\n     2\tb");
        assert_eq!(read(&ground, r#"{"file_path":"open"}"#).await, "     1\ta\n     2\tb");
        assert_eq!(read(&ground, r#"{"file_path":"blank"}"#).await, "     1\t");
        assert_eq!(read(&ground, r#"{"file_path":"empty"}"#).await, "`empty` exists and is empty.");
    }

    #[tokio::test]
    async fn long_files_and_lines_are_cut() {
        let many = "x\n".repeat(DEFAULT_LINES + 5);
        let long = format!("{}\nend\n", "ü".repeat(MAX_LINE + 3));
        let wide = format!("{}\n", "y".repeat(1500)).repeat(400);
        let ground = Ground::new(&[("many", &many), ("long", &long), ("wide", &wide)]);
        let text = read(&ground, r#"{"file_path":"many"}"#).await;
        assert!(text.ends_with("  2000\tx\n[Lines 1 to 2000 of 2005. Go on with offset 2001.]"), "{text}");
        let text = read(&ground, r#"{"file_path":"long"}"#).await;
        assert!(text.ends_with("ü… [3 more characters in this line]\n     2\tend"), "{text}");
        let text = read(&ground, r#"{"file_path":"wide"}"#).await;
        let most = ground.context.caps.read;
        assert!(text.len() < most + 100 && text.ends_with("of 400. Go on with offset 50.]"), "{text}");
    }

    #[tokio::test]
    async fn what_is_no_text_is_named_not_shown() {
        let ground = Ground::new(&[]);
        for (content, kind) in [
            (&b"\x89PNG\r\n\x1a\n\0\0"[..], "a PNG image, 10 bytes"),
            (b"ab\0", "binary data, 3 bytes"),
            (b"\xff\xfea\0b\0", "probably UTF-16 text, 6 bytes"),
            (b"%PDF-1.7 ", "a PDF document, 9 bytes"),
        ] {
            ground.file("x", content);
            let text = read(&ground, r#"{"file_path":"x"}"#).await;
            assert!(text.starts_with("error: `x` is not text: ") && text.contains(kind), "{text}");
        }
    }

    #[tokio::test]
    async fn invalid_text_is_shown_and_said() {
        let ground = Ground::new(&[]);
        ground.file("latin", b"caf\xe9\n");
        let text = read(&ground, r#"{"file_path":"latin"}"#).await;
        assert!(text.starts_with("     1\tcaf\u{fffd}\n[This file is not valid UTF-8"), "{text}");
    }

    #[tokio::test]
    async fn a_missing_file_names_the_nearest() {
        let ground = Ground::new(&[
            ("src/tools/read.rs", ""),
            ("src/tools/reed.rs", ""),
            ("docs/read.rs", ""),
            ("zzz", ""),
            ("node_modules/read.rs", ""),
            (".gitignore", "node_modules"),
        ]);
        assert_eq!(
            read(&ground, r#"{"file_path":"src/read.rs"}"#).await,
            "error: `src/read.rs` does not exist. Nearest: `docs/read.rs`, `src/tools/read.rs`, `src/tools/reed.rs`."
        );
        assert_eq!(
            read(&ground, r#"{"file_path":"qqqqqq"}"#).await,
            "error: `qqqqqq` does not exist. Look for it with Glob."
        );
    }

    #[tokio::test]
    async fn a_folder_points_to_glob() {
        let ground = Ground::new(&[("src/a", "")]);
        assert_eq!(
            read(&ground, r#"{"file_path":"src/"}"#).await,
            "error: `src` is a folder, not a file. Use Glob with `path` \"src\" and pattern `**` to see what is in it."
        );
    }
}
