//! Decompression against `miniz_oxide` on what is well-formed, and against Go's rules on what is not.

use super::{Compression, CompressionError, Decompressor, compress_channel};
use alloc::vec::Vec;
use alloy_primitives::{Bytes, hex};
use proptest::{collection::vec, prelude::*};

/// Decompresses in steps of `step`, keeping as history no more than is required.
fn decompress(channel: &[u8], step: usize) -> (Vec<u8>, Result<(), CompressionError>) {
    let mut decompressor = match Decompressor::new(Bytes::copy_from_slice(channel), true) {
        Ok(decompressor) => decompressor,
        Err(error) => return (Vec::new(), Err(error)),
    };
    let (mut all, mut buffer) = (Vec::new(), Vec::new());
    loop {
        let before = buffer.len();
        let result = decompressor.fill(&mut buffer, before + step);
        all.extend_from_slice(&buffer[before..]);
        if buffer.len() < before + step {
            return (all, result);
        }
        let spare = buffer.len().saturating_sub(Decompressor::HISTORY_BYTES);
        buffer.drain(..spare);
    }
}

/// Bytes that repeat themselves at all distances, as transactions do.
fn compressible() -> impl Strategy<Value = Vec<u8>> {
    let piece = (vec(any::<u8>(), 0..400), 1..200_usize);
    vec(piece, 0..12).prop_map(|pieces| {
        let mut out: Vec<u8> = Vec::new();
        for (piece, back) in pieces {
            out.extend_from_slice(&piece);
            for index in 0..back * 37 {
                let byte = out.len().checked_sub(1 + (index % 7 + back) * 11).map(|at| out[at]);
                out.push(byte.unwrap_or(index as u8));
            }
        }
        out
    })
}

fn compression() -> impl Strategy<Value = Compression> {
    prop_oneof![
        (0..=10_u8).prop_map(|level| Compression::Zlib { level }),
        (0..=11_u8).prop_map(|quality| Compression::Brotli { quality }),
    ]
}

