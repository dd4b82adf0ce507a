//! Ethereum, from Frontier to the newest fork that the pinned revm implements.

use crate::{
    Block, BodyError, Chain, EthereumReceipt, ForkSchedule, HeaderError,
    base_fee::BaseFeeRule,
    body,
    difficulty::{ParentDifficulty, next_difficulty},
    header::{
        self, MAX_EXTRA_DATA_BYTES, expect, expect_presence, validate_gas, validate_link,
        validate_proof_of_stake,
    },
};
use alloc::{string::ToString, vec::Vec};
use alloy_consensus::{
    BlockHeader, EMPTY_OMMER_ROOT_HASH, EthereumTxEnvelope, Header, Receipt, Transaction,
    TxEip4844, Typed2718,
};
use alloy_eips::{
    eip1559::INITIAL_BASE_FEE,
    eip4844::DATA_GAS_PER_BLOB,
    eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS,
    eip7594::MAX_BLOBS_PER_TX_FUSAKA,
    eip7840::{BLOB_BASE_COST, BlobParams},
};
use alloy_hardforks::{EthereumHardfork, ForkCondition};
use alloy_primitives::{Address, B256, Sealed, U256, address, bytes};
use alloy_rlp::Encodable;

/// A signed transaction as it stands in an Ethereum block (blob sidecars travel elsewhere).
pub type EthereumTransaction = EthereumTxEnvelope<TxEip4844>;

/// The largest block from Osaka on, in bytes of RLP: 10 MiB less 2 MiB for the beacon block
/// (EIP-7934).
pub const MAX_BLOCK_RLP_BYTES: usize = 8 * 1024 * 1024;

/// The newest fork whose rules are implemented.
pub const NEWEST_FORK: EthereumHardfork = EthereumHardfork::Bpo5;

/// The ten blocks from the DAO fork on carry this extra data (EIP-779).
const DAO_EXTRA_DATA: alloy_primitives::Bytes = bytes!("64616f2d686172642d666f726b");
const DAO_EXTRA_DATA_BLOCKS: u64 = 10;

/// The definition of an Ethereum chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ethereum {
    chain_id: u64,
    forks: ForkSchedule<EthereumHardfork>,
    blobs: Vec<(EthereumHardfork, BlobParams)>,
    deposit_contract: Address,
}

impl Ethereum {
    /// A chain with these forks, Ethereum's blob schedule (EIP-7840, EIP-7892) and mainnet's
    /// deposit contract.
    pub fn new(chain_id: u64, forks: ForkSchedule<EthereumHardfork>) -> Self {
        let blobs = Vec::from([
            (EthereumHardfork::Cancun, BlobParams::cancun()),
            (EthereumHardfork::Prague, BlobParams::prague()),
            (EthereumHardfork::Osaka, BlobParams::osaka()),
            (EthereumHardfork::Bpo1, BlobParams::bpo1()),
            (EthereumHardfork::Bpo2, BlobParams::bpo2()),
        ]);
        Self { chain_id, forks, blobs, deposit_contract: MAINNET_DEPOSIT_CONTRACT_ADDRESS }
    }

    /// Ethereum mainnet.
    pub fn mainnet() -> Self {
        Self::new(1, ForkSchedule::new(EthereumHardfork::mainnet()))
    }

    /// The Sepolia test network.
    pub fn sepolia() -> Self {
        Self::new(11_155_111, ForkSchedule::new(EthereumHardfork::sepolia()))
            .with_deposit_contract(address!("7f02c3e3c98b133055b8b348b2ac625669ed295d"))
    }

    /// The Hoodi test network.
    pub fn hoodi() -> Self {
        Self::new(560_048, ForkSchedule::new(EthereumHardfork::hoodi()))
    }

    /// The same chain with the blob parameters of `fork` replaced.
    ///
    /// The limit per transaction and the reserve price are the fork's (EIP-7594, EIP-7918)
    /// whatever `params` says.
    #[must_use]
    pub fn with_blob_params(mut self, fork: EthereumHardfork, params: BlobParams) -> Self {
        let params = if fork >= EthereumHardfork::Osaka {
            params
                .with_max_blobs_per_tx(MAX_BLOBS_PER_TX_FUSAKA)
                .with_blob_base_cost(BLOB_BASE_COST)
        } else {
            params.with_max_blobs_per_tx(params.max_blob_count).with_blob_base_cost(0)
        };
        self.blobs.retain(|(known, _)| *known != fork);
        self.blobs.push((fork, params));
        self.blobs.sort_by_key(|(fork, _)| *fork);
        self
    }

