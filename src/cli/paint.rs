//! Colour for people: only when standard output is a terminal, and never with `NO_COLOR`.

use std::io::IsTerminal as _;

use crate::agent::Role;
use crate::config::process_env;
use crate::render::story::Tag;

/// Colours text, or leaves it as it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint {
    on: bool,
}

impl Paint {
    /// For standard output as it is.
    pub(super) fn for_output() -> Self {
        let wanted = process_env("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { on: wanted && std::io::stdout().is_terminal() }
    }

    /// Beside the point.
    pub(super) fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// Stands out.
    pub(super) fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// In the colour of who speaks: a role's title, or `you`.
    pub(super) fn author(self, author: &str, text: &str) -> String {
        let role = Role::ALL.into_iter().find(|role| role.title() == author);
        let code = role.map_or(if author == "you" { "1;36" } else { "1;90" }, colour);
        self.with(code, text)
    }

    /// In the colour of a line of a story.
    pub(super) fn tag(self, tag: Tag, text: &str) -> String {
        let code = match tag {
            Tag::Message => "1;36",
            Tag::Role(role) => colour(role),
            Tag::Info => "1;90",
            Tag::Warning => "1;33",
        };
        self.with(code, text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn colour(role: Role) -> &'static str {
    match role {
        Role::Pm => "1;34",
        Role::Coder => "1;32",
        Role::Lead => "1;35",
        Role::Researcher | Role::Artist => "1;90",
    }
}
