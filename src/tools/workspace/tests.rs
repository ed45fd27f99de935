//! Attacks on the place: paths that leave, links, pipes, hard links, git's data.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use proptest::prelude::*;

use super::*;

/// A folder with a file, a folder, and git's data; beside it one that must not be reached.
struct Ground {
    all: tempfile::TempDir,
    place: Place,
}

impl Ground {
    fn new() -> Self {
        let all = tempfile::tempdir().expect("a temporary folder");
        let root = all.path().join("work");
        fs::create_dir_all(root.join("src/.git/hooks")).expect("folders");
        fs::create_dir_all(all.path().join("outside")).expect("folders");
        fs::write(all.path().join("outside/secret"), "secret").expect("a file");
        fs::write(root.join(".git"), "gitdir: elsewhere").expect("a file");
        fs::write(root.join("src/a.rs"), "fn a() {}\n").expect("a file");
        let place = Place::open(&root, Access::Write).expect("the folder opens");
        Self { all, place }
    }

    fn root(&self) -> PathBuf {
        self.place.root().to_owned()
    }

    fn parse(&self, text: &str) -> String {
        match self.place.path(text) {
            Ok(path) => path.to_string(),
            Err(error) => variant(&error),
        }
    }

    fn read(&self, text: &str) -> String {
        match self.place.path(text).and_then(|path| self.place.read(&path)) {
            Ok(content) => String::from_utf8(content).expect("text"),
            Err(error) => variant(&error),
        }
    }

    fn write(&self, text: &str) -> String {
        match self.place.path(text).and_then(|path| self.place.write(&path, b"written")) {
            Ok(()) => "written".to_owned(),
            Err(error) => variant(&error),
        }
    }

    /// Nothing outside of the folder was changed, and no temporary file is left in it.
    fn assert_untouched(&self) {
        let outside: Vec<_> = fs::read_dir(self.all.path().join("outside")).expect("listed").collect();
        assert_eq!(outside.len(), 1);
        assert_eq!(fs::read_to_string(self.all.path().join("outside/secret")).expect("read"), "secret");
        for entry in ignore::WalkBuilder::new(self.root()).hidden(false).build() {
            let entry = entry.expect("listed");
            assert!(!entry.file_name().to_string_lossy().ends_with(".tmp"), "{}", entry.path().display());
        }
    }
}

/// The variant's name in angle brackets.
fn variant(error: &PlaceError) -> String {
    let debug = format!("{error:?}");
    format!("<{}>", debug.split([' ', '{']).next().expect("a name"))
}

#[test]
fn paths_are_read_as_models_write_them() {
    let ground = Ground::new();
    let root = ground.root().display().to_string();
    for (text, wanted) in [
        ("src/a.rs", "src/a.rs"),
        ("./src/a.rs", "src/a.rs"),
        ("src//a.rs", "src/a.rs"),
        ("src/./a.rs", "src/a.rs"),
        ("src/", "src"),
        (".", "."),
        ("./", "."),
        ("src/..", "."),
        ("src/../b.rs", "b.rs"),
        ("src/~a", "src/~a"),
        ("./~a", "~a"),
        ("a b/ü.rs", "a b/ü.rs"),
        ("..a/b..", "..a/b.."),
        (".gitignore", ".gitignore"),
        (".github/workflows/ci.yml", ".github/workflows/ci.yml"),
        ("a.git/b", "a.git/b"),
        (&root, "."),
        (&format!("{root}/"), "."),
        (&format!("{root}/src/a.rs"), "src/a.rs"),
        (&format!("{root}/../work/src/a.rs"), "src/a.rs"),
        (&format!("/{root}//src/./a.rs"), "src/a.rs"),
    ] {
        assert_eq!(ground.parse(text), wanted, "{text}");
    }
}

#[test]
fn paths_that_leave_are_refused_by_their_words() {
    let ground = Ground::new();
    let root = ground.root().display().to_string();
    for (text, wanted) in [
        ("", "<Empty>"),
        ("a\0b", "<Nul>"),
        ("~", "<Tilde>"),
        ("~/x", "<Tilde>"),
        ("~root/x", "<Tilde>"),
        ("..", "<Outside>"),
        ("../outside/secret", "<Outside>"),
        ("src/../../outside/secret", "<Outside>"),
        ("./../work/src", "<Outside>"),
        ("/", "<Outside>"),
        ("/etc/passwd", "<Outside>"),
        ("/..", "<Outside>"),
        (&format!("{root}/.."), "<Outside>"),
        (&format!("{root}/../outside/secret"), "<Outside>"),
        (&format!("{root}er/src"), "<Outside>"),
        (".git", "<Git>"),
        (".git/config", "<Git>"),
        (".GIT/config", "<Git>"),
        (".Git", "<Git>"),
        ("src/.git/hooks/pre-commit", "<Git>"),
        ("src/x/../.git/hooks", "<Git>"),
        (".g\u{200c}it/config", "<Git>"),
        (".git./config", "<Git>"),
        (".git /config", "<Git>"),
        ("GIT~1/config", "<Git>"),
        (&format!("{root}/.git"), "<Git>"),
    ] {
        assert_eq!(ground.parse(text), wanted, "{text}");
    }
}

