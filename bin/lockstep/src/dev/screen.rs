//! Lines at the end of a terminal that change in place.
//!
//! The terminal stays as it is: no other screen, no other mode, a cursor that is seen. So there is nothing to restore,
//! however the process ends.

use crate::{
    output::{Size, plain, terminal_size},
    status::Room,
};
use parking_lot::Mutex;
use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    sync::Arc,
};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// The most log lines that are shown, and the fewest, if there are any.
const MAX_EVENTS: usize = 6;
const MIN_EVENTS: usize = 2;

/// The longest log line that is kept, in characters.
const MAX_EVENT: usize = 1_000;

/// A terminal of which that is not known.
const DEFAULT_SIZE: Size = Size { rows: 24, columns: 80 };

/// What is shown at the end of the terminal.
#[derive(Debug, Default)]
struct Screen {
    /// The widths of the lines that are on the terminal now.
    shown: Vec<usize>,
    lines: Vec<String>,
    /// The newest log lines.
    events: VecDeque<String>,
}

/// How many log lines are shown on a terminal of this size.
const fn shown_events(size: Size) -> usize {
    let share = size.rows / 8;
    if share < MIN_EVENTS {
        MIN_EVENTS
    } else if share > MAX_EVENTS {
        MAX_EVENTS
    } else {
        share
    }
}

/// How many rows there are for what is shown above the log lines.
fn rows_above(size: Size) -> usize {
    // The last row is the cursor's.
    size.rows.saturating_sub(1).saturating_sub(shown_events(size)).max(1)
}

impl Screen {
    /// What brings the cursor to the first of the lines that are shown.
    fn begun(&mut self, size: Size) -> String {
        // A line that was wider than the terminal is by now takes several rows.
        let rows = |width: &usize| width.div_ceil(size.columns.max(1)).max(1);
        match self.shown.drain(..).map(|width| rows(&width)).sum::<usize>() {
            0 => String::new(),
            rows => format!("\r\x1b[{rows}A"),
        }
    }

    /// What writes the lines from there on. Each takes the place of what was in its row, so that nothing flickers.
    fn written(&mut self, size: Size) -> String {
        let mut out = String::new();
        let skipped = self.events.len().saturating_sub(shown_events(size));
        let events = self.events.iter().skip(skipped).map(|event| format!("          {event}"));
        let lines = self.lines.iter().take(rows_above(size)).cloned();
        for line in lines.chain(events) {
            // A line that is as wide as the terminal would take two rows in some.
            let line: String = line.chars().take(size.columns.saturating_sub(1)).collect();
            self.shown.push(line.chars().count());
            out.push_str(&line);
            out.push_str("\x1b[K\n");
        }
        out + "\x1b[J"
    }

    /// What puts the lines on the terminal, in place of those that are there.
    fn drawn(&mut self, size: Size) -> String {
        self.begun(size) + &self.written(size)
    }

    /// What adds text above the lines.
    fn added(&mut self, text: &str, size: Size) -> String {
        let mut out = self.begun(size);
        for line in plain(text).lines() {
            out.push_str(line);
            // It may be wider than the terminal.
            out.push_str("\x1b[K\n");
        }
        out.push_str("\x1b[J");
        out + &self.written(size)
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
        let extra = self.events.len().saturating_sub(MAX_EVENTS);
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

    /// The room for what is shown above the newest log lines.
    pub(super) fn room(&self) -> Room {
        let size = size();
        Room { columns: size.columns, rows: rows_above(size) }
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
    terminal_size().unwrap_or(DEFAULT_SIZE)
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
        assert_eq!(screen.drawn(SIZE), "one\x1b[K\ntwo\x1b[K\n\x1b[J");
        screen.lines.pop();
        assert_eq!(screen.drawn(SIZE), "\r\x1b[2Aone\x1b[K\n\x1b[J");
        assert_eq!(
            screen.added("log\x1b[2J\nmore", SIZE),
            "\r\x1b[1Alog [2J\x1b[K\nmore\x1b[K\n\x1b[Jone\x1b[K\n\x1b[J"
        );
    }

    #[test]
    fn nothing_is_shown_that_the_terminal_has_no_room_for() {
        let mut screen = screen(&["0123456789ab", "→→→→→→→→→→→", "3", "4", "5", "6", "7"]);
        let drawn = screen.drawn(SIZE).replace("\x1b[K", "");
        assert_eq!(
            drawn, "012345678\n→→→→→→→→→\n3\n\x1b[J",
            "there is room for two log lines, too"
        );
        // On a terminal that is narrower by now, what was drawn takes more rows.
        assert_eq!(screen.begun(Size { columns: 5, ..SIZE }), "\r\x1b[5A");
        assert_eq!(screen.begun(SIZE), "");
    }

    #[test]
    fn the_newest_events_are_shown_without_what_could_move_the_cursor() {
        let mut screen = screen(&[]);
        for number in 0..9 {
            screen.remember(&format!("2026-11-21T18:39:47.123456Z  INFO number {number}\x1b[2J\n"));
        }
        for (rows, events) in [(9, 2), (24, 3), (40, 5), (100, 6)] {
            let drawn = screen.drawn(Size { rows, columns: 80 });
            assert_eq!(drawn.lines().count(), events + 1, "{rows} rows");
        }
        let wide = Size { rows: 48, columns: 80 };
        let _ = screen.begun(wide);
        let drawn = screen.drawn(wide);
        assert_eq!(drawn.lines().next(), Some("          18:39:47  INFO number 3 [2J\x1b[K"));
        screen.remember("short");
        assert!(screen.drawn(wide).ends_with("          short\x1b[K\n\x1b[J"));
    }
}
