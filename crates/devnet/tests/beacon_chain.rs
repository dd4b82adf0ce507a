//! The dev beacon over an engine that executes nothing.

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail this way"
)]

mod common;

use alloy_primitives::Address;
use common::{config, open, run, start};
use lockstep_devnet::{
    beacon::{
        BeaconConfig, BeaconError, BeaconEvent, BeaconFork, BeaconSpec, BlockId, Domain,
        GenesisValidators, Preset, Replacement, Signing, Transition, signing_root,
        types::SignedBeaconBlock, verify_signature,
    },
    ssz::Ssz,
};
use std::sync::Arc;

#[test]
fn thousands_of_slots_pass_and_every_epoch_becomes_final() {
    for preset in [&Preset::MAINNET, &Preset::MINIMAL] {
        let (mut beacon, engine) = start(config(preset));
        let slots = 3000;
        #[expect(clippy::disallowed_methods, reason = "a measurement")]
        let begin = std::time::Instant::now();
        run(&mut beacon, slots);
        let rate = slots as f64 / begin.elapsed().as_secs_f64();
        eprintln!("{}: {rate:.0} slots/s", preset.name);

        let head = beacon.view().head();
        assert_eq!(head.slot(), slots);
        assert_eq!(engine.block(&head.payload_hash()).unwrap().number, slots);
        // The epoch before the last is justified at the start of each epoch, and the one before final.
        let epoch = preset.epoch(slots);
        assert_eq!(head.state.current_justified_checkpoint.epoch, epoch - 1);
        assert_eq!(beacon.view().finalized().epoch, epoch - 2);
        let finalized = beacon.view().block(BlockId::Finalized).unwrap().unwrap();
        assert_eq!(finalized.block.message.slot, preset.start_slot(epoch - 2));
        let choice = engine.state();
        assert_eq!(choice.head_block_hash, head.payload_hash());
        assert_eq!(
            choice.finalized_block_hash,
            finalized.block.message.body.execution_payload.block_hash
        );
        let safe = beacon.view().block(BlockId::Justified).unwrap().unwrap();
        assert_eq!(choice.safe_block_hash, safe.block.message.body.execution_payload.block_hash);
    }
}

#[test]
fn each_payload_has_its_parents_beacon_root_randomness_and_time() {
    let (mut beacon, engine) = start(config(&Preset::MINIMAL));
    let view = beacon.view();
    let spec = view.spec().clone();
    let mut parent = view.genesis();
    for slot in 1..=100 {
        beacon.skip_slots(u64::from(slot % 7 == 0));
        let Some(block) = beacon.next_slot().unwrap() else { continue };
        let payload = &block.block.message.body.execution_payload;
        let executed = engine.block(&payload.block_hash).unwrap();
        assert_eq!(executed.parent_beacon_root, parent.root);
        assert_eq!(executed.parent, parent.payload_hash());
        assert_eq!(payload.timestamp, spec.genesis_time + 2 * block.slot());
        // The root is that of a header with the root of the real state, computed from nothing cached.
        let encoded = parent.state.encode(spec.preset);
        let state =
            lockstep_devnet::beacon::types::BeaconState::read(&encoded, spec.preset).unwrap();
        assert_eq!(state.root(spec.preset), parent.block.message.state_root);
        let block_again = SignedBeaconBlock::read(&parent.block.encode(spec.preset), spec.preset);
        assert_eq!(block_again.unwrap().message.root(spec.preset), parent.root);
        assert_eq!(parent.block.message.header(spec.preset).root(spec.preset), parent.root);
        // The transition is a function of state and block.
        let rules = Transition::new(Arc::new(spec.clone()));
        let again = rules.apply(&parent.state, parent.block.message.state_root, &block.block);
        assert_eq!(again.unwrap().encode(spec.preset), block.state.encode(spec.preset));
        parent = block;
    }
}

#[test]
fn the_lookahead_names_those_who_propose() {
    for preset in [&Preset::MAINNET, &Preset::MINIMAL] {
        let (mut beacon, _) = start(config(preset));
        let spe = preset.slots_per_epoch;
        let mut foretold: Vec<Option<u64>> = vec![None; 8 * spe as usize];
        for _ in 1..6 * spe {
            let block = beacon.next_slot().unwrap().unwrap();
            let first = preset.start_slot(preset.epoch(block.slot()));
            for (slot, proposer) in (first..).zip(block.state.proposer_lookahead.iter()) {
                // Once foretold, nothing changes it.
                let known = &mut foretold[slot as usize];
                assert_eq!(*known.get_or_insert(proposer), proposer, "slot {slot}");
            }
            assert_eq!(foretold[block.slot() as usize], Some(block.block.message.proposer_index));
        }
        let proposers: std::collections::HashSet<_> = foretold.into_iter().flatten().collect();
        assert!(proposers.len() > 20, "{} of 64 validators propose", proposers.len());
    }
}

