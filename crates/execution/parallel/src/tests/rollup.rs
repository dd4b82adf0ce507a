//! Small blocks of rollups that are full of conflicts.

use super::{
    generate::Case,
    programs::{CONTRACTS, code_of, contract},
    rng::Rng,
    transactions::{Types, transaction},
    world::{NUMBER, USERS, World, user},
};
use alloy_consensus::{BlockBody, Header};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address};
use lockstep_chain::{
    Block, EthereumTransaction, FeeParams, ForkSchedule, GATE, OpHardfork, PORT, Rollup, UnionRules,
};
use lockstep_execution::{Bytecode, MemoryState};
use lockstep_union::{Part, SuperId, part_transaction, proxy_code, proxy_of};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use revm::bytecode::opcode as op;

const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
const SEQUENCER_VAULT: Address = address!("4200000000000000000000000000000000000011");
const BASE_FEE_VAULT: Address = address!("4200000000000000000000000000000000000019");
const L1_FEE_VAULT: Address = address!("420000000000000000000000000000000000001a");
const OPERATOR_VAULT: Address = address!("420000000000000000000000000000000000001b");
const DEPOSITOR: Address = address!("deaddeaddeaddeaddeaddeaddeaddeaddead0001");

/// Slots of [`L1_BLOCK`]: the base fee, scalars, the price of blobs, what operators get.
const COSTS: [u8; 4] = [1, 3, 7, 8];

const FORKS: [OpHardfork; 8] = [
    OpHardfork::Bedrock,
    OpHardfork::Regolith,
    OpHardfork::Canyon,
    OpHardfork::Ecotone,
    OpHardfork::Fjord,
    OpHardfork::Holocene,
    OpHardfork::Isthmus,
    OpHardfork::Jovian,
];

impl Case<Rollup> {
    pub(super) fn new_rollup(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let fork = rng.pick(&FORKS);
        let forks = ForkSchedule::<OpHardfork>::at(fork);
        let mut chain = Rollup::new(1, forks, FeeParams::OP_MAINNET);
        let mut world = World::new(&mut rng);
        deploy_costs(&mut world.state);
        let vaults = [SEQUENCER_VAULT, BASE_FEE_VAULT, L1_FEE_VAULT, OPERATOR_VAULT];
        world.targets.extend(vaults);
        world.targets.push(L1_BLOCK);
        if rng.chance(50) {
            world.beneficiary = SEQUENCER_VAULT;
        }
        if rng.chance(20) {
            let code = Bytecode::new_legacy(code_of(rng.below(CONTRACTS)).into());
            world.state.set_account(rng.pick(&vaults), 1, U256::from(5), code);
        }
        let is_member = rng.chance(40);
        if is_member {
            chain = chain.with_union(UnionRules::new([1, 2]));
            join(&mut world, &mut rng);
        }
        let types = Types {
            access_lists: true,
            dynamic_fees: true,
            blobs: false,
            delegations: fork >= OpHardfork::Isthmus,
        };
        let mut made = vec![costs(&mut rng)];
        for index in 0..rng.below(3) {
            made.push(deposit(&mut rng, &mut world, index));
        }
        for index in 0..4 + rng.below(18) {
            if rng.chance(2) {
                made.push(deposit(&mut rng, &mut world, 100 + index));
            }
            if is_member && rng.chance(2) {
                made.push(holder(&mut rng));
            }
            let (sender, nonce) = world.next_sender(&mut rng);
            let transaction = transaction(&mut rng, &world, types, nonce);
            made.extend(on_rollup(transaction).map(|transaction| (transaction, sender)));
        }
        let (transactions, senders) = made.into_iter().unzip();
        let header = Header {
            number: NUMBER,
            timestamp: 1_000_000,
            gas_limit: 60_000_000,
            base_fee_per_gas: Some(7),
            beneficiary: world.beneficiary,
            parent_beacon_block_root: (fork >= OpHardfork::Ecotone).then_some(B256::ZERO),
            ..Default::default()
        };
        let body = BlockBody { transactions, ..Default::default() };
        Self { chain, block: Block::<Rollup>::new(header, body), senders, state: world.state }
    }
}

