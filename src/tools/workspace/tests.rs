//! Attacks on the place: paths that leave, links, pipes, hard links, git's data.
