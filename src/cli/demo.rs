//! `codebutler demo`: the whole product on a fresh machine, with a sample repository.

use std::net::SocketAddr;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use secrecy::SecretString;

use super::conversation::Conversation;
use super::{Ended, asynchronous, chat, out};
use crate::config::process_env;
use crate::config::settings::SandboxLevel;
use crate::daemon::Failure;
use crate::demo::{self, DemoEvent, DemoModel, DemoOptions};
use crate::telemetry;

/// See it work on a sample repository, with no account and no key.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  codebutler demo           open the page it prints and press Approve\n  \
    codebutler demo --auto    plays the user too and ends after the merge\n\n\
    The model is a script, and says so; every tool call is really executed. With OPENROUTER_API_KEY set, or with\n\
    --model-url and --model, a real model answers: its commands then need the sandbox level `full`, or the level\n\
    that you give by --sandbox.")]
pub(super) struct Args {
    /// Play the user too, print the conversation, end once the pull request is merged.
    #[arg(long)]
    auto: bool,
    /// The loopback address of the page. Default: a free port.
    #[arg(long, value_name = "ADDR", value_parser = chat::listen)]
    listen: Option<SocketAddr>,
    /// Keep the sample repository.
    #[arg(long)]
    keep: bool,
    /// An OpenAI-compatible server to ask, like http://127.0.0.1:8080/v1.
    #[arg(long, value_name = "URL", requires = "model", value_parser = crate::config::address_of_server)]
    model_url: Option<String>,
    /// The model to ask for.
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    /// The sandbox level to use.
    #[arg(long, value_name = "LEVEL", value_parser = levels())]
    sandbox: Option<SandboxLevel>,
}

fn levels() -> impl clap::builder::TypedValueParser<Value = SandboxLevel> {
    PossibleValuesParser::new(["full", "reduced", "none"]).map(|word| match word.as_str() {
        "full" => SandboxLevel::Full,
        "reduced" => SandboxLevel::Reduced,
        _ => SandboxLevel::None,
    })
}

pub(super) fn obey(args: Args) -> Result<(), Ended> {
    let key = process_env("OPENROUTER_API_KEY").filter(|key| !key.trim().is_empty());
    let model = model(args.model_url, args.model, key)?;
    let (auto, listen, keep, sandbox) = (args.auto, args.listen, args.keep, args.sandbox);
    telemetry::init(&process_env, telemetry::Level::Trouble);
    let options = DemoOptions { auto, listen, keep, model, sandbox };
    let conversation = Conversation::new();
    let tell = |event: DemoEvent<'_>| match event {
        DemoEvent::Page { url, notice, repository } if !auto => out::output(&format!(
            "Sample repository: {}\n{notice}\n\nOpen this page; Ctrl-C ends the demo:\n\n    {url}\n\n",
            repository.display()
        )),
        DemoEvent::Page { url, notice, .. } => out::output(&format!("{notice} · page: {url}\n")),
        DemoEvent::Said(said) => out::output(&conversation.text(said)),
    };
    if let Some(outcome) = asynchronous::run(|stop| demo::run(options, tell, stop))? {
        out::output(&format!("\nmerged in {:.1} s: {}\n", outcome.took.as_secs_f64(), outcome.notice));
    }
    Ok(())
}

/// Who answers. A key is only ever sent to OpenRouter.
fn model(url: Option<String>, model: Option<String>, key: Option<String>) -> Result<DemoModel, Ended> {
    match (url, model, key) {
        (Some(base_url), Some(model), _) => Ok(DemoModel::Server { base_url, model }),
        (_, model, Some(key)) => Ok(DemoModel::OpenRouter { api_key: SecretString::from(key), model }),
        (_, None, None) => Ok(DemoModel::Scripted),
        (_, Some(_), None) => Err(Ended::Usage(Failure {
            what: "--model says what to ask for but not where".into(),
            hint: "add --model-url URL, or set OPENROUTER_API_KEY".into(),
        })),
    }
}

#[cfg(test)]
mod tests {
    use super::model;

    #[test]
    fn who_answers_follows_from_flags_and_key() {
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            (None, None, None, "Ok(Scripted)"),
            (some("http://h/v1"), some("m"), some("k"), r#"Ok(Server { base_url: "http://h/v1", model: "m" })"#),
            (None, None, some("k"), "Ok(OpenRouter { api_key: SecretBox<str>([REDACTED]), model: None })"),
            (None, some("m"), some("k"), r#"Ok(OpenRouter { api_key: SecretBox<str>([REDACTED]), model: Some("m") })"#),
        ];
        for (url, name, key, expected) in cases {
            assert_eq!(format!("{:?}", model(url, name, key)), expected);
        }
        assert!(model(None, some("m"), None).is_err());
    }
}