/// The contract that says what data on L1 costs. Here everybody may change it.
fn deploy_costs(state: &mut MemoryState) {
    let set = |(at, slot): (usize, u8)| {
        [op::PUSH1, at as u8 * 32, op::CALLDATALOAD, op::PUSH1, slot, op::SSTORE]
    };
    let code: Vec<u8> = COSTS.into_iter().enumerate().flat_map(set).collect();
    state.set_account(L1_BLOCK, 1, U256::ZERO, Bytecode::new_legacy(code.into()));
    state.set_slot(L1_BLOCK, U256::from(5), U256::from(188));
    state.set_slot(L1_BLOCK, U256::from(6), U256::from(684_000));
}

/// Makes the rollup a member of a union, with a contract of a peer that a few call: they have no parts.
fn join(world: &mut World, rng: &mut Rng) {
    let code = |bytes: &'static [u8]| Bytecode::new_raw(Bytes::from_static(bytes));
    world.state.set_account(GATE, 1, U256::ZERO, code(&[0]));
    world.state.set_account(PORT, 1, U256::ZERO, code(&[0xfe]));
    world.targets.extend([GATE, PORT]);
    if rng.chance(10) {
        let proxy = proxy_of(2, contract(0));
        let code = Bytecode::new_raw(proxy_code(2, contract(0)));
        world.state.set_account(proxy, 1, U256::ZERO, code);
        world.targets.push(proxy);
    }
}

/// The deposit that says what data on L1 costs, before all others.
fn costs(rng: &mut Rng) -> (OpTxEnvelope, Address) {
    let scalars = (U256::from(rng.below(2_000)) << 64) | (U256::from(rng.below(9_000)) << 96);
    let operators = U256::from(rng.below(5_000_000)) << 64;
    let words = [
        U256::from(rng.below(1_000_000)),
        scalars,
        U256::from(rng.below(100)),
        operators | U256::from(rng.below(1_000)) | (U256::from(rng.below(400)) << 96),
    ];
    let input: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes::<32>()).collect();
    let deposit = TxDeposit {
        source_hash: B256::repeat_byte(1),
        from: DEPOSITOR,
        to: TxKind::Call(L1_BLOCK),
        gas_limit: 1_000_000,
        input: input.into(),
        ..Default::default()
    };
    (seal(deposit), DEPOSITOR)
}

fn seal(deposit: TxDeposit) -> OpTxEnvelope {
    OpTxEnvelope::from(deposit)
}

/// What a user deposits, and perhaps calls.
fn deposit(rng: &mut Rng, world: &mut World, index: u64) -> (OpTxEnvelope, Address) {
    let from = world.target(rng);
    world.note_deposit(from);
    let deposit = TxDeposit {
        source_hash: B256::with_last_byte(index as u8),
        from,
        to: if rng.chance(5) { TxKind::Create } else { TxKind::Call(world.target(rng)) },
        mint: u128::from(rng.below(2) * 1_000_000),
        value: U256::from(rng.below(1_500_000)),
        gas_limit: 30_000 + rng.below(200_000),
        is_system_transaction: false,
        input: world.target(rng).into_word().to_vec().into(),
    };
    (seal(deposit), from)
}

/// What holds a part of a super transaction without calls: for the transaction after it or for none, or malformed.
fn holder(rng: &mut Rng) -> (OpTxEnvelope, Address) {
    let home = if rng.chance(80) { 1 } else { 2 };
    let id = SuperId { slot: 3, index: rng.below(9) };
    let origin = user(rng.below(USERS));
    let mut deposit =
        part_transaction(&Part { id, home, origin, gas_limit: 0, steps: Vec::new() }, 1);
    if rng.chance(10) {
        deposit.input = Bytes::from_static(&[1, 2, 3]);
    }
    (seal(deposit), PORT)
}

/// The same transaction on a rollup, where there are no blobs.
fn on_rollup(transaction: EthereumTransaction) -> Option<OpTxEnvelope> {
    match transaction {
        EthereumTransaction::Legacy(signed) => Some(OpTxEnvelope::Legacy(signed)),
        EthereumTransaction::Eip2930(signed) => Some(OpTxEnvelope::Eip2930(signed)),
        EthereumTransaction::Eip1559(signed) => Some(OpTxEnvelope::Eip1559(signed)),
        EthereumTransaction::Eip7702(signed) => Some(OpTxEnvelope::Eip7702(signed)),
        EthereumTransaction::Eip4844(_) => None,
    }
}
