//! GitHub in trouble, and `gh` killed in the middle: nothing is done twice, and every end is a success or clear words.

use std::time::{SystemTime, UNIX_EPOCH};

use super::*;
use crate::thread::outside::PullFate;

/// Every call of a pull request's life that changes something.
const ACTS: [(&str, &str); 4] = [("POST", "/pulls"), ("PATCH", "/pulls/1"), ("POST", "/graphql"), ("PUT", "/merge")];

/// From the draft to the merge.
async fn live(fixture: &Fixture) {
    let unfinished = NewPullRequest { body: format!("{UNFINISHED} Ana stopped it."), ..new(true) };
    fixture.forge.open(&unfinished).await.expect("opened");
    assert_eq!(fixture.forge.open(&new(false)).await, Ok(pull(false)));
    let request = fixture.request().await;
    fixture.forge.merge(&request).await.expect("merged");
}

/// All of it was done, and once.
async fn is_done_once(fixture: &Fixture, case: &str) {
    assert_eq!(fixture.github.doubles(), Vec::<String>::new(), "{case}");
    assert_eq!(fixture.github.pull(2), Value::Null, "{case}");
    let shown = fixture.github.pull(1);
    assert_eq!(
        (&shown["merged"], &shown["draft"], &shown["body"]),
        (&json!(true), &json!(false), &json!(new(false).body))
    );
    assert_eq!(fixture.run("git -C r.git rev-list --count main").await, "2", "{case}");
}

#[tokio::test]
async fn an_answer_that_is_lost_at_any_call_is_made_good() {
    for (status, works) in [(502, true), (503, false), (500, true)] {
        let Some(fixture) = fixture().await else { return };
        for (method, path) in ACTS {
            fixture.github.trouble(Trouble { status, works, ..lost(method, path) });
        }
        live(&fixture).await;
        is_done_once(&fixture, &format!("{status} {works}")).await;
    }
}

#[tokio::test]
async fn a_gh_that_is_killed_at_any_call_is_made_good() {
    for after in [true, false] {
        let Some(mut fixture) = fixture().await else { return };
        let marks = kill_at_every_act(&mut fixture, after).await;
        live(&fixture).await;
        assert_eq!(std::fs::read_dir(marks).expect("a folder").count(), 0, "every call was cut once");
        is_done_once(&fixture, &format!("killed, done: {after}")).await;
    }
}

/// Puts a `gh` in the way that kills itself once at every act: after GitHub did it, or before it is asked.
async fn kill_at_every_act(fixture: &mut Fixture, after: bool) -> PathBuf {
    let real = fixture.run("command -v gh").await;
    let folder = fixture.folder.path();
    let (marks, tools) = (folder.join("marks"), folder.join("tools"));
    for folder in [&marks, &tools] {
        std::fs::create_dir(folder).expect("made");
    }
    let act = if after { format!("{real} \"$@\" >/dev/null 2>&1") } else { ":".to_owned() };
    let mut script = "#!/bin/sh\ncase \" $* \" in\n".to_owned();
    for (number, (method, path)) in ACTS.into_iter().enumerate() {
        let mark = marks.join(number.to_string());
        std::fs::write(&mark, "").expect("written");
        let (mark, path) = (mark.display(), path.trim_start_matches('/'));
        script.push_str(&format!(
            "*\" --method {method} \"*\"{path} \"*) if rm '{mark}' 2>/dev/null; then {act}; kill -9 $$; fi;;\n"
        ));
    }
    script.push_str(&format!("esac\nexec {real} \"$@\"\n"));
    // Made by another process: while this one forks for other tests, a child may hold open for a moment what it writes,
    // and Linux runs no program that is open for writing.
    std::fs::write(tools.join("draft"), script).expect("written");
    fixture.run("cd tools && cp draft gh && chmod 755 gh").await;
    let all = std::env::var("PATH").unwrap_or_default();
    fixture.forge.gh.env.push(("PATH".into(), format!("{}:{all}", tools.display()).into()));
    marks
}

