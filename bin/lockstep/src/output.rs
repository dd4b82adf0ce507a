//! What commands print.
//!
//! Nothing that others wrote, as nodes do in their error messages, gets to the terminal as it is: it could move the
//! cursor, or reorder and hide what stands beside it.

use eyre::{Result, WrapErr};
use rustix::termios::tcgetwinsize;
use std::{
    borrow::Cow,
    fmt,
    io::{self, ErrorKind, Write},
    sync::OnceLock,
};

/// Prints a line, as `println!` does, but for what [`print_line`] says. That it cannot be written is told at the end
/// ([`failure`]).
macro_rules! say {
    ($($line:tt)*) => { $crate::output::print_or_remember(format_args!($($line)*)) };
}

pub(crate) use say;

/// Why something could not be printed.
static FAILURE: OnceLock<String> = OnceLock::new();

/// See [`say!`].
pub(crate) fn print_or_remember(line: fmt::Arguments<'_>) {
    if let Err(error) = print_line(&line.to_string()) {
        FAILURE.get_or_init(|| format!("{error:#}"));
    }
}

/// Why something that was to be printed with [`say!`] was not.
pub(crate) fn failure() -> Option<&'static str> {
    FAILURE.get().map(String::as_str)
}

/// Prints text and ends the line. That nobody reads it any more, as after `| head`, is no failure.
pub(crate) fn print_line(text: &str) -> Result<()> {
    write_line(&mut io::stdout().lock(), text).wrap_err("standard output")
}

/// Prints something as JSON.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print_line(&serde_json::to_string_pretty(value)?)
}

fn write_line(out: &mut impl Write, text: &str) -> io::Result<()> {
    match writeln!(out, "{}", plain(text)).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

/// The size of the terminal at standard output, if there is one and it says so.
pub(crate) fn terminal_size() -> Option<Size> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    let size = Size { rows: size.ws_row.into(), columns: size.ws_col.into() };
    (size.rows > 0 && size.columns > 0).then_some(size)
}

/// The text without what could move the cursor, other than to the next line, and without what cannot be seen.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let is_kept = |it: char| it == '\n' || !(it.is_control() || is_invisible(it));
    if text.chars().all(is_kept) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|it| if is_kept(it) { it } else { ' ' }).collect()
}

/// Unicode's categories Cf, Zl and Zp (Unicode 16): among them what turns the direction of text.
const fn is_invisible(it: char) -> bool {
    matches!(
        it,
        '\u{ad}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{890}'..='\u{891}'
            | '\u{8e2}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2064}'
            | '\u{2066}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{110bd}'
            | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0001}'
            | '\u{e0020}'..='\u{e007f}'
    )
}

/// The same, in one line.
pub(crate) fn plain_line(text: &str) -> String {
    plain(text).replace('\n', " ")
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

    #[test]
    fn nothing_that_is_printed_moves_the_cursor() {
        let mut kept = Vec::new();
        write_line(&mut kept, "one\n\x1b[2J\r two\u{9b}2J").expect("it is written");
        assert_eq!(kept, "one\n [2J  two 2J\n".as_bytes());
        assert_eq!(plain_line("one\ntwo\u{7}"), "one two ");
        assert_eq!(plain("one\u{202e}owt\u{2066}\u{2028}"), "one owt  ");
        assert!(matches!(plain("block 1,250 → ok\n"), Cow::Borrowed(_)));
    }
}
