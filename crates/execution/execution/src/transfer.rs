//! Paying an account without code, which needs no EVM: the outcome follows from two balances.
//!
//! Most of what the EVM does for such a transaction is to set up and tear down. What it would do is written
//! down here once more, as far as it is simple: whatever is not is left to the EVM, so this decides
//! nothing that the EVM would not.

use crate::{BlockState, StateError, StateReader};
use alloy_consensus::Transaction;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, ChainId, KECCAK256_EMPTY, TxKind, U256};
use op_revm::{
    L1BlockInfo, OpSpecId,
    constants::{BASE_FEE_RECIPIENT, L1_FEE_RECIPIENT, OPERATOR_FEE_RECIPIENT},
};
use revm::{
    context_interface::result::{ExecutionResult, HaltReasonTr, Output, ResultGas, SuccessReason},
    state::AccountInfo,
};

/// The gas of a transaction that does nothing but pay (Yellow Paper, appendix G).
pub(crate) const TRANSFER_GAS: u64 = 21_000;

/// Who shares the fees: the beneficiary, and on a rollup three vaults.
pub(crate) const MAX_FEES: usize = 4;

/// What a block says about those of its transactions that do nothing but pay.
#[derive(Clone, Debug)]
pub struct TransferRules {
    pub(crate) chain_id: ChainId,
    /// The highest gas limit of a transaction (EIP-7825).
    pub(crate) gas_limit_cap: u64,
    /// In wei per gas; `None` before London, when there are no transactions of its type.
    pub(crate) base_fee: Option<u64>,
    /// Whether there are transactions with access lists (EIP-2930).
    pub(crate) has_access_lists: bool,
    pub(crate) beneficiary: Address,
    /// What calls mean something else than payments to, whatever its code.
    pub(crate) port: Option<Address>,
    /// What a rollup's vaults get.
    pub(crate) vaults: Option<VaultFees>,
}

/// What a transaction pays on a rollup beyond its gas (OP spec: fee vaults).
#[derive(Clone, Debug)]
pub(crate) struct VaultFees {
    pub(crate) costs: L1BlockInfo,
    pub(crate) spec: OpSpecId,
}

/// A transaction that does nothing but pay somebody, as far as it can be told without the state.
#[derive(Clone, Debug)]
pub struct Transfer {
    sender: Address,
    to: Address,
    nonce: u64,
    /// In wei, as all amounts here.
    value: U256,
    /// What the sender must have.
    needed: U256,
    /// Who gets what for the transaction, in the order in which they are paid.
    fees: [Option<(Address, U256)>; MAX_FEES],
    /// What the sender pays for the transaction.
    cost: U256,
}

impl TransferRules {
    /// The transaction as a transfer, if it is a plain one.
    pub fn transfer(
        &self,
        transaction: &(impl Transaction + Encodable2718),
        sender: Address,
    ) -> Option<Transfer> {
        if !transaction.input().is_empty() {
            return None;
        }
        let TxKind::Call(to) = transaction.kind() else { return None };
        let is_known = match transaction.ty() {
            0 => true,
            1 => self.has_access_lists,
            2 => self.base_fee.is_some(),
            _ => false,
        };
        let is_plain = transaction.access_list().is_none_or(|list| list.is_empty())
            && !may_be_precompile(&to)
            && self.port != Some(to);
        let gas_limit = transaction.gas_limit();
        let chain_id = transaction.chain_id();
        let is_here =
            chain_id == Some(self.chain_id) || (chain_id.is_none() && transaction.is_legacy());
        let has_gas = (TRANSFER_GAS..=self.gas_limit_cap).contains(&gas_limit);
        if !is_known || !is_plain || !is_here || !has_gas || transaction.nonce() == u64::MAX {
            return None;
        }
        let base_fee = u128::from(self.base_fee.unwrap_or_default());
        let most = transaction.max_fee_per_gas();
        let tip = match transaction.max_priority_fee_per_gas() {
            Some(highest) if highest > most => return None,
            Some(highest) => highest.min(most.checked_sub(base_fee)?),
            None => most.checked_sub(base_fee)?,
        };
        let gas = U256::from(TRANSFER_GAS);
        let value = transaction.value();
        let mut transfer = Transfer {
            sender,
            to,
            nonce: transaction.nonce(),
            value,
            // The EVM refuses what is beyond 128 bits.
            needed: U256::from(most.checked_mul(gas_limit.into())?).checked_add(value)?,
            // Neither factor is beyond 128 bits.
            fees: [Some((self.beneficiary, U256::from(tip) * gas)), None, None, None],
            cost: U256::from(base_fee + tip) * gas,
        };
        if let Some(vaults) = &self.vaults {
            let base_fee = U256::from(base_fee) * gas;
            vaults.add_to(&mut transfer, &transaction.encoded_2718(), base_fee, gas_limit)?;
        }
        Some(transfer)
    }
}

