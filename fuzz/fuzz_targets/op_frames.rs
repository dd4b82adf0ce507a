//! The data of L1 transactions as frames, and frames as channels: nothing panics, what parses encodes
//! to the same bytes, and a channel's size is that of the frames it holds, or less where frames were
//! dropped behind the last.

#![no_main]

use alloy_primitives::Bytes;
use libfuzzer_sys::fuzz_target;
use lockstep_protocol::{BlockInfo, Channel, encode_frames, parse_frames};

fuzz_target!(|bytes: &[u8]| {
    let data = Bytes::copy_from_slice(bytes);
    let Ok(frames) = parse_frames(&data) else { return };
    assert_eq!(encode_frames(&frames), bytes, "frames that encode to other bytes");
    for in_order in [false, true] {
        let id = frames[0].channel;
        let mut channel = Channel::new(id, BlockInfo::default(), in_order);
        for (index, frame) in frames.iter().cloned().enumerate() {
            let (size, count) = (channel.size(), channel.frames());
            let l1 = BlockInfo { number: index as u64, ..Default::default() };
            if channel.add_frame(frame, l1).is_err() {
                assert_eq!(
                    (channel.size(), channel.frames()),
                    (size, count),
                    "a frame was ignored"
                );
            }
        }
        let (size, count) = (channel.size(), channel.frames() as u64);
        let held = channel.into_bytes().len() as u64 + 200 * count;
        assert!(if in_order { held == size } else { held >= size }, "{held} bytes count {size}");
    }
});
