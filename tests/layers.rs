//! Tidy tests: which module may use which, what the pure core must not touch, how files open, how long they get.
//!
//! They read the source as text with a small lexer, so that comments and strings never count. Code under
//! `#[cfg(test)]` may use anything.

use std::path::{Path, PathBuf};

/// The pure core; its modules may use each other.
const CORE: &[&str] = &["ids", "thread", "agent", "render"];

/// Who may use which modules beside the core and itself. A module that is not here fails the test: put it in.
const MAY_USE: &[(&str, &str)] = &[
    ("ids", ""),
    ("thread", ""),
    ("agent", ""),
    ("render", ""),
    ("process", ""),
    ("offload", ""),
    ("telemetry", ""),
    ("lock", "process"),
    // Adapters never know each other.
    ("config", ""),
    ("chat", "process"),
    ("llm", "process"),
    ("forge", "process offload"),
    ("git", "process offload"),
    ("sandbox", "process offload"),
    // What tools act on: places where commands run, the thread's branch, its pull request.
    ("tools", "process offload sandbox git forge"),
    // The inbox stores what the chat port takes in; one process at a time drives it.
    ("store", "process chat lock"),
    // A server, not an adapter: it is spoken to over HTTP.
    ("scripted", ""),
    ("runtime", "process offload telemetry config chat llm forge git sandbox tools store"),
    ("daemon", "process offload telemetry lock config chat llm forge git sandbox tools store runtime"),
    ("demo", "process telemetry lock config chat llm forge git sandbox tools store scripted runtime daemon"),
    // It looks into stores that a daemon may be driving; it never drives one.
    ("cli", "telemetry config store runtime daemon demo"),
    ("main", ""),
];

/// What the pure core must not touch: IO, clock, randomness, logging.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio_util",
    "tracing",
    "rand",
    "getrandom",
    "reqwest",
    "rusqlite",
    "git2",
    "axum",
    "cap_std",
    "rustix",
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "std::time::Instant",
    "std::time::SystemTime",
];

const MOST_LINES: usize = 500;

