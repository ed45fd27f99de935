//! Publishing with a real remote that is not GitHub.

use std::sync::Arc;

use super::*;
use crate::forge::{Local, MergeRequest};
use crate::git::tests::{Fixture, author, write};
use crate::ids::RunId;
use crate::runtime::upstream::GitRemote;
use crate::thread::event::PullRequest;

async fn work(fixture: &Fixture) -> ThreadWork {
    let repository = fixture.repository();
    let own = (author().name, author().mail);
    let upstream = Arc::new(GitRemote(repository.clone()));
    let forge = Local::new(fixture.root(), repository.common_dir().into(), own, Some(upstream));
    let git = fixture.thread(&repository, "Add b").await;
    ThreadWork { git: Arc::new(git), forge: Arc::new(forge), pull: None, footer: "Asked by Ana.".to_owned() }
}

/// The worktree of the work.
fn folder(fixture: &Fixture) -> std::path::PathBuf {
    fixture.root().join(".codebutler/branches/add-b")
}

fn publishing(draft: Option<&str>, wrote: &[&str]) -> Publishing {
    let wrote = wrote.iter().map(|path| (*path).to_owned()).collect();
    Publishing { run: RunId(1), report: "It works.".to_owned(), draft: draft.map(str::to_owned), wrote, checked: None }
}

#[tokio::test]
async fn no_changes_make_no_pull_request() {
    let fixture = Fixture::with_remote().await;
    let work = work(&fixture).await;
    write(&folder(&fixture), "stray.log", "x");
    let (result, deeds) = publish(&work, &publishing(None, &[]), "Add b", "").await;
    let left_out = vec!["`stray.log` is new and was not written by the Coder's own tools".to_owned()];
    assert_eq!(result, Ok(Publication { left_out, ..Publication::default() }));
    assert_eq!(deeds, []);
    assert_eq!(fixture.run("git -C remote.git branch --list 'codebutler/*'").await, "");
}

#[tokio::test]
async fn what_is_left_is_committed_pushed_and_opened_and_a_repeat_changes_nothing() {
    let fixture = Fixture::with_remote().await;
    let work = work(&fixture).await;
    write(&folder(&fixture), "b.txt", "b\nb\n");
    write(&folder(&fixture), "a.txt", "two\n");
    let order = publishing(Some("the checks fail"), &["b.txt"]);
    let (result, deeds) = publish(&work, &order, "Add b", "").await;
    let head = work.git.head().await.expect("a head");
    let expected =
        Publication { head: Some(head.clone()), files: 2, added: 3, removed: 1, left_out: vec![], diff: None };
    assert_eq!(result, Ok(expected.clone()));
    let pull = PullRequest { number: 1, url: String::new(), title: "Add b".to_owned(), draft: true };
    assert_eq!(deeds, [Deed::Committed(head.clone()), Deed::Pushed(head.clone()), Deed::Opened(pull.clone())]);
    let (again, deeds_again) = publish(&work, &order, "Add b", "").await;
    assert_eq!((again, deeds_again), (Ok(expected), deeds));
    let record = std::fs::read_to_string(fixture.root().join(".git/codebutler/pulls/1.json")).expect("a record");
    assert!(record.contains(r#"> **Draft:** the checks fail\n\nIt works.\n\n---\nAsked by Ana."#), "{record}");

    // A further run finishes it; then people merge it and the thread cleans up.
    let (_, deeds) = publish(&work, &publishing(None, &[]), "Add b", "").await;
    assert_eq!(deeds.last(), Some(&Deed::Opened(PullRequest { draft: false, ..pull })));
    let record = std::fs::read_to_string(fixture.root().join(".git/codebutler/pulls/1.json")).expect("a record");
    assert!(record.contains(r#""body": "It works.\n\n---"#), "{record}");
    let workspace = work.git.workspace().expect("a worktree").clone();
    let own = str::to_owned;
    let request = MergeRequest {
        number: 1,
        branch: workspace.branch.clone(),
        base: own("main"),
        head: head.clone(),
        title: own("Add b (#1)"),
        message: String::new(),
    };
    let merged = work.forge.merge(&request).await.expect("merged");
    assert_eq!(fixture.repository().delete_merged_branch(&workspace.branch, &head).await, Ok(None));
    assert_eq!(fixture.repository().remove_worktree(&workspace, Some(&head)).await, Vec::<String>::new());
    let shown = fixture
        .run("git -C remote.git log --format='%H %s' -1 main && git -C remote.git branch && git -C checkout branch -a")
        .await;
    assert_eq!(shown, format!("{merged} Add b (#1)\n* main\n* main\n  remotes/origin/main"));
}

#[tokio::test]
async fn a_refused_push_keeps_the_commit_among_the_deeds() {
    let fixture = Fixture::with_remote().await;
    let work = work(&fixture).await;
    fixture.run("rm -rf remote.git").await;
    write(&folder(&fixture), "a.txt", "two\n");
    let (result, deeds) = publish(&work, &publishing(None, &[]), "Add b", "").await;
    assert_eq!(result.expect_err("no remote").what, "Could not push: the remote repository is not there.");
    assert_eq!(deeds, [Deed::Committed(work.git.head().await.expect("a head"))]);
}