#[test]
fn finality_stalls_and_resumes() {
    let preset = &Preset::MINIMAL;
    let (mut beacon, engine) = start(config(preset));
    run(&mut beacon, 40);
    let before = beacon.view().finalized();
    assert_eq!(before.epoch, 3);
    beacon.stall_finality();
    run(&mut beacon, 80);
    let stalled = beacon.view().finalized();
    assert!(stalled.epoch <= before.epoch + 1, "votes that are in blocks already still count");
    assert!(beacon.view().head().block.message.body.attestations.is_empty());
    beacon.resume_finality();
    run(&mut beacon, 40);
    assert_eq!(beacon.view().finalized().epoch, preset.epoch(160) - 2);
    assert!(!engine.state().finalized_block_hash.is_zero());
}

#[test]
fn skipped_slots_have_no_block_and_delay_nothing_for_good() {
    let preset = &Preset::MINIMAL;
    let (mut beacon, engine) = start(config(preset));
    run(&mut beacon, 10);
    beacon.skip_slots(3);
    for _ in 0..3 {
        assert!(beacon.next_slot().unwrap().is_none());
    }
    let block = beacon.next_slot().unwrap().unwrap();
    assert_eq!(block.slot(), 14);
    assert_eq!(engine.block(&block.payload_hash()).unwrap().number, 11);
    assert_eq!(beacon.view().root(BlockId::Slot(12)), None);
    // A vote for each slot since the parent.
    let votes: Vec<u64> =
        block.block.message.body.attestations.iter().map(|vote| vote.data.slot).collect();
    assert_eq!(votes, [13, 12, 11, 10]);
    // A whole day without a block.
    let slot = 14 + 43_200;
    beacon.miss_until(slot);
    run(&mut beacon, 1);
    assert_eq!(beacon.view().head().slot(), slot + 1);
    run(&mut beacon, 40);
    assert_eq!(beacon.view().finalized().epoch, preset.epoch(slot + 41) - 2);
}

#[test]
fn branches_of_every_depth_replace_the_last_blocks() {
    let preset = &Preset::MAINNET;
    let (mut beacon, engine) = start(config(preset));
    run(&mut beacon, 200);
    let mut events = beacon.view().subscribe();
    for depth in 1..=32 {
        run(&mut beacon, 2);
        while events.try_recv().is_ok() {}
        let view = beacon.view();
        let old = view.head();
        let finalized = view.finalized();
        let slot_of_ancestor = old.slot() - depth;
        let ancestor = view.root(BlockId::Slot(slot_of_ancestor)).unwrap();
        let new = beacon.reorg(depth, Replacement::SameSlots).unwrap();
        assert_eq!(new.slot(), old.slot());
        assert_eq!(engine.state().head_block_hash, new.payload_hash());
        assert!(view.finalized().epoch >= finalized.epoch);
        assert_eq!(view.root(BlockId::Slot(slot_of_ancestor)), Some(ancestor));
        let mut block = view.block(BlockId::Root(new.root)).unwrap().unwrap();
        for slot in (slot_of_ancestor + 1..=old.slot()).rev() {
            assert!(block.canonical);
            assert_eq!(block.block.message.slot, slot);
            assert_eq!(view.root(BlockId::Slot(slot)), Some(block.root));
            block = view.block(BlockId::Root(block.block.message.parent_root)).unwrap().unwrap();
        }
        assert_eq!(block.root, ancestor);
        let dropped = view.block(BlockId::Root(old.root)).unwrap().unwrap();
        assert!(!dropped.canonical);
        let mut depths = Vec::new();
        while let Ok(event) = events.try_recv() {
            if let BeaconEvent::Reorg { depth, old_head_block, .. } = event {
                assert_eq!(old_head_block, old.root);
                depths.push(depth);
            }
        }
        assert_eq!(depths, [depth]);
    }
    run(&mut beacon, 100);
    assert_eq!(beacon.view().finalized().epoch, preset.epoch(beacon.slot()) - 2);
}

#[test]
fn a_branch_of_one_block_shortens_the_chain() {
    let (mut beacon, engine) = start(config(&Preset::MINIMAL));
    run(&mut beacon, 50);
    let number =
        |engine: &common::FakeEngine| engine.block(&engine.state().head_block_hash).unwrap().number;
    assert_eq!(number(&engine), 50);
    let head = beacon.reorg(5, Replacement::OneBlock).unwrap();
    assert_eq!((head.slot(), number(&engine)), (51, 46));
    assert_eq!(beacon.view().root(BlockId::Slot(50)), None);
    run(&mut beacon, 1);
    assert_eq!((beacon.slot(), number(&engine)), (52, 47));
}

#[test]
fn finality_is_not_undone() {
    let (mut beacon, engine) = start(config(&Preset::MINIMAL));
    run(&mut beacon, 80);
    let before = engine.state();
    let error = beacon.reorg(40, Replacement::SameSlots).unwrap_err();
    let BeaconError::ReorgDepth { depth: 40, possible } = error else { panic!("{error}") };
    assert_eq!(possible, 80 - 64, "the finalised block is the first that stays");
    assert!(beacon.reorg(0, Replacement::SameSlots).is_err());
    assert_eq!(engine.state(), before);
    let new = beacon.reorg(possible, Replacement::SameSlots).unwrap();
    assert_eq!(new.slot(), 80);
}

