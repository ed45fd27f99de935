//! A path inside a place, as text: parsed once, it cannot lead out by its words and names nothing of git's.
//!
//! Links are not its business: what a name leads to on the disk is looked at when it is opened.

use std::fmt;
use std::path::Path;

use super::PlaceError;

/// A path relative to a place's folder, without `.` and `..`; the empty one is the folder itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PlacePath(String);

/// Part by part, so that a listing goes through one folder after the other, as ripgrep's does.
impl Ord for PlacePath {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        Path::new(&self.0).cmp(Path::new(&other.0))
    }
}

impl PartialOrd for PlacePath {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PlacePath {
    /// Reads what a model wrote. Absolute paths must lie in one of `roots`, which are names of the same folder.
    pub(super) fn parse(text: &str, roots: &[&Path]) -> Result<Self, PlaceError> {
        let root = || roots.first().map(|root| root.display().to_string()).unwrap_or_default();
        let outside = || PlaceError::Outside { path: text.to_owned(), root: root() };
        if text.is_empty() {
            return Err(PlaceError::Empty { root: root() });
        }
        if text.contains('\0') {
            return Err(PlaceError::Nul);
        }
        if text.starts_with(crate::agent::output::SCHEME) {
            return Err(PlaceError::Output { path: text.to_owned() });
        }
        if text.starts_with('~') {
            return Err(PlaceError::Tilde { path: text.to_owned(), root: root() });
        }
        let mut parts = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop().ok_or_else(outside)?),
                part => parts.push(part),
            }
        }
        let joined = parts.join("/");
        let inside = if text.starts_with('/') {
            let absolute = format!("/{joined}");
            let rest = roots.iter().find_map(|root| Path::new(&absolute).strip_prefix(root).ok());
            rest.and_then(Path::to_str).ok_or_else(outside)?.to_owned()
        } else {
            joined
        };
        if inside.split('/').any(is_git) {
            return Err(PlaceError::Git { path: text.to_owned() });
        }
        Ok(Self(inside))
    }

    /// Reads a path that is known to be relative: of the log, of git, of a listing.
    pub fn parse_relative(text: &str) -> Result<Self, PlaceError> {
        Self::parse(text, &[])
    }

    /// The path as it is given to the system; the folder itself is `.`.
    pub fn as_str(&self) -> &str {
        if self.0.is_empty() { "." } else { &self.0 }
    }

    /// Whether it is the folder itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folders on the way, and the name; no name for the folder itself.
    pub(super) fn split(&self) -> (Vec<&str>, Option<&str>) {
        let mut parts: Vec<&str> = self.0.split('/').filter(|part| !part.is_empty()).collect();
        let name = parts.pop();
        (parts, name)
    }

    /// The path and the folders above it, without the folder itself, the longest first.
    pub(super) fn ancestors(&self) -> impl Iterator<Item = Self> {
        let ends = self.0.match_indices('/').map(|(end, _)| end).chain([self.0.len()]).collect::<Vec<_>>();
        ends.into_iter().rev().filter(|end| *end > 0).map(|end| Self(self.0[..end].to_owned()))
    }

    /// Whether it is `other` or lies in it.
    pub fn is_in(&self, other: &Self) -> bool {
        Path::new(&self.0).starts_with(&other.0)
    }
}

impl fmt::Display for PlacePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a name is `.git` on some file system: they may ignore case (macOS, Windows), some ignore invisible
/// characters (HFS+), and FAT knows it by its short name. Git has the same list (`is_hfs_dotgit`, `is_ntfs_dotgit`).
pub fn is_git(name: &str) -> bool {
    let invisible =
        |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let plain: String = name.chars().filter(|c| !invisible(*c)).flat_map(char::to_lowercase).collect();
    let plain = plain.trim_end_matches(['.', ' ']);
    plain == ".git" || plain == "git~1"
}
