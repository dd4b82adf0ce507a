//! The official JSON-RPC transcripts: recorded requests and answers, replayed against a node.
//!
//! A transcript is a file `<method>/<case>.io` of lines `// comment`, `>> request` and
//! `<< expected answer`. [`Transcripts::load`] reads all of them, with the chain that they were
//! recorded on; [`run`] sends them to a node over HTTP, in the order of their names, and compares.

mod compare;
mod http;

pub use compare::{Strictness, compare};
pub use http::HttpError;

use crate::{
    Error, Report,
    report::{CaseResult, Outcome, Suite},
    source::{self, Limits},
};
use alloy_primitives::B256;
use core::{ops::ControlFlow, time::Duration};
use http::Endpoint;
use regex_lite::Regex;
use serde_json::Value;
use std::{collections::BTreeMap, path::Path};

/// The comment that says that only the shape of an answer is given.
const SPEC_ONLY: &str = "speconly:";

/// How long an answer may take to come.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// A request and the answer to it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request, as it was recorded.
    pub request: String,
    /// The answer that is expected.
    pub expected: Value,
}

/// One recorded conversation.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// `<method>/<case>`.
    pub name: String,
    /// What of the answers must be as recorded.
    pub strictness: Strictness,
    /// Requests and answers, in order.
    pub exchanges: Vec<Exchange>,
}

impl Transcript {
    /// Reads a transcript.
    ///
    /// # Errors
    /// [`Error::Field`] with the line that is wrong.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        let mut strictness = Strictness::Exact;
        let mut exchanges = Vec::new();
        let mut request: Option<&str> = None;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            let wrong = |reason: String| Error::field(name, format!("line {}", number + 1), reason);
            if let Some(comment) = line.strip_prefix("//") {
                if comment.trim_start().starts_with(SPEC_ONLY) {
                    strictness = Strictness::Shape;
                }
            } else if let Some(sent) = line.strip_prefix(">>") {
                if request.replace(sent.trim()).is_some() {
                    return Err(wrong("a request without an answer stands before it".into()));
                }
            } else if let Some(answer) = line.strip_prefix("<<") {
                let Some(request) = request.take() else {
                    return Err(wrong("an answer without a request".into()));
                };
                let expected = serde_json::from_str(answer.trim())
                    .map_err(|error| wrong(error.to_string()))?;
                exchanges.push(Exchange { request: request.to_owned(), expected });
            } else if !line.is_empty() {
                return Err(wrong("neither comment, request nor answer".into()));
            }
        }
        if request.is_some() || exchanges.is_empty() {
            return Err(Error::field(name, ".", "it does not end with an answer"));
        }
        Ok(Self { name: name.to_owned(), strictness, exchanges })
    }
}

/// All transcripts of a folder or archive, and the chain that they were recorded on.
#[derive(Clone, Debug, Default)]
pub struct Transcripts {
    /// The genesis file, in go-ethereum's format.
    pub genesis: Vec<u8>,
    /// The blocks from 1 on, one RLP item after the other.
    pub chain: Vec<u8>,
    /// The request of the Engine API that sets the head.
    pub head_fcu: Vec<u8>,
    /// In the order in which they are to be replayed: by name.
    pub transcripts: Vec<Transcript>,
}

