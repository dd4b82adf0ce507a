//! Blocks to measure with: made up, and real where the fixtures are at hand.

use alloy_consensus::{Header, SignableTransaction, TxEip1559};
use alloy_evm::EvmEnv;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, hex, keccak256};
use lockstep_chain::{Block, Ethereum, EthereumHardfork, EthereumTransaction, ForkSchedule};
use lockstep_execution::{Bytecode, Execute, ExecuteOptions, MemoryState, execute_block};
use revm::{
    context::TxEnv,
    database::{CacheDB, EmptyDB},
    state::AccountInfo,
};

const TRANSACTIONS: u64 = 2_000;
const TOKEN: Address = Address::repeat_byte(0x70);

/// Moves tokens: `balance[caller] -= word 1; balance[word 0] += word 1`, then a `Transfer` event.
/// Balances lie where Solidity puts a mapping in slot 0.
const TOKEN_CODE: &[u8] = &hex!(
    "335f52" "60405f20" "8054" "602035" "9003" "9055" // take from the caller
    "5f355f52" "60405f20" "8054" "60203501" "9055" // give to the recipient
    "6020355f52" "5f35" "33" "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef" "60205fa3" // say so
    "00"
);

/// A block, the state before it, and the same in revm's own forms.
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) chain: Ethereum,
    pub(crate) block: Block<Ethereum>,
    pub(crate) senders: Vec<Address>,
    pub(crate) state: MemoryState,
    pub(crate) env: EvmEnv,
    pub(crate) tx_envs: Vec<TxEnv>,
    pub(crate) db: CacheDB<EmptyDB>,
    pub(crate) gas: u64,
}

pub(crate) fn all() -> Vec<Workload> {
    vec![transfers(), tokens()]
}

impl Workload {
    fn new(
        name: &str,
        chain: Ethereum,
        block: Block<Ethereum>,
        senders: Vec<Address>,
        state: MemoryState,
    ) -> Self {
        let transactions = &block.body.transactions;
        let tx_envs =
            transactions.iter().zip(&senders).map(|(tx, sender)| chain.tx_env(tx, *sender));
        let tx_envs = tx_envs.collect();
        let env = chain.evm_env(&block.header);
        let output = execute_block(&chain, &block, &senders, &state, ExecuteOptions::default());
        let gas = output.expect("the workload is valid").gas_used;
        let db = cache_db(&state);
        Self { name: name.into(), chain, block, senders, state, env, tx_envs, db, gas }
    }
}

/// revm's in-memory database with the content of `state`.
fn cache_db(state: &MemoryState) -> CacheDB<EmptyDB> {
    let mut db = CacheDB::new(EmptyDB::default());
    for (address, account) in state.accounts() {
        let code = state.code_of(&account.info.code_hash).cloned();
        db.insert_account_info(*address, AccountInfo { code, ..account.info.clone() });
        for (slot, value) in &account.storage {
            let Ok(()) = db.insert_account_storage(*address, *slot, *value);
        }
    }
    db
}

/// Plain transfers from as many senders to as many recipients, half of which exist.
fn transfers() -> Workload {
    made_up("transfers", |index| (recipient(index), U256::from(1), Bytes::new()), 21_000)
}

/// Token transfers from as many senders to as many recipients, half of which hold tokens.
fn tokens() -> Workload {
    let call = |index| {
        let input = [U256::from_be_bytes(recipient(index).into_word().0), U256::from(1)];
        let input = input.map(|word| word.to_be_bytes::<32>()).concat();
        (TOKEN, U256::ZERO, input.into())
    };
    made_up("token transfers", call, 100_000)
}

fn made_up(name: &str, call: impl Fn(u64) -> (Address, U256, Bytes), gas_limit: u64) -> Workload {
    let chain = Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Cancun));
    let mut state = MemoryState::default();
    state.set_account(TOKEN, 1, U256::ZERO, Bytecode::new_raw(TOKEN_CODE.into()));
    let ether = U256::from(10).pow(U256::from(18));
    let mut senders = Vec::new();
    let mut transactions = Vec::new();
    for index in 0..TRANSACTIONS {
        let sender = Address::left_padding_from(&(0x1000_0000 + index).to_be_bytes());
        state.set_account(sender, 7, ether, Bytecode::default());
        state.set_slot(TOKEN, balance_slot(sender), U256::from(1_000));
        if index % 2 == 0 {
            state.set_account(recipient(index), 0, ether, Bytecode::default());
            state.set_slot(TOKEN, balance_slot(recipient(index)), U256::from(1));
        }
        let (to, value, input) = call(index);
        let transaction = TxEip1559 {
            chain_id: 1,
            nonce: 7,
            gas_limit,
            max_fee_per_gas: 1_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(to),
            value,
            input,
            ..Default::default()
        };
        let signature = Signature::new(U256::ONE, U256::ONE, false);
        transactions.push(EthereumTransaction::Eip1559(transaction.into_signed(signature)));
        senders.push(sender);
    }
    let header = Header {
        number: 1,
        gas_limit: u64::MAX / 2,
        base_fee_per_gas: Some(7),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        beneficiary: Address::repeat_byte(0xfe),
        ..Default::default()
    };
    let block = Block::<Ethereum>::new(
        header,
        alloy_consensus::BlockBody { transactions, ..Default::default() },
    );
    Workload::new(name, chain, block, senders, state)
}

fn recipient(index: u64) -> Address {
    Address::left_padding_from(&(0x2000_0000 + index).to_be_bytes())
}

fn balance_slot(holder: Address) -> U256 {
    let key = [holder.into_word().0, [0; 32]].concat();
    U256::from_be_bytes(keccak256(key).0)
}
