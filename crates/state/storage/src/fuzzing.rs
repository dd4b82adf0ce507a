//! What fuzz targets need beside the interface; only there in their builds.

use crate::{disk, files};
use std::path::Path;

/// Reads bytes as a row of a static file, and what such rows hold, as every kind of content.
pub fn read_static_row(bytes: &[u8]) {
    let content = files::fuzzing::read_row(bytes);
    disk::fuzzing::read_content(content.as_deref().unwrap_or(bytes));
}

/// Reads bytes as a file of the log, which is written into `folder`.
pub fn read_log(folder: &Path, bytes: &[u8]) {
    disk::fuzzing::read_log(folder, bytes);
}
