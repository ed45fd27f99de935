//! A child that was started: read to its end, and its process group killed with it. Also one that waits at a gate, so that
//! starting it need not wait for the leave to begin.

use std::io::Write as _;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe;
use tokio_util::sync::CancellationToken;

use super::{Captured, Exit, Finished, ProcessError, Program};

/// A child that runs.
#[derive(Debug)]
pub(super) struct Running {
    program: Program,
    child: tokio::process::Child,
    group: Group,
    out_pipe: Option<pipe::Receiver>,
    err_pipe: Option<pipe::Receiver>,
}

impl Running {
    /// Starts a program.
    pub(super) fn start(program: Program, merge: bool, input: Stdio) -> Result<Self, ProcessError> {
        let name = program.program.to_string_lossy().into_owned();
        let io = |source| ProcessError::Io { program: name.clone(), source };
        let (out_reader, out_writer) = std::io::pipe().map_err(io)?;
        let (err_reader, err_writer) = std::io::pipe().map_err(io)?;
        let errors = if merge { out_writer.try_clone().map_err(io)? } else { err_writer.try_clone().map_err(io)? };
        drop(err_writer);
        #[expect(clippy::disallowed_methods, reason = "this is the one place that builds a child process")]
        let mut command = tokio::process::Command::new(program.path());
        command
            .arg0(&program.program)
            .args(&program.args)
            .current_dir(&program.directory)
            .env_clear()
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            .stdin(input)
            .stdout(Stdio::from(out_writer))
            .stderr(Stdio::from(errors))
            .process_group(0)
            .kill_on_drop(true);
        let spawned = command.spawn();
        // The command holds our copies of the pipes' writing ends: without this no reader would ever see the end.
        drop(command);
        let child = spawned.map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound if program.directory.is_dir() => {
                ProcessError::NotFound { program: name.clone() }
            }
            _ => io(source),
        })?;
        let group = Group(child.id());
        let out_pipe = Some(pipe::Receiver::from_owned_fd(out_reader.into()).map_err(io)?);
        let err_pipe = Some(pipe::Receiver::from_owned_fd(err_reader.into()).map_err(io)?);
        Ok(Self { program, child, group, out_pipe, err_pipe })
    }

    /// Reads it to its end.
    pub(super) async fn finish(self) -> Result<Finished, ProcessError> {
        let Self { program: Program { program, timeout, head, tail, cancel, .. }, mut child, group, .. } = self;
        let (mut out_pipe, mut err_pipe) = (self.out_pipe, self.err_pipe);
        let (mut stdout, mut stderr) = (Captured::default(), Captured::default());
        let deadline = tokio::time::sleep(timeout);
        tokio::pin!(deadline);
        let mut cut = None;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status.map_err(|source| {
                    ProcessError::Io { program: program.to_string_lossy().into_owned(), source }
                })?,
                () = read_some(&mut out_pipe, &mut stdout, head, tail) => {}
                () = read_some(&mut err_pipe, &mut stderr, head, tail) => {}
                () = &mut deadline, if cut.is_none() => { cut = Some(Exit::TimedOut); group.kill(); }
                () = cancel.cancelled(), if cut.is_none() => { cut = Some(Exit::Cancelled); group.kill(); }
            }
        };
        // What the main process left behind in its group ends with it; then the pipes end too. A process that left
        // the group may hold them open: it gets no more than a moment.
        group.kill();
        let drain = async {
            while out_pipe.is_some() || err_pipe.is_some() {
                tokio::select! {
                    () = read_some(&mut out_pipe, &mut stdout, head, tail) => {}
                    () = read_some(&mut err_pipe, &mut stderr, head, tail) => {}
                }
            }
        };
        let left = tokio::time::timeout(Duration::from_millis(200), drain).await.is_err();
        let exit = cut.unwrap_or_else(|| exit_of(status));
        Ok(Finished { exit, stdout, stderr, left })
    }
}

/// A child that waits for a line at its standard input before it does anything; without one, also when we die, it sees
/// the end of its input. Killed when this is dropped.
#[derive(Debug)]
pub struct AtGate {
    running: Running,
    gate: std::io::PipeWriter,
}

impl AtGate {
    pub(super) fn start(program: Program) -> Result<Self, ProcessError> {
        let name = program.program.to_string_lossy().into_owned();
        let (input, gate) = std::io::pipe().map_err(|source| ProcessError::Io { program: name, source })?;
        Ok(Self { running: Running::start(program, true, Stdio::from(input))?, gate })
    }

    /// Lets it begin, and reads it to its end; its time counts from now.
    pub async fn open(
        mut self,
        timeout: Duration,
        (head, tail): (usize, usize),
        cancel: CancellationToken,
    ) -> Result<Finished, ProcessError> {
        let program = std::mem::replace(&mut self.running.program, Program::new("", ""));
        self.running.program = program.timeout(timeout).keep(head, tail).cancelled_by(cancel);
        // One that did not wait has ended already, as a shell does over a fault in its first line: it says so itself.
        let _ = self.gate.write_all(b"\n");
        drop(self.gate);
        Box::pin(self.running.finish()).await
    }

    /// Whether it is what this program would be now: the same words, the same place, the same environment.
    pub fn is_of(&self, program: &Program) -> bool {
        let own = &self.running.program;
        (&own.program, &own.args, &own.directory, &own.env)
            == (&program.program, &program.args, &program.directory, &program.env)
    }

    /// Whether it ended without being let begin.
    #[cfg(test)]
    pub fn has_ended(&mut self) -> bool {
        self.running.child.try_wait().is_ok_and(|status| status.is_some())
    }
}

/// The child's process group, killed when nobody waits for the child any more.
#[derive(Debug)]
struct Group(Option<u32>);

impl Group {
    fn kill(&self) {
        let pid = self.0.and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

fn exit_of(status: ExitStatus) -> Exit {
    use std::os::unix::process::ExitStatusExt as _;
    match status.code() {
        Some(code) => Exit::Code(code),
        None => Exit::Signal(status.signal().unwrap_or_default()),
    }
}

/// Reads what is there; ends the pipe at its end. Never ready once the pipe has ended.
async fn read_some(pipe: &mut Option<pipe::Receiver>, into: &mut Captured, head: usize, tail: usize) {
    let Some(receiver) = pipe else { return std::future::pending().await };
    // On the heap: an array would make every future that runs a program too large for the stack.
    let mut buffer = Vec::with_capacity(16 * 1024);
    match receiver.read_buf(&mut buffer).await {
        Ok(count) if count > 0 => into.push(&buffer, head, tail),
        Ok(_) | Err(_) => *pipe = None,
    }
}
