//! Rollups of a union in memory, with contracts that call each other.

use alloy_consensus::{BlockBody, Header, SignableTransaction, TxEip1559};
use alloy_primitives::{Address, B256, Bytes, ChainId, Signature, TxKind, U256, hex};
use lockstep_chain::{Block, FeeParams, ForkSchedule, GATE, OpHardfork, PORT, Rollup, UnionRules};
use lockstep_execution::{
    BlockExecutor, BlockOutput, Bytecode, ExecuteOptions, Joined, MemoryState, execute_block,
    transact_jointly,
};
use lockstep_inspect::{PeerBlock, PeerState, PeerStateError, Peers, ReplayBlock};
use lockstep_union::{SuperId, proxy_code, proxy_of};
use op_alloy_consensus::{OpReceipt, OpTxEnvelope};
use std::collections::BTreeMap;

pub(crate) const USER: Address = Address::repeat_byte(0xaa);
pub(crate) const HOME: ChainId = 901;
pub(crate) const PEER: ChainId = 902;
pub(crate) const TIME: u64 = 1_000;

/// On the home: calls [`TARGET`] with all its ether, stores what that returns in slot 0, and returns it;
/// reverts if it fails.
pub(crate) const CALLER: Address = Address::repeat_byte(0xc0);
/// On the home: catches the failure of [`FAILING`], and returns what it reverted with.
pub(crate) const CATCHER: Address = Address::repeat_byte(0xc1);
/// On the home: calls [`RELAY`].
pub(crate) const ENTRANCE: Address = Address::repeat_byte(0xc2);
/// On the home: calls a loop.
pub(crate) const STUCK: Address = Address::repeat_byte(0xc3);
/// On the peer: counts in slot 0, logs, and returns the count. On the home, too.
pub(crate) const TARGET: Address = Address::repeat_byte(0xd0);
/// On the peer: counts, and reverts with the count.
pub(crate) const FAILING: Address = Address::repeat_byte(0xd1);
/// On the peer: calls [`TARGET`] on the home.
pub(crate) const RELAY: Address = Address::repeat_byte(0xd2);
/// On the peer: never ends.
pub(crate) const LOOP: Address = Address::repeat_byte(0xd3);

const COUNT: &[u8] = &hex!("5f54600101805f555f5260205fa060205ff3");
const COUNT_AND_REVERT: &[u8] = &hex!("5f54600101805f555f5260205ffd");

/// Calls `to` with the transaction's ether; stores the answer in slot 0 and returns it.
fn calls(to: Address) -> Vec<u8> {
    let (before, after) = (hex!("60205f5f5f34 73"), hex!("5af1602357 5f5ffd 5b 5f515f55 60205ff3"));
    [before.as_slice(), to.as_slice(), &after].concat()
}

/// Calls `to`, whether it fails or not, and returns a word of what it answers.
fn catches(to: Address) -> Vec<u8> {
    let (before, after) = (hex!("60205f5f5f5f 73"), hex!("5af150 60205ff3"));
    [before.as_slice(), to.as_slice(), &after].concat()
}

/// One rollup with the block that comes next, and the state before it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) chain: Rollup,
    pub(crate) header: Header,
    pub(crate) state: MemoryState,
}

/// Two rollups.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) members: BTreeMap<ChainId, Member>,
}

/// A block, its senders and what it does.
pub(crate) struct Made {
    pub(crate) block: Block<Rollup>,
    pub(crate) senders: Vec<Address>,
    pub(crate) output: BlockOutput<OpReceipt>,
}

impl Made {
    pub(crate) fn replay(&self) -> ReplayBlock<'_, Rollup> {
        ReplayBlock {
            block: &self.block,
            hash: self.block.header.hash_slow(),
            senders: &self.senders,
        }
    }
}

impl World {
    /// Base fees in wei.
    pub(crate) fn new(home_base_fee: u64, peer_base_fee: u64) -> Self {
        let rules = UnionRules::new([HOME, PEER]);
        let member = |(id, base_fee)| {
            let forks = ForkSchedule::<OpHardfork>::at(OpHardfork::Isthmus);
            let chain = Rollup::new(id, forks, FeeParams::OP_MAINNET).with_union(rules.clone());
            let header = Header {
                number: 50,
                timestamp: TIME,
                gas_limit: 30_000_000,
                base_fee_per_gas: Some(base_fee),
                ..Header::default()
            };
            let state = contracts(id);
            (id, Member { chain, header, state })
        };
        let members = [(HOME, home_base_fee), (PEER, peer_base_fee)].map(member);
        Self { members: members.into() }
    }

