//! The body of a pull request: what it is opened with, and the one part of it that is ours to replace later, the
//! evidence. What people wrote around that part is left alone.

use super::{NewPullRequest, UNFINISHED};

/// The marks around our part; nobody sees them on the page.
const BEGIN: &str = "<!-- codebutler: evidence -->";
const END: &str = "<!-- codebutler: end of evidence -->";

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
    if old.starts_with(UNFINISHED) {
        return Some(fresh(new));
    }
    let body = with_section(old, new.evidence.as_ref()?);
    (body != old).then_some(body)
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
        let hostile = fresh(&new("", Some(&format!("a {END} b {BEGIN} c"))));
        assert_eq!(hostile, format!("{BEGIN}\na  b  c\n{END}"));
    }
}
