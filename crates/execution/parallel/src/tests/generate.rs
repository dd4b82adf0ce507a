//! Small blocks that are full of conflicts.

use alloy_consensus::{BlockBody, Header, SignableTransaction, TxEip1559, TxEip7702, TxLegacy};
use alloy_eips::eip7702::{Authorization, SignedAuthorization};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, keccak256};
use lockstep_chain::{Block, Ethereum, EthereumHardfork, EthereumTransaction, ForkSchedule};
use lockstep_execution::{Bytecode, MemoryState};
use revm::bytecode::opcode as op;

/// SplitMix64: a seed gives the same block on every machine.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True in `percent` of a hundred cases.
    pub(crate) const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// A block, its senders and the state before it.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) chain: Ethereum,
    pub(super) block: Block<Ethereum>,
    pub(super) senders: Vec<Address>,
    pub(super) state: MemoryState,
}

const FORKS: [EthereumHardfork; 9] = [
    EthereumHardfork::Frontier,
    EthereumHardfork::Homestead,
    EthereumHardfork::SpuriousDragon,
    EthereumHardfork::Petersburg,
    EthereumHardfork::Berlin,
    EthereumHardfork::London,
    EthereumHardfork::Shanghai,
    EthereumHardfork::Cancun,
    EthereumHardfork::Osaka,
];

const USERS: u64 = 5;
const CONTRACTS: u64 = 12;

fn user(index: u64) -> Address {
    Address::left_padding_from(&(0x00aa_0000 + index).to_be_bytes())
}

fn contract(index: u64) -> Address {
    Address::left_padding_from(&(0x00cc_0000 + index).to_be_bytes())
}

/// The word of the call data that names another account.
const TARGET: [u8; 3] = [op::PUSH1, 0, op::CALLDATALOAD];

/// `CALL`s `TARGET` with the call data, with the value that `value` leaves on the stack.
fn call_target(value: &[u8]) -> Vec<u8> {
    let copy = [op::CALLDATASIZE, op::PUSH1, 0, op::PUSH1, 0, op::CALLDATACOPY];
    let frame = [op::PUSH1, 32, op::PUSH1, 0, op::CALLDATASIZE, op::PUSH1, 0];
    let call = [op::PUSH2, 0x60, 0, op::CALL];
    [&copy[..], &frame, value, &TARGET, &call].concat()
}

/// Code that creates a contract of `init` with CREATE (or CREATE2 and salt 1), and keeps its address in slot 6.
fn creator(init: &[u8], is_create2: bool) -> Vec<u8> {
    let mut code = Vec::new();
    for (at, byte) in init.iter().enumerate() {
        code.extend([op::PUSH1, *byte, op::PUSH1, at as u8, op::MSTORE8]);
    }
    if is_create2 {
        code.extend([op::PUSH1, 1]);
    }
    code.extend([op::PUSH1, init.len() as u8, op::PUSH1, 0, op::CALLVALUE]);
    code.extend([if is_create2 { op::CREATE2 } else { op::CREATE }, op::PUSH1, 6, op::SSTORE]);
    code
}

/// Adds one to a slot.
fn bump(slot: u8) -> Vec<u8> {
    vec![op::PUSH1, slot, op::SLOAD, op::PUSH1, 1, op::ADD, op::PUSH1, slot, op::SSTORE]
}

/// Code that returns `PUSH1 0 CALLDATALOAD SELFDESTRUCT` as the created contract's, after having set a slot.
fn init_of_mortal() -> Vec<u8> {
    let code = [op::PUSH1, 0, op::CALLDATALOAD, op::SELFDESTRUCT];
    let mut init = vec![op::PUSH1, 9, op::PUSH1, 1, op::SSTORE];
    for (at, byte) in code.iter().enumerate() {
        init.extend([op::PUSH1, *byte, op::PUSH1, at as u8, op::MSTORE8]);
    }
    init.extend([op::PUSH1, code.len() as u8, op::PUSH1, 0, op::RETURN]);
    init
}