#[tokio::test]
async fn one_that_was_closed_without_an_answer_is_closed() {
    let Some(fixture) = fixture().await else { return };
    fixture.forge.open(&new(false)).await.expect("opened");
    for _ in 0..TRIES {
        fixture.github.trouble(lost("PATCH", "/pulls/1"));
    }
    assert_eq!(fixture.forge.close(1).await, Ok(()));
    assert_eq!(fixture.github.pull(1)["state"], "closed");
}

#[tokio::test]
async fn a_rate_limit_that_ends_soon_is_waited_for_and_a_longer_one_is_told() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let Some(fixture) = fixture().await else { return };
    let limit = |status, method, path| Trouble {
        method,
        path,
        status,
        message: "You have exceeded a secondary rate limit",
        works: false,
    };
    let spent = |reset: u64| vec![("x-ratelimit-remaining", "0".to_owned()), ("x-ratelimit-reset", reset.to_string())];
    let after = |seconds: u64| vec![("retry-after", seconds.to_string())];
    // Nothing was done, so even what must not be done twice is done again.
    fixture.github.trouble_with(limit(403, "POST", "/pulls"), after(2));
    fixture.github.trouble_with(limit(429, "POST", "/pulls"), spent(now + 3));
    fixture.forge.open(&new(false)).await.expect("opened");
    assert_eq!(fixture.asked(), ["GET pulls", "POST pulls", "POST pulls", "POST pulls"]);
    fixture.github.trouble_with(limit(200, "POST", "/graphql"), spent(now));
    assert_eq!(fixture.forge.changes(&[1]).await.map(|seen| seen.len()), Ok(1));
    for (status, method, path, headers, words) in [
        (403, "GET", "/pulls/1", after(90), "refuses more requests for 90 s"),
        (429, "GET", "/pulls/1", after(3600), "refuses more requests for 60 min"),
        // 39 minutes when the test begins, and less later.
        (403, "GET", "/pulls/1", spent(now + 38 * 60), "refuses more requests for 3"),
        (429, "GET", "/pulls/1", Vec::new(), "refuses more requests: "),
    ] {
        let before = fixture.asked().len();
        fixture.github.trouble_with(limit(status, method, path), headers);
        let error = fixture.forge.status(1).await.expect_err("refused");
        assert!(error.what.contains(words) && error.hint.contains("`!retry`"), "{error:?}");
        assert_eq!(fixture.asked().len(), before + 1, "{words}: not asked again");
    }
    fixture.github.trouble_with(limit(200, "POST", "/graphql"), after(600));
    let error = fixture.forge.changes(&[1]).await.expect_err("refused");
    assert!(error.what.contains("refuses more requests for 10 min"), "{error:?}");
    assert_eq!(fixture.github.doubles(), Vec::<String>::new());
}

#[tokio::test]
async fn what_stays_in_trouble_is_told_after_a_few_tries() {
    let Some(mut fixture) = fixture().await else { return };
    for _ in 0..TRIES {
        fixture.github.trouble(Trouble { works: false, ..lost("POST", "/pulls") });
    }
    let error = fixture.forge.open(&new(false)).await.expect_err("refused");
    assert!(error.what.contains("trouble of its own (HTTP 502)") && error.hint.contains("`!retry`"), "{error:?}");
    fixture.forge.open(&new(false)).await.expect("opened");
    for _ in 0..TRIES {
        fixture.github.trouble(Trouble { works: false, ..lost("PUT", "/merge") });
    }
    let request = fixture.request().await;
    let error = refused(fixture.forge.merge(&request).await);
    assert!(error.what.contains("HTTP 502") && error.hint.contains("`!retry`"), "{error:?}");
    // Nobody at all.
    let socket = fixture.forge.gh.env.iter().position(|(name, _)| name == "GH_CONFIG_DIR").expect("set");
    fixture.forge.gh.env.remove(socket);
    let nowhere = fixture.folder.path().join("nowhere");
    std::fs::create_dir(&nowhere).expect("made");
    std::fs::write(nowhere.join("config.yml"), "http_unix_socket: /nowhere/socket\n").expect("written");
    fixture.forge.gh.env.push(("GH_CONFIG_DIR".into(), nowhere.into()));
    let Err(MergeError::Unknown(error)) = fixture.forge.merge(&request).await else { panic!("nobody knows") };
    assert!(error.what.contains("could not be reached") && error.hint.contains("`!retry`"), "{error:?}");
}