#[test]
fn modules_use_only_what_is_below_them() {
    let mut faults = Vec::new();
    for file in product() {
        let Some(module) = file.module.first() else { continue };
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| name == module) else {
            faults.push(format!("{}: `{module}` is not in the table of tests/layers.rs", file.path.display()));
            continue;
        };
        let core = if ["ids", "process", "offload", "telemetry"].contains(&module.as_str()) { &[] } else { CORE };
        for Used { line, path } in used(&file.text, &file.module) {
            let [first, target, ..] = path.as_slice() else { continue };
            let known = MAY_USE.iter().any(|(name, _)| name == target);
            if first == "crate"
                && known
                && target != module
                && !core.contains(&target.as_str())
                && !allowed.split(' ').any(|allowed| allowed == target)
            {
                faults.push(format!("{}:{line}: `{module}` must not use `{target}`", file.path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn the_pure_core_does_no_io() {
    let mut faults = Vec::new();
    for file in product().filter(|file| file.module.first().is_some_and(|m| CORE.contains(&m.as_str()))) {
        for Used { line, path } in used(&file.text, &file.module) {
            if let Some(what) = impure(&path) {
                faults.push(format!("{}:{line}: the pure core must not use {what}", file.path.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_file_opens_with_why_it_exists() {
    let silent: Vec<_> =
        sources().into_iter().filter(|file| !file.text.starts_with("//! ")).map(|file| file.path).collect();
    assert!(silent.is_empty(), "these open without `//!`: {silent:?}");
}

#[test]
fn no_file_is_too_long() {
    let long: Vec<_> =
        product().map(|file| (file.text.lines().count(), file.path)).filter(|(lines, _)| *lines > MOST_LINES).collect();
    assert!(long.is_empty(), "these have more than {MOST_LINES} lines: {long:?}");
}

#[test]
fn lints_are_expected_with_a_reason_never_allowed() {
    let mut faults = Vec::new();
    for file in sources() {
        let tokens = tokens(&file.text);
        for window in tokens.windows(3) {
            let [hash, bracket, name] = window else { continue };
            let opens = matches!(hash.text.as_str(), "#" | "!") && bracket.text == "[";
            if opens && name.text == "allow" {
                faults.push(format!("{}:{}: use #[expect(.., reason = \"..\")]", file.path.display(), name.line));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn paths_are_found_wherever_they_stand() {
    let found = |text: &str, module: &[&str]| -> Vec<String> {
        let module: Vec<String> = module.iter().map(|part| (*part).to_owned()).collect();
        used(text, &module).into_iter().map(|used| used.path.join("::")).filter(|path| path.contains("::")).collect()
    };
    let cases: &[(&str, &[&str], &[&str])] = &[
        ("use crate::{a::B, c::{self, D as E}};", &["x"], &["crate::a::B", "crate::c", "crate::c::D"]),
        (
            "fn f() -> crate::a::B { super::g::<std::fs::File>() }",
            &["x", "y"],
            &["crate::a::B", "crate::x::g", "std::fs::File"],
        ),
        ("use super::super::z;", &["x", "y"], &["crate::z"]),
        ("use self::inner::I; pub(in crate::x) fn f() {}", &["x"], &["crate::x::inner::I", "crate::x"]),
        (
            "// use crate::a;\n/* crate::b::C */ let s = \"crate::d::E\"; let r = r#\"\"crate::f::G\"\"#; let c = '\"';",
            &["x"],
            &[],
        ),
        ("#[cfg(test)]\nmod tests { use crate::a::B; }\nuse crate::c::D;", &["x"], &["crate::c::D"]),
        ("#[cfg(test)] use crate::a::B; fn g<'a>(x: &'a crate::c::D) {}", &["x"], &["crate::c::D"]),
    ];
    for (text, module, expected) in cases {
        assert_eq!(found(text, module), *expected, "{text}");
    }
    assert_eq!(impure(&["std", "time", "Instant"].map(str::to_owned)), Some("std::time::Instant"));
    assert_eq!(impure(&["std", "time", "Duration"].map(str::to_owned)), None);
    assert_eq!(impure(&["std", "time"].map(str::to_owned)), None);
}

/// A file of `src/`: where it is, which module it is, what it says.
struct Source {
    path: PathBuf,
    module: Vec<String>,
    text: String,
}

/// The files of `src/` that belong to the product; the others are under `#[cfg(test)]`.
fn product() -> impl Iterator<Item = Source> {
    let of_tests = |part: &String| ["tests", "testing", "simulated", "simulation"].contains(&part.as_str());
    sources().into_iter().filter(move |source| !source.module.iter().any(of_tests))
}

/// Every file of `src/`.
fn sources() -> Vec<Source> {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("src/ can be read") {
            let path = entry.expect("src/ can be read").path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&root, &mut paths);
    paths.sort();
    assert!(paths.len() > 20, "src/ has more files than that");
    let source = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("a source file is text");
        let path = path.strip_prefix(&root).expect("it is in src/").to_owned();
        let mut module: Vec<String> =
            path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        Source { path, module, text }
    };
    paths.into_iter().map(source).collect()
}

/// The name in [`IMPURE`] that a path begins with.
fn impure(path: &[String]) -> Option<&'static str> {
    IMPURE.iter().copied().find(|name| {
        let parts: Vec<&str> = name.split("::").collect();
        path.len() >= parts.len() && path.iter().zip(&parts).all(|(part, wanted)| part == wanted)
    })
}

/// A path that a file uses, from the crate's root or from another crate.
struct Used {
    line: usize,
    path: Vec<String>,
}

/// Every path in a file, `use` trees taken apart and `super` and `self` resolved; code under `#[cfg(test)]` left out.
fn used(text: &str, module: &[String]) -> Vec<Used> {
    let tokens = without_tests(tokens(text));
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].text == "use" {
            at = use_tree(&tokens, at + 1, &[], &mut found);
        } else if is_name(&tokens[at].text) {
            let (line, mut path) = (tokens[at].line, vec![tokens[at].text.clone()]);
            while at + 2 < tokens.len() && tokens[at + 1].text == "::" && is_name(&tokens[at + 2].text) {
                at += 2;
                path.push(tokens[at].text.clone());
            }
            found.push(Used { line, path });
            at += 1;
        } else {
            at += 1;
        }
    }
    found.into_iter().map(|used| Used { path: resolved(used.path, module), ..used }).collect()
}

/// Reads one branch of a `use` tree; returns where it ends.
fn use_tree(tokens: &[Token], mut at: usize, before: &[String], found: &mut Vec<Used>) -> usize {
    let mut path = before.to_vec();
    while at < tokens.len() {
        match tokens[at].text.as_str() {
            "::" => {}
            "{" => {
                at += 1;
                while at < tokens.len() && tokens[at].text != "}" {
                    at = use_tree(tokens, at, &path, found);
                    at += usize::from(tokens.get(at).is_some_and(|token| token.text == ","));
                }
                return at + 1;
            }
            "as" => at += 1,
            "self" if !before.is_empty() && path.len() == before.len() => {}
            name if is_name(name) => path.push(name.to_owned()),
            "*" => {}
            _ => break,
        }
        at += 1;
    }
    let line = tokens.get(at.min(tokens.len() - 1)).map_or(0, |token| token.line);
    found.push(Used { line, path });
    at
}

fn resolved(path: Vec<String>, module: &[String]) -> Vec<String> {
    let supers = path.iter().take_while(|part| *part == "super").count();
    let rest = match path.first().map(String::as_str) {
        Some("super") => &path[supers..],
        Some("self") => &path[1..],
        _ => return path,
    };
    let base = &module[..module.len().saturating_sub(supers)];
    std::iter::once("crate".to_owned()).chain(base.iter().cloned()).chain(rest.iter().cloned()).collect()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// A word or a sign of the source, and its line.
struct Token {
    text: String,
    line: usize,
}

/// Leaves out every item that `#[cfg(test)]` stands before.
fn without_tests(tokens: Vec<Token>) -> Vec<Token> {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let mut kept = Vec::with_capacity(tokens.len());
    let mut tokens = tokens.into_iter().peekable();
    let mut seen = 0;
    while let Some(token) = tokens.next() {
        seen = if token.text == MARK[seen] { seen + 1 } else { usize::from(token.text == MARK[0]) };
        kept.push(token);
        if seen == MARK.len() {
            kept.truncate(kept.len() - MARK.len());
            seen = 0;
            let mut depth = 0_i32;
            for token in tokens.by_ref() {
                depth += match token.text.as_str() {
                    "{" | "(" | "[" => 1,
                    "}" | ")" | "]" => -1,
                    _ => 0,
                };
                if depth == 0 && matches!(token.text.as_str(), ";" | "}") {
                    break;
                }
            }
        }
    }
    kept
}

/// The words and signs of a Rust source, without comments, strings and lifetimes.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at) = (Vec::new(), 0);
    let mut line = 1;
    while at < chars.len() {
        let start = at;
        let next = chars.get(at + 1).copied().unwrap_or(' ');
        match chars[at] {
            '/' if next == '/' => at = skip_to(&chars, at, '\n'),
            '/' if next == '*' => {
                while at < chars.len() && !(chars[at] == '*' && chars.get(at + 1) == Some(&'/')) {
                    at += 1;
                }
                at += 2;
            }
            '"' => at = skip_string(&chars, at),
            'r' if next == '"' || next == '#' && raw_hashes(&chars, at + 1).is_some() => {
                at = skip_raw_string(&chars, at + 1);
            }
            '\'' if next == '\\' => at = skip_to(&chars, at + 3, '\'') + 1,
            '\'' if chars.get(at + 2) == Some(&'\'') => at += 3,
            '\'' => at += 1,
            ':' if next == ':' => at += 2,
            c if c.is_alphanumeric() || c == '_' => {
                while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                    at += 1;
                }
            }
            _ => at += 1,
        }
        at = at.min(chars.len());
        let first = chars[start];
        let is_text = matches!(first, '"' | '\'') || first == '/' && matches!(next, '/' | '*') || first.is_whitespace();
        let word: String = chars[start..at].iter().collect();
        if !is_text && !word.ends_with(['"', '#']) || word == "#" {
            tokens.push(Token { text: word.clone(), line });
        }
        line += word.matches('\n').count();
    }
    tokens
}

fn skip_to(chars: &[char], from: usize, end: char) -> usize {
    (from..chars.len()).find(|at| chars[*at] == end).unwrap_or(chars.len())
}

fn skip_string(chars: &[char], from: usize) -> usize {
    let mut at = from + 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// How many `#` stand before the quotation mark of a raw string; `None` when it is none.
fn raw_hashes(chars: &[char], from: usize) -> Option<usize> {
    let hashes = chars[from..].iter().take_while(|c| **c == '#').count();
    (chars.get(from + hashes) == Some(&'"')).then_some(hashes)
}

fn skip_raw_string(chars: &[char], from: usize) -> usize {
    let hashes = raw_hashes(chars, from).unwrap_or_default();
    let mut at = from + hashes + 1;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    at
}
