//! Worktrees: names, repeats after a crash, removal.

use super::*;

#[tokio::test]
async fn a_worktree_has_its_own_branch_and_the_checkout_does_not_see_it() {
    let fixture = Fixture::with_remote().await;
    let repository = fixture.repository();
    let workspace = fixture.workspace(&repository, "Add b").await;
    let base = CommitId::new(fixture.run("git -C remote.git rev-parse main").await);
    let expected = Workspace {
        slug: "add-b".to_owned(),
        branch: "codebutler/add-b".to_owned(),
        base,
        base_branch: "main".to_owned(),
    };
    assert_eq!(*workspace, expected);
    let folder = repository.worktree_path(&workspace);
    assert_eq!(folder, fixture.root().join(".codebutler/branches/add-b"));
    assert_eq!(std::fs::read_to_string(folder.join("a.txt")).expect("checked out"), "one\n");
    assert_eq!(fixture.run("git -C checkout status --porcelain").await, "");
    assert_eq!(
        fixture.run("cd checkout/.codebutler/branches/add-b && git status --porcelain -b").await,
        "## codebutler/add-b"
    );
}

#[tokio::test]
async fn taken_names_get_a_number() {
    let fixture = Fixture::with_remote().await;
    fixture.run("cd checkout && git branch codebutler/add-b && git branch codebutler/add-b-3/deep").await;
    fixture.run("cd remote.git && git branch codebutler/add-b-2 main && git branch codebutler/add-b-6/x main").await;
    fixture.run("cd checkout && git update-ref refs/remotes/origin/codebutler/add-b-4 main").await;
    fixture.run("mkdir -p checkout/.codebutler/branches/add-b-5").await;
    let repository = fixture.repository();
    let base = repository.fetch_base(None).await.expect("a base");
    let (one, two) = (key("1"), key("2"));
    let make = |thread| repository.create_worktree(thread, "Add b", &base, "codebutler/");
    let (one, two) = tokio::join!(make(&one), make(&two));
    let mut slugs = [one.expect("made").slug, two.expect("made").slug];
    slugs.sort();
    assert_eq!(slugs, ["add-b-7", "add-b-8"]);
}

#[tokio::test]
async fn a_branch_in_the_way_of_the_prefix_is_named() {
    let fixture = Fixture::local().await;
    fixture.run("cd checkout && git branch codebutler").await;
    let repository = fixture.repository();
    let base = repository.fetch_base(None).await.expect("a base");
    let error = repository.create_worktree(&key("1"), "x", &base, "codebutler/").await.expect_err("in the way");
    assert!(error.what.contains("The branch `codebutler` stands in the way"), "{error:?}");
}

#[tokio::test]
async fn a_repeat_finds_the_thread_s_own_worktree() {
    let fixture = Fixture::with_remote().await;
    let repository = fixture.repository();
    let git = fixture.thread(&repository, "Add b").await;
    write(&folder_of(&git), "b.txt", "b");
    // Another process, after the base has moved on, with another title.
    fixture.run("cd checkout && git commit -q --allow-empty -m Second && git push -q").await;
    let repository = fixture.repository();
    let base = repository.fetch_base(None).await.expect("a base");
    let again = repository.create_worktree(&key("Add b"), "Other title", &base, "codebutler/").await;
    assert_eq!(again, git.workspace().map(|workspace| (**workspace).clone()));
    assert!(folder_of(&git).join("b.txt").exists(), "work in it is kept");
}

#[tokio::test]
async fn what_a_crash_left_half_made_is_made_whole() {
    for damage in [
        "rm -rf .codebutler/branches/add-b",
        "rm -rf .git/worktrees/add-b",
        "rm -rf .codebutler/branches/add-b .git/worktrees/add-b && git branch -D codebutler/add-b",
        "rm .codebutler/branches/add-b/a.txt && sed -i 's/\"complete\":true/\"complete\":false/' .git/codebutler/workspaces/add-b.json",
    ] {
        let fixture = Fixture::local().await;
        let git = fixture.thread(&fixture.repository(), "Add b").await;
        fixture.run(&format!("cd checkout && {damage}")).await;
        let again = fixture.thread(&fixture.repository(), "Add b").await;
        assert_eq!(again.workspace(), git.workspace(), "{damage}");
        assert!(folder_of(&again).join("a.txt").exists(), "{damage}");
        assert_eq!(again.uncommitted().await, Ok(vec![]), "{damage}");
    }
}

#[tokio::test]
async fn work_in_a_folder_that_git_forgot_is_kept() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    write(&folder_of(&git), "b.txt", "b");
    fixture.run("rm -rf checkout/.git/worktrees/add-b").await;
    let again = fixture.thread(&fixture.repository(), "Add b").await;
    assert_eq!(again.uncommitted().await, Ok(vec!["b.txt".to_owned()]));
}

