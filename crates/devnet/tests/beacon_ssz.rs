//! Simple Serialize: laws, hostile bytes, and real data.

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail this way"
)]

mod common;

use alloy_primitives::{Address, B256, FixedBytes, b256};
use common::{config, run, start};
use lockstep_devnet::{
    beacon::{
        Preset,
        types::{BeaconState, ExecutionPayload, SignedBeaconBlock, SignedBeaconBlockHeader},
    },
    ssz::{
        ApiJson, BitVector, Bitlist, Const, List, Ssz, SszError, TreeList, is_valid_branch,
        merkleize,
    },
};
use proptest::prelude::*;
use serde_json::Value;

const PRESET: &Preset = &Preset::MINIMAL;

proptest! {
    #[test]
    fn lists_come_back(values in proptest::collection::vec(any::<u64>(), 0..50)) {
        let list = List::<u64, Const<64>>::new(values.clone(), PRESET).unwrap();
        let tree = TreeList::<u64, Const<64>>::new(values, PRESET).unwrap();
        prop_assert_eq!(list.encode(PRESET), tree.encode(PRESET));
        prop_assert_eq!(list.root(PRESET), tree.root(PRESET));
        prop_assert_eq!(&List::read(&list.encode(PRESET), PRESET).unwrap(), &list);
        prop_assert_eq!(&List::from_json(&list.to_json(), PRESET).unwrap(), &list);
        prop_assert_eq!(TreeList::read(&tree.encode(PRESET), PRESET).unwrap(), tree);
    }

    #[test]
    fn bits_come_back(bits in proptest::collection::vec(any::<bool>(), 0..40)) {
        let list = Bitlist::<Const<40>>::new(bits.clone(), PRESET).unwrap();
        prop_assert_eq!(&*Bitlist::<Const<40>>::read(&list.to_bytes(), PRESET).unwrap(), bits.as_slice());
        let mut vector = BitVector::<Const<40>>::zero(PRESET);
        bits.iter().enumerate().for_each(|(index, bit)| vector.set(index, *bit));
        prop_assert_eq!(BitVector::read(&vector.to_bytes(), PRESET).unwrap(), vector);
    }

    /// Whatever decodes is the encoding of what it decodes to: there are no two encodings of a value.
    #[test]
    fn damaged_blocks_are_refused_or_are_other_blocks(
        place in any::<prop::sample::Index>(),
        change in 1_u8..,
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = block();
        let mut changed = bytes.clone();
        let place = place.index(bytes.len());
        changed[place] ^= change;
        if let Ok(block) = SignedBeaconBlock::read(&changed, PRESET) {
            prop_assert_eq!(block.encode(PRESET), changed);
        }
        let cut = &bytes[..cut.index(bytes.len())];
        if let Ok(block) = SignedBeaconBlock::read(cut, PRESET) {
            prop_assert_eq!(block.encode(PRESET), cut);
        }
    }
}

fn block() -> Vec<u8> {
    static BLOCK: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
    BLOCK
        .get_or_init(|| {
            let (mut beacon, _) = start(config(PRESET));
            run(&mut beacon, 20);
            beacon.view().head().block.encode(PRESET)
        })
        .clone()
}

