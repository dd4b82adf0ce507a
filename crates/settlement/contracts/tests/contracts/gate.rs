//! The Gate, and the executor of super transactions, which writes its storage.

use crate::machine::Machine;
use alloy_consensus::Header;
use alloy_genesis::GenesisAccount;
use alloy_op_evm::OpTx;
use alloy_primitives::{Address, B256, Bytes, ChainId, TxKind, U256, bytes};
use lockstep_chain::{FeeParams, ForkSchedule, OpHardfork, Rollup};
use lockstep_contracts::{FeeRecipient, GATE, Gate, PORT, predeploys, union_predeploys};
use lockstep_execution::{BlockState, MemoryState};
use lockstep_union::{
    Part, Participant, SuperId, UnionRules, execute_jointly, execute_part, proxy_of,
};
use op_revm::OpTransaction;
use revm::context::TxEnv;
use std::collections::BTreeMap;

const HOME: ChainId = 901;
const PEER: ChainId = 902;
const USER: Address = Address::repeat_byte(0xaa);
const ANYBODY: Address = Address::repeat_byte(0xcc);
const TARGET: Address = Address::repeat_byte(0xbb);
/// Answers with its caller, and the value that came along.
const TARGET_CODE: Bytes = bytes!("335f5234602052" "60405ff3");
const GAS_LIMIT: u64 = 30_000_000;

/// A rollup of the union after its genesis.
fn member() -> Machine {
    let mut accounts =
        predeploys(OpHardfork::Isthmus, FeeRecipient::OnRollup(Address::ZERO), U256::ZERO);
    accounts.extend(union_predeploys());
    let ether = U256::from(10).pow(U256::from(18));
    accounts.insert(USER, GenesisAccount { balance: ether, ..Default::default() });
    let target = GenesisAccount { code: Some(TARGET_CODE), ..Default::default() };
    accounts.insert(TARGET, target);
    Machine::new(OpHardfork::Isthmus, accounts)
}

fn deploy_proxy(machine: &mut Machine, chain: ChainId, target: Address) -> Address {
    let call = Gate::deployProxyCall { chainId: U256::from(chain), target };
    let proxy = Gate::proxyOfCall { chainId: U256::from(chain), target };
    assert!(machine.call(ANYBODY, GATE, &call).is_empty(), "it logs nothing");
    machine.read(GATE, &proxy)
}

/// The union's rollups in their next blocks.
struct Union {
    rules: UnionRules,
    header: Header,
    chains: BTreeMap<ChainId, Rollup>,
}

impl Union {
    fn new() -> Self {
        let chain = |id| {
            let forks = ForkSchedule::<OpHardfork>::at(OpHardfork::Isthmus);
            (id, Rollup::new(id, forks, FeeParams::OP_MAINNET))
        };
        let header = Header {
            number: 50,
            timestamp: 1_700_000_000,
            gas_limit: GAS_LIMIT,
            base_fee_per_gas: Some(7),
            ..Default::default()
        };
        let chains = [HOME, PEER].map(chain).into();
        Self { rules: UnionRules::new([HOME, PEER]), header, chains }
    }

    fn join<'a>(
        &'a self,
        chain: ChainId,
        state: &'a MemoryState,
    ) -> Participant<'a, &'a MemoryState> {
        let state = BlockState::new(state, true);
        Participant::new(&self.chains[&chain], &self.header, state, &self.rules, GAS_LIMIT)
    }
}

/// The user's transaction on the home rollup.
fn transaction(to: Address, value: u64) -> OpTx {
    let base = TxEnv {
        caller: USER,
        kind: TxKind::Call(to),
        value: U256::from(value),
        gas_limit: 1_000_000,
        gas_price: 7,
        chain_id: Some(HOME),
        ..TxEnv::default()
    };
    OpTx(OpTransaction { base, enveloped_tx: Some(vec![1; 100].into()), ..Default::default() })
}