    /// The same chain with another deposit contract (EIP-6110).
    #[must_use]
    pub const fn with_deposit_contract(mut self, address: Address) -> Self {
        self.deposit_contract = address;
        self
    }

    /// The contract whose events are deposit requests (EIP-6110).
    pub const fn deposit_contract(&self) -> Address {
        self.deposit_contract
    }

    /// The fork schedule.
    pub const fn forks(&self) -> &ForkSchedule<EthereumHardfork> {
        &self.forks
    }

    /// The blob parameters in force at `fork`: those of the newest fork up to it that changed
    /// them; `None` before Cancun.
    pub fn blob_params(&self, fork: EthereumHardfork) -> Option<BlobParams> {
        self.blobs.iter().rev().find(|(since, _)| *since <= fork).map(|(_, params)| *params)
    }

    /// Whether the DAO's balances move in block `number` (EIP-779).
    pub fn is_dao_fork_block(&self, number: u64) -> bool {
        self.forks.condition(EthereumHardfork::Dao) == ForkCondition::Block(number)
    }

    /// The difficulty that a proof-of-work child of `parent` at `timestamp` must have.
    pub fn next_difficulty(&self, parent: &Header, timestamp: u64) -> U256 {
        let number = parent.number.saturating_add(1);
        // Any difficulty but zero: the child is proof-of-work.
        let fork = self.forks.fork(number, timestamp, U256::ONE);
        let has_ommers = parent.ommers_hash != EMPTY_OMMER_ROOT_HASH;
        let parent = ParentDifficulty {
            difficulty: parent.difficulty,
            timestamp: parent.timestamp,
            has_ommers,
        };
        next_difficulty(fork, number, timestamp, parent)
    }

    /// Checks that `fork` knows the transaction's type and the form of its signature; `index` is
    /// its position in the block, for the error.
    ///
    /// # Errors
    /// [`BodyError::TransactionType`] or [`BodyError::Signature`].
    pub fn validate_transaction_form(
        &self,
        fork: EthereumHardfork,
        index: usize,
        tx: &EthereumTransaction,
    ) -> Result<(), BodyError> {
        let since = match tx {
            EthereumTransaction::Legacy(_) => EthereumHardfork::Frontier,
            EthereumTransaction::Eip2930(_) => EthereumHardfork::Berlin,
            EthereumTransaction::Eip1559(_) => EthereumHardfork::London,
            EthereumTransaction::Eip4844(_) => EthereumHardfork::Cancun,
            EthereumTransaction::Eip7702(_) => EthereumHardfork::Prague,
        };
        if fork < since {
            return Err(BodyError::TransactionType { index, ty: tx.ty(), fork: fork.to_string() });
        }
        let is_replay_protected = tx.is_legacy() && tx.chain_id().is_some();
        if is_replay_protected && fork < EthereumHardfork::SpuriousDragon {
            let reason = "a signature with a chain id (EIP-155) before Spurious Dragon";
            return Err(BodyError::Signature { index, reason });
        }
        Ok(())
    }

    fn validate_dao_extra_data(&self, header: &Header) -> Result<(), HeaderError> {
        if let ForkCondition::Block(dao) = self.forks.condition(EthereumHardfork::Dao)
            && (dao..dao.saturating_add(DAO_EXTRA_DATA_BLOCKS)).contains(&header.number)
        {
            expect("extraData", &header.extra_data, &DAO_EXTRA_DATA)?;
        }
        Ok(())
    }

    fn validate_blob_fields(
        &self,
        header: &Header,
        fork: EthereumHardfork,
    ) -> Result<(), HeaderError> {
        let (Some(params), Some(used)) = (self.blob_params(fork), header.blob_gas_used) else {
            return Ok(());
        };
        let limit = params.max_blob_gas_per_block();
        if used > limit || used % DATA_GAS_PER_BLOB != 0 {
            let limit = alloc::format!("a multiple of {DATA_GAS_PER_BLOB} up to {limit}");
            return Err(HeaderError::limit("blobGasUsed", limit, used));
        }
        Ok(())
    }

