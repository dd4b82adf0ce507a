//! Readers that count, and that stop at an allowance which their owner keeps adjusting.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// A number of bytes that a reader and its owner share.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter(Rc<Cell<u64>>);

impl Counter {
    pub(super) fn set(&self, bytes: u64) {
        self.0.set(bytes);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// Counts what is read from `inner`.
#[derive(Debug)]
pub(super) struct Counted<R> {
    inner: R,
    read_bytes: Counter,
}

impl<R> Counted<R> {
    pub(super) const fn new(inner: R, read_bytes: Counter) -> Self {
        Self { inner, read_bytes }
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.read_bytes.set(self.read_bytes.get().saturating_add(read as u64));
        Ok(read)
    }
}

/// Reads from `inner` until the allowance is spent, then fails.
#[derive(Debug)]
pub(super) struct Metered<R> {
    inner: R,
    allowance: Counter,
}

impl<R> Metered<R> {
    pub(super) const fn new(inner: R, allowance: Counter) -> Self {
        Self { inner, allowance }
    }
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.get();
        if left == 0 && !buffer.is_empty() {
            // At the end of the data nothing more is read, whatever the allowance.
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => {
                    Err(io::Error::other("more data than the headers announce or the limits allow"))
                }
            };
        }
        let wanted = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.inner.read(buffer.get_mut(..wanted).unwrap_or_default())?;
        self.allowance.set(left.saturating_sub(read as u64));
        Ok(read)
    }
}
