//! A small chain of really executed blocks, and users who sign transactions.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "test code")]

use alloy_consensus::{
    BlockBody, EthereumTxEnvelope, Header, SignableTransaction, TxEip1559, TxEip4844, TxEip7702,
    TxLegacy, transaction::SignerRecoverable,
};
use alloy_eips::{
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Sealable, Sealed, Signature, TxKind, U256, bytes};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{Chain, Ethereum, EthereumHardfork, EthereumTransaction, ForkSchedule};
use lockstep_execution::{
    AccountInfo, Bytecode, ExecuteOptions, MemoryState, StateReader, execute_block,
};
use lockstep_pool::{EthereumPooledTransaction, Origin, Pool, PoolConfig, PoolError, PoolHead};
use lockstep_storage::{ExecutedBlock, RecoveredBlock, State, StorageError, TrieNodes};
use lockstep_trie::{NodePath, NodeSource};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

pub(crate) const GWEI: u128 = 1_000_000_000;
pub(crate) const ETHER: u128 = GWEI * GWEI;
pub(crate) const CHAIN_ID: u64 = 1337;
pub(crate) const GAS_LIMIT: u64 = 30_000_000;

/// A memory state whose accounts can be made unreadable.
#[derive(Debug, Default)]
pub(crate) struct TestState {
    pub(crate) memory: MemoryState,
    pub(crate) unreadable: Mutex<HashSet<Address>>,
}

