//! What happens around the transactions of a rollup's block.

use crate::{
    BlockState, Execute, ExecutionError, ObserveBalances, Speculate, SpeculativeEvm,
    SpeculativeView, StateReader, StateRules, TransferRules,
    evm::{EvmEnvOf, EvmOf},
    executor::{BlockParts, Progress, admit_gas, state_result},
    observe::install_observers,
    rollup_evm::RollupEvmFactory,
    system_calls,
    transfer::VaultFees,
};
use alloc::vec::Vec;
use alloy_consensus::{Header, Transaction as _, TxReceipt};
use alloy_eips::{eip2718::Encodable2718, eip7685::Requests};
use alloy_evm::{Database, Evm, EvmEnv, EvmFactory, FromRecoveredTx};
use alloy_op_evm::OpTx;
use alloy_primitives::{Address, B256, Bytes, Log, U256, address, b256, hex};
use lockstep_chain::{Chain, ForkCondition, OpHardfork, Rollup};
use lockstep_union::PORT;
use op_alloy_consensus::OpTxEnvelope;
use op_revm::{
    L1BlockInfo, OpSpecId,
    constants::{BASE_FEE_RECIPIENT, L1_FEE_RECIPIENT, OPERATOR_FEE_RECIPIENT},
    estimate_tx_compressed_size,
};
use revm::{
    bytecode::Bytecode,
    context::{BlockEnv, CfgEnv},
    context_interface::{Cfg as _, Transaction as _, block::BlobExcessGasAndPrice},
    inspector::NoOpInspector,
    primitives::hardfork::SpecId,
    state::EvmState,
};

/// Where Canyon places the create2 deployer (OP spec: Canyon § create2deployer contract).
const CREATE2_DEPLOYER: Address = address!("13b0D85CcB8bf860b6b79AF3029fCA081AE9beF2");
const CREATE2_DEPLOYER_CODE_HASH: B256 =
    b256!("b0550b5b431e30d38000efb7107aaa0ade03d48a7198a140edda9d27134468b2");
const CREATE2_DEPLOYER_CODE: &[u8] = &hex!(
    "6080604052600436106100435760003560e01c8063076c37b21461004f578063481286e61461007157806356299481146100ba57806366cfa057146100da57600080fd5b3661004a57005b600080fd5b34801561005b57600080fd5b5061006f61006a366004610327565b6100fa565b005b34801561007d57600080fd5b5061009161008c366004610327565b61014a565b60405173ffffffffffffffffffffffffffffffffffffffff909116815260200160405180910390f35b3480156100c657600080fd5b506100916100d5366004610349565b61015d565b3480156100e657600080fd5b5061006f6100f53660046103ca565b610172565b61014582826040518060200161010f9061031a565b7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe082820381018352601f90910116604052610183565b505050565b600061015683836102e7565b9392505050565b600061016a8484846102f0565b949350505050565b61017d838383610183565b50505050565b6000834710156101f4576040517f08c379a000000000000000000000000000000000000000000000000000000000815260206004820152601d60248201527f437265617465323a20696e73756666696369656e742062616c616e636500000060448201526064015b60405180910390fd5b815160000361025f576040517f08c379a000000000000000000000000000000000000000000000000000000000815260206004820181905260248201527f437265617465323a2062797465636f6465206c656e677468206973207a65726f60448201526064016101eb565b8282516020840186f5905073ffffffffffffffffffffffffffffffffffffffff8116610156576040517f08c379a000000000000000000000000000000000000000000000000000000000815260206004820152601960248201527f437265617465323a204661696c6564206f6e206465706c6f790000000000000060448201526064016101eb565b60006101568383305b6000604051836040820152846020820152828152600b8101905060ff815360559020949350505050565b61014e806104ad83390190565b6000806040838503121561033a57600080fd5b50508035926020909101359150565b60008060006060848603121561035e57600080fd5b8335925060208401359150604084013573ffffffffffffffffffffffffffffffffffffffff8116811461039057600080fd5b809150509250925092565b7f4e487b7100000000000000000000000000000000000000000000000000000000600052604160045260246000fd5b6000806000606084860312156103df57600080fd5b8335925060208401359150604084013567ffffffffffffffff8082111561040557600080fd5b818601915086601f83011261041957600080fd5b81358181111561042b5761042b61039b565b604051601f82017fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0908116603f011681019083821181831017156104715761047161039b565b8160405282815289602084870101111561048a57600080fd5b826020860160208301376000602084830101528095505050505050925092509256fe608060405234801561001057600080fd5b5061012e806100206000396000f3fe6080604052348015600f57600080fd5b506004361060285760003560e01c8063249cb3fa14602d575b600080fd5b603c603836600460b1565b604e565b60405190815260200160405180910390f35b60008281526020818152604080832073ffffffffffffffffffffffffffffffffffffffff8516845290915281205460ff16608857600060aa565b7fa2ef4600d742022d532d4747cb3547474667d6f13804902513b2ec01c848f4b45b9392505050565b6000806040838503121560c357600080fd5b82359150602083013573ffffffffffffffffffffffffffffffffffffffff8116811460ed57600080fd5b80915050925092905056fea26469706673582212205ffd4e6cede7d06a5daf93d48d0541fc68189eeb16608c1999a82063b666eb1164736f6c63430008130033a2646970667358221220fdc4a0fe96e3b21c108ca155438d37c9143fb01278a3c1d274948bad89c564ba64736f6c63430008130033"
);

