//! The sample repository of the demo: a small shell program with a real bug, a failing test that shows it, and a local
//! bare repository as its remote.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};

/// The sample's files.
const FILES: &[(&str, &str)] = &[
    ("README.md", include_str!("sample/README.md")),
    ("AGENTS.md", include_str!("sample/AGENTS.md")),
    ("orders.csv", include_str!("sample/orders.csv")),
    ("src/report.sh", include_str!("sample/report.sh")),
    ("tests/run.sh", include_str!("sample/run.sh")),
];

/// What the person of the demo writes.
pub const BUG_REPORT: &str = "the report drops the last row when the order file has no trailing newline";

/// Makes the repository and its remote in `folder`; gives the repository's path.
pub fn create(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = folder.join("orders");
    let remote = folder.join("orders.git");
    for (name, content) in FILES {
        let file = path.join(name);
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let mut bare = RepositoryInitOptions::new();
    Repository::init_opts(&remote, bare.bare(true).initial_head("main"))?;
    let repository = Repository::init_opts(&path, RepositoryInitOptions::new().initial_head("main"))?;
    let mut index = repository.index()?;
    index.add_all(["."], IndexAddOption::DEFAULT, None)?;
    index.write()?;
    let tree = repository.find_tree(index.write_tree()?)?;
    let author = Signature::now("Ada Example", "ada@example.com")?;
    repository.commit(Some("HEAD"), &author, &author, "Print order files as a table with a total", &tree, &[])?;
    let url = remote.to_str().context("the temporary folder's name is not text")?;
    repository.remote("origin", url)?.push(&["refs/heads/main:refs/heads/main"], None)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_sample_is_a_repository_whose_tests_fail_because_of_the_bug() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = create(folder.path()).expect("created");
        let finished = crate::process::Program::new("sh", &path).args(["tests/run.sh"]).run().await.expect("sh runs");
        let output = finished.stdout.text();
        assert!(output.ends_with("2 passed, 1 failed\n"), "{output}");
        let bare = Repository::open(folder.path().join("orders.git")).expect("the remote");
        let head = Repository::open(&path).expect("the repository").refname_to_id("HEAD").expect("a commit");
        assert_eq!(bare.refname_to_id("refs/heads/main").expect("pushed"), head);
    }
}
