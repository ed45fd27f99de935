//! Edit by cases, and by random texts against `replacen`.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::tools::read::Read;
use crate::tools::testing::Ground;

async fn edit_call(ground: &Ground, path: &str, old: &str, new: &str, all: bool) -> String {
    let arguments = json!({"file_path": path, "old_string": old, "new_string": new, "replace_all": all});
    ground.text(&Edit, &arguments.to_string()).await
}

async fn read(ground: &Ground, path: &str) {
    ground.run(&Read, &json!({"file_path": path}).to_string()).await.expect("readable");
}

/// What a replacement gives: the text, or the fault in short.
fn outcome(text: &str, old: &str, new: &str, all: bool) -> String {
    match replace(text, old, new, all) {
        Ok(replaced) => replaced.text,
        Err(Fault::Empty) => "<empty>".to_owned(),
        Err(Fault::Same) => "<same>".to_owned(),
        Err(Fault::Several(lines)) => format!("<several {lines:?}>"),
        Err(Fault::Nowhere(_)) => "<nowhere>".to_owned(),
    }
}

#[test]
fn replacements_by_cases() {
    const ONE: bool = false;
    const ALL: bool = true;
    for (text, old, new, all, wanted) in [
        // Exactly one.
        ("abc", "b", "x", ONE, "axc"),
        ("abc", "abc", "", ONE, ""),
        ("abc", "a", "", ONE, "bc"),
        ("abc", "c", "cc", ONE, "abcc"),
        ("a\nb\nc\n", "b\n", "", ONE, "a\nc\n"),
        ("a\nb\nc\n", "b", "x\ny", ONE, "a\nx\ny\nc\n"),
        ("a\nb\nc", "c", "d", ONE, "a\nb\nd"),
        ("a\nb\nc", "\nb\n", "\n", ONE, "a\nc"),
        ("\ta\n", "\ta", "\tb", ONE, "\tb\n"),
        ("ü→ü2", "ü2", "x", ONE, "ü→x"),
        ("$1 \\1", "$1", "\\0$2", ONE, "\\0$2 \\1"),
        ("a.c abc", "a.c", "x", ONE, "x abc"),
        ("a\u{0}b", "\u{0}", "x", ONE, "axb"),
        // Several.
        ("a a", "a", "b", ONE, "<several [1, 1]>"),
        ("a\nb\na\n", "a", "b", ONE, "<several [1, 3]>"),
        ("a\nb\na\n", "a", "b", ALL, "b\nb\nb\n"),
        ("a", "a", "b", ALL, "b"),
        ("aaa", "aa", "b", ONE, "ba"),
        ("aaaa", "aa", "b", ONE, "<several [1, 1]>"),
        ("aaaa", "aa", "a", ALL, "aa"),
        ("ab ab ab", "ab", "", ALL, "  "),
        // Nothing to do.
        ("abc", "", "x", ONE, "<empty>"),
        ("", "", "x", ONE, "<empty>"),
        ("abc", "b", "b", ONE, "<same>"),
        ("abc", "x", "x", ONE, "<same>"),
        ("abc", "d", "x", ONE, "<nowhere>"),
        ("abc", "B", "x", ONE, "<nowhere>"),
        ("", "a", "x", ONE, "<nowhere>"),
        ("  a\n", "    a", "x", ONE, "<nowhere>"),
        ("\ta\n", "    a", "x", ONE, "<nowhere>"),
        ("a \n", "a\n", "x", ONE, "<nowhere>"),
        // CRLF is kept, whatever the model writes.
        ("a\r\nb\r\n", "a\nb", "x\ny", ONE, "x\r\ny\r\n"),
        ("a\r\nb\r\n", "a\r\nb", "x\r\ny", ONE, "x\r\ny\r\n"),
        ("a\r\nb\r\n", "b", "x\ny\nz", ONE, "a\r\nx\r\ny\r\nz\r\n"),
        ("a\r\nb\r\n", "a\n", "", ONE, "b\r\n"),
        ("a\r\nb\r\nc", "c", "c\n", ONE, "a\r\nb\r\nc\r\n"),
        ("a\r\nb\r\na\r\n", "a\n", "x\n", ALL, "x\r\nb\r\nx\r\n"),
        ("a\r\nb\r\na\r\n", "a\n", "x\n", ONE, "<several [1, 3]>"),
        ("a\r\nb", "a\nb", "a\r\nb", ONE, "<same>"),
        ("a\r\n\r\nb\r\n", "a\n\nb", "a\nb", ONE, "a\r\nb\r\n"),
        // LF stays LF also when the model writes CRLF, unless that is exactly what is there.
        ("a\nb\n", "a\r\nb", "x\r\ny", ONE, "x\ny\n"),
        ("a\nb\n", "a", "x\r\ny", ONE, "x\r\ny\nb\n"),
        // Mixed line ends: only the place of the edit is touched, in its own manner.
        ("a\r\nb\nc\r\n", "b", "x\ny", ONE, "a\r\nx\r\ny\nc\r\n"),
        ("a\nb\nc\r\nd\n", "b\nc", "x\ny", ONE, "a\nx\ny\r\nd\n"),
        ("a\nb\r\nc\n", "b\nc", "x", ONE, "a\nx\n"),
        ("a\rb\r\nc\r\n", "a\rb", "x", ONE, "x\r\nc\r\n"),
        // The byte order mark stays in front.
        ("\u{feff}a\nb\n", "a", "x", ONE, "\u{feff}x\nb\n"),
        ("\u{feff}a\r\nb\r\n", "a\nb", "x\ny", ONE, "\u{feff}x\r\ny\r\n"),
        ("\u{feff}a", "a", "", ONE, "\u{feff}"),
        // Ends of the file.
        ("a\n", "a\n", "a", ONE, "a"),
        ("a", "a", "a\n", ONE, "a\n"),
        ("a\n\n\n", "a\n\n\n", "a\n", ONE, "a\n"),
    ] {
        assert_eq!(outcome(text, old, new, all), wanted, "{text:?}: {old:?} -> {new:?}");
    }
}

