//! A rollup under the OP Stack's rules, from Bedrock to the newest fork that the pinned op-revm
//! implements.

use crate::{
    Block, BodyError, Chain, ForkSchedule, GATE, HeaderError, PORT, UnionRules,
    base_fee::BaseFeeRule,
    body,
    chain::receipts_root,
    header::{
        MAX_EXTRA_DATA_BYTES, expect, expect_presence, validate_gas, validate_link,
        validate_proof_of_stake,
    },
};
use alloc::{sync::Arc, vec::Vec};
use alloy_consensus::{Header, Receipt};
use alloy_eips::eip7685::EMPTY_REQUESTS_HASH;
use alloy_hardforks::ForkCondition;
use alloy_op_hardforks::OpHardfork;
use alloy_primitives::{B256, Bloom, Sealed, U256};
use op_alloy_consensus::{
    OpDepositReceipt, OpReceipt, OpTxEnvelope, OpTxType, decode_holocene_extra_data,
    decode_jovian_extra_data,
};

/// The EIP-1559 constants of a rollup before they stood in each header (Holocene).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeParams {
    /// The gas target is the gas limit divided by this.
    pub elasticity: u64,
    /// Base fee change denominator from Bedrock on.
    pub denominator: u64,
    /// Base fee change denominator from Canyon on.
    pub denominator_canyon: u64,
}

impl FeeParams {
    /// OP Mainnet's constants.
    pub const OP_MAINNET: Self = Self { elasticity: 6, denominator: 50, denominator_canyon: 250 };
}

/// The definition of a rollup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollup {
    chain_id: u64,
    forks: ForkSchedule<OpHardfork>,
    fees: FeeParams,
    union: Option<Arc<UnionRules>>,
}

impl Rollup {
    /// A rollup with these forks and EIP-1559 constants.
    pub const fn new(chain_id: u64, forks: ForkSchedule<OpHardfork>, fees: FeeParams) -> Self {
        Self { chain_id, forks, fees, union: None }
    }

    /// The rollup as a member of a union.
    #[must_use]
    pub fn with_union(self, rules: UnionRules) -> Self {
        Self { union: Some(Arc::new(rules)), ..self }
    }

    /// OP Mainnet, from Bedrock on.
    pub fn op_mainnet() -> Self {
        let forks = ForkSchedule::new(OpHardfork::op_mainnet());
        Self::new(10, forks, FeeParams::OP_MAINNET)
    }

    /// OP Sepolia.
    pub fn op_sepolia() -> Self {
        let forks = ForkSchedule::new(OpHardfork::op_sepolia());
        Self::new(11_155_420, forks, FeeParams::OP_MAINNET)
    }

    /// Base.
    pub fn base() -> Self {
        let forks = ForkSchedule::new(OpHardfork::base_mainnet());
        Self::new(8_453, forks, FeeParams::OP_MAINNET)
    }

    /// The fork schedule.
    pub const fn forks(&self) -> &ForkSchedule<OpHardfork> {
        &self.forks
    }

    /// The rules of the union that the rollup is a member of.
    pub const fn union(&self) -> Option<&Arc<UnionRules>> {
        self.union.as_ref()
    }

    /// The EIP-1559 constants in force before Holocene.
    pub const fn fees(&self) -> FeeParams {
        self.fees
    }

    /// Whether the first block of Canyon is the one at `timestamp` whose parent is at
    /// `parent_timestamp` (both in seconds): the create2 deployer is placed in it.
    pub fn is_canyon_block(&self, timestamp: u64, parent_timestamp: u64) -> bool {
        self.forks
            .condition(OpHardfork::Canyon)
            .transitions_at_timestamp(timestamp, parent_timestamp)
    }

    /// Checks that the fork of the block knows the types of its transactions, and that those that
    /// hold parts of super transactions stand where they may: what of [`Chain::validate_body`] needs
    /// no root.
    ///
    /// # Errors
    /// [`BodyError::TransactionType`] for the first transaction of another type, [`BodyError::Part`].
    pub fn validate_transactions(&self, block: &Block<Self>) -> Result<(), BodyError> {
        let fork = self.fork(&block.header);
        let transactions = &block.body.transactions;
        for (index, tx) in transactions.iter().enumerate() {
            if self.union.is_some() {
                validate_part(index, tx, transactions.get(index.saturating_add(1)))?;
            }
            let known = match tx.tx_type() {
                OpTxType::Eip7702 => fork >= OpHardfork::Isthmus,
                OpTxType::PostExec => false,
                _ => true,
            };
            if !known {
                let fork = alloc::format!("{fork}");
                return Err(BodyError::TransactionType { index, ty: tx.tx_type() as u8, fork });
            }
        }
        Ok(())
    }

