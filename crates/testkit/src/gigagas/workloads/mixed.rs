//! Transactions as they are in real blocks.

use super::{
    super::{
        accounts::{Crowd, Habits, Role},
        contracts::{Contracts, Staking, creation},
        random::Random,
    },
    Intent, Script,
    payments::{Recipients, TokenTransfers, Transfers},
    swaps::Swaps,
};
use crate::census::Kind;
use alloy_primitives::{TxKind, U256};
use lockstep_execution::MemoryState;

/// What transactions of one kind are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The kind.
    pub kind: Kind,
    /// Gas that one uses on average.
    pub gas: u64,
    /// Of a thousand transactions, those that are of this kind.
    pub per_mille: u64,
    /// Of a thousand of this kind, those whose sender sent another one before in the block;
    pub same_sender: u64,
    /// those for an account that another one before was for, too;
    pub same_recipient: u64,
    /// those that read or write a storage slot that another one changed;
    pub same_slot: u64,
    /// those that depend on another one at all ([`crate::census::Group`]).
    pub dependent: u64,
}

/// The 12,964 transactions of the 52 mainnet blocks with transactions in the shared fixtures
/// (`mainnet-blocks`, from pevm's repository), from Frontier to Cancun, as [`crate::census::Census`]
/// counts them; a test does so again and compares. They use 48,060 gas on average, a block has 249 of
/// them, and 625 of a thousand depend on another one in the same block.
pub const MAINNET: [Share; 5] = [
    Share {
        kind: Kind::Transfer,
        gas: 21_579,
        per_mille: 717,
        same_sender: 235,
        same_recipient: 634,
        same_slot: 0,
        dependent: 687,
    },
    Share {
        kind: Kind::TokenTransfer,
        gas: 44_488,
        per_mille: 104,
        same_sender: 164,
        same_recipient: 617,
        same_slot: 317,
        dependent: 382,
    },
    Share {
        kind: Kind::Swap,
        gas: 173_254,
        per_mille: 37,
        same_sender: 65,
        same_recipient: 601,
        same_slot: 329,
        dependent: 857,
    },
    Share {
        kind: Kind::Creation,
        gas: 1_962_571,
        per_mille: 2,
        same_sender: 423,
        same_recipient: 0,
        same_slot: 0,
        dependent: 423,
    },
    Share {
        kind: Kind::Call,
        gas: 125_871,
        per_mille: 140,
        same_sender: 109,
        same_recipient: 431,
        same_slot: 237,
        dependent: 432,
    },
];

/// What a transaction uses on average, and how many a block has.
const TRANSACTION_GAS: u64 = 48_060;
const BLOCK_TRANSACTIONS: u64 = 249;

/// Tokens, far more than are sent around in one block.
const TOKENS: u64 = 64;

/// Of a thousand recipients that were none before in the block, those that have nothing yet: of ether, and
/// of tokens, where it makes the gas.
const NEW_ACCOUNTS: u64 = 100;
const NEW_HOLDERS: u64 = 700;

/// Pairs of each market.
const PAIRS: u64 = 3;

/// Users of each market and each contract for staking.
const USERS: u64 = 8;

/// More contracts for staking are not made.
const MAX_STAKINGS: u64 = 1 << 12;

const STAKE_GAS_LIMIT: u64 = 300_000;
const CREATION_GAS_LIMIT: u64 = 3_000_000;

/// Transactions of each kind as in [`MAINNET`], in stretches as long as a block there: in a longer block
/// they depend on others of their stretch, not on any before.
#[derive(Debug)]
pub(super) struct Mixed {
    transfers: Transfers,
    token_transfers: TokenTransfers,
    swaps: Swaps,
    stakings: Vec<Staking>,
    stakers: Crowd,
    creators: Crowd,
    /// Transactions of this stretch.
    transactions: u64,
}

/// What [`MAINNET`] says of a kind.
const fn share(kind: Kind) -> Share {
    let [transfer, token_transfer, swap, creation, call] = MAINNET;
    match kind {
        Kind::Transfer => transfer,
        Kind::TokenTransfer => token_transfer,
        Kind::Swap => swap,
        Kind::Creation => creation,
        Kind::Call => call,
    }
}

