//! `${NAME}` in a string of a configuration file is the environment variable of that name.
//!
//! Knows no keys of its own: the caller names those that are shell commands, where `${NAME}` belongs to the shell.
//! The repository's file comes with every merge; a command there must not be handed the daemon's variables.

use serde_json::Value;

use super::Env;
use super::problem::Problems;

/// Replaces every `${NAME}` in the tree, except below the keys in `commands`; names every variable that is not set.
pub(super) fn expand(tree: &mut Value, commands: &[&str], env: Env<'_>, problems: &mut Problems<'_>) {
    walk(tree, "", commands, env, problems);
}

fn walk(value: &mut Value, key: &str, commands: &[&str], env: Env<'_>, problems: &mut Problems<'_>) {
    if commands.contains(&key) {
        return;
    }
    match value {
        Value::String(text) => {
            let (expanded, missing) = expand_text(text, env);
            for name in missing {
                let fix = format!("set {name}, or write the value itself");
                problems.add(key, format!("uses ${{{name}}}, which is not set in the environment"), fix);
            }
            *text = expanded;
        }
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{key}[{index}]"), commands, env, problems);
            }
        }
        Value::Object(map) => {
            for (name, item) in map.iter_mut() {
                walk(item, &super::shape::join(key, name), commands, env, problems);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The text with its variables replaced, and the names of those that are not set, each once. `${` that begins no
/// name stays as it is; what a variable holds is not expanded again.
fn expand_text(text: &str, env: Env<'_>) -> (String, Vec<String>) {
    let (mut expanded, mut missing) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        expanded.push_str(&rest[..start]);
        rest = &rest[start..];
        let name = rest[2..].split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
        let Some(name) = name else {
            expanded.push_str("${");
            rest = &rest[2..];
            continue;
        };
        match env(name) {
            Some(value) => expanded.push_str(&value),
            None if missing.iter().any(|known| known == name) => {}
            None => missing.push(name.to_owned()),
        }
        rest = &rest[name.len() + 3..];
    }
    expanded.push_str(rest);
    (expanded, missing)
}

/// Whether this can be the name of an environment variable.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::expand_text;

    #[test]
    fn names_are_replaced_once_and_everything_else_stays() {
        let env = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "NESTED" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let cases: [(&str, &str, &[&str]); 8] = [
            ("${A}", "1", &[]),
            ("x${A}y${A}", "x1y1", &[]),
            ("${NESTED}", "${A}", &[]),
            ("-${EMPTY}-", "--", &[]),
            ("$A ${A:-x} ${ A} ${", "$A ${A:-x} ${ A} ${", &[]),
            ("${9} ${} ${A", "${9} ${} ${A", &[]),
            ("${B}${C}${B}${A}", "1", &["B", "C"]),
            ("é${A}é", "é1é", &[]),
        ];
        for (text, expanded, missing) in cases {
            let missing = missing.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(expand_text(text, &env), (expanded.to_owned(), missing), "{text}");
        }
    }
}
