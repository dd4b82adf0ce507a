//! A state, and transactions on it.

use alloy_consensus::{Header, TxReceipt};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, Bytes, Log, TxKind, U256, address, bytes};
use alloy_sol_types::SolCall;
use lockstep_chain::{FeeParams, ForkSchedule, OpHardfork, Rollup};
use lockstep_execution::{BlockExecutor, MemoryState};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use std::collections::BTreeMap;

/// Calls the address that its input begins with, with the rest of it, and logs what comes back.
const READER: Address = address!("00000000000000000000000000000000000ead00");
const READER_CODE: Bytes =
    bytes!("601436038060146000376000600082600060003560601c5afa503d600060003e3d6000a000");

/// Executes deposits one by one, since those need neither fees nor signatures: it stands for either
/// chain, as the contracts cannot tell.
pub(crate) struct Machine {
    chain: Rollup,
    pub(crate) state: MemoryState,
    number: u64,
    pub(crate) timestamp: u64,
}

impl Machine {
    pub(crate) fn new(fork: OpHardfork, accounts: BTreeMap<Address, GenesisAccount>) -> Self {
        let mut alloc = accounts;
        let reader = GenesisAccount { code: Some(READER_CODE), ..Default::default() };
        alloc.insert(READER, reader);
        Self {
            chain: Rollup::new(901, ForkSchedule::<OpHardfork>::at(fork), FeeParams::OP_MAINNET),
            state: MemoryState::from_genesis(&Genesis { alloc, ..Default::default() }),
            number: 0,
            timestamp: 1_700_000_000,
        }
    }

    /// Executes a deposit in a block of its own; its logs if it succeeds.
    pub(crate) fn deposit(&mut self, deposit: TxDeposit) -> Option<Vec<Log>> {
        self.number += 1;
        let header = Header {
            number: self.number,
            timestamp: self.timestamp,
            gas_limit: 60_000_000,
            base_fee_per_gas: Some(1),
            excess_blob_gas: Some(0),
            ..Default::default()
        };
        let mut executor = BlockExecutor::new(&self.chain, &header, self.state.clone());
        let from = deposit.from;
        let outcome = executor.transact(&OpTxEnvelope::from(deposit), from).unwrap();
        let changes = executor.changes();
        let logs = executor.receipts()[0].logs().to_vec();
        self.state.apply(&changes);
        outcome.success.then_some(logs)
    }

    /// A transaction by `from`, who gets what it sends.
    pub(crate) fn transact(
        &mut self,
        from: Address,
        to: TxKind,
        value: u128,
        input: impl Into<Bytes>,
    ) -> Option<Vec<Log>> {
        self.deposit(TxDeposit {
            from,
            to,
            mint: value,
            value: U256::from(value),
            gas_limit: 30_000_000,
            input: input.into(),
            ..Default::default()
        })
    }

    /// Calls a function that must succeed.
    pub(crate) fn call(&mut self, from: Address, to: Address, call: &impl SolCall) -> Vec<Log> {
        self.transact(from, TxKind::Call(to), 0, call.abi_encode()).expect("the call succeeds")
    }

    /// What a function returns.
    pub(crate) fn read<C: SolCall>(&mut self, to: Address, call: &C) -> C::Return {
        let input = [to.as_slice(), &call.abi_encode()].concat();
        let logs = self.transact(Address::ZERO, TxKind::Call(READER), 0, input).unwrap();
        C::abi_decode_returns(&logs[0].data.data).expect("the function succeeds")
    }

    pub(crate) fn balance(&self, address: Address) -> U256 {
        self.state.get(&address).map_or(U256::ZERO, |account| account.info.balance)
    }

    pub(crate) fn slot(&self, address: Address, slot: U256) -> U256 {
        let account = self.state.get(&address);
        account.and_then(|account| account.storage.get(&slot)).copied().unwrap_or_default()
    }
}
