//! The two files from their text to settings: every problem at once, tightening, variables, the contract's example.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::settings::{Author, SandboxLevel};
use super::{Need, Problem, Settings, load, load_global, load_repo, schema};
use crate::ids::ChannelId;

/// What the files may say when nothing is to be wrong with them.
const GLOBAL: &str =
    r#"{ "slack": { "botToken": "xoxb-1", "appToken": "xapp-1" }, "openrouter": { "apiKey": "sk-or-1" } }"#;
const REPO: &str = r#"{ "slack": { "channelID": "C0123" } }"#;

/// A home and a repository, each with its file.
struct Place {
    home: tempfile::TempDir,
    repo: tempfile::TempDir,
}

impl Place {
    fn new(global: &str, repo: &str) -> Self {
        let place = Self { home: tempfile::tempdir().expect("a folder"), repo: tempfile::tempdir().expect("a folder") };
        write(&place.global_file(), global, 0o600);
        std::fs::create_dir(place.repo.path().join(".codebutler")).expect("a folder");
        write(&place.repo_file(), repo, 0o644);
        place
    }

    fn global_file(&self) -> std::path::PathBuf {
        self.home.path().join("config.json")
    }

    fn repo_file(&self) -> std::path::PathBuf {
        self.repo.path().join(".codebutler/config.json")
    }

    fn load(&self, need: Need) -> Result<Settings, Vec<Problem>> {
        load(self.home.path(), &[self.repo.path().to_owned()], need, &env)
    }

    /// The problems as `global|repo key what -> fix`.
    fn problems(&self, need: Need) -> Vec<String> {
        let problems = self.load(need).map(|_| Vec::new()).unwrap_or_else(|problems| problems);
        let named = |file: &Path| if *file == self.global_file() { "global" } else { "repo" };
        let line = |p: Problem| format!("{} {} {} -> {}", named(&p.file), p.key, p.what, p.fix);
        problems.into_iter().map(line).collect()
    }
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("its mode");
}

fn env(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("xoxb-from-env".into()),
        "MODEL" => Some("vendor/from-env".into()),
        _ => None,
    }
}

