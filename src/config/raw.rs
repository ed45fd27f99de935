//! The two files exactly as people write them: names, defaults, types and ranges. The JSON Schema is made from here.
//!
//! Nothing here says whether a value makes sense (`check/`), and nothing outside this folder sees these types.
//! Texts in `///` are shown by editors. Secrets are `SecretString` from here on and never have a default.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A day in milliseconds, the upper end of every time.
const DAY_MS: u64 = 86_400_000;

macro_rules! section {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Deserialize, Serialize, JsonSchema)]
        #[serde(rename_all = "camelCase", default, deny_unknown_fields)]
        pub(super) struct $name {
            $($(#[$field_doc])* pub(super) $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }
    };
}

section! {
    /// CodeButler's global file, `$CODEBUTLER_HOME/config.json`: secrets, and everything that grants power. Only its
    /// owner may read it. A repository can only tighten what it says.
    GlobalFile {
        /// Where this schema is, for editors.
        #[serde(rename = "$schema", skip_serializing)]
        schema: Option<String> = None,
        /// The Slack app; `codebutler run` needs both tokens.
        slack: SlackApp = SlackApp::default(),
        /// The server that all chat models are asked at.
        openrouter: ModelServer = ModelServer::default(),
        /// Images and transcription; optional.
        openai: ImageServer = ImageServer::default(),
        /// Who searches the web.
        search: Search = Search::default(),
        /// Who may use the bot and who may approve.
        access: Access = Access::default(),
        /// What may be spent, over all repositories.
        limits: GlobalLimits = GlobalLimits::default(),
        /// How commands are kept apart from this machine.
        sandbox: Sandbox = Sandbox::default(),
        /// The identity of commits.
        git: GlobalGit = GlobalGit::default(),
        /// What each MCP server may have, by its name.
        mcp: BTreeMap<String, McpGrant> = BTreeMap::new(),
        /// The local web page.
        web: Web = Web::default(),
        /// Time limits and waiting times, in milliseconds.
        timing: Timing = Timing::default(),
        /// How many turns a run of each role may take.
        turns: Turns = Turns::default(),
        /// Absolute paths of the repositories that `codebutler run` serves.
        repos: Vec<String> = Vec::new(),
    }
}

section! {
    /// The Slack app.
    SlackApp {
        /// The bot token, `xoxb-…`.
        #[serde(deserialize_with = "secret", skip_serializing)]
        #[schemars(with = "Option<String>")]
        bot_token: Option<SecretString> = None,
        /// The app-level token for Socket Mode, `xapp-…`.
        #[serde(deserialize_with = "secret", skip_serializing)]
        #[schemars(with = "Option<String>")]
        app_token: Option<SecretString> = None,
        /// The Web API's address.
        api_url: String = "https://slack.com/api".into(),
    }
}

section! {
    /// The server of the chat models: OpenRouter or any OpenAI-compatible one.
    ModelServer {
        /// The key; needed when `baseUrl` is openrouter.ai.
        #[serde(deserialize_with = "secret", skip_serializing)]
        #[schemars(with = "Option<String>")]
        api_key: Option<SecretString> = None,
        /// The address to which `/chat/completions` is added.
        base_url: String = "https://openrouter.ai/api/v1".into(),
    }
}

section! {
    /// The server of the image and transcription models.
    ImageServer {
        /// The key.
        #[serde(deserialize_with = "secret", skip_serializing)]
        #[schemars(with = "Option<String>")]
        api_key: Option<SecretString> = None,
        /// The address to which `/images/generations` and the like are added.
        base_url: String = "https://api.openai.com/v1".into(),
    }
}

section! {
    /// Who searches the web.
    Search {
        /// The service.
        provider: SearchProvider = SearchProvider::Openrouter,
        /// The key of brave or tavily.
        #[serde(deserialize_with = "secret", skip_serializing)]
        #[schemars(with = "Option<String>")]
        api_key: Option<SecretString> = None,
        /// The address of a SearXNG.
        base_url: Option<String> = None,
    }
}

/// A search service.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum SearchProvider {
    Openrouter,
    Brave,
    Tavily,
    Searxng,
}

section! {
    /// Who may do what, by Slack user id.
    Access {
        /// People who may use the bot; empty: every member of the channel.
        allowed_users: Vec<String> = Vec::new(),
        /// People who may approve and merge; empty: everyone who may use the bot.
        approvers: Vec<String> = Vec::new(),
    }
}

