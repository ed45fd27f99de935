//! Who is let in, what the page may load, and how it stops.

use super::*;

#[tokio::test]
async fn only_who_has_the_token_and_comes_from_here_is_let_in() {
    with_page(bind(vec![]), Mood::Takes, async |page| {
        let port = page.origin.rsplit(':').next().expect("a port").to_owned();
        let get = |path: &str| page.http.get(format!("{}{path}", page.origin));
        let post = |path: &str| page.post(path, &json!({ "text": "hello" }));
        let cookie = |value: &str| format!("other=1; codebutler_{port}={value}");
        let (token, wrong) = (page.token.as_str(), "0".repeat(32));
        let other_port = if port == "1" { "2" } else { "1" };
        let cases = [
            ("no token", get("/"), 403),
            ("no token for a file", get("/page.js"), 403),
            ("no token for the chat", get("/api/state"), 403),
            ("no token for the log", get("/api/log"), 403),
            ("no token for events", get("/api/events"), 403),
            ("an unknown path", get("/etc/passwd"), 403),
            ("a wrong token in the address", get(&format!("/?t={wrong}")), 403),
            ("a shorter token", get(&format!("/?t={}", &token[..31])), 403),
            ("an empty token", get("/?t="), 403),
            ("the token at another path", get(&format!("/api/state?t={token}")), 403),
            ("a wrong cookie", get("/").header(COOKIE, cookie(&wrong)), 403),
            ("the cookie of another port", get("/").header(COOKIE, format!("codebutler_1={token}")), 403),
            ("a wrong bearer", get("/api/state").header(AUTHORIZATION, format!("Bearer {wrong}")), 403),
            ("a rebound name", page.get("/api/state").header(HOST, format!("evil.example:{port}")), 403),
            ("another port", page.get("/api/state").header(HOST, format!("localhost:{other_port}")), 403),
            ("a rebound name with the printed token", get(&format!("/?t={token}")).header(HOST, "evil.example"), 403),
            ("another page", post("/api/messages").header(ORIGIN, "https://evil.example"), 403),
            ("another local page", post("/api/messages").header(ORIGIN, format!("http://localhost:{other_port}")), 403),
            ("no page at all", post("/api/messages").header(ORIGIN, "null"), 403),
            ("another scheme", post("/api/messages").header(ORIGIN, format!("https://localhost:{port}")), 403),
            ("the printed address", get(&format!("/?t={token}")), 303),
            ("the cookie", get("/").header(COOKIE, cookie(token)), 200),
            ("the bearer", page.get("/api/state"), 200),
            ("localhost", page.get("/").header(HOST, format!("LOCALHOST:{port}")), 200),
            ("IPv6", page.get("/").header(HOST, format!("[::1]:{port}")), 200),
            ("this page", post("/api/messages").header(ORIGIN, format!("http://localhost:{port}")), 200),
            ("an unknown path with the token", page.get("/etc/passwd"), 404),
        ];
        for (case, request, expected) in cases {
            let response = request.send().await.expect("an answer");
            assert_eq!(response.status().as_u16(), expected, "{case}");
            assert_hardened(&response, case);
        }
        assert_eq!(page.taken().len(), 1, "what was refused must not come in");
    })
    .await;
}

fn assert_hardened(response: &Response, case: &str) {
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str().expect("text"));
    let policy = header("content-security-policy").unwrap_or_default();
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{case}: {policy}");
    assert_eq!(header("x-content-type-options"), Some("nosniff"), "{case}");
    assert_eq!(header("referrer-policy"), Some("no-referrer"), "{case}");
    assert_eq!(header("cache-control"), Some("no-store"), "{case}");
}

