//! What a person typed: an approval word, a merge word, a command, or simply a text.
//!
//! The lists are `contract.md` 3. A word counts only as the whole message.

/// What a message is, before one knows what the thread waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// A word that approves a waiting plan. `merges` too when it is `dale`.
    Word {
        /// Whether it approves a plan.
        approves: bool,
        /// Whether it merges a pull request.
        merges: bool,
        /// Whether people also say it in plain talk (`yes`, `ok`), so that it goes to the PM when nothing waits.
        talk: bool,
    },
    /// A command.
    Order(Order),
    /// Anything else.
    Text,
}

/// A command given with `!` or after the bot's mention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// `!pm NAME`, or `!pm` alone to see the pool.
    Pm(Option<String>),
    Status,
    Cost,
    Stop,
    Retry,
    Merge,
    Close,
    Help,
    /// Meant as a command, but none that there is, or with words it does not take.
    Unknown(String),
}

/// The commands with one line each, for `!help`.
pub const HELP: &[(&str, &str)] = &[
    ("!pm NAME", "use another model for the PM in this thread; `!pm` alone shows the choices"),
    ("!status", "what this thread is doing and what it waits for"),
    ("!cost", "what it has cost so far"),
    ("!stop", "stop the role that is working; its work is kept"),
    ("!retry", "go on with everything that an error or a stop ended"),
    ("!merge", "merge the pull request, clean up, close the thread"),
    ("!close", "close the thread without merging"),
    ("!help", "this list"),
];

/// Reads a message. `slash` is true where `/pm …` works too (the local chat), `to_bot` when it began with the bot's
/// mention, already removed.
pub fn read(text: &str, to_bot: bool, slash: bool) -> Typed {
    let text = text.trim();
    if let Some(order) = order(text, to_bot, slash) {
        return Typed::Order(order);
    }
    let word = text.trim_end_matches(END).trim_end().to_lowercase();
    let (approves, merges, talk) = match word.as_str() {
        "approve" | "approved" | "lgtm" => (true, false, false),
        "yes" | "y" | "ok" | "go" => (true, false, true),
        "dale" => (true, true, false),
        "merge" => (false, true, false),
        "done" => (false, true, true),
        _ => return Typed::Text,
    };
    Typed::Word { approves, merges, talk }
}

fn order(text: &str, to_bot: bool, slash: bool) -> Option<Order> {
    let (rest, meant) = match text.strip_prefix('!') {
        Some(rest) => (rest.trim_start_matches('!'), true),
        None if slash && text.starts_with('/') => (&text[1..], true),
        None if to_bot => (text, false),
        None => return None,
    };
    if meant && !rest.starts_with(|sign: char| sign.is_ascii_alphabetic()) {
        return None;
    }
    let mut words = rest.split_whitespace();
    let first = words.next()?;
    let name = first.trim_end_matches(END).to_lowercase();
    let argument = words.next().map(|word| word.trim_end_matches(END).to_owned());
    let known = match (name.as_str(), argument, words.next()) {
        ("pm", argument, None) => Some(Order::Pm(argument)),
        ("status", None, None) => Some(Order::Status),
        ("cost", None, None) => Some(Order::Cost),
        ("stop", None, None) => Some(Order::Stop),
        ("retry", None, None) => Some(Order::Retry),
        ("merge", None, None) => Some(Order::Merge),
        ("close", None, None) => Some(Order::Close),
        ("help", None, None) => Some(Order::Help),
        _ => None,
    };
    // After a mention people also simply talk; after a sign they mean a command, unless it is a word with a colon or a
    // path, as in “!important: …” or “/usr/bin is full”.
    let word = first.trim_end_matches(END_OF_WORD);
    let command = meant && word.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_' || sign == '-');
    known.or_else(|| (command && !name.is_empty()).then_some(Order::Unknown(name)))
}

/// Signs at the end of a word that do not count.
const END: [char; 7] = ['.', '!', '?', ',', ';', ':', '…'];

/// The same without the colon, which makes a heading of a word.
const END_OF_WORD: [char; 6] = ['.', '!', '?', ',', ';', '…'];

#[cfg(test)]
mod tests {
    use super::{Order, Typed, read};

    fn word(approves: bool, merges: bool, talk: bool) -> Typed {
        Typed::Word { approves, merges, talk }
    }

    #[test]
    fn whole_messages_are_words_and_anything_longer_is_text() {
        let cases = [
            ("Approve", word(true, false, false)),
            ("  lgtm!! ", word(true, false, false)),
            ("Yes.", word(true, false, true)),
            ("dale", word(true, true, false)),
            ("MERGE", word(false, true, false)),
            ("yes but rename it", Typed::Text),
            ("approve the other one", Typed::Text),
            ("", Typed::Text),
            ("!pm claude", Typed::Order(Order::Pm(Some("claude".into())))),
            ("!pm", Typed::Order(Order::Pm(None))),
            ("!STOP", Typed::Order(Order::Stop)),
            ("!stop.", Typed::Order(Order::Stop)),
            ("!pm Claude!", Typed::Order(Order::Pm(Some("Claude".into())))),
            ("!stop it now please", Typed::Order(Order::Unknown("stop".into()))),
            ("!rebase", Typed::Order(Order::Unknown("rebase".into()))),
            ("!", Typed::Text),
            ("! important", Typed::Text),
            ("!!stop", Typed::Order(Order::Stop)),
            ("!pm2 claude", Typed::Order(Order::Unknown("pm2".into()))),
            ("!important: fix this", Typed::Text),
            ("/pm claude", Typed::Text),
            ("pm claude", Typed::Text),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text, false, false), expected, "{text:?}");
        }
    }

    #[test]
    fn a_mention_or_the_local_chat_allows_the_other_spellings() {
        assert_eq!(read("pm claude", true, false), Typed::Order(Order::Pm(Some("claude".into()))));
        assert_eq!(read("status", true, false), Typed::Order(Order::Status));
        assert_eq!(read("/pm kimi", false, true), Typed::Order(Order::Pm(Some("kimi".into()))));
        assert_eq!(read("/reload", false, true), Typed::Order(Order::Unknown("reload".into())));
        assert_eq!(read("/usr/bin is full", false, true), Typed::Text);
        assert_eq!(read("pm the csv export is broken", true, false), Typed::Text);
    }
}
