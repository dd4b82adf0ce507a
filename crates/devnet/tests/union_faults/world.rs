//! The L1, the owner of its slots, and the followers of all rollups, slot by slot, without a clock.

use crate::{
    followers::{BlobAnswers, Link, Member, Node},
    l1::{GENESIS_TIME, L1, SLOT_S, beacon_spec, payers},
    model::{Block, Chains, Content, Expected, Model},
    owner::{Calls, Honest, make_slot, put_app_into},
};
use alloy_eips::{
    BlockNumHash,
    eip4844::{Blob, BlobTransactionSidecar, Bytes48},
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant, CELLS_PER_EXT_BLOB},
};
use alloy_primitives::{Address, B256, Bytes, ChainId, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use alloy_sol_types::SolCall;
use lockstep_batcher::{BlobProofs, BlobProver, KzgProver};
use lockstep_chain::EthereumHardfork;
use lockstep_contracts::{Inbox, UnionAddresses, UnionPortal, union_batch_hash};
use lockstep_devnet::{
    AgreementError, Beginning, DevAccount, JointAgreement, L1_CHAIN_ID, MNEMONIC, OptedInValidator,
    UnionPlan, accounts,
    beacon::{GenesisValidators, ValidatorKeys},
    l1_genesis, operators,
};
use lockstep_protocol::{Compression, MAX_BLOB_DATA_BYTES, UnionConfig, encode_blob};
use lockstep_union::PORT;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

pub(crate) const ZLIB: Compression = Compression::Zlib { level: 6 };

/// Numbers that look random and are the same in every run (SplitMix64).
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// A batch that the owner has signed.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) batch: Inbox::Batch,
    pub(crate) hash: B256,
    pub(crate) signature: Bytes,
    sidecar: BlobTransactionSidecarVariant,
}

pub(crate) struct World {
    pub(crate) l1: L1,
    pub(crate) union: UnionConfig,
    pub(crate) addresses: UnionAddresses,
    pub(crate) owner: PrivateKeySigner,
    users: Vec<DevAccount>,
    /// The owner's own nodes, which follow L1 as those of others do.
    pub(crate) owned: Vec<Node>,
    /// A follower of each rollup that never ends.
    pub(crate) lasting: Vec<Node>,
    /// A follower of each rollup that is killed all the time.
    pub(crate) killed: Vec<Node>,
    /// The rollups, by their place, whose followers do nothing.
    pub(crate) halted: BTreeSet<usize>,
    pub(crate) answers: BlobAnswers,
    pub(crate) model: Model,
    pub(crate) dice: Dice,
    genesis: BTreeMap<ChainId, B256>,
    pub(crate) kills: usize,
}

impl World {
    pub(crate) fn new(rollups: usize, seed: u64) -> Self {
        Self::with_window(rollups, seed, 3_600)
    }

    /// With a sequencing window of so many L1 blocks.
    pub(crate) fn with_window(rollups: usize, seed: u64, seq_window_size: u64) -> Self {
        let owner = PrivateKeySigner::from_bytes(&B256::repeat_byte(5)).unwrap();
        let users = accounts(MNEMONIC, 5).unwrap();
        let funded: Vec<Address> = users.iter().map(|user| user.address).collect();
        let keys = ValidatorKeys::interop(GenesisValidators::default().count);
        let gateway = owner.address();
        let opted_in: Vec<_> =
            keys.public().iter().map(|key| OptedInValidator { key: *key, gateway }).collect();
        let beginning = Beginning { timestamp: GENESIS_TIME, l1_origin: 0, block_time_s: 1 };
        let operators = operators(MNEMONIC).unwrap();
        let spec = beacon_spec();
        let mut plan = UnionPlan::new(&beginning, &spec, rollups, &opted_in, &funded, &operators);
        put_app_into(&mut plan);
        let payers = payers();
        let paying: Vec<Address> = payers.iter().map(|payer| payer.address()).collect();
        let mut genesis = l1_genesis(EthereumHardfork::Osaka, GENESIS_TIME, &paying);
        plan.put_into(&mut genesis).unwrap();
        let l1 = L1::new(&genesis, plan.addresses.inbox, payers);
        let union = UnionConfig {
            inbox: plan.addresses.inbox,
            chains: plan.rollups.iter().map(|rollup| rollup.genesis.config.chain_id).collect(),
            slot_seconds: SLOT_S,
            genesis_time: GENESIS_TIME,
            block_time: 1,
            seq_window_size,
            isthmus_time: Some(0),
            jovian_time: Some(0),
        };
        let origin = BlockNumHash::new(0, l1.hash(0).unwrap());
        let members: Vec<_> = plan
            .rollups
            .iter()
            .map(|rollup| Arc::new(Member::new(rollup, &union, origin)))
            .collect();
        let answers = BlobAnswers::default();
        let nodes = |is_on_disk| -> Vec<Node> {
            let link = Link::new(&l1, &answers);
            members.iter().map(|member| Node::new(member, link.clone(), is_on_disk)).collect()
        };
        let (owned, lasting, killed) = (nodes(false), nodes(false), nodes(true));
        let genesis =
            members.iter().map(|member| (member.id(), member.config.genesis.l2.hash)).collect();
        let mut world = Self {
            l1,
            union,
            addresses: plan.addresses,
            owner,
            users,
            owned,
            lasting,
            killed,
            halted: BTreeSet::new(),
            answers,
            model: Model::default(),
            dice: Dice(seed),
            genesis,
            kills: 0,
        };
        // No batch of slot 0 can be proven: nothing is before it.
        world.next_slot();
        world
    }

