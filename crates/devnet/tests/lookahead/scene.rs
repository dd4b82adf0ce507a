//! A beacon chain some of whose validators opted in, L1 with the contracts, and nodes of both.

use crate::{
    common::{FakeEngine, config, run, start},
    contracts::{L1, Times},
    nodes::{BeaconNode, L1Node, Tamper},
};
use alloy_consensus::{Header, Sealable};
use alloy_primitives::{Address, B256, Sealed};
use lockstep_devnet::beacon::{BlockId, DevBeacon, Preset, beacon_api};
use lockstep_gateway::LookaheadOwners;
use lockstep_lookahead::{Delegation, LookaheadSource, Prover, Slot};
use lockstep_providers::{BeaconClient, Endpoint, L1Client, Retry, RpcClient, Transport};
use std::sync::Arc;

pub(crate) struct Scene {
    pub(crate) beacon: DevBeacon<FakeEngine>,
    pub(crate) preset: &'static Preset,
    pub(crate) l1: L1,
    /// One for each beacon block.
    pub(crate) headers: Vec<Sealed<Header>>,
}

impl Scene {
    /// A chain with some missed slots, of whose validators one in `share` opted in: from the first slot that can be
    /// delegated on, with gaps.
    pub(crate) fn new(preset: &'static Preset, slots: u64, share: u64) -> Self {
        let (mut beacon, _) = start(config(preset));
        let view = beacon.view();
        let times = Times {
            genesis: view.genesis().state.genesis_time,
            slot_seconds: view.spec().seconds_per_slot,
            slots_per_epoch: preset.slots_per_epoch,
        };
        let mut l1 = L1::new(times);
        let keys = beacon.keys().clone();
        for validator in (0..keys.public().len() as u64).filter(|index| index % share == 1) {
            l1.register(&keys, validator);
            let mut first_slot = 2 * preset.slots_per_epoch + validator % 3;
            for round in 0..2 {
                let last_slot = first_slot + 5 + validator % 7 + 40 * round;
                let gateway = Address::repeat_byte(0xa0 + (validator + round) as u8 % 3);
                l1.delegate(&keys, validator, Delegation { first_slot, last_slot, gateway });
                first_slot = last_slot + 1 + validator % 2;
            }
        }
        run(&mut beacon, slots / 2);
        beacon.skip_slots(3);
        run(&mut beacon, slots - slots / 2);
        let mut scene = Self { beacon, preset, l1, headers: Vec::new() };
        scene.follow(0, B256::ZERO);
        scene
    }

    /// Nothing runs for so many slots; then there are some blocks more.
    pub(crate) fn stand_still(&mut self, slots: u64) {
        self.beacon.skip_slots(slots);
        let first = self.head_slot() + 1;
        let parent = self.beacon.view().head().root;
        run(&mut self.beacon, slots + 3);
        self.follow(first, parent);
    }

    /// L1's blocks from a slot on: one for each beacon block, with the root of the one before, at first `parent`.
    fn follow(&mut self, first: Slot, mut parent: B256) {
        let view = self.beacon.view();
        let state_root = self.l1.state.state_root();
        for slot in first..=view.head().slot() {
            let Some(root) = view.root(BlockId::Slot(slot)) else { continue };
            let header = Header {
                parent_hash: self.headers.last().map_or(B256::ZERO, Sealed::hash),
                number: self.headers.len() as u64,
                timestamp: self.l1.time(slot),
                parent_beacon_block_root: Some(parent),
                state_root,
                base_fee_per_gas: Some(7),
                ..Header::default()
            };
            self.headers.push(header.seal_slow());
            parent = root;
        }
        let last = self.headers.last().unwrap();
        self.l1.timestamp = last.timestamp;
    }

    /// The L1 block after the head, as it will be: the head's state is the newest that it can prove by.
    pub(crate) fn next_l1_block(&mut self) -> Sealed<Header> {
        let view = self.beacon.view();
        let head = view.head();
        let header = Header {
            timestamp: self.l1.time(head.slot() + 1),
            parent_beacon_block_root: Some(head.root),
            ..Header::default()
        };
        self.l1.timestamp = header.timestamp;
        self.l1.keep_beacon_root(header.timestamp, head.root);
        header.seal_slow()
    }

    pub(crate) fn prover(&self, tamper: Tamper) -> Prover {
        Prover::new(self.beacon_client(tamper), self.preset)
    }

    pub(crate) fn source(&self) -> LookaheadSource {
        let (beacon, l1) = (self.beacon_client(|_, body| body), self.l1_client());
        LookaheadSource::new(beacon, l1, self.l1.registry, self.preset.slots_per_epoch).unwrap()
    }

    /// Owners as a gateway's poster knows them.
    pub(crate) fn owners(&self) -> LookaheadOwners {
        let (beacon, l1) = (self.beacon_client(|_, body| body), self.l1_client());
        LookaheadOwners::new(beacon, l1, self.l1.registry, self.preset).unwrap()
    }

    fn l1_client(&self) -> L1Client {
        let node: Arc<dyn Transport> = Arc::new(L1Node {
            endpoint: Endpoint::new("http://l1.example").unwrap(),
            headers: self.headers.clone(),
            state: self.l1.state.clone(),
        });
        L1Client::new(RpcClient::new(node).with_retry(Retry::at_once(1)))
    }

    fn beacon_client(&self, tamper: Tamper) -> BeaconClient {
        let node = BeaconNode {
            endpoint: Endpoint::new("http://beacon.example").unwrap(),
            api: beacon_api(self.beacon.view(), None),
            tamper,
        };
        BeaconClient::new(vec![Arc::new(node)], Retry::at_once(1)).unwrap()
    }

    /// What EIP-4788's contract keeps of all L1 blocks.
    pub(crate) fn keep_beacon_roots(&mut self) {
        for header in &self.headers {
            let root = header.parent_beacon_block_root.unwrap();
            self.l1.keep_beacon_root(header.timestamp, root);
        }
    }

    pub(crate) fn head_slot(&self) -> Slot {
        self.beacon.view().head().slot()
    }
}