fn code_of(index: u64) -> Vec<u8> {
    let store = |slot: u8| [op::PUSH1, slot, op::SSTORE];
    match index {
        0 => bump(0),
        // Whose balance is asked for decides what is stored.
        1 => [&TARGET[..], &[op::BALANCE], &store(1)].concat(),
        2 => [&[op::COINBASE, op::BALANCE][..], &store(2), &bump(0)].concat(),
        // Passes on what it gets, half of what it has, or nothing.
        3 => call_target(&[op::CALLVALUE]),
        4 => call_target(&[op::PUSH1, 2, op::ADDRESS, op::BALANCE, op::DIV]),
        5 => [call_target(&[op::PUSH1, 0]), bump(3)].concat(),
        6 => [&TARGET[..], &[op::SELFDESTRUCT]].concat(),
        7 => creator(&init_of_mortal(), true),
        8 => creator(&init_of_mortal(), false),
        // Writes, and then has no gas left or reverts.
        9 => [&bump(4)[..], &[op::PUSH1, 0, op::PUSH1, 0, op::REVERT]].concat(),
        10 => [&bump(5)[..], &[op::JUMPDEST, op::PUSH1, 9, op::JUMP]].concat(),
        // Pays more than it may have, and stores whether it could.
        _ => {
            let value = [op::PUSH3, 0x0f, 0xff, 0xff];
            [&call_target(&value)[..], &store(7), &TARGET, &[op::EXTCODEHASH], &store(8)].concat()
        }
    }
}

impl Case {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let fork = rng.pick(&FORKS);
        let chain = Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(fork));
        let rich = U256::from(10).pow(U256::from(20));
        let mut state = MemoryState::default();
        for index in 0..USERS {
            let balance = match rng.below(40) {
                0 => U256::MAX - U256::from(rng.below(1_000_000)),
                1..32 => rich,
                _ => U256::from(rng.below(50_000_000)),
            };
            state.set_account(user(index), rng.below(3), balance, Bytecode::default());
        }
        for index in 0..CONTRACTS {
            let balance = match rng.below(40) {
                0 => U256::MAX - U256::from(rng.below(1_000_000)),
                1..25 => U256::from(rng.below(2_000_000)),
                _ => U256::ZERO,
            };
            let code = Bytecode::new_legacy(code_of(index).into());
            state.set_account(contract(index), 1, balance, code);
            if rng.chance(50) {
                state.set_slot(contract(index), U256::from(rng.below(6)), U256::from(7));
            }
        }
        let precompile = Address::with_last_byte(4);
        let nobody = Address::repeat_byte(0x77);
        let beneficiary = match rng.below(6) {
            0 => user(rng.below(USERS)),
            1 => contract(rng.below(CONTRACTS)),
            2 => precompile,
            _ => Address::repeat_byte(0xfe),
        };
        let mut targets: Vec<Address> = (0..USERS).map(user).collect();
        targets.extend((0..CONTRACTS).map(contract));
        targets.extend([precompile, nobody, beneficiary]);
        let hash = keccak256(init_of_mortal());
        targets.push(contract(7).create2(U256::from(1).to_be_bytes::<32>(), hash));
        targets.push(contract(8).create(1));

        let base_fee = (fork >= EthereumHardfork::London).then_some(7);
        let mut nonces: Vec<u64> = (0..USERS)
            .map(|index| state.get(&user(index)).map_or(0, |account| account.info.nonce))
            .collect();
        let (mut transactions, mut senders) = (Vec::new(), Vec::new());
        for _ in 0..6 + rng.below(20) {
            let from = if rng.chance(50) { 0 } else { rng.below(USERS) };
            let nonce = &mut nonces[from as usize];
            let shown = if rng.chance(1) { *nonce + 1 } else { *nonce };
            *nonce += 1;
            transactions.push(transaction(&mut rng, fork, &targets, shown));
            senders.push(user(from));
        }
        let header = Header {
            number: 1,
            gas_limit: 30_000_000,
            base_fee_per_gas: base_fee,
            difficulty: U256::from(u8::from(fork < EthereumHardfork::Paris)),
            blob_gas_used: (fork >= EthereumHardfork::Cancun).then_some(0),
            excess_blob_gas: (fork >= EthereumHardfork::Cancun).then_some(0),
            beneficiary,
            ..Default::default()
        };
        if fork >= EthereumHardfork::Prague {
            deploy_system_contracts(&mut state);
        }
        let body = BlockBody { transactions, ..Default::default() };
        Self { chain, block: Block::<Ethereum>::new(header, body), senders, state }
    }
}

