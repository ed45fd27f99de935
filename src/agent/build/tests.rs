//! Commands as models write them, and what they build.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::Platform::{self, Go, Jvm, Node, Python, Rust, Xcode};

fn check(cases: &[(&str, &[Platform])]) {
    for (command, platforms) in cases {
        let wanted: BTreeSet<Platform> = platforms.iter().copied().collect();
        assert_eq!(Platform::of_command(command), wanted, "{command}");
    }
}

#[test]
fn builds_are_known_by_their_words() {
    check(&[
        ("xcodebuild -scheme App test", &[Xcode]),
        ("xcodebuild", &[Xcode]),
        ("/usr/bin/xcodebuild build", &[Xcode]),
        ("pod install", &[Xcode]),
        ("pod --version", &[]),
        ("swift test", &[Xcode]),
        ("swift --version", &[]),
        ("carthage bootstrap --use-xcframeworks", &[Xcode]),
        ("cargo test --lib", &[Rust]),
        ("cargo --manifest-path a/Cargo.toml test", &[Rust]),
        ("cargo +stable -C app build", &[Rust]),
        ("cargo fmt --check", &[]),
        ("./gradlew", &[Jvm]),
        ("./gradlew assemble", &[Jvm]),
        ("npm view test", &[]),
        ("npm --prefix web run build", &[Node]),
        ("pnpm -F web test", &[Node]),
        ("go -C server build ./...", &[Go]),
        ("go env", &[]),
        ("python -m pytest -q", &[Python]),
        ("python3 -X dev tests.py", &[]),
        (".venv/bin/pip install -r requirements.txt", &[Python]),
        ("pytest -q", &[Python]),
        ("make ios", &[]),
        ("", &[]),
        (" \n\t;;", &[]),
    ]);
}

#[test]
fn all_commands_of_a_line_count() {
    check(&[
        ("npm ci && xcodebuild", &[Node, Xcode]),
        ("cargo build && xcodebuild -scheme App", &[Rust, Xcode]),
        ("pytest; xcodebuild test", &[Python, Xcode]),
        ("npm ci; npm run build", &[Node]),
        ("npm --version && xcodebuild", &[Xcode]),
        ("cd app && xcrun xcodebuild build", &[Xcode]),
        ("(cd x; go test ./...)", &[Go]),
        ("(cd ios && xcodebuild)", &[Xcode]),
        ("((cd ios); xcodebuild)", &[Xcode]),
        ("xcodebuild | xcpretty", &[Xcode]),
        ("set -o pipefail; xcodebuild test 2>&1 | tee log | xcpretty", &[Xcode]),
        ("true||xcodebuild&", &[Xcode]),
        ("echo a\nxcodebuild\n", &[Xcode]),
        ("echo a\r\nxcodebuild\r\n", &[Xcode]),
        ("cd ios && \\\n  xcodebuild \\\n  -scheme App", &[Xcode]),
        ("FOO=bar\\\nbaz xcodebuild", &[Xcode]),
        ("if ! xcodebuild test; then echo no; fi", &[Xcode]),
        ("if true; then xcodebuild; else cargo test; fi", &[Xcode, Rust]),
        ("for scheme in A B; do xcodebuild -scheme $scheme; done", &[Xcode]),
        ("while ! xcodebuild; do true; done", &[Xcode]),
        ("case $1 in ios) xcodebuild;; *) npm test;; esac", &[Xcode, Node]),
        ("{ xcodebuild; }", &[Xcode]),
        ("build() { xcodebuild; }; build", &[Xcode]),
        ("function build { xcodebuild; }; build", &[Xcode]),
        ("out=$(xcodebuild -list)", &[Xcode]),
        ("echo \"it said $(xcodebuild -list 2>/dev/null | head -1)\"", &[Xcode]),
        ("echo `xcodebuild -list`", &[Xcode]),
        ("diff <(xcodebuild -list) old", &[Xcode]),
        ("xcodebuild > >(tee log) 2> >(tee err)", &[Xcode]),
        ("\"xcodebuild\" -list", &[Xcode]),
        ("xcode'build'", &[Xcode]),
    ]);
}

