//! Which commands are heavy builds, and of which platform: several of them at once would bring a machine to a halt, so
//! their number is limited (`limits.concurrentBuilds`).
//!
//! A guess from the command's words, like a person's; a build that hides in a script is not seen.

/// A platform whose builds are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    Xcode,
    Node,
    Go,
    Python,
    Rust,
    Jvm,
}

impl Platform {
    /// All platforms.
    pub const ALL: [Self; 6] = [Self::Xcode, Self::Node, Self::Go, Self::Python, Self::Rust, Self::Jvm];

    /// The name in the configuration and in what people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xcode => "xcode",
            Self::Node => "node",
            Self::Go => "go",
            Self::Python => "python",
            Self::Rust => "rust",
            Self::Jvm => "jvm",
        }
    }

    /// The platform of that name, also by the names of its language and tool.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "xcode" | "ios" | "ios/xcode" | "swift" => Self::Xcode,
            "node" | "nodejs" | "node.js" | "npm" => Self::Node,
            "go" => Self::Go,
            "python" => Self::Python,
            "rust" | "cargo" => Self::Rust,
            "jvm" | "java" | "gradle" | "maven" => Self::Jvm,
            _ => return None,
        })
    }

    /// How many builds may run at once when the configuration says nothing; `None`: as many as there are.
    pub fn default_limit(self) -> Option<u32> {
        // Two builds of Xcode on one machine fight over its simulators and its memory.
        (self == Self::Xcode).then_some(1)
    }

    /// The platform that this command builds for; `None` when it is no heavy build.
    pub fn of_command(command: &str) -> Option<Self> {
        command.split(['\n', ';', '&', '|', '(', ')']).find_map(|part| {
            let mut words = part.split_whitespace().skip_while(|word| is_prefix(word));
            let program = words.next()?.rsplit('/').next()?;
            of_words(program, words.find(|word| !word.starts_with(['-', '+'])).unwrap_or_default())
        })
    }
}

/// Words before the program itself: assignments and programs that run another.
fn is_prefix(word: &str) -> bool {
    word.contains('=') || matches!(word, "sudo" | "time" | "nice" | "env" | "exec" | "command" | "xcrun" | "nohup")
}

fn of_words(program: &str, verb: &str) -> Option<Platform> {
    match (program, verb) {
        (
            "cargo",
            "build" | "b" | "test" | "t" | "check" | "c" | "clippy" | "run" | "r" | "bench" | "nextest" | "doc",
        ) => Some(Platform::Rust),
        ("npm" | "pnpm" | "yarn" | "bun", "run" | "test" | "t" | "build" | "install" | "i" | "ci") => {
            Some(Platform::Node)
        }
        ("go", "build" | "test" | "vet" | "run" | "install") => Some(Platform::Go),
        ("pip" | "pip3", "install") => Some(Platform::Python),
        ("swift", "build" | "test") | ("pod", "install" | "update") => Some(Platform::Xcode),
        ("mvn" | "mvnw" | "gradle" | "gradlew", _) => Some(Platform::Jvm),
        _ => of_program(program),
    }
}

/// Programs that build whatever they are told.
fn of_program(program: &str) -> Option<Platform> {
    match program {
        "xcodebuild" => Some(Platform::Xcode),
        "pytest" | "tox" | "nox" => Some(Platform::Python),
        "gradlew" | "mvnw" => Some(Platform::Jvm),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Platform;

    #[test]
    fn builds_are_known_by_their_words() {
        let cases = [
            ("xcodebuild -scheme App test", Some(Platform::Xcode)),
            ("xcodebuild", Some(Platform::Xcode)),
            ("cd app && xcrun xcodebuild build", Some(Platform::Xcode)),
            ("pod install", Some(Platform::Xcode)),
            ("cargo test --lib", Some(Platform::Rust)),
            ("RUST_BACKTRACE=1 cargo +stable --locked test", Some(Platform::Rust)),
            ("cargo fmt --check", None),
            ("./gradlew", Some(Platform::Jvm)),
            ("./gradlew assemble", Some(Platform::Jvm)),
            ("npm ci; npm run build", Some(Platform::Node)),
            ("npm view left-pad", None),
            ("(cd x; go test ./...)", Some(Platform::Go)),
            ("python -m pytest", None),
            ("pytest -q", Some(Platform::Python)),
            ("echo xcodebuild", None),
            ("grep -rn cargo test", None),
            ("", None),
        ];
        for (command, platform) in cases {
            assert_eq!(Platform::of_command(command), platform, "{command}");
        }
    }
}
