//! A repository whose configuration and files want to run programs.

use super::*;

/// Settings, attributes and hooks that leave a file `ran-…` behind when git obeys them.
async fn booby_trapped() -> Fixture {
    let fixture = Fixture::with_remote().await;
    let trap = |name: &str| format!("touch '{}'", fixture.path(&format!("ran-{name}")).display());
    let settings = [
        ("core.fsmonitor", trap("fsmonitor") + "; false"),
        ("core.sshCommand", trap("ssh")),
        ("core.askPass", trap("askpass")),
        ("core.pager", trap("pager")),
        ("core.editor", trap("editor")),
        ("core.hooksPath", fixture.path("hooks").display().to_string()),
        ("filter.evil.clean", trap("clean") + "; cat"),
        ("filter.evil.smudge", trap("smudge") + "; cat"),
        ("diff.evil.textconv", trap("textconv") + "; cat"),
        ("diff.evil.command", trap("diff")),
        ("diff.external", trap("external")),
        ("remote.origin.uploadpack", trap("uploadpack") + "; git-upload-pack"),
        ("remote.origin.receivepack", trap("receivepack") + "; git-receive-pack"),
        ("remote.origin.vcs", "ext".to_owned()),
        ("protocol.ext.allow", "always".to_owned()),
    ];
    for (name, value) in settings {
        let value = value.replace('"', "\\\"");
        fixture.run(&format!("cd checkout && git config {name} \"{value}\"")).await;
    }
    let hooks = [
        "pre-commit",
        "commit-msg",
        "post-commit",
        "post-checkout",
        "pre-push",
        "reference-transaction",
        "post-index-change",
    ];
    for hook in hooks {
        let body = trap(hook);
        for folder in ["hooks", "checkout/.git/hooks"] {
            fixture.run(&format!("mkdir -p {folder} && printf '#!/bin/sh\\n%s\\n' \"{body}\" >{folder}/{hook} && chmod +x {folder}/{hook}")).await;
        }
    }
    fixture
}

#[tokio::test]
async fn nothing_that_the_repository_names_is_run() {
    let fixture = booby_trapped().await;
    let repository = fixture.repository();
    let base = repository.fetch_base(None).await.expect("fetched");
    repository.snapshot(&base.commit, &fixture.path("home")).await.expect("a snapshot");
    let git = fixture.thread(&repository, "Change").await;
    let folder = folder_of(&git);
    write(&folder, ".gitattributes", "* filter=evil diff=evil\n");
    write(&folder, "b.txt", "b\n");
    git.diff(None, None).await.expect("a diff");
    git.commit_all("Add b", Selection::Everything).await.expect("committed").commit.expect("a commit");
    git.log(None, 10).await.expect("a history");
    git.push().await.expect("pushed");
    let head = git.head().await.expect("a head");
    repository.delete_merged_branch("codebutler/change", &head).await.expect("deleted");
    assert_eq!(
        repository.remove_worktree(git.workspace().expect("a worktree"), Some(&head)).await,
        Vec::<String>::new()
    );
    assert_eq!(fixture.run("ls -d ran-* 2>/dev/null || echo nothing").await, "nothing");
    // The traps are real: plain git walks into them.
    fixture.run("cd checkout && echo z >a.txt && (git diff HEAD; git commit -qam X; git push -q || true) 2>/dev/null || true").await;
    let ran = fixture.run("ls -d ran-*").await;
    for trap in ["ran-fsmonitor", "ran-external", "ran-pre-commit", "ran-reference-transaction"] {
        assert!(ran.contains(trap), "{trap}: {ran}");
    }
}

#[tokio::test]
async fn a_url_that_is_rewritten_to_a_program_is_refused() {
    let fixture = Fixture::with_remote().await;
    let repository = fixture.repository();
    let ran = fixture.path("ran");
    let url = repository.remote().expect("a remote").url.clone();
    fixture
        .run(&format!("cd checkout && git config 'url.ext::sh -c touch% {}.insteadOf' '{url}'", ran.display()))
        .await;
    let error = fixture.repository().fetch_base(Some("other")).await.expect_err("refused");
    assert!(error.what.contains("may not use the protocol"), "{error:?}");
    assert!(!ran.exists());
}

#[tokio::test]
async fn a_worktree_that_points_elsewhere_is_not_followed() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Change").await;
    let folder = folder_of(&git);
    fixture.run("git init -q trap && cd trap && git commit -q --allow-empty -m Trap").await;
    std::fs::write(folder.join(".git"), format!("gitdir: {}", fixture.path("trap/.git").display())).expect("written");
    write(&folder, "b.txt", "b");
    let done = git.commit_all("Add b", Selection::Everything).await.expect("committed");
    assert_eq!(done.files, ["b.txt"]);
    assert_eq!(fixture.run("git -C checkout log -1 --format=%s codebutler/change").await, "Add b");
    assert_eq!(fixture.run("git -C trap log -1 --format=%s").await, "Trap");
}

#[tokio::test]
async fn settings_that_were_changed_since_the_start_stop_every_use_of_the_network() {
    let fixture = Fixture::with_remote().await;
    let repository = fixture.repository();
    let thread = fixture.thread(&repository, "Work").await;
    fixture.run("cd checkout && git config branch.main.description x && git remote add fork /nowhere").await;
    thread.push().await.expect("everyday settings stop nothing");
    let evil = fixture.path("evil.git");
    fixture.run(&format!("git init -q --bare '{}'", evil.display())).await;
    fixture
        .run(&format!("cd checkout && git config url.{}.insteadOf \"$(git config remote.origin.url)\"", evil.display()))
        .await;
    fixture.run("cd checkout && git config credential.helper '!env >stolen'").await;
    fixture
        .run(&format!(
            "cd checkout && git config \"remote.$(git config remote.origin.url).pushurl\" '{}'",
            evil.display()
        ))
        .await;
    let refused = thread.push().await.expect_err("changed settings");
    assert!(refused.what.contains(".pushurl"), "a remote that is named like the URL: {refused:?}");
    assert!(refused.what.contains("settings changed") && refused.what.contains("credential.helper"), "{refused:?}");
    assert!(repository.fetch_base(None).await.is_err() || !fixture.path("checkout/stolen").exists());
    assert_eq!(fixture.run(&format!("cd '{}' && git for-each-ref", evil.display())).await.trim(), "");
}
