//! A union of rollups in memory.

use alloy_consensus::Header;
use alloy_evm::{Evm, EvmFactory};
use alloy_op_evm::OpTx;
use alloy_primitives::{Address, B256, Bytes, ChainId, TxKind, U256};
use lockstep_chain::{Chain, ForkSchedule, OpHardfork, Rollup};
use lockstep_execution::{
    BlockState, Bytecode, Execute, MemoryState, RollupEvm, RollupEvmFactory, StateError,
};
use lockstep_union::{
    CallNode, CallTree, GATE, JointOutcome, Message, PORT, Part, PartOutcome, SuperId, UnionError,
    UnionRules, execute_jointly, execute_part, pair_slot, proxy_code, proxy_of,
};
use op_revm::{OpHaltReason, OpTransaction};
use revm::{
    DatabaseCommit,
    context::{TxEnv, result::ExecutionResult},
    inspector::NoOpInspector,
};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) const USER: Address = Address::repeat_byte(0xaa);
const ID: SuperId = SuperId { slot: 9, index: 4 };
const ETHER: u128 = 1_000_000_000_000_000_000;

pub(crate) type Failure = UnionError<StateError>;
type MemberEvm<'a> = RollupEvm<BlockState<&'a MemoryState>, NoOpInspector>;

pub(crate) struct World {
    pub(crate) rules: UnionRules,
    pub(crate) id: SuperId,
    pub(crate) rollups: BTreeMap<ChainId, Member>,
}

pub(crate) struct Member {
    chain: Rollup,
    header: Header,
    pub(crate) state: MemoryState,
    pub(crate) gas_available: u64,
}

/// What an execution did to one rollup.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) outcome: PartOutcome,
    pub(crate) state: MemoryState,
}

/// Rollup number `n`, from 0.
pub(crate) const fn chain(n: u64) -> ChainId {
    1_001 + n
}

/// Contract number `n` of any rollup.
pub(crate) fn contract(n: u8) -> Address {
    Address::repeat_byte(0xc0 + n)
}

impl World {
    /// One rollup for each base fee, in wei.
    pub(crate) fn new(base_fees: &[u64]) -> Self {
        let rules = UnionRules::new((0..).take(base_fees.len()).map(chain));
        let member = |(n, base_fee): (u64, &u64)| {
            let forks = ForkSchedule::<OpHardfork>::at(OpHardfork::Isthmus);
            let rollup = Rollup::new(chain(n), forks, lockstep_chain::FeeParams::OP_MAINNET);
            let header = Header {
                number: 50 + n,
                timestamp: 1_000_000,
                gas_limit: 30_000_000,
                base_fee_per_gas: Some(*base_fee),
                ..Default::default()
            };
            let mut state = MemoryState::default();
            let code = |bytes: &'static [u8]| Bytecode::new_raw(Bytes::from_static(bytes));
            state.set_account(GATE, 1, U256::ZERO, code(&[0]));
            state.set_account(PORT, 1, U256::ZERO, code(&[0xfe]));
            state.set_account(USER, 0, U256::from(10 * ETHER), Bytecode::default());
            (chain(n), Member { chain: rollup, header, state, gas_available: 30_000_000 })
        };
        Self { rules, id: ID, rollups: (0..).zip(base_fees).map(member).collect() }
    }

    /// Places contract `n` on a rollup, with a thousand wei, and its proxy on all others.
    pub(crate) fn deploy(&mut self, on: ChainId, n: u8, code: &[u8]) {
        let address = contract(n);
        let proxy = Bytecode::new_raw(proxy_code(on, address));
        for (id, member) in &mut self.rollups {
            if *id == on {
                let code = Bytecode::new_raw(code.to_vec().into());
                member.state.set_account(address, 1, U256::from(1_000), code);
            } else {
                let at = proxy_of(on, address);
                member.state.set_account(at, 1, U256::ZERO, proxy.clone());
            }
        }
    }

    /// A transaction of [`USER`] to contract 0.
    pub(crate) fn call(&self, home: ChainId, gas_limit: u64, value: u64) -> OpTx {
        self.call_to(home, contract(0), gas_limit, value, Bytes::new())
    }

