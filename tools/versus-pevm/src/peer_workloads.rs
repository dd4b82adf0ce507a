//! The workloads of pevm's benchmark `gigagas`, made by its own code, in our forms.

use crate::{common, erc20, load::Load, uniswap};
use alloy_consensus::{BlockBody, Header, Signed, TxLegacy};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U160, U256};
use lockstep_chain::{Block, Ethereum, EthereumTransaction};
use lockstep_execution::{Bytecode, MemoryState};
use pevm::{Bytecodes, ChainState, EvmAccount};
use revm::context::TxEnv;
use std::collections::BTreeMap;

/// The first second of Cancun on mainnet: the newest rules that pevm finds for a block by itself.
const CANCUN: u64 = 1_710_338_135;

/// Below are addresses of precompiles.
const FIRST_ADDRESS: usize = 1_000;

pub(crate) fn transfers(gas: u64) -> Load {
    let count = gas.div_ceil(common::RAW_TRANSFER_GAS_LIMIT) as usize;
    let addresses = FIRST_ADDRESS..FIRST_ADDRESS + count;
    let accounts = core::iter::once(0).chain(addresses.clone()).map(common::mock_account);
    let transactions = addresses.map(|address| {
        let address = Address::from(U160::from(address));
        TxEnv {
            caller: address,
            nonce: 1,
            kind: TxKind::Call(address),
            value: U256::from(1),
            gas_limit: common::RAW_TRANSFER_GAS_LIMIT,
            gas_price: 1,
            ..TxEnv::default()
        }
    });
    load(&accounts.collect(), &Bytecodes::default(), transactions)
}

pub(crate) fn erc20(gas: u64) -> Load {
    let count = gas.div_ceil(erc20::ESTIMATED_GAS_USED) as usize;
    let (mut state, codes, transactions) = erc20::generate_cluster(count, 1, 1);
    state.insert(Address::ZERO, EvmAccount::default());
    load(&state, &codes, transactions)
}

pub(crate) fn uniswap(gas: u64) -> Load {
    let mut state = ChainState::from_iter([(Address::ZERO, EvmAccount::default())]);
    let mut codes = Bytecodes::default();
    let mut transactions = Vec::new();
    for _ in 0..gas.div_ceil(uniswap::ESTIMATED_GAS_USED) {
        let (accounts, more_codes, more) = uniswap::generate_cluster(1, 1);
        state.extend(accounts);
        codes.extend(more_codes);
        transactions.extend(more);
    }
    load(&state, &codes, transactions)
}

fn load(
    accounts: &ChainState,
    codes: &Bytecodes,
    transactions: impl IntoIterator<Item = TxEnv>,
) -> Load {
    let mut state = MemoryState::default();
    for (address, account) in accounts {
        let by_hash = || codes.get(&account.code_hash?).cloned();
        let code = account.code.clone().or_else(by_hash).map(Bytecode::from).unwrap_or_default();
        state.set_account(*address, account.nonce, account.balance, code);
        for (slot, value) in &account.storage {
            state.set_slot(*address, *slot, *value);
        }
    }
    let (senders, transactions) =
        transactions.into_iter().map(|tx| (tx.caller, signed(tx))).unzip();
    let header = Header {
        number: 1,
        timestamp: CANCUN,
        gas_limit: u64::MAX / 2,
        base_fee_per_gas: Some(0),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        ..Default::default()
    };
    Load {
        number: header.number,
        chain: Ethereum::mainnet(),
        block: Block::<Ethereum>::new(header, BlockBody { transactions, ..Default::default() }),
        senders,
        state,
        block_hashes: BTreeMap::new(),
    }
}

/// A legacy transaction; who sent it is known, so nobody looks at its signature.
fn signed(tx: TxEnv) -> EthereumTransaction {
    let TxEnv { nonce, gas_price, gas_limit, kind: to, value, data, .. } = tx;
    let input = Bytes::from(data.0);
    let legacy = TxLegacy { chain_id: Some(1), nonce, gas_price, gas_limit, to, value, input };
    let signature = Signature::new(U256::ONE, U256::ONE, false);
    Signed::new_unchecked(legacy, signature, B256::ZERO).into()
}
