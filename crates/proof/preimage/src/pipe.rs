//! Ask over pipes (OP spec: fault proof § pre-image communication, hinting).

use crate::{Hint, PreimageError, PreimageKey, PreimageOracle};
use alloc::vec::Vec;
use alloy_primitives::Bytes;
use core::cell::RefCell;

/// The longest pre-image, in bytes. The longest in practice are nodes that hold a whole transaction.
pub const MAX_PREIMAGE_BYTES: u64 = 64 << 20;

/// The longest hint, in bytes. The longest in practice holds the input of a precompiled contract.
pub const MAX_HINT_BYTES: u32 = 16 << 20;

/// The bytes that are made room for at once: more only when these have come.
const CHUNK_BYTES: usize = 64 << 10;

/// Two pipes, one in each direction, between one who asks and one who answers.
pub trait Pipe {
    /// Why reading or writing can fail.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Reads what has come, at most as much as `buffer` has room for, and waits if there is nothing.
    /// Zero means that the other end is closed and nothing more will come.
    ///
    /// # Errors
    /// When the pipe cannot be read.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Self::Error>;

    /// Writes all of `bytes`, and sees to it that the other end gets them.
    ///
    /// # Errors
    /// When the pipe cannot be written.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// Messages over a pipe that is not used again once something went wrong.
#[derive(Debug)]
pub(crate) struct Messages<P> {
    pipe: P,
    is_out_of_step: bool,
}

impl<P: Pipe> Messages<P> {
    pub(crate) const fn new(pipe: P) -> Self {
        Self { pipe, is_out_of_step: false }
    }

    /// Runs one exchange, and none after one that failed.
    pub(crate) fn exchange<T>(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<T, PreimageError<P::Error>>,
    ) -> Result<T, PreimageError<P::Error>> {
        if self.is_out_of_step {
            return Err(PreimageError::OutOfStep);
        }
        let result = run(self);
        self.is_out_of_step = result.is_err();
        result
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), PreimageError<P::Error>> {
        self.pipe.write(bytes).map_err(PreimageError::Beneath)
    }

    /// Fills `buffer`; `false` if the pipe was closed before the first byte.
    pub(crate) fn fill(
        &mut self,
        what: &'static str,
        buffer: &mut [u8],
    ) -> Result<bool, PreimageError<P::Error>> {
        let wanted = buffer.len();
        let mut got = 0;
        while let Some(rest) = buffer.get_mut(got..).filter(|rest| !rest.is_empty()) {
            let room = rest.len();
            match self.pipe.read(rest).map_err(PreimageError::Beneath)? {
                0 if got == 0 => return Ok(false),
                0 => return Err(truncated(what, wanted as u64, got as u64)),
                read => got += read.min(room),
            }
        }
        Ok(true)
    }

    /// Reads `N` bytes that must come.
    pub(crate) fn take<const N: usize>(
        &mut self,
        what: &'static str,
    ) -> Result<[u8; N], PreimageError<P::Error>> {
        let mut bytes = [0; N];
        if self.fill(what, &mut bytes)? { Ok(bytes) } else { Err(truncated(what, N as u64, 0)) }
    }