/// Executes one super transaction on both, and returns their parts.
fn execute(home: &mut Machine, peer: &mut Machine, tx: OpTx) -> BTreeMap<ChainId, Part> {
    let union = Union::new();
    let (home_state, peer_state) = (home.state.clone(), peer.state.clone());
    let mut rollups = BTreeMap::from([
        (HOME, union.join(HOME, &home_state)),
        (PEER, union.join(PEER, &peer_state)),
    ]);
    let id = SuperId { slot: 3, index: 0 };
    let outcome = execute_jointly(&mut rollups, id, HOME, tx).expect("it executes");
    for (chain, participant) in rollups {
        let machine = if chain == HOME { &mut *home } else { &mut *peer };
        machine.state.apply(&participant.into_state().into_changes());
    }
    outcome.into_iter().map(|(chain, outcome)| (chain, outcome.part)).collect()
}

fn transcript(machine: &mut Machine, peer: ChainId) -> (B256, U256, U256) {
    let pair = machine.read(GATE, &Gate::transcriptCall { peer: U256::from(peer) });
    (pair.hash, pair.sent, pair.received)
}

#[test]
fn addresses_are_those_of_the_executor() {
    assert_eq!((GATE, PORT), (lockstep_union::GATE, lockstep_union::PORT));
    let port = &union_predeploys()[&PORT];
    assert_eq!((port.nonce, port.code.clone()), (Some(1), Some(bytes!("fe"))));
    assert!(port.storage.is_none());
}

#[test]
fn a_proxy_is_the_same_whoever_makes_it() {
    let (mut home, mut peer) = (member(), member());
    let proxy = deploy_proxy(&mut home, PEER, TARGET);
    assert_eq!(proxy, proxy_of(PEER, TARGET));
    execute(&mut home, &mut peer, transaction(proxy, 5));

    // On the peer, the executor made the proxy of who called.
    let caller = proxy_of(HOME, USER);
    let by_executor = peer.state.get(&caller).expect("it is made").clone();
    let mut another = member();
    assert_eq!(deploy_proxy(&mut another, HOME, USER), caller);
    let by_contract = another.state.get(&caller).expect("it is made");
    assert_eq!(by_executor.info, by_contract.info);
    assert!(by_executor.storage.is_empty() && by_contract.storage.is_empty());
    let code = |machine: &Machine| {
        let hash = machine.state.get(&caller).unwrap().info.code_hash;
        machine.state.code_of(&hash).unwrap().original_bytes()
    };
    assert_eq!(code(&peer), code(&another));
    // To make it once more changes nothing.
    assert_eq!(deploy_proxy(&mut peer, HOME, USER), caller);
    assert_eq!(peer.state.get(&caller).unwrap().info, by_executor.info);
}

#[test]
fn the_gate_shows_what_the_executor_wrote() {
    let (mut home, mut peer) = (member(), member());
    assert_eq!(transcript(&mut home, PEER), Default::default());
    let proxy = deploy_proxy(&mut home, PEER, TARGET);
    let parts = execute(&mut home, &mut peer, transaction(proxy, 5));
    assert_eq!(parts[&HOME].steps.len(), 2, "a call and its return");

    let at_home = transcript(&mut home, PEER);
    let at_peer = transcript(&mut peer, HOME);
    assert_ne!(at_home.0, B256::ZERO);
    assert_eq!(at_home.0, at_peer.0);
    assert_eq!((at_home.1, at_home.2), (U256::from(5), U256::ZERO));
    assert_eq!((at_peer.1, at_peer.2), (U256::ZERO, U256::from(5)));
    assert_eq!(peer.balance(TARGET), U256::from(5));
    for machine in [&mut home, &mut peer] {
        assert_eq!(transcript(machine, 903), Default::default(), "another peer");
    }
}

/// The code that is there in a genesis does not stand in the way of a part executed alone.
#[test]
fn parts_execute_alone_over_the_genesis_of_a_union() {
    let (mut home, mut peer) = (member(), member());
    let proxy = deploy_proxy(&mut home, PEER, TARGET);
    let before = [(HOME, home.state.clone()), (PEER, peer.state.clone())];
    let tx = transaction(proxy, 5);
    let parts = execute(&mut home, &mut peer, tx.clone());
    let union = Union::new();
    for (chain, state) in before {
        let mut participant = union.join(chain, &state);
        let tx = (chain == HOME).then(|| tx.clone());
        execute_part(&mut participant, &parts[&chain], tx).expect("the part is right");
        let mut after = state.clone();
        after.apply(&participant.into_state().into_changes());
        let jointly = if chain == HOME { &home } else { &peer };
        assert_eq!(after.state_root(), jointly.state.state_root());
    }
}
