//! What the README promises is what the program has: configuration keys, commands, the Slack manifest in its link.

use std::process::{Command, Output};

use serde_json::Value;

const README: &str = include_str!("../README.md");
const MANIFEST: &str = include_str!("../packaging/slack-manifest.json");

fn codebutler(args: &[&str]) -> Output {
    #[expect(clippy::disallowed_methods, reason = "the binary is what is tested; process.rs is inside it")]
    let mut command = Command::new(env!("CARGO_BIN_EXE_codebutler"));
    command.args(args).env_clear().output().expect("the binary runs")
}

/// Every key path of a schema: `slack.botToken`, `mcp.NAME.env`.
fn keys(schema: &Value, path: &str, found: &mut Vec<String>) {
    let choices = schema["anyOf"].as_array().into_iter().flatten();
    let schema = choices.into_iter().find(|choice| choice["type"] != "null").unwrap_or(schema);
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(properties) = schema["properties"].as_object() {
        properties
            .iter()
            .filter(|(name, _)| *name != "$schema")
            .for_each(|(name, below)| keys(below, &join(name), found));
    } else if schema["additionalProperties"]["properties"].is_object() {
        keys(&schema["additionalProperties"], &join("NAME"), found);
    } else {
        found.push(path.to_owned());
    }
}

#[test]
fn the_readme_names_every_key_of_both_files_and_no_other() {
    let named: Vec<String> = README
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| {
            let cell = line.split('|').nth(1).unwrap_or_default();
            let names: Vec<&str> = cell.split('`').skip(1).step_by(2).collect();
            let section = names.first().and_then(|name| name.rsplit_once('.')).map_or("", |(section, _)| section);
            let full =
                |name: &&str| if name.starts_with('.') { format!("{section}{name}") } else { (*name).to_owned() };
            names.iter().map(full).collect::<Vec<_>>()
        })
        .filter(|name| !name.starts_with('!') && !name.starts_with("codebutler "))
        .collect();
    let mut expected = Vec::new();
    for file in ["global", "repository"] {
        let schema = codebutler(&["config", "schema", file]).stdout;
        keys(&serde_json::from_slice(&schema).expect("the schema is JSON"), "", &mut expected);
    }
    let missing: Vec<_> = expected.iter().filter(|key| !named.contains(key)).collect();
    let unknown: Vec<_> = named.iter().filter(|key| !expected.contains(key)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}, unknown: {unknown:?}");
    assert!(expected.len() > 50, "the schemas have more keys than {}", expected.len());
}

#[test]
fn the_readme_names_every_command() {
    let help = String::from_utf8(codebutler(&["--help"]).stdout).expect("help is text");
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let mut count = 0;
    for name in commands.filter_map(|line| line.split_whitespace().next()) {
        assert!(README.contains(&format!("| `codebutler {name}")), "README.md does not name `codebutler {name}`");
        count += 1;
    }
    assert!(count > 0, "{help}");
}

#[test]
fn the_readmes_link_carries_the_manifest() {
    let link = README.split("&manifest_json=").nth(1).expect("the link is there").trim();
    let mut bytes = Vec::new();
    let mut rest = link.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next(), rest.next()].map(|digit| char::from(digit.expect("two digits follow")));
            bytes.push(u8::from_str_radix(&String::from_iter(digits), 16).expect("they are hexadecimal"));
        } else {
            bytes.push(byte);
        }
    }
    let linked: Value = serde_json::from_slice(&bytes).expect("the link holds JSON");
    assert_eq!(linked, serde_json::from_str::<Value>(MANIFEST).expect("the manifest is JSON"));
}

#[test]
fn exit_codes_tell_good_failed_and_wrong_usage_apart() {
    let home = tempfile::tempdir().expect("a folder");
    let place = home.path().to_str().expect("its path is text");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--version"], 0, ""),
        (&["config", "schema"], 0, ""),
        (
            &["-C", place, "config", "check"],
            1,
            "error: neither CODEBUTLER_HOME nor HOME is set\nhint: set CODEBUTLER_HOME to \
            the folder of the global config.json\n",
        ),
        (
            &["demo", "--auot"],
            2,
            "error: unexpected argument '--auot' found\nhint: a similar argument exists: '--auto'\n",
        ),
        (
            &["demo", "--model", "x"],
            2,
            "error: --model says what to ask for but not where\nhint: add --model-url URL, or set \
            OPENROUTER_API_KEY\n",
        ),
    ];
    for (args, code, errors) in cases {
        let output = codebutler(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.as_str()), (Some(*code), *errors), "{args:?}");
    }
}