#[test]
fn no_files_mean_the_defaults_of_the_contract() {
    let (home, repo) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    std::fs::write(home.path().join("config.json"), r#"{"openrouter":{"baseUrl":"http://127.0.0.1:1/v1/"}}"#)
        .and_then(|()| std::fs::set_permissions(home.path().join("config.json"), Permissions::from_mode(0o600)))
        .expect("a file");
    let global = load_global(home.path(), Need::Local, &env).expect("nothing is wrong");
    assert_eq!(global.openrouter.base_url, "http://127.0.0.1:1/v1");
    assert_eq!(global.slack.api_url, "https://slack.com/api");
    assert_eq!(global.author, Author { name: "CodeButler".into(), email: "codebutler@localhost".into() });
    assert_eq!(global.timing.accumulation, Duration::from_secs(3));
    assert_eq!((global.turns.pm, global.turns.coder), (15, 100));
    assert_eq!(global.sandbox.minimum, SandboxLevel::Full);
    let repo = load_repo(repo.path(), &global, Need::Local, &env).expect("nothing is wrong");
    assert_eq!(repo.channel, None);
    assert_eq!(
        repo.models.pm_pool.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["kimi", "claude", "gpt"]
    );
    assert_eq!(repo.models.artist_prompt, "moonshotai/kimi-k2");
    assert_eq!(repo.git.branch_prefix, "codebutler/");
}

#[test]
fn what_only_slack_and_openrouter_need_is_asked_for_only_then() {
    let bare = Place::new("{}", "{}");
    let key = "global openrouter.apiKey is missing -> make a key at openrouter.ai and write it or ${OPENROUTER_API_KEY} here; \
               or set openrouter.baseUrl to a server that needs none";
    assert_eq!(bare.problems(Need::Local), [key]);
    assert_eq!(
        bare.problems(Need::Slack),
        [
            key,
            "global slack.appToken is missing -> copy it from your Slack app's page: Basic Information › App-Level Tokens \
             (xapp-…); `codebutler chat` needs none",
            "global slack.botToken is missing -> copy it from your Slack app's page: OAuth & Permissions › Bot User OAuth \
             Token (xoxb-…); `codebutler chat` needs none",
            "repo slack.channelID is missing -> in Slack: the channel's name › About › Channel ID, at the bottom; \
             `codebutler chat` needs none",
        ]
    );
    assert_eq!(Place::new(GLOBAL, REPO).problems(Need::Slack), Vec::<String>::new());
    let other_server = r#"{ "openrouter": { "baseUrl": "http://openrouter.ai.example/v1" } }"#;
    assert_eq!(Place::new(other_server, "{}").problems(Need::Local), Vec::<String>::new());
}

#[test]
fn all_problems_of_both_files_are_said_at_once() {
    let global = r#"{
        "slack": { "bottoken": "x", "appToken": "xoxb-swapped", "apiUrl": "slack.com" },
        "openrouter": { "apiKey": "sk-or-..." },
        "models": {},
        "limits": { "perDayUsd": -1, "maxConcurrentThreads": 0, "perThreadUsd": "5" },
        "access": { "approvers": ["U1", "@ana", 7] },
        "sandbox": { "minimum": "strong", "network": ["https://crates.io"], "readPaths": ["data"] },
        "git": { "author": "Ana" },
        "timing": { "pollMs": 1.5 },
        "mcp": { "db": { "roles": ["coder", "boss"], "env": ["A B"], "hosts": [] } },
        "search": { "provider": "tavily" },
        "web": { "listen": "0.0.0.0:80" },
        "repos": []
    }"#;
    let repo = r#"{
        "slack": { "channelID": "general", "botToken": "xoxb-1" },
        "openrouter": {},
        "models": { "pm": { "default": "kimi", "pool": { "kimi": "moonshotai/kimi-k2", "my own": "" } }, "coder": { "modle": "x" } },
        "limits": { "perThreadUsd": 100, "concurrentBuilds": { "xcode": 0 } },
        "git": { "base": "a..b", "branchPrefix": "", "journal": "nowhere" },
        "checks": [" "]
    }"#;
    let fixed = [
        "global access.approvers[1] `@ana` is not a Slack user id (U…) -> in Slack: the person's profile › ⋮ › Copy member ID",
        "global access.approvers[2] must be a text, but is a number -> write it in quotation marks",
        "global git.author `Ana` is not a commit author -> write it like: CodeButler <codebutler@example.com>",
        "global limits.maxConcurrentThreads is 0, which is out of range -> write a number from 1 to 1000",
        "global limits.perDayUsd is -1, so no model could ever be asked -> write an amount in US dollars above 0",
        "global limits.perThreadUsd must be a number, but is a text -> write it without quotation marks",
        "global mcp.db.env[0] `A B` is not the name of a variable -> write its name only, like GITHUB_TOKEN",
        "global mcp.db.hosts is not a known key -> the nearest known key is `roles`; known here: network, env, roles",
        "global mcp.db.roles[1] `boss` is not a role -> write one of pm, researcher, coder, artist, lead",
        "global models is not a known key -> move it to the repository's .codebutler/config.json",
        "global openrouter.apiKey is a placeholder or was not copied whole -> paste it again, without blanks around it",
        "global sandbox.minimum must be one of \"full\", \"reduced\", \"none\" -> write one of them, in quotation marks",
        "global sandbox.network[0] `https://crates.io` is not a host -> write a name like example.com, without https:// and without a path",
        "global sandbox.readPaths[0] `data` is not an absolute path -> write it from / on; ${HOME}/… works too",
        "global search.apiKey is missing -> write the provider's key, or set search.provider to openrouter",
        "global slack.apiUrl is not an address -> write it like https://example.com/api/v1",
        "global slack.appToken holds a bot token (xoxb-…) -> put the right token here; README.md says where each comes from",
        "global slack.bottoken is not a known key -> the nearest known key is `botToken`; known here: botToken, appToken, apiUrl",
        "global timing.pollMs must be a whole number, but is a number with a point -> write it without quotation marks and without a point",
        "global web.listen `0.0.0.0:80` can be reached from other machines -> write it like 127.0.0.1:7788; port 0 takes a free one",
        "repo checks[0] is empty -> write a shell command or remove it",
        "repo git.base `a..b` cannot be the name of a branch -> write the branch, like main, or null for the remote's default",
        "repo git.branchPrefix `` cannot begin the name of a branch -> write something like codebutler/",
        "repo git.journal must be one of \"commit\", \"local\" -> write one of them, in quotation marks",
        "repo limits.concurrentBuilds.xcode is 0, so nothing could ever be built -> write 1 or more",
        "repo limits.perThreadUsd is not a known key -> move it to the global config.json in CODEBUTLER_HOME",
        "repo models.coder.modle is not a known key -> the nearest known key is `model`; known here: model, fallback",
        "repo models.pm.default is `kimi`, a name in the pool -> write the model itself: moonshotai/kimi-k2",
        "repo models.pm.pool.my own has a name that cannot be typed after `!pm` -> use a name of one word",
        "repo openrouter is not a known key -> move it to the global config.json in CODEBUTLER_HOME",
        "repo slack.botToken is not a known key -> move it to the global config.json in CODEBUTLER_HOME",
        "repo slack.channelID `general` is not a Slack channel id (C… or G…) -> in Slack: the channel's name › About › Channel ID, at the bottom",
    ];
    assert_eq!(Place::new(global, repo).problems(Need::Local), fixed);
}

