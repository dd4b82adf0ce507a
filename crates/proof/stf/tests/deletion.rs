//! Blocks that delete much, executed with what `eth_getProof` gives and single nodes on demand: the truth
//! is the root of the whole state, computed from scratch.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

use alloy_consensus::{Header, Sealable, TxReceipt};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B64, B256, Bytes, Sealed, U256, hex, keccak256};
use lockstep_chain::{Block, Chain, FeeParams, ForkSchedule, OpHardfork, Rollup};
use lockstep_execution::{ExecuteOptions, MemoryState, StateCommitment, code_from, execute_block};
use lockstep_preimage::{Hint, PreimageError, PreimageKey, PreimageOracle, PreimageSet};
use lockstep_stf::{PayloadError, StatelessExecutor};
use lockstep_trie::{NodePath, NodeSet, NodeSource, StateTrie};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use proptest::prelude::*;
use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    convert::Infallible,
};

const GAS_LIMIT: u64 = 1_000_000_000;
const SENDER: Address = Address::repeat_byte(0xaa);

/// Takes pairs of slot and value, and writes them.
const WRITER: &[u8] = &hex!("60005b803611600a57005b8060200135813555604001600256");
/// Sends everything to whoever calls, and is gone (before EIP-6780).
const QUITTER: &[u8] = &hex!("33ff");
/// Begins like a delegation (EIP-7702), as the code of a genesis file may.
const ODD: &[u8] = &hex!("ef01");

/// A node with the whole state, which gives no more of it than it is asked for by hints.
struct Host {
    nodes: NodeSet,
    codes: BTreeMap<B256, Bytes>,
    /// By the hash of the block after which it is the state's.
    roots: BTreeMap<B256, B256>,
    given: RefCell<PreimageSet>,
    single_nodes: Cell<usize>,
    /// Whether single nodes are given.
    gives_nodes: bool,
}

impl Host {
    fn give(&self, preimages: impl IntoIterator<Item = Bytes>) {
        let mut given = self.given.borrow_mut();
        for preimage in preimages {
            given.insert_keccak256(preimage);
        }
    }

    fn prove(&self, block: &B256, address: &Address, slots: &[B256]) {
        let mut trie = StateTrie::from_root(self.roots[block]);
        let slots: Vec<B256> = slots.iter().map(keccak256).collect();
        let proof =
            trie.prove(keccak256(address), &slots, &self.nodes).expect("all nodes are here");
        self.give(proof.proof);
        self.give(proof.storage.into_iter().flat_map(|slot| slot.proof));
    }
}

impl PreimageOracle for Host {
    type Error = PreimageError<Infallible>;

    fn get(&self, key: PreimageKey) -> Result<Bytes, Self::Error> {
        self.given.borrow().get(key)
    }

    fn hint(&self, hint: &Hint) -> Result<(), Self::Error> {
        match hint {
            Hint::L2AccountProof { block, address } => self.prove(block, address, &[]),
            Hint::L2StorageProof { block, address, slot } => self.prove(block, address, &[*slot]),
            Hint::L2Code(hash) => self.give(self.codes.get(hash).cloned()),
            Hint::L2StateNode(hash) if self.gives_nodes => {
                self.single_nodes.set(self.single_nodes.get() + 1);
                let Ok(node) = self.nodes.node(&NodePath::default(), *hash);
                self.give(node);
            }
            Hint::L2StateNode(_) | Hint::L2BlockWitness(_) => {}
            other => panic!("{other:?}"),
        }
        Ok(())
    }
}

/// A chain with its whole state, and what its host gives away.
struct World {
    chain: Rollup,
    state: MemoryState,
    head: Sealed<Header>,
    trie: StateTrie,
    host: Host,
}

#[derive(Clone, Debug)]
enum Call {
    /// Writes slots of a writer; zero deletes.
    Write { writer: u8, slots: Vec<(u8, u8)> },
    /// Lets a quitter go.
    Quit { quitter: u8 },
    /// Fails.
    Odd,
}

fn writer(number: u8) -> Address {
    Address::left_padding_from(&[0xc0, 1, number])
}

fn quitter(number: u8) -> Address {
    Address::left_padding_from(&[0xc0, 2, number])
}