#[test]
fn a_failed_slot_passes_and_the_next_has_a_block() {
    let (mut beacon, engine) = start(config(&Preset::MINIMAL));
    run(&mut beacon, 5);
    engine.fail_payloads(1);
    assert!(matches!(beacon.next_slot(), Err(BeaconError::Engine(_))));
    assert_eq!(beacon.slot(), 6);
    assert_eq!(beacon.next_slot().unwrap().unwrap().slot(), 7);
}

#[test]
fn signatures_are_the_proposers() {
    let config = BeaconConfig { signing: Signing::Bls, ..config(&Preset::MINIMAL) };
    let (mut beacon, _) = start(config);
    for _ in 0..12 {
        let block = beacon.next_slot().unwrap().unwrap();
        let view = beacon.view();
        let spec = view.spec();
        let proposer = block.block.message.proposer_index as usize;
        let key = block.state.validators.get(proposer).unwrap().pubkey;
        let epoch = spec.preset.epoch(block.slot());
        let chain = block.state.genesis_validators_root;
        let root = signing_root(block.root, Domain::BeaconProposer, epoch, chain, spec);
        assert!(verify_signature(&key, &root, &block.block.signature));
        let root = signing_root(epoch.root(spec.preset), Domain::Randao, epoch, chain, spec);
        assert!(verify_signature(&key, &root, &block.block.message.body.randao_reveal));
    }
}

#[test]
fn fulu_begins_where_the_configuration_says() {
    let mut config = config(&Preset::MINIMAL);
    config.spec.fulu_epoch = 2;
    let (mut beacon, _) = start(config);
    for slot in 1..30 {
        let block = beacon.next_slot().unwrap().unwrap();
        let fork = if slot < 16 { BeaconFork::Electra } else { BeaconFork::Fulu };
        assert_eq!(block.state.fork.current_version, BeaconSpec::version(fork), "slot {slot}");
    }
    let fork = beacon.view().head().state.fork;
    assert_eq!((fork.previous_version, fork.epoch), (BeaconSpec::version(BeaconFork::Electra), 2));
}

#[test]
fn balances_above_32_ether_are_withdrawn() {
    let mut config = config(&Preset::MINIMAL);
    config.validators = GenesisValidators {
        count: 64,
        balance: 33_000_000_000,
        withdrawal_address: Some(Address::repeat_byte(0x11)),
    };
    let (mut beacon, engine) = start(config);
    let mut withdrawn = Vec::new();
    for _ in 0..16 {
        let block = beacon.next_slot().unwrap().unwrap();
        let payload = &block.block.message.body.execution_payload;
        assert_eq!(
            engine.block(&payload.block_hash).unwrap().withdrawals,
            payload.withdrawals.len()
        );
        withdrawn.extend(payload.withdrawals.to_vec());
    }
    assert_eq!(withdrawn.len(), 64);
    for (index, withdrawal) in (0..).zip(withdrawn) {
        assert_eq!((withdrawal.index, withdrawal.validator_index), (index, index));
        assert_eq!(
            (withdrawal.amount, withdrawal.address),
            (1_000_000_000, Address::repeat_byte(0x11))
        );
    }
    run(&mut beacon, 1);
    let head = beacon.view().head();
    assert!(head.block.message.body.execution_payload.withdrawals.is_empty());
    assert!(head.state.balances.iter().all(|balance| balance == 32_000_000_000));
}

#[test]
fn wrong_settings_are_named() {
    let engine = common::FakeEngine::new(&common::genesis());
    let genesis = common::genesis();
    let refused = |change: fn(&mut BeaconConfig)| {
        let mut config = config(&Preset::MINIMAL);
        change(&mut config);
        let opened = lockstep_devnet::beacon::DevBeacon::open(
            config,
            engine.clone(),
            &genesis,
            genesis.hash_slow(),
        );
        opened.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert!(refused(|config| config.spec.seconds_per_slot = 0).starts_with("seconds_per_slot"));
    assert!(refused(|config| config.spec.genesis_time -= 1).starts_with("genesis_time"));
    assert!(refused(|config| config.validators.count = 0).starts_with("validators.count"));
    assert!(refused(|config| config.validators.balance = 1).starts_with("validators.balance"));
}

#[test]
fn few_validators_are_enough() {
    let mut config = config(&Preset::MAINNET);
    config.validators.count = 1;
    let engine = common::FakeEngine::new(&common::genesis());
    let mut beacon = open(config, &engine);
    run(&mut beacon, 200);
    // The only vote of an epoch may come in its last slot, and then counts an epoch later.
    assert!(beacon.view().finalized().epoch >= 200 / 32 - 4);
}
