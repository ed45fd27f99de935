//! Markdown, as models write it, as the mrkdwn that Slack shows.
//!
//! Pure. Invariant: `&`, `<` and `>` of the text are always escaped, so that no text can make a mention, a
//! `<!channel>` or a disguised link; the only references written are links to http, https and mailto targets.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeStream};

use super::table::Table;

/// Turns Markdown into mrkdwn.
pub fn from_markdown(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut writer = Writer::default();
    // Merged, because the parser cuts texts, and addresses in them, at every mark that turns out to be none.
    for event in TextMergeStream::new(Parser::new_ext(markdown, options)) {
        writer.event(event);
    }
    writer.out
}

/// Escapes what Slack would read as a reference.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            // Other control characters have no business in a message and can hide what it says.
            '\n' | '\t' => escaped.push(character),
            _ if character.is_control() => {}
            _ => escaped.push(character),
        }
    }
    escaped
}

/// A block of code.
pub fn code_block(code: &str) -> String {
    // The fence of a quotation within the code must not end the code.
    let code = escape(code.trim_end_matches('\n')).replace("```", "`\u{200b}`\u{200b}`");
    format!("```\n{code}\n```")
}

#[derive(Default)]
struct Writer {
    out: String,
    /// What each line begins with: quote marks and the indents of list items.
    prefixes: Vec<String>,
    /// Line ends owed before the next text: 1 ends a line, 2 leaves one blank.
    owed: usize,
    /// One entry per open list: the next number, `None` for bullets.
    lists: Vec<Option<u64>>,
    /// Open marks; Slack knows no bold within bold.
    bold: usize,
    italic: usize,
    strike: usize,
    quotes: usize,
    code: Option<String>,
    link: Option<Link>,
    table: Option<Table>,
}

struct Link {
    url: String,
    label: String,
}

