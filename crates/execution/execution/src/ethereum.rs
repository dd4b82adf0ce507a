//! What happens around the transactions of an Ethereum block.

use crate::{
    BlockState, EthereumEvmFactory, Execute, ExecutionError, ObserveBalances, Speculate,
    SpeculativeEvm, SpeculativeView, StateReader, StateRules, TransferRules,
    evm::{EvmEnvOf, EvmOf},
    executor::{BlockParts, Progress, admit_gas, state_result},
    observe::install_observers,
    requests::parse_deposits,
    system_calls,
};
use alloc::vec::Vec;
use alloy_consensus::{Header, Transaction, TxReceipt, Typed2718, constants::ETH_TO_WEI};
use alloy_eips::{
    eip6110::DEPOSIT_REQUEST_TYPE, eip7002::WITHDRAWAL_REQUEST_TYPE,
    eip7251::CONSOLIDATION_REQUEST_TYPE, eip7685::Requests, eip7825::MAX_TX_GAS_LIMIT_OSAKA,
};
use alloy_evm::{
    Database, Evm, EvmEnv, EvmFactory, FromRecoveredTx,
    eth::{
        EthEvm,
        dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY},
    },
};
use alloy_primitives::{Address, Log, U256};
use lockstep_chain::{Chain, Ethereum, EthereumHardfork, EthereumTransaction};
use revm::{
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::{Transaction as _, block::BlobExcessGasAndPrice},
    inspector::NoOpInspector,
    primitives::hardfork::SpecId,
    state::EvmState,
};

/// The rules of the EVM that a fork of Ethereum brings.
pub(crate) fn spec_id(fork: EthereumHardfork) -> SpecId {
    use EthereumHardfork as F;
    match fork {
        F::Frontier => SpecId::FRONTIER,
        F::Homestead | F::Dao => SpecId::HOMESTEAD,
        F::Tangerine => SpecId::TANGERINE,
        F::SpuriousDragon => SpecId::SPURIOUS_DRAGON,
        F::Byzantium => SpecId::BYZANTIUM,
        // They differ in the price of storage alone, which our EVM sees to.
        F::Constantinople | F::Petersburg => SpecId::PETERSBURG,
        F::Istanbul | F::MuirGlacier => SpecId::ISTANBUL,
        F::Berlin => SpecId::BERLIN,
        F::London | F::ArrowGlacier | F::GrayGlacier => SpecId::LONDON,
        F::Paris => SpecId::MERGE,
        F::Shanghai => SpecId::SHANGHAI,
        F::Cancun => SpecId::CANCUN,
        F::Prague => SpecId::PRAGUE,
        // Later forks are refused by header validation.
        _ => SpecId::OSAKA,
    }
}

/// The reward for a proof-of-work block, in wei (EIP-649, EIP-1234).
const fn block_reward(fork: EthereumHardfork) -> u128 {
    match fork as u8 {
        fork if fork >= EthereumHardfork::Constantinople as u8 => 2 * ETH_TO_WEI,
        fork if fork >= EthereumHardfork::Byzantium as u8 => 3 * ETH_TO_WEI,
        _ => 5 * ETH_TO_WEI,
    }
}

/// The highest gas limit of a transaction (EIP-7825).
const fn gas_limit_cap(fork: EthereumHardfork) -> u64 {
    if fork as u8 >= EthereumHardfork::Osaka as u8 { MAX_TX_GAS_LIMIT_OSAKA } else { u64::MAX }
}

impl Execute for Ethereum {
    type EvmFactory = EthereumEvmFactory;
    type Commitment = lockstep_trie::StateTrie;

    fn evm_factory(&self, header: &Header) -> EthereumEvmFactory {
        let net_gas_metering = self.fork(header) == EthereumHardfork::Constantinople;
        EthereumEvmFactory { net_gas_metering }
    }