#[test]
fn malformed_bytes_are_refused_for_what_is_wrong() {
    type Numbers = List<u64, Const<2>>;
    type Lists = List<Numbers, Const<2>>;
    let numbers = |bytes: &[u8]| Numbers::read(bytes, PRESET).map(drop);
    assert_eq!(numbers(&[0; 7]), Err(SszError::Length { expected: 8, found: 7 }));
    assert_eq!(numbers(&[0; 24]), Err(SszError::Limit { limit: 2, found: 3 }));
    let lists = |bytes: &[u8]| Lists::read(bytes, PRESET).map(drop);
    assert_eq!(lists(&[]), Ok(()));
    assert_eq!(lists(&[4, 0, 0, 0]), Ok(()));
    for wrong in [
        &[4, 0, 0][..],
        &[0, 0, 0, 0],
        &[3, 0, 0, 0],
        &[8, 0, 0, 0],
        &[255, 255, 255, 255],
        &[12, 0, 0, 0, 12, 0, 0, 0, 12, 0, 0, 0],
        &[8, 0, 0, 0, 4, 0, 0, 0],
        &[8, 0, 0, 0, 9, 0, 0, 0],
    ] {
        assert!(lists(wrong).is_err(), "{wrong:?}");
    }
    let bits = |bytes: &[u8]| Bitlist::<Const<8>>::read(bytes, PRESET).map(drop);
    assert_eq!(bits(&[]), Err(SszError::Bits));
    assert_eq!(bits(&[0]), Err(SszError::Bits));
    assert_eq!(bits(&[1, 0]), Err(SszError::Bits));
    assert_eq!(bits(&[0, 2]), Err(SszError::Limit { limit: 8, found: 9 }));
    assert_eq!(bits(&[255, 1]), Ok(()));
    let bits = |bytes: &[u8]| BitVector::<Const<4>>::read(bytes, PRESET).map(drop);
    assert_eq!(bits(&[0x10]), Err(SszError::Bits));
    assert_eq!(bits(&[0x0f]), Ok(()));
    assert_eq!(bool::read(&[2], PRESET), Err(SszError::Boolean(2)));
    assert!(BeaconState::read(&[], PRESET).is_err());
    assert!(BeaconState::read(&vec![0xff; 1 << 16], PRESET).is_err());
    assert!(SignedBeaconBlock::read(&vec![0; 1 << 16], PRESET).is_err());
}

#[test]
fn states_and_blocks_come_back() {
    for preset in [&Preset::MAINNET, &Preset::MINIMAL] {
        let (mut beacon, _) = start(config(preset));
        run(&mut beacon, 70);
        let head = beacon.view().head();
        let bytes = head.state.encode(preset);
        assert_eq!(BeaconState::read(&bytes, preset).unwrap(), head.state);
        let bytes = head.block.encode(preset);
        assert_eq!(SignedBeaconBlock::read(&bytes, preset).unwrap(), *head.block);
        assert_eq!(
            SignedBeaconBlock::from_json(&head.block.to_json(), preset).unwrap(),
            *head.block
        );
        assert_eq!(BeaconState::FIELDS.len(), 38);
        assert_eq!(BeaconState::FIELDS[37], "proposer_lookahead");
    }
}

/// Truth: `ssz.fulu` of `@lodestar/types` 1.50.0 read the same encodings and computed these roots.
#[test]
fn roots_are_those_of_another_client() {
    let pinned = [
        (
            &Preset::MAINNET,
            b256!("0xf766165c0e22981a12e6976a240ee1ac757408e86654059fdbc16aef40be0060"),
            b256!("0xec2243f344acd910640060fded6c5de80701c2ab5a429e75dc7b1a7d31ab7690"),
        ),
        (
            &Preset::MINIMAL,
            b256!("0x1ba07725542fc1c6f26ccc9d8a527e5786d704bed0ebbf9ea3898975ecf66792"),
            b256!("0x27f7d3f29efb2eda8fb1a3aa6156b17a43b5d22cc437036202dedd88bd28f122"),
        ),
    ];
    for (preset, state, block) in pinned {
        let mut config = config(preset);
        config.validators.balance = 33_000_000_000;
        config.validators.withdrawal_address = Some(Address::repeat_byte(0x11));
        let (mut beacon, _) = start(config);
        run(&mut beacon, 70);
        beacon.skip_slots(2);
        run(&mut beacon, 5);
        let head = beacon.view().head();
        assert_eq!(head.state.root(preset), state, "{}", preset.name);
        assert_eq!(head.block.message.root(preset), block, "{}", preset.name);
    }
}

