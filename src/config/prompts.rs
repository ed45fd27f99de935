//! A role's system prompt, put together from files that people can edit.
//!
//! Which version of a file counts (the owner's uncommitted edit, the base commit) is the source's business; a file
//! that is nowhere takes its default. The same files give the same bytes: caches of model servers depend on it.

use crate::agent::Role;

/// Today's convention for what agents should know about a project; read as shared knowledge when it is there.
const AGENTS: &str = "AGENTS.md";
/// What every role is told.
const SHARED: &str = ".codebutler/prompts/shared.md";
/// The most bytes of one file that go into a prompt: about 10 000 tokens, paid for in every conversation.
const CAP: usize = 40_000;

/// The files as a first run seeds them: path in the repository, content.
pub const DEFAULTS: [(&str, &str); 10] = [
    (".codebutler/prompts/pm.md", include_str!("../../prompts-default/pm.md")),
    (".codebutler/prompts/researcher.md", include_str!("../../prompts-default/researcher.md")),
    (".codebutler/prompts/coder.md", include_str!("../../prompts-default/coder.md")),
    (".codebutler/prompts/lead.md", include_str!("../../prompts-default/lead.md")),
    (".codebutler/prompts/artist.md", include_str!("../../prompts-default/artist.md")),
    (".codebutler/prompts/shared.md", include_str!("../../prompts-default/shared.md")),
    (".codebutler/memory/workflows.md", include_str!("../../prompts-default/memory/workflows.md")),
    (".codebutler/memory/pm.md", include_str!("../../prompts-default/memory/pm.md")),
    (".codebutler/memory/lead.md", include_str!("../../prompts-default/memory/lead.md")),
    (".codebutler/memory/artist.md", include_str!("../../prompts-default/memory/artist.md")),
];

/// A repository's files as a thread sees them at its start.
pub trait PromptSource {
    /// The text of the file at this path, relative to the repository's root with `/` between its parts; `None` when
    /// there is no such file.
    fn read(&self, path: &str) -> Option<String>;
}

/// Every path that [`assemble`] may ask for.
pub fn paths() -> impl Iterator<Item = &'static str> {
    DEFAULTS.iter().map(|(path, _)| *path).chain([AGENTS])
}

/// What a part of a prompt is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The role's own prompt; it comes first and has its own heading.
    Own,
    /// What every role knows, and the project's `AGENTS.md`.
    Shared,
    /// What the role has learned.
    Memory,
    /// The process for each kind of task.
    Workflows,
}

/// The system prompt of a role. The plan is not part of it: the core adds that to the Coder's conversation.
pub fn assemble(role: Role, source: &dyn PromptSource) -> String {
    let mut prompt = String::new();
    for part in parts(role) {
        match part {
            Part::Own => push(&mut prompt, None, &format!(".codebutler/prompts/{}.md", role.key()), source),
            Part::Shared => {
                // As it is seeded it only tells people what to write there.
                let shared = source.read(SHARED).filter(|text| text.trim() != default(SHARED).trim());
                push_text(&mut prompt, Some("Shared knowledge"), SHARED, &shared.unwrap_or_default());
                if let Some(text) = source.read(AGENTS) {
                    push_text(&mut prompt, Some("The project's notes for agents"), AGENTS, &text);
                }
            }
            Part::Memory => push(&mut prompt, Some("Memory"), &format!(".codebutler/memory/{}.md", role.key()), source),
            Part::Workflows => push(&mut prompt, Some("Workflows"), ".codebutler/memory/workflows.md", source),
        }
    }
    prompt.push('\n');
    prompt
}

/// What each role's prompt is made of (`spec/codebutler2.md` 9 to 12).
fn parts(role: Role) -> &'static [Part] {
    match role {
        Role::Pm => &[Part::Own, Part::Shared, Part::Memory, Part::Workflows],
        Role::Researcher | Role::Coder => &[Part::Own, Part::Shared],
        Role::Lead => &[Part::Own, Part::Shared, Part::Workflows, Part::Memory],
        Role::Artist => &[Part::Own, Part::Shared, Part::Memory],
    }
}