impl StateReader for TestState {
    type Error = StorageError;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, StorageError> {
        if self.unreadable.lock().unwrap().contains(address) {
            return Err(StorageError::Missing("the account".into()));
        }
        Ok(self.memory.account(address).unwrap())
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, StorageError> {
        Ok(self.memory.storage(address, slot).unwrap())
    }

    fn has_storage(&self, address: &Address) -> Result<bool, StorageError> {
        Ok(self.memory.has_storage(address).unwrap())
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, StorageError> {
        Ok(self.memory.code(code_hash).unwrap())
    }

    fn block_hash(&self, number: u64) -> Result<B256, StorageError> {
        Ok(self.memory.block_hash(number).unwrap())
    }
}

impl NodeSource for TestState {
    type Error = StorageError;

    fn node(&self, _: &NodePath, _: B256) -> Result<Option<Bytes>, StorageError> {
        Ok(None)
    }
}

impl State for TestState {
    fn state_root(&self) -> B256 {
        B256::ZERO
    }
}

/// A block, and the state after it.
#[derive(Clone, Debug)]
pub(crate) struct Tip {
    pub(crate) header: Sealed<Header>,
    pub(crate) state: Arc<TestState>,
    pub(crate) executed: Option<Arc<ExecutedBlock<Ethereum>>>,
}

impl Tip {
    pub(crate) fn head(&self) -> PoolHead<Ethereum> {
        PoolHead { header: self.header.clone(), state: self.state.clone() }
    }

    pub(crate) fn block(&self) -> Arc<ExecutedBlock<Ethereum>> {
        self.executed.clone().unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) chain: Ethereum,
    pub(crate) users: Vec<PrivateKeySigner>,
    pub(crate) genesis: Tip,
}

impl World {
    pub(crate) fn new(fork: EthereumHardfork) -> Self {
        Self::with_chain(Ethereum::new(CHAIN_ID, ForkSchedule::<EthereumHardfork>::at(fork)))
    }

    /// Ten users with one ether each.
    pub(crate) fn with_chain(chain: Ethereum) -> Self {
        let users: Vec<_> = (1..=10u8)
            .map(|n| PrivateKeySigner::from_bytes(&B256::with_last_byte(n)).unwrap())
            .collect();
        let mut memory = MemoryState::default();
        for user in &users {
            memory.set_account(user.address(), 0, U256::from(ETHER), Bytecode::default());
        }
        // From Prague on a block needs contracts that answer with requests: here with none.
        for contract in
            [WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS]
        {
            let stop = Bytecode::new_legacy(bytes!("00"));
            memory.set_account(contract, 1, U256::ZERO, stop);
        }
        let genesis = Self::tip(memory);
        Self { chain, users, genesis }
    }

    pub(crate) fn tip(memory: MemoryState) -> Tip {
        let header = Header {
            gas_limit: GAS_LIMIT,
            base_fee_per_gas: Some(10),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            withdrawals_root: Some(B256::ZERO),
            ..Default::default()
        };
        let state = Arc::new(TestState { memory, unreadable: Mutex::default() });
        Tip { header: header.seal_slow(), state, executed: None }
    }

    /// The genesis state with one account changed.
    pub(crate) fn genesis_with(&self, change: impl FnOnce(&mut MemoryState)) -> Tip {
        let mut memory = self.genesis.state.memory.clone();
        change(&mut memory);
        Self::tip(memory)
    }

    pub(crate) fn pool(&self) -> Pool<Ethereum> {
        self.pool_with(PoolConfig::default())
    }

    pub(crate) fn pool_with(&self, config: PoolConfig) -> Pool<Ethereum> {
        Pool::new(self.chain.clone(), config, self.genesis.head())
    }

    pub(crate) fn address(&self, user: usize) -> Address {
        self.users[user].address()
    }

    /// A child of `parent` with these transactions. `gas_used` is what its child's base fee
    /// follows from; `salt` tells siblings apart.
    pub(crate) fn child(
        &self,
        parent: &Tip,
        transactions: Vec<EthereumTransaction>,
        gas_used: u64,
        salt: u64,
    ) -> Tip {
        let header = Header {
            parent_hash: parent.header.seal(),
            number: parent.header.number + 1,
            timestamp: parent.header.timestamp + 12,
            gas_used,
            mix_hash: B256::from(U256::from(salt)),
            base_fee_per_gas: self.chain.next_base_fee(&parent.header, 0),
            ..parent.header.inner().clone()
        };
        let senders: Vec<_> = transactions.iter().map(|tx| tx.recover_signer().unwrap()).collect();
        let body = BlockBody { transactions, ..Default::default() };
        let block = header.into_block(body);
        let options = ExecuteOptions::default();
        let output =
            execute_block(&self.chain, &block, &senders, &parent.state.memory, options).unwrap();
        let mut memory = parent.state.memory.clone();
        memory.apply(&output.changes);
        let header = block.header.clone().seal_slow();
        let block = Sealed::new_unchecked(block, header.seal());
        let recovered = Arc::new(RecoveredBlock { block, senders });
        let executed = ExecutedBlock::new(
            recovered,
            output.receipts,
            output.requests,
            U256::ZERO,
            output.changes,
            TrieNodes::default(),
        );
        let state = Arc::new(TestState { memory, unreadable: Mutex::default() });
        Tip { header, state, executed: Some(Arc::new(executed)) }
    }

    fn sign(&self, user: usize, hash: B256) -> Signature {
        self.users[user].sign_hash_sync(&hash).unwrap()
    }

    pub(crate) fn signed(&self, user: usize, tx: TxEip1559) -> EthereumPooledTransaction {
        let signature = self.sign(user, tx.signature_hash());
        EthereumTxEnvelope::Eip1559(tx.into_signed(signature))
    }

    pub(crate) fn signed_legacy(&self, user: usize, tx: TxLegacy) -> EthereumPooledTransaction {
        let signature = self.sign(user, tx.signature_hash());
        EthereumTxEnvelope::Legacy(tx.into_signed(signature))
    }

    pub(crate) fn signed_blob<S>(
        &self,
        user: usize,
        tx: TxEip4844,
        sidecar: S,
    ) -> EthereumTxEnvelope<alloy_consensus::TxEip4844WithSidecar<S>>
    where
        alloy_consensus::TxEip4844WithSidecar<S>: SignableTransaction<Signature>,
    {
        let signature = self.sign(user, tx.signature_hash());
        EthereumTxEnvelope::Eip4844(tx.with_sidecar(sidecar).into_signed(signature))
    }

    /// A transfer of 1 wei.
    pub(crate) fn transfer(&self, user: usize, nonce: u64, fee: u128) -> EthereumPooledTransaction {
        self.signed(user, transfer(nonce, fee, fee))
    }

    pub(crate) fn set_code(
        &self,
        user: usize,
        nonce: u64,
        authorities: &[usize],
    ) -> EthereumPooledTransaction {
        let authorization_list = authorities.iter().map(|user| self.authorization(*user)).collect();
        let tx = TxEip7702 {
            chain_id: CHAIN_ID,
            nonce,
            gas_limit: 200_000,
            max_fee_per_gas: 100,
            max_priority_fee_per_gas: 100,
            to: Address::repeat_byte(7),
            authorization_list,
            ..Default::default()
        };
        let signature = self.sign(user, tx.signature_hash());
        EthereumTxEnvelope::Eip7702(tx.into_signed(signature))
    }

    fn authorization(&self, user: usize) -> SignedAuthorization {
        let authorization = Authorization {
            chain_id: U256::from(CHAIN_ID),
            address: Address::repeat_byte(9),
            nonce: 0,
        };
        let signature = self.sign(user, authorization.signature_hash());
        authorization.into_signed(signature)
    }
}

/// A transfer of 1 wei.
pub(crate) fn transfer(nonce: u64, max_fee: u128, tip: u128) -> TxEip1559 {
    TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: max_fee,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(Address::repeat_byte(0xaa)),
        value: U256::ONE,
        ..Default::default()
    }
}

/// The error that an addition must have.
pub(crate) fn refused(pool: &Pool<Ethereum>, tx: EthereumPooledTransaction) -> PoolError {
    pool.add(tx, Origin::External).unwrap_err()
}
