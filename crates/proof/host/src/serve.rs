//! Answers a program over pipes.

use crate::{Host, HostError, Request, Store};
use lockstep_preimage::{HintReader, OracleServer, Pipe};
use std::{
    io::{self, Read, Write},
    thread,
};

/// The two directions of a pipe: files, sockets, or what a child process has as input and output.
#[derive(Debug)]
pub struct IoPipe<R, W> {
    reader: R,
    writer: W,
}

impl<R, W> IoPipe<R, W> {
    /// Reads from one and writes to the other.
    pub const fn new(reader: R, writer: W) -> Self {
        Self { reader, writer }
    }
}

impl<R: Read, W: Write> Pipe for IoPipe<R, W> {
    type Error = io::Error;

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.reader.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)?;
        self.writer.flush()
    }
}

/// Answers the program at the other ends of two pipes until it closes them. In the OP Stack's fault
/// proofs these are the program's file descriptors 5 and 6 for pre-images, 3 and 4 for hints.
///
/// A hint that cannot be followed does not end the program: it may need nothing of it. What is missing
/// then ends it.
///
/// # Errors
/// The first pre-image that could not be had; when a pipe fails. That is logged at once. The program then
/// finds the pipe of pre-images closed; this returns when the program has closed that of hints, as it does
/// when it ends.
pub fn serve<S, P, H>(host: &Host<S>, preimages: P, hints: H) -> Result<(), HostError>
where
    S: Store,
    P: Pipe,
    H: Pipe + Send,
{
    thread::scope(|scope| {
        let hints = scope.spawn(move || serve_hints(host, hints));
        let result = serve_preimages(host, preimages);
        if let Err(error) = &result {
            tracing::error!(%error, "the program gets no more pre-images, its end is waited for");
        }
        let hinted = hints.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result.and(hinted)
    })
}

fn serve_preimages<S: Store, P: Pipe>(host: &Host<S>, pipe: P) -> Result<(), HostError> {
    let mut server = OracleServer::new(pipe);
    while let Some(key) = server.next_key().map_err(broken)? {
        server.answer(&host.preimage(key)?).map_err(broken)?;
    }
    Ok(())
}

fn serve_hints<S: Store, P: Pipe>(host: &Host<S>, pipe: P) -> Result<(), HostError> {
    let mut reader = HintReader::new(pipe);
    let mut failures = 0_u64;
    while let Some(hint) = reader.next_hint().map_err(broken)? {
        let followed = Request::decode(&hint).and_then(|request| match request {
            Some(request) => host.announce(request),
            None => Ok(()),
        });
        if let Err(error) = followed {
            failures += 1;
            // A program can give any number of hints: the 1st, 2nd, 4th, … is told.
            if failures.is_power_of_two() {
                tracing::warn!(%error, failures, "a hint was not followed");
            }
        }
        reader.acknowledge().map_err(broken)?;
    }
    Ok(())
}

fn broken(error: impl std::fmt::Display) -> HostError {
    HostError::Pipe(error.to_string())
}