#[test]
fn a_miss_says_what_is_there_instead() {
    let file = "fn a() {\n\tlet x = 1;\n\tlet y = \"q\";\n}\n\nfn b() {\n    call(1);\n    call(2);\n}\n";
    for (old, wanted) in [
        (
            "    let x = 1;\n",
            "Closest is line 2:\n     2\t\tlet x = 1;\nIt differs in line 2: indentation (the file has 1 tab, old_string has 4 \
             spaces). Copy the text exactly as it stands there.",
        ),
        (
            "fn b() {\n\tcall(1);\n\tcall(2);\n}",
            "Closest is lines 6 to 9:\n     6\tfn b() {\n     7\t    call(1);\n     8\t    call(2);\n     9\t}\nIt differs in \
             line 7: indentation (the file has 4 spaces, old_string has 1 tab); line 8: indentation (the file has 4 \
             spaces, old_string has 1 tab). Copy the text exactly as it stands there.",
        ),
        (
            "\tlet y = 'q';",
            "Closest is line 3:\n     3\t\tlet y = \"q\";\nIt differs in line 3: quotes, dashes or spacing. Copy the text \
             exactly as it stands there.",
        ),
        (
            "\tlet  x = 1;",
            "Closest is line 2:\n     2\t\tlet x = 1;\nIt differs in line 2: spacing inside the line. Copy the text exactly as \
             it stands there.",
        ),
        (
            "fn a() { ",
            "Closest is line 1:\n     1\tfn a() {\nIt differs in line 1: spaces at the end of the line. Copy the text exactly \
             as it stands there.",
        ),
        (
            "    call(1);\n    call(3);\n}",
            "Closest is lines 7 to 9:\n     7\t    call(1);\n     8\t    call(2);\n     9\t}\nThe difference (- in old_string, \
             + in the file):\n     call(1);\n-    call(3);\n+    call(2);\n }",
        ),
        (
            "let yy = \"qq\";",
            "Closest is line 3:\n     3\t\tlet y = \"q\";\nThe difference (- in old_string, + in the file):\n-let yy = \
             \"qq\";\n+\tlet y = \"q\";",
        ),
        (
            "fn b() {\n    call(1);\n    call(2);\n}\n\n",
            "Closest is lines 6 to 9:\n     6\tfn b() {\n     7\t    call(1);\n     8\t    call(2);\n     9\t}\nIt differs only \
             at its ends: blank lines, or the end of the file. Copy the text exactly as it stands there.",
        ),
        ("struct Q;", "Nothing in the file is like it. Read the file, or look for it with Grep."),
        ("\n\n\n\n", "Nothing in the file is like it. Read the file, or look for it with Grep."),
        (
            "     6\tfn b() {\n     7\t    call(1);",
            "It has Read's line numbers in it: leave out the number and the tab before each line.",
        ),
    ] {
        assert_eq!(replace(file, old, "x", false), Err(Fault::Nowhere(wanted.to_owned())), "{old:?}");
    }
}

#[test]
fn a_miss_in_a_large_file_is_explained() {
    // Comparing each line with each would take longer than anybody waits for a test, on any machine.
    let file: String = (0..20_000).map(|line| format!("    let value_{line} = compute({line});\n")).collect();
    let old = "let walue_17777 = compute(17777);\nlet nothing = like(this);";
    let Err(Fault::Nowhere(text)) = replace(&file, old, "x", false) else { panic!("not there") };
    assert!(text.starts_with("Closest is lines 17778 to 17779:"), "{text}");
}

