//! Transfers of ether, told as logs.

use alloy_primitives::{Address, B256, Log, LogData, U256, address, b256};
use revm::{
    Inspector,
    context_interface::{ContextTr, JournalTr},
    interpreter::{CallInputs, CallOutcome, CallScheme, CreateInputs, CreateOutcome},
};

/// Who is said to have emitted the log of a transfer (execution-apis: `eth_simulateV1`).
const EMITTER: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");

/// `keccak256("Transfer(address,address,uint256)")`.
const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

/// Collects the logs of a transaction in order, transfers of ether among them; what a frame
/// emitted goes when it reverts.
///
/// The logs of transfers are not among those of the receipt: nobody emitted them.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    /// Whether transfers are told at all.
    is_enabled: bool,
    /// The number of the next log in the block. Logs that went with their frame keep theirs, as
    /// with go-ethereum.
    next: u64,
    /// The logs of each open frame, the outermost first.
    frames: Vec<Vec<NumberedLog>>,
    /// Those of closed frames.
    logs: Vec<NumberedLog>,
}

/// A log with its number in the block.
pub(super) type NumberedLog = (u64, Log);

impl Transfers {
    /// Tells transfers if `is_enabled`; `next` is the number of the first log.
    pub(super) fn new(is_enabled: bool, next: u64) -> Self {
        Self { is_enabled, next, ..Self::default() }
    }

    /// The number of the next log.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn into_logs(self) -> Vec<NumberedLog> {
        self.logs
    }

    fn open(&mut self, from: Address, to: Address, value: U256) {
        self.frames.push(Vec::new());
        self.transfer(from, to, value);
    }

    fn close(&mut self, succeeded: bool) {
        let Some(logs) = self.frames.pop() else { return };
        if succeeded {
            self.frames.last_mut().unwrap_or(&mut self.logs).extend(logs);
        }
    }

    fn push(&mut self, log: Log) {
        let number = self.next;
        self.next += 1;
        self.frames.last_mut().unwrap_or(&mut self.logs).push((number, log));
    }

    fn transfer(&mut self, from: Address, to: Address, value: U256) {
        if value.is_zero() || !self.is_enabled {
            return;
        }
        let topics = vec![TRANSFER, from.into_word(), to.into_word()];
        let data = LogData::new_unchecked(topics, value.to_be_bytes::<32>().into());
        self.push(Log { address: EMITTER, data });
    }
}

impl<CTX: ContextTr> Inspector<CTX> for Transfers {
    fn log(&mut self, _: &mut CTX, log: Log) {
        self.push(log);
    }

    fn call(&mut self, _: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        let moves = inputs.scheme != CallScheme::CallCode;
        let value = inputs.transfer_value().filter(|_| moves).unwrap_or_default();
        self.open(inputs.transfer_from(), inputs.transfer_to(), value);
        None
    }

    fn call_end(&mut self, _: &mut CTX, _: &CallInputs, outcome: &mut CallOutcome) {
        self.close(outcome.result.is_ok());
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        let caller = inputs.caller();
        let account = context.journal_mut().load_account(caller);
        let nonce = account.map(|account| account.data.info.nonce).unwrap_or_default();
        self.open(caller, inputs.created_address(nonce), inputs.value());
        None
    }

    fn create_end(&mut self, _: &mut CTX, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.close(outcome.result.is_ok());
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        self.transfer(contract, target, value);
    }
}
