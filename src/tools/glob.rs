//! `Glob`: finds files by name, the newest first.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use ignore::overrides::{Override, OverrideBuilder};
use schemars::JsonSchema;
use serde::Deserialize;

use super::walk::{self, SEARCH_SECONDS, Stop};
use super::workspace::{Kind, PlacePath};
use super::{Place, Tool, ToolContext, ToolError, ToolOutput, arguments, blocking};
use crate::agent::ToolName;

/// Paths shown at most.
pub const MAX_PATHS: usize = 200;

/// The tool.
pub struct Glob;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Arguments {
    pattern: String,
    /// Folder to look in; by default the workspace.
    path: Option<String>,
}

#[async_trait]
impl Tool for Glob {
    fn name(&self) -> ToolName {
        ToolName::Glob
    }

    fn description(&self) -> &'static str {
        include_str!("glob.md")
    }

    fn schema(&self) -> serde_json::Value {
        arguments::schema_of::<Arguments>()
    }

    async fn run(&self, context: &ToolContext, arguments: &str) -> Result<ToolOutput, ToolError> {
        let arguments: Arguments = arguments::parse(self.name(), arguments)?;
        let (place, stop) = (context.place.clone(), Stop::new(context.cancel.clone()));
        blocking(move || glob(&place, &arguments, &stop)).await
    }
}