#[test]
fn the_folder_may_be_named_through_a_link() {
    let ground = Ground::new();
    let alias = ground.all.path().join("alias");
    symlink(ground.root(), &alias).expect("a link");
    let place = Place::open(&alias, Access::Read).expect("opens");
    let real = fs::canonicalize(&alias).expect("resolves");
    for root in [&alias, &real] {
        let path = place.path(&format!("{}/src/a.rs", root.display())).expect("inside");
        assert_eq!(place.read(&path).expect("read"), b"fn a() {}\n");
    }
}

#[test]
fn links_are_followed_inside_only() {
    let ground = Ground::new();
    let root = ground.root();
    let secret = ground.all.path().join("outside/secret");
    for (name, target) in [
        ("in-file", "src/a.rs"),
        ("in-folder", "src"),
        ("out-file", "../outside/secret"),
        ("out-folder", "../outside"),
        ("absolute", secret.to_str().expect("text")),
        ("absolute-inside", root.join("src/a.rs").to_str().expect("text")),
        ("dangling", "nowhere"),
        ("dangling-out", "../outside/new"),
        ("loop", "loop"),
        ("around", "../work/src/a.rs"),
        ("chain", "out-file"),
        ("git-folder", "src/.git"),
        ("git-file", ".git"),
        ("src/up", ".."),
    ] {
        symlink(target, root.join(name)).expect("a link");
    }
    for (path, wanted) in [
        ("in-file", "fn a() {}\n"),
        ("in-folder/a.rs", "fn a() {}\n"),
        ("src/up/src/up/src/a.rs", "fn a() {}\n"),
        ("out-file", "<Link>"),
        ("out-folder/secret", "<Link>"),
        ("absolute", "<Link>"),
        ("absolute-inside", "<Link>"),
        ("dangling", "<Link>"),
        ("dangling-out", "<Link>"),
        ("loop", "<Link>"),
        ("loop/x", "<Link>"),
        ("around", "<Link>"),
        ("chain", "<Link>"),
        ("git-folder/hooks", "<Git>"),
        ("git-file", "<Git>"),
        ("in-folder", "<Folder>"),
    ] {
        assert_eq!(ground.read(path), wanted, "reading {path}");
    }
    for path in ["in-file", "out-file", "dangling", "loop"] {
        let path = ground.place.path(path).expect("parses");
        assert_eq!(variant(&ground.place.open_listed(&path).expect_err("refused")), "<Link>", "{path}");
    }
    for (path, wanted) in [
        ("out-file", "<Link>"),
        ("out-folder/secret", "<Link>"),
        ("out-folder/new", "<Link>"),
        ("out-folder/new/deeper", "<Link>"),
        ("absolute", "<Link>"),
        ("dangling", "<Link>"),
        ("dangling/x", "<Link>"),
        ("dangling-out", "<Link>"),
        ("loop", "<Link>"),
        ("chain", "<Link>"),
        ("git-folder/hooks/pre-commit", "<Git>"),
        ("git-folder/new", "<Git>"),
        ("git-file", "<Git>"),
        ("in-folder/new.rs", "written"),
        ("in-folder/deep/er/new.rs", "written"),
        ("in-file", "written"),
    ] {
        assert_eq!(ground.write(path), wanted, "writing {path}");
    }
    assert!(fs::symlink_metadata(root.join("in-file")).expect("there").is_symlink(), "the link stays a link");
    for path in ["src/a.rs", "src/new.rs", "src/deep/er/new.rs"] {
        assert_eq!(fs::read_to_string(root.join(path)).expect("there"), "written", "{path}");
    }
    ground.assert_untouched();
}

