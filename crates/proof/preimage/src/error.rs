//! What can go wrong between one who asks and one who answers.

use crate::PreimageKey;
use alloc::boxed::Box;

/// Why a pre-image was not given, or a pipe is of no more use. `E` is the error of what lies beneath:
/// a pipe, or another oracle.
///
/// Only [`Self::Beneath`] may pass by itself. Everything else is for whoever chose the back end:
/// it answers wrongly, or with less than it must know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreimageError<E> {
    /// The pipe or oracle beneath failed.
    #[error("{0}")]
    Beneath(#[source] E),
    /// Nobody knows the pre-image.
    #[error("the pre-image of {0} is unknown")]
    Unknown(Box<PreimageKey>),
    /// The answer is the pre-image of another key.
    #[error("asked for the pre-image of {asked}, got that of {got}")]
    Mismatch {
        /// The key that was asked for.
        asked: Box<PreimageKey>,
        /// The key of what was given.
        got: Box<PreimageKey>,
    },
    /// The first byte of a key names no kind.
    #[error("{0} is no kind of pre-image key")]
    Kind(u8),
    /// A message announces more bytes than it may have.
    #[error("{what} of {bytes} bytes, the limit is {limit}")]
    TooLong {
        /// The kind of message.
        what: &'static str,
        /// The bytes announced.
        bytes: u64,
        /// The most that are allowed.
        limit: u64,
    },
    /// The pipe ended inside a message.
    #[error("the pipe ended after {got} of {wanted} bytes of {what}")]
    Truncated {
        /// The kind of message.
        what: &'static str,
        /// The bytes announced.
        wanted: u64,
        /// The bytes that came.
        got: u64,
    },
    /// The pipe failed earlier, and its two ends may be out of step.
    #[error("the pipe failed before")]
    OutOfStep,
}