impl Transcripts {
    /// Reads a folder or an archive.
    ///
    /// # Errors
    /// The first file that is missing, malformed, or beyond a limit.
    pub fn load(path: &Path, limits: &Limits) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        let mut failed = None;
        let wanted =
            |name: &str| name.ends_with(".io") || name.ends_with(".json") || name.ends_with(".rlp");
        let _ = source::visit(path, limits, &wanted, &mut |file| match file {
            Ok(file) => {
                files.insert(file.name, file.bytes);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let place = path.display().to_string();
        let mut take = |what: &str| {
            let name = files.keys().find(|name| last_part(name) == what).cloned();
            name.and_then(|name| files.remove(&name))
                .ok_or_else(|| Error::Missing { place: place.clone(), what: what.to_owned() })
        };
        let mut loaded = Self {
            genesis: take("genesis.json")?,
            chain: take("chain.rlp")?,
            head_fcu: take("headfcu.json")?,
            transcripts: Vec::new(),
        };
        for (file, bytes) in files.iter().filter(|(file, _)| file.ends_with(".io")) {
            let text = core::str::from_utf8(bytes)
                .map_err(|error| Error::field(file.clone(), ".", error.to_string()))?;
            loaded.transcripts.push(Transcript::parse(&case_name(file), text)?);
        }
        loaded.transcripts.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(loaded)
    }
}

impl Transcripts {
    /// The block that the recorded fork choice makes the head.
    ///
    /// # Errors
    /// [`Error::Field`] if the request does not say.
    pub fn head(&self) -> Result<B256, Error> {
        let wrong =
            |reason: String| Error::field("headfcu.json", "params[0].headBlockHash", reason);
        let request: Value =
            serde_json::from_slice(&self.head_fcu).map_err(|error| wrong(error.to_string()))?;
        let hash = request.pointer("/params/0/headBlockHash").and_then(Value::as_str);
        let hash = hash.ok_or_else(|| wrong("it is missing".into()))?;
        hash.parse().map_err(|error| wrong(format!("{error}")))
    }
}

fn last_part(name: &str) -> &str {
    name.rsplit(['/', ':']).next().unwrap_or(name)
}

/// `<method>/<case>` of a file's whole name.
fn case_name(file: &str) -> String {
    let stem = file.strip_suffix(".io").unwrap_or(file);
    let mut parts = stem.rsplit(['/', ':']);
    match (parts.next(), parts.next()) {
        (Some(case), Some(method)) => format!("{method}/{case}"),
        _ => stem.to_owned(),
    }
}

/// Replays transcripts against the node at `url` (`http://host:port/path`), in order: some depend
/// on what those before them sent. `progress` is told the number of those done.
///
/// # Errors
/// [`HttpError::Url`] if the URL is none. A node that does not answer fails the transcripts.
pub fn run(
    url: &str,
    transcripts: &[Transcript],
    filter: Option<&Regex>,
    progress: &mut dyn FnMut(u64),
) -> Result<Report, HttpError> {
    let endpoint = Endpoint::parse(url)?;
    let mut report = Report::default();
    let chosen = transcripts
        .iter()
        .filter(|transcript| filter.is_none_or(|filter| filter.is_match(&transcript.name)));
    for (done, transcript) in (1..).zip(chosen) {
        let outcome = match replay(&endpoint, transcript) {
            Ok(()) => Outcome::Passed,
            Err(reason) => Outcome::Failed(reason),
        };
        report.add(CaseResult { suite: Suite::Rpc, id: transcript.name.clone(), outcome });
        progress(done);
    }
    Ok(report)
}

fn replay(endpoint: &Endpoint, transcript: &Transcript) -> Result<(), String> {
    for (index, exchange) in transcript.exchanges.iter().enumerate() {
        let answer = endpoint
            .post(exchange.request.as_bytes(), ANSWER_TIMEOUT)
            .map_err(|error| format!("request {index}: {error}"))?;
        let answer: Value = serde_json::from_slice(&answer)
            .map_err(|error| format!("request {index}: the answer is no JSON: {error}"))?;
        compare(&exchange.expected, &answer, transcript.strictness)
            .map_err(|difference| format!("request {index}: {difference}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_paired() {
        let text =
            "// about\n// speconly: shape\n>> {\"id\":1}\n<< {\"result\":1}\n\n>> {}\n<< {}\n";
        let transcript = Transcript::parse("m/c", text).unwrap();
        assert_eq!(transcript.strictness, Strictness::Shape);
        assert_eq!(transcript.exchanges.len(), 2);
        assert_eq!(transcript.exchanges[0].request, "{\"id\":1}");
    }

    #[test]
    fn what_is_no_transcript_is_refused_with_its_line() {
        for (text, place) in [
            ("<< {}", "line 1"),
            (">> {}\n>> {}\n<< {}", "line 2"),
            (">> {}\n<< {", "line 2"),
            (">> {}\n<< {}\nhello", "line 3"),
            (">> {}", "`.`"),
            ("", "`.`"),
        ] {
            let error = Transcript::parse("m/c", text).unwrap_err().to_string();
            assert!(error.contains(place), "{error}");
        }
    }

    #[test]
    fn names_do_not_depend_on_where_the_files_are() {
        for file in ["tests/eth_call/a.io", "/x/tests.tar.zst:tests/eth_call/a.io", "eth_call/a.io"]
        {
            assert_eq!(case_name(file), "eth_call/a");
        }
    }
}
