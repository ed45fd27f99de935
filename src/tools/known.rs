//! What a conversation knows of the files: which it has read or written, and what they held then.
//!
//! An edit of a file that nobody looked at, or that changed since, is a guess. Kept in memory for as long as the
//! conversation is; after a restart only the names are known (from the log), and then any content is taken as known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::workspace::{Place, PlacePath};

/// The files one conversation knows. Clones share the same knowledge.
#[derive(Clone, Debug, Default)]
pub struct KnownFiles(Arc<Mutex<BTreeMap<PlacePath, Option<Print>>>>);

/// A content's hash.
type Print = [u8; 32];

/// How well a file is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// Never read nor written in this conversation.
    Unknown,
    /// It holds what was read or written last.
    Current,
    /// It changed since it was last read or written.
    Changed,
}

impl KnownFiles {
    /// The files a conversation knew before a restart, as the model named them (`ConversationState::known_files`).
    pub fn from_log<'a>(place: &Place, names: impl IntoIterator<Item = &'a str>) -> Self {
        let paths = names.into_iter().filter_map(|name| place.path(name).ok());
        Self(Arc::new(Mutex::new(paths.map(|path| (path, None)).collect())))
    }

    /// Notes what a file holds now.
    pub fn note(&self, path: &PlacePath, content: &[u8]) {
        let print = Sha256::digest(content).into();
        self.lock().insert(path.clone(), Some(print));
    }

    /// How well a file that holds `content` is known.
    pub fn knows(&self, path: &PlacePath, content: &[u8]) -> Knowledge {
        let known = self.lock().get(path).copied();
        match known {
            None => Knowledge::Unknown,
            Some(None) => Knowledge::Current,
            Some(Some(print)) if print == Print::from(Sha256::digest(content)) => Knowledge::Current,
            Some(Some(_)) => Knowledge::Changed,
        }
    }

    // Held for a map access only; a panic in between leaves the map whole, so poison means nothing.
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<PlacePath, Option<Print>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_unknown_then_current_then_changed() {
        let known = KnownFiles::default();
        let path = PlacePath::parse_relative("a.rs").expect("a good path");
        assert_eq!(known.knows(&path, b"1"), Knowledge::Unknown);
        // Calls of one conversation run side by side, each with its clone.
        let other = known.clone();
        other.note(&path, b"1");
        assert_eq!(known.knows(&path, b"1"), Knowledge::Current);
        assert_eq!(known.knows(&path, b"2"), Knowledge::Changed);
    }

    #[test]
    fn after_a_restart_any_content_of_a_known_file_is_current() {
        let ground = crate::tools::testing::Ground::new(&[]);
        let path = PlacePath::parse_relative("a.rs").expect("a good path");
        let absolute = ground.root().join("b.rs").display().to_string();
        let known = KnownFiles::from_log(&ground.context.place, ["./a.rs", &absolute, "../no"]);
        assert_eq!(known.knows(&path, b"anything"), Knowledge::Current);
        let other = PlacePath::parse_relative("b.rs").expect("a good path");
        assert_eq!(known.knows(&other, b"anything"), Knowledge::Current);
        known.note(&path, b"1");
        assert_eq!(known.knows(&path, b"2"), Knowledge::Changed);
    }
}