impl Writer {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) | Event::InlineHtml(text) => self.text(&text),
            Event::Html(line) => {
                self.text(line.trim_end_matches('\n'));
                self.owe(1);
            }
            Event::Code(text) | Event::InlineMath(text) | Event::DisplayMath(text) => self.inline_code(&text),
            Event::SoftBreak | Event::HardBreak => self.line_break(),
            Event::Rule => {
                self.owe(1);
                self.write("———");
                self.owe(2);
            }
            Event::TaskListMarker(done) => self.write(if done { "☑ " } else { "☐ " }),
            Event::FootnoteReference(name) => self.text(&format!("[^{name}]")),
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { .. } | Tag::Strong => self.bold(1),
            Tag::Emphasis => self.italic(1),
            Tag::Strikethrough => self.strike(1),
            Tag::BlockQuote(_) => self.open_quote(),
            Tag::CodeBlock(kind) => {
                // An indented block is as good as a fenced one; Slack has no use for the language.
                let (CodeBlockKind::Fenced(_) | CodeBlockKind::Indented) = kind;
                self.code = Some(String::new());
            }
            Tag::List(first) => {
                self.owe(1);
                self.lists.push(first);
            }
            Tag::Item => self.open_item(),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => {
                self.link = Some(Link { url: dest_url.into_string(), label: String::new() });
            }
            Tag::Table(_) => self.table = Some(Table::default()),
            Tag::TableRow | Tag::TableHead => self.in_table(Table::open_row),
            Tag::TableCell => self.in_table(Table::open_cell),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Strong => self.bold(-1),
            TagEnd::Heading(_) => {
                self.bold(-1);
                self.owe(1);
            }
            TagEnd::Emphasis => self.italic(-1),
            TagEnd::Strikethrough => self.strike(-1),
            TagEnd::Paragraph | TagEnd::HtmlBlock => self.owe(if self.lists.is_empty() { 2 } else { 1 }),
            TagEnd::BlockQuote(_) => self.close_quote(),
            TagEnd::CodeBlock => self.close_code(),
            TagEnd::List(_) => {
                self.lists.pop();
                self.owe(if self.lists.is_empty() { 2 } else { 1 });
            }
            TagEnd::Item => {
                self.prefixes.pop();
                self.owe(1);
            }
            TagEnd::Link | TagEnd::Image => self.close_link(),
            TagEnd::Table => {
                if let Some(table) = self.table.take() {
                    self.fenced(&table.aligned());
                }
            }
            _ => {}
        }
    }

    fn bold(&mut self, change: isize) {
        mark(&mut self.bold, change).then(|| self.mark("*"));
    }

    fn italic(&mut self, change: isize) {
        mark(&mut self.italic, change).then(|| self.mark("_"));
    }

    fn strike(&mut self, change: isize) {
        mark(&mut self.strike, change).then(|| self.mark("~"));
    }

    /// Writes a formatting mark, where formatting is possible.
    fn mark(&mut self, mark: &str) {
        if self.link.is_none() && self.table.is_none() {
            self.write(mark);
        }
    }

    fn text(&mut self, text: &str) {
        if let Some(code) = &mut self.code {
            code.push_str(text);
        } else if let Some(link) = &mut self.link {
            link.label.push_str(text);
        } else if let Some(table) = &mut self.table {
            table.push(text);
        } else {
            self.write(&with_links(text));
        }
    }

    fn inline_code(&mut self, text: &str) {
        if self.link.is_some() || self.table.is_some() {
            return self.text(text);
        }
        // Slack cannot show a backtick within code; this letter looks like one.
        self.write(&format!("`{}`", escape(&text.replace('`', "ˋ").replace('\n', " "))));
    }

    fn line_break(&mut self) {
        let formatted = self.bold + self.italic + self.strike > 0;
        if formatted || self.link.is_some() || self.table.is_some() {
            // Slack's marks end with their line.
            self.text(" ");
        } else {
            self.owe(1);
        }
    }

    fn open_quote(&mut self) {
        self.owe(1);
        self.quotes += 1;
        // Slack knows one level of quotes, and only at the beginning of a line.
        if self.quotes == 1 {
            self.prefixes.insert(0, "> ".to_owned());
        }
    }

    fn close_quote(&mut self) {
        self.quotes -= 1;
        if self.quotes == 0 {
            self.prefixes.remove(0);
        }
        self.owe(2);
    }

    fn open_item(&mut self) {
        self.owe(1);
        let depth = self.lists.len();
        let marker = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{}. ", *number - 1)
            }
            _ if depth > 1 => "◦ ".to_owned(),
            _ => "• ".to_owned(),
        };
        self.write(&marker);
        self.prefixes.push("    ".to_owned());
    }

    fn close_code(&mut self) {
        if let Some(code) = self.code.take() {
            self.fenced(&code);
        }
    }

    fn fenced(&mut self, code: &str) {
        self.owe(1);
        self.write(&code_block(code));
        self.owe(if self.lists.is_empty() { 2 } else { 1 });
    }

    fn close_link(&mut self) {
        let Some(Link { url, label }) = self.link.take() else { return };
        let label = label.trim().replace('\n', " ");
        if let Some(table) = &mut self.table {
            return table.push(&label);
        }
        let shown = if label.is_empty() { url.clone() } else { label };
        match target(&url) {
            // A label that names another place would lie about where it leads.
            Some(target) if shown.contains("://") && shown != url => {
                self.write(&format!("{} (<{target}>)", escape(&shown)));
            }
            Some(target) if shown == url => self.write(&format!("<{target}>")),
            Some(target) => self.write(&format!("<{target}|{}>", escape(&shown))),
            None if shown == url => self.write(&escape(&url)),
            None => self.write(&format!("{} ({})", escape(&shown), escape(&url))),
        }
    }

    fn in_table(&mut self, change: impl FnOnce(&mut Table)) {
        if let Some(table) = &mut self.table {
            change(table);
        }
    }

    /// Owes at least so many line ends before what comes next.
    fn owe(&mut self, lines: usize) {
        self.owed = self.owed.max(lines);
    }

    /// Writes text that is mrkdwn already, every line behind the prefixes.
    fn write(&mut self, mrkdwn: &str) {
        if mrkdwn.is_empty() {
            return;
        }
        let prefix = self.prefixes.concat();
        if self.out.is_empty() {
            self.out.push_str(&prefix);
        } else if self.owed > 0 {
            let blank = format!("\n{}", prefix.trim_end());
            self.out.push_str(&blank.repeat(self.owed - 1));
            self.out.push('\n');
            self.out.push_str(&prefix);
        }
        self.owed = 0;
        self.out.push_str(&mrkdwn.replace('\n', &format!("\n{prefix}")));
    }
}

/// Counts a mark's depth; true when it opens for the first time or closes for the last.
fn mark(depth: &mut usize, change: isize) -> bool {
    let before = *depth;
    *depth = depth.saturating_add_signed(change);
    (before == 0) != (*depth == 0)
}

/// A link's target as it may stand in a reference, if it is of a kind that may.
fn target(url: &str) -> Option<String> {
    let scheme = url.split_once(':')?.0.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "http" | "https" | "mailto") || url.chars().any(char::is_control) {
        return None;
    }
    let safe = url.replace('<', "%3C").replace('>', "%3E").replace('|', "%7C").replace(' ', "%20");
    Some(escape(&safe))
}

/// Escapes a text and makes its bare addresses clickable: without parsing by Slack nothing else would.
fn with_links(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = next_address(rest) {
        let (before, from) = rest.split_at(at);
        let end = from.find(|c: char| c.is_whitespace() || "<>\"`|".contains(c)).unwrap_or(from.len());
        let mut url = from[..end].trim_end_matches(['.', ',', ';', ':', '!', '?', '\'', '*', '_', ']', '}']);
        if !url.contains('(') {
            url = url.trim_end_matches([')', '.', ',', '!', '?']);
        }
        written.push_str(&escape(before));
        match target(url).filter(|_| !url.ends_with("://")) {
            Some(target) => written.push_str(&format!("<{target}>")),
            None => written.push_str(&escape(url)),
        }
        rest = &from[url.len()..];
    }
    written.push_str(&escape(rest));
    written
}