#[tokio::test]
async fn the_printed_address_becomes_a_strict_cookie_that_opens_the_page() {
    with_page(bind(vec![]), Mood::Takes, async |page| {
        let response = page.http.get(page.chat.url()).send().await.expect("an answer");
        assert_eq!(response.headers()[LOCATION], "/");
        let cookie = response.headers()[SET_COOKIE].to_str().expect("text").to_owned();
        let (pair, attributes) = cookie.split_once("; ").expect("attributes");
        assert_eq!(attributes, "Path=/; HttpOnly; SameSite=Strict");
        for path in ["/", "/page.css", "/page.js", "/view.js", "/icon.svg"] {
            let request = page.http.get(format!("{}{path}", page.origin)).header(COOKIE, pair);
            assert_eq!(request.send().await.expect("an answer").status(), StatusCode::OK, "{path}");
        }
        let closed = page.http.get(&page.origin).send().await.expect("an answer").text().await.expect("text");
        assert!(closed.contains("This page opens with the address"), "{closed}");
        assert!(!closed.contains(&page.token));
    })
    .await;
}

#[test]
fn the_page_asks_for_nothing_from_elsewhere_and_has_nothing_inline() {
    let files = [
        include_str!("../page.html"),
        include_str!("../page.css"),
        include_str!("../page.js"),
        include_str!("../view.js"),
    ];
    for file in files {
        let file = file.replace("http://www.w3.org/2000/svg", "");
        for active in ["http:", "https:", "url(", "@import", "style=", "onclick", "<script>", "<style", "eval("] {
            assert!(!file.contains(active), "{active}");
        }
    }
}

#[test]
fn beyond_loopback_a_configured_token_is_needed() {
    let bind = |token: Option<&str>| {
        LocalChat::bind(
            LocalOptions {
                listen: ([0, 0, 0, 0], 0).into(),
                token: token.map(str::to_owned),
                title: "shop".into(),
                notice: None,
                channel: ChannelId::new("local"),
                log: Arc::new(FakeLog),
            },
            vec![],
        )
        .map(|chat| chat.url().split_once("/?t=").expect("a token").1.to_owned())
        .map_err(|error| error.to_string())
    };
    let too_weak = "the page's token needs at least 16 letters, digits, - or _".to_owned();
    assert_eq!(bind(None), Err("listening beyond this machine needs a configured token".to_owned()));
    assert_eq!(bind(Some("short")), Err(too_weak.clone()));
    assert_eq!(bind(Some("0123456789abcdef;Path=/x")), Err(too_weak));
    assert_eq!(bind(Some("0123456789abcdef")), Ok("0123456789abcdef".to_owned()));
}

#[tokio::test]
async fn the_log_is_read_by_thread_and_number() {
    with_page(bind(vec![]), Mood::Takes, async |page| {
        for (query, thread, text) in [
            ("", Value::Null, "after None, at most 200"),
            ("?thread=1.0&after=5&limit=3", json!("1.0"), "after Some(5), at most 3"),
        ] {
            let lines = json(page.get(&format!("/api/log{query}")).send().await.expect("an answer")).await;
            let time = "2025-01-02T03:04:05.678Z";
            assert_eq!(lines, json!([{ "seq": 7, "time": time, "tag": "MSG", "thread": thread, "text": text }]));
        }
        let wrong = page.get("/api/log?after=x").send().await.expect("an answer");
        assert_eq!(wrong.status(), StatusCode::BAD_REQUEST);
    })
    .await;
}

#[tokio::test]
async fn open_pages_and_silent_connections_do_not_hold_up_the_stop() {
    let held = Mutex::new(None);
    with_page(bind(vec![]), Mood::Takes, async |page| {
        let address = page.origin.strip_prefix("http://").expect("http");
        let silent = tokio::net::TcpStream::connect(address).await.expect("a connection");
        let half = tokio::net::TcpStream::connect(address).await.expect("a connection");
        half.try_write(b"GET / HT").expect("room for a few bytes");
        let mut events = page.events(0).await;
        page.say("hello").await;
        events.next().await;
        *held.lock().expect("no panic") = Some((silent, half, events));
    })
    .await;
}