    /// Makes the blocks of the current slot.
    pub(crate) fn make(&mut self, calls: Calls) -> Honest {
        let slot = self.l1.slot();
        make_slot(&self.owned, &self.union, &self.users, slot, calls, &mut self.dice)
    }

    /// Makes the blocks of the current slot, and signs them.
    pub(crate) fn sign_honest(&mut self, calls: Calls) -> Signed {
        let Honest { batch, content, .. } = self.make(calls);
        self.sign(&batch.encode(ZLIB).unwrap(), content)
    }

    /// The hash of the inbox's newest batch.
    pub(crate) fn inbox_head(&mut self) -> B256 {
        self.l1.events().last().map_or(B256::ZERO, |event| event.batch_hash)
    }

    /// Signs what blobs are to hold, as a batch of the current slot on the inbox's newest one.
    pub(crate) fn sign(&mut self, data: &[u8], content: Content) -> Signed {
        let (slot, parent) = (self.l1.slot(), self.inbox_head());
        self.sign_as(slot, parent, blobs_of(data), content)
    }

    /// Signs a batch.
    pub(crate) fn sign_as(
        &mut self,
        slot: u64,
        parent: B256,
        blobs: Vec<Blob>,
        content: Content,
    ) -> Signed {
        let sidecar = sidecar(blobs);
        let blob_hashes = sidecar.versioned_hashes().collect();
        let batch = Inbox::Batch { slot, parent, blobHashes: blob_hashes };
        let hash = union_batch_hash(&batch, L1_CHAIN_ID, self.union.inbox);
        let signature = self.owner.sign_hash_sync(&hash).unwrap();
        self.model.knows(hash, content);
        Signed { batch, hash, signature: signature.as_bytes().into(), sidecar }
    }

    /// Plans a batch for the L1 block of a slot.
    pub(crate) fn plan(&mut self, signed: &Signed, in_slot: u64) {
        let call = self.call(signed);
        self.plan_call(signed, &call, in_slot);
    }

    /// The call of the inbox that posts a batch.
    pub(crate) fn call(&self, signed: &Signed) -> Inbox::postCall {
        Inbox::postCall {
            slot: signed.batch.slot,
            parent: signed.batch.parent,
            firstBlob: U256::ZERO,
            blobCount: U256::from(signed.batch.blobHashes.len()),
            proof: self.l1.prove(signed.batch.slot),
            signature: signed.signature.clone(),
        }
    }

    /// Plans a call of the inbox with the blobs of a batch.
    pub(crate) fn plan_call(&mut self, signed: &Signed, call: &Inbox::postCall, in_slot: u64) {
        let sidecar = Some(signed.sidecar.clone());
        self.l1.plan(in_slot, self.union.inbox, call.abi_encode().into(), U256::ZERO, sidecar);
    }

    /// Plans a deposit to a rollup, for the next L1 block.
    pub(crate) fn deposit(&mut self, rollup: usize, value: u64) {
        let call = UnionPortal::depositTransactionCall {
            to: Address::repeat_byte(0xa1),
            value: U256::from(value),
            gasLimit: 100_000,
            isCreation: false,
            data: Bytes::new(),
        };
        let (portal, slot) = (self.addresses.rollups[rollup].rollup.portal, self.l1.slot() + 1);
        self.l1.plan(slot, portal, call.abi_encode().into(), U256::from(value), None);
    }

    /// Posts what blobs are to hold in the next L1 block, and lets all follow.
    pub(crate) fn post(&mut self, data: &[u8], content: Content) {
        let signed = self.sign(data, content);
        self.plan(&signed, self.l1.slot() + 1);
        self.next_slot();
        assert_eq!(self.inbox_head(), signed.hash, "the inbox takes what its owner signed");
    }

    /// Makes the blocks of the current slot, and posts them in the next one. Afterwards they are safe.
    pub(crate) fn post_honest(&mut self, calls: Calls) {
        let Honest { batch, content, .. } = self.make(calls);
        let before = self.owned[0].safe().number;
        let made = batch.rollups[0].span(&self.union).unwrap().blocks.len() as u64;
        self.post(&batch.encode(ZLIB).unwrap(), content);
        assert_eq!(self.owned[0].safe().number, before + made, "an honest batch counts");
    }

    /// A slot of L1, which all follow.
    pub(crate) fn next_slot(&mut self) {
        self.l1.next_slot();
        assert_eq!(self.l1.failures(self.l1.slot()), 0, "what was planned succeeds");
        self.follow();
    }