/// The estimate of a compressed size counts millionths of bytes.
const SIZE_ESTIMATE_SCALE: u64 = 1_000_000;

const fn spec_id(fork: OpHardfork) -> OpSpecId {
    match fork {
        OpHardfork::Bedrock => OpSpecId::BEDROCK,
        OpHardfork::Regolith => OpSpecId::REGOLITH,
        OpHardfork::Canyon => OpSpecId::CANYON,
        OpHardfork::Ecotone => OpSpecId::ECOTONE,
        OpHardfork::Fjord => OpSpecId::FJORD,
        OpHardfork::Granite => OpSpecId::GRANITE,
        OpHardfork::Holocene => OpSpecId::HOLOCENE,
        OpHardfork::Isthmus => OpSpecId::ISTHMUS,
        OpHardfork::Jovian => OpSpecId::JOVIAN,
        OpHardfork::Karst => OpSpecId::KARST,
        _ => OpSpecId::INTEROP,
    }
}

impl Execute for Rollup {
    type EvmFactory = RollupEvmFactory;
    type Commitment = lockstep_trie::StateTrie;

    fn evm_factory(&self, _: &Header) -> RollupEvmFactory {
        RollupEvmFactory { union: self.union().cloned() }
    }

    fn evm_env(&self, header: &Header) -> EvmEnvOf<Self> {
        let spec = spec_id(self.fork(header));
        let cfg =
            CfgEnv::new().with_chain_id(self.chain_id()).with_spec_and_mainnet_gas_params(spec);
        let has_blob_fee = spec.into_eth_spec() >= SpecId::CANCUN;
        let block = BlockEnv {
            number: U256::from(header.number),
            beneficiary: header.beneficiary,
            timestamp: U256::from(header.timestamp),
            gas_limit: header.gas_limit,
            basefee: header.base_fee_per_gas.unwrap_or_default(),
            difficulty: U256::ZERO,
            prevrandao: Some(header.mix_hash),
            blob_excess_gas_and_price: has_blob_fee
                .then_some(BlobExcessGasAndPrice { excess_blob_gas: 0, blob_gasprice: 1 }),
            slot_num: 0,
        };
        EvmEnv::new(cfg, block)
    }

    fn state_rules(&self, header: &Header) -> StateRules {
        let has_delegations = self.fork(header) >= OpHardfork::Isthmus;
        StateRules { deletes_empty_accounts: true, has_delegations }
    }

    fn has_intermediate_roots(&self, _: &Header) -> bool {
        false
    }

    fn tx_env(&self, transaction: &OpTxEnvelope, sender: Address) -> OpTx {
        OpTx::from_recovered_tx(transaction, sender)
    }

    fn is_deposit(&self, transaction: &OpTxEnvelope) -> bool {
        transaction.is_deposit()
    }

    fn recycle<DB: Database>(
        evm: &mut <Self::EvmFactory as EvmFactory>::Evm<DB, NoOpInspector>,
        state: EvmState,
    ) {
        evm.ctx_mut().journaled_state.inner.state = state;
    }

    fn observe_balances<DB: Database + ObserveBalances>(
        mut evm: EvmOf<Self, DB>,
    ) -> Result<EvmOf<Self, DB>, EvmOf<Self, DB>> {
        install_observers(evm.instructions_mut());
        Ok(evm)
    }

    fn before_transactions<S: StateReader>(
        &self,
        evm: &mut impl Evm<DB = BlockState<S>>,
        header: &Header,
    ) -> Result<(), ExecutionError<S::Error>> {
        if let Some(root) = header.parent_beacon_block_root {
            system_calls::store_beacon_root(evm, root)?;
        }
        if self.fork(header) >= OpHardfork::Isthmus {
            system_calls::store_parent_hash(evm, header.parent_hash)?;
        }
        let canyon = self.forks().condition(OpHardfork::Canyon);
        if canyon == ForkCondition::Timestamp(header.timestamp) {
            let state = evm.db_mut();
            let code = Bytecode::new_raw(Bytes::from_static(CREATE2_DEPLOYER_CODE));
            let placed = state.set_code(&CREATE2_DEPLOYER, CREATE2_DEPLOYER_CODE_HASH, code);
            state_result(state, placed)?;
        }
        Ok(())
    }

