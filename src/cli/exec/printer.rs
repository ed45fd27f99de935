//! What `exec` writes, written by a thread of its own: whoever does not read it keeps nobody from hearing a signal.
//!
//! A reader that went away (`| head`) is no error; what cannot be written for another reason is told at the end.

use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::oneshot;

/// Takes what is to be written. Cheap to clone.
#[derive(Clone)]
pub(super) struct Printer(Sender<Words>);

enum Words {
    Output(String),
    Error(String),
    /// Everything has been said; how it went is told.
    End(oneshot::Sender<io::Result<()>>),
}

impl Printer {
    /// Writes to this process's standard output and standard error.
    pub(super) fn start() -> io::Result<Self> {
        Self::onto(io::stdout(), io::stderr())
    }

    fn onto(output: impl Write + Send + 'static, error: impl Write + Send + 'static) -> io::Result<Self> {
        let (words, written) = channel();
        std::thread::Builder::new().name("printer".to_owned()).spawn(move || write(&written, output, error))?;
        Ok(Self(words))
    }

    /// Writes to standard output.
    pub(super) fn output(&self, text: impl Into<String>) {
        let _ = self.0.send(Words::Output(text.into()));
    }

    /// Writes to standard error.
    pub(super) fn error(&self, text: impl Into<String>) {
        let _ = self.0.send(Words::Error(text.into()));
    }

    /// Waits until all of it is written; the error is the first that standard output had.
    pub(super) async fn end(&self) -> io::Result<()> {
        let (told, written) = oneshot::channel();
        let _ = self.0.send(Words::End(told));
        written.await.unwrap_or(Ok(()))
    }
}

fn write(words: &Receiver<Words>, mut output: impl Write, mut error: impl Write) {
    let mut went = Ok(());
    while let Ok(words) = words.recv() {
        match words {
            Words::Output(text) if went.is_ok() => went = whole(&mut output, &text),
            Words::Output(_) => {}
            // Where this cannot be written, nothing can be said about it either.
            Words::Error(text) => drop(whole(&mut error, &text)),
            Words::End(told) => {
                let reader_left = went.as_ref().is_err_and(|error: &io::Error| error.kind() == ErrorKind::BrokenPipe);
                let _ = told.send(if reader_left { Ok(()) } else { std::mem::replace(&mut went, Ok(())) });
            }
        }
    }
}

fn whole(stream: &mut impl Write, text: &str) -> io::Result<()> {
    stream.write_all(text.as_bytes())?;
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_cannot_be_written_is_told_and_a_reader_that_left_is_not() {
        for (kind, is_told) in [(ErrorKind::StorageFull, true), (ErrorKind::BrokenPipe, false)] {
            struct Broken(ErrorKind);
            impl Write for Broken {
                fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                    Err(self.0.into())
                }
                fn flush(&mut self) -> io::Result<()> {
                    Ok(())
                }
            }
            let printer = Printer::onto(Broken(kind), io::sink()).expect("a thread");
            printer.output("a");
            printer.error("b");
            assert_eq!(printer.end().await.is_err(), is_told, "{kind}");
        }
    }
}
