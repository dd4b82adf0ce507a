//! The progress bar on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Bytes read of all there are to read, and what has come of them.
const TEMPLATE: &str = "{elapsed_precise} [{bar:40}] {percent:>3} % {msg}";

/// A bar over `bytes` on standard error, if that is a terminal and the bar is `wanted`.
pub(crate) fn bar(wanted: bool, bytes: u64) -> ProgressBar {
    if !wanted || !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(TEMPLATE).expect("the template is valid");
    ProgressBar::new(bytes).with_style(style.progress_chars("=> "))
}
