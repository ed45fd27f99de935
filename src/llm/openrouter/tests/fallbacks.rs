//! Fallbacks and breakers over real sockets: who is asked, how often, and what it comes to.

use std::time::Instant;

use super::*;
use crate::llm::Fallback;

/// A request to `a/b` that may go to these models, each with messages of its own.
fn with_fallback(models: &[&str]) -> ModelRequest {
    let messages = |model: &str| {
        let text = format!("for {model}");
        let messages = json!([
            {"role": "system", "content": [{"type": "text", "text": "rules"}]},
            {"role": "user", "content": [{"type": "text", "text": text}]},
        ]);
        Bytes::from(messages.to_string())
    };
    let models = models.iter().map(|model| (*model).to_owned()).collect();
    ModelRequest { messages: messages("a/b"), fallback: Fallback::new(models, messages), ..request() }
}

/// A server whose models go wrong as `script` says by model and number of the request.
struct Server {
    model: Arc<OpenRouter>,
    log: crate::scripted::ScriptedLog,
}

impl Server {
    fn start(
        script: impl Fn(&str, usize) -> Option<ScriptedFault> + Send + 'static,
        change: impl FnOnce(&mut OpenRouterOptions),
    ) -> Self {
        let script = move |request: &ScriptedRequest| {
            // Bytes made for one model must never go to another.
            assert_eq!(request.last_user_text(), format!("for {}", request.model));
            match script(&request.model, request.number) {
                Some(fault) => ScriptedReply::fault(fault),
                None => ScriptedReply::text(format!("{} is fine", request.model)),
            }
        };
        let server = ScriptedServer::start(script).expect("a port is free").expect_key(KEY);
        let (log, mut options) = (server.log(), options(&server.url()));
        change(&mut options);
        #[expect(clippy::disallowed_methods, reason = "a test's server; it ends with the test's runtime")]
        tokio::spawn(server.serve(pending()));
        Self { model: Arc::new(model(options)), log }
    }

    /// The outcome in words, and the models that were asked for it.
    async fn ask(&self, fallback: &[&str]) -> (String, Vec<String>) {
        let before = self.log.requests().len();
        let outcome = self.model.complete(with_fallback(fallback)).await;
        let words = outcome.map_or_else(
            |error| error.to_string(),
            |reply| match reply.instead_of {
                Some(meant) => format!("{} in place of {meant}", reply.text),
                None => reply.text,
            },
        );
        let asked = self.log.requests().into_iter().skip(before).map(|request| request.model).collect();
        (words, asked)
    }
}

fn words(outcome: (String, Vec<String>)) -> (String, String) {
    (outcome.0, outcome.1.join(" "))
}

#[tokio::test]
async fn the_fallback_answers_when_the_model_does_not() {
    type Script = fn(&str, usize) -> Option<ScriptedFault>;
    let cases: [(&str, Script, &str, &str); 9] = [
        ("healthy", |_, _| None, "a/b is fine", "a/b"),
        ("one hiccup", |_, number| (number == 0).then(|| status(502, "x")), "a/b is fine", "a/b a/b"),
        (
            "broken",
            |model, _| (model == "a/b").then(|| status(503, "x")),
            "c/d is fine in place of a/b",
            "a/b a/b a/b c/d",
        ),
        ("gone", |model, _| (model == "a/b").then(|| status(404, "x")), "c/d is fine in place of a/b", "a/b c/d"),
        (
            "moderated",
            |model, _| {
                let body = r#"{"error":{"code":403,"message":"m","metadata":{"reasons":["x"]}}}"#.to_owned();
                (model == "a/b").then_some(ScriptedFault::Status { code: 403, body, retry_after: None })
            },
            "c/d is fine in place of a/b",
            "a/b c/d",
        ),
        (
            "empty",
            |model, _| (model == "a/b").then_some(ScriptedFault::EmptyStream),
            "c/d is fine in place of a/b",
            "a/b a/b a/b c/d",
        ),
        (
            "no credit",
            |_, _| Some(status(402, "pay")),
            "the model service refuses calls for lack of credit (402): pay",
            "a/b",
        ),
        (
            "both gone",
            |_, _| Some(status(404, "x")),
            "the model is not available: x; the fallback `c/d` failed too: the model is not available: x",
            "a/b c/d",
        ),
        (
            "the key ends in between",
            |model, _| Some(if model == "a/b" { status(404, "x") } else { status(401, "no") }),
            "the model service does not accept the key (401): no",
            "a/b c/d",
        ),
    ];
    for (what, script, expected, asked) in cases {
        let server = Server::start(script, |_| {});
        let outcome = words(server.ask(&["c/d"]).await);
        assert_eq!(outcome, (expected.to_owned(), asked.to_owned()), "{what}");
    }
}

#[tokio::test]
async fn a_model_that_failed_three_times_rests_and_is_tried_by_one_call() {
    let broken = Arc::new(AtomicUsize::new(1));
    let is_broken = Arc::clone(&broken);
    let script = move |model: &str, _| {
        let broken = is_broken.load(Ordering::SeqCst) == 1;
        (model == "a/b" && broken).then(|| status(500, "x"))
    };
    let server = Server::start(script, |options| options.breaker = Duration::from_millis(400));
    let fallback = || "c/d is fine in place of a/b".to_owned();
    let rest = Duration::from_millis(400);
    assert_eq!(words(server.ask(&["c/d"]).await), (fallback(), "a/b a/b a/b c/d".to_owned()));
    let rested = Instant::now();
    let outcome = words(server.ask(&["c/d"]).await);
    // On a machine that was busy for so long the next call is the trial already.
    if rested.elapsed() < rest {
        assert_eq!(outcome, (fallback(), "c/d".to_owned()), "it rests");
    }
    tokio::time::sleep(rest).await;
    assert_eq!(words(server.ask(&["c/d"]).await), (fallback(), "a/b c/d".to_owned()), "one trial, which fails");
    broken.store(0, Ordering::SeqCst);
    tokio::time::sleep(rest).await;
    let at_once = futures_util::future::join_all((0..8).map(|_| server.ask(&["c/d"]))).await;
    let tried = at_once.iter().filter(|(words, _)| words == "a/b is fine").count();
    assert!(tried >= 1, "{at_once:?}");
    assert_eq!(words(server.ask(&["c/d"]).await), ("a/b is fine".to_owned(), "a/b".to_owned()), "it is back");
}

#[tokio::test]
async fn without_a_fallback_the_breaker_never_refuses() {
    let server = Server::start(|_, number| (number < 9).then(|| status(500, "x")), |_| {});
    let (_, asked) = server.ask(&[]).await;
    assert_eq!(asked.len(), 6);
    assert_eq!(words(server.ask(&[]).await), ("a/b is fine".to_owned(), "a/b a/b a/b a/b".to_owned()));
}

#[tokio::test]
async fn a_trial_that_is_stopped_is_given_back() {
    let script = |model: &str, number: usize| match (model, number) {
        ("a/b", 0..=2) => Some(status(500, "x")),
        ("a/b", 4) => Some(ScriptedFault::Silent),
        _ => None,
    };
    let server = Server::start(script, |options| options.breaker = Duration::ZERO);
    server.ask(&["c/d"]).await;
    let stopped = Arc::clone(&server.model);
    let trial = stopped.complete(with_fallback(&["c/d"]));
    let arrived = async {
        while server.log.requests().len() < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        outcome = trial => panic!("it is silent: {outcome:?}"),
        () = arrived => {}
    }
    assert_eq!(words(server.ask(&["c/d"]).await), ("a/b is fine".to_owned(), "a/b".to_owned()));
}