fn next_address(text: &str) -> Option<usize> {
    [text.find("https://"), text.find("http://")].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_what_slack_shows() {
        let cases = [
            ("plain", "plain"),
            ("**bold** *it* _it_ ~~no~~ `code`", "*bold* _it_ _it_ ~no~ `code`"),
            ("***both***", "_*both*_"),
            ("# Head **bold**\ntext", "*Head bold*\ntext"),
            ("a\nb\n\nc", "a\nb\n\nc"),
            ("a  \nb", "a\nb"),
            ("**a\nb**", "*a b*"),
            ("- a\n- b\n  - c\n    - d\n- e", "• a\n• b\n    ◦ c\n        ◦ d\n• e"),
            ("3. a\n4. b\n\n   more\n\nafter", "3. a\n4. b\n    more\n\nafter"),
            ("- [x] done\n- [ ] open", "• ☑ done\n• ☐ open"),
            ("text\n- a\n\nafter", "text\n\n• a\n\nafter"),
            ("> a\n> b\n>\n> c\n\nafter", "> a\n> b\n>\n> c\n\nafter"),
            ("> a\n> > b", "> a\n>\n> b"),
            ("- a\n\n  > quoted", "• a\n>     quoted"),
            ("```rust\nlet a = &b;\n\nc\n```\nafter", "```\nlet a = &amp;b;\n\nc\n```\n\nafter"),
            ("- a\n  ```\n  x\n  ```\n- b", "• a\n    ```\n    x\n    ```\n• b"),
            ("[docs](https://a.b/c?x=1&y=2)", "<https://a.b/c?x=1&amp;y=2|docs>"),
            ("<https://a.b>", "<https://a.b>"),
            ("[mail](mailto:a@b.c)", "<mailto:a@b.c|mail>"),
            ("see https://a.b/c. Or (https://d.e/f), ok", "see <https://a.b/c>. Or (<https://d.e/f>), ok"),
            ("https://en.wiki/x_(y)", "<https://en.wiki/x_(y)>"),
            ("![shot](https://a.b/c.png)", "<https://a.b/c.png|shot>"),
            ("a\n\n---\n\nb", "a\n\n———\n\nb"),
            ("| a | b |\n|---|--:|\n| long | x |\n| é | **y** |", "```\na    | b\n-----|--\nlong | x\né    | y\n```"),
            ("``a`b``", "`aˋb`"),
            ("snake_case_name and 2*3*4", "snake_case_name and 2_3_4"),
            ("", ""),
        ];
        for (markdown, mrkdwn) in cases {
            assert_eq!(from_markdown(markdown), mrkdwn, "{markdown}");
        }
    }

    #[test]
    fn no_text_can_make_a_mention_or_a_false_link() {
        let cases = [
            ("<!channel> <!here> <@U1> <#C1>", "&lt;!channel&gt; &lt;!here&gt; &lt;@U1&gt; &lt;#C1&gt;"),
            ("&lt;!channel&gt; &#60;!here&#62;", "&lt;!channel&gt; &lt;!here&gt;"),
            (r"\<!channel\>", "&lt;!channel&gt;"),
            ("`<!channel>` **<@U1>**", "`&lt;!channel&gt;` *&lt;@U1&gt;*"),
            ("```\n<!channel>\n```", "```\n&lt;!channel&gt;\n```"),
            ("<div><!channel></div>", "&lt;div&gt;&lt;!channel&gt;&lt;/div&gt;"),
            ("[x](javascript:alert(1))", "x (javascript:alert(1))"),
            ("[x](<https://a.b/|!channel>)", "<https://a.b/%7C!channel|x>"),
            ("[x](<https://a.b/ c>)", "<https://a.b/%20c|x>"),
            ("[a > <!channel>](https://a.b)", "<https://a.b|a &gt; &lt;!channel&gt;>"),
            ("[https://good.com](https://evil.com)", "https://good.com (<https://evil.com>)"),
            ("https://a.b/<!channel>", "<https://a.b/>&lt;!channel&gt;"),
            ("https://a.b|<!here>", "<https://a.b>|&lt;!here&gt;"),
            ("[x](slack://user?id=1)", "x (slack://user?id=1)"),
            ("| <!channel> |\n|---|\n| [x](https://a.b) |", "```\n&lt;!channel&gt;\n----------\nx\n```"),
            ("~~~\n```\n<@U1>\n~~~", "```\n`\u{200b}`\u{200b}`\n&lt;@U1&gt;\n```"),
            ("a\u{8}b\u{1b}[1m", "ab[1m"),
        ];
        for (markdown, mrkdwn) in cases {
            assert_eq!(from_markdown(markdown), mrkdwn, "{markdown}");
        }
    }
}
