//! Going through the files of a place as ripgrep does: `.gitignore` and `.git/info/exclude` hold, hidden files are
//! seen, git's own data is not, no link is followed, several threads at once.

use std::path::Path;
use std::time::{Duration, Instant};

use ignore::{DirEntry, WalkBuilder, WalkState};
use tokio_util::sync::CancellationToken;

use super::workspace::path::is_git;
use super::workspace::{Place, PlaceError, PlacePath};

/// How long one call may search.
pub const SEARCH_SECONDS: u64 = 20;

/// More threads than this only wait for the disk.
const MAX_THREADS: usize = 8;

/// When to give up: the time is over, or nobody wants the result.
#[derive(Clone)]
pub struct Stop {
    deadline: Instant,
    cancel: CancellationToken,
}

impl Stop {
    /// Stops after [`SEARCH_SECONDS`], or when the run is stopped.
    pub fn new(cancel: CancellationToken) -> Self {
        Self::after(Duration::from_secs(SEARCH_SECONDS), cancel)
    }

    /// Stops after the given time, or when the run is stopped.
    pub fn after(time: Duration, cancel: CancellationToken) -> Self {
        Self { deadline: Instant::now() + time, cancel }
    }

    /// Whether it is time.
    pub fn now(&self) -> bool {
        self.cancel.is_cancelled() || Instant::now() >= self.deadline
    }
}

/// Prepares a walk over the folder `base`, which has no link in its path ([`Place::resolve`]).
pub fn walk(place: &Place, base: &PlacePath) -> WalkBuilder {
    let target = place.ambient(base);
    let mut from_root = builder(place.root());
    // Rules stand in all folders from the root on, but not above it: a snapshot must not obey the owner's home.
    // So a walk over a part begins at the root and looks only at what leads to the part.
    let wanted = target.clone();
    from_root.filter_entry(move |entry| {
        !is_git(&entry.file_name().to_string_lossy())
            && (wanted.starts_with(entry.path()) || entry.path().starts_with(&wanted))
    });
    if base.is_root() || is_reached(&from_root, base, &target) {
        return from_root;
    }
    // The part itself is ignored. Who names it wants it: then only the rules inside it hold.
    let mut inside = builder(&target);
    inside.filter_entry(|entry| entry.depth() == 0 || !is_git(&entry.file_name().to_string_lossy()));
    inside
}

fn builder(start: &Path) -> WalkBuilder {
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get().min(MAX_THREADS));
    let mut builder = WalkBuilder::new(start);
    builder.hidden(false).require_git(false).parents(false).git_global(false).follow_links(false).threads(threads);
    builder
}

fn is_reached(from_root: &WalkBuilder, base: &PlacePath, target: &Path) -> bool {
    let depth = base.as_str().split('/').count();
    let mut shallow = from_root.clone();
    shallow.max_depth(Some(depth));
    shallow.build().flatten().any(|entry| entry.path() == target)
}

/// Calls a visitor of each thread for every file of a walk, in no order. A visitor that says `false` ends the walk;
/// so does `stop`. Says whether the walk came to its end.
pub fn each_file<V>(place: &Place, walk: &WalkBuilder, stop: &Stop, make: impl Fn() -> V) -> bool
where
    V: FnMut(PlacePath, &DirEntry) -> bool + Send,
{
    let ended = std::sync::atomic::AtomicBool::new(true);
    walk.build_parallel().run(|| {
        let mut visit = make();
        let ended = &ended;
        Box::new(move |entry| {
            if stop.now() {
                ended.store(false, std::sync::atomic::Ordering::Relaxed);
                return WalkState::Quit;
            }
            // What cannot be listed cannot be searched: a folder without permission, a file that is just gone.
            let Ok(entry) = entry else { return WalkState::Continue };
            if entry.file_type().is_none_or(|kind| kind.is_dir()) {
                return WalkState::Continue;
            }
            let path = entry.path().strip_prefix(place.root()).ok().and_then(Path::to_str);
            let Some(Ok(path)) = path.map(PlacePath::parse_relative) else { return WalkState::Continue };
            if visit(path, &entry) { WalkState::Continue } else { WalkState::Quit }
        })
    });
    ended.into_inner()
}

/// The existing files whose names are most like a path that does not exist; at most three.
pub fn nearest(place: &Place, missing: &PlacePath) -> Vec<PlacePath> {
    const MAX_FILES: usize = 20_000;
    const LIKE: f64 = 0.6;
    let name = |path: &PlacePath| path.as_str().rsplit('/').next().unwrap_or_default().to_owned();
    let wanted = name(missing);
    let mut likely: Vec<(f64, PlacePath)> = walk(place, &PlacePath::default())
        .build()
        .flatten()
        .filter(|entry| entry.file_type().is_some_and(|kind| kind.is_file()))
        .take(MAX_FILES)
        .filter_map(|entry| {
            let path = entry.path().strip_prefix(place.root()).ok()?.to_str()?;
            let path = PlacePath::parse_relative(path).ok()?;
            let by_name = strsim::normalized_damerau_levenshtein(&wanted, &name(&path));
            let by_path = strsim::normalized_damerau_levenshtein(missing.as_str(), path.as_str());
            let likeness = if by_name >= 1.0 { 1.0 + by_path } else { by_name.max(by_path) };
            (likeness >= LIKE).then_some((likeness, path))
        })
        .collect();
    likely.sort_by(|(one, a), (other, b)| other.total_cmp(one).then_with(|| a.cmp(b)));
    likely.into_iter().take(3).map(|(_, path)| path).collect()
}

/// What to say of a file that cannot be used; for a missing one with the names that are most like it.
pub fn explain(place: &Place, path: &PlacePath, error: PlaceError) -> super::ToolError {
    let nearest = match &error {
        PlaceError::Missing { .. } | PlaceError::NotAFolder { .. } => nearest(place, path),
        _ => return error.into(),
    };
    let hint = if nearest.is_empty() {
        "Look for it with Glob.".to_owned()
    } else {
        let names: Vec<String> = nearest.iter().map(|path| format!("`{path}`")).collect();
        format!("Nearest: {}.", names.join(", "))
    };
    super::ToolError::ForModel(format!("`{path}` does not exist. {hint}"))
}
