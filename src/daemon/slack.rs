//! The daemon for Slack: every configured repository, each in its channel.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::open::Opened;
use super::projects::{self, Ready};
use super::{Failure, Notice, Served, life, load, model, sandbox_notice};
use crate::chat::Chat;
use crate::chat::slack::{SlackChat, SlackOptions, SlackTiming};
use crate::config::{Need, RepoSettings, Settings};
use crate::ids::ChannelId;
use crate::lock::slack_app::{self, AppLock};
use crate::offload::offload;
use crate::runtime::Tasks;
use crate::runtime::ledger::Ledger;
use crate::runtime::models::Models;
use crate::runtime::slots::Slots;
use crate::runtime::tasks::TaskKind;
use crate::runtime::witness::Witness;

/// Everything that serves, ready to listen.
struct Start {
    slack: SlackChat,
    projects: Vec<Ready>,
    stop_grace: Duration,
    alone: AppLock,
}

/// Serves every configured repository in Slack until `shutdown`, which also ends the start.
pub async fn serve_slack(
    home: &Path,
    repos: &[PathBuf],
    on_notice: impl Fn(&Notice),
    on_ready: impl Fn(&[Served]) + Send + Sync + 'static,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Vec<Failure>> {
    tokio::pin!(shutdown);
    let starting = start(home, repos, on_notice);
    let Some(started) = life::start(shutdown.as_mut(), starting).await? else { return Ok(()) };
    let Start { slack, projects, stop_grace, alone: _alone } = started;
    let tasks = Tasks::default();
    let served: Vec<Served> = (projects.iter())
        .map(|ready| Served { channel: ready.channel.clone(), repository: ready.root.clone() })
        .collect();
    let stores = projects.iter().map(Ready::store).collect();
    let routes = projects::serve(projects, &tasks);
    let stop = tasks.stop_token();
    tasks.spawn(TaskKind::Chat, "slack", async move {
        slack.run(Arc::new(routes), move || on_ready(&served), stop).await;
    });
    life::serve(tasks, stores, stop_grace, shutdown).await
}

async fn start(home: &Path, repos: &[PathBuf], on_notice: impl Fn(&Notice)) -> Result<Start, Vec<Failure>> {
    let Settings { global, repos } = load(home, repos, Need::Slack)?;
    if repos.is_empty() {
        let hint = "list it in `repos` of the global config.json, name it with --repo PATH, or go into it";
        return Err(vec![Failure::new("there is no repository to serve", hint)]);
    }
    let (Some(bot_token), Some(app_token)) = (global.slack.bot_token.clone(), global.slack.app_token.clone()) else {
        return Err(vec![Failure::new("the Slack tokens are missing", "run `codebutler config check`")]);
    };
    // Before anything is opened: beside another daemon nothing else matters.
    let (own_home, api_url, token) = (home.to_owned(), global.slack.api_url.clone(), app_token.clone());
    let Some(alone) = offload(move || slack_app::hold(&own_home, &api_url, &token)).await else {
        return Err(vec![Failure::stopping()]);
    };
    let alone = alone.map_err(|error| vec![error.into()])?;
    let mut problems = Vec::new();
    let mut opened = Vec::new();
    for repo in repos {
        let others = opened.iter().map(|(other, one): &(RepoSettings, Opened)| one.listed_as(&other.path)).collect();
        match Opened::open(&repo, &global.author, others).await {
            Ok(one) => opened.push((repo, one)),
            Err(problem) => problems.push(problem),
        }
    }
    let channels: Vec<(ChannelId, String)> =
        opened.iter().filter_map(|(repo, _)| Some((repo.channel.clone()?, channel_name(repo)))).collect();
    let timing = SlackTiming { retry_base: global.timing.retry_base, ..SlackTiming::default() };
    let options = SlackOptions { bot_token, app_token, api_url: global.slack.api_url.clone(), timing };
    let slack = match SlackChat::start(options, &channels).await {
        Ok(slack) => Some(slack),
        Err(of_slack) => {
            problems.extend(of_slack.into_iter().map(|problem| Failure::new(problem.what, problem.hint)));
            None
        }
    };
    let (Some(slack), true) = (slack, problems.is_empty()) else { return Err(problems) };
    let model = model(&global)?;
    sandbox_notice(&global).iter().for_each(&on_notice);
    let chat: Arc<dyn Chat> = Arc::new(slack.clone());
    let (slots, models, ledger) = (Slots::default(), Models::default(), Ledger::beside_others(home));
    let mut projects = Vec::new();
    for (repo, one) in opened {
        let Some(channel) = repo.channel.clone() else { continue };
        let (name, root) = (channel_name(&repo), one.repository.root().to_owned());
        one.notices.iter().for_each(&on_notice);
        let settings = projects::settings(home, &global, &repo, false);
        let (chat, server) = (Arc::clone(&chat), (Arc::clone(&model), models.clone(), ledger.clone()));
        let project = one.project(&channel, chat, server, settings, slots.clone(), Witness::default()).await?;
        projects.push(Ready { channel, name, root, project });
    }
    Ok(Start { slack, projects, stop_grace: global.timing.stop_grace, alone })
}

fn channel_name(repo: &RepoSettings) -> String {
    repo.channel_name.clone().or_else(|| repo.channel.as_ref().map(ToString::to_string)).unwrap_or_default()
}
