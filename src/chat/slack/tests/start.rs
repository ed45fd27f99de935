//! What is wrong at the start is said before anything is listened to.

use super::*;

#[tokio::test]
async fn everything_that_is_wrong_at_start_is_said_at_once() {
    let slack = FakeSlack::start().await;
    let wrong = |what: &str, hint: &str| (what.to_owned(), hint.to_owned());
    let start = async |options: SlackOptions, channels: &[(&str, &str)]| {
        let problems = SlackChat::start(options, &bound(channels)).await.err().expect("it cannot start");
        problems.into_iter().map(|problem| (problem.what, problem.hint)).collect::<Vec<_>>()
    };
    let channels = start(options(&slack), &[(SHOP, "shop"), (RANDOM, "old-name"), ("C404", "gone")]).await;
    assert_eq!(
        channels,
        [
            wrong("the bot is not in #random (C0RANDOM)", "in Slack, type /invite @codebutler there"),
            wrong(
                "there is no channel C404 (#gone) that the bot can see",
                "check slack.channelID; if the channel is private, type /invite @codebutler there"
            ),
        ]
    );
    let swapped = SlackOptions { bot_token: APP_TOKEN.into(), app_token: "xapp-old".into(), ..options(&slack) };
    let tokens: Vec<_> = start(swapped, &[(SHOP, "shop")]).await.into_iter().map(|(what, _)| what).collect();
    assert_eq!(
        tokens,
        ["Slack refuses slack.botToken (not_allowed_token_type)", "Slack refuses slack.appToken (invalid_auth)",]
    );
    let url = slack.api_url();
    drop(slack);
    let gone = SlackOptions {
        bot_token: BOT_TOKEN.into(),
        app_token: APP_TOKEN.into(),
        api_url: "http://127.0.0.1:9/api".into(),
        timing: timing(),
    };
    let [(what, hint)] = <[_; 1]>::try_from(start(gone, &[]).await).expect("one problem, not one per token");
    assert!(what.starts_with("Slack cannot be reached at http://127.0.0.1:9/api ("), "{what} {url}");
    assert_eq!(hint, "check the network and slack.apiUrl");
}
