//! Blocks to measure with: made up, and real where the fixtures are at hand.

use alloy_consensus::{Header, SignableTransaction, TxEip1559};
use alloy_evm::EvmEnv;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex, keccak256};
use lockstep_chain::{Block, Ethereum, EthereumHardfork, EthereumTransaction, ForkSchedule};
use lockstep_execution::{Bytecode, Execute, ExecuteOptions, MemoryState, execute_block};
use lockstep_testkit::mainnet::{Fixture, Limits, visit};
use revm::{
    context::TxEnv,
    database::{CacheDB, EmptyDB},
    state::AccountInfo,
};
use std::{collections::BTreeMap, ops::ControlFlow, path::Path};

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

/// Blocks to execute one after the other, each over a state of its own.
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) blocks: Vec<BlockLoad>,
    pub(crate) gas: u64,
}

/// A block, the state before it, and the same in revm's own forms.
pub(crate) struct BlockLoad {
    pub(crate) chain: Ethereum,
    pub(crate) block: Block<Ethereum>,
    pub(crate) senders: Vec<Address>,
    pub(crate) state: MemoryState,
    pub(crate) env: EvmEnv,
    tx_envs: Vec<TxEnv>,
    db: CacheDB<EmptyDB>,
}

/// What the bare loop consumes for one block.
pub(crate) type BareInput = (CacheDB<EmptyDB>, Vec<TxEnv>);

/// What the serial executor reads for one block.
pub(crate) type SerialInput = (Block<Ethereum>, MemoryState);

pub(crate) fn all() -> Vec<Workload> {
    let mut all = vec![transfers(), tokens()];
    #[expect(clippy::disallowed_methods, reason = "benchmarks find fixtures by the environment")]
    match std::env::var("LOCKSTEP_FIXTURES") {
        Ok(fixtures) => all.push(mainnet(&fixtures)),
        Err(_) => eprintln!("skipped: mainnet blocks; set LOCKSTEP_FIXTURES"),
    }
    all
}

impl Workload {
    fn new(name: &str, blocks: Vec<BlockLoad>) -> Self {
        let gas = |load: &BlockLoad| {
            let BlockLoad { chain, block, senders, state, .. } = load;
            let output = execute_block(chain, block, senders, state, ExecuteOptions::default());
            output.expect("the workload is valid").gas_used
        };
        Self { name: name.into(), gas: blocks.iter().map(gas).sum(), blocks }
    }

    pub(crate) fn serial_inputs(&self) -> Vec<SerialInput> {
        self.blocks.iter().map(|load| (load.block.clone(), load.state.clone())).collect()
    }

    pub(crate) fn bare_inputs(&self) -> Vec<BareInput> {
        self.blocks.iter().map(|load| (load.db.clone(), load.tx_envs.clone())).collect()
    }
}

impl BlockLoad {
    fn new(
        chain: Ethereum,
        block: Block<Ethereum>,
        senders: Vec<Address>,
        state: MemoryState,
        block_hashes: &BTreeMap<u64, B256>,
    ) -> Self {
        let transactions = block.body.transactions.iter().zip(&senders);
        let tx_envs = transactions.map(|(tx, sender)| chain.tx_env(tx, *sender)).collect();
        let env = chain.evm_env(&block.header);
        let mut db = cache_db(&state);
        for (number, hash) in block_hashes {
            db.cache.block_hashes.insert(U256::from(*number), *hash);
        }
        Self { chain, block, senders, state, env, tx_envs, db }
    }
}

/// Real blocks from Homestead to Cancun, as `lockstep replay` executes them.
fn mainnet(fixtures: &str) -> Workload {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(fixtures);
    let mut blocks = Vec::new();
    let mut take = |fixture: Result<Fixture, _>| {
        let fixture = fixture.expect("the fixture is whole");
        let block_hashes = fixture.state().block_hashes();
        if fixture.is_complete() {
            let mut state = fixture.state().accounts().clone();
            for (number, hash) in block_hashes {
                state.set_block_hash(*number, *hash);
            }
            let (chain, block) = (fixture.chain().clone(), fixture.block().clone());
            let senders = fixture.senders().to_vec();
            blocks.push(BlockLoad::new(chain, block, senders, state, block_hashes));
        }
        ControlFlow::Continue(())
    };
    let _ = visit(&path.join("mainnet-blocks"), &Limits::default(), &mut take);
    Workload::new("mainnet blocks", blocks)
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
    let load = BlockLoad::new(chain, block, senders, state, &BTreeMap::new());
    Workload::new(name, vec![load])
}

fn recipient(index: u64) -> Address {
    Address::left_padding_from(&(0x2000_0000 + index).to_be_bytes())
}

fn balance_slot(holder: Address) -> U256 {
    let key = [holder.into_word().0, [0; 32]].concat();
    U256::from_be_bytes(keccak256(key).0)
}