section! {
    /// What may be spent, over all repositories. A "call" is one run that a person's message or approval starts.
    GlobalLimits {
        /// What one thread may cost, in US dollars.
        per_thread_usd: f64 = 5.0,
        /// What all threads of a day may cost, in US dollars.
        per_day_usd: f64 = 50.0,
        /// How many calls one person may start within an hour.
        #[schemars(range(min = 1, max = 1_000_000))]
        calls_per_user_per_hour: u32 = 100,
        /// How many Coders may work at the same time.
        #[schemars(range(min = 1, max = 1_000))]
        max_concurrent_threads: u32 = 3,
    }
}

section! {
    /// How commands are kept apart from this machine.
    Sandbox {
        /// The least that must be there for a command to run.
        minimum: SandboxLevel = SandboxLevel::Full,
        /// Whether commands may run when the daemon is root.
        allow_root: bool = false,
        /// Hosts that commands may reach beside the package registries.
        network: Vec<String> = Vec::new(),
        /// Absolute paths that commands may read beside the system's and the toolchains'.
        read_paths: Vec<String> = Vec::new(),
    }
}

/// How strongly commands are kept apart from the machine they run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SandboxLevel {
    /// Own namespaces and the kernel's access rules.
    Full,
    /// The kernel's access rules only.
    Reduced,
    /// A cleared environment only.
    None,
}

section! {
    /// The identity of commits.
    GlobalGit {
        /// Author and committer, as `Name <mail>`.
        author: String = "CodeButler <codebutler@localhost>".into(),
    }
}

section! {
    /// What an MCP server may have.
    McpGrant {
        /// Hosts that it may reach.
        network: Vec<String> = Vec::new(),
        /// Variables of the daemon's environment that it may see.
        env: Vec<String> = Vec::new(),
        /// Roles that are offered its tools.
        roles: Vec<String> = vec!["coder".into()],
    }
}

section! {
    /// The local web page.
    Web {
        /// The loopback address and port it listens at.
        listen: String = "127.0.0.1:7788".into(),
    }
}

section! {
    /// Time limits and waiting times, in milliseconds.
    Timing {
        /// How long a new thread waits for further messages before the PM begins.
        #[schemars(range(max = DAY_MS))]
        accumulation_ms: u64 = 3_000,
        /// How long a thread without work stays in memory.
        #[schemars(range(min = 1, max = DAY_MS))]
        worker_idle_ms: u64 = 60_000,
        /// How long a model may send nothing before it counts as stalled.
        #[schemars(range(min = 1, max = DAY_MS))]
        stall_ms: u64 = 60_000,
        /// The first wait before a model is asked again; it doubles.
        #[schemars(range(max = DAY_MS))]
        retry_base_ms: u64 = 500,
        /// How long a failing model is passed over in favour of its fallback.
        #[schemars(range(max = DAY_MS))]
        breaker_ms: u64 = 300_000,
        /// How long a graceful stop may take.
        #[schemars(range(max = DAY_MS))]
        stop_grace_ms: u64 = 10_000,
        /// How often open pull requests are looked at.
        #[schemars(range(min = 1, max = DAY_MS))]
        poll_ms: u64 = 30_000,
        /// How long a command of the Coder may take when it names no time itself.
        #[schemars(range(min = 1, max = DAY_MS))]
        bash_timeout_ms: u64 = 120_000,
    }
}

section! {
    /// How many turns (one model request and the tool calls it asked for) a run may take.
    Turns {
        /// The PM.
        #[schemars(range(min = 1, max = 10_000))]
        pm: u32 = 15,
        /// The Coder.
        #[schemars(range(min = 1, max = 10_000))]
        coder: u32 = 100,
        /// The Lead.
        #[schemars(range(min = 1, max = 10_000))]
        lead: u32 = 15,
        /// A Researcher.
        #[schemars(range(min = 1, max = 10_000))]
        researcher: u32 = 8,
    }
}

section! {
    /// A repository's file, `.codebutler/config.json`: committed, so never a place for secrets.
    RepoFile {
        /// Where this schema is, for editors.
        #[serde(rename = "$schema", skip_serializing)]
        schema: Option<String> = None,
        /// The channel that belongs to this repository.
        slack: Channel = Channel::default(),
        /// The model of each role, by its slug at the server.
        models: Models = Models::default(),
        /// What this repository may use.
        limits: RepoLimits = RepoLimits::default(),
        /// Branches and journals.
        git: RepoGit = RepoGit::default(),
        /// How a new worktree is made ready.
        worktree: Worktree = Worktree::default(),
        /// Shell commands whose exit code is the evidence that work is done.
        checks: Vec<String> = Vec::new(),
    }
}

