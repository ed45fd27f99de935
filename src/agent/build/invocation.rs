//! What a simple command runs in the end: past keywords, assignments, and programs that only run another.

use super::script::Word;

/// What a simple command runs.
pub(super) enum Runs<'a> {
    Program(Invocation<'a>),
    /// A script that stands in its words.
    Script(String),
    Nothing,
}

/// A program and what follows it.
pub(super) struct Invocation<'a> {
    /// Its name, without folders.
    pub(super) program: &'a str,
    pub(super) arguments: &'a [Word],
}

/// A program that runs the one which is named after it.
struct Runner {
    name: &'static str,
    /// The word that must come first, such as the `exec` of `bundle exec`.
    verb: Option<&'static str>,
    /// Options whose value is the next word.
    with_value: &'static [&'static str],
    /// Words between the options and the program.
    operands: usize,
    /// Options with which it runs nothing.
    only_looks: &'static [&'static str],
}

const fn runner(name: &'static str, with_value: &'static [&'static str]) -> Runner {
    Runner { name, verb: None, with_value, operands: 0, only_looks: &[] }
}

const RUNNERS: &[Runner] = &[
    runner("arch", &["-arch"]),
    runner("builtin", &[]),
    Runner { verb: Some("exec"), ..runner("bundle", &[]) },
    runner("caffeinate", &["-t", "-w"]),
    Runner { only_looks: &["-v", "-V"], ..runner("command", &[]) },
    runner("doas", &["-C", "-u"]),
    runner("env", &["-C", "-P", "-u", "--chdir", "--unset"]),
    runner("exec", &["-a"]),
    Runner { operands: 1, ..runner("flock", &["-E", "-w"]) },
    Runner { operands: 1, ..runner("gtimeout", &["-k", "-s", "--kill-after", "--signal"]) },
    runner("ionice", &["-c", "-n"]),
    Runner { verb: Some("exec"), ..runner("mise", &[]) },
    runner("nice", &["-n", "--adjustment"]),
    runner("nohup", &[]),
    Runner { verb: Some("run"), ..runner("pipenv", &[]) },
    Runner { verb: Some("run"), ..runner("poetry", &[]) },
    Runner { verb: Some("exec"), ..runner("rbenv", &[]) },
    runner("setsid", &[]),
    runner("stdbuf", &["-e", "-i", "-o"]),
    runner("sudo", &["-C", "-D", "-R", "-T", "-g", "-h", "-p", "-r", "-t", "-u", "--group", "--user"]),
    runner("taskpolicy", &["-c", "-d", "-g", "-l", "-t"]),
    runner("time", &["-f", "-o", "--format", "--output"]),
    Runner { operands: 1, ..runner("timeout", &["-k", "-s", "--kill-after", "--signal"]) },
    runner("unbuffer", &[]),
    Runner { verb: Some("run"), ..runner("uv", &["-p", "--extra", "--group", "--python", "--with"]) },
    runner("xargs", &["-E", "-I", "-J", "-L", "-P", "-R", "-a", "-d", "-n", "-s"]),
    Runner {
        only_looks: &["-f", "-find", "--find"],
        ..runner("xcrun", &["-sdk", "-toolchain", "--sdk", "--toolchain"])
    },
];

/// What these words run.
pub(super) fn of(mut words: &[Word]) -> Runs<'_> {
    loop {
        words = after_keywords(words);
        let Some((first, arguments)) = words.split_first() else { return Runs::Nothing };
        let program = first.text.rsplit('/').next().unwrap_or_default();
        let next = match program {
            "bash" | "sh" | "zsh" | "dash" | "ksh" => return given_script(arguments),
            "eval" => {
                let words: Vec<&str> = arguments.iter().map(|word| word.text.as_str()).collect();
                return Runs::Script(words.join(" "));
            }
            "python" | "python3" => module(arguments),
            _ => match RUNNERS.iter().find(|runner| runner.name == program) {
                Some(runner) => runner.runs(arguments),
                None => None,
            },
        };
        match next {
            Some(next) => words = next,
            None => return Runs::Program(Invocation { program, arguments }),
        }
    }
}

/// Passes options and their values: the first word that is none, and what follows it. `--` ends options.
pub(super) fn after_options<'a>(mut words: &'a [Word], with_value: &[&str]) -> &'a [Word] {
    while let Some((first, rest)) = words.split_first() {
        let text = first.text.as_str();
        if text == "--" {
            return rest;
        }
        if !text.starts_with(['-', '+']) {
            break;
        }
        words = if has_value(text, with_value) { rest.get(1..).unwrap_or_default() } else { rest };
    }
    words
}

/// Whether the value of this option is the next word; `-Eu` is `-E -u`.
fn has_value(option: &str, with_value: &[&str]) -> bool {
    let is_cluster = option.len() > 2 && !option.starts_with("--") && option.is_ascii();
    let last = option.get(option.len().saturating_sub(1)..).filter(|_| is_cluster);
    with_value.iter().any(|known| *known == option || known.strip_prefix('-').is_some_and(|name| Some(name) == last))
}

impl Runner {
    /// The words that it runs; none when it runs nothing. `None`: it is no runner here, without its verb.
    fn runs<'a>(&self, arguments: &'a [Word]) -> Option<&'a [Word]> {
        let arguments = match self.verb {
            None => arguments,
            Some(verb) => arguments.split_first().filter(|(first, _)| first.text == verb)?.1,
        };
        let rest = after_options(arguments, self.with_value);
        let options = &arguments[..arguments.len() - rest.len()];
        if options.iter().any(|option| self.only_looks.contains(&option.text.as_str())) {
            return Some(&[]);
        }
        Some(rest.get(self.operands..).unwrap_or_default())
    }
}

/// Passes keywords and assignments, after which a command may still come.
fn after_keywords(mut words: &[Word]) -> &[Word] {
    while let Some((first, rest)) = words.split_first() {
        let text = first.text.as_str();
        words = match text {
            "!" | "{" | "}" | "if" | "then" | "elif" | "else" | "fi" | "while" | "until" | "do" | "done" | "esac"
            | "coproc"
                if first.is_bare =>
            {
                rest
            }
            "function" if first.is_bare => rest.get(1..).unwrap_or_default(),
            _ if is_assignment(text) => rest,
            _ => break,
        };
    }
    words
}

/// `NAME=value` or `NAME+=value`.
fn is_assignment(word: &str) -> bool {
    let Some((name, _)) = word.split_once('=') else { return false };
    let name = name.strip_suffix('+').unwrap_or(name);
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The script that a shell was given with `-c`, as in `bash -euo pipefail -c '…'`.
fn given_script(arguments: &[Word]) -> Runs<'_> {
    let options = ["-o", "+o", "-O", "+O", "--init-file", "--rcfile"];
    let rest = after_options(arguments, &options);
    let passed = &arguments[..arguments.len() - rest.len()];
    let is_given = passed.iter().any(|word| {
        let text = word.text.as_str();
        text.starts_with('-') && !text.starts_with("--") && text.contains('c')
    });
    match rest.first() {
        Some(script) if is_given => Runs::Script(script.text.clone()),
        // A file with commands, or whatever comes on its input.
        _ => Runs::Nothing,
    }
}

/// The module that Python is to run, as if it were a program: `python -m pytest`.
fn module(arguments: &[Word]) -> Option<&[Word]> {
    let at = arguments.iter().take_while(|word| word.text.starts_with('-')).position(|word| word.text == "-m")?;
    arguments.get(at + 1..)
}
