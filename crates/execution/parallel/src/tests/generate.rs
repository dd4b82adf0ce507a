//! Small blocks of Ethereum that are full of conflicts.

use super::{
    rng::Rng,
    transactions::{Types, transaction},
    world::{NUMBER, World},
};
use alloy_consensus::{BlockBody, Header};
use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use alloy_primitives::{Address, Bytes, U256};
use lockstep_chain::{Block, Chain, Ethereum, EthereumHardfork, ForkSchedule};
use lockstep_execution::{Bytecode, MemoryState};
use revm::bytecode::opcode as op;

/// A block, its senders and the state before it.
#[derive(Debug)]
pub(super) struct Case<C: Chain, S = MemoryState> {
    pub(super) chain: C,
    pub(super) block: Block<C>,
    pub(super) senders: Vec<Address>,
    pub(super) state: S,
}

const FORKS: [EthereumHardfork; 10] = [
    EthereumHardfork::Frontier,
    EthereumHardfork::Homestead,
    EthereumHardfork::SpuriousDragon,
    EthereumHardfork::Petersburg,
    EthereumHardfork::Berlin,
    EthereumHardfork::London,
    EthereumHardfork::Shanghai,
    EthereumHardfork::Cancun,
    EthereumHardfork::Prague,
    EthereumHardfork::Osaka,
];

impl Case<Ethereum> {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let fork = rng.pick(&FORKS);
        let chain = Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(fork));
        let mut world = World::new(&mut rng);
        let types = Types {
            access_lists: fork >= EthereumHardfork::Berlin,
            dynamic_fees: fork >= EthereumHardfork::London,
            blobs: fork >= EthereumHardfork::Cancun,
            delegations: fork >= EthereumHardfork::Prague,
        };
        let (mut transactions, mut senders) = (Vec::new(), Vec::new());
        for _ in 0..6 + rng.below(20) {
            let (sender, nonce) = world.next_sender(&mut rng);
            transactions.push(transaction(&mut rng, &world, types, nonce));
            senders.push(sender);
        }
        let withdrawals = (fork >= EthereumHardfork::Shanghai).then(|| {
            let withdrawal = |index| Withdrawal {
                index,
                validator_index: 1,
                address: world.target(&mut rng),
                amount: index,
            };
            Withdrawals::new((0..3).map(withdrawal).collect())
        });
        let World { mut state, beneficiary, .. } = world;
        let header = Header {
            number: NUMBER,
            gas_limit: 30_000_000,
            base_fee_per_gas: (fork >= EthereumHardfork::London).then_some(7),
            difficulty: U256::from(u8::from(fork < EthereumHardfork::Paris)),
            blob_gas_used: (fork >= EthereumHardfork::Cancun).then_some(0),
            excess_blob_gas: (fork >= EthereumHardfork::Cancun).then_some(0),
            beneficiary,
            ..Default::default()
        };
        if fork >= EthereumHardfork::Prague {
            deploy_system_contracts(&mut state);
        }
        let body = BlockBody { transactions, withdrawals, ..Default::default() };
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