    /// Replaces the last L1 blocks by what is planned for their slots now. Followers see it when the next block comes.
    pub(crate) fn reorg(&mut self, depth: u64) {
        self.l1.reorg(depth);
        self.l1.next_slot();
        self.follow();
    }

    /// All follow L1, and come to what the rules say.
    pub(crate) fn follow(&mut self) {
        self.run();
        self.check();
    }

    /// All follow L1 as far as they can.
    pub(crate) fn run(&mut self) {
        let Self { owned, lasting, killed, halted, dice, kills, .. } = self;
        owned.iter_mut().for_each(Node::run);
        let pairs = lasting.iter_mut().zip(killed).enumerate();
        for (_, (lasting, killed)) in pairs.filter(|(rollup, _)| !halted.contains(rollup)) {
            lasting.run();
            // In the midst of it, or when there is nothing left to do.
            while dice.below(2) == 0 {
                killed.steps(dice.below(12) as u32);
                killed.kill();
                *kills += 1;
            }
            killed.run();
        }
    }

    /// The safe chains that the rules give, as far as they are known.
    fn expected(&mut self) -> Chains {
        let events = self.l1.events();
        let l1 = &self.l1;
        self.model.chains(&self.genesis, &events, |number| l1.hash(number))
    }

    /// All nodes have the safe chain that the rules give, and the rollups tell the same of each other.
    pub(crate) fn check(&mut self) {
        self.check_chains();
        self.joint().expect("the rollups tell of the same calls");
    }

    /// All nodes that run have the safe chain that the rules give.
    pub(crate) fn check_chains(&mut self) {
        let chains = loop {
            let chains = self.expected();
            if !self.learn(&chains) {
                break chains;
            }
        };
        let others = self.lasting.iter().zip(&self.killed).enumerate();
        let running = others.filter(|(rollup, _)| !self.halted.contains(rollup));
        let running = running.flat_map(|(_, (lasting, killed))| [lasting, killed]);
        for node in self.owned.iter().chain(running) {
            let chain = node.member.id();
            let found: Vec<_> = node.safe_chain().into_iter().map(Expected::Is).collect();
            assert_eq!(found, chains[&chain], "rollup {chain} after slot {}", self.l1.slot());
        }
    }

    /// Learns the blocks that only executing tells, from the owner's nodes. Whether there were any.
    fn learn(&mut self, chains: &Chains) -> bool {
        let mut has_learnt = false;
        for node in &self.owned {
            let blocks = &chains[&node.member.id()];
            let Some(Expected::ToLearn(kind)) = blocks.last() else { continue };
            let number = blocks.len() as u64 - 1;
            let block = node.snapshot().block(number).unwrap();
            let block =
                block.unwrap_or_else(|| panic!("{} has no block {number}", node.member.id()));
            let (deposits, parts): (Vec<_>, Vec<_>) = block
                .transactions()
                .iter()
                .partition(|tx| tx.as_deposit().is_some_and(|deposit| deposit.from != PORT));
            match kind {
                Block::Deposits => assert!(parts.is_empty() && !deposits.is_empty()),
                Block::Forged => {}
                Block::Made(_) => unreachable!("it is known"),
            }
            self.model.learn(node.member.id(), block.parent_hash(), block.hash());
            has_learnt = true;
        }
        has_learnt
    }

    /// What a follower of all rollups says of their calls between each other.
    pub(crate) fn joint(&self) -> Result<Option<u64>, AgreementError> {
        JointAgreement::new(self.lasting.iter().map(Node::local).collect()).check()
    }

    /// How far the owner's rollups are safe.
    pub(crate) fn safe_numbers(&self) -> Vec<u64> {
        self.owned.iter().map(|node| node.safe().number).collect()
    }

    pub(crate) fn end(self) {
        let Self { l1, owned, lasting, killed, kills, .. } = self;
        assert!(kills > 0, "followers were killed");
        drop((owned, lasting, killed));
        l1.end();
    }
}

/// Blobs with their commitments. Nobody on the way asks for the proofs of cells, which take longer than all of the rest.
fn sidecar(blobs: Vec<Blob>) -> BlobTransactionSidecarVariant {
    let proven = KzgProver.sidecar(blobs, BlobProofs::Blob).unwrap();
    let BlobTransactionSidecarVariant::Eip4844(proven) = proven else { panic!("it was asked for") };
    let cell_proofs = vec![Bytes48::ZERO; proven.blobs.len() * CELLS_PER_EXT_BLOB];
    let BlobTransactionSidecar { blobs, commitments, .. } = proven;
    BlobTransactionSidecarEip7594 { blobs, commitments, cell_proofs }.into()
}

/// Blobs that hold this.
pub(crate) fn blobs_of(data: &[u8]) -> Vec<Blob> {
    if data.is_empty() {
        return vec![*encode_blob(data).unwrap()];
    }
    data.chunks(MAX_BLOB_DATA_BYTES).map(|chunk| *encode_blob(chunk).unwrap()).collect()
}
