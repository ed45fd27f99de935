//! `Write`: makes a file, or replaces one that this conversation knows.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use super::known::Knowledge;
use super::read::binary_kind;
use super::text::Form;
use super::workspace::{PlaceError, PlacePath};
use super::{KnownFiles, Place, Tool, ToolContext, ToolError, ToolOutput, arguments, blocking};
use crate::agent::ToolName;

/// The largest content that is written.
pub const MAX_WRITTEN: usize = 5 << 20;

/// The tool.
pub struct Write;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    file_path: String,
    content: String,
}

#[async_trait]
impl Tool for Write {
    fn name(&self) -> ToolName {
        ToolName::Write
    }

    fn description(&self) -> &'static str {
        include_str!("write.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let arguments: Arguments = arguments::parse(self.name(), arguments)?;
        let (place, known) = (context.place.clone(), context.known_files.clone());
        blocking(move || write(&place, &known, &arguments)).await
    }
}

fn write(place: &Place, known: &KnownFiles, arguments: &Arguments) -> Result<ToolOutput, ToolError> {
    let path = place.path(&arguments.file_path)?;
    if arguments.content.len() > MAX_WRITTEN {
        return Err(ToolError::ForModel(format!(
            "The content has {} bytes; Write takes at most {} MiB. Nothing was written. Make large files with a \
             program in Bash.",
            arguments.content.len(),
            MAX_WRITTEN >> 20
        )));
    }
    let old = match place.read(&path) {
        Ok(content) => Some(content),
        Err(PlaceError::Missing { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let mut content = arguments.content.clone().into_bytes();
    let mut kept = "";
    if let Some(old) = &old {
        if let Some(kind) = binary_kind(old) {
            return Err(ToolError::ForModel(format!(
                "`{path}` exists and is not text ({kind}). Nothing was written. If it must be replaced, remove it with \
                 Bash first."
            )));
        }
        must_be_known(known, &path, old)?;
        let form = std::str::from_utf8(old).map(Form::of).unwrap_or_default();
        content = form.apply(&arguments.content).into_bytes();
        if form.crlf && content.len() != arguments.content.len() {
            kept = " Its CRLF line endings were kept.";
        }
    }
    place.write(&path, &content)?;
    known.note(&path, &content);
    let (deed, lines) = (if old.is_some() { "Overwrote" } else { "Created" }, arguments.content.lines().count());
    let lines = format!("{lines} line{}", if lines == 1 { "" } else { "s" });
    Ok(ToolOutput {
        text: format!("{deed} `{path}` ({lines}).{kept}"),
        wrote: vec![path.to_string()],
        ..ToolOutput::default()
    })
}

/// Refuses to change a file that this conversation has not seen as it is now.
pub fn must_be_known(known: &KnownFiles, path: &PlacePath, content: &[u8]) -> Result<(), ToolError> {
    match known.knows(path, content) {
        Knowledge::Current => Ok(()),
        Knowledge::Unknown => Err(ToolError::ForModel(format!(
            "`{path}` exists, and you have not read it in this conversation. Nothing was changed. Read it first."
        ))),
        Knowledge::Changed => Err(ToolError::ForModel(format!(
            "`{path}` has changed since you read or wrote it (by a command, a formatter, or someone else). Nothing \
             was changed. Read it again first."
        ))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::tools::read::Read;
    use crate::tools::testing::Ground;

    async fn write(ground: &Ground, path: &str, content: &str) -> String {
        ground.text(&Write, &json!({"file_path": path, "content": content}).to_string()).await
    }

    async fn read(ground: &Ground, path: &str) {
        ground.run(&Read, &json!({"file_path": path}).to_string()).await.expect("readable");
    }

    #[tokio::test]
    async fn a_new_file_is_made_with_its_folders_and_told() {
        let ground = Ground::new(&[]);
        let arguments = json!({"file_path": "src/a/b.rs", "content": "one\ntwo"}).to_string();
        let output = ground.run(&Write, &arguments).await.expect("written");
        assert_eq!(output.text, "Created `src/a/b.rs` (2 lines).");
        assert_eq!(output.wrote, ["src/a/b.rs"]);
        assert_eq!(ground.content("src/a/b.rs"), "one\ntwo");
        assert_eq!(write(&ground, "src/a/b.rs", "three\n").await, "Overwrote `src/a/b.rs` (1 line).");
        assert_eq!(write(&ground, "empty", "").await, "Created `empty` (0 lines).");
    }

    #[tokio::test]
    async fn an_existing_file_must_be_read_first_and_again_when_it_changed() {
        let ground = Ground::new(&[("a", "old")]);
        let text = write(&ground, "a", "new").await;
        assert!(
            text.ends_with("you have not read it in this conversation. Nothing was changed. Read it first."),
            "{text}"
        );
        read(&ground, "a").await;
        ground.file("a", b"changed");
        let text = write(&ground, "a", "new").await;
        assert!(text.contains("has changed since you read or wrote it"), "{text}");
        assert_eq!(ground.content("a"), "changed");
        read(&ground, "a").await;
        assert_eq!(write(&ground, "a", "new").await, "Overwrote `a` (1 line).");
    }

    #[tokio::test]
    async fn after_a_restart_the_log_says_what_is_known() {
        let mut ground = Ground::new(&[("a", "old"), ("b", "old")]);
        ground.context.known_files = KnownFiles::from_log(&ground.context.place, ["a"]);
        assert_eq!(write(&ground, "a", "new").await, "Overwrote `a` (1 line).");
        assert!(write(&ground, "b", "new").await.starts_with("error: `b` exists"));
    }

    #[tokio::test]
    async fn line_endings_and_mark_of_an_old_file_are_kept() {
        let ground = Ground::new(&[("dos", "\u{feff}a\r\nb\r\n"), ("unix", "a\nb\n")]);
        read(&ground, "dos").await;
        read(&ground, "unix").await;
        assert_eq!(
            write(&ground, "dos", "x\ny\r\n").await,
            "Overwrote `dos` (2 lines). Its CRLF line endings were kept."
        );
        assert_eq!(ground.content("dos"), "\u{feff}x\r\ny\r\n");
        assert_eq!(write(&ground, "unix", "x\r\ny\n").await, "Overwrote `unix` (2 lines).");
        assert_eq!(ground.content("unix"), "x\r\ny\n");
    }

    #[tokio::test]
    async fn what_cannot_be_written_is_refused() {
        let ground = Ground::new(&[("folder/a", ""), ("data", "a\0b")]);
        for (path, content, reason) in [
            ("folder", "x".to_owned(), "is a folder"),
            ("data", "x".to_owned(), "is not text (binary data)"),
            ("../out", "x".to_owned(), "outside of your workspace"),
            (".git/hooks/pre-commit", "x".to_owned(), "git's own data"),
            ("folder/a/b", "x".to_owned(), "goes through a file"),
            ("big", "x".repeat(MAX_WRITTEN + 1), "Write takes at most 5 MiB"),
        ] {
            let text = write(&ground, path, &content).await;
            assert!(text.starts_with("error: ") && text.contains(reason), "{path}: {text}");
        }
        assert!(!ground.root().join("big").exists());
    }
}