fn glob(place: &Place, arguments: &Arguments, stop: &Stop) -> Result<ToolOutput, ToolError> {
    let folder = arguments.path.as_deref().filter(|path| !path.trim().is_empty()).unwrap_or(".");
    let base = place.path(folder)?;
    let explain = |error| walk::explain(place, &base, error);
    if place.kind(&base).map_err(explain)? != Kind::Folder {
        return Err(ToolError::ForModel(format!("`{base}` is not a folder. Give a folder as `path`, or use Read.")));
    }
    let base = place.resolve(&base).map_err(explain)?;
    let pattern = pattern(place, &base, &arguments.pattern)?;
    let globs = compile(place, &base, &pattern)?;
    let found = Mutex::new(Vec::new());
    let ended = walk::each_file(place, &walk::walk(place, &base), stop, || {
        |path, entry| {
            if path.is_in(&base) && globs.matched(entry.path(), false).is_whitelist() {
                let changed = entry.metadata().ok().and_then(|meta| meta.modified().ok());
                let newest_first = std::cmp::Reverse(changed.unwrap_or(SystemTime::UNIX_EPOCH));
                found.lock().unwrap_or_else(PoisonError::into_inner).push((newest_first, path));
            }
            true
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort();
    Ok(ToolOutput::text(text(&pattern, &base, &found, ended)))
}

fn text<T>(pattern: &str, base: &PlacePath, found: &[(T, PlacePath)], ended: bool) -> String {
    let mut text = found.iter().take(MAX_PATHS).map(|(_, path)| path.to_string()).collect::<Vec<_>>().join("\n");
    if found.is_empty() {
        let place = if base.is_root() { String::new() } else { format!(" in `{base}`") };
        text = format!("No file fits `{pattern}`{place}. What `.gitignore` names is left out.");
    }
    if found.len() > MAX_PATHS {
        let more = found.len() - MAX_PATHS;
        text.push_str(&format!("\n[{more} more files, older than these. Narrow the pattern or `path`.]"));
    }
    if !ended {
        text.push_str(&format!("\n[Stopped after {SEARCH_SECONDS} s, so files are missing. Narrow `path`.]"));
    }
    text
}

/// The pattern relative to the folder: models also write it absolute, with `./`, or as a folder's name.
fn pattern(place: &Place, base: &PlacePath, pattern: &str) -> Result<String, ToolError> {
    let relative = if pattern.starts_with('/') {
        let root = place.ambient(base);
        let inside = std::path::Path::new(pattern).strip_prefix(&root).ok().and_then(std::path::Path::to_str);
        inside.ok_or_else(|| {
            ToolError::ForModel(format!("`{pattern}` is outside of `{}`. Give a relative pattern.", root.display()))
        })?
    } else {
        pattern.strip_prefix("./").unwrap_or(pattern)
    };
    if relative.split('/').any(|part| part == "..") {
        return Err(ToolError::for_model("`..` cannot stand in a pattern. Give the folder as `path`."));
    }
    let relative = relative.trim_end_matches('/');
    if relative.is_empty() || relative == "." {
        return Ok("**".to_owned());
    }
    let as_folder = PlacePath::parse_relative(&format!("{base}/{relative}")).ok();
    let is_folder = as_folder.is_some_and(|path| matches!(place.kind(&path), Ok(Kind::Folder)));
    Ok(if is_folder { format!("{relative}/**") } else { relative.to_owned() })
}

/// The pattern as ripgrep reads `--glob`: without a slash it fits names in any folder, with one it begins at `path`.
fn compile(place: &Place, base: &PlacePath, pattern: &str) -> Result<Override, ToolError> {
    let wrong = |error| {
        ToolError::ForModel(format!("`pattern` cannot be used: {error}. Examples: `**/*.rs`, `src/**/*.{{ts,tsx}}`."))
    };
    let mut builder = OverrideBuilder::new(place.ambient(base));
    // A leading `!` would turn the meaning round.
    let literal = if pattern.starts_with('!') { format!("\\{pattern}") } else { pattern.to_owned() };
    builder.add(&literal).map_err(wrong)?;
    builder.build().map_err(wrong)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::tools::testing::Ground;

    async fn find(ground: &Ground, arguments: Value) -> String {
        ground.text(&Glob, &arguments.to_string()).await
    }

    /// Files, each changed one second before the one before it.
    fn ground(files: &[&str]) -> Ground {
        let ground = Ground::new(&[]);
        let now = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        for (age, path) in files.iter().enumerate() {
            ground.file(path, b"");
            let file = std::fs::File::options().write(true).open(ground.root().join(path)).expect("opens");
            file.set_modified(now - std::time::Duration::from_secs(age as u64)).expect("a time");
        }
        ground
    }

    #[tokio::test]
    async fn patterns_find_files_the_newest_first() {
        let ground = ground(&[
            "src/z.rs",
            "src/a/b.rs",
            "main.rs",
            "README.md",
            "src/a/c.ts",
            "docs/.hidden.md",
            ".git/config",
            "x.log",
            "target/y.rs",
            ".gitignore",
            "!odd",
            "[id].tsx",
        ]);
        ground.file(".gitignore", b"*.log\n/target\n");
        std::os::unix::fs::symlink("README.md", ground.root().join("LINK.md")).expect("a link");
        std::os::unix::fs::symlink("src", ground.root().join("linked")).expect("a link");
        let absolute = format!("{}/src/**/*.ts", ground.root().display());
        for (arguments, wanted) in [
            (json!({"pattern": "**/*.rs"}), "src/z.rs\nsrc/a/b.rs\nmain.rs"),
            (json!({"pattern": "*.rs"}), "src/z.rs\nsrc/a/b.rs\nmain.rs"),
            (json!({"pattern": "src/*.rs"}), "src/z.rs"),
            (json!({"pattern": "src/**/*.{rs,ts}"}), "src/z.rs\nsrc/a/b.rs\nsrc/a/c.ts"),
            (json!({"pattern": "./src/**/*.ts"}), "src/a/c.ts"),
            (json!({"pattern": absolute}), "src/a/c.ts"),
            (json!({"pattern": "*.rs", "path": "src/a"}), "src/a/b.rs"),
            (json!({"pattern": "a/*", "path": "src"}), "src/a/b.rs\nsrc/a/c.ts"),
            (json!({"pattern": "a/*", "path": "linked"}), "src/a/b.rs\nsrc/a/c.ts"),
            (json!({"pattern": "**", "path": "src"}), "src/z.rs\nsrc/a/b.rs\nsrc/a/c.ts"),
            (json!({"pattern": "src"}), "src/z.rs\nsrc/a/b.rs\nsrc/a/c.ts"),
            (json!({"pattern": "src/"}), "src/z.rs\nsrc/a/b.rs\nsrc/a/c.ts"),
            (json!({"pattern": "{LINK,README,.hidden}.md"}), "LINK.md\nREADME.md\ndocs/.hidden.md"),
            (json!({"pattern": "*", "path": "target"}), "target/y.rs"),
            (json!({"pattern": "!odd"}), "!odd"),
            (json!({"pattern": "\\[id\\].tsx"}), "[id].tsx"),
            (json!({"pattern": "*.log"}), "No file fits `*.log`. What `.gitignore` names is left out."),
            (
                json!({"pattern": "config", "path": "src"}),
                "No file fits `config` in `src`. What `.gitignore` names is left out.",
            ),
            (json!({"pattern": "../*"}), "error: `..` cannot stand in a pattern. Give the folder as `path`."),
            (
                json!({"pattern": "*", "path": "main.rs"}),
                "error: `main.rs` is not a folder. Give a folder as `path`, or use Read.",
            ),
            (json!({"pattern": "*", "path": "scr"}), "error: `scr` does not exist. Look for it with Glob."),
        ] {
            assert_eq!(find(&ground, arguments.clone()).await, wanted, "{arguments}");
        }
        for path in ["..", ".git", "/etc"] {
            let text = find(&ground, json!({"pattern": "**", "path": path})).await;
            assert!(text.starts_with("error: "), "{path}: {text}");
        }
        for pattern in ["/etc/*", "{a", "a["] {
            let text = find(&ground, json!({"pattern": pattern})).await;
            assert!(text.starts_with("error: "), "{pattern}: {text}");
        }
    }

    #[tokio::test]
    async fn many_files_are_cut_and_counted() {
        let names: Vec<String> = (0..MAX_PATHS + 3).map(|index| format!("f{index:03}")).collect();
        let ground = ground(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let text = find(&ground, json!({"pattern": "*"})).await;
        assert!(text.starts_with("f000\nf001\n") && text.contains("\nf199\n[3 more files, older"), "{text}");
    }
}