fn odd() -> Address {
    Address::left_padding_from(&[0xc0, 3, 0])
}

fn chain(fork: OpHardfork) -> Rollup {
    Rollup::new(901, ForkSchedule::<OpHardfork>::at(fork), FeeParams::OP_MAINNET)
}

impl World {
    /// Writers and quitters with these slots.
    fn new(fork: OpHardfork, slots: &[(u8, u8)], writers: u8, quitters: u8) -> Self {
        let chain = chain(fork);
        let mut state = MemoryState::default();
        let contracts = (0..writers)
            .map(|number| (writer(number), WRITER))
            .chain((0..quitters).map(|number| (quitter(number), QUITTER)))
            .chain([(odd(), ODD)]);
        let mut codes = BTreeMap::new();
        for (address, code) in contracts {
            let code = Bytes::from_static(code);
            codes.insert(keccak256(&code), code.clone());
            state.set_account(address, 1, U256::from(5), code_from(code));
            for (slot, value) in slots {
                state.set_slot(address, U256::from(*slot), U256::from(*value));
            }
        }
        let mut nodes = NodeSet::new();
        let mut trie = StateTrie::empty();
        let root = StateCommitment::commit(
            &mut trie,
            &state.as_changes(),
            &lockstep_trie::NoSource,
            |_, _, rlp| {
                nodes.insert(Bytes::copy_from_slice(rlp));
            },
        )
        .expect("nothing is blinded");
        let header = Header {
            state_root: root,
            gas_limit: GAS_LIMIT,
            base_fee_per_gas: Some(7),
            extra_data: Bytes::from_static(&hex!("00000000fa00000006")),
            timestamp: 100,
            ..Default::default()
        };
        let head = header.seal_slow();
        let host = Host {
            nodes,
            codes,
            roots: [(head.hash(), root)].into(),
            given: RefCell::default(),
            single_nodes: Cell::new(0),
            gives_nodes: true,
        };
        Self { chain, state, head, trie, host }
    }

    fn attributes(&self, calls: &[Call]) -> OpPayloadAttributes {
        let fork = self.chain.fork(&self.head);
        let mut attributes = OpPayloadAttributes {
            gas_limit: Some(GAS_LIMIT),
            eip_1559_params: (fork >= OpHardfork::Holocene).then_some(B64::ZERO),
            transactions: Some(
                calls.iter().zip(0..).map(|(call, index)| deposit(call, index)).collect(),
            ),
            ..Default::default()
        };
        attributes.payload_attributes.timestamp = self.head.timestamp + 2;
        attributes.payload_attributes.withdrawals = Some(Vec::new());
        attributes.payload_attributes.parent_beacon_block_root =
            (fork >= OpHardfork::Ecotone).then_some(B256::ZERO);
        attributes
    }

    /// Executes the block on the whole state; returns how many of its transactions succeeded.
    fn execute(&mut self, made: &Block<Rollup>, hash: B256) -> usize {
        let senders = vec![SENDER; made.body.transactions.len()];
        let output =
            execute_block(&self.chain, made, &senders, &self.state, ExecuteOptions::default())
                .expect("the block executes");
        self.state.apply(&output.changes);
        let nodes = &mut self.host.nodes;
        let root = StateCommitment::commit(
            &mut self.trie,
            &output.changes,
            &lockstep_trie::NoSource,
            |_, _, rlp| {
                nodes.insert(Bytes::copy_from_slice(rlp));
            },
        )
        .expect("nothing is blinded");
        self.host.roots.insert(hash, root);
        self.head = Sealed::new_unchecked(made.header.clone(), hash);
        output.receipts.iter().filter(|receipt| receipt.status()).count()
    }
}

fn deposit(call: &Call, index: u64) -> Bytes {
    let (to, input) = match call {
        Call::Write { writer: number, slots } => {
            let words = slots.iter().flat_map(|(slot, value)| [*slot, *value]);
            let input: Vec<u8> =
                words.flat_map(|word| U256::from(word).to_be_bytes::<32>()).collect();
            (writer(*number), input.into())
        }
        Call::Quit { quitter: number } => (quitter(*number), Bytes::new()),
        Call::Odd => (odd(), Bytes::new()),
    };
    let deposit = TxDeposit {
        source_hash: B256::from(U256::from(index)),
        from: SENDER,
        to: to.into(),
        gas_limit: 10_000_000,
        input,
        ..Default::default()
    };
    OpTxEnvelope::from(deposit).encoded_2718().into()
}