    pub(crate) fn call_to(
        &self,
        home: ChainId,
        to: Address,
        gas_limit: u64,
        value: u64,
        data: Bytes,
    ) -> OpTx {
        let base = TxEnv {
            caller: USER,
            kind: TxKind::Call(to),
            value: U256::from(value),
            data,
            gas_limit,
            gas_price: self.rollups[&home].header.base_fee_per_gas.unwrap_or_default().into(),
            chain_id: Some(home),
            ..TxEnv::default()
        };
        OpTx(OpTransaction { base, enveloped_tx: Some(vec![1; 100].into()), ..Default::default() })
    }

    /// A rollup as a member of the union, its next block's header, and its state.
    pub(crate) fn member(&self, id: ChainId) -> (Rollup, Header, &MemoryState) {
        let Member { chain, header, state, .. } = &self.rollups[&id];
        (chain.clone().with_union(self.rules.clone()), header.clone(), state)
    }

    fn evm(&self, id: ChainId) -> MemberEvm<'_> {
        let Member { chain, header, state, .. } = &self.rollups[&id];
        assert_eq!(chain.chain_id(), id);
        let factory = RollupEvmFactory { union: Some(Arc::new(self.rules.clone())) };
        factory.create_evm(BlockState::new(state, chain.state_rules(header)), chain.evm_env(header))
    }

    fn evms(&self) -> BTreeMap<ChainId, MemberEvm<'_>> {
        self.rollups.keys().map(|id| (*id, self.evm(*id))).collect()
    }

    fn execute_in(
        &self,
        evms: &mut BTreeMap<ChainId, MemberEvm<'_>>,
        home: ChainId,
        tx: OpTx,
    ) -> Result<JointOutcome, Failure> {
        let gas = |id| self.rollups[id].gas_available;
        let participants =
            evms.iter_mut().map(|(id, evm)| (*id, evm.participant(gas(id)).unwrap()));
        execute_jointly(&mut participants.collect(), self.id, home, tx)
    }

    fn state_after(&self, id: ChainId, evm: MemberEvm<'_>) -> MemoryState {
        let mut state = self.rollups[&id].state.clone();
        state.apply(&evm.into_db().into_changes());
        state
    }

    pub(crate) fn joint(
        &self,
        home: ChainId,
        tx: OpTx,
    ) -> Result<BTreeMap<ChainId, Done>, Failure> {
        let mut evms = self.evms();
        let result = self.execute_in(&mut evms, home, tx);
        let states: BTreeMap<_, _> =
            evms.into_iter().map(|(id, evm)| (id, self.state_after(id, evm))).collect();
        let outcomes = match result {
            Ok(outcomes) => outcomes,
            Err(error) => {
                let is_unchanged =
                    |id| states[id].state_root() == self.rollups[id].state.state_root();
                assert!(self.rollups.keys().all(is_unchanged), "changed after: {error}");
                return Err(error);
            }
        };
        let done = outcomes.into_iter().map(|(id, outcome)| {
            let state = states[&id].clone();
            (id, Done { outcome, state })
        });
        Ok(done.collect())
    }

    /// What the rollup's own EVM makes of a transaction.
    pub(crate) fn without_union(
        &self,
        id: ChainId,
        tx: OpTx,
    ) -> (ExecutionResult<OpHaltReason>, B256) {
        let Member { chain, header, state, .. } = &self.rollups[&id];
        let block = BlockState::new(state, chain.state_rules(header));
        let mut evm = chain.evm_factory(header).create_evm(block, chain.evm_env(header));
        let result = evm.transact_commit(tx).unwrap();
        let mut state = state.clone();
        state.apply(&evm.into_db().into_changes());
        (result, state.state_root())
    }

    /// The home's state root after a transaction that is refused because `peer` is absent, and another.
    pub(crate) fn after_refusal(
        &self,
        home: ChainId,
        peer: ChainId,
        refused: OpTx,
        tx: OpTx,
    ) -> B256 {
        let mut evms = BTreeMap::from([(home, self.evm(home))]);
        let refusal = self.execute_in(&mut evms, home, refused);
        assert!(matches!(refusal, Err(UnionError::PeerUnavailable(_))));
        evms.insert(peer, self.evm(peer));
        self.execute_in(&mut evms, home, tx).unwrap();
        self.state_after(home, evms.remove(&home).unwrap()).state_root()
    }

    pub(crate) fn alone(&self, id: ChainId, part: &Part, tx: &OpTx) -> Result<Done, Failure> {
        let mut evm = self.evm(id);
        let tx = (part.home == id).then(|| tx.clone());
        let result = execute_part(&mut evm.participant(0).unwrap(), part, tx);
        let result = result.map(|(outcome, state)| {
            evm.db_mut().commit(state);
            outcome
        });
        let state = self.state_after(id, evm);
        if result.is_err() {
            assert_eq!(state.state_root(), self.rollups[&id].state.state_root());
        }
        result.map(|outcome| Done { outcome, state })
    }

    /// Executes jointly, then each part alone, and compares; returns the joint result.
    pub(crate) fn execute(&self, home: ChainId, tx: &OpTx) -> BTreeMap<ChainId, Done> {
        let joint = self.joint(home, tx.clone()).unwrap();
        for (id, done) in &joint {
            let alone = match self.alone(*id, &done.outcome.part, tx) {
                Ok(alone) => alone,
                Err(error) => panic!("{error}\n{:#?}", done.outcome.part),
            };
            assert_eq!(alone.outcome, done.outcome);
            assert_eq!(alone.state.state_root(), done.state.state_root());
        }
        assert!(transcripts_agree(&joint));
        check_tree(&joint);
        joint
    }

    /// The ether of all rollups, in wei: none is made or lost.
    pub(crate) fn total_ether(&self) -> U256 {
        self.rollups.values().map(|member| ether_in(&member.state)).sum()
    }
}