#[test]
fn programs_that_run_others_are_seen_through() {
    check(&[
        ("timeout 600 xcodebuild", &[Xcode]),
        ("timeout -s KILL --kill-after=5 600 xcodebuild", &[Xcode]),
        ("bash -c 'xcodebuild'", &[Xcode]),
        ("sh -c \"cd ios && npm ci && xcodebuild\"", &[Node, Xcode]),
        ("bash -euo pipefail -c 'xcodebuild | xcpretty'", &[Xcode]),
        ("bash -lc \"bash -c 'xcodebuild'\"", &[Xcode]),
        ("bash -c 'bash -c \"bash -c \\\"bash -c \\\\\\\"bash -c xcodebuild\\\\\\\"\\\"\"'", &[Xcode]),
        ("bash build.sh xcodebuild", &[]),
        ("eval \"xcodebuild -list\"", &[Xcode]),
        ("xcrun --sdk iphoneos xcodebuild", &[Xcode]),
        ("xcrun -sdk iphoneos swift build", &[Xcode]),
        ("xcrun --find xcodebuild", &[]),
        ("xcrun simctl list", &[]),
        ("sudo -E xcodebuild", &[Xcode]),
        ("sudo -Eu ada xcodebuild", &[Xcode]),
        ("sudo -u xcodebuild ls", &[]),
        ("env X=1 xcodebuild", &[Xcode]),
        ("env -i -u HOME X=1 xcodebuild", &[Xcode]),
        ("X=1 Y='a b' xcodebuild", &[Xcode]),
        ("RUST_BACKTRACE=1 cargo +stable --locked test", &[Rust]),
        ("nice -n 10 xcodebuild", &[Xcode]),
        ("nice -10 ionice -c 3 xcodebuild", &[Xcode]),
        ("time xcodebuild", &[Xcode]),
        ("/usr/bin/time -p xcodebuild", &[Xcode]),
        ("caffeinate -i xcodebuild", &[Xcode]),
        ("arch -x86_64 pod install", &[Xcode]),
        ("arch -arm64e pod install", &[Xcode]),
        ("bundle exec pod install", &[Xcode]),
        ("bundle install", &[]),
        ("uv run --with mock pytest", &[Python]),
        ("poetry run pytest", &[Python]),
        ("nohup xcodebuild > log 2>&1 &", &[Xcode]),
        ("2>/dev/null xcodebuild", &[Xcode]),
        ("&>log xcodebuild", &[Xcode]),
        ("exec xcodebuild", &[Xcode]),
        ("command -v xcodebuild", &[]),
        ("command xcodebuild", &[Xcode]),
        ("printf 'A B' | xargs -n 1 xcodebuild -scheme", &[Xcode]),
        ("env", &[]),
        ("sudo -u", &[]),
        ("timeout", &[]),
    ]);
}

#[test]
fn what_is_only_spoken_of_does_not_count() {
    check(&[
        ("echo xcodebuild", &[]),
        ("echo 'npm ci && xcodebuild'", &[]),
        ("echo \"run; xcodebuild\"", &[]),
        ("echo a\\;xcodebuild", &[]),
        ("echo $'it\\'s; xcodebuild'", &[]),
        ("grep xcodebuild file", &[]),
        ("grep -rn cargo test", &[]),
        ("rg 'a|xcodebuild|b'", &[]),
        ("man xcodebuild", &[]),
        ("which xcodebuild", &[]),
        ("ls # ; xcodebuild", &[]),
        ("# xcodebuild\nls", &[]),
        ("echo a > xcodebuild", &[]),
        ("echo a >xcodebuild", &[]),
        ("cat <<< xcodebuild", &[]),
        ("cat > build.sh <<EOF\nxcodebuild\nit's\nEOF\nls", &[]),
        ("cat > build.sh <<-'EOF'\n\txcodebuild\n\tEOF\nls", &[]),
        ("cat > build.sh <<EOF\nxcodebuild", &[]),
        ("git commit -m \"$(cat <<'EOF'\nIt's xcodebuild (again\nEOF\n)\"", &[]),
        ("((x = 1 << 2))\necho", &[]),
    ]);
    // And what comes after it counts.
    check(&[
        ("cat > build.sh <<EOF\nls\nEOF\nxcodebuild", &[Xcode]),
        ("cat <<A <<B && xcodebuild\nls\nA\nls\nB\n", &[Xcode]),
        ("git commit -m \"$(cat <<'EOF'\nIt's done (again\nEOF\n)\" && xcodebuild", &[Xcode]),
        ("echo $((1 << 2))\nxcodebuild", &[Xcode]),
        ("((x = 1 << 2))\nxcodebuild", &[Xcode]),
        ("cat <<< 'a' && xcodebuild", &[Xcode]),
        ("echo a#b; xcodebuild", &[Xcode]),
        ("echo ${#x}; xcodebuild", &[Xcode]),
    ]);
}

