//! A folder with files and a context for the tests of tools.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::outputs::KeptInMemory;
use super::workspace::Access;
use super::{KnownFiles, Place, Tool, ToolContext, ToolError, ToolOutput};
use crate::agent::output::Caps;
use crate::forge::Local;
use crate::git::{Author, Git as _, Repository, View};
use crate::ids::CommitId;
use crate::sandbox::HostShell;
use crate::tools::ThreadWork;

/// A workspace in a temporary folder, and one conversation in it.
pub struct Ground {
    /// Removes the folder at the end.
    _folder: tempfile::TempDir,
    pub context: ToolContext,
    outputs: KeptInMemory,
}

impl Ground {
    /// A workspace with these files.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("work");
        std::fs::create_dir(&root).expect("a folder");
        let outputs = KeptInMemory::default();
        let context = ToolContext {
            place: Arc::new(Place::open(&root, Access::Write).expect("opens")),
            known_files: KnownFiles::default(),
            cancel: CancellationToken::new(),
            bash_timeout: Duration::from_secs(120),
            home: folder.path().join("home"),
            shell: Arc::new(HostShell),
            work: Arc::new(no_work(&folder.path().join("owner"))),
            caps: Caps::for_context(128_000),
            outputs: Arc::new(outputs.clone()),
        };
        let ground = Self { _folder: folder, context, outputs };
        for (path, content) in files {
            ground.file(path, content.as_bytes());
        }
        ground
    }

    pub fn root(&self) -> &Path {
        self.context.place.root()
    }

    /// Keeps the result of a call.
    pub fn keep(&self, call: &str, text: &str) {
        self.outputs.keep(call, text);
    }

    /// Writes a file past the tools.
    pub fn file(&self, path: &str, content: &[u8]) {
        let path = self.root().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        std::fs::write(path, content).expect("a file");
    }

    /// What a file holds.
    pub fn content(&self, path: &str) -> String {
        String::from_utf8(std::fs::read(self.root().join(path)).expect("a file")).expect("text")
    }

    pub async fn run(&self, tool: &dyn Tool, arguments: &str) -> Result<ToolOutput, ToolError> {
        tool.run(&self.context, arguments).await
    }

    /// What the model reads; an error begins with `error: `.
    pub async fn text(&self, tool: &dyn Tool, arguments: &str) -> String {
        match self.run(tool, arguments).await {
            Ok(output) => output.text,
            Err(error) => format!("error: {error}"),
        }
    }
}

/// The work of a thread that has done none, in a repository without commits.
fn no_work(owner: &Path) -> ThreadWork {
    git2::Repository::init(owner).expect("a repository");
    let repository = Repository::open(owner).expect("opens");
    let author = Author { name: "CodeButler".to_owned(), mail: "codebutler@localhost".to_owned() };
    let forge = Local::new(owner.into(), owner.join(".git"), ("CodeButler".to_owned(), "c@localhost".to_owned()), None);
    let git = repository.at(View::Base(CommitId::new("0".repeat(40))), author, "Ana (U1)".to_owned());
    ThreadWork { git, forge: Arc::new(forge), pull: None, footer: String::new() }
}
