//! A repository's file: from what was written to settings, never looser than the global file.

use std::collections::BTreeMap;
use std::path::Path;

use crate::agent::Platform;
use crate::config::problem::Problems;
use crate::config::{Need, raw, settings};
use crate::ids::ChannelId;

use super::global::take;
use super::value;

/// Checks the whole file and tightens it by the global limits.
pub(in crate::config) fn repo(
    path: &Path,
    file: raw::RepoFile,
    limits: &settings::GlobalLimits,
    need: Need,
    problems: &mut Problems<'_>,
) -> settings::RepoSettings {
    commands(&file.checks, "checks", problems);
    commands(file.worktree.init.as_deref().unwrap_or_default(), "worktree.init", problems);
    settings::RepoSettings {
        path: path.to_owned(),
        channel: channel(file.slack.channel_id, need, problems),
        channel_name: file.slack.channel_name.map(|name| name.trim_start_matches('#').to_owned()),
        models: models(file.models, problems),
        limits: settings::RepoLimits {
            max_concurrent_threads: file
                .limits
                .max_concurrent_threads
                .map_or(limits.max_concurrent_threads, |own| own.min(limits.max_concurrent_threads)),
            max_calls_per_hour: file.limits.max_calls_per_hour,
            concurrent_builds: builds(file.limits.concurrent_builds, problems),
        },
        git: git(file.git, problems),
        worktree_init: file.worktree.init,
        checks: file.checks,
    }
}

fn channel(id: Option<String>, need: Need, problems: &mut Problems<'_>) -> Option<ChannelId> {
    let key = "slack.channelID";
    match id {
        Some(id) => take(problems, key, value::channel(&id)).map(|()| ChannelId::new(id)),
        None => {
            if need == Need::Slack && !problems.about(key) {
                problems.add(
                    key,
                    "is missing",
                    "in Slack: the channel's name › About › Channel ID, at the bottom; `codebutler chat` needs none",
                );
            }
            None
        }
    }
}

fn models(file: raw::Models, problems: &mut Problems<'_>) -> settings::Models {
    let researcher = slug(file.researcher.model, "models.researcher.model", problems);
    let artist_prompt = match file.artist.prompt_model {
        Some(model) => slug(model, "models.artist.promptModel", problems),
        None => researcher.clone(),
    };
    pool(&file.pm, problems);
    settings::Models {
        pm: slug(file.pm.default, "models.pm.default", problems),
        pm_pool: file.pm.pool,
        pm_fallback: slugs(file.pm.fallback, "models.pm.fallback", problems),
        researcher,
        coder: slug(file.coder.model, "models.coder.model", problems),
        coder_fallback: slugs(file.coder.fallback, "models.coder.fallback", problems),
        lead: slug(file.lead.model, "models.lead.model", problems),
        artist: slug(file.artist.model, "models.artist.model", problems),
        artist_prompt,
    }
}

fn pool(pm: &raw::PmModels, problems: &mut Problems<'_>) {
    if pm.pool.is_empty() && !problems.about("models.pm.pool") {
        problems.add("models.pm.pool", "is empty", "name at least one model, like \"kimi\": \"moonshotai/kimi-k2\"");
    }
    for (name, model) in &pm.pool {
        let key = format!("models.pm.pool.{name}");
        if name.is_empty() || name.contains(char::is_whitespace) {
            problems.add(&key, "has a name that cannot be typed after `!pm`", "use a name of one word");
        }
        take(problems, key, value::slug(model));
    }
    // A name where a slug belongs would only fail at the first message, with the server's words.
    if let Some((name, model)) = pm.pool.iter().find(|(name, model)| *name == pm.default && name != model) {
        let what = format!("is `{name}`, a name in the pool");
        problems.add("models.pm.default", what, format!("write the model itself: {model}"));
    }
}

fn slug(text: String, key: &str, problems: &mut Problems<'_>) -> String {
    take(problems, key, value::slug(&text)).map(|_| text).unwrap_or_default()
}

fn slugs(texts: Vec<String>, key: &str, problems: &mut Problems<'_>) -> Vec<String> {
    for (index, text) in texts.iter().enumerate() {
        take(problems, format!("{key}[{index}]"), value::slug(text));
    }
    texts
}

fn builds(builds: BTreeMap<String, u32>, problems: &mut Problems<'_>) -> BTreeMap<Platform, u32> {
    let mut known = BTreeMap::new();
    for (name, count) in builds {
        let key = format!("limits.concurrentBuilds.{name}");
        let Some(platform) = Platform::parse(&name) else {
            let names = Platform::ALL.map(Platform::name).join(", ");
            problems.add(key, "is no platform whose builds are known", format!("write one of {names}"));
            continue;
        };
        if count == 0 {
            problems.add(key, "is 0, so nothing could ever be built", "write 1 or more");
        }
        known.insert(platform, count);
    }
    known
}

fn git(file: raw::RepoGit, problems: &mut Problems<'_>) -> settings::RepoGit {
    if let Some(base) = &file.base
        && !value::branch(base)
    {
        let what = format!("`{base}` cannot be the name of a branch");
        problems.add("git.base", what, "write the branch, like main, or null for the remote's default");
    }
    if file.branch_prefix.is_empty() || !value::branch(&format!("{}x", file.branch_prefix)) {
        let what = format!("`{}` cannot begin the name of a branch", file.branch_prefix);
        problems.add("git.branchPrefix", what, "write something like codebutler/");
    }
    settings::RepoGit { base: file.base, branch_prefix: file.branch_prefix, journal: file.journal }
}

fn commands(commands: &[String], key: &str, problems: &mut Problems<'_>) {
    for (index, command) in commands.iter().enumerate() {
        if command.trim().is_empty() {
            problems.add(format!("{key}[{index}]"), "is empty", "write a shell command or remove it");
        }
    }
}