fn push(prompt: &mut String, heading: Option<&str>, path: &str, source: &dyn PromptSource) {
    match source.read(path) {
        Some(text) => push_text(prompt, heading, path, &text),
        None => push_text(prompt, heading, path, default(path)),
    }
}

fn default(path: &str) -> &'static str {
    DEFAULTS.iter().find(|(known, _)| *known == path).map_or("", |(_, text)| *text)
}

/// Adds a file's text under a heading that names the file; an empty file adds nothing.
fn push_text(prompt: &mut String, heading: Option<&str>, path: &str, text: &str) {
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return;
    }
    if !prompt.is_empty() {
        prompt.push_str("\n\n---\n\n");
    }
    if let Some(heading) = heading {
        prompt.push_str(&format!("# {heading} (`{path}`)\n\n"));
    }
    let shown = first_lines(text, CAP);
    prompt.push_str(shown);
    if shown.len() < text.len() {
        let (all, cut) = (text.len(), text.len() - shown.len());
        prompt.push_str(&format!("\n\n[`{path}` has {all} bytes; the last {cut} are left out here]"));
    }
}

/// As many whole lines as fit into `cap` bytes; of a first line that is longer, as many characters as fit.
fn first_lines(text: &str, cap: usize) -> &str {
    if text.len() <= cap {
        return text;
    }
    let end = (0..=cap).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    let fits = &text[..end];
    fits.rfind('\n').map_or(fits, |end| &fits[..end]).trim_end()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{CAP, DEFAULTS, PromptSource, assemble, paths};
    use crate::agent::{Role, ToolName};

    struct Files(BTreeMap<&'static str, String>);

    impl PromptSource for Files {
        fn read(&self, path: &str) -> Option<String> {
            self.0.get(path).cloned()
        }
    }

    fn files<const N: usize>(files: [(&'static str, &str); N]) -> Files {
        Files(files.into_iter().map(|(path, text)| (path, text.to_owned())).collect())
    }

    fn short() -> Files {
        files([
            (".codebutler/prompts/pm.md", "I am the PM\n"),
            (".codebutler/prompts/researcher.md", "I am the Researcher"),
            (".codebutler/prompts/coder.md", "\nI am the Coder"),
            (".codebutler/prompts/lead.md", "I am the Lead"),
            (".codebutler/prompts/artist.md", "I am the Artist"),
            (".codebutler/prompts/shared.md", "shared"),
            (".codebutler/memory/pm.md", "pm memory"),
            (".codebutler/memory/lead.md", "lead memory"),
            (".codebutler/memory/artist.md", "artist memory"),
            (".codebutler/memory/workflows.md", "## bugfix"),
        ])
    }

    const SHARED: &str = "\n\n---\n\n# Shared knowledge (`.codebutler/prompts/shared.md`)\n\nshared";
    const WORKFLOWS: &str = "\n\n---\n\n# Workflows (`.codebutler/memory/workflows.md`)\n\n## bugfix";

    #[test]
    fn each_role_is_made_of_its_files_in_order() {
        let memory = |of| format!("\n\n---\n\n# Memory (`.codebutler/memory/{of}.md`)\n\n{of} memory");
        let cases = [
            (Role::Pm, format!("I am the PM{SHARED}{}{WORKFLOWS}\n", memory("pm"))),
            (Role::Researcher, format!("I am the Researcher{SHARED}\n")),
            (Role::Coder, format!("I am the Coder{SHARED}\n")),
            (Role::Lead, format!("I am the Lead{SHARED}{WORKFLOWS}{}\n", memory("lead"))),
            (Role::Artist, format!("I am the Artist{SHARED}{}\n", memory("artist"))),
        ];
        for (role, expected) in cases {
            assert_eq!(assemble(role, &short()), expected, "{role:?}");
        }
    }

    #[test]
    fn assembling_asks_for_the_listed_paths_and_no_others() {
        struct Asked(std::cell::RefCell<Vec<String>>);
        impl PromptSource for Asked {
            fn read(&self, path: &str) -> Option<String> {
                self.0.borrow_mut().push(path.to_owned());
                None
            }
        }
        let source = Asked(Default::default());
        Role::ALL.into_iter().for_each(|role| drop(assemble(role, &source)));
        let mut asked = source.0.into_inner();
        asked.sort();
        asked.dedup();
        let mut listed: Vec<&str> = paths().collect();
        listed.sort();
        assert_eq!(asked, listed);
    }

    #[test]
    fn agents_md_follows_the_shared_knowledge_and_empty_files_leave_no_heading() {
        let mut source = short();
        source.0.insert("AGENTS.md", "use tabs".into());
        source.0.insert(".codebutler/prompts/shared.md", " \n".into());
        assert_eq!(
            assemble(Role::Coder, &source),
            "I am the Coder\n\n---\n\n# The project's notes for agents (`AGENTS.md`)\n\nuse tabs\n"
        );
    }

    #[test]
    fn a_missing_file_takes_its_default() {
        let prompt = assemble(Role::Lead, &files([]));
        for name in
            ["prompts/lead.md", "memory/workflows.md", "memory/lead.md"].map(|name| format!(".codebutler/{name}"))
        {
            let (_, text) = DEFAULTS.iter().find(|(known, _)| *known == name).expect("every default has its file");
            assert!(prompt.contains(text.trim()), "{name}");
        }
        assert!(!prompt.contains("AGENTS.md"));
    }

    #[test]
    fn shared_knowledge_is_sent_when_somebody_wrote_some() {
        let seeded = include_str!("../../prompts-default/shared.md");
        let with = |text: &str| assemble(Role::Coder, &files([(".codebutler/prompts/shared.md", text)]));
        assert_eq!(with(seeded), assemble(Role::Coder, &files([])));
        assert!(!with(seeded).contains("Shared knowledge"));
        assert!(with(&format!("{seeded}\nuse tabs")).contains("use tabs"));
    }

    #[test]
    fn a_long_file_is_cut_at_a_line_and_says_so() {
        let line = "é".repeat(49) + "\n";
        let mut source = short();
        source.0.insert("AGENTS.md", line.repeat(1_000));
        let prompt = assemble(Role::Coder, &source);
        let all = line.len() * 1_000 - 1;
        let shown = CAP / line.len() * line.len() - 1;
        let notice = format!("é\n\n[`AGENTS.md` has {all} bytes; the last {} are left out here]\n", all - shown);
        assert!(prompt.ends_with(&notice), "{}", &prompt[prompt.len() - 200..]);
        source.0.insert("AGENTS.md", "é".repeat(CAP));
        assert!(assemble(Role::Coder, &source).len() < CAP + 1_000);
    }

    #[test]
    fn default_prompts_name_only_tools_that_their_role_has() {
        let words = |text: &'static str| text.split('`').skip(1).step_by(2);
        let looks_like_a_tool = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_uppercase()) && word.chars().all(|c| c.is_ascii_alphabetic())
        };
        for role in Role::ALL {
            let name = format!(".codebutler/prompts/{}.md", role.key());
            let (_, text) = DEFAULTS.iter().find(|(known, _)| *known == name).expect("every role has a prompt");
            for word in words(text).filter(|word| looks_like_a_tool(word)) {
                let tool = ToolName::parse(word).unwrap_or_else(|| panic!("{name}: `{word}` is not a tool"));
                assert!(tool.roles().contains(&role), "{name}: {word}");
            }
        }
        for role in [Role::Pm, Role::Coder] {
            let (_, text) = DEFAULTS
                .iter()
                .find(|(known, _)| *known == format!(".codebutler/prompts/{}.md", role.key()))
                .expect("is");
            for tool in role.tools() {
                assert!(text.contains(&format!("`{tool}`")), "{role:?} is not told about {tool}");
            }
        }
    }

    #[test]
    fn every_seeded_memory_has_a_section_about_the_other_roles() {
        for (name, text) in DEFAULTS {
            let expected = name.contains("/memory/") && !name.ends_with("/workflows.md");
            assert_eq!(text.contains("\n## Working with other roles\n"), expected, "{name}");
        }
    }
}