    pub(crate) fn home(&self) -> (&Rollup, &Header, &MemoryState) {
        let Member { chain, header, state } = &self.members[&HOME];
        (chain, header, state)
    }

    /// Makes the next blocks of both rollups with calls of [`USER`] on the home.
    pub(crate) fn make(&self, calls: &[(Address, u64)]) -> BTreeMap<ChainId, Made> {
        let mut open: BTreeMap<_, _> = self
            .members
            .iter()
            .map(|(id, it)| (*id, BlockExecutor::new(&it.chain, &it.header, &it.state)))
            .collect();
        let mut bodies = BTreeMap::<ChainId, Vec<(OpTxEnvelope, Address)>>::new();
        for (index, (to, gas_limit)) in (0..).zip(calls) {
            let id = SuperId { slot: 1, index };
            let mut blocks = open.iter_mut().map(|(id, block)| (*id, block)).collect();
            let tx = transaction(index, *to, *gas_limit);
            for (chain, joined) in transact_jointly(&mut blocks, id, HOME, &tx, USER).unwrap() {
                bodies.entry(chain).or_default().extend(joined.transactions);
            }
        }
        drop(open);
        let made = self.members.iter().map(|(id, it)| {
            let body = bodies.remove(id).unwrap_or_default();
            let (transactions, senders): (_, Vec<Address>) = body.into_iter().unzip();
            let body = BlockBody { transactions, ommers: Vec::new(), withdrawals: None };
            let block = Block::<Rollup>::new(it.header.clone(), body);
            let options = ExecuteOptions::default();
            let output = execute_block(&it.chain, &block, &senders, &it.state, options).unwrap();
            (*id, Made { block, senders, output })
        });
        made.collect()
    }

    /// Executes one call of [`USER`] on the home; returns what it did there.
    pub(crate) fn execute(&self, to: Address, gas_limit: u64) -> Joined {
        let mut open: BTreeMap<_, _> = self
            .members
            .iter()
            .map(|(id, it)| (*id, BlockExecutor::new(&it.chain, &it.header, &it.state)))
            .collect();
        let mut blocks = open.iter_mut().map(|(id, block)| (*id, block)).collect();
        let id = SuperId { slot: 1, index: 0 };
        let tx = transaction(0, to, gas_limit);
        let mut joined = transact_jointly(&mut blocks, id, HOME, &tx, USER).unwrap();
        joined.remove(&HOME).unwrap()
    }
}

fn transaction(nonce: u64, to: Address, gas_limit: u64) -> OpTxEnvelope {
    let tx = TxEip1559 {
        chain_id: HOME,
        nonce,
        gas_limit,
        max_fee_per_gas: 1_000_000,
        to: TxKind::Call(to),
        ..TxEip1559::default()
    };
    OpTxEnvelope::Eip1559(tx.into_signed(Signature::test_signature()))
}

fn contracts(on: ChainId) -> MemoryState {
    let mut state = MemoryState::default();
    let mut place = |address: Address, code: &[u8]| {
        let code = Bytecode::new_raw(Bytes::copy_from_slice(code));
        state.set_account(address, 1, U256::ZERO, code);
    };
    place(GATE, &[0]);
    place(PORT, &[0xfe]);
    place(TARGET, COUNT);
    if on == HOME {
        for target in [TARGET, FAILING, RELAY, LOOP] {
            place(proxy_of(PEER, target), &proxy_code(PEER, target));
        }
        place(CALLER, &calls(proxy_of(PEER, TARGET)));
        place(CATCHER, &catches(proxy_of(PEER, FAILING)));
        place(ENTRANCE, &calls(proxy_of(PEER, RELAY)));
        place(STUCK, &catches(proxy_of(PEER, LOOP)));
    } else {
        place(proxy_of(HOME, TARGET), &proxy_code(HOME, TARGET));
        place(FAILING, COUNT_AND_REVERT);
        place(RELAY, &calls(proxy_of(HOME, TARGET)));
        place(LOOP, &hex!("5b5f56"));
    }
    state.set_account(USER, 0, U256::from(1_u128 << 80), Bytecode::default());
    state
}

impl Peers for World {
    fn block(&self, chain: ChainId, timestamp: u64) -> Result<Option<PeerBlock>, PeerStateError> {
        assert_eq!(timestamp, TIME, "calls go on in blocks of the same time");
        let Some(Member { chain, header, state }) = self.members.get(&chain) else {
            return Ok(None);
        };
        let (chain, header) = (chain.clone(), header.clone());
        Ok(Some(PeerBlock { chain, header, state: PeerState::new(state.clone()) }))
    }
}

/// A word as output.
pub(crate) fn word(value: u64) -> Bytes {
    B256::from(U256::from(value)).to_vec().into()
}
