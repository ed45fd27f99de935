//! Slack's message text as plain Markdown, for models and for the log: references become names, escapes are undone.
//!
//! Pure. Formatting marks (`*`, `_`, `~`, backticks) stay as people typed them.

use std::collections::HashMap;

use crate::ids::UserId;

/// The ids of everybody who is mentioned in a text.
pub fn mentioned(text: &str) -> Vec<UserId> {
    references(text)
        .filter_map(|piece| match piece {
            Piece::Reference(inside) => inside.strip_prefix('@').map(|user| UserId::new(halves(user).0)),
            Piece::Text(_) => None,
        })
        .collect()
}

/// Turns a text into Markdown. A person without a name keeps the id.
pub fn to_markdown(text: &str, names: &HashMap<UserId, String>) -> String {
    references(text)
        .map(|piece| match piece {
            Piece::Text(text) => unescape(text),
            Piece::Reference(inside) => reference(inside, names),
        })
        .collect()
}

enum Piece<'a> {
    Text(&'a str),
    /// What stands between `<` and `>`. Slack escapes those typed by people, so these are its own.
    Reference(&'a str),
}

fn references(mut rest: &str) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let closed = rest.strip_prefix('<').and_then(|after| after.split_once('>'));
        if let Some((inside, after)) = closed.filter(|(inside, _)| !inside.contains('<')) {
            rest = after;
            return Some(Piece::Reference(inside));
        }
        // From the second character on, so that an unclosed `<` is text.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest[first..].find('<').map_or(rest.len(), |at| first + at);
        let (text, after) = rest.split_at(end);
        rest = after;
        Some(Piece::Text(text))
    })
}

fn reference(inside: &str, names: &HashMap<UserId, String>) -> String {
    let (target, label) = halves(inside);
    let label = label.filter(|label| !label.is_empty()).map(unescape);
    if let Some(user) = target.strip_prefix('@') {
        let known = names.get(&UserId::new(user)).cloned();
        return format!("@{}", known.or(label).unwrap_or_else(|| user.to_owned()));
    }
    if let Some(channel) = target.strip_prefix('#') {
        return format!("#{}", label.unwrap_or_else(|| channel.to_owned()));
    }
    if let Some(special) = target.strip_prefix('!') {
        let name = special.split('^').next().unwrap_or(special);
        return match label {
            // Groups have their `@` already, dates are plain words.
            Some(label) if label.starts_with('@') || name == "date" => label,
            Some(label) => format!("@{label}"),
            None => format!("@{name}"),
        };
    }
    let url = unescape(target);
    let bare = url.strip_prefix("mailto:").or_else(|| url.strip_prefix("tel:")).unwrap_or(&url).to_owned();
    match label {
        Some(label) if label == bare => bare,
        Some(label) if url.trim_end_matches('/').ends_with(label.trim_end_matches('/')) => url,
        Some(label) => format!("{label} ({url})"),
        None => bare,
    }
}

fn halves(inside: &str) -> (&str, Option<&str>) {
    inside.split_once('|').map_or((inside, None), |(target, label)| (target, Some(label)))
}

/// Undoes Slack's three escapes in one pass, so that `&amp;lt;` becomes `&lt;` and no more.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let (character, after) = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>')]
            .into_iter()
            .find_map(|(escape, character)| Some((character, rest.strip_prefix(escape)?)))
            .unwrap_or_else(|| ('&', &rest[1..]));
        plain.push(character);
        rest = after;
    }
    plain.push_str(rest);
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_become_words_and_escapes_are_undone_once() {
        let names = HashMap::from([(UserId::new("U1"), "Ana".to_owned())]);
        let cases = [
            ("plain *bold* `code`", "plain *bold* `code`"),
            ("ask <@U1> or <@U2>", "ask @Ana or @U2"),
            ("<@U2|ben> knows", "@ben knows"),
            ("see <#C1|general> and <#C2> and <#C3|>", "see #general and #C2 and #C3"),
            ("<https://a.b/c?x=1&amp;y=2|the page>", "the page (https://a.b/c?x=1&y=2)"),
            ("<https://a.b/c>", "https://a.b/c"),
            ("<https://a.b|https://a.b>", "https://a.b"),
            ("<http://example.com|example.com>", "http://example.com"),
            ("<mailto:ana@b.c|ana@b.c>", "ana@b.c"),
            ("<!here> and <!channel> and <!subteam^S1|@devs>", "@here and @channel and @devs"),
            ("due <!date^1700000000^{date}|Nov 14>", "due Nov 14"),
            ("<!here|here>", "@here"),
            ("a &lt;b&gt; &amp;&amp; c", "a <b> && c"),
            ("&amp;lt;@U1&amp;gt;", "&lt;@U1&gt;"),
            ("&lt;@U1&gt; typed by hand", "<@U1> typed by hand"),
            ("AT&T & co", "AT&T & co"),
            ("if a < b then", "if a < b then"),
            ("if a < b then <@U1>", "if a < b then @Ana"),
            ("", ""),
            ("```fn f(x: &amp;str) -&gt; Vec&lt;u8&gt;```", "```fn f(x: &str) -> Vec<u8>```"),
        ];
        for (slack, markdown) in cases {
            assert_eq!(to_markdown(slack, &names), markdown, "{slack}");
        }
    }

    #[test]
    fn everybody_mentioned_is_found() {
        assert_eq!(
            mentioned("<@U1> and <@U2|ben>, not <#C1|x> or &lt;@U3&gt;"),
            [UserId::new("U1"), UserId::new("U2")]
        );
    }
}
