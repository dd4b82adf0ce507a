//! What the tests share: fixtures, a configuration, and values of every kind.

#![allow(dead_code, reason = "each test uses a part")]
#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test may stop at the unexpected")]

use alloy_primitives::{Address, B256, Bytes, U256};
use lockstep_protocol::{RollupConfig, RollupGenesis};
use proptest::{collection::vec, prelude::*};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

/// The folder of OP Stack fixtures; `None`, visibly, if the environment names none.
pub(crate) fn fixtures() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let path = std::env::var_os("LOCKSTEP_FIXTURES").map(|path| root.join(path).join("op-blocks"));
    let path = path.filter(|path| path.is_dir());
    if path.is_none() {
        eprintln!("SKIPPED: LOCKSTEP_FIXTURES names no folder with op-blocks");
    }
    path
}

/// A file, decompressed if its name says so.
pub(crate) fn read(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if path.extension().is_none_or(|extension| extension != "zst") {
        return bytes;
    }
    let mut out = Vec::new();
    let mut decoder = zstd::Decoder::new(&bytes[..]).expect("zstd");
    decoder.read_to_end(&mut out).expect("the fixture decompresses");
    out
}

/// A rollup with chain id 901 and every fork from the beginning.
pub(crate) fn config() -> RollupConfig {
    RollupConfig {
        genesis: RollupGenesis { l2_time: 1_000, ..Default::default() },
        block_time: 2,
        max_sequencer_drift: 600,
        seq_window_size: 3_600,
        channel_timeout: 300,
        l1_chain_id: 900,
        l2_chain_id: 901,
        regolith_time: Some(0),
        canyon_time: Some(0),
        delta_time: Some(0),
        ecotone_time: Some(0),
        fjord_time: Some(0),
        granite_time: Some(0),
        holocene_time: Some(0),
        isthmus_time: Some(0),
        jovian_time: Some(0),
        batch_inbox_address: Address::repeat_byte(0xb1),
        deposit_contract_address: Address::repeat_byte(0xd1),
        l1_system_config_address: Address::repeat_byte(0xc1),
        ..Default::default()
    }
}

pub(crate) fn hash() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::from)
}

pub(crate) fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::from)
}

pub(crate) fn word() -> impl Strategy<Value = U256> {
    prop_oneof![any::<u64>().prop_map(U256::from), any::<[u8; 32]>().prop_map(U256::from_be_bytes)]
}

pub(crate) fn bytes(up_to: usize) -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..up_to).prop_map(Bytes::from)
}
