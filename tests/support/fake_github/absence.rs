//! A GitHub that cannot be heard: connections are cut in the middle of every answer, from one request on.

use axum::body::{Body, Bytes};
use axum::response::Response;
use futures_util::stream;

use super::{FakeGitHub, lock};

/// Whether answers arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Line {
    /// They do.
    #[default]
    Up,
    /// They do until a request of this method whose path ends so. `works`: it is carried out all the same.
    UpUntil { method: &'static str, path: &'static str, works: bool },
    /// None does, and nothing is carried out.
    Down,
}

impl Line {
    /// Takes note of a request. `None`: it is answered; else whether it is carried out.
    pub(super) fn cuts(&mut self, method: &str, path: &str) -> Option<bool> {
        match *self {
            Self::UpUntil { method: last, path: end, works } if method == last && path.ends_with(end) => {
                *self = Self::Down;
                Some(works)
            }
            Self::Up | Self::UpUntil { .. } => None,
            Self::Down => Some(false),
        }
    }
}

impl FakeGitHub {
    /// Cuts the answer of the next such request, and all after it. `works`: that one is carried out all the same.
    pub fn cut_from(&self, method: &'static str, path: &'static str, works: bool) {
        lock(&self.world).line = Line::UpUntil { method, path, works };
    }

    /// Answers arrive again.
    pub fn come_back(&self) {
        lock(&self.world).line = Line::Up;
    }
}

/// Headers, then a body that ends in the middle.
pub(super) fn cut() -> Response {
    let cut: Result<Bytes, _> = Err(std::io::Error::other("the fake cuts this answer"));
    Response::new(Body::from_stream(stream::iter([cut])))
}