#[tokio::test]
async fn work_in_a_folder_whose_branch_is_gone_is_moved_aside() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    write(&folder_of(&git), "b.txt", "b");
    fixture.run("git -C checkout update-ref -d refs/heads/codebutler/add-b").await;
    let again = fixture.thread(&fixture.repository(), "Add b").await;
    assert_eq!(again.uncommitted().await, Ok(vec![]));
    assert_eq!(fixture.run("cat checkout/.codebutler/branches/add-b.saved-1/b.txt").await, "b");
}

#[tokio::test]
async fn a_changed_link_to_git_is_mended() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    let folder = folder_of(&git);
    write(&folder, "b.txt", "b");
    let good = std::fs::read_to_string(folder.join(".git")).expect("a link");
    for damage in
        ["rm .git", "echo 'gitdir: /elsewhere' >.git", "rm .git && ln -s ../victim .git", "rm .git && git init -q ."]
    {
        fixture.run(&format!("cd checkout/.codebutler/branches/add-b && {damage}")).await;
        let again = fixture.thread(&fixture.repository(), "Add b").await;
        assert_eq!(std::fs::read_to_string(folder.join(".git")).expect("a link"), good, "{damage}");
        assert_eq!(again.uncommitted().await, Ok(vec!["b.txt".to_owned()]), "{damage}");
    }
    assert!(!folder.with_file_name("victim").exists());
}

#[tokio::test]
async fn a_lost_folder_comes_back_with_the_branch_s_commits() {
    let fixture = Fixture::local().await;
    let git = fixture.thread(&fixture.repository(), "Add b").await;
    write(&folder_of(&git), "b.txt", "b");
    git.commit_all("Add b", Selection::Everything).await.expect("committed");
    fixture.run("rm -rf checkout/.codebutler").await;
    let again = fixture.thread(&fixture.repository(), "Add b").await;
    assert!(folder_of(&again).join("b.txt").exists());
}

#[tokio::test]
async fn removal_takes_everything_and_may_be_repeated() {
    let fixture = Fixture::with_remote().await;
    let repository = fixture.repository();
    let git = fixture.thread(&repository, "Add b").await;
    write(&folder_of(&git), "b.txt", "b");
    git.commit_all("Add b", Selection::Everything).await.expect("committed");
    git.push().await.expect("pushed");
    fixture
        .run("cd checkout/.codebutler/branches/add-b && mkdir -p locked/in && touch locked/in/x && chmod -R a-w locked")
        .await;
    for _ in 0..2 {
        let left = repository.remove_worktree(git.workspace().expect("a worktree"), None).await;
        assert_eq!(left, Vec::<String>::new());
    }
    let rest = fixture.run("cd checkout && git branch -a --list '*codebutler*' && git worktree list | wc -l && ls .codebutler/branches .git/codebutler/workspaces").await;
    assert_eq!(rest, "1\n.codebutler/branches:\n\n.git/codebutler/workspaces:");
}

#[tokio::test]
async fn a_branch_with_work_that_is_nowhere_else_is_kept_unless_it_is_secured() {
    let fixture = Fixture::with_remote().await;
    let repository = fixture.repository();
    let git = fixture.thread(&repository, "Add b").await;
    write(&folder_of(&git), "b.txt", "b");
    let head = git.commit_all("Add b", Selection::Everything).await.expect("committed").commit.expect("a commit");
    let workspace = git.workspace().expect("a worktree").clone();
    let left = repository.remove_worktree(&workspace, None).await;
    assert_eq!(left.len(), 1);
    assert!(left[0].contains("`codebutler/add-b` was kept") && left[0].contains("git branch -D"), "{left:?}");
    assert!(!repository.worktree_path(&workspace).exists());
    assert_eq!(repository.remove_worktree(&workspace, Some(&head)).await, Vec::<String>::new());
    assert_eq!(fixture.run("git -C checkout branch --list 'codebutler/*'").await, "");
}

#[tokio::test]
async fn a_link_in_place_of_the_folder_is_not_followed() {
    let fixture = Fixture::local().await;
    fixture.run("mkdir elsewhere checkout/.codebutler && ln -s \"$PWD/elsewhere\" checkout/.codebutler/branches").await;
    let repository = fixture.repository();
    let base = repository.fetch_base(None).await.expect("a base");
    let error = repository.create_worktree(&key("1"), "x", &base, "codebutler/").await.expect_err("a link");
    assert!(error.what.contains("is in the way"), "{error:?}");
}

#[tokio::test]
async fn excluded_names_are_added_once() {
    let fixture = Fixture::local().await;
    fixture.run("mkdir -p checkout/.git/info && printf 'mine' >checkout/.git/info/exclude").await;
    let repository = fixture.repository();
    repository.exclude(&["/target/", "/node_modules/"]).expect("added");
    repository.exclude(&["/node_modules/", "mine"]).expect("there already");
    assert_eq!(fixture.run("cat checkout/.git/info/exclude").await, "mine\n/target/\n/node_modules/");
}
