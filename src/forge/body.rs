//! The body of a pull request: what it is opened with, and the parts of it that are ours to replace later: what is missing,
//! first, and the evidence. What people wrote around them is left alone.

use super::{NewPullRequest, UNFINISHED};

/// The marks around our part; nobody sees them on the page.
const BEGIN: &str = "<!-- codebutler: evidence -->";
const END: &str = "<!-- codebutler: end of evidence -->";

/// Ends the first line of a body that says what is missing, when the rest of it is not ours to replace.
const ABOVE: &str = "<!-- codebutler: of what is below -->";

/// What separates the footer from what is above it.
const RULE: &str = "\n\n---\n";

/// The body that a pull request is opened with.
pub fn fresh(new: &NewPullRequest) -> String {
    match &new.evidence {
        Some(evidence) => with_section(&new.body, evidence),
        None => new.body.clone(),
    }
}

/// The body that an open one is to have now; `None`: it stays as it is.
pub fn updated(old: &str, new: &NewPullRequest) -> Option<String> {
    if is_unfinished(old) {
        return Some(fresh(new));
    }
    let mut body = with_section(without_missing(old), new.evidence.as_ref()?);
    if let Some(missing) = new.body.lines().next().filter(|line| line.starts_with(UNFINISHED)) {
        body = format!("{missing} {ABOVE}\n\n{body}");
    }
    (body != old).then_some(body)
}

/// Whether a body is all ours, of work that was not finished: it is replaced by what comes after it.
pub fn is_unfinished(body: &str) -> bool {
    body.starts_with(UNFINISHED) && without_missing(body) == body
}

/// A body without the line that was put above it.
fn without_missing(body: &str) -> &str {
    match body.split_once('\n') {
        Some((line, rest)) if line.starts_with(UNFINISHED) && line.trim_end().ends_with(ABOVE) => rest.trim_start(),
        _ => body,
    }
}

/// The body with this evidence in place of the evidence that it has, else above its footer, else at its end. No evidence
/// takes away what was there: it would be of an older state.
fn with_section(body: &str, evidence: &str) -> String {
    let evidence = evidence.trim();
    // What is printed by a check must not end our part.
    let evidence = evidence.replace(BEGIN, "").replace(END, "");
    let section = if evidence.is_empty() { String::new() } else { format!("{BEGIN}\n{evidence}\n{END}") };
    if let Some((head, rest)) = body.split_once(BEGIN)
        && let Some((_, tail)) = rest.split_once(END)
    {
        return format!("{head}{section}{tail}");
    }
    if section.is_empty() {
        return body.to_owned();
    }
    match body.rsplit_once(RULE) {
        Some((head, footer)) => format!("{head}\n\n{section}{RULE}{footer}"),
        None => format!("{}\n\n{section}", body.trim_end()).trim_start().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(body: &str, evidence: Option<&str>) -> NewPullRequest {
        let (own, evidence) = (str::to_owned, evidence.map(str::to_owned));
        NewPullRequest { branch: own("b"), base: own("main"), title: own("t"), body: own(body), evidence, draft: false }
    }

    #[test]
    fn only_our_own_part_of_a_body_is_replaced() {
        let first = fresh(&new("Report.\n\n---\nfooter", Some("- `test` → exit 1")));
        assert_eq!(first, format!("Report.\n\n{BEGIN}\n- `test` → exit 1\n{END}\n\n---\nfooter"));
        let edited = first.replace("Report.", "A person's words.") + "\nand more";
        let again = updated(&edited, &new("Other", Some("- `test` → exit 0"))).expect("it changes");
        assert_eq!(again, edited.replace("exit 1", "exit 0"));
        assert_eq!(updated(&again, &new("Other", Some("- `test` → exit 0"))), None, "the same again");
        assert_eq!(updated(&again, &new("Other", None)), None, "the Coder's own call says nothing of it");
        let gone = updated(&again, &new("Other", Some(""))).expect("it changes");
        assert!(!gone.contains("exit") && gone.contains("A person's words."), "{gone}");
        assert_eq!(updated("Words", &new("Other", Some("x"))), Some(format!("Words\n\n{BEGIN}\nx\n{END}")));
        let unfinished = format!("{UNFINISHED} not done");
        assert_eq!(updated(&unfinished, &new("Done", None)), Some("Done".to_owned()));
        assert!(is_unfinished(&unfinished));
        let hostile = fresh(&new("", Some(&format!("a {END} b {BEGIN} c"))));
        assert_eq!(hostile, format!("{BEGIN}\na  b  c\n{END}"));
    }

    #[test]
    fn what_is_missing_stands_first_in_every_body_for_as_long_as_it_holds() {
        let draft = format!("{UNFINISHED} `test` fails.");
        let missing = new(&format!("{draft}\n\nOur report."), Some("- `test` → exit 1"));
        let words = "All green, ready to merge.\r\n\r\nTruly.\n\n---\nfooter";
        let told = updated(words, &missing).expect("it changes");
        assert!(told.starts_with(&format!("{draft} {ABOVE}\n\nAll green")) && told.contains("exit 1"), "{told}");
        assert!(!is_unfinished(&told), "these are not our words to replace");
        assert_eq!(updated(&told, &missing), None, "the same again");
        let edited = told.replacen('\n', "\r\n", 1);
        let other = new(&format!("{UNFINISHED} Ana stopped it.\n\nOur report."), Some(""));
        let other = updated(&edited, &other).expect("it changes");
        assert!(other.starts_with(&format!("{UNFINISHED} Ana stopped it. {ABOVE}\n\nAll green")), "{other}");
        let done = updated(&told, &new("Our report.", Some(""))).expect("it changes");
        assert!(done.starts_with("All green") && done.ends_with("footer"), "{done}");
    }
}