/// The files of an archive of real beacon data; `None`, visibly, without the fixtures.
fn fixtures() -> Option<std::collections::HashMap<String, Vec<u8>>> {
    use lockstep_testkit::source::{Limits, visit};
    use std::{ops::ControlFlow, path::Path};
    #[expect(clippy::disallowed_methods, reason = "tests find the fixtures by the environment")]
    let Ok(path) = std::env::var("LOCKSTEP_FIXTURES") else {
        eprintln!("skipped: set LOCKSTEP_FIXTURES to the folder with the fixtures");
        return None;
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    let archive = path.join("misc/beacon-and-blobs.tar.zst");
    let mut files = std::collections::HashMap::new();
    let wanted = |name: &str| name.contains("beacon-blocks/") || name.contains("beacon-api/");
    let _ = visit(&archive, &Limits::default(), &wanted, &mut |file| {
        let file = file.expect("the archive is whole");
        let name = file.name.rsplit('/').next().unwrap_or_default().to_owned();
        files.insert(name, file.bytes);
        ControlFlow::Continue(())
    });
    assert!(!files.is_empty(), "no beacon data in {}", archive.display());
    Some(files)
}

/// Truth: the execution block's hash, which covers all transactions and withdrawals by other roots.
#[test]
fn a_real_payload_keeps_its_hash() {
    let Some(files) = fixtures() else { return };
    let preset = &Preset::MAINNET;
    let block: Value = serde_json::from_slice(&files["block_deneb.json"]).unwrap();
    let payload = &block["body"]["execution_payload"];
    let read = ExecutionPayload::from_json(payload, preset).unwrap();
    assert_eq!(read.to_json(), *payload);
    let again = ExecutionPayload::read(&read.encode(preset), preset).unwrap();
    assert_eq!(again, read);
    assert_eq!(ExecutionPayload::from_engine(&read.to_engine(), preset).unwrap(), read);
    // A header's root is its payload's: transactions and withdrawals count by their roots.
    assert_eq!(read.header(preset).root(preset), read.root(preset));
    let engine = alloy_rpc_types_engine::ExecutionPayload::V3(read.to_engine());
    let parent = B256::from_json(&block["parent_root"], preset).unwrap();
    let mut header = engine.into_block_raw().unwrap().header;
    header.parent_beacon_block_root = Some(parent);
    assert_eq!(header.hash_slow(), read.block_hash);
    assert_eq!(
        read.block_hash,
        b256!("0x4cf7d9108fc01b50023ab7cab9b372a96068fddcadec551630393b65acb1f34c")
    );
}

/// Truth: branches that a real client gave, from a real block's commitments to its body's root.
#[test]
fn real_branches_of_commitments_are_ours() {
    let Some(files) = fixtures() else { return };
    let preset = &Preset::MAINNET;
    let name = "eth_v1_beacon_blob_sidecars_7422094_goerli.json";
    let answer: Value = serde_json::from_slice(&files[name]).unwrap();
    let sidecars = answer["data"].as_array().unwrap();
    assert_eq!(sidecars.len(), 5);
    let commitments: Vec<FixedBytes<48>> = sidecars
        .iter()
        .map(|sidecar| FixedBytes::from_json(&sidecar["kzg_commitment"], preset).unwrap())
        .collect();
    let list = List::<FixedBytes<48>, Const<4096>>::new(commitments.clone(), preset).unwrap();
    for (index, sidecar) in sidecars.iter().enumerate() {
        let header = &sidecar["signed_block_header"];
        let header = SignedBeaconBlockHeader::from_json(header, preset).unwrap();
        let branch = sidecar["kzg_commitment_inclusion_proof"].as_array().unwrap();
        let branch: Vec<B256> =
            branch.iter().map(|node| B256::from_json(node, preset).unwrap()).collect();
        assert_eq!(branch.len(), 17);
        let place = (16 + 11) * 2 * 4096 + index as u64;
        let leaf = commitments[index].root(preset);
        assert!(is_valid_branch(&leaf, &branch, place, &header.message.body_root));
        // Our root of the whole list is the node at the end of the branch's first 13 steps.
        let root = list.root(preset);
        assert!(is_valid_branch(&root, &branch[13..], 16 + 11, &header.message.body_root));
        // And all but the body's own nodes are what our tree gives.
        let roots: Vec<B256> =
            commitments.iter().map(|commitment| commitment.root(preset)).collect();
        assert_eq!(
            branch[0],
            merkleize(vec![roots.get(index ^ 1).copied().unwrap_or_default()], 0)
        );
    }
}