impl VaultFees {
    /// `base_fee` in wei, for all gas of the transaction, which its sender pays already.
    fn add_to(
        &self,
        transfer: &mut Transfer,
        encoded: &[u8],
        base_fee: U256,
        gas_limit: u64,
    ) -> Option<()> {
        let Self { costs, spec } = self;
        let on_l1 = costs.clone().calculate_tx_l1_cost(encoded, *spec);
        let operator = |gas: u64| match spec.is_enabled_in(OpSpecId::ISTHMUS) {
            true => costs.operator_fee_charge(encoded, U256::from(gas), *spec),
            false => U256::ZERO,
        };
        let (charged, kept) = (operator(gas_limit), operator(TRANSFER_GAS));
        let [_, first, second, third] = &mut transfer.fees;
        *first = Some((L1_FEE_RECIPIENT, on_l1));
        *second = Some((BASE_FEE_RECIPIENT, base_fee));
        *third = Some((OPERATOR_FEE_RECIPIENT, kept));
        transfer.needed = transfer.needed.checked_add(on_l1)?.checked_add(charged)?;
        transfer.cost = transfer.cost.checked_add(on_l1)?.checked_add(kept)?;
        Some(())
    }
}

impl Transfer {
    pub(crate) const fn sender(&self) -> Address {
        self.sender
    }

    /// Who is paid.
    pub const fn to(&self) -> Address {
        self.to
    }
}

/// Precompiles have small numbers for addresses.
fn may_be_precompile(address: &Address) -> bool {
    address.iter().take(18).all(|byte| *byte == 0)
}

/// What becomes of a transfer in the EVM.
pub(crate) fn outcome_of_transfer<H: HaltReasonTr>() -> ExecutionResult<H> {
    ExecutionResult::Success {
        reason: SuccessReason::Stop,
        gas: ResultGas::new_with_state_gas(TRANSFER_GAS, 0, 0, 0),
        logs: alloc::vec::Vec::new(),
        output: Output::Call(Bytes::new()),
    }
}

/// Numbers below this, a few of them, can be added to each other without an overflow.
pub(crate) const fn is_small(number: &U256) -> bool {
    number.as_limbs()[3] == 0
}

impl<S: StateReader> BlockState<S> {
    /// Pays, and whether it did: if not, nothing has changed, and only the EVM can tell what becomes of it.
    pub(crate) fn transfer(&mut self, transfer: &Transfer) -> Result<bool, StateError> {
        let Transfer { sender, to, nonce, value, needed, fees, cost } = transfer;
        if !self.rules.deletes_empty_accounts || !is_small(needed) {
            return Ok(false);
        }
        let sender = self.load(sender)?;
        let can_pay = self.current(sender).is_some_and(|info| {
            info.nonce == *nonce
                && info.code_hash == KECCAK256_EMPTY
                && info.balance >= *needed
                && is_small(&info.balance)
        });
        if !can_pay {
            return Ok(false);
        }
        let to = self.load(to)?;
        let can_be_paid = self
            .current(to)
            .is_none_or(|info| info.code_hash == KECCAK256_EMPTY && is_small(&info.balance));
        if !can_be_paid {
            return Ok(false);
        }
        let mut paid = [None; MAX_FEES];
        for (fee, paid) in fees.iter().zip(&mut paid) {
            let Some((recipient, amount)) = fee else { break };
            let id = self.load(recipient)?;
            if !self.current(id).is_none_or(|info| is_small(&info.balance)) || !is_small(amount) {
                return Ok(false);
            }
            *paid = Some((id, *amount));
        }
        if let Some(recorder) = &mut self.recorder {
            let read = [sender, to].into_iter().chain(paid.iter().flatten().map(|(id, _)| *id));
            read.for_each(|id| recorder.read_account(id));
            recorder.set_sender(Some(sender));
        }
        // Nothing overflows: all numbers are small, and the sender has what it pays.
        self.change(sender, |info| {
            info.balance = info.balance.wrapping_sub(*value).wrapping_sub(*cost);
            info.nonce += 1;
        });
        self.change(to, |info| info.balance = info.balance.wrapping_add(*value));
        for (id, amount) in paid.into_iter().flatten() {
            self.change(id, |info| info.balance = info.balance.wrapping_add(amount));
        }
        Ok(true)
    }

    pub(crate) fn current(&self, id: u32) -> Option<&AccountInfo> {
        self.changes.accounts.get(id as usize)?.after()
    }
}
