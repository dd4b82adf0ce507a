//! Contract codes by their hashes.

use crate::{Error, fields::HexBytes, json, source};
use alloy_primitives::{B256, keccak256, map::B256Map};
use lockstep_execution::{Bytecode, code_from};
use serde::Deserialize;
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
};

/// Characters of one line: more than any code of any chain.
const MAX_LINE_BYTES: u64 = 4 << 20;

/// Codes in one file.
const MAX_CODES: usize = 1 << 20;

/// Codes in memory, ready to execute.
#[derive(Clone, Debug, Default)]
pub struct Codes {
    by_hash: B256Map<Bytecode>,
}

/// One line of a `bytecodes.jsonl`.
#[derive(Debug, Deserialize)]
struct Line {
    hash: B256,
    code: HexBytes,
}

impl Codes {
    /// Reads a `bytecodes.jsonl` or `bytecodes.jsonl.zst`.
    ///
    /// # Errors
    /// If the file is broken, too large, or a code does not have its hash.
    pub fn read(path: &Path, limits: &source::Limits) -> Result<Self, Error> {
        let file = path.display().to_string();
        let mut reader = BufReader::new(source::open(path, limits)?);
        let mut codes = Self::default();
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            let read = reader.by_ref().take(MAX_LINE_BYTES + 1).read_until(b'\n', &mut bytes);
            match read.map_err(|source| Error::Io { path: path.into(), source })? {
                0 => break,
                read if read as u64 > MAX_LINE_BYTES => {
                    let what = "bytes in a line";
                    return Err(Error::Limit { file, what, limit: MAX_LINE_BYTES });
                }
                _ => codes.add(&file, number, &bytes)?,
            }
        }
        Ok(codes)
    }

    fn add(&mut self, file: &str, number: usize, bytes: &[u8]) -> Result<(), Error> {
        let text = json::utf8(file, bytes)?.trim();
        if text.is_empty() {
            return Ok(());
        }
        let place = format!("line {number}");
        let line: Line = json::parse(file, &place, text)?;
        let got = keccak256(&line.code.0);
        if got != line.hash {
            let reason = format!("the code's hash is {got}, not {}", line.hash);
            return Err(Error::field(file, format!("{place}.code"), reason));
        }
        if self.by_hash.len() >= MAX_CODES {
            return Err(Error::Limit { file: file.into(), what: "codes", limit: MAX_CODES as u64 });
        }
        self.by_hash.insert(line.hash, code_from(line.code.0));
        Ok(())
    }

    /// The code with this hash.
    pub fn get(&self, hash: &B256) -> Option<&Bytecode> {
        self.by_hash.get(hash)
    }
}
