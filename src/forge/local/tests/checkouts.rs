//! The owner's checkout when a merge moves it: cut at every file, and with changes of his own.

use super::*;

impl Fixture {
    /// A checkout whose branch `work` changes files in every way.
    async fn with_every_change() -> Self {
        let fixture = Self::new().await;
        let old = "mkdir dir && echo keep >keep && echo old >both.sh && echo mode >mode.sh && echo gone >gone && \
                   echo gone >dir/gone && echo swap >swap && ln -s keep link";
        let new = "echo new >both.sh && chmod +x both.sh mode.sh && rm -r gone dir swap link && ln -s a.txt link && \
                   ln -s keep swap && mkdir new && echo deep >new/deep";
        let commit = "git add -A && git commit -qm Files";
        fixture.run(&format!("cd checkout && {old} && {commit} && git switch -q work && git rebase -q main")).await;
        fixture.run(&format!("cd checkout && {new} && {commit} && git switch -q main")).await;
        fixture
    }

    /// The forge and the request after an attempt that was cut when it had begun to move the checkout.
    async fn cut(&self) -> (Local, MergeRequest) {
        let forge = self.forge(None);
        forge.open(&new(false)).await.expect("opened");
        let request = self.request(1).await;
        let base = CommitId::new(self.run("git -C checkout rev-parse main").await);
        let squash = forge.0.squash(&request, &base).expect("a squash");
        let record = forge.0.record(1).expect("a record");
        forge.0.save(Record { moving: Some(squash), ..record }).expect("saved");
        (forge, request)
    }
}

/// The checkout of every change as libgit2 makes it: what goes or changes its mode is removed, then files are written in
/// place, links last.
const STEPS: &[&str] = &[
    "true",
    "rm both.sh",
    "rm -r dir",
    "rm gone link",
    "rm mode.sh",
    "rm swap",
    ": >a.txt",
    "printf t >a.txt",
    "echo two >a.txt",
    "echo b >b.txt",
    ": >both.sh",
    "echo new >both.sh && chmod +x both.sh",
    "echo mode >mode.sh && chmod +x mode.sh",
    "mkdir new",
    ": >new/deep",
    "echo deep >new/deep",
    "ln -s a.txt link",
    "ln -s keep swap",
];

#[tokio::test]
async fn a_checkout_cut_at_any_file_is_completed() {
    for cut in 1..=STEPS.len() {
        let fixture = Fixture::with_every_change().await;
        let (forge, request) = fixture.cut().await;
        fixture.run(&format!("cd checkout\n{}", STEPS[..cut].join("\n"))).await;
        let commit = forge.merge(&request).await.expect(STEPS[cut - 1]);
        let state =
            "git status --porcelain && git diff --stat work && git rev-parse main && ls dir 2>/dev/null || true";
        assert_eq!(fixture.run(&format!("cd checkout && {state}")).await, commit.to_string(), "{}", STEPS[cut - 1]);
        assert_eq!(forge.0.record(1).expect("a record").moving, None);
    }
}

#[tokio::test]
async fn files_that_have_arrived_are_no_changes_even_when_no_record_tells_of_an_attempt() {
    for arrived in ["echo two >a.txt", "echo b >b.txt", "rm gone", "chmod +x mode.sh", "git checkout -q work -- ."] {
        let fixture = Fixture::with_every_change().await;
        let forge = fixture.forge(None);
        forge.open(&new(false)).await.expect("opened");
        fixture.run(&format!("cd checkout && {arrived}")).await;
        forge.merge(&fixture.request(1).await).await.expect(arrived);
        assert_eq!(fixture.run("cd checkout && git status --porcelain && git diff work").await, "", "{arrived}");
    }
}

#[tokio::test]
async fn the_owner_s_own_changes_are_never_overwritten() {
    let always = [
        "echo mine >a.txt",
        "echo mine >keep",
        "rm keep",
        "echo mine >keep && git add keep",
        "echo mine >a.txt && git add a.txt && echo two >a.txt",
        "echo mine >new",
        "mkdir b.txt && echo mine >b.txt/file",
        "echo b.txt >>.git/info/exclude && echo mine >b.txt",
        "chmod +x a.txt",
        "ln -s dir new",
        "echo two >a.txt && ln -s dir new",
        "echo two >a.txt && echo mine >keep",
    ];
    let unless_begun = ["rm a.txt", ": >a.txt"];
    let begun = always.iter().map(|mess| (mess, true));
    for (mess, begun) in begun.chain(always.iter().chain(&unless_begun).map(|mess| (mess, false))) {
        let fixture = Fixture::with_every_change().await;
        let (forge, request) = fixture.cut().await;
        if !begun {
            let record = forge.0.record(1).expect("a record");
            forge.0.save(Record { moving: None, ..record }).expect("saved");
        }
        let state = "git status --porcelain --ignored && git diff HEAD && git ls-files -s && git rev-parse HEAD && \
                     find . -path ./.git -prune -o -ls";
        fixture.run(&format!("cd checkout && {mess}")).await;
        let before = fixture.run(&format!("cd checkout && {state}")).await;
        let error = refused(forge.merge(&request).await);
        assert_eq!(error.what, "Your checkout is on `main` and has changes that are not committed.", "{mess}");
        assert_eq!(fixture.run(&format!("cd checkout && {state}")).await, before, "{mess}");
    }
}

#[tokio::test]
async fn an_attempt_of_another_head_is_completed_too() {
    let fixture = Fixture::with_every_change().await;
    let (forge, _) = fixture.cut().await;
    fixture.run(&format!("cd checkout\n{}", STEPS[..10].join("\n"))).await;
    let elsewhere = "git worktree add -q ../beside work && cd ../beside && echo three >a.txt && git rm -q b.txt && \
                     git commit -qam More && cd ../checkout && git worktree remove ../beside";
    fixture.run(&format!("cd checkout && {elsewhere}")).await;
    forge.merge(&fixture.request(1).await).await.expect("merged");
    assert_eq!(fixture.run("cd checkout && git status --porcelain && git diff work").await, "");
}