    /// Proof of work until the terminal total difficulty, proof of stake from then on (EIP-3675).
    fn validate_merge(
        &self,
        header: &Header,
        parent_total_difficulty: Option<U256>,
    ) -> Result<(), HeaderError> {
        let ForkCondition::TTD { activation_block_number, total_difficulty, .. } =
            self.forks.condition(EthereumHardfork::Paris)
        else {
            return Ok(());
        };
        let is_stake = header.difficulty.is_zero();
        let may_be_stake = match parent_total_difficulty {
            Some(reached) => reached >= total_difficulty,
            None if total_difficulty.is_zero() => true,
            None if activation_block_number > 0 => header.number >= activation_block_number,
            // An ommer, judged without its parent's total difficulty, is proof-of-work.
            None => is_stake,
        };
        if is_stake == may_be_stake {
            return Ok(());
        }
        Err(HeaderError::Merge {
            kind: if is_stake { "proof-of-stake" } else { "proof-of-work" },
            parent_total_difficulty: parent_total_difficulty.unwrap_or_default(),
            terminal: total_difficulty,
        })
    }

    fn validate_excess_blob_gas(
        &self,
        header: &Header,
        parent: &Header,
    ) -> Result<(), HeaderError> {
        let fork = self.fork(header);
        let (Some(params), Some(excess)) = (self.blob_params(fork), header.excess_blob_gas) else {
            return Ok(());
        };
        expect("excessBlobGas", &excess, &next_excess_blob_gas(params, parent))
    }
}

/// The excess blob gas of a child of `parent` under the child's blob parameters (EIP-4844, with
/// the reserve price of EIP-7918 where the parameters have one).
pub fn next_excess_blob_gas(params: BlobParams, parent: &Header) -> u64 {
    let parent_excess = parent.excess_blob_gas.unwrap_or_default();
    let parent_used = parent.blob_gas_used.unwrap_or_default();
    let total = parent_excess.saturating_add(parent_used);
    let Some(above_target) = total.checked_sub(params.target_blob_gas_per_block()) else {
        return 0;
    };
    let reserve = U256::from(params.blob_base_cost)
        .saturating_mul(U256::from(parent.base_fee_per_gas.unwrap_or_default()));
    let blob_price = U256::from(DATA_GAS_PER_BLOB)
        .saturating_mul(U256::from(params.calc_blob_fee(parent_excess)));
    if reserve <= blob_price {
        return above_target;
    }
    let spare_blobs = params.max_blob_count.saturating_sub(params.target_blob_count);
    let scaled = u128::from(parent_used) * u128::from(spare_blobs)
        / u128::from(params.max_blob_count.max(1));
    parent_excess.saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX))
}

impl Chain for Ethereum {
    type Transaction = EthereumTransaction;
    type Receipt = EthereumReceipt;
    type Header = Header;
    type Fork = EthereumHardfork;

    fn chain_id(&self) -> u64 {
        self.chain_id
    }

    fn fork(&self, header: &Header) -> EthereumHardfork {
        self.forks.fork(header.number, header.timestamp, header.difficulty)
    }

    fn validate_header(&self, header: &Header) -> Result<(), HeaderError> {
        let fork = self.fork(header);
        if fork > NEWEST_FORK {
            return Err(HeaderError::limit("timestamp", "a fork up to BPO5", fork));
        }
        let since = |first| fork >= first;
        if since(EthereumHardfork::Paris) {
            validate_proof_of_stake(header)?;
        }
        if header.extra_data.len() > MAX_EXTRA_DATA_BYTES {
            let got = alloc::format!("{} bytes", header.extra_data.len());
            return Err(HeaderError::limit("extraData", "32 bytes", got));
        }
        self.validate_dao_extra_data(header)?;
        validate_gas(header)?;
        let london = since(EthereumHardfork::London);
        expect_presence("baseFeePerGas", &header.base_fee_per_gas, london, fork)?;
        let shanghai = since(EthereumHardfork::Shanghai);
        expect_presence("withdrawalsRoot", &header.withdrawals_root, shanghai, fork)?;
        let cancun = since(EthereumHardfork::Cancun);
        expect_presence("blobGasUsed", &header.blob_gas_used, cancun, fork)?;
        expect_presence("excessBlobGas", &header.excess_blob_gas, cancun, fork)?;
        expect_presence("parentBeaconBlockRoot", &header.parent_beacon_block_root, cancun, fork)?;
        let prague = since(EthereumHardfork::Prague);
        expect_presence("requestsHash", &header.requests_hash, prague, fork)?;
        expect_presence("blockAccessListHash", &header.block_access_list_hash, false, fork)?;
        expect_presence("slotNumber", &header.slot_number, false, fork)?;
        self.validate_blob_fields(header, fork)
    }

