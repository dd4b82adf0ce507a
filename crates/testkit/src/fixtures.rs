//! Where tests find the shared fixtures.

use crate::{
    Error,
    source::{Limits, visit},
};
use std::{
    collections::HashMap,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

/// The folder that the environment names with `LOCKSTEP_FIXTURES`; `None`, visibly, if it names
/// none. A relative path counts from the workspace's root, where cargo is called.
pub fn folder() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests find the fixtures by the environment")]
    let Ok(path) = std::env::var("LOCKSTEP_FIXTURES") else {
        eprintln!("skipped: set LOCKSTEP_FIXTURES to the folder with the fixtures");
        return None;
    };
    Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path))
}

/// The files of an archive by their paths in it, within the default [`Limits`].
///
/// # Errors
/// When the archive cannot be read whole.
pub fn archive(path: &Path) -> Result<HashMap<String, Vec<u8>>, Error> {
    let mut files = HashMap::new();
    let mut failure = None;
    let prefix = format!("{}/", path.display());
    let _ = visit(path, &Limits::default(), &|_| true, &mut |file| match file {
        Ok(file) => {
            let name = file.name.strip_prefix(&prefix).unwrap_or(&file.name);
            files.insert(name.trim_start_matches("./").to_owned(), file.bytes);
            ControlFlow::Continue(())
        }
        Err(error) => {
            failure = Some(error);
            ControlFlow::Break(())
        }
    });
    failure.map_or(Ok(files), Err)
}
