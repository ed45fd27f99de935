//! The one way from a path that a model wrote to a file: inside one folder, never out of it, never into git's own data.
//!
//! The folder is opened once and kept, so that a later swap of its name does not matter. Links are resolved by the
//! kernel below that handle (cap-std); what they lead to is then opened step by step without following any more, so
//! that nothing that is swapped in between is followed either.

pub mod path;
#[cfg(test)]
mod tests;

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

use super::ToolError;
use crate::git::leftover;
pub use path::PlacePath;

/// The largest file that is read or searched.
pub const MAX_SCANNED: u64 = 50 << 20;

/// The folder that tools work in.
#[derive(Debug)]
pub struct Place {
    handle: Dir,
    root: PathBuf,
    real: PathBuf,
    access: Access,
}

/// What tools may do in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Look only: a snapshot.
    Read,
    /// Look and change: the thread's worktree.
    Write,
}

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Something that is neither: a pipe, a socket, a device.
    Other,
}

/// Why a path or file cannot be used; the words are for the model.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// The path is empty.
    #[error("The path is empty. Give a path inside `{root}`, absolute or relative to it.")]
    Empty {
        /// The folder.
        root: String,
    },
    /// The path has a NUL character in it.
    #[error("The path has a NUL character in it, which no file name can have.")]
    Nul,
    /// The path names the result of a call.
    #[error("`{path}` is the kept result of an earlier call, not a file. Read shows it, with `offset` and `limit`.")]
    Output {
        /// The path.
        path: String,
    },
    /// The path begins with a tilde.
    #[error(
        "`{path}` begins with `~`, which means nothing here. Give a path inside `{root}`, absolute or relative to it."
    )]
    Tilde {
        /// The path.
        path: String,
        /// The folder.
        root: String,
    },
    /// The path leads out of the folder.
    #[error(
        "`{path}` is outside of your workspace. Only files inside `{root}` can be used; give a path relative to it."
    )]
    Outside {
        /// The path.
        path: String,
        /// The folder.
        root: String,
    },
    /// The path leads into git's own data.
    #[error(
        "`{path}` is git's own data, which is closed to file tools. Use GitLog and GitDiff to see history and changes."
    )]
    Git {
        /// The path.
        path: String,
    },
    /// A symbolic link on the way leads out of the folder or nowhere.
    #[error(
        "`{path}` is or goes through a symbolic link that leads out of your workspace or nowhere, so it was left alone. Use the path of a real file."
    )]
    Link {
        /// The path.
        path: String,
    },
    /// There is nothing.
    #[error("`{path}` does not exist.")]
    Missing {
        /// The path.
        path: String,
    },
    /// It is a folder.
    #[error("`{path}` is a folder, not a file. Use Glob with `path` \"{path}\" and pattern `**` to see what is in it.")]
    Folder {
        /// The path.
        path: String,
    },
    /// A part of the path that should be a folder is a file.
    #[error("`{path}` goes through a file as if it were a folder. Check the path with Glob.")]
    NotAFolder {
        /// The path.
        path: String,
    },
    /// It is a pipe, a socket or a device.
    #[error("`{path}` is not a regular file (a pipe, socket or device), so it was left alone.")]
    Special {
        /// The path.
        path: String,
    },
    /// The file has other names outside our sight.
    #[error(
        "`{path}` has other names (hard links), so writing it could change a file outside of your workspace. Nothing was written. Copy it to a new name and rename that over it with Bash first."
    )]
    HardLinks {
        /// The path.
        path: String,
    },
    /// The file is too large to be read.
    #[error("`{path}` has {size} bytes; files over {} MiB are not read. Use Bash (`head`, `tail`, `grep`) to look at a part.", MAX_SCANNED >> 20)]
    TooLarge {
        /// The path.
        path: String,
        /// Its size in bytes.
        size: u64,
    },
    /// This place is only looked at.
    #[error(
        "Nothing was written: this is a read-only copy of the code. Changes are made by the Coder after a plan is approved."
    )]
    ReadOnly,
    /// The system refused.
    #[error("`{path}` could not be used: {source}. Check it with Glob, or try another path.")]
    Io {
        /// The path.
        path: String,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
}

impl From<PlaceError> for ToolError {
    fn from(error: PlaceError) -> Self {
        Self::ForModel(error.to_string())
    }
}

impl Place {
    /// Opens a folder. Its handle is kept for the life of the place.
    pub fn open(root: impl AsRef<Path>, access: Access) -> io::Result<Self> {
        let root = std::path::absolute(root.as_ref())?;
        let handle = Dir::open_ambient_dir(&root, ambient_authority())?;
        let real = std::fs::canonicalize(&root)?;
        Ok(Self { handle, root, real, access })
    }

