//! What commands print.

use eyre::Result;
use std::io::{self, ErrorKind, Write};

/// Prints text and ends the line. That nobody reads it any more, as after `| head`, is no failure.
pub(crate) fn print_line(text: &str) -> Result<()> {
    Ok(write_line(&mut io::stdout().lock(), text)?)
}

/// Prints something as JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print_line(&serde_json::to_string_pretty(value)?)
}

fn write_line(out: &mut impl Write, text: &str) -> io::Result<()> {
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A reader that has left, or a disk that is full.
    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_may_leave_but_a_full_disk_is_told() {
        let mut kept = Vec::new();
        write_line(&mut kept, "text").expect("it is written");
        assert_eq!(kept, b"text\n");
        write_line(&mut Failing(ErrorKind::BrokenPipe), "text").expect("nobody reads it");
        assert!(write_line(&mut Failing(ErrorKind::StorageFull), "text").is_err());
    }
}