/// Executes blocks of calls statelessly and on the whole state; returns the single nodes asked for.
fn compare(mut world: World, blocks: &[Vec<Call>]) -> usize {
    let mut single_nodes = 0;
    let chain = world.chain.clone();
    let first = world.head.clone();
    let mut made_alone = Vec::new();
    for calls in blocks {
        // A new executor each time knows nothing but the hash of the last block.
        let attributes = world.attributes(calls);
        let mut executor = StatelessExecutor::new(&chain, &world.host, world.head.clone());
        let made = executor.execute(&attributes).expect("hints are enough").block;
        let succeeded = world.execute(&made, made.hash());
        assert_eq!(succeeded, calls.len(), "all calls have enough gas");
        assert_eq!(made.header.state_root, world.state.state_root());
        single_nodes += world.host.single_nodes.take();
        world.host.given = RefCell::default();
        made_alone.push((attributes, made.hash()));
    }
    // One executor makes them all with a host that knows the first state only.
    world.host.roots.retain(|block, _| *block == first.hash());
    let mut executor = StatelessExecutor::new(&chain, &world.host, first);
    for (attributes, hash) in made_alone {
        let made = executor.execute(&attributes).expect("the first state is enough").block;
        assert_eq!(made.hash(), hash);
    }
    single_nodes
}

#[test]
fn the_sibling_that_a_deletion_leaves_alone_is_asked_for_and_needed() {
    let delete_all_but = |kept: u8| Call::Write {
        writer: 0,
        slots: (0..64).filter(|slot| *slot != kept).map(|slot| (slot, 0)).collect(),
    };
    let slots: Vec<(u8, u8)> = (0..64).map(|slot| (slot, 1)).collect();
    let mut siblings = 0;
    for kept in 0..8 {
        let world = World::new(OpHardfork::Isthmus, &slots, 2, 0);
        siblings += compare(world, &[vec![delete_all_but(kept)]]);

        let mut world = World::new(OpHardfork::Isthmus, &slots, 2, 0);
        world.host.gives_nodes = false;
        let attributes = world.attributes(&[delete_all_but(kept)]);
        let head = world.head.clone();
        let error = StatelessExecutor::new(&world.chain, &world.host, head)
            .execute(&attributes)
            .expect_err("the slot that is kept was never proven");
        assert!(matches!(error, PayloadError::Data(_)), "{error}");
    }
    assert!(siblings >= 8, "one for each slot that is kept, got {siblings}");
}

#[test]
fn code_that_only_begins_like_a_delegation_is_plain() {
    let mut world = World::new(OpHardfork::Isthmus, &[], 1, 1);
    let attributes = world.attributes(&[Call::Odd]);
    let head = world.head.clone();
    let made = StatelessExecutor::new(&world.chain, &world.host, head).execute(&attributes);
    let made = made.expect("what the node can execute can be proven").block;
    assert_eq!(world.execute(&made, made.hash()), 0);
    assert_eq!(made.header.state_root, world.state.state_root());
}

fn calls() -> impl Strategy<Value = Call> {
    // Mostly deletions.
    let value = prop_oneof![4 => Just(0_u8), 1 => any::<u8>()];
    let slots = prop::collection::vec((0_u8..96, value), 1..60);
    prop_oneof![
        4 => (0_u8..4, slots).prop_map(|(writer, slots)| Call::Write { writer, slots }),
        1 => (0_u8..6).prop_map(|quitter| Call::Quit { quitter }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_deletions_lead_to_the_root_of_the_whole_state(
        slots in prop::collection::vec((0_u8..96, 1_u8..), 0..96),
        blocks in prop::collection::vec(prop::collection::vec(calls(), 1..6), 1..5),
        isthmus in any::<bool>(),
    ) {
        let fork = if isthmus { OpHardfork::Isthmus } else { OpHardfork::Canyon };
        compare(World::new(fork, &slots, 4, 6), &blocks);
    }
}