    /// Whether the folder is still the one that is at its path: it may have been deleted, another put in its place.
    pub fn is_current(&self) -> bool {
        let (open, there) = (rustix::fs::fstat(&self.handle), rustix::fs::stat(&self.root));
        matches!((open, there), (Ok(open), Ok(there)) if (open.st_dev, open.st_ino) == (there.st_dev, there.st_ino))
    }

    /// The folder's absolute path, links in it as they were given.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Reads a path as models write it: absolute inside the folder, or relative to it.
    pub fn path(&self, text: &str) -> Result<PlacePath, PlaceError> {
        PlacePath::parse(text, &[&self.root, &self.real])
    }

    /// Where a path is in the whole file system, for libraries that walk by name. Never open files by it.
    pub fn ambient(&self, path: &PlacePath) -> PathBuf {
        if path.is_root() { self.root.clone() } else { self.root.join(path.as_str()) }
    }

    /// What is at a path, links followed as far as they stay inside.
    pub fn kind(&self, path: &PlacePath) -> Result<Kind, PlaceError> {
        if path.is_root() {
            return Ok(Kind::Folder);
        }
        let found = self.find(path)?;
        Ok(kind_of(&found.stat(path)?))
    }

    /// Opens a regular file for reading.
    pub fn open_file(&self, path: &PlacePath) -> Result<std::fs::File, PlaceError> {
        if path.is_root() {
            return Err(PlaceError::Folder { path: path.to_string() });
        }
        let found = self.find(path)?;
        // A pipe would block at opening without this, before one can see that it is a pipe.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        let file = match rustix::fs::openat(&found.folder, found.name.as_str(), flags, Mode::empty()) {
            Ok(file) => std::fs::File::from(file),
            Err(errno) => return Err(fault(path, errno.into())),
        };
        let stat = rustix::fs::fstat(&file).map_err(|errno| fault(path, errno.into()))?;
        regular(path, &stat)?;
        Ok(file)
    }

    /// Reads a whole regular file of at most [`MAX_SCANNED`] bytes.
    pub fn read(&self, path: &PlacePath) -> Result<Vec<u8>, PlaceError> {
        let mut content = Vec::new();
        let file = self.open_file(path)?;
        file.take(MAX_SCANNED + 1).read_to_end(&mut content).map_err(|source| fault(path, source))?;
        let size = content.len() as u64;
        if size > MAX_SCANNED {
            let size = self.find(path)?.stat(path).map_or(size, |stat| u64::try_from(stat.st_size).unwrap_or(size));
            return Err(PlaceError::TooLarge { path: path.to_string(), size });
        }
        Ok(content)
    }

    /// Writes a file whole or not at all, keeping the permissions of an existing one; missing folders are made.
    ///
    /// The content goes to a new file beside it, which then takes its name. Not flushed to the disk: what a power
    /// failure may cost is work that git does not have yet, and commands write no better.
    pub fn write(&self, path: &PlacePath, content: &[u8]) -> Result<(), PlaceError> {
        if self.access == Access::Read {
            return Err(PlaceError::ReadOnly);
        }
        if path.is_root() {
            return Err(PlaceError::Folder { path: path.to_string() });
        }
        let (target, mode) = match self.find(path) {
            Ok(found) => {
                let stat = found.stat(path)?;
                regular(path, &stat)?;
                if stat.st_nlink > 1 {
                    return Err(PlaceError::HardLinks { path: path.to_string() });
                }
                let mode = Mode::from_raw_mode(stat.st_mode) & (Mode::RWXU | Mode::RWXG | Mode::RWXO);
                (found, Some(mode))
            }
            Err(PlaceError::Missing { .. }) => (self.make_folders(path)?, None),
            Err(error) => return Err(error),
        };
        target.replace(content, mode).map_err(|source| fault(path, source))
    }

    /// The path of something that exists, links resolved.
    pub fn resolve(&self, path: &PlacePath) -> Result<PlacePath, PlaceError> {
        let real = match self.handle.canonicalize(path.as_str()) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.is_link_to_nowhere(path) => {
                return Err(PlaceError::Link { path: path.to_string() });
            }
            Err(error) => return Err(fault(path, error)),
        };
        let text = real.to_str().ok_or_else(|| PlaceError::Link { path: path.to_string() })?;
        PlacePath::parse_relative(text).map_err(|error| match error {
            PlaceError::Git { .. } => PlaceError::Git { path: path.to_string() },
            _ => PlaceError::Link { path: path.to_string() },
        })
    }

    /// Opens a file that a walk has just listed: one step, and a link that took its place is not followed.
    pub fn open_listed(&self, path: &PlacePath) -> Result<std::fs::File, PlaceError> {
        let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(flags.bits().cast_signed());
        let file = self.handle.open_with(path.as_str(), &options).map_err(|source| fault(path, source))?.into_std();
        let stat = rustix::fs::fstat(&file).map_err(|errno| fault(path, errno.into()))?;
        regular(path, &stat)?;
        Ok(file)
    }

    /// The open folder and the name of something that exists.
    fn find(&self, path: &PlacePath) -> Result<Found, PlaceError> {
        let real = self.resolve(path)?;
        let (parents, name) = real.split();
        let Some(name) = name else { return Err(PlaceError::Folder { path: path.to_string() }) };
        let folder = self.walk_down(&parents).map_err(|source| fault(path, source))?;
        Ok(Found { folder, name: name.to_owned() })
    }

    /// Opens a folder step by step, following no link.
    fn walk_down(&self, parts: &[&str]) -> io::Result<OwnedFd> {
        parts.iter().try_fold(open_folder(&self.handle, ".")?, |folder, part| open_folder(&folder, part))
    }

    fn is_link_to_nowhere(&self, path: &PlacePath) -> bool {
        path.ancestors()
            .filter(|path| self.handle.canonicalize(path.as_str()).is_err())
            .any(|path| self.handle.symlink_metadata(path.as_str()).is_ok_and(|meta| meta.is_symlink()))
    }

    /// Makes the folders that a new file needs, and gives the last of them.
    fn make_folders(&self, path: &PlacePath) -> Result<Found, PlaceError> {
        let (parents, name) = path.split();
        let name = name.unwrap_or_default().to_owned();
        let (mut depth, mut real) = (0, PlacePath::default());
        for folder in path.ancestors().skip(1) {
            match self.resolve(&folder) {
                Ok(found) => {
                    (depth, real) = (folder.split().0.len() + 1, found);
                    break;
                }
                Err(PlaceError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        let (mut down, last) = real.split();
        down.extend(last);
        let mut folder = self.walk_down(&down).map_err(|source| fault(path, source))?;
        for part in &parents[depth..] {
            match rustix::fs::mkdirat(&folder, *part, Mode::RWXU | Mode::RWXG | Mode::RWXO) {
                Ok(()) | Err(rustix::io::Errno::EXIST) => {}
                Err(errno) => return Err(fault(path, errno.into())),
            }
            folder = open_folder(&folder, part).map_err(|source| fault(path, source))?;
        }
        Ok(Found { folder, name })
    }
}

/// A name in an open folder.
struct Found {
    folder: OwnedFd,
    name: String,
}

impl Found {
    fn stat(&self, path: &PlacePath) -> Result<Stat, PlaceError> {
        rustix::fs::statat(&self.folder, self.name.as_str(), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| fault(path, errno.into()))
    }

    fn replace(&self, content: &[u8], mode: Option<Mode>) -> io::Result<()> {
        let number = getrandom::u64().map_err(|error| io::Error::other(error.to_string()))?;
        let temporary = leftover::name(number);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let new = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::WGRP | Mode::ROTH | Mode::WOTH;
        let file = rustix::fs::openat(&self.folder, temporary.as_str(), flags, new)?;
        let mut file = std::fs::File::from(file);
        let written = (|| {
            file.write_all(content)?;
            if let Some(mode) = mode {
                rustix::fs::fchmod(&file, mode)?;
            }
            rustix::fs::renameat(&self.folder, temporary.as_str(), &self.folder, self.name.as_str())?;
            Ok(())
        })();
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.folder, temporary.as_str(), AtFlags::empty());
        }
        written
    }
}