#[test]
fn files_that_cannot_be_read_say_where_and_why() {
    let json_fix = "look at that place; JSON has no comments and no comma after the last entry";
    let cases = [
        ("{\n  \"slack\": {},\n}", format!("global  is not JSON: trailing comma at line 3 column 1 -> {json_fix}")),
        ("{ // mine\n}", format!("global  is not JSON: key must be a string at line 1 column 3 -> {json_fix}")),
        ("", format!("global  is not JSON: EOF while parsing a value at line 1 column 0 -> {json_fix}")),
        ("[]", "global  must be an object, but is a list -> write { … }".to_owned()),
    ];
    for (text, expected) in cases {
        let problems = Place::new(text, REPO).problems(Need::Local);
        assert_eq!(problems, [expected], "{text:?}");
    }
    let place = Place::new(GLOBAL, REPO);
    std::fs::write(place.repo_file(), b"{ \"\xff\": 1 }").expect("a file");
    assert_eq!(place.problems(Need::Local), ["repo  is not UTF-8 text -> save it as UTF-8"]);
}

#[test]
fn a_global_file_that_others_can_read_is_refused() {
    for (mode, refused) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true), (0o620, true)] {
        let place = Place::new(GLOBAL, REPO);
        std::fs::set_permissions(place.global_file(), Permissions::from_mode(mode)).expect("its mode");
        let expected = format!(
            "global  can be read by others (mode {mode:04o}), and it holds secrets -> chmod 600 {}",
            place.global_file().display()
        );
        let expected = if refused { vec![expected] } else { Vec::new() };
        assert_eq!(place.problems(Need::Local), expected, "{mode:o}");
    }
}

#[test]
fn variables_are_taken_from_the_environment_but_never_in_commands() {
    let global = r#"{ "slack": { "botToken": "${TOKEN}", "appToken": "${NO_APP}" }, "openrouter": { "apiKey": "${NO_KEY}${NO_OTHER}" } }"#;
    let repo = r#"{ "models": { "coder": { "model": "${MODEL}" } }, "slack": { "channelID": "${NO_CHANNEL}" },
                    "checks": ["echo ${TOKEN} ${UNSET}"], "worktree": { "init": ["echo ${UNSET}"] } }"#;
    let missing = |key: &str, name: &str| {
        format!("{key} uses ${{{name}}}, which is not set in the environment -> set {name}, or write the value itself")
    };
    assert_eq!(
        Place::new(global, repo).problems(Need::Slack),
        [
            missing("global openrouter.apiKey", "NO_KEY"),
            missing("global openrouter.apiKey", "NO_OTHER"),
            missing("global slack.appToken", "NO_APP"),
            missing("repo slack.channelID", "NO_CHANNEL"),
        ]
    );
    let global = r#"{ "slack": { "botToken": "${TOKEN}" }, "openrouter": { "apiKey": "k" } }"#;
    let repo = repo.replace("${NO_CHANNEL}", "C1");
    let settings = Place::new(global, &repo).load(Need::Local).expect("nothing is wrong");
    let token = settings.global.slack.bot_token.as_ref().map(|token| token.expose_secret());
    assert_eq!(token, Some("xoxb-from-env"));
    assert!(!format!("{settings:?}").contains("xoxb-from-env"), "a secret is shown");
    assert_eq!(settings.repos[0].models.coder, "vendor/from-env");
    assert_eq!(settings.repos[0].checks, ["echo ${TOKEN} ${UNSET}"]);
}

#[test]
fn a_repository_can_only_tighten() {
    for (global, repo, expected) in [(2, Some(5), 2), (5, Some(2), 2), (7, None, 7)] {
        let limits =
            json!({ "openrouter": { "apiKey": "k" }, "limits": { "maxConcurrentThreads": global } }).to_string();
        let own = json!({ "limits": { "maxConcurrentThreads": repo } }).to_string();
        let settings = Place::new(&limits, &own).load(Need::Local).expect("nothing is wrong");
        assert_eq!(settings.repos[0].limits.max_concurrent_threads, expected, "{global} {repo:?}");
    }
}

