//! Refusals of Slack's that are none of what is sent but of the bot in that place, and what ends them. Everything else that
//! Slack refuses is refused for good.

/// What somebody can do about a refusal with this code, if that makes it pass.
pub fn remedy(code: &str) -> Option<&'static str> {
    Some(match code {
        "not_in_channel" => "invite the bot into the channel (/invite)",
        // Of a private channel a bot that was taken out of it cannot even see that it is there.
        "channel_not_found" => {
            "invite the bot into the channel (/invite) if it is private; if it was deleted, bind another (slack.channelID)"
        }
        "is_archived" => "unarchive the channel in Slack, or bind another (slack.channelID)",
        "restricted_action" | "restricted_action_read_only_channel" => {
            "have an admin of the workspace allow the bot to post in the channel"
        }
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" => {
            "install the Slack app, put its bot token into slack.botToken, and start codebutler again"
        }
        "account_inactive" => "install the Slack app again: it was removed, or its workspace was",
        "missing_scope" | "no_permission" => {
            "compare the Slack app's scopes with the manifest, install it again, and invite it into the channel"
        }
        "access_denied" | "team_access_not_granted" => {
            "have an admin of the workspace or organisation give the Slack app access to it again"
        }
        "ekm_access_denied" => "have an admin of the organisation end the suspension of its encryption keys",
        "org_login_required" => "wait for the end of the workspace's migration into an organisation",
        _ => return None,
    })
}
