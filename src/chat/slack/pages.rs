//! Reading what Slack gives by pages: the parameters of each page, and where the next one begins.
//!
//! Makes no call: who reads has its own pace and its own way with errors.

use serde::Deserialize;

use super::web_api::or_default;

/// Messages per page.
const PER_PAGE: &str = "200";

/// One page of a history or of a thread.
#[derive(Deserialize)]
pub struct Page<T> {
    /// What it shows.
    pub messages: Vec<T>,
    #[serde(default, deserialize_with = "or_default")]
    has_more: bool,
    #[serde(default, deserialize_with = "or_default")]
    response_metadata: NextPage,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NextPage {
    #[serde(deserialize_with = "or_default")]
    next_cursor: String,
}

/// How far something was read.
pub struct Pages {
    /// Where the next page begins, which is nothing for the first; `None` behind the last.
    cursor: Option<String>,
    /// How many may still be read.
    left: usize,
    /// Whether there is more that cannot be asked for.
    cut: bool,
}

impl Pages {
    /// Before the first page; at most so many are read.
    pub fn new(most: usize) -> Self {
        Self { cursor: Some(String::new()), left: most, cut: false }
    }

    /// The parameters of the next page of what `window` names, if there is one to be read.
    pub fn next<'a>(&'a self, window: &[(&'a str, &'a str)]) -> Option<Vec<(&'a str, &'a str)>> {
        let cursor = self.cursor.as_deref().filter(|_| self.left > 0)?;
        let mut parameters = window.to_vec();
        parameters.push(("limit", PER_PAGE));
        parameters.extend((!cursor.is_empty()).then_some(("cursor", cursor)));
        Some(parameters)
    }

    /// Takes a page that was read; what it shows.
    pub fn take<T>(&mut self, page: Page<T>) -> Vec<T> {
        self.left = self.left.saturating_sub(1);
        self.cursor = Some(page.response_metadata.next_cursor).filter(|cursor| !cursor.is_empty());
        self.cut = page.has_more && self.cursor.is_none();
        page.messages
    }

    /// Whether everything was read.
    pub fn is_done(&self) -> bool {
        self.cursor.is_none() && !self.cut
    }
}
