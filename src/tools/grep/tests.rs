//! Grep by cases, and side by side with ripgrep.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use crate::process::Program;
use crate::tools::testing::Ground;

fn sample() -> Ground {
    let ground = Ground::new(&[
        ("src/main.rs", "fn main() {\n    run();\n}\n\nfn run() {\n    // TODO: Fix\n}\n"),
        ("src/lib.rs", "pub fn lib() {}\n"),
        ("src/deep/mod.rs", "mod a;\nfn deep() {}\n"),
        ("web/app.js", "function run() {\r\n  return 1;\r\n}\r\n"),
        (".hidden/conf", "run = true\n"),
        (".git/config", "run = git\n"),
        ("sub/.git/config", "run = git\n"),
        (".gitignore", "/target\n*.log\n"),
        ("target/out.rs", "fn run() {}\n"),
        ("a.log", "run\n"),
        ("sub/.gitignore", "secret.txt\n"),
        ("sub/secret.txt", "run\n"),
        ("sub/open.txt", "run\n"),
    ]);
    ground.file("image.bin", b"run\n\0\x01\x02");
    std::os::unix::fs::symlink("src/main.rs", ground.root().join("link.rs")).expect("a link");
    std::os::unix::fs::symlink("src", ground.root().join("link")).expect("a link");
    ground
}

async fn search(ground: &Ground, arguments: Value) -> String {
    ground.text(&Grep, &arguments.to_string()).await
}

#[tokio::test]
async fn searches_answer_as_written() {
    let ground = sample();
    for (arguments, wanted) in [
        (json!({"pattern": "run"}), "Found 4 files\n.hidden/conf\nsrc/main.rs\nsub/open.txt\nweb/app.js"),
        (json!({"pattern": "fn run", "output_mode": "files_with_matches"}), "Found 1 file\nsrc/main.rs"),
        (json!({"pattern": "todo"}), "No matches for `todo` (9 files searched)."),
        (json!({"pattern": "todo", "-i": true}), "Found 1 file\nsrc/main.rs"),
        (
            json!({"pattern": "run\\(", "output_mode": "content"}),
            "src/main.rs:2:    run();\nsrc/main.rs:5:fn run() {\nweb/app.js:1:function run() {",
        ),
        (json!({"pattern": "fn lib", "output_mode": "content", "-n": false}), "src/lib.rs:pub fn lib() {}"),
        (
            json!({"pattern": "^fn", "path": "src/main.rs", "output_mode": "content", "-A": 1}),
            "src/main.rs:1:fn main() {\nsrc/main.rs-2-    run();\n--\nsrc/main.rs:5:fn run() {\nsrc/main.rs-6-    // TODO: Fix",
        ),
        (
            json!({"pattern": "mod a", "output_mode": "content", "-C": "3", "-B": 0}),
            "src/deep/mod.rs:1:mod a;\nsrc/deep/mod.rs-2-fn deep() {}",
        ),
        (json!({"pattern": "run", "output_mode": "count", "path": "src"}), "src/main.rs:2\n2 matching lines in 1 file"),
        (json!({"pattern": "1;$", "output_mode": "content"}), "web/app.js:2:  return 1;"),
        (json!({"pattern": "fn", "type": "rust"}), "Found 3 files\nsrc/deep/mod.rs\nsrc/lib.rs\nsrc/main.rs"),
        (json!({"pattern": "fn", "glob": "*.rs"}), "Found 3 files\nsrc/deep/mod.rs\nsrc/lib.rs\nsrc/main.rs"),
        (json!({"pattern": "fn", "glob": "src/*.rs"}), "Found 2 files\nsrc/lib.rs\nsrc/main.rs"),
        (json!({"pattern": "fn", "glob": "./src/*.rs"}), "Found 2 files\nsrc/lib.rs\nsrc/main.rs"),
        (json!({"pattern": "run", "glob": "!*.rs"}), "Found 3 files\n.hidden/conf\nsub/open.txt\nweb/app.js"),
        (
            json!({"pattern": "fn", "glob": "*.{js,rs}", "path": "web"}),
            "No matches for `fn` in `web` (1 file searched).",
        ),
        (json!({"pattern": "fn", "glob": "*.py"}), "No matches: no file fits. Check `path`, `glob` and `type`."),
        (json!({"pattern": "fn", "path": "link"}), "Found 3 files\nsrc/deep/mod.rs\nsrc/lib.rs\nsrc/main.rs"),
        (json!({"pattern": "fn", "path": "target"}), "Found 1 file\ntarget/out.rs"),
        (json!({"pattern": "run", "path": "sub"}), "Found 1 file\nsub/open.txt"),
        (json!({"pattern": "run", "path": "a.log"}), "Found 1 file\na.log"),
        (
            json!({"pattern": "run", "path": "", "glob": "", "type": ""}),
            "Found 4 files\n.hidden/conf\nsrc/main.rs\nsub/open.txt\nweb/app.js",
        ),
        (
            json!({"pattern": "run\\(\\);\n}", "multiline": true, "output_mode": "content"}),
            "src/main.rs:2:    run();\nsrc/main.rs:3:}",
        ),
        (json!({"pattern": "main.*Fix", "multiline": true}), "Found 1 file\nsrc/main.rs"),
        (
            json!({"pattern": "run", "head_limit": 2}),
            "Found 4 files\n.hidden/conf\nsrc/main.rs\n[2 more files. Narrow the search, or raise `head_limit`.]",
        ),
        (json!({"pattern": "fn", "path": "nothing"}), "error: `nothing` does not exist. Look for it with Glob."),
        (
            json!({"pattern": "fn", "type": "rustt"}),
            "error: There is no file type `rustt`. Nearest: `rust`, `rst`, `r`. Or use `glob`, for example \"*.rustt\".",
        ),
    ] {
        assert_eq!(search(&ground, arguments.clone()).await, wanted, "{arguments}");
    }
}

