//! What people write and press: it reaches the daemon, or the page says that it did not.

use super::*;

#[tokio::test]
async fn a_message_reaches_the_daemon_and_then_the_page() {
    with_page(bind(vec![]), Mood::Takes, async |page| {
        let mut events = page.events(0).await;
        let first = page.say("  @CodeButler: fix the `export`\nplease ").await;
        let event = events.next().await;
        let ts = first.ts.as_str();
        assert_eq!(
            event,
            json!({
                "version": event["version"],
                "thread": { "ts": ts, "title": "fix the export", "state": "working" },
                "message": {
                    "thread": ts, "ts": ts, "key": format!("you/{ts}"), "author": "you",
                    "markdown": "@CodeButler: fix the `export`\nplease",
                    "html": "<p>@CodeButler: fix the <code>export</code><br />\nplease</p>\n",
                    "buttons": [], "file": null, "reactions": [], "ephemeral": false, "edited": false,
                    "version": event["version"],
                },
            })
        );
        let answer = page.post("/api/messages", &json!({ "thread": ts, "text": "and the import" })).send().await;
        let answer = json(answer.expect("an answer")).await;
        let second = answer["ts"].as_str().expect("a timestamp");
        assert_eq!(answer, json!({ "thread": ts, "ts": second }));
        assert!(second > ts);
        let event = events.next().await;
        assert_eq!((&event["message"]["thread"], &event["message"]["ts"]), (&json!(ts), &json!(second)));

        let incoming = |ts: &str, text: &str, to_bot| Incoming {
            thread: first.clone(),
            from: UserId::local(),
            name: "you".into(),
            what: IncomingKind::Message { ts: MessageTs::new(ts), text: text.into(), to_bot, files: vec![] },
            dedupe: vec![format!("local:{ts}")],
        };
        assert_eq!(
            page.taken(),
            [incoming(ts, "fix the `export`\nplease", true), incoming(second, "and the import", false)]
        );
        let state = page.state().await;
        assert_eq!((&state["title"], &state["notice"]), (&json!("shop"), &json!("scripted model")));
        assert_eq!(state["threads"].as_array().map(Vec::len), Some(1));
        assert_eq!(state["threads"][0]["messages"][1], event["message"]);
    })
    .await;
}

#[tokio::test]
async fn what_could_not_be_stored_is_refused_and_not_shown() {
    for (mood, status) in [(Mood::Breaks, 503), (Mood::Refuses, 409)] {
        with_page(bind(vec![]), mood, async |page| {
            let answer = page.post("/api/messages", &json!({ "text": "hello" })).send().await.expect("an answer");
            assert_eq!(answer.status().as_u16(), status);
            assert!(json(answer).await["error"].as_str().is_some_and(|words| !words.contains("disk")));
            assert_eq!(page.state().await["threads"], json!([]));
        })
        .await;
    }
}

#[tokio::test]
async fn requests_that_make_no_sense_do_not_reach_the_daemon() {
    with_page(bind(vec![]), Mood::Takes, async |page| {
        let press = json!({ "thread": "1.000001", "action": "plan_approve", "value": "p1" });
        let form = page.http.post(format!("{}/api/messages", page.origin)).body("{\"text\":\"x\"}");
        let cases = [
            ("an empty message", page.post("/api/messages", &json!({ "text": " \n" })), 400),
            ("an unknown thread", page.post("/api/messages", &json!({ "thread": "1.000001", "text": "x" })), 404),
            ("a press in an unknown thread", page.post("/api/press", &press), 404),
            ("an unknown field", page.post("/api/messages", &json!({ "text": "x", "from": "Ana" })), 422),
            ("too much", page.post("/api/messages", &json!({ "text": "x".repeat(256 * 1024) })), 413),
            ("a form", form.header(AUTHORIZATION, format!("Bearer {}", page.token)), 415),
            ("another method", page.get("/api/messages"), 405),
        ];
        for (case, request, expected) in cases {
            assert_eq!(request.send().await.expect("an answer").status().as_u16(), expected, "{case}");
        }
        assert_eq!(page.taken(), []);
    })
    .await;
}

