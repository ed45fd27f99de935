//! Samples of events with their lines. The work: base, worktree, checks, pull request, and how a thread ends.

use super::*;

pub(super) fn work() -> Vec<(Event, &'static str)> {
    let (id, by, commit) = (PlanId::new("p1"), UserId::new("UANA"), CommitId::new("abcdef1234"));
    let plan = Plan {
        title: SAID.into(),
        workflow: SAID.into(),
        summary: SAID.into(),
        steps: vec![PlanStep { text: SAID.into(), files: vec![] }],
        files: vec![SAID.into()],
        acceptance: vec![],
        risks: vec![],
    };
    let base = |notice: Option<&str>| Base {
        commit: commit.clone(),
        branch: "main".into(),
        prompts: vec![],
        history: vec![Earlier::remark(SAID)],
        notice: notice.map(str::to_owned),
    };
    let step = |ok| InitStep { command: SAID.into(), ok, output: SAID.into() };
    let workspace =
        Workspace { slug: "x".into(), branch: "codebutler/x".into(), base: commit.clone(), base_branch: "main".into() };
    vec![
        (Event::BaseReady { base: base(None) }, "INF stands on main@abcdef1"),
        (Event::BaseReady { base: base(Some(SAID)) }, "INF stands on main@abcdef1 |: SECRET words"),
        (Event::BaseFailed { failure: failure() }, "WRN no base: It broke."),
        (
            Event::PlanProposed { id: id.clone(), plan, base: commit.clone(), estimate: None },
            "PM proposes plan p1 with 1 step |: SECRET words",
        ),
        (Event::PlanChangeAsked { id: id.clone(), by: by.clone() }, "INF Ana (UANA) wants plan p1 changed"),
        (Event::PlanApproved { id: id.clone(), by: by.clone() }, "INF Ana (UANA) approved plan p1"),
        (Event::PlanCancelled { id, by }, "INF Ana (UANA) cancelled plan p1"),
        (
            Event::Outside {
                news: Outside::Merged { commit: commit.clone(), head: commit.clone(), by: Some("eve".into()) },
            },
            "INF merged as abcdef1 outside the chat by eve",
        ),
        (
            Event::Outside { news: Outside::Closed { by: None, branch_gone: true } },
            "INF the pull request was closed outside the chat, its branch is gone",
        ),
        (
            Event::Outside { news: Outside::Moved { head: commit.clone(), by: None } },
            "INF the branch was moved to abcdef1",
        ),
        (Event::WorkspaceReady { workspace }, "INF worktree on codebutler/x from main@abcdef1"),
        (Event::WorkspaceFailed { failure: failure() }, "WRN no worktree: It broke."),
        (Event::WorkspaceInitialised { steps: vec![] }, "-"),
        (Event::WorkspaceInitialised { steps: vec![step(true)] }, "INF worktree initialised by 1 command, 0 failed"),
        (
            Event::WorkspaceInitialised { steps: vec![step(true), step(false)] },
            "WRN worktree initialised by 2 commands, 1 failed",
        ),
    ]
}

pub(super) fn ends() -> Vec<(Event, &'static str)> {
    let (run, commit) = (RunId(1), CommitId::new("abcdef1234"));
    let pull = PullRequest { number: 7, url: String::new(), title: SAID.into(), draft: true };
    let summary = Publication {
        head: Some(commit.clone()),
        files: 2,
        added: 3,
        removed: 1,
        diff: Some(SAID.into()),
        left_out: vec![SAID.into()],
    };
    let check = |code| CheckRun {
        command: "make test".into(),
        end: CheckEnd::Exit { code },
        millis: 40,
        counts: None,
        output: SAID.into(),
    };
    let checks = |news| Event::Checks { news };
    let baseline = |checks, missing: Option<&str>| Checks::BaselineTaken {
        baseline: Baseline { commit: commit.clone(), checks, missing: missing.map(str::to_owned) },
    };
    vec![
        (checks(Checks::BaselineWanted { commands: vec!["a".into()] }), "INF 1 check to be run on the base first"),
        (
            checks(baseline(vec![check(0), check(2)], None)),
            "INF before the work at abcdef1: `make test` exit code 0 (40 ms), `make test` exit code 2 (40 ms)",
        ),
        (checks(baseline(vec![], Some("no disk"))), "WRN how the checks were before is not known: no disk"),
        (
            checks(Checks::Due { run, known: vec![check(0)], commands: vec!["b".into()] }),
            "CLD after run 1 1 check due; run by the Coder: `make test` exit code 0 (40 ms)",
        ),
        (checks(Checks::Ran { run, check: check(1) }), "WRN check of run 1: `make test` exit code 1 (40 ms)"),
        (checks(Checks::Unneeded { run }), "CLD run 1 changed nothing, so nothing is checked"),
        (checks(Checks::Touched { run }), "INF a command of run 1 changed files"),
        (checks(Checks::Stopped { by: UserId::new("UANA"), ts: None }), "INF Ana (UANA) stopped the checks"),
        (Event::Committed { commit: commit.clone() }, "CLD commit abcdef1"),
        (Event::Pushed { head: commit.clone() }, "CLD pushed abcdef1"),
        (Event::PullRequestOpened { pull }, "CLD draft pull request #7 is open |: SECRET words"),
        (Event::WorkPublished { run, summary }, "CLD work of run 1 published at abcdef1: 2 files, +3 −1, 1 left out"),
        (Event::WorkPublished { run, summary: Publication::default() }, "CLD run 1 changed nothing"),
        (Event::PublishFailed { run, failure: failure() }, "WRN the work is not published: It broke."),
        (Event::MergeRefused { failure: failure() }, "WRN not merged: It broke."),
        (Event::MergeInDoubt { failure: failure() }, "WRN not known whether it is merged: It broke."),
        (Event::Merged { commit }, "INF merged as abcdef1"),
        (Event::CleanedUp { leftovers: vec![] }, "INF cleaned up"),
        (Event::CleanedUp { leftovers: vec!["the branch".into()] }, "WRN cleaned up but for the branch"),
        (Event::ThreadClosed { merged: true }, "INF closed, merged"),
        (Event::ThreadClosed { merged: false }, "INF closed without a merge"),
    ]
}