    fn fork_at(&self, number: u64, timestamp: u64) -> OpHardfork {
        self.forks.fork(number, timestamp)
    }

    /// The base fee rule and the minimum base fee that the child of `parent` follows.
    ///
    /// Source: OP spec, Holocene and Jovian § EIP-1559 parameters in block header.
    fn base_fee_rule(&self, parent: &Header, timestamp: u64) -> Option<(BaseFeeRule, u64)> {
        let rule = |elasticity: u32, denominator: u32| BaseFeeRule {
            elasticity: elasticity.into(),
            denominator: denominator.into(),
        };
        let parent_fork = self.fork(parent);
        if parent_fork >= OpHardfork::Jovian {
            let (elasticity, denominator, minimum) =
                decode_jovian_extra_data(&parent.extra_data).ok()?;
            return Some((rule(elasticity, denominator), minimum));
        }
        if parent_fork >= OpHardfork::Holocene {
            let (elasticity, denominator) = decode_holocene_extra_data(&parent.extra_data).ok()?;
            return Some((rule(elasticity, denominator), 0));
        }
        let canyon = self.fork_at(parent.number.saturating_add(1), timestamp) >= OpHardfork::Canyon;
        let denominator = if canyon { self.fees.denominator_canyon } else { self.fees.denominator };
        Some((BaseFeeRule { elasticity: self.fees.elasticity, denominator }, 0))
    }
}

/// A transaction that holds a part is addressed to the Gate on peers; on the home rollup it is addressed
/// to the port, and the user's transaction follows (`docs/super-transactions.md`, rule 8.6).
fn validate_part(
    index: usize,
    transaction: &OpTxEnvelope,
    next: Option<&OpTxEnvelope>,
) -> Result<(), BodyError> {
    let reason = match transaction.as_deposit() {
        Some(deposit) if deposit.from == PORT => match deposit.to.to() {
            Some(&GATE) => return Ok(()),
            Some(&PORT) if next.is_some_and(|next| !next.is_deposit()) => return Ok(()),
            Some(&PORT) => "no user's transaction follows",
            _ => "it is addressed neither to the Gate nor to the port",
        },
        _ => return Ok(()),
    };
    Err(BodyError::Part { index, reason })
}

/// The extra data has the version and length of its fork, and usable parameters.
fn validate_extra_data(header: &Header, fork: OpHardfork) -> Result<(), HeaderError> {
    let len = header.extra_data.len();
    let decoded = if fork >= OpHardfork::Jovian {
        decode_jovian_extra_data(&header.extra_data)
            .map(|(elasticity, denominator, _)| (elasticity, denominator))
    } else if fork >= OpHardfork::Holocene {
        decode_holocene_extra_data(&header.extra_data)
    } else if len <= MAX_EXTRA_DATA_BYTES {
        return Ok(());
    } else {
        return Err(HeaderError::limit("extraData", "32 bytes", alloc::format!("{len} bytes")));
    };
    match decoded {
        Ok((elasticity, denominator)) if elasticity > 0 && denominator > 0 => Ok(()),
        Ok(_) => Err(HeaderError::limit("extraData", "EIP-1559 parameters above zero", "zero")),
        Err(error) => Err(HeaderError::limit("extraData", "EIP-1559 parameters", error)),
    }
}

impl Chain for Rollup {
    type Transaction = OpTxEnvelope;
    type Receipt = OpReceipt;
    type Header = Header;
    type Fork = OpHardfork;

    fn chain_id(&self) -> u64 {
        self.chain_id
    }

    fn fork(&self, header: &Header) -> OpHardfork {
        self.fork_at(header.number, header.timestamp)
    }

