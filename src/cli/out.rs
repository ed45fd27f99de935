//! Writing to the terminal. A reader that went away (`| head`) is no error and no panic.

use std::io::Write as _;

/// Writes to standard output.
pub(super) fn output(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// Writes to standard error.
pub(super) fn error(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