fn open_folder(parent: &impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
}

fn kind_of(stat: &Stat) -> Kind {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Folder,
        _ => Kind::Other,
    }
}

fn regular(path: &PlacePath, stat: &Stat) -> Result<(), PlaceError> {
    match kind_of(stat) {
        Kind::File => Ok(()),
        Kind::Folder => Err(PlaceError::Folder { path: path.to_string() }),
        Kind::Other => Err(PlaceError::Special { path: path.to_string() }),
    }
}

/// What the system's error means for the model.
fn fault(path: &PlacePath, source: io::Error) -> PlaceError {
    let path = path.to_string();
    let is = |errno: rustix::io::Errno| source.raw_os_error() == Some(errno.raw_os_error());
    match source.kind() {
        io::ErrorKind::NotFound => PlaceError::Missing { path },
        io::ErrorKind::NotADirectory => PlaceError::NotAFolder { path },
        // cap-std's own refusal of a link that leaves has no system error number; a loop or a swapped link has one.
        io::ErrorKind::PermissionDenied if source.raw_os_error().is_none() => PlaceError::Link { path },
        _ if is(rustix::io::Errno::LOOP) => PlaceError::Link { path },
        // What opening a socket gives, or a pipe for writing.
        _ if is(rustix::io::Errno::NXIO) => PlaceError::Special { path },
        _ => PlaceError::Io { path, source },
    }
}
