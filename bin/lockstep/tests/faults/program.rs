//! The program, as a process that ends with the test.

use serde_json::Value;
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

const BINARY: &str = env!("CARGO_BIN_EXE_lockstep");

/// The longest that the program may take to be ready or to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// A running program; killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    /// Lines of standard output; ends with the program.
    lines: Receiver<String>,
    /// Standard error.
    log: PathBuf,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) lines: Vec<String>,
    pub(crate) errors: String,
}

impl Program {
    /// Starts the program. `log` receives its standard error.
    pub(crate) fn start(args: &[&str], log: &Path) -> Self {
        let mut command = Command::new(BINARY);
        command.args(args);
        Self::spawn(command, log)
    }

    /// Starts it so that no file can be written beyond this size: a write there fails with
    /// `EFBIG`.
    pub(crate) fn start_limited(args: &[&str], log: &Path, kib: u64) -> Self {
        let mut command = Command::new("sh");
        // POSIX counts in blocks of 512 bytes. What the shell ignores, the program ignores.
        let script = r#"trap '' XFSZ; ulimit -f "$0" && exec "$@""#;
        command.args(["-c", script, &(2 * kib).to_string(), BINARY]).args(args);
        Self::spawn(command, log)
    }

    fn spawn(mut command: Command, log: &Path) -> Self {
        let errors = File::create(log).unwrap();
        command.env("RUST_LOG", "warn").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(errors).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            // Nobody may listen any more.
            output.lines().map_while(Result::ok).try_for_each(|line| send.send(line).ok())
        });
        Self { child, lines, log: log.to_owned() }
    }

    /// Waits for the line that says that the program is ready.
    pub(crate) fn ready(&self) -> Value {
        self.ready_or_ended().unwrap_or_else(|| panic!("it did not start: {}", self.errors()))
    }

    /// As [`Self::ready`]; nothing if the program ended instead.
    pub(crate) fn ready_or_ended(&self) -> Option<Value> {
        let begin = Instant::now();
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begin.elapsed())) {
                Ok(line) => {
                    let event: Value = serde_json::from_str(&line).unwrap();
                    if event["event"] == "ready" {
                        return Some(event);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => panic!("it is not ready: {}", self.errors()),
            }
        }
    }

    /// What the program wrote to standard error.
    pub(crate) fn errors(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// `SIGKILL`: the program has no say in it.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), None, "it ended by itself: {}", self.errors());
    }

    /// `SIGTERM`: the program persists what it has.
    pub(crate) fn stop(self) -> Ended {
        let id = self.child.id().to_string();
        let status = Command::new("sh").args(["-c", "kill -TERM \"$0\"", &id]).status().unwrap();
        assert!(status.success());
        self.end()
    }

    /// Waits until the program ends.
    pub(crate) fn end(mut self) -> Ended {
        let begin = Instant::now();
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE.saturating_sub(begin.elapsed())) {
                Ok(line) => lines.push(line),
                // Its output closes when it ends.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end: {}", self.errors()),
            }
        }
        let status = self.child.wait().unwrap();
        Ended { status, lines, errors: self.errors() }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Ended {
    let log = tempfile::NamedTempFile::new().unwrap();
    Program::start(args, log.path()).end()
}

/// `lockstep db check`.
pub(crate) fn check(folder: &Path) -> Ended {
    run(&["db", "check", text(folder), "--json"])
}

/// Checks the chains in a folder, and expects nothing to be wrong.
pub(crate) fn assert_sound(folder: &Path, what: &str) {
    let Ended { status, lines, errors } = check(folder);
    assert_eq!(status.code(), Some(0), "{what}: {lines:?} {errors}");
    assert!(!lines.is_empty(), "{what}: nothing was checked");
    for line in lines {
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["problem_count"], 0, "{what}: {answer}");
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