#[test]
fn what_cannot_be_read_counts_by_its_words() {
    check(&[
        ("echo 'it's; xcodebuild", &[Xcode]),
        ("echo \"xcodebuild", &[Xcode]),
        ("echo $(xcodebuild", &[Xcode]),
        ("echo `npm ci", &[Node]),
        ("echo 'nothing of that", &[]),
        ("echo 'xcodebuilder", &[]),
    ]);
    let deep = format!("{}xcodebuild{}", "$(".repeat(100_000), ")".repeat(100_000));
    check(&[(&deep, &[Xcode])]);
}

#[test]
fn long_commands_come_to_an_end() {
    for part in ["env ", "eval ", "bash -c ", "a=b ", "$(", "((", "<<a\n", "'", "\"`", "if ", "sudo -u ", "` (` "] {
        Platform::of_command(&part.repeat(3_000));
        Platform::of_command(&format!("{} '", part.repeat(3_000)));
    }
}

/// A command in which `xcodebuild` is run.
fn runs_xcodebuild() -> impl Strategy<Value = String> {
    let harmless = || prop::sample::select(vec!["ls", "echo 'a; b'", "x=1", "cat a b", "npm --version", "# no\nls"]);
    let plain = prop::sample::select(vec!["xcodebuild", "xcodebuild -scheme 'My App' test", "/usr/bin/xcodebuild"]);
    plain.prop_map(str::to_owned).prop_recursive(4, 16, 1, move |inner| {
        let separator = prop::sample::select(vec![" && ", ";", "\n", " | ", " || ", " & "]);
        let prefix =
            prop::sample::select(vec!["time ", "env A=b ", "sudo -E ", "nice -n 5 ", "! ", "timeout 9 ", "A='b c' "]);
        prop_oneof![
            (harmless(), separator.clone(), inner.clone()).prop_map(|(first, by, then)| format!("{first}{by}{then}")),
            (inner.clone(), separator, harmless()).prop_map(|(first, by, then)| format!("{first}{by}{then}")),
            (prefix, inner.clone()).prop_map(|(prefix, inner)| format!("{prefix}{{ {inner}\n}}")),
            inner.clone().prop_map(|inner| format!("( {inner}\n)")),
            inner.clone().prop_map(|inner| format!("if {inner}\nthen ls; fi")),
            inner.prop_map(|inner| format!("echo \"$({inner}\n)\"")),
        ]
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        Platform::of_command(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_shell_like_text_makes_it_panic(text in "([a-c#=$'\"`(){}<>|&;!\\\\ \n\t0-2-]|<<|\\$\\(|bash -c |env |é){0,60}") {
        Platform::of_command(&text);
    }

    #[test]
    fn a_build_in_command_position_is_always_seen(command in runs_xcodebuild()) {
        prop_assert!(Platform::of_command(&command).contains(&Xcode), "{command}");
    }

    #[test]
    fn a_build_after_any_plain_text_is_seen(
        text in "[a-z0-9 =./,;&|(){}*?!~+-]{0,40}", separator in "[;\n&|]", after in "( [a-z ./-]{0,20})?"
    ) {
        let command = format!("{text}{separator}xcodebuild{after}");
        prop_assert!(Platform::of_command(&command).contains(&Xcode), "{command}");
    }

    #[test]
    fn a_quoted_text_is_no_command(text in "[^'\0]{0,40}") {
        prop_assert_eq!(Platform::of_command(&format!("echo '{text}'")), BTreeSet::new());
    }
}
