//! Lines at the end of a terminal that change in place.
//!
//! The terminal stays as it is: no other screen, no other mode, a cursor that is seen. So there is nothing to restore,
//! however the process ends.

use parking_lot::Mutex;
use rustix::termios::tcgetwinsize;
use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    sync::Arc,
};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// Log lines that are shown.
const EVENTS: usize = 6;

/// The longest log line that is kept, in characters.
const MAX_EVENT: usize = 1_000;

/// A terminal of which that is not known.
const DEFAULT_SIZE: Size = Size { rows: 24, columns: 80 };

/// Of a terminal, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size {
    rows: usize,
    columns: usize,
}

/// What is shown at the end of the terminal.
#[derive(Debug, Default)]
struct Screen {
    /// Lines that are on the terminal now.
    shown: usize,
    lines: Vec<String>,
    /// The newest log lines.
    events: VecDeque<String>,
}

impl Screen {
    /// What takes the lines off the terminal.
    fn erased(&mut self) -> String {
        match std::mem::take(&mut self.shown) {
            0 => String::new(),
            shown => format!("\r\x1b[{shown}A\x1b[J"),
        }
    }

    /// What puts the lines on the terminal, in place of those that are there.
    fn drawn(&mut self, size: Size) -> String {
        let mut out = self.erased();
        let events = self.events.iter().map(|event| format!("        {event}"));
        // The last row is the cursor's.
        let room = size.rows.saturating_sub(1);
        for line in self.lines.iter().cloned().chain(events).take(room) {
            // A line that is as wide as the terminal would take two rows in some.
            out.extend(line.chars().take(size.columns.saturating_sub(1)));
            out.push('\n');
            self.shown += 1;
        }
        out
    }

    /// What adds a line above the others.
    fn added(&mut self, line: &str, size: Size) -> String {
        let mut out = self.erased();
        out.push_str(line);
        if !line.ends_with('\n') {
            out.push('\n');
        }
        out + &self.drawn(size)
    }

    /// Keeps a log line, `DATE'T'TIME.FRACTION LEVEL …`, with its time to seconds.
    fn remember(&mut self, line: &str) {
        let text = match line.split_once('T') {
            Some((date, rest)) if date.len() == 10 => match rest.split_once(' ') {
                Some((time, rest)) => format!("{} {rest}", time.get(..8).unwrap_or(time)),
                None => rest.to_owned(),
            },
            _ => line.to_owned(),
        };
        // A log line may hold what strangers wrote.
        let text = text.trim_end().chars().take(MAX_EVENT);
        let plain = text.map(|it| if it.is_control() { ' ' } else { it });
        self.events.push_back(plain.collect());
        let extra = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..extra);
    }
}

/// The terminal at standard output, and where logs go meanwhile.
#[derive(Clone, Debug)]
pub(super) struct Terminal(Arc<Mutex<Option<Screen>>>);

impl Terminal {
    /// Nothing is shown yet; log lines are kept until something is.
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Some(Screen::default()))))
    }

    /// Shows these lines, and the newest log lines below them.
    pub(super) fn show(&self, lines: Vec<String>) -> io::Result<()> {
        let mut screen = self.0.lock();
        let Some(screen) = screen.as_mut() else { return Ok(()) };
        screen.lines = lines;
        print(&screen.drawn(size()))
    }

    /// Leaves the lines where they are. What is logged from now on comes after them.
    pub(super) fn release(&self) {
        *self.0.lock() = None;
    }
}

fn size() -> Size {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_row > 0 && size.ws_col > 0 => {
            Size { rows: size.ws_row.into(), columns: size.ws_col.into() }
        }
        _ => DEFAULT_SIZE,
    }
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Takes one log line.
#[derive(Debug)]
pub(super) struct LogLine {
    terminal: Terminal,
    /// Whether a person must see it even after others came.
    is_urgent: bool,
}

impl<'a> MakeWriter<'a> for Terminal {
    type Writer = LogLine;

    fn make_writer(&'a self) -> LogLine {
        LogLine { terminal: self.clone(), is_urgent: true }
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> LogLine {
        LogLine { terminal: self.clone(), is_urgent: *meta.level() <= Level::WARN }
    }
}

impl Write for LogLine {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut screen = self.terminal.0.lock();
        let Some(screen) = screen.as_mut() else { return io::stderr().write(line) };
        let text = String::from_utf8_lossy(line);
        if io::stderr().is_terminal() {
            if self.is_urgent {
                print(&screen.added(&text, size()))?;
            } else {
                screen.remember(&text);
            }
            return Ok(line.len());
        }
        screen.remember(&text);
        io::stderr().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size { rows: 6, columns: 10 };

    fn screen(lines: &[&str]) -> Screen {
        Screen { lines: lines.iter().map(|it| (*it).to_owned()).collect(), ..Screen::default() }
    }

    #[test]
    fn lines_take_the_place_of_those_before() {
        let mut screen = screen(&["one", "two"]);
        assert_eq!(screen.drawn(SIZE), "one\ntwo\n");
        screen.lines.pop();
        assert_eq!(screen.drawn(SIZE), "\r\x1b[2A\x1b[Jone\n");
        assert_eq!(screen.added("log", SIZE), "\r\x1b[1A\x1b[Jlog\none\n");
    }

    #[test]
    fn nothing_is_shown_that_the_terminal_has_no_room_for() {
        let mut screen = screen(&["0123456789ab", "→→→→→→→→→→→", "3", "4", "5", "6", "7"]);
        assert_eq!(screen.drawn(SIZE), "012345678\n→→→→→→→→→\n3\n4\n5\n");
        assert_eq!(screen.erased(), "\r\x1b[5A\x1b[J");
        assert_eq!(screen.erased(), "");
    }

    #[test]
    fn the_newest_events_are_shown_without_what_could_move_the_cursor() {
        let mut screen = screen(&[]);
        for number in 0..9 {
            screen.remember(&format!("2026-11-21T18:39:47.123456Z  INFO number {number}\x1b[2J\n"));
        }
        let wide = Size { rows: 9, columns: 80 };
        let drawn = screen.drawn(wide);
        assert_eq!(drawn.lines().count(), EVENTS);
        assert_eq!(drawn.lines().next(), Some("        18:39:47  INFO number 3 [2J"));
        screen.remember("short");
        assert!(screen.drawn(wide).ends_with("        short\n"));
    }
}