#[tokio::test]
async fn paths_that_leave_and_git_are_refused() {
    let ground = sample();
    for path in ["..", "/etc", ".git", "sub/.git/config", "~"] {
        let text = search(&ground, json!({"pattern": "run", "path": path})).await;
        assert!(text.starts_with("error: "), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_bad_pattern_comes_with_a_hint() {
    let ground = sample();
    for (pattern, hint) in [
        ("fn main(", "put a backslash before it"),
        ("[a", "put a backslash before it"),
        ("(?=x)", "Look-around and backreferences do not exist here"),
        ("(a)\\1", "Look-around and backreferences do not exist here"),
        ("a\\nb", "Set `multiline` to true"),
        ("\\w{1000}{1000}", "Use smaller repetitions"),
    ] {
        let text = search(&ground, json!({"pattern": pattern})).await;
        assert!(text.starts_with("error: `pattern` cannot be used: ") && text.contains(hint), "{pattern}: {text}");
    }
}

#[tokio::test]
async fn long_lines_are_cut_around_the_match() {
    let line = format!("{}needle{}\n", "ü".repeat(2000), "y".repeat(2000));
    let ground = Ground::new(&[("min.js", &line)]);
    let text = search(&ground, json!({"pattern": "needle", "output_mode": "content"})).await;
    assert!(text.starts_with("min.js:1:… ü") && text.contains("üneedley"), "{text}");
    assert!(text.ends_with("y … [line of 4006 characters]") && text.len() < MAX_LINE + 100, "{text}");
}

#[tokio::test]
async fn many_results_are_capped_and_counted() {
    let ground = Ground::new(&[]);
    for index in 0..40 {
        ground.file(&format!("f{index:02}.txt"), "some matching line of text\n".repeat(2000).as_bytes());
    }
    let text = search(&ground, json!({"pattern": "matching", "output_mode": "content"})).await;
    assert_eq!(text.lines().count(), DEFAULT_ENTRIES + 1);
    assert!(text.ends_with("[79750 more lines. Narrow the search, or raise `head_limit`.]"), "{text}");
    let text = search(&ground, json!({"pattern": "matching", "output_mode": "content", "head_limit": 0})).await;
    assert!(text.len() < MAX_CHARS + 200 && text.starts_with("f00.txt:1:some"), "{}", text.len());
    assert!(text.contains(" more lines. Narrow the search"), "{}", &text[text.len() - 200..]);
}

#[test]
fn a_search_without_time_says_that_files_are_missing() {
    let ground = sample();
    let stop = Stop::after(Duration::ZERO, ground.context.cancel.clone());
    let arguments = Arguments { pattern: "run".to_owned(), ..Arguments::default() };
    let text = grep(&ground.context.place, &arguments, &stop).expect("an answer").text;
    assert!(text.ends_with("[Stopped after 20 s, so files are missing. Narrow `path`, `glob` or `type`.]"), "{text}");
}

#[tokio::test]
async fn a_rule_above_the_place_does_not_hold() {
    let ground = Ground::new(&[("a.txt", "run\n")]);
    std::fs::write(ground.root().parent().expect("a parent").join(".gitignore"), "*\n").expect("a file");
    assert_eq!(search(&ground, json!({"pattern": "run"})).await, "Found 1 file\na.txt");
}

/// The same searches by ripgrep on this repository. Says that it is skipped where there is no `rg`.
#[tokio::test]
async fn searches_find_what_ripgrep_finds() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let rg = |arguments: &[&str]| {
        let common = ["--no-config", "--hidden", "--no-ignore-global", "--no-ignore-parent", "--no-require-git"];
        let arguments = common.iter().chain(["-g", "!.git", "--sort", "path"].iter()).chain(arguments);
        Box::pin(Program::new("rg", root).args(arguments.map(|argument| (*argument).to_owned())).run())
    };
    if rg(&["--version"]).await.is_err() {
        assert!(std::env::var_os("CODEBUTLER_TEST_FULL").is_none(), "rg is not installed");
        println!("skipped: rg is not installed");
        return;
    }
    let place = std::sync::Arc::new(Place::open(root, super::super::workspace::Access::Read).expect("opens"));
    for (arguments, flags) in [
        (json!({"pattern": "fn \\w+"}), vec!["-l", "fn \\w+"]),
        (json!({"pattern": "TODO|async", "-i": true}), vec!["-l", "-i", "TODO|async"]),
        (json!({"pattern": "use ", "output_mode": "content"}), vec!["-n", "use "]),
        (json!({"pattern": "use ", "output_mode": "content", "-n": false}), vec!["-N", "use "]),
        (
            json!({"pattern": "^impl", "output_mode": "content", "-C": 2, "path": "src/thread"}),
            vec!["-n", "-C2", "^impl", "src/thread"],
        ),
        (json!({"pattern": "struct", "output_mode": "count", "type": "rust"}), vec!["-c", "-trust", "struct"]),
        (
            json!({"pattern": "struct \\w+ \\{.{0,80}\\}", "multiline": true, "output_mode": "content", "glob": "src/**/*.rs"}),
            vec!["-n", "-U", "--multiline-dotall", "-g", "src/**/*.rs", "struct \\w+ \\{.{0,80}\\}"],
        ),
        (json!({"pattern": "[äöü…]", "output_mode": "content"}), vec!["-n", "[äöü…]"]),
    ] {
        let mut arguments = arguments;
        arguments["head_limit"] = json!(0);
        let given: Arguments = serde_json::from_value(arguments.clone()).expect("arguments");
        let started = Instant::now();
        let stop = Stop::new(tokio_util::sync::CancellationToken::new());
        let ours = grep(&place, &given, &stop).expect("an answer").text;
        let ours_took = started.elapsed();
        let started = Instant::now();
        let theirs = rg(&flags).await.expect("rg runs").stdout.text();
        println!("{arguments}: {ours_took:?}, rg {:?}", started.elapsed());
        // rg puts a separator between files with context, cuts no lines and has no caps; compare up to there.
        let plain = |text: &str| -> Vec<String> {
            let lines = text
                .lines()
                .filter(|line| *line != "--" && !line.starts_with("Found ") && !line.contains(" matching lines in "));
            lines.take_while(|line| !line.starts_with('[')).map(|line| line.chars().take(MAX_LINE).collect()).collect()
        };
        let (ours, theirs) = (plain(&ours), plain(&theirs));
        assert!(!ours.is_empty() && ours.len() <= theirs.len(), "{arguments}");
        assert_eq!(ours, theirs[..ours.len()], "{arguments}");
    }
}