    /// Reads a message whose length was announced.
    pub(crate) fn read(
        &mut self,
        what: &'static str,
        bytes: u64,
        limit: u64,
    ) -> Result<Vec<u8>, PreimageError<P::Error>> {
        if bytes > limit {
            return Err(PreimageError::TooLong { what, bytes, limit });
        }
        // The limit fits into memory's addresses on every machine.
        let wanted = usize::try_from(bytes).unwrap_or(usize::MAX);
        let mut message = Vec::new();
        while message.len() < wanted {
            let start = message.len();
            message.resize(wanted.min(start + CHUNK_BYTES), 0);
            let chunk = message.get_mut(start..).unwrap_or_default();
            match self.fill(what, chunk) {
                Ok(true) => {}
                Ok(false) => return Err(truncated(what, bytes, start as u64)),
                Err(PreimageError::Truncated { got, .. }) => {
                    return Err(truncated(what, bytes, start as u64 + got));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(message)
    }
}

const fn truncated<E>(what: &'static str, wanted: u64, got: u64) -> PreimageError<E> {
    PreimageError::Truncated { what, wanted, got }
}

/// Asks for pre-images: writes a key, reads eight bytes of length and the pre-image.
#[derive(Debug)]
pub struct OracleClient<P> {
    messages: Messages<P>,
}

impl<P: Pipe> OracleClient<P> {
    /// Asks over this pipe.
    pub const fn new(pipe: P) -> Self {
        Self { messages: Messages::new(pipe) }
    }

    /// The pre-image of `key`, as the other end says: it is not hashed.
    ///
    /// # Errors
    /// When the pipe fails or the answer is too long.
    pub fn get(&mut self, key: PreimageKey) -> Result<Bytes, PreimageError<P::Error>> {
        self.messages.exchange(|messages| {
            messages.write(key.to_bytes().as_slice())?;
            let bytes = u64::from_be_bytes(messages.take("the length of a pre-image")?);
            Ok(messages.read("a pre-image", bytes, MAX_PREIMAGE_BYTES)?.into())
        })
    }
}

/// Gives hints: writes four bytes of length and the hint, reads one byte.
#[derive(Debug)]
pub struct HintWriter<P> {
    messages: Messages<P>,
}

impl<P: Pipe> HintWriter<P> {
    /// Hints over this pipe.
    pub const fn new(pipe: P) -> Self {
        Self { messages: Messages::new(pipe) }
    }

    /// Gives a hint, and waits until the other end has taken it.
    ///
    /// # Errors
    /// When the pipe fails or the hint is too long.
    pub fn write(&mut self, hint: &Hint) -> Result<(), PreimageError<P::Error>> {
        let hint = hint.encode();
        let length = u32::try_from(hint.len()).ok().filter(|length| *length <= MAX_HINT_BYTES);
        let Some(length) = length else {
            let (bytes, limit) = (hint.len() as u64, MAX_HINT_BYTES.into());
            return Err(PreimageError::TooLong { what: "a hint", bytes, limit });
        };
        self.messages.exchange(|messages| {
            messages.write(&[&length.to_be_bytes(), hint.as_bytes()].concat())?;
            messages.take::<1>("the acknowledgement of a hint").map(drop)
        })
    }
}

/// An oracle at the other end of two pipes.
#[derive(Debug)]
pub struct PipeOracle<P> {
    preimages: RefCell<OracleClient<P>>,
    hints: RefCell<HintWriter<P>>,
    is_attested: bool,
}

impl<P: Pipe> PipeOracle<P> {
    /// Asks whoever is at the other end and need not be honest.
    pub const fn new(preimages: P, hints: P) -> Self {
        Self::with_trust(preimages, hints, false)
    }

    /// Asks a machine that answers with nothing but pre-images, as the fault-proof machine does: its L1
    /// contract takes hashes only with their pre-images, and elements of blobs with a KZG proof.
    pub const fn attested(preimages: P, hints: P) -> Self {
        Self::with_trust(preimages, hints, true)
    }

    const fn with_trust(preimages: P, hints: P, is_attested: bool) -> Self {
        let preimages = RefCell::new(OracleClient::new(preimages));
        let hints = RefCell::new(HintWriter::new(hints));
        Self { preimages, hints, is_attested }
    }
}

impl<P: Pipe> PreimageOracle for PipeOracle<P> {
    type Error = PreimageError<P::Error>;

    fn get(&self, key: PreimageKey) -> Result<Bytes, Self::Error> {
        self.preimages.borrow_mut().get(key)
    }

    fn hint(&self, hint: &Hint) -> Result<(), Self::Error> {
        self.hints.borrow_mut().write(hint)
    }

    fn is_trusted(&self) -> bool {
        self.is_attested
    }

    fn attests_blobs(&self) -> bool {
        self.is_attested
    }
}