pub(crate) fn ether_in(state: &MemoryState) -> U256 {
    state.accounts().map(|(_, account)| account.info.balance).sum()
}

pub(crate) fn slot_of(state: &MemoryState, address: Address, slot: U256) -> U256 {
    state.get(&address).and_then(|it| it.storage.get(&slot)).copied().unwrap_or_default()
}

/// What the Gate knows of a peer: transcript, wei sent, wei received.
pub(crate) fn pair(state: &MemoryState, peer: ChainId) -> (B256, U256, U256) {
    let at = |offset| slot_of(state, GATE, pair_slot(peer) + U256::from(offset));
    (at(0).into(), at(1), at(2))
}

/// The parts make a tree of all calls, and what it says to stand is what rollups count as sent.
fn check_tree(rollups: &BTreeMap<ChainId, Done>) {
    let parts = rollups.iter().map(|(id, done)| (*id, done.outcome.part.clone())).collect();
    let tree = CallTree::assemble(&parts).unwrap();
    let steps = parts.values().flat_map(|part| &part.steps);
    let calls = steps.filter(|step| step.is_sent && matches!(step.message, Message::Call(_)));
    assert_eq!(tree.calls.len(), calls.count());
    for (index, call) in tree.calls.iter().enumerate() {
        let depth = call.parent.map_or(0, |parent| tree.calls[parent].depth);
        assert_eq!((call.depth, call.parent < Some(index)), (depth + 1, true));
        let is_lost = |it: &CallNode| !it.success || it.is_undone;
        let parent = call.parent.map(|parent| &tree.calls[parent]);
        assert!(is_lost(call) || !parent.is_some_and(is_lost), "it stands in what does not");
    }
}

/// What settlement checks: each pair's transcripts are equal, and what one sent the other received.
pub(crate) fn transcripts_agree(rollups: &BTreeMap<ChainId, Done>) -> bool {
    rollups.iter().all(|(a, on_a)| {
        rollups.iter().filter(|(b, _)| *b != a).all(|(b, on_b)| {
            let (transcript, sent, received) = pair(&on_a.state, *b);
            pair(&on_b.state, *a) == (transcript, received, sent)
        })
    })
}