    fn admit<S: StateReader>(
        &self,
        state: &mut BlockState<S>,
        header: &Header,
        transaction: &OpTxEnvelope,
        progress: &Progress,
    ) -> Result<u64, ExecutionError<S::Error>> {
        let fork = self.fork(header);
        let is_deposit = transaction.is_deposit();
        // Before Regolith system deposits use no gas of the block; all others do.
        let is_system = transaction.as_deposit().is_some_and(|it| it.is_system_transaction);
        if fork >= OpHardfork::Regolith || !is_system {
            admit_gas::<Self, _>(header, transaction, progress)?;
        }
        if fork < OpHardfork::Jovian || is_deposit {
            return Ok(0);
        }
        let footprint = data_footprint(state, transaction)?;
        let available = header.gas_limit.saturating_sub(progress.blob_gas_used);
        if footprint > available {
            return Err(ExecutionError::DataFootprint {
                index: progress.transactions,
                hash: transaction.tx_hash(),
                footprint,
                available,
            });
        }
        Ok(footprint)
    }

    fn after_transactions<S: StateReader>(
        &self,
        _: &mut impl Evm<DB = BlockState<S>>,
        _: &Header,
        _: BlockParts<'_, Header>,
        _: &[impl TxReceipt<Log = Log>],
    ) -> Result<Requests, ExecutionError<S::Error>> {
        Ok(Requests::default())
    }
}

/// The gas that a transaction's data weighs (OP spec: Jovian § DA footprint block limit).
fn data_footprint<S: StateReader>(
    state: &mut BlockState<S>,
    transaction: &OpTxEnvelope,
) -> Result<u64, ExecutionError<S::Error>> {
    let scalar = L1BlockInfo::fetch_da_footprint_gas_scalar(state);
    let scalar = state_result(state, scalar)?;
    let bytes = estimate_tx_compressed_size(&transaction.encoded_2718()) / SIZE_ESTIMATE_SCALE;
    Ok(bytes.saturating_mul(scalar.into()))
}

impl Speculate for Rollup {
    type Remembered = L1BlockInfo;

    /// Deposits, and the first transaction after them: what it finds that data on L1 costs holds for all.
    fn ordered_prefix(&self, transactions: &[OpTxEnvelope]) -> usize {
        let deposits = transactions.iter().take_while(|transaction| transaction.is_deposit());
        deposits.count() + 1
    }

    /// Not deposits, which need no nonce and no balance, nor what has a part of a super transaction.
    fn may_speculate(&self, transactions: &[OpTxEnvelope], index: usize) -> bool {
        let is_deposit =
            |index: usize| transactions.get(index).is_some_and(OpTxEnvelope::is_deposit);
        !is_deposit(index) && !index.checked_sub(1).is_some_and(is_deposit)
    }

    fn expected_nonce(&self, transaction: &OpTxEnvelope) -> Option<u64> {
        Some(transaction.nonce())
    }

    fn needed_balance<V: SpeculativeView>(
        evm: &mut SpeculativeEvm<Self, V>,
        tx: &OpTx,
    ) -> Option<U256> {
        let context = evm.ctx_mut();
        if context.chain.l2_block != Some(context.block.number) {
            return None;
        }
        context.chain.clear_tx_l1_cost();
        let on_l1 = context.chain.tx_cost_with_tx(&tx.0, context.cfg.spec)?;
        tx.0.base.max_balance_spending().ok()?.checked_add(on_l1)
    }

    fn transfer_rules(&self, header: &Header, costs: &L1BlockInfo) -> Option<TransferRules> {
        if costs.l2_block != Some(U256::from(header.number)) {
            return None;
        }
        Some(TransferRules {
            chain_id: self.chain_id(),
            gas_limit_cap: self.evm_env(header).cfg_env.tx_gas_limit_cap(),
            base_fee: Some(header.base_fee_per_gas.unwrap_or_default()),
            has_access_lists: true,
            beneficiary: header.beneficiary,
            port: self.union().map(|_| PORT),
            vaults: Some(VaultFees { costs: costs.clone(), spec: spec_id(self.fork(header)) }),
        })
    }

    fn remembered<S: StateReader>(
        evm: &mut <Self::EvmFactory as EvmFactory>::Evm<BlockState<S>, NoOpInspector>,
    ) -> L1BlockInfo {
        evm.ctx_mut().chain.clone()
    }

    /// What data on L1 costs, as the first transaction after the deposits finds it.
    fn prepare<S: StateReader>(
        evm: &mut <Self::EvmFactory as EvmFactory>::Evm<BlockState<S>, NoOpInspector>,
    ) -> bool {
        let context = evm.ctx_mut();
        let (number, spec) = (context.block.number, context.cfg.spec);
        if context.chain.l2_block == Some(number) {
            return true;
        }
        let Ok(costs) = L1BlockInfo::try_fetch(&mut context.journaled_state.database, number, spec)
        else {
            return false;
        };
        context.chain = costs;
        true
    }

    fn remember<V: SpeculativeView>(evm: &mut SpeculativeEvm<Self, V>, remembered: &L1BlockInfo) {
        evm.ctx_mut().chain = remembered.clone();
    }

    fn fee_recipients(&self, header: &Header) -> Vec<Address> {
        alloc::vec![
            header.beneficiary,
            BASE_FEE_RECIPIENT,
            L1_FEE_RECIPIENT,
            OPERATOR_FEE_RECIPIENT
        ]
    }
}
