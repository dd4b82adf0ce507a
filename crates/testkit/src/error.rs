//! What can be wrong with a fixture file, as opposed to a fixture that fails.

use std::{io, path::PathBuf};

/// A fixture could not be read. Always the user's to mend: the message names the file, and the
/// field or the limit.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A path could not be opened or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An archive is truncated or not what its name says.
    #[error("{archive}: broken archive: {source}")]
    Archive {
        /// The archive.
        archive: String,
        /// What the decoder said.
        source: io::Error,
    },
    /// Something exceeds a limit of [`crate::source::Limits`].
    #[error("{file}: {what}: the limit is {limit}")]
    Limit {
        /// The file or archive.
        file: String,
        /// What is too much.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A field of a JSON file is missing, mistyped or out of range.
    #[error("{file}: field `{field}`: {reason}")]
    Field {
        /// The file.
        file: String,
        /// Path of the field inside the file; `.` is the whole file.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is JSON but no test of a known format.
    #[error("{file}: no known fixture format: {reason}")]
    Format {
        /// The file.
        file: String,
        /// What was looked for.
        reason: String,
    },
    /// A file that belongs to a fixture is absent.
    #[error("{place}: {what} is missing")]
    Missing {
        /// Where it was looked for.
        place: String,
        /// What was looked for.
        what: String,
    },
}

impl Error {
    /// The file or archive that is wrong.
    pub fn place(&self) -> String {
        match self {
            Self::Io { path, .. } => path.display().to_string(),
            Self::Archive { archive: place, .. }
            | Self::Limit { file: place, .. }
            | Self::Field { file: place, .. }
            | Self::Format { file: place, .. }
            | Self::Missing { place, .. } => place.clone(),
        }
    }

    /// A mistake in one field of `file`.
    pub(crate) fn field(
        file: impl Into<String>,
        field: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Field { file: file.into(), field: field.into(), reason: reason.into() }
    }
}