#[tokio::test]
async fn a_merge_whose_answer_stays_lost_is_not_known_and_never_done_twice() {
    let Some(fixture) = fixture().await else { return };
    fixture.forge.open(&new(false)).await.expect("opened");
    let request = fixture.request().await;
    for works in [false, true] {
        fixture.github.cut_from("PUT", "/merge", works);
        let merged = fixture.forge.merge(&request).await;
        assert!(matches!(merged, Err(MergeError::Unknown(_))), "{merged:?}");
        // Who cannot even look before knows no more: an earlier life may have done it.
        let merged = fixture.forge.merge(&request).await;
        assert!(matches!(merged, Err(MergeError::Unknown(_))), "{merged:?}");
        fixture.github.come_back();
        assert_eq!(fixture.github.pull(1)["merged"], works);
    }
    fixture.forge.merge(&request).await.expect("it is merged");
    assert_eq!(fixture.asked().iter().filter(|asked| asked.starts_with("PUT")).count(), 2);
    assert_eq!(fixture.github.doubles(), Vec::<String>::new());
}

#[tokio::test]
async fn a_branch_that_is_gone_before_the_pull_request_is_named() {
    let Some(fixture) = fixture().await else { return };
    fixture.run("git -C r.git branch -m codebutler/work away").await;
    let error = fixture.forge.open(&new(false)).await.expect_err("no branch");
    assert!(error.what.contains("`codebutler/work` is not on GitHub") && error.hint.contains("`!retry`"), "{error:?}");
    fixture.run("git -C r.git branch -m away codebutler/work").await;
    let missing = NewPullRequest { base: "gone".to_owned(), ..new(false) };
    let error = fixture.forge.open(&missing).await.expect_err("no base");
    assert!(error.what.contains("`gone` is not on GitHub"), "{error:?}");
}

#[tokio::test]
async fn one_call_says_what_became_of_many() {
    let Some(fixture) = fixture().await else { return };
    fixture.run("for b in b c d e; do git -C r.git branch codebutler/$b codebutler/work; done").await;
    for name in ["work", "b", "c", "d"] {
        let branch = format!("codebutler/{name}");
        fixture.forge.open(&NewPullRequest { branch, ..new(false) }).await.expect("opened");
    }
    let head = fixture.request().await.head;
    fixture.github.edit(2, &json!({"state": "closed", "actor": "ana"}));
    fixture.github.edit(3, &json!({"state": "closed", "merged": true, "merge_commit_sha": "abc", "merged_by": "ben"}));
    fixture.run("git -C r.git branch -D codebutler/d").await;
    let before = fixture.asked().len();
    let mut seen = fixture.forge.changes(&[1, 2, 3, 4, 99]).await.expect("looked");
    assert_eq!(fixture.asked()[before..], ["POST /graphql"]);
    seen.sort_by_key(|state| state.number);
    let state = |number, fate, name: &str, by: Option<&str>| PullState {
        number,
        fate,
        branch: format!("codebutler/{name}"),
        head: head.clone(),
        branch_gone: name == "d",
        by: by.map(str::to_owned),
        author: Some("owner".to_owned()),
    };
    let expected = [
        state(1, PullFate::Open, "work", None),
        state(2, PullFate::Closed, "b", Some("ana")),
        state(3, PullFate::Merged { commit: CommitId::new("abc") }, "c", Some("ben")),
        state(4, PullFate::Closed, "d", None),
    ];
    assert_eq!(seen, expected);
    fixture.github.trouble(Trouble { method: "POST", path: "/graphql", status: 403, message: "No", works: false });
    assert!(fixture.forge.changes(&[1]).await.is_err());
}
