//! Two rollups of a union, from their genesis on, under the executor of super transactions.

use crate::machine::Machine;
use alloy_consensus::Header;
use alloy_evm::{Evm, EvmFactory};
use alloy_genesis::GenesisAccount;
use alloy_op_evm::OpTx;
use alloy_primitives::{Address, B256, Bytes, ChainId, TxKind, U256};
use lockstep_chain::{FeeParams, ForkSchedule, OpHardfork, Rollup};
use lockstep_contracts::{FeeRecipient, GATE, Gate, predeploys, union_predeploys};
use lockstep_execution::{BlockState, Execute, MemoryState, RollupEvm};
use lockstep_union::{JointOutcome, SuperId, UnionRules, execute_jointly, execute_part};
use op_revm::OpTransaction;
use revm::{DatabaseCommit, context::TxEnv, inspector::NoOpInspector};
use std::collections::BTreeMap;

pub(crate) const HOME: ChainId = 901;
pub(crate) const PEER: ChainId = 902;
/// Who sends super transactions.
pub(crate) const USER: Address = Address::repeat_byte(0xaa);
/// Who sends deposits that are not the user's.
pub(crate) const ANYBODY: Address = Address::repeat_byte(0xcc);
const BASE_FEE: u64 = 7;
const GAS_LIMIT: u64 = 30_000_000;

type MemberEvm<'a> = RollupEvm<BlockState<&'a MemoryState>, NoOpInspector>;

/// The rollups' states between blocks, and what they agree on.
pub(crate) struct World {
    pub(crate) home: Machine,
    pub(crate) peer: Machine,
    header: Header,
    chains: BTreeMap<ChainId, Rollup>,
    /// Super transactions so far.
    count: u64,
}

/// A rollup of a union after its genesis, with ether for the user, and with this portal of tokens on L1.
pub(crate) fn member(token_portal: Address) -> Machine {
    let recipient = FeeRecipient::OnRollup(Address::ZERO);
    let mut accounts = predeploys(OpHardfork::Isthmus, recipient, U256::ZERO);
    accounts.extend(union_predeploys(token_portal));
    let ether = U256::from(10).pow(U256::from(18));
    accounts.insert(USER, GenesisAccount { balance: ether, ..Default::default() });
    Machine::new(OpHardfork::Isthmus, accounts)
}

/// Makes a proxy by the contract.
pub(crate) fn deploy_proxy(machine: &mut Machine, chain: ChainId, target: Address) -> Address {
    let call = Gate::deployProxyCall { chainId: U256::from(chain), target };
    let proxy = Gate::proxyOfCall { chainId: U256::from(chain), target };
    assert!(machine.call(ANYBODY, GATE, &call).is_empty(), "it logs nothing");
    machine.read(GATE, &proxy)
}

/// The transcript with a peer, and the ether that went there and came from there.
pub(crate) fn transcript(machine: &mut Machine, peer: ChainId) -> (B256, U256, U256) {
    let pair = machine.read(GATE, &Gate::transcriptCall { peer: U256::from(peer) });
    (pair.hash, pair.sent, pair.received)
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_token_portals([Address::ZERO; 2])
    }

    /// With these portals of tokens on L1, of the home rollup and the peer.
    pub(crate) fn with_token_portals(token_portals: [Address; 2]) -> Self {
        let [home, peer] = token_portals.map(member);
        let chain = |id| {
            let forks = ForkSchedule::<OpHardfork>::at(OpHardfork::Isthmus);
            let rollup = Rollup::new(id, forks, FeeParams::OP_MAINNET);
            (id, rollup.with_union(UnionRules::new([HOME, PEER])))
        };
        let header = Header {
            number: 50,
            timestamp: 1_700_000_000,
            gas_limit: GAS_LIMIT,
            base_fee_per_gas: Some(BASE_FEE),
            ..Default::default()
        };
        Self { home, peer, header, chains: [HOME, PEER].map(chain).into(), count: 0 }
    }

    fn evm<'a>(&self, chain: ChainId, state: &'a MemoryState) -> MemberEvm<'a> {
        let chain = &self.chains[&chain];
        let state = BlockState::new(state, chain.state_rules(&self.header));
        chain.evm_factory(&self.header).create_evm(state, chain.evm_env(&self.header))
    }

    /// The user's next transaction on the home rollup.
    fn transaction(&self, to: Address, value: u64, data: Bytes) -> OpTx {
        let base = TxEnv {
            caller: USER,
            nonce: self.home.state.get(&USER).map_or(0, |account| account.info.nonce),
            kind: TxKind::Call(to),
            value: U256::from(value),
            data,
            gas_limit: 5_000_000,
            gas_price: BASE_FEE.into(),
            chain_id: Some(HOME),
            ..TxEnv::default()
        };
        OpTx(OpTransaction { base, enveloped_tx: Some(vec![1; 100].into()), ..Default::default() })
    }

    /// Executes a super transaction of the user: on both rollups together, and each part alone, to the same state.
    pub(crate) fn execute(
        &mut self,
        to: Address,
        value: u64,
        data: impl Into<Bytes>,
    ) -> JointOutcome {
        let tx = self.transaction(to, value, data.into());
        let id = SuperId { slot: 3, index: self.count };
        let before =
            BTreeMap::from([(HOME, self.home.state.clone()), (PEER, self.peer.state.clone())]);
        let mut evms: BTreeMap<_, _> =
            before.iter().map(|(chain, state)| (*chain, self.evm(*chain, state))).collect();
        let members = evms
            .iter_mut()
            .map(|(chain, evm)| (*chain, evm.participant(GAS_LIMIT).expect("a member")));
        let outcome =
            execute_jointly(&mut members.collect(), id, HOME, tx.clone()).expect("it executes");
        let after = |chain, evm: MemberEvm<'_>| {
            let mut state = before[&chain].clone();
            state.apply(&evm.into_db().into_changes());
            state
        };
        let mut jointly: BTreeMap<_, _> =
            evms.into_iter().map(|(chain, evm)| (chain, after(chain, evm))).collect();
        for (chain, done) in &outcome {
            let mut alone = self.evm(*chain, &before[chain]);
            let tx = (*chain == HOME).then(|| tx.clone());
            let part = execute_part(&mut alone.participant(0).expect("a member"), &done.part, tx);
            let (part, changes) = part.expect("it is right");
            assert_eq!(part, *done);
            alone.db_mut().commit(changes);
            assert_eq!(after(*chain, alone).state_root(), jointly[chain].state_root());
        }
        self.count += 1;
        self.home.state = jointly.remove(&HOME).expect("it took part");
        self.peer.state = jointly.remove(&PEER).expect("it is there");
        self.check_transcripts();
        outcome
    }

    /// What settlement requires of a pair.
    fn check_transcripts(&mut self) {
        let (at_home, sent, received) = transcript(&mut self.home, PEER);
        assert_eq!(transcript(&mut self.peer, HOME), (at_home, received, sent));
    }
}
