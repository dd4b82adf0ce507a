//! Rows of static files and tables from bytes: nothing panics or makes room for more than the bytes can stand for, and
//! what is read is written, and read as the same.
//!
//! Input: a row without its checksum, or the content of one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_storage::fuzzing::read_static_row;

fuzz_target!(|input: &[u8]| read_static_row(input));