/// Contracts that Prague calls after each block: here they return nothing.
fn deploy_system_contracts(state: &mut MemoryState) {
    use alloy_eips::{
        eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS as WITHDRAWALS,
        eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS as CONSOLIDATIONS,
    };
    for address in [WITHDRAWALS, CONSOLIDATIONS] {
        let code = Bytecode::new_legacy(Bytes::from_static(&[op::STOP]));
        state.set_account(address, 1, U256::ZERO, code);
    }
}

fn transaction(
    rng: &mut Rng,
    fork: EthereumHardfork,
    targets: &[Address],
    nonce: u64,
) -> EthereumTransaction {
    let signature = Signature::new(U256::ONE, U256::ONE, false);
    let word = |rng: &mut Rng| rng.pick(targets).into_word();
    let input: Bytes =
        [word(rng).0, word(rng).0].concat()[..rng.pick(&[0, 32, 32, 64])].to_vec().into();
    let value = match rng.below(8) {
        0..4 => U256::ZERO,
        4 if rng.chance(10) => U256::MAX - U256::from(rng.below(2_000_000)),
        4 => U256::from(10).pow(U256::from(19)),
        _ => U256::from(rng.below(1_000_000)),
    };
    let gas_limit = 60_000 + rng.below(4) * 70_000 + rng.below(1_000);
    let is_create = rng.chance(6);
    let (to, input) = if is_create {
        (TxKind::Create, init_of_mortal().into())
    } else {
        (TxKind::Call(rng.pick(targets)), input)
    };
    if fork >= EthereumHardfork::Prague && !is_create && rng.chance(15) {
        // Nobody's signature: it is recovered to some address, or is not, and is then passed over.
        let delegate = Authorization { chain_id: U256::ZERO, address: rng.pick(targets), nonce: 0 };
        let parts = (U256::from(1 + rng.below(2)), U256::ONE);
        let signed = SignedAuthorization::new_unchecked(delegate, 0, parts.0, parts.1);
        let transaction = TxEip7702 {
            chain_id: 1,
            nonce,
            gas_limit: gas_limit + 60_000,
            max_fee_per_gas: 100,
            max_priority_fee_per_gas: 2,
            to: rng.pick(targets),
            value,
            input,
            authorization_list: vec![signed],
            ..Default::default()
        };
        return EthereumTransaction::Eip7702(transaction.into_signed(signature));
    }
    if fork >= EthereumHardfork::London && rng.chance(50) {
        let transaction = TxEip1559 {
            chain_id: 1,
            nonce,
            gas_limit,
            max_fee_per_gas: 100,
            max_priority_fee_per_gas: u128::from(rng.below(3)),
            to,
            value,
            input,
            ..Default::default()
        };
        return EthereumTransaction::Eip1559(transaction.into_signed(signature));
    }
    let gas_price = if rng.chance(1) { u128::MAX >> rng.below(24) } else { 7 };
    let gas_price = gas_price.saturating_add(rng.below(3).into());
    let transaction = TxLegacy { chain_id: None, nonce, gas_price, gas_limit, to, value, input };
    EthereumTransaction::Legacy(transaction.into_signed(signature))
}