#[test]
fn repositories_come_once_each_and_have_a_channel_of_their_own() {
    let place = Place::new(GLOBAL, REPO);
    let second = Place::new(GLOBAL, r#"{ "slack": { "channelID": "C0456" } }"#);
    let listed = |repos: Value| {
        let mut global: Value = serde_json::from_str(GLOBAL).expect("JSON");
        global["repos"] = repos;
        write(&place.global_file(), &global.to_string(), 0o600);
    };
    listed(json!([place.repo.path(), second.repo.path(), second.repo.path().join("../gone"), "here"]));
    assert_eq!(
        place.problems(Need::Slack),
        [
            "global repos[3] `here` is not an absolute path -> write it from / on; ${HOME}/… works too".to_owned(),
            format!(
                "global repos[2] `{}` is not a directory -> write the path of a repository on this machine",
                second.repo.path().join("../gone").display()
            ),
        ]
    );
    listed(json!([place.repo.path(), second.repo.path()]));
    let channels: Vec<_> =
        place.load(Need::Slack).expect("nothing is wrong").repos.into_iter().filter_map(|repo| repo.channel).collect();
    assert_eq!(channels, [ChannelId::new("C0123"), ChannelId::new("C0456")]);
    write(&second.repo_file(), REPO, 0o644);
    let problems = place.load(Need::Slack).expect_err("both are bound to C0123");
    assert_eq!(problems.len(), 1);
    assert_eq!((&problems[0].file, problems[0].key.as_str()), (&second.repo_file(), "slack.channelID"));
}

/// The two objects of the contract's page 2, as they stand there.
fn contract() -> [Value; 2] {
    let text: String = include_str!("../../tests/fixtures/contract-config.jsonc")
        .lines()
        .map(|line| line.find("// ").map_or(line, |at| &line[..at]))
        .collect();
    let mut objects = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    std::array::from_fn(|_| objects.next().expect("two objects").expect("JSON"))
}

#[test]
fn the_contracts_example_is_accepted_but_for_its_placeholders() {
    let [mut global, repo] = contract();
    let place = Place::new("{}", &repo.to_string());
    global["repos"] = json!([place.repo.path()]);
    write(&place.global_file(), &global.to_string(), 0o600);
    assert_eq!(
        place.problems(Need::Slack),
        ["openai.apiKey", "openrouter.apiKey", "slack.appToken", "slack.botToken"].map(|key| format!(
            "global {key} is a placeholder or was not copied whole -> paste it again, without blanks around it"
        ))
    );
}

/// The contract says that the values it shows are the defaults, except ids, tokens and paths.
#[test]
fn the_schemas_defaults_are_the_contracts() {
    let [global, repo] = contract();
    let own = ["apiKey", "botToken", "appToken", "repos", "channelID", "channelName", "checks"];
    for (example, schema) in [(global, schema::global()), (repo, schema::repository())] {
        assert_defaults(&example, &schema, "", &own);
    }
}

fn assert_defaults(example: &Value, schema: &Value, key: &str, own: &[&str]) {
    for (name, value) in example.as_object().expect("an object") {
        let key = format!("{key}.{name}");
        let schema = &schema["properties"][name];
        assert!(schema.is_object(), "{key} is not in the schema");
        // The repository's default is the global file's value, which is the same.
        if own.contains(&name.as_str()) || (name == "maxConcurrentThreads" && schema["default"].is_null()) {
            continue;
        }
        if schema["properties"].is_object() {
            assert_defaults(value, schema, &key, own);
        } else {
            assert_eq!(&schema["default"], value, "{key}");
        }
    }
}

#[test]
fn a_schema_key_is_allowed_and_the_pool_keeps_its_order() {
    let global = r#"{ "$schema": "x", "openrouter": { "apiKey": "k" }, "web": null }"#;
    let repo = r#"{ "$schema": "x", "models": { "pm": { "pool": { "zeta": "z/1", "alpha": "a/1" } } } }"#;
    let settings = Place::new(global, repo).load(Need::Local).expect("nothing is wrong");
    let pool = [("zeta", "z/1"), ("alpha", "a/1")].map(|(name, model)| (name.to_owned(), model.to_owned()));
    assert_eq!(settings.repos[0].models.pm_pool, pool);
}