/// How users come back, if a contract that is used again is a slot that is used again.
const fn habits(kind: Kind) -> Habits {
    let Share { same_sender, same_slot, .. } = share(kind);
    Habits { same_user: same_sender, same_contract: same_slot.saturating_sub(same_sender) }
}

impl Mixed {
    pub(super) fn new(state: &mut MemoryState, gas: u64) -> Self {
        let contracts = Contracts::new(state);
        let expected = |kind| gas / TRANSACTION_GAS * share(kind).per_mille / 1_000;
        let transfers = Transfers::new(
            state,
            expected(Kind::Transfer),
            habits(Kind::Transfer),
            Recipients { same: share(Kind::Transfer).same_recipient, new: NEW_ACCOUNTS },
        );
        let stakers = Crowd::new(
            state,
            Role::Staker,
            expected(Kind::Call).min(MAX_STAKINGS),
            USERS,
            habits(Kind::Call),
        );
        let stakings: Vec<Staking> =
            (0..stakers.contracts()).map(|index| contracts.add_staking(state, index)).collect();
        for staker in stakers.visits() {
            if let Some(staking) = stakings.get(staker.contract as usize) {
                staking.give(state, staker.user);
            }
        }
        let creators =
            Crowd::new(state, Role::Creator, 1, expected(Kind::Creation), habits(Kind::Creation));
        Self {
            transfers,
            token_transfers: token_transfers(state, &contracts, expected(Kind::TokenTransfer)),
            stakings,
            stakers,
            creators,
            swaps: Swaps::new(
                state,
                contracts,
                expected(Kind::Swap),
                USERS,
                PAIRS,
                habits(Kind::Swap),
            ),
            transactions: 0,
        }
    }

    fn stake(&mut self, random: &mut Random) -> Intent {
        let staker = self.stakers.next(random);
        let amount = U256::from(1 + random.below(10_u64.pow(15)));
        let call = self.stakings.get(staker.contract as usize).map(|staking| staking.stake(amount));
        Intent::call(staker.user, call.unwrap_or_default(), STAKE_GAS_LIMIT)
    }

    fn create(&mut self, random: &mut Random) -> Intent {
        let creator = self.creators.next(random);
        Intent {
            sender: creator.user,
            to: TxKind::Create,
            value: U256::ZERO,
            input: creation(),
            gas_limit: CREATION_GAS_LIMIT,
        }
    }
}

/// A transfer that uses the slot of another one is one more of its sender or for its recipient; of the
/// others, some are of a token that was sent before.
fn token_transfers(
    state: &mut MemoryState,
    contracts: &Contracts,
    transactions: u64,
) -> TokenTransfers {
    let Share { same_sender, same_recipient: same_token, same_slot, .. } =
        share(Kind::TokenTransfer);
    let recipients = Recipients { same: same_slot.saturating_sub(same_sender), new: NEW_HOLDERS };
    let others = 1_000 - recipients.same;
    let habits = Habits {
        same_user: same_sender * 1_000 / others,
        same_contract: same_token.saturating_sub(same_slot) * 1_000 / others,
    };
    TokenTransfers::new(state, contracts, transactions, TOKENS, habits, recipients)
}

impl Script for Mixed {
    fn next(&mut self, random: &mut Random) -> Intent {
        if self.transactions == BLOCK_TRANSACTIONS {
            self.begin_block();
        }
        self.transactions += 1;
        let mut choice = random.below(1_000);
        let mut kind = Kind::Transfer;
        for share in MAINNET {
            kind = share.kind;
            match choice.checked_sub(share.per_mille) {
                Some(rest) => choice = rest,
                None => break,
            }
        }
        match kind {
            Kind::Transfer => self.transfers.next(random),
            Kind::TokenTransfer => self.token_transfers.next(random),
            Kind::Swap => self.swaps.next(random),
            Kind::Creation => self.create(random),
            Kind::Call => self.stake(random),
        }
    }

    fn begin_block(&mut self) {
        self.transactions = 0;
        self.transfers.begin_block();
        self.token_transfers.begin_block();
        self.swaps.begin_block();
        self.stakers.forget();
        self.creators.forget();
    }
}