section! {
    /// The channel that belongs to this repository.
    Channel {
        /// Its id, `C…` or `G…`; `codebutler run` needs it.
        #[serde(rename = "channelID")]
        channel_id: Option<String> = None,
        /// Its name, for people.
        channel_name: Option<String> = None,
    }
}

section! {
    /// The model of each role.
    Models {
        /// The PM's.
        pm: PmModels = PmModels::default(),
        /// The Researcher's.
        researcher: ResearcherModel = ResearcherModel::default(),
        /// The Coder's.
        coder: CoderModel = CoderModel::default(),
        /// The Lead's.
        lead: LeadModel = LeadModel::default(),
        /// The Artist's.
        artist: ArtistModel = ArtistModel::default(),
    }
}

section! {
    /// The PM's models.
    PmModels {
        /// The model a thread begins with.
        default: String = "moonshotai/kimi-k2".into(),
        /// The models that `!pm NAME` chooses from, by name.
        #[serde(deserialize_with = "pool_in_file_order", serialize_with = "pool_as_map")]
        #[schemars(with = "BTreeMap<String, String>")]
        pool: Vec<(String, String)> = vec![
            ("kimi".into(), "moonshotai/kimi-k2".into()),
            ("claude".into(), "anthropic/claude-sonnet-4.5".into()),
            ("gpt".into(), "openai/gpt-4o-mini".into()),
        ],
        /// Models to try, in this order, when the chosen one fails.
        fallback: Vec<String> = vec!["openai/gpt-4o-mini".into()],
    }
}

section! {
    /// The Coder's models.
    CoderModel {
        /// The model.
        model: String = "anthropic/claude-opus-4.6".into(),
        /// Models to try, in this order, when it fails.
        fallback: Vec<String> = Vec::new(),
    }
}

section! {
    /// The Researcher's model.
    ResearcherModel {
        /// The model.
        model: String = "moonshotai/kimi-k2".into(),
    }
}

section! {
    /// The Lead's model.
    LeadModel {
        /// The model.
        model: String = "anthropic/claude-sonnet-4.5".into(),
    }
}

section! {
    /// The Artist's models.
    ArtistModel {
        /// The image model.
        model: String = "gpt-image-1".into(),
        /// The chat model that words the requests; `null`: the Researcher's.
        prompt_model: Option<String> = None,
    }
}

section! {
    /// What this repository may use. The smaller of both files counts.
    RepoLimits {
        /// How many Coders may work at the same time (default: what the global file says, 3).
        #[schemars(range(min = 1, max = 1_000))]
        max_concurrent_threads: Option<u32> = None,
        /// How many calls may be started within an hour.
        #[schemars(range(min = 1, max = 1_000_000))]
        max_calls_per_hour: u32 = 100,
        /// How many builds of a platform may run at the same time, by the platform's name.
        concurrent_builds: BTreeMap<String, u32> = BTreeMap::new(),
    }
}

section! {
    /// Branches and journals.
    RepoGit {
        /// The branch that pull requests go to; `null`: the remote's default.
        base: Option<String> = None,
        /// What a thread's branch name begins with.
        branch_prefix: String = "codebutler/".into(),
        /// Whether a thread's journal is committed on its branch or kept here.
        journal: JournalPlace = JournalPlace::Commit,
    }
}

/// Where a thread's journal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JournalPlace {
    /// On the pull request's branch.
    Commit,
    /// Only on this machine.
    Local,
}

section! {
    /// How a new worktree is made ready.
    Worktree {
        /// Shell commands; `null`: what the project's platform needs.
        init: Option<Vec<String>> = None,
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

/// The pool is shown to people in the order in which they wrote it.
fn pool_in_file_order<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    struct InOrder;

    impl<'de> Visitor<'de> for InOrder {
        type Value = Vec<(String, String)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of names and models")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pool = Vec::new();
            while let Some(entry) = map.next_entry()? {
                pool.push(entry);
            }
            Ok(pool)
        }
    }

    deserializer.deserialize_map(InOrder)
}

fn pool_as_map<S: Serializer>(pool: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pool.iter().map(|(name, model)| (name, model)))
}
