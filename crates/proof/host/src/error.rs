//! What can go wrong in the host, and who must act.

use lockstep_derive::Severity;
use lockstep_preimage::PreimageKey;
use lockstep_providers::{BlobError, ClientError};
use std::{io, path::PathBuf};

/// Why a pre-image could not be collected, kept or served.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// A node did not give what was needed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Nobody knows the pre-image: it is not kept, and the last hint did not bring it.
    #[error("the pre-image of {key} is not known; the last hint was {hint}")]
    Unknown {
        /// What was asked for.
        key: Box<PreimageKey>,
        /// The hint that should have announced it.
        hint: String,
    },
    /// A run without nodes needs something that was not kept.
    #[error("the stored witness lacks the pre-image of {key} (announced by {hint})")]
    Incomplete {
        /// What was asked for.
        key: Box<PreimageKey>,
        /// The hint that announced it.
        hint: String,
    },
    /// A hint cannot be read.
    #[error("a hint cannot be read: {0}")]
    Hint(String),
    /// A file or folder cannot be read or written.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// A stored witness is damaged, or none.
    #[error("{path}: {reason}", path = path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// What is kept may not grow further.
    #[error("{what} of {found} bytes, the limit is {limit}")]
    Limit {
        /// What has the limit.
        what: &'static str,
        /// The bytes that it would have.
        found: u64,
        /// The bytes that it may have.
        limit: u64,
    },
    /// A blob or its proof is wrong, although it was verified before.
    #[error("blob: {0}")]
    Blob(#[from] BlobError),
    /// A pipe to the program failed.
    #[error("the pipe to the program: {0}")]
    Pipe(String),
    /// The program did not come to a verdict.
    #[error("the program came to no verdict: {0}")]
    Program(String),
    /// The range to prove makes no sense, or the nodes do not have it.
    #[error("{0}")]
    Range(String),
}

impl HostError {
    pub(crate) fn program(error: &impl std::fmt::Display) -> Self {
        Self::Program(error.to_string())
    }

    /// Who must act: [`Severity::Temporary`] if trying again may help.
    pub const fn severity(&self) -> Severity {
        match self {
            Self::Client(error) => error.severity(),
            _ => Severity::Critical,
        }
    }
}