    fn evm_env(&self, header: &Header) -> EvmEnvOf<Self> {
        let fork = self.fork(header);
        let mut cfg = CfgEnv::new_with_spec(spec_id(fork)).with_chain_id(self.chain_id());
        let blobs = self.blob_params(fork);
        if let Some(params) = blobs {
            cfg.set_max_blobs_per_tx(params.max_blobs_per_tx);
        }
        cfg.tx_gas_limit_cap = Some(gas_limit_cap(fork));
        let blob_excess_gas_and_price =
            header.excess_blob_gas.zip(blobs).map(|(excess_blob_gas, params)| {
                let blob_gasprice = params.calc_blob_fee(excess_blob_gas);
                BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice }
            });
        let is_stake = fork >= EthereumHardfork::Paris;
        let block = BlockEnv {
            number: U256::from(header.number),
            beneficiary: header.beneficiary,
            timestamp: U256::from(header.timestamp),
            gas_limit: header.gas_limit,
            basefee: header.base_fee_per_gas.unwrap_or_default(),
            difficulty: header.difficulty,
            prevrandao: is_stake.then_some(header.mix_hash),
            blob_excess_gas_and_price,
            slot_num: 0,
        };
        EvmEnv::new(cfg, block)
    }

    fn state_rules(&self, header: &Header) -> StateRules {
        let fork = self.fork(header);
        StateRules {
            deletes_empty_accounts: fork >= EthereumHardfork::SpuriousDragon,
            has_delegations: fork >= EthereumHardfork::Prague,
        }
    }

    fn has_intermediate_roots(&self, header: &Header) -> bool {
        self.fork(header) < EthereumHardfork::Byzantium
    }

    fn tx_env(&self, transaction: &EthereumTransaction, sender: Address) -> TxEnv {
        match transaction {
            // The common types, without the detour over a default that alloy's conversion takes.
            EthereumTransaction::Legacy(_)
            | EthereumTransaction::Eip2930(_)
            | EthereumTransaction::Eip1559(_) => TxEnv {
                tx_type: transaction.ty(),
                caller: sender,
                gas_limit: transaction.gas_limit(),
                gas_price: transaction.max_fee_per_gas(),
                gas_priority_fee: transaction.max_priority_fee_per_gas(),
                kind: transaction.kind(),
                value: transaction.value(),
                data: transaction.input().clone(),
                nonce: transaction.nonce(),
                chain_id: transaction.chain_id(),
                access_list: transaction.access_list().cloned().unwrap_or_default(),
                blob_hashes: Vec::new(),
                max_fee_per_blob_gas: 0,
                authorization_list: Vec::new(),
            },
            EthereumTransaction::Eip4844(_) | EthereumTransaction::Eip7702(_) => {
                TxEnv::from_recovered_tx(transaction, sender)
            }
        }
    }

    fn is_deposit(&self, _: &EthereumTransaction) -> bool {
        false
    }

    fn recycle<DB: Database>(
        evm: &mut <Self::EvmFactory as EvmFactory>::Evm<DB, NoOpInspector>,
        state: EvmState,
    ) {
        evm.ctx_mut().journaled_state.inner.state = state;
    }

    fn observe_balances<DB: Database + ObserveBalances>(
        evm: EvmOf<Self, DB>,
    ) -> Result<EvmOf<Self, DB>, EvmOf<Self, DB>> {
        let mut inner = evm.into_inner();
        install_observers(&mut inner.instruction);
        Ok(EthEvm::new(inner, false))
    }

    fn before_transactions<S: StateReader>(
        &self,
        evm: &mut impl Evm<DB = BlockState<S>>,
        header: &Header,
    ) -> Result<(), ExecutionError<S::Error>> {
        if self.is_dao_fork_block(header.number) {
            move_dao_balances(evm.db_mut())?;
        }
        // The genesis block has no parent to speak of.
        if header.number == 0 {
            return Ok(());
        }
        if let Some(root) = header.parent_beacon_block_root {
            system_calls::store_beacon_root(evm, root)?;
        }
        if self.fork(header) >= EthereumHardfork::Prague {
            system_calls::store_parent_hash(evm, header.parent_hash)?;
        }
        Ok(())
    }

    fn admit<S: StateReader>(
        &self,
        _: &mut BlockState<S>,
        header: &Header,
        transaction: &EthereumTransaction,
        progress: &Progress,
    ) -> Result<u64, ExecutionError<S::Error>> {
        admit_gas::<Self, _>(header, transaction, progress)?;
        Ok(transaction.blob_gas_used().unwrap_or_default())
    }

    fn after_transactions<S: StateReader>(
        &self,
        evm: &mut impl Evm<DB = BlockState<S>>,
        header: &Header,
        parts: BlockParts<'_, Header>,
        receipts: &[impl TxReceipt<Log = Log>],
    ) -> Result<Requests, ExecutionError<S::Error>> {
        let fork = self.fork(header);
        let state = evm.db_mut();
        for withdrawal in parts.withdrawals {
            let paid = state.add_balance(&withdrawal.address, withdrawal.amount_wei());
            state_result(state, paid)?;
        }
        if fork < EthereumHardfork::Paris {
            pay_block_rewards(state, header, parts.ommers, block_reward(fork))?;
        }
        if fork < EthereumHardfork::Prague {
            return Ok(Requests::default());
        }
        let mut requests = Requests::default();
        for (index, receipt) in receipts.iter().enumerate() {
            let deposits = parse_deposits(self.deposit_contract(), receipt.logs())
                .map_err(|reason| ExecutionError::DepositEvent { index, reason })?;
            append(&mut requests, DEPOSIT_REQUEST_TYPE, &deposits);
        }
        let withdrawals = system_calls::take_withdrawal_requests(evm)?;
        append(&mut requests, WITHDRAWAL_REQUEST_TYPE, &withdrawals);
        let consolidations = system_calls::take_consolidation_requests(evm)?;
        append(&mut requests, CONSOLIDATION_REQUEST_TYPE, &consolidations);
        Ok(requests)
    }
}

