//! Stream a tar archive entry by entry.

use super::{
    File, Limits, Visitor, is_hidden,
    meter::{Counter, Metered},
    too_large,
};
use crate::Error;
use core::ops::ControlFlow;
use std::io::{self, Read};

/// Headers, long names and padding before an entry's data: generous for any real archive, small
/// enough to hold in memory.
const OVERHEAD_BYTES: u64 = 1 << 20;

/// The archive that is being read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Archive<'a> {
    pub(super) name: &'a str,
    pub(super) read_bytes: &'a Counter,
}

impl Archive<'_> {
    /// Visits the wanted entries of the archive that `reader` yields, in their order.
    pub(super) fn visit(
        self,
        reader: Box<dyn Read>,
        limits: &Limits,
        wanted: &dyn Fn(&str) -> bool,
        visitor: &mut Visitor<'_>,
    ) -> ControlFlow<()> {
        let allowance = Counter::default();
        let mut archive = tar::Archive::new(Metered::new(reader, allowance.clone()));
        let mut walk =
            EntryWalk { archive: self, limits, wanted, allowance, total_bytes: 0, entries: 0 };
        let mut broken = None;
        let flow = match archive.entries() {
            Ok(entries) => walk.entries(entries, visitor, &mut broken),
            Err(source) => {
                broken = Some(walk.broken(source));
                ControlFlow::Continue(())
            }
        };
        if flow.is_break() {
            return flow;
        }
        // What follows the last entry is padding; reading it lets the decoder see a truncation.
        walk.allowance.set(OVERHEAD_BYTES);
        if broken.is_none()
            && let Err(source) = io::copy(&mut archive.into_inner(), &mut io::sink())
        {
            broken = Some(walk.broken(source));
        }
        match broken {
            Some(error) => visitor(Err(error)),
            None => ControlFlow::Continue(()),
        }
    }
}

struct EntryWalk<'a> {
    archive: Archive<'a>,
    limits: &'a Limits,
    wanted: &'a dyn Fn(&str) -> bool,
    allowance: Counter,
    total_bytes: u64,
    entries: u64,
}

impl EntryWalk<'_> {
    fn broken(&self, source: io::Error) -> Error {
        Error::Archive { archive: self.archive.name.into(), source }
    }

    /// Visits entry by entry; an error in `broken` is one after which the archive is unreadable.
    fn entries<R: Read>(
        &mut self,
        mut entries: tar::Entries<'_, R>,
        visitor: &mut Visitor<'_>,
        broken: &mut Option<Error>,
    ) -> ControlFlow<()> {
        loop {
            self.allowance.set(self.allowance.get().saturating_add(OVERHEAD_BYTES));
            let entry = match entries.next() {
                None => return ControlFlow::Continue(()),
                Some(Ok(entry)) => entry,
                Some(Err(source)) => {
                    *broken = Some(self.broken(source));
                    return ControlFlow::Continue(());
                }
            };
            if let Err(error) = self.account_for(entry.size()) {
                *broken = Some(error);
                return ControlFlow::Continue(());
            }
            self.allowance.set(entry.size());
            if let Some(file) = self.read(entry) {
                visitor(file)?;
            }
        }
    }

    fn account_for(&mut self, size: u64) -> Result<(), Error> {
        let limit = |what, limit| Error::Limit { file: self.archive.name.into(), what, limit };
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(limit("entries", self.limits.entries));
        }
        self.total_bytes = self.total_bytes.saturating_add(size);
        if self.total_bytes > self.limits.archive_bytes {
            return Err(limit("decompressed size in bytes", self.limits.archive_bytes));
        }
        Ok(())
    }

    /// The file in `entry`, if it is one and wanted.
    fn read<R: Read>(&self, mut entry: tar::Entry<'_, R>) -> Option<Result<File, Error>> {
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = format!("{}/{path}", self.archive.name);
        let hidden = path.split('/').any(|part| is_hidden(part) && part != "." && part != "..");
        if !entry.header().entry_type().is_file() || hidden || !(self.wanted)(&name) {
            return None;
        }
        if entry.size() > self.limits.file_bytes {
            return Some(Err(too_large(&name, self.limits.file_bytes)));
        }
        // The size is only a claim: memory grows with the data that is really there.
        let mut bytes = Vec::new();
        let read_bytes = self.archive.read_bytes.get();
        Some(match entry.read_to_end(&mut bytes) {
            Ok(read) if read as u64 == entry.size() => Ok(File { name, bytes, read_bytes }),
            Ok(_) => {
                Err(Error::Archive { archive: name, source: io::ErrorKind::UnexpectedEof.into() })
            }
            Err(source) => Err(Error::Archive { archive: name, source }),
        })
    }
}
