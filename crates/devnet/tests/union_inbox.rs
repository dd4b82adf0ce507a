//! From a state of the dev beacon to a batch that the inbox takes, on the L1 that the beacon drives.

#![allow(
    clippy::panic,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test may fail this way"
)]

mod common;
#[path = "union_inbox/poster.rs"]
mod poster;
#[path = "common/proof.rs"]
mod proof;

use alloy_consensus::{Header, SignableTransaction, TxEip4844, TxReceipt};
use alloy_primitives::{Address, B256, Bytes, Log, Signature, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::{SolCall, SolEvent};
use common::{FakeEngine, config, genesis, run, start};
use lockstep_chain::{Ethereum, EthereumHardfork, EthereumTransaction};
use lockstep_contracts::{Inbox, ProposersProof, union_batch_hash};
use lockstep_devnet::{
    Beginning, L1_CHAIN_ID, MNEMONIC, OptedInValidator, UnionPlan,
    beacon::{DevBeacon, Preset, ValidatorKeys},
    l1_genesis, operators,
};
use lockstep_execution::{BlockExecutor, MemoryState};
use proof::proof;
use std::{collections::BTreeSet, ops::RangeInclusive};

const POSTER: Address = Address::repeat_byte(0x77);

/// A beacon, and the state of its L1, with a union for which half of the proposers chose one of two gateways.
struct World {
    preset: &'static Preset,
    beacon: DevBeacon<FakeEngine>,
    chain: Ethereum,
    state: MemoryState,
    number: u64,
    inbox: Address,
    gateways: [PrivateKeySigner; 2],
    /// Pays for what a gateway's poster sends.
    payer: PrivateKeySigner,
}

/// Which of the gateways a validator delegated to, if it opted in.
fn gateway_of(validator: u64) -> Option<usize> {
    [Some(0), Some(1), None, None][validator as usize % 4]
}

impl World {
    fn new(preset: &'static Preset) -> Self {
        let gateways =
            [5, 6].map(|it| PrivateKeySigner::from_bytes(&B256::repeat_byte(it)).unwrap());
        let (beacon, _) = start(config(preset));
        let spec = beacon.view().spec().clone();
        let count = beacon.view().genesis().state.validators.len() as u64;
        let keys = ValidatorKeys::interop(count);
        let opted_in: Vec<_> = (0..count)
            .filter_map(|index| {
                let gateway = gateways[gateway_of(index)?].address();
                Some(OptedInValidator { key: keys.public()[index as usize], gateway })
            })
            .collect();
        let timestamp = genesis().timestamp;
        let beginning = Beginning { timestamp, l1_origin: 0, block_time_s: 1 };
        let operators = operators(MNEMONIC).unwrap();
        let plan = UnionPlan::new(&beginning, &spec, 2, &opted_in, &[POSTER], &operators);
        let payer = PrivateKeySigner::from_bytes(&B256::repeat_byte(9)).unwrap();
        let paying = [POSTER, payer.address()];
        let mut l1 = l1_genesis(EthereumHardfork::Osaka, timestamp, &paying);
        plan.put_into(&mut l1).unwrap();
        Self {
            preset,
            beacon,
            chain: Ethereum::from_genesis(&l1).unwrap(),
            state: MemoryState::from_genesis(&l1),
            number: 0,
            inbox: plan.addresses.inbox,
            gateways,
            payer,
        }
    }

    /// The slot of the L1 block that comes next.
    fn next_slot(&self) -> u64 {
        self.beacon.view().slot() + 1
    }

    /// Who proposes a slot, by the newest state.
    fn proposer(&self, slot: u64) -> u64 {
        let state = &self.beacon.view().head().state;
        let first = self.preset.start_slot(self.preset.epoch(state.slot));
        state.proposer_lookahead.get((slot - first) as usize).unwrap()
    }

    /// The slot whose batch the L1 block that comes next can have: the one before it.
    fn over_slot(&self) -> u64 {
        self.beacon.view().slot()
    }

    /// The first slot from `slot` on whose proposer opted in.
    fn owned_slot(&self, slot: u64) -> u64 {
        (slot..).find(|slot| gateway_of(self.proposer(*slot)).is_some()).unwrap()
    }

    /// Proves the proposers of these slots in the L1 block that comes next.
    fn prove(&self, slots: RangeInclusive<u64>) -> ProposersProof {
        let timestamp = self.beacon.view().spec().slot_time(self.next_slot());
        let head = self.beacon.view().head();
        let validators = slots.map(|slot| self.proposer(slot) as usize).collect::<Vec<_>>();
        proof(&head.block, &head.state, timestamp, &validators, self.preset)
    }

    fn batch(&self, slot: u64, parent: B256) -> Inbox::Batch {
        let mut blob_hash = B256::repeat_byte(slot as u8);
        blob_hash[0] = 1;
        Inbox::Batch { slot, parent, blobHashes: vec![blob_hash] }
    }

    /// Posts a batch in the next L1 block, signed by its gateway; what the inbox says of it, if it takes it.
    fn post(
        &mut self,
        batch: &Inbox::Batch,
        proof: ProposersProof,
        signature: &Signature,
    ) -> Option<Inbox::BatchPosted> {
        let call = Inbox::postCall {
            slot: batch.slot,
            parent: batch.parent,
            firstBlob: U256::ZERO,
            blobCount: U256::ONE,
            proof,
            signature: signature.as_bytes().into(),
        };
        let logs = self.execute(call.abi_encode().into(), batch.blobHashes.clone())?;
        assert_eq!(logs.len(), 1);
        Some(Inbox::BatchPosted::decode_log(&logs[0]).unwrap().data)
    }

    /// The gateway that owns a slot.
    fn owner(&self, slot: u64) -> &PrivateKeySigner {
        let validator = self.proposer(self.owned_slot(slot));
        &self.gateways[gateway_of(validator).unwrap()]
    }

    fn sign(&self, batch: &Inbox::Batch) -> Signature {
        let hash = union_batch_hash(batch, L1_CHAIN_ID, self.inbox);
        self.owner(batch.slot).sign_hash_sync(&hash).unwrap()
    }

    /// Executes the L1 block of the next slot with one transaction to the inbox, and lets the beacon go on.
    fn execute(&mut self, input: Bytes, blob_versioned_hashes: Vec<B256>) -> Option<Vec<Log>> {
        let tx = TxEip4844 {
            chain_id: L1_CHAIN_ID,
            nonce: self.number,
            gas_limit: 10_000_000,
            max_fee_per_gas: 7,
            max_priority_fee_per_gas: 0,
            to: self.inbox,
            value: U256::ZERO,
            access_list: Default::default(),
            blob_versioned_hashes,
            max_fee_per_blob_gas: 1_000,
            input,
        };
        // The executor is told who sends.
        let tx = EthereumTransaction::from(tx.into_signed(Signature::test_signature()));
        self.include(Some((&tx, POSTER)))?.1
    }

    /// Executes the L1 block of the next slot with this transaction, and lets the beacon go on. The gas used, and the
    /// logs if it succeeded.
    fn include(
        &mut self,
        tx: Option<(&EthereumTransaction, Address)>,
    ) -> Option<(u64, Option<Vec<Log>>)> {
        let head = self.beacon.view().head();
        self.number += 1;
        let header = Header {
            number: self.number,
            timestamp: self.beacon.view().spec().slot_time(self.next_slot()),
            gas_limit: 60_000_000,
            base_fee_per_gas: Some(7),
            excess_blob_gas: Some(0),
            blob_gas_used: Some(1 << 17),
            parent_beacon_block_root: Some(head.root),
            ..Default::default()
        };
        let mut executor = BlockExecutor::new(&self.chain, &header, self.state.clone());
        executor.begin().unwrap();
        let outcome = tx.map(|(tx, from)| executor.transact(tx, from).unwrap());
        let changes = executor.changes();
        let logs = executor.receipts().first().map(|receipt| receipt.logs().to_vec());
        self.state.apply(&changes);
        self.beacon.next_slot().unwrap();
        let outcome = outcome?;
        Some((outcome.gas_used, logs.filter(|_| outcome.success)))
    }
}

#[test]
fn the_owner_of_a_slot_is_proven_from_the_beacons_state() {
    for preset in [&Preset::MAINNET, &Preset::MINIMAL] {
        let mut world = World::new(preset);
        run(&mut world.beacon, 1);
        let mut parent = B256::ZERO;
        let mut by_another = 0;
        let mut owners = BTreeSet::new();
        for sequence in 0..3 * preset.slots_per_epoch {
            let slot = world.over_slot();
            let owned = world.owned_slot(slot);
            by_another += u64::from(owned != slot);
            let batch = world.batch(slot, parent);
            let (owner, signature) = (world.owner(slot).address(), world.sign(&batch));
            let proof = world.prove(slot..=owned);
            let posted = world.post(&batch, proof, &signature).expect("it is the owner's");
            assert_eq!(posted.owner, owner);
            owners.insert(owner);
            assert_eq!((posted.slot, posted.ownerSlot, posted.sequence), (slot, owned, sequence));
            assert_eq!(posted.blobHashes, batch.blobHashes);
            parent = union_batch_hash(&batch, L1_CHAIN_ID, world.inbox);
            assert_eq!(posted.batchHash, parent);
        }
        assert_eq!(owners.len(), 2, "both gateways have slots");
        assert!(by_another > 0, "proposers who did not opt in are among them");
    }
}

#[test]
fn nobody_else_posts_and_no_proof_is_bent() {
    let mut world = World::new(&Preset::MINIMAL);
    run(&mut world.beacon, 3);
    let refused = |world: &mut World, change: &dyn Fn(&mut ProposersProof)| {
        let slot = world.over_slot();
        let batch = world.batch(slot, B256::ZERO);
        let mut proof = world.prove(slot..=world.owned_slot(slot));
        change(&mut proof);
        let signature = world.sign(&batch);
        assert!(world.post(&batch, proof, &signature).is_none());
    };
    refused(&mut world, &|proof| proof.timestamp -= 2);
    refused(&mut world, &|proof| proof.header.slot += 1);
    refused(&mut world, &|proof| proof.header.stateRoot[0] ^= 1);
    refused(&mut world, &|proof| proof.lookahead[1][31] ^= 1);
    refused(&mut world, &|proof| proof.lookaheadBranch[5][0] ^= 1);
    refused(&mut world, &|proof| proof.keys[0][0] ^= 1);
    refused(&mut world, &|proof| proof.keyBranches[0][43][8] ^= 1);
    refused(&mut world, &|proof| assert!(proof.keyBranches[0].pop().is_some()));

    // A proof that ends before a proposer who opted in, or beyond.
    while world.owned_slot(world.over_slot()) == world.over_slot() {
        world.beacon.next_slot().unwrap();
    }
    let slot = world.over_slot();
    let batch = world.batch(slot, B256::ZERO);
    let (proof, signature) = (world.prove(slot..=slot), world.sign(&batch));
    assert!(world.post(&batch, proof, &signature).is_none());
    while world.owned_slot(world.over_slot()) != world.over_slot() {
        world.beacon.next_slot().unwrap();
    }
    let slot = world.over_slot();
    let batch = world.batch(slot, B256::ZERO);
    let next = world.owned_slot(slot + 1);
    let (proof, signature) = (world.prove(slot..=next), world.sign(&batch));
    assert!(world.post(&batch, proof, &signature).is_none());

    // The right proof, and another's signature.
    let slot = world.over_slot();
    let batch = world.batch(slot, B256::ZERO);
    let proof = world.prove(slot..=world.owned_slot(slot));
    let owner = world.owner(slot).address();
    let other = world.gateways.iter().find(|gateway| gateway.address() != owner).unwrap();
    let hash = union_batch_hash(&batch, L1_CHAIN_ID, world.inbox);
    let signature = other.sign_hash_sync(&hash).unwrap();
    assert!(world.post(&batch, proof, &signature).is_none());

    // What was refused has left nothing that would stand in the owner's way.
    let slot = world.over_slot();
    let batch = world.batch(slot, B256::ZERO);
    let (proof, signature) = (world.prove(slot..=world.owned_slot(slot)), world.sign(&batch));
    assert!(world.post(&batch, proof, &signature).is_some());
}