/// Appends requests of one type; a type without requests is left out (EIP-7685).
fn append(requests: &mut Requests, ty: u8, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let mut list = core::mem::take(requests).take();
    match list.last_mut() {
        Some(last) if last.first() == Some(&ty) => {
            *last = [last.as_ref(), data].concat().into();
        }
        _ => list.push([&[ty], data].concat().into()),
    }
    *requests = Requests::new(list);
}

/// The reward of the block and of its ommers (Yellow Paper § 11.3).
fn pay_block_rewards<S: StateReader>(
    state: &mut BlockState<S>,
    header: &Header,
    ommers: &[Header],
    reward: u128,
) -> Result<(), ExecutionError<S::Error>> {
    let per_ommer = reward / 32;
    let total = reward + per_ommer * ommers.len() as u128;
    let paid = state.add_balance(&header.beneficiary, U256::from(total));
    state_result(state, paid)?;
    for ommer in ommers {
        // An ommer is one to six generations older than the block that names it.
        let age = header.number.saturating_sub(ommer.number).min(8);
        let part = reward * u128::from(8 - age) / 8;
        let paid = state.add_balance(&ommer.beneficiary, U256::from(part));
        state_result(state, paid)?;
    }
    Ok(())
}

/// The irregular state change of the DAO fork (EIP-779).
fn move_dao_balances<S: StateReader>(
    state: &mut BlockState<S>,
) -> Result<(), ExecutionError<S::Error>> {
    for account in &DAO_HARDFORK_ACCOUNTS {
        let drained = state.drain_balance(account);
        let drained = state_result(state, drained)?;
        let paid = state.add_balance(&DAO_HARDFORK_BENEFICIARY, drained);
        state_result(state, paid)?;
    }
    Ok(())
}

impl Speculate for Ethereum {
    type Remembered = ();

    fn remembered<S: StateReader>(
        _: &mut <Self::EvmFactory as EvmFactory>::Evm<BlockState<S>, NoOpInspector>,
    ) {
    }

    fn remembered_before(&self, _: &Header) -> Option<()> {
        Some(())
    }

    fn expected_nonce(&self, transaction: &EthereumTransaction) -> Option<u64> {
        Some(transaction.nonce())
    }

    fn transfer_rules(&self, header: &Header, (): &()) -> Option<TransferRules> {
        let fork = self.fork(header);
        if !self.state_rules(header).deletes_empty_accounts {
            return None;
        }
        let is_london = fork >= EthereumHardfork::London;
        Some(TransferRules {
            chain_id: self.chain_id(),
            gas_limit_cap: gas_limit_cap(fork),
            base_fee: is_london.then(|| header.base_fee_per_gas.unwrap_or_default()),
            has_access_lists: fork >= EthereumHardfork::Berlin,
            beneficiary: header.beneficiary,
            port: None,
            vaults: None,
        })
    }

    fn needed_balance<V: SpeculativeView>(
        _: &mut SpeculativeEvm<Self, V>,
        tx: &TxEnv,
    ) -> Option<U256> {
        tx.max_balance_spending().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxLegacy};
    use alloy_primitives::{Bytes, Signature, TxKind};

    #[test]
    fn our_short_cut_to_the_evm_environment_agrees_with_alloy() {
        let signature = || Signature::new(U256::ONE, U256::ONE, false);
        let (to, input) = (TxKind::Call(Address::repeat_byte(3)), Bytes::from_static(b"input"));
        let legacy = TxLegacy {
            chain_id: Some(5),
            nonce: 1,
            gas_price: 2,
            gas_limit: 3,
            to,
            value: U256::from(4),
            input: input.clone(),
        };
        let listed = TxEip2930 { chain_id: 5, gas_price: 6, to, ..Default::default() };
        let dynamic = TxEip1559 {
            chain_id: 5,
            max_fee_per_gas: 7,
            max_priority_fee_per_gas: 6,
            input,
            ..Default::default()
        };
        let transactions = [
            EthereumTransaction::Legacy(legacy.into_signed(signature())),
            EthereumTransaction::Eip2930(listed.into_signed(signature())),
            EthereumTransaction::Eip1559(dynamic.into_signed(signature())),
        ];
        let sender = Address::repeat_byte(9);
        for transaction in &transactions {
            let expected = TxEnv::from_recovered_tx(transaction, sender);
            assert_eq!(Ethereum::mainnet().tx_env(transaction, sender), expected);
        }
    }
}
