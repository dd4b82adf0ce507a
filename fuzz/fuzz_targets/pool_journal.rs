//! The pool's journal from bytes: nothing panics, and every good record is read, whatever stands around it.
//!
//! Input: zero and the journal as it is; or any other byte, a salt of 16 bytes, and parts (kind, length, content) that
//! are good records, records that were cut off, or neither.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_pool::fuzzing::read_journal;

fuzz_target!(|input: &[u8]| read_journal(input));
