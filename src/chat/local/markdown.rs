//! Markdown to HTML that is safe to put into the page: no raw HTML, no images, links only to the web and to mail.
//!
//! What a model or a person writes is hostile until it went through here. The page's content security policy stands
//! behind this, not in place of it.

use pulldown_cmark::{Alignment, CowStr, Event, LinkType, Options, Parser, Tag, TagEnd, html};

/// Link targets that may be opened.
const SCHEMES: [&str; 3] = ["http://", "https://", "mailto:"];

/// Renders a message. Line breaks stay, as people expect in a chat.
pub fn html(markdown: &str) -> String {
    let mut out = String::with_capacity(markdown.len() * 2);
    // Links that were refused lose their tags; they nest only through images, so a stack tells which end is whose.
    let mut open = Vec::new();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let events = Parser::new_ext(markdown, options).map(|event| match event {
        Event::Html(text) | Event::InlineHtml(text) => Event::Text(text),
        Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
        Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
        Event::Start(Tag::Link { link_type, dest_url, .. } | Tag::Image { link_type, dest_url, .. }) => {
            let tag = link(link_type, &dest_url);
            open.push(tag.is_some());
            tag.map_or(Event::Text(CowStr::Borrowed("")), |tag| Event::InlineHtml(tag.into()))
        }
        Event::End(TagEnd::Link | TagEnd::Image) => {
            if open.pop() == Some(true) {
                Event::InlineHtml(CowStr::Borrowed("</a>"))
            } else {
                Event::Text(CowStr::Borrowed(""))
            }
        }
        // An alignment would become a style attribute, which the page's policy refuses.
        Event::Start(Tag::Table(columns)) => Event::Start(Tag::Table(vec![Alignment::None; columns.len()])),
        Event::SoftBreak => Event::HardBreak,
        other => other,
    });
    html::push_html(&mut out, events);
    out
}

/// The opening tag of a link, when its target may be opened.
fn link(link_type: LinkType, target: &str) -> Option<String> {
    let mail = if link_type == LinkType::Email { "mailto:" } else { "" };
    let target = format!("{mail}{target}");
    let allowed =
        SCHEMES.iter().any(|scheme| target.get(..scheme.len()).is_some_and(|s| s.eq_ignore_ascii_case(scheme)));
    allowed.then(|| format!("<a href=\"{}\" target=\"_blank\" rel=\"noopener noreferrer\">", attribute(&target)))
}

fn attribute(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::html;

    #[test]
    fn the_markdown_that_the_team_writes_becomes_html() {
        let cases = [
            ("one\ntwo", "<p>one<br />\ntwo</p>\n"),
            ("`src/a.rs:88-104`", "<p><code>src/a.rs:88-104</code></p>\n"),
            ("~~old~~ **new**", "<p><del>old</del> <strong>new</strong></p>\n"),
            (
                "[#482](https://example.org/pull/482?a=1&b=2)",
                "<p><a href=\"https://example.org/pull/482?a=1&amp;b=2\" target=\"_blank\" \
                 rel=\"noopener noreferrer\">#482</a></p>\n",
            ),
            (
                "<ana@example.org>",
                "<p><a href=\"mailto:ana@example.org\" target=\"_blank\" rel=\"noopener noreferrer\">\
                 ana@example.org</a></p>\n",
            ),
            (
                "| a | b |\n|--:|:-:|\n| 1 | 2 |",
                "<table><thead><tr><th>a</th><th>b</th></tr></thead><tbody>\n<tr><td>1</td><td>2</td></tr>\n\
                 </tbody></table>\n",
            ),
        ];
        for (markdown, expected) in cases {
            assert_eq!(html(markdown), expected, "{markdown:?}");
        }
    }

    #[test]
    fn nothing_active_comes_out() {
        let cases = [
            ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"),
            ("a <img src=x onerror=alert(1)> b", "<p>a &lt;img src=x onerror=alert(1)&gt; b</p>\n"),
            ("[a](javascript:alert(1))", "<p>a</p>\n"),
            ("[a](JaVaScRiPt:alert(1))", "<p>a</p>\n"),
            ("[a](java&#10;script:alert(1))", "<p>a</p>\n"),
            ("[a](data:text/html;base64,PHM+)", "<p>a</p>\n"),
            ("[a](//evil.example)", "<p>a</p>\n"),
            ("<javascript:alert(1)>", "<p>javascript:alert(1)</p>\n"),
            ("![pixel](data:image/png;base64,AA)", "<p>pixel</p>\n"),
            (
                "[a](https://x.example/\"onmouseover=\"alert(1))",
                "<p><a href=\"https://x.example/&quot;onmouseover=&quot;alert(1)\" target=\"_blank\" \
                 rel=\"noopener noreferrer\">a</a></p>\n",
            ),
            (
                "```\"><script>alert(1)</script>\nx\n```",
                "<pre><code class=\"language-&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\">x\n</code></pre>\n",
            ),
        ];
        for (markdown, expected) in cases {
            assert_eq!(html(markdown), expected, "{markdown:?}");
        }
    }
}
