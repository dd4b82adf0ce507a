//! Answer over pipes.

use crate::{MAX_HINT_BYTES, MAX_PREIMAGE_BYTES, Pipe, PreimageError, PreimageKey, pipe::Messages};
use alloy_primitives::{B256, Bytes};

/// The other end of an [`OracleClient`](crate::OracleClient).
///
/// ```
/// # use lockstep_preimage::{OracleServer, Pipe, PreimageError, PreimageOracle};
/// # fn serve<P: Pipe, O: PreimageOracle>(pipe: P, oracle: O) -> Result<(), Box<dyn std::error::Error>> {
/// let mut server = OracleServer::new(pipe);
/// while let Some(key) = server.next_key()? {
///     server.answer(&oracle.get(key)?)?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct OracleServer<P> {
    messages: Messages<P>,
}

impl<P: Pipe> OracleServer<P> {
    /// Answers over this pipe.
    pub const fn new(pipe: P) -> Self {
        Self { messages: Messages::new(pipe) }
    }

    /// Waits for the next key; `None` if the other end is closed.
    ///
    /// # Errors
    /// When the pipe fails, or the key has no known kind.
    pub fn next_key(&mut self) -> Result<Option<PreimageKey>, PreimageError<P::Error>> {
        self.messages.exchange(|messages| {
            let mut key = B256::ZERO;
            if !messages.fill("a key", key.as_mut_slice())? {
                return Ok(None);
            }
            PreimageKey::from_bytes(key).map(Some)
        })
    }

    /// Answers the key that came last.
    ///
    /// # Errors
    /// When the pipe fails or the pre-image is too long.
    pub fn answer(&mut self, preimage: &[u8]) -> Result<(), PreimageError<P::Error>> {
        let bytes = preimage.len() as u64;
        self.messages.exchange(|messages| {
            if bytes > MAX_PREIMAGE_BYTES {
                let (what, limit) = ("a pre-image", MAX_PREIMAGE_BYTES);
                return Err(PreimageError::TooLong { what, bytes, limit });
            }
            messages.write(&bytes.to_be_bytes())?;
            messages.write(preimage)
        })
    }
}

/// The other end of a [`HintWriter`](crate::HintWriter).
#[derive(Debug)]
pub struct HintReader<P> {
    messages: Messages<P>,
}

impl<P: Pipe> HintReader<P> {
    /// Reads hints from this pipe.
    pub const fn new(pipe: P) -> Self {
        Self { messages: Messages::new(pipe) }
    }

    /// Waits for the next hint, which [`Hint::decode`](crate::Hint::decode) reads; `None` if the other
    /// end is closed. Whoever wrote it waits for [`Self::acknowledge`].
    ///
    /// # Errors
    /// When the pipe fails or the hint is too long.
    pub fn next_hint(&mut self) -> Result<Option<Bytes>, PreimageError<P::Error>> {
        self.messages.exchange(|messages| {
            let mut length = [0; 4];
            if !messages.fill("the length of a hint", &mut length)? {
                return Ok(None);
            }
            let length = u32::from_be_bytes(length);
            let hint = messages.read("a hint", length.into(), MAX_HINT_BYTES.into())?;
            Ok(Some(hint.into()))
        })
    }

    /// Lets whoever wrote the last hint go on.
    ///
    /// # Errors
    /// When the pipe fails.
    pub fn acknowledge(&mut self) -> Result<(), PreimageError<P::Error>> {
        self.messages.exchange(|messages| messages.write(&[0]))
    }
}
