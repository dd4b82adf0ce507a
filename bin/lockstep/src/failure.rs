//! How a command that could not be carried out says so.

use crate::output::plain;
use eyre::Report;
use std::io::{self, ErrorKind, Write};

/// Tells on standard error why a command could not be carried out, and what to do. Nobody may read it.
pub(crate) fn tell(error: &Report) {
    let _ = writeln!(io::stderr(), "error: {}", plain(&text(error)));
}

/// Each reason once: many of ours say in their own text what is below them.
fn text(error: &Report) -> String {
    let mut reasons: Vec<String> = Vec::new();
    for reason in error.chain().map(ToString::to_string) {
        if reasons.iter().any(|above| above.contains(&reason)) {
            continue;
        }
        reasons.pop_if(|above| reason.starts_with(above.as_str()));
        reasons.push(reason);
    }
    let text = reasons.join(": ");
    match advice(error) {
        Some(advice) => format!("{text}\n  {advice}"),
        None => text,
    }
}

/// What a person can do about what the operating system refused.
fn advice(error: &Report) -> Option<&'static str> {
    let refused = error.chain().find_map(|reason| reason.downcast_ref::<io::Error>())?;
    match refused.kind() {
        ErrorKind::AddrInUse => Some(
            "another program listens there: end it, or choose another port with the option for it (see --help; 0 picks a \
             free one)",
        ),
        ErrorKind::PermissionDenied => Some(
            "the system does not allow it: choose another folder or port, or ask for the right to use this one",
        ),
        ErrorKind::NotFound => Some("there is no such file or folder: is the path right?"),
        ErrorKind::NotADirectory => {
            Some("a file is where a folder would have to be: choose another folder")
        }
        ErrorKind::StorageFull => Some("the disk is full: make room, and start again"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyre::eyre;

    #[test]
    fn each_reason_is_told_once_and_what_to_do() {
        let refused = io::Error::from(ErrorKind::AddrInUse);
        let inner = format!("cannot listen on 127.0.0.1:1: {refused}");
        let outer = format!("the node: {inner}");
        let told = text(&Report::new(refused).wrap_err(inner).wrap_err(outer));
        assert_eq!(told.matches("in use").count(), 1, "{told}");
        assert!(told.starts_with("the node: cannot listen on 127.0.0.1:1: "), "{told}");
        assert!(told.contains("choose another port"), "{told}");
    }

    #[test]
    fn a_reason_that_begins_with_the_one_above_replaces_it() {
        let error = eyre!("/chain: rlp is missing").wrap_err("/chain").wrap_err("import");
        assert_eq!(text(&error), "import: /chain: rlp is missing");
        let error = eyre!("/chain: rlp is missing").wrap_err("/chain");
        assert_eq!(text(&error), "/chain: rlp is missing");
    }
}