/// What `miniz_oxide` makes of a channel, and whether it finds nothing wrong.
fn truth(channel: &[u8]) -> (Vec<u8>, bool) {
    match miniz_oxide::inflate::decompress_to_vec_zlib(channel) {
        Ok(out) => (out, true),
        Err(error) => (error.output, false),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_compressed_is_decompressed_in_any_steps(
        data in compressible(), compression in compression(), step in 1..70_000_usize,
    ) {
        let channel = compress_channel(compression, &data);
        let (out, result) = decompress(&channel, step);
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(out, data);
    }

    /// `miniz_oxide` takes a code of one symbol with more than one bit, as neither Go nor zlib does.
    #[test]
    fn damaged_channels_come_out_as_elsewhere(
        data in compressible(), level in 1..10_u8, at: prop::sample::Index, bit in 0..8_u8,
        step in 1..70_000_usize,
    ) {
        let mut channel = compress_channel(Compression::Zlib { level }, &data);
        let at = at.index(channel.len());
        channel[at] ^= 1 << bit;
        let (out, result) = decompress(&channel, step);
        let (expected, is_fine) = truth(&channel);
        if is_fine && result != Err(CompressionError::Corrupt("a code is not complete")) {
            prop_assert_eq!(result, Ok(()));
        }
        if at >= 2 {
            let common = out.len().min(expected.len());
            prop_assert_eq!(&out[..common], &expected[..common]);
        }
        prop_assert_eq!(decompress(&channel, 1 << 20), (out, result), "steps make no difference");
    }

    #[test]
    fn a_channel_that_ends_early_gives_what_came_before(
        data in compressible(), compression in compression(), at: prop::sample::Index,
    ) {
        let channel = compress_channel(compression, &data);
        let (out, result) = decompress(&channel[..at.index(channel.len())], 4_096);
        prop_assert!(data.starts_with(&out));
        // Only the checksum may be missing without being missed.
        prop_assert!(result.is_err() || out == data);
    }

    #[test]
    fn any_bytes_are_no_danger(channel in vec(any::<u8>(), 0..2_000), first in any::<bool>()) {
        let header: &[u8] = if first { &[0x78, 0x9c] } else { &[1] };
        let (out, _) = decompress(&[header, &channel].concat(), 512);
        let (again, _) = decompress(&[header, &channel].concat(), 1 << 16);
        prop_assert_eq!(out, again);
    }
}

/// Bits as Deflate packs them, behind a zlib header.
fn bits(groups: &[&str]) -> Vec<u8> {
    let mut out = Vec::from([0x78, 0x9c]);
    let (mut byte, mut count) = (0, 0);
    for bit in groups.iter().flat_map(|group| group.bytes()) {
        byte |= (bit - b'0') << count;
        count += 1;
        if count == 8 {
            out.push(byte);
            (byte, count) = (0, 0);
        }
    }
    if count > 0 {
        out.push(byte);
    }
    out
}

fn error(channel: &[u8]) -> CompressionError {
    decompress(channel, 1_000).1.expect_err("it is malformed")
}

#[test]
fn headers_are_judged_as_go_judges_them() {
    assert_eq!(error(&[]), CompressionError::Empty);
    assert_eq!(error(&[0x78]), CompressionError::Truncated);
    assert_eq!(error(&[0x78, 0x9d]), CompressionError::ZlibHeader(0x789d));
    // Method 15 is reserved for zlib by the batcher's format, but zlib does not know it.
    assert_eq!(error(&[0x7f, 0x9c]), CompressionError::ZlibHeader(0x7f9c));
    // A window above 32 KiB.
    assert_eq!(error(&[0x88, 0x1c]), CompressionError::ZlibHeader(0x881c));
    assert_eq!(error(&[0x02, 0x00]), CompressionError::Unknown(2));
    // A preset dictionary: only the empty one is at hand.
    assert_eq!(error(&[0x78, 0xbb, 0, 0, 0, 2]), CompressionError::Dictionary(2));
    assert_eq!(error(&[0x78, 0xbb, 0, 0, 0]), CompressionError::Truncated);
    let stored = [0x78, 0xbb, 0, 0, 0, 1, 1, 1, 0, 0xfe, 0xff, b'x'];
    assert_eq!(decompress(&stored, 10), (b"x".to_vec(), Ok(())));
}

#[test]
fn malformed_blocks_are_refused() {
    let corrupt = |channel: &[u8], reason| {
        assert_eq!(error(channel), CompressionError::Corrupt(reason));
    };
    corrupt(&bits(&["1", "11"]), "there is no block type 3");
    corrupt(&[0x78, 0x9c, 1, 1, 0, 0xff, 0xff], "the length of a stored block is not confirmed");
    // Fixed code: length symbol 286 (11000110), distance symbol 30, and a match before the begin.
    corrupt(&bits(&["1", "10", "11000110", "00000"]), "a match refers to nothing");
    corrupt(&bits(&["1", "10", "00110000", "0000001", "11110"]), "a match refers to nothing");
    corrupt(&bits(&["1", "10", "0000001", "00000"]), "a match refers to nothing");
    // Dynamic code: 287 literals, 31 distances, over-full and empty codes for lengths.
    corrupt(&bits(&["1", "01", "01111"]), "there are no literals above 285");
    corrupt(&bits(&["1", "01", "00000", "01111"]), "there are no distances above 29");
    let lengths = ["100", "100", "100", "000"];
    let head = ["1", "01", "00000", "00000", "0000"];
    corrupt(&bits(&[&head[..], &lengths[..]].concat()), "the code for lengths is not complete");
    // One symbol of two bits, which some take, and one of a single bit, which all take.
    let two_bits = ["010", "000", "000", "000"];
    corrupt(&bits(&[&head[..], &two_bits[..]].concat()), "the code for lengths is not complete");
    let none = ["000", "000", "000", "000", "0000000"];
    corrupt(&bits(&[&head[..], &none[..]].concat()), "there is no such code");
    // A code for lengths of one symbol (16: repeat the one before) where nothing is before.
    let only16 = ["100", "000", "000", "000", "0", "00"];
    corrupt(&bits(&[&head[..], &only16[..]].concat()), "no length to repeat");
    // One symbol (18: eleven zeros and more), three times 138, overruns the 258 symbols.
    let only18 = ["000", "000", "100", "000", "0", "1111111", "0", "1111111", "0", "1111111"];
    corrupt(&bits(&[&head[..], &only18[..]].concat()), "more lengths than symbols");
}

#[test]
fn stored_blocks_count_up_to_where_they_are_cut() {
    let stored = [0x78, 0x9c, 1, 5, 0, 0xfa, 0xff, b'h', b'a', b'l'];
    assert_eq!(decompress(&stored, 2), (b"hal".to_vec(), Err(CompressionError::Truncated)));
}

/// 244,937 bytes, compressed to 138 and cut by one byte, of which Google's decoder (version 1.2.0 of
/// the Python package `brotli`) makes 244,631: far more than one step of ours has room for.
#[test]
fn all_that_a_cut_brotli_channel_holds_comes_out() {
    let unit: Vec<u8> = (0..61).map(|index| (index * 7 + 3) as u8).collect();
    let data = [
        &unit.repeat(2_000)[..],
        b"\x00\x01first",
        &unit.repeat(2_000),
        b"\x00\x02second",
        &unit.repeat(10),
        b"\x00\x03third",
        &unit.repeat(5),
    ]
    .concat();
    let compressed = hex!(
        "5bc8bc03c0488dd434b71b18a7435b03e49b0d647b7bbb1b9c65817a6cd9b66ddbb66d83434e041ea1b62304"
        "0c81c7b03d9f4b3fc9b7813a000c8162c82ca1426ff346d2a5e6606a714307e777af3fbf7fff8eac9ebd0711"
        "781a57a2363903f15cb53336bbb2bd737cf5f8210000384bae60d40085e524bd072000d06773cb216df9b001"
        "e0e94e77d26c"
    );
    let channel = [&[1], &compressed[..]].concat();
    for step in [1_000, 1 << 20] {
        assert_eq!(decompress(&channel, step), (data.clone(), Ok(())));
        let (out, result) = decompress(&channel[..channel.len() - 1], step);
        assert_eq!((out.len(), result), (244_631, Err(CompressionError::Truncated)));
        assert!(data.starts_with(&out));
    }
}

#[test]
fn brotli_with_a_large_window_is_refused() {
    // `0x11` announces a window that RFC 7932 does not know, of up to a gigabyte.
    assert!(matches!(error(&[1, 0x11, 0x1e, 0, 0]), CompressionError::Corrupt(_)));
}