    fn validate_header_against_parent(
        &self,
        header: &Header,
        parent: &Sealed<Header>,
        parent_total_difficulty: Option<U256>,
    ) -> Result<(), HeaderError> {
        validate_link(header, parent)?;
        self.validate_merge(header, parent_total_difficulty)?;
        if self.fork(header) < EthereumHardfork::Paris {
            let expected = self.next_difficulty(parent, header.timestamp);
            expect("difficulty", &header.difficulty, &expected)?;
        }
        // At London the gas limit doubles, so that the target is what the limit was (EIP-1559).
        let doubles = header.base_fee_per_gas.is_some() && parent.base_fee_per_gas.is_none();
        let elasticity = if doubles { BaseFeeRule::ETHEREUM.elasticity } else { 1 };
        header::validate_gas_limit_step(header, parent.gas_limit.saturating_mul(elasticity))?;
        if let (Some(got), Some(expected)) =
            (header.base_fee_per_gas, self.next_base_fee(parent, header.timestamp))
        {
            expect("baseFeePerGas", &got, &expected)?;
        }
        self.validate_excess_blob_gas(header, parent)
    }

    fn validate_body(&self, block: &Block<Self>) -> Result<(), BodyError> {
        let fork = self.fork(&block.header);
        if fork >= EthereumHardfork::Osaka && block.length() > MAX_BLOCK_RLP_BYTES {
            return Err(BodyError::TooLarge { bytes: block.length(), limit: MAX_BLOCK_RLP_BYTES });
        }
        for (index, tx) in block.body.transactions.iter().enumerate() {
            self.validate_transaction_form(fork, index, tx)?;
        }
        body::validate_roots(block)?;
        let shanghai = fork >= EthereumHardfork::Shanghai;
        expect_presence("withdrawals", &block.body.withdrawals, shanghai, fork)?;
        if let Some(withdrawals) = &block.body.withdrawals {
            let expected: B256 = body::withdrawals_root(withdrawals);
            let got = block.header.withdrawals_root.unwrap_or_default();
            expect("withdrawalsRoot", &got, &expected)?;
        }
        let max_blobs = self.blob_params(fork).map_or(0, |params| params.max_blobs_per_tx);
        body::validate_blob_gas(block, max_blobs)
    }

    fn recover_senders_of(
        &self,
        header: &Header,
        transactions: &[EthereumTransaction],
    ) -> Result<Vec<Address>, BodyError> {
        if self.fork(header) >= EthereumHardfork::Homestead {
            body::recover_senders(transactions)
        } else {
            body::recover_senders_any_s(transactions)
        }
    }

    fn next_base_fee(&self, parent: &Header, timestamp: u64) -> Option<u64> {
        if let Some(base_fee) = parent.base_fee_per_gas {
            return Some(BaseFeeRule::ETHEREUM.next(base_fee, parent.gas_used, parent.gas_limit));
        }
        let fork = self.forks.fork(parent.number().saturating_add(1), timestamp, U256::ONE);
        (fork >= EthereumHardfork::London).then_some(INITIAL_BASE_FEE)
    }

    fn receipt(
        &self,
        _: &Header,
        transaction: &EthereumTransaction,
        receipt: Receipt,
        _: Option<u64>,
    ) -> EthereumReceipt {
        EthereumReceipt { tx_type: transaction.tx_type(), receipt }
    }
}