    fn validate_header(&self, header: &Header) -> Result<(), HeaderError> {
        let fork = self.fork(header);
        let since = |first| fork >= first;
        if let ForkCondition::Block(bedrock) = self.forks.condition(OpHardfork::Bedrock)
            && header.number < bedrock
        {
            let limit = alloc::format!("{bedrock} (Bedrock) or later");
            return Err(HeaderError::limit("number", limit, header.number));
        }
        validate_proof_of_stake(header)?;
        validate_extra_data(header, fork)?;
        validate_gas(header)?;
        expect_presence("baseFeePerGas", &header.base_fee_per_gas, true, fork)?;
        let canyon = since(OpHardfork::Canyon);
        expect_presence("withdrawalsRoot", &header.withdrawals_root, canyon, fork)?;
        if let Some(root) = header.withdrawals_root
            && !since(OpHardfork::Isthmus)
        {
            expect("withdrawalsRoot", &root, &alloy_consensus::EMPTY_ROOT_HASH)?;
        }
        let ecotone = since(OpHardfork::Ecotone);
        expect_presence("blobGasUsed", &header.blob_gas_used, ecotone, fork)?;
        expect_presence("excessBlobGas", &header.excess_blob_gas, ecotone, fork)?;
        expect_presence("parentBeaconBlockRoot", &header.parent_beacon_block_root, ecotone, fork)?;
        expect("excessBlobGas", &header.excess_blob_gas.unwrap_or_default(), &0)?;
        let isthmus = since(OpHardfork::Isthmus);
        expect_presence("requestsHash", &header.requests_hash, isthmus, fork)?;
        if let Some(hash) = header.requests_hash {
            expect("requestsHash", &hash, &EMPTY_REQUESTS_HASH)?;
        }
        expect_presence("blockAccessListHash", &header.block_access_list_hash, false, fork)?;
        expect_presence("slotNumber", &header.slot_number, false, fork)?;
        // From Jovian on the field holds the data-availability footprint, known after execution.
        let footprint = header.blob_gas_used.unwrap_or_default();
        if !since(OpHardfork::Jovian) {
            expect("blobGasUsed", &footprint, &0)?;
        } else if footprint > header.gas_limit {
            return Err(HeaderError::limit("blobGasUsed", header.gas_limit, footprint));
        }
        Ok(())
    }

    fn validate_header_against_parent(
        &self,
        header: &Header,
        parent: &Sealed<Header>,
        _: Option<U256>,
    ) -> Result<(), HeaderError> {
        // The gas limit is set by the L1 system config, so no bound on its step applies.
        validate_link(header, parent)?;
        let expected = self
            .next_base_fee(parent, header.timestamp)
            .ok_or(HeaderError::Missing { field: "extraData", fork: "the parent".into() })?;
        expect("baseFeePerGas", &header.base_fee_per_gas.unwrap_or_default(), &expected)
    }

    fn validate_body(&self, block: &Block<Self>) -> Result<(), BodyError> {
        let fork = self.fork(&block.header);
        self.validate_transactions(block)?;
        body::validate_roots(block)?;
        let canyon = fork >= OpHardfork::Canyon;
        expect_presence("withdrawals", &block.body.withdrawals, canyon, fork)?;
        let withdrawals = block.body.withdrawals.as_ref().map_or(0, |list| list.len());
        expect("withdrawals", &withdrawals, &0)?;
        Ok(())
    }

    fn next_base_fee(&self, parent: &Header, timestamp: u64) -> Option<u64> {
        let (rule, minimum) = self.base_fee_rule(parent, timestamp)?;
        // From Jovian on data counts as gas where it weighs more.
        let footprint = parent
            .blob_gas_used
            .filter(|_| self.fork(parent) >= OpHardfork::Jovian)
            .unwrap_or_default();
        let gas_used = parent.gas_used.max(footprint);
        let next = rule.next(parent.base_fee_per_gas?, gas_used, parent.gas_limit);
        Some(next.max(minimum))
    }

    fn receipt(
        &self,
        header: &Header,
        transaction: &OpTxEnvelope,
        receipt: Receipt,
        deposit_nonce: Option<u64>,
    ) -> OpReceipt {
        let fork = self.fork(header);
        match transaction.tx_type() {
            OpTxType::Legacy => OpReceipt::Legacy(receipt),
            OpTxType::Eip2930 => OpReceipt::Eip2930(receipt),
            OpTxType::Eip1559 => OpReceipt::Eip1559(receipt),
            OpTxType::Eip7702 => OpReceipt::Eip7702(receipt),
            OpTxType::PostExec => OpReceipt::PostExec(receipt),
            OpTxType::Deposit => OpReceipt::Deposit(OpDepositReceipt {
                inner: receipt,
                deposit_nonce: deposit_nonce.filter(|_| fork >= OpHardfork::Regolith),
                deposit_receipt_version: (fork >= OpHardfork::Canyon).then_some(1),
            }),
        }
    }

    /// Between Regolith and Canyon the deposit nonce stands in receipts, but was left out of their
    /// root (OP spec: Canyon § deposit receipt version).
    fn receipts_root(&self, header: &Header, receipts: &[OpReceipt]) -> (B256, Bloom) {
        if self.fork(header) != OpHardfork::Regolith {
            return receipts_root(receipts);
        }
        let without_nonce: Vec<OpReceipt> = receipts
            .iter()
            .cloned()
            .map(|mut receipt| {
                if let OpReceipt::Deposit(deposit) = &mut receipt {
                    deposit.deposit_nonce = None;
                }
                receipt
            })
            .collect();
        receipts_root(&without_nonce)
    }
}