#[tokio::test]
async fn only_regular_files_are_opened() {
    let ground = Ground::new();
    let root = ground.root();
    Box::pin(crate::process::Program::new("mkfifo", &root).args(["pipe"]).run()).await.expect("a pipe");
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).expect("a socket");
    for path in ["pipe", "socket"] {
        assert_eq!(ground.read(path), "<Special>", "reading {path}");
        assert_eq!(ground.write(path), "<Special>", "writing {path}");
        let listed = ground.place.open_listed(&ground.place.path(path).expect("parses")).expect_err("refused");
        assert_eq!(variant(&listed), "<Special>", "opening the listed {path}");
        assert_eq!(ground.place.kind(&ground.place.path(path).expect("parses")).expect("there"), Kind::Other);
    }
    for (path, read, written) in [
        ("src", "<Folder>", "<Folder>"),
        (".", "<Folder>", "<Folder>"),
        ("nothing", "<Missing>", "written"),
        ("src/nothing/here", "<Missing>", "written"),
        ("src/a.rs/b", "<NotAFolder>", "<NotAFolder>"),
    ] {
        assert_eq!(ground.read(path), read, "reading {path}");
        assert_eq!(ground.write(path), written, "writing {path}");
    }
}

#[test]
fn a_file_with_other_names_is_read_but_not_written() {
    let ground = Ground::new();
    fs::hard_link(ground.all.path().join("outside/secret"), ground.root().join("twin")).expect("a hard link");
    assert_eq!(ground.read("twin"), "secret");
    assert_eq!(ground.write("twin"), "<HardLinks>");
    ground.assert_untouched();
}

#[test]
fn writing_keeps_permissions_and_leaves_nothing_behind() {
    let ground = Ground::new();
    let file = ground.root().join("run.sh");
    fs::write(&file, "#!/bin/sh\n").expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o750)).expect("permissions");
    assert_eq!(ground.write("run.sh"), "written");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o7777, 0o750);
    assert_eq!(ground.write("new.txt"), "written");
    assert_eq!(fs::metadata(ground.root().join("new.txt")).expect("there").permissions().mode() & 0o111, 0);
    ground.assert_untouched();
}

#[test]
fn a_read_only_place_is_not_written() {
    let ground = Ground::new();
    let place = Place::open(ground.root(), Access::Read).expect("opens");
    let path = place.path("src/new.rs").expect("parses");
    assert!(matches!(place.write(&path, b"x"), Err(PlaceError::ReadOnly)));
    assert!(!ground.root().join("src/new.rs").exists());
}

#[test]
fn a_swap_of_the_folder_itself_changes_nothing() {
    let ground = Ground::new();
    fs::rename(ground.root(), ground.all.path().join("moved")).expect("moved");
    symlink("outside", ground.root()).expect("a link in its place");
    assert_eq!(ground.read("src/a.rs"), "fn a() {}\n");
    assert_eq!(ground.read("secret"), "<Missing>");
    assert_eq!(ground.write("new"), "written");
    assert_eq!(fs::read_to_string(ground.all.path().join("moved/new")).expect("there"), "written");
}

#[test]
fn a_huge_file_is_refused_with_its_size() {
    let ground = Ground::new();
    let file = fs::File::create(ground.root().join("huge")).expect("a file");
    file.set_len(MAX_SCANNED + 7).expect("a hole");
    let path = ground.place.path("huge").expect("parses");
    let error = ground.place.read(&path).expect_err("too large").to_string();
    assert!(error.contains("52428807 bytes") && error.contains("over 50 MiB"), "{error}");
}

#[test]
fn every_refusal_says_what_to_do_or_why_nothing_was_done() {
    let ground = Ground::new();
    let root = ground.root().display().to_string();
    for text in ["", "../x", "~/x", "/etc/passwd"] {
        let error = ground.place.path(text).expect_err("refused").to_string();
        assert!(error.contains(&root), "{error}");
    }
}

proptest! {
    #[test]
    fn whatever_is_parsed_stays_inside_by_its_words(text in "([a.~/]|\\.\\.|\\.git|/root/work|\\PC){0,12}") {
        let roots = [Path::new("/root/work")];
        if let Ok(path) = PlacePath::parse(&text, &roots) {
            let parts: Vec<&str> = path.as_str().split('/').collect();
            let fine = |part: &&str| !["", ".."].contains(part) && !part.eq_ignore_ascii_case(".git");
            prop_assert!(parts.iter().all(fine), "{text:?} gave {path}");
            let again = path.to_string();
            if !again.starts_with('~') {
                prop_assert_eq!(PlacePath::parse(&again, &roots).ok(), Some(path));
            }
        }
    }
}
