//! From a plan's title to the name of its folder and branch. Pure.

/// The name of folder and branch from a plan's title: ASCII, words joined by `-`, at most 40 characters.
pub fn slug(title: &str) -> String {
    let mut slug = String::new();
    for c in title.chars().flat_map(char::to_lowercase) {
        let plain = plain(c);
        if plain.is_empty() && !slug.is_empty() && !slug.ends_with('-') && !is_accent(c) {
            slug.push('-');
        }
        slug.push_str(plain.as_str());
    }
    if slug.len() > 40 {
        // At a word's end where one is near.
        let cut = slug[..41].rfind('-').filter(|at| *at >= 20).unwrap_or(40);
        slug.truncate(cut);
    }
    let slug = slug.trim_matches('-');
    if slug.is_empty() { "task".to_owned() } else { slug.to_owned() }
}

fn is_accent(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\'' | '’')
}

/// A lower-case letter or digit without its accent; empty for anything else.
fn plain(c: char) -> String {
    let text = match c {
        'a'..='z' | '0'..='9' => return c.to_string(),
        'ß' => "ss",
        'æ' => "ae",
        'œ' => "oe",
        'þ' => "th",
        'à'..='å' | 'ā' | 'ă' | 'ą' => "a",
        'ç' | 'ć' | 'č' => "c",
        'ď' | 'đ' | 'ð' => "d",
        'è'..='ë' | 'ē' | 'ę' | 'ě' => "e",
        'ğ' => "g",
        'ì'..='ï' | 'ī' | 'ı' => "i",
        'ł' | 'ľ' => "l",
        'ñ' | 'ń' | 'ň' => "n",
        'ò'..='ö' | 'ø' | 'ō' | 'ő' => "o",
        'ř' => "r",
        'ś' | 'š' | 'ş' | 'ș' => "s",
        'ť' | 'ț' | 'ţ' => "t",
        'ù'..='ü' | 'ū' | 'ů' | 'ű' => "u",
        'ý' | 'ÿ' => "y",
        'ź' | 'ż' | 'ž' => "z",
        _ => "",
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_short_plain_and_never_empty() {
        for (title, expected) in [
            ("Add a CSV export", "add-a-csv-export"),
            ("Prüfe Größe & Façade: naïve?", "prufe-grosse-facade-naive"),
            ("Don't panic!", "dont-panic"),
            ("  --a..b/../c@{1}~^: ", "a-b-c-1"),
            ("修复登录", "task"),
            ("", "task"),
            ("Make the very long title of this plan fit somewhere", "make-the-very-long-title-of-this-plan"),
            ("abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz", "abcdefghijklmnopqrstuvwxyzabcdefghijklmn"),
            ("Cafe\u{301} lock.lock", "cafe-lock-lock"),
        ] {
            assert_eq!(slug(title), expected, "{title:?}");
            assert!(slug(title).len() <= 40);
        }
    }
}