#[tokio::test]
async fn the_result_shows_the_changed_lines() {
    let lines: String = (1..=20).map(|line| format!("line {line}\n")).collect();
    let ground = Ground::new(&[("a", &lines)]);
    read(&ground, "a").await;
    assert_eq!(
        edit_call(&ground, "a", "line 5\n", "five\nhalf\n", false).await,
        "Edited `a`. It now reads:\n     2\tline 2\n     3\tline 3\n     4\tline 4\n     5\tfive\n     6\thalf\n     \
         7\tline 6\n     8\tline 7\n     9\tline 8\n    10\tline 9"
    );
    assert_eq!(
        edit_call(&ground, "a", "line 2", "LINE 2", true).await,
        "Edited `a` in 2 places. It now reads:\n     1\tline 1\n     2\tLINE 2\n     3\tline 3\n     4\tline 4\n     5\tfive\n   \
         ...\n    18\tline 17\n    19\tline 18\n    20\tline 19\n    21\tLINE 20"
    );
    let whole = ground.content("a");
    assert_eq!(edit_call(&ground, "a", &whole, "", false).await, "Edited `a`. It is empty now.");
    assert_eq!(ground.content("a"), "");
}

#[tokio::test]
async fn a_file_must_be_read_first_and_again_when_it_changed() {
    let ground = Ground::new(&[("a", "one\ntwo\n")]);
    let text = edit_call(&ground, "a", "one", "1", false).await;
    assert!(text.contains("you have not read it in this conversation"), "{text}");
    read(&ground, "a").await;
    ground.file("a", b"one\nTWO\n");
    let text = edit_call(&ground, "a", "one", "1", false).await;
    assert!(text.contains("has changed since you read or wrote it"), "{text}");
    read(&ground, "a").await;
    let arguments = json!({"file_path": "./a", "old_string": "one", "new_string": "1"}).to_string();
    let output = ground.run(&Edit, &arguments).await.expect("edited");
    assert_eq!(output.wrote, ["a"]);
    let text = edit_call(&ground, "a", "TWO", "2", false).await;
    assert!(text.starts_with("Edited `a`."), "an own edit is known: {text}");
    assert_eq!(ground.content("a"), "1\n2\n");
}

#[tokio::test]
async fn faults_name_the_file_and_the_way_out() {
    let ground = Ground::new(&[("src/a.rs", "x\ny\nx\n"), ("picture", "\u{0}")]);
    ground.file("latin", b"caf\xe9 one\n");
    read(&ground, "src/a.rs").await;
    read(&ground, "latin").await;
    for (path, old, new, wanted) in [
        (
            "src/a.rs",
            "x",
            "z",
            "`old_string` stands in `src/a.rs` 2 times, at lines 1, 3. Nothing was changed. Take more",
        ),
        ("src/a.rs", "", "z", "`old_string` is empty, and `src/a.rs` exists. Nothing was changed."),
        ("src/a.rs", "x", "x", "are the same"),
        ("src/b.rs", "x", "z", "`src/b.rs` does not exist. Nearest: `src/a.rs`."),
        ("src/new.rs", "", "z", "`src/new.rs` does not exist. To make a new file use Write."),
        ("src", "x", "z", "is a folder"),
        ("picture", "x", "z", "is not text"),
        ("latin", "one", "two", "is not valid UTF-8"),
        ("../a", "x", "z", "outside of your workspace"),
        (".git/config", "x", "z", "git's own data"),
    ] {
        let text = edit_call(&ground, path, old, new, false).await;
        assert!(text.starts_with("error: ") && text.contains(wanted), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_read_only_place_is_not_edited() {
    let mut ground = Ground::new(&[("a", "x")]);
    let place = Place::open(ground.root(), crate::tools::workspace::Access::Read).expect("opens");
    ground.context.place = std::sync::Arc::new(place);
    read(&ground, "a").await;
    let text = edit_call(&ground, "a", "x", "y", false).await;
    assert!(text.starts_with("error: Nothing was written: this is a read-only copy"), "{text}");
    assert_eq!(ground.content("a"), "x");
}

proptest! {
    #[test]
    fn an_edit_is_replacen(text in "[ab\n ü]{0,40}", old in "[ab\n ü]{1,3}", new in "[abc\n]{0,3}") {
        let count = text.matches(&old).count();
        let wanted = match count {
            _ if old == new => None,
            1 => Some(text.replacen(&old, &new, 1)),
            _ => None,
        };
        prop_assert_eq!(replace(&text, &old, &new, false).ok().map(|replaced| replaced.text), wanted);
        let all = (count > 0 && old != new).then(|| text.replace(&old, &new));
        prop_assert_eq!(replace(&text, &old, &new, true).ok().map(|replaced| replaced.text), all);
    }

    #[test]
    fn in_a_crlf_file_an_edit_is_replacen_on_its_lines(text in "[ab\n]{0,40}", old in "[ab\n]{1,3}", new in "[abc\n]{0,3}") {
        prop_assume!(text.contains('\n'));
        let dos = |text: &str| text.replace('\n', "\r\n");
        let wanted = (text.contains(&old) && old != new).then(|| dos(&text.replace(&old, &new)));
        prop_assert_eq!(replace(&dos(&text), &old, &new, true).ok().map(|replaced| replaced.text), wanted);
    }

    #[test]
    fn any_miss_is_explained_without_a_panic(text in "\\PC{0,60}", old in "\\PC{1,20}") {
        if let Err(fault) = replace(&text, &old, "x", false) {
            prop_assert!(!fault.explain(&PlacePath::default()).is_empty());
        }
    }
}