#[tokio::test]
async fn a_press_reaches_the_daemon_each_time() {
    with_page(bind(vec![]), Mood::Takes, async |page| {
        let thread = page.say("hello").await;
        let body = json!({ "thread": thread.ts, "action": "plan_approve", "value": "p1" });
        for _ in 0..2 {
            let answer = page.post("/api/press", &body).send().await.expect("an answer");
            assert_eq!(json(answer).await, json!({}));
        }
        let taken = page.taken();
        let pressed = IncomingKind::Pressed { action: "plan_approve".into(), value: "p1".into() };
        assert_eq!((&taken[1].thread, &taken[1].what, &taken[2].what), (&thread, &pressed, &pressed));
        assert_ne!(taken[1].dedupe, taken[2].dedupe, "two presses are two things");
    })
    .await;
}

#[tokio::test]
async fn a_reaction_that_overtakes_the_answer_stays_and_shows_the_message() {
    let chat = bind(vec![]);
    with_page(Arc::clone(&chat), Mood::SeesFirst(chat), async |page| {
        page.say("hello").await;
        let state = page.state().await;
        let shown = &state["threads"][0]["messages"][0];
        assert_eq!((&shown["markdown"], &shown["reactions"]), (&json!("hello"), &json!(["eyes"])));
    })
    .await;
}

#[tokio::test]
async fn a_thread_is_called_by_its_first_line_and_says_whose_turn_it_is() {
    with_page(bind(vec![]), Mood::Takes, async |page| {
        let button = |action: &str| Button { action: action.into(), ..approve() };
        let link = Button { url: Some("https://example.org".into()), ..approve() };
        let long = "x".repeat(100);
        let cases = [
            ("\n\n first \nsecond", vec![], "first".to_owned(), "working"),
            ("@codebutler **big** `one`", vec![button("run_stop")], "big one".to_owned(), "working"),
            (&long, vec![button("pr_merge")], format!("{}…", "x".repeat(80)), "waiting"),
            ("a", vec![button("run_retry")], "a".to_owned(), "waiting"),
            ("b", vec![button("pm_model"), link], "b".to_owned(), "working"),
        ];
        for (text, buttons, title, turn) in cases {
            let thread = page.say(text).await;
            page.chat.post(&thread, "say/1", &message("PM", "?", buttons)).await.expect("posted");
            let state = page.state().await;
            let summary = state["threads"].as_array().expect("threads").last().expect("the new one");
            assert_eq!((&summary["title"], &summary["state"]), (&json!(title), &json!(turn)), "{text:?}");
        }
        let retried = page.say("c").await;
        page.chat.post(&retried, "failed/1", &message("PM", "?", vec![button("run_retry")])).await.expect("posted");
        page.chat.post(&retried, "say/2", &message("PM", "on it", vec![])).await.expect("posted");
        let state = page.state().await;
        assert_eq!(state["threads"].as_array().expect("threads").last().expect("it")["state"], "working");
    })
    .await;
}

#[tokio::test]
async fn a_thread_is_worked_on_from_a_press_until_something_is_posted() {
    with_page(bind(vec![]), Mood::Takes, async |page| {
        let thread = page.say("hello").await;
        let done = Post::Reaction { ts: thread.ts.clone(), name: "white_check_mark".into() };
        page.chat.post(&thread, "done", &done).await.expect("posted");
        let card = page.chat.post(&thread, "plan/1", &message("PM", "?", vec![approve()])).await.expect("posted");
        let turn = async || page.state().await["threads"][0]["state"].clone();
        assert_eq!(turn().await, "waiting");
        let body = json!({ "thread": thread.ts, "action": "plan_approve", "value": "p1" });
        page.post("/api/press", &body).send().await.expect("an answer");
        let approved = message("PM", "approved", vec![]);
        page.chat.edit(&thread, &card.expect("a card"), "plan/1", &approved).await.expect("edited");
        assert_eq!(turn().await, "working");
        page.chat.post(&thread, "say/1", &message("Lead", "merged", vec![])).await.expect("posted");
        assert_eq!(turn().await, "idle");
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_is_taken_whole_though_the_client_hangs_up_before_its_answer() {
    let (begun, told) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let mood = Mood::Waits { begun: Arc::clone(&begun), told: Arc::clone(&told) };
    with_page(bind(vec![]), mood, async |page| {
        let mut events = page.events(0).await;
        let sending = page.post("/api/messages", &json!({ "text": "hello" })).send();
        tokio::select! {
            answer = sending => panic!("{answer:?}"),
            () = begun.notified() => {}
        }
        // The server has seen that the other end is gone when it answers somebody who came later.
        page.state().await;
        told.notify_one();
        assert_eq!(events.next().await["message"]["markdown"], "hello");
        assert_eq!(page.taken().len(), 1);
    })
    .await;
}
