//! A rollup in memory: the sequencer's, built from the rules without the pipeline, or a follower's,
//! built from what was derived.

use super::{BLOCK_TIME, GENESIS_TIME, L1, Numbers, l1::Sender, l1_chain};
use alloy_consensus::{Header, TxEip1559, TxEip2930, TxEip7702, TxLegacy};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{B64, B256, Bytes, TxKind, U256, address, keccak256};
use alloy_rpc_types_engine::PayloadAttributes;
use lockstep_chain::{Block, OpHardfork, Rollup};
use lockstep_derive::{L2Provider, ProviderError, Severity};
use lockstep_protocol::{
    L1Attributes, L2BlockInfo, RollupConfig, SingleBatch, SystemConfig, deposits_from_receipts,
    upgrade_transactions,
};
use op_alloy_consensus::{OpTxEnvelope, encode_holocene_extra_data, encode_jovian_extra_data};
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use std::{cell::RefCell, ops::Deref, rc::Rc, sync::Arc};

/// A block, and what it was made of.
#[derive(Clone, Debug)]
pub(crate) struct L2Block {
    pub(crate) block: Block<Rollup>,
    pub(crate) info: L2BlockInfo,
    pub(crate) attributes: OpPayloadAttributes,
    /// The transactions that were not derived.
    pub(crate) sequenced: Vec<Bytes>,
}

/// A rollup's chain.
#[derive(Clone, Debug)]
pub(crate) struct L2 {
    config: Arc<RollupConfig>,
    pub(crate) blocks: Vec<L2Block>,
    sender: Sender,
    numbers: Numbers,
    nonce: u64,
    /// The call that fails, once: 0 is the next one.
    pub(crate) fail_at: Option<usize>,
}

/// The header of the first block.
pub(crate) fn genesis() -> Header {
    Header { timestamp: GENESIS_TIME, gas_limit: 30_000_000, ..Header::default() }
}

impl L2 {
    pub(crate) fn new(config: Arc<RollupConfig>) -> Self {
        let block: Block<Rollup> = genesis().into_block(Default::default());
        let info = L2BlockInfo::from_block(&block, &config.genesis).expect("it is the genesis");
        let first = L2Block {
            block,
            info,
            attributes: OpPayloadAttributes::default(),
            sequenced: Vec::new(),
        };
        Self {
            config,
            blocks: vec![first],
            sender: Sender::new(3),
            numbers: Numbers(1),
            nonce: 0,
            fail_at: None,
        }
    }

    pub(crate) fn head(&self) -> L2BlockInfo {
        self.blocks.last().expect("there is a genesis block").info
    }

    pub(crate) fn block(&self, number: u64) -> &L2Block {
        &self.blocks[number as usize]
    }

    /// Takes the chain back to block `number`.
    pub(crate) fn truncate(&mut self, number: u64) {
        self.blocks.truncate(number as usize + 1);
    }

    /// The batch of a block.
    pub(crate) fn batch(&self, number: u64) -> SingleBatch {
        let block = self.block(number);
        SingleBatch {
            parent_hash: block.info.block.parent_hash,
            epoch_num: block.info.l1_origin.number,
            epoch_hash: block.info.l1_origin.hash,
            timestamp: block.info.block.timestamp,
            transactions: block.sequenced.clone(),
        }
    }

    /// Up to three signed transactions of any type.
    pub(crate) fn some_transactions(&mut self) -> Vec<Bytes> {
        let count = self.numbers.below(4);
        (0..count).map(|_| self.some_transaction()).collect()
    }

    fn some_transaction(&mut self) -> Bytes {
        let timestamp = self.head().block.timestamp + BLOCK_TIME;
        let types = if self.config.is_active(OpHardfork::Isthmus, timestamp) { 4 } else { 3 };
        let ty = self.numbers.below(types);
        self.transaction(ty)
    }

    /// A signed transaction: legacy, with access list, with dynamic fee, setting code.
    pub(crate) fn transaction(&mut self, ty: u64) -> Bytes {
        let nonce = self.nonce;
        self.nonce += 1;
        let size = self.numbers.below(100) as usize;
        let input: Bytes = self.numbers.bytes(size).into();
        let to = address!("00000000000000000000000000000000000000aa");
        let kind = if nonce.is_multiple_of(3) { TxKind::Create } else { TxKind::Call(to) };
        let (value, gas_limit) = (U256::from(nonce), 21_000 + nonce);
        let chain_id = self.config.l2_chain_id;
        let signed = match ty {
            0 => self.sender.sign(TxLegacy {
                chain_id: nonce.is_multiple_of(2).then_some(chain_id),
                nonce,
                gas_price: 1,
                gas_limit,
                to: kind,
                value,
                input,
            }),
            1 => self.sender.sign(TxEip2930 {
                chain_id,
                nonce,
                gas_price: 1,
                gas_limit,
                to: kind,
                value,
                input,
                ..TxEip2930::default()
            }),
            2 => self.sender.sign(TxEip1559 {
                chain_id,
                nonce,
                max_fee_per_gas: 2,
                gas_limit,
                to: kind,
                value,
                input,
                ..TxEip1559::default()
            }),
            _ => self.sender.sign(TxEip7702 {
                chain_id,
                nonce,
                max_fee_per_gas: 2,
                gas_limit,
                to,
                value,
                input,
                ..TxEip7702::default()
            }),
        };
        signed.encoded_2718().into()
    }

    /// Sequences a block with these transactions, unless its rules forbid them; takes the next L1
    /// origin as soon as that is allowed.
    pub(crate) fn sequence(&mut self, l1: &L1, transactions: Vec<Bytes>) -> L2BlockInfo {
        let head = self.head();
        let timestamp = head.block.timestamp + BLOCK_TIME;
        let next = l1
            .block(head.l1_origin.number + 1)
            .filter(|next| next.info.timestamp <= timestamp)
            .map(|next| next.info.number);
        self.sequence_on(l1, next.unwrap_or(head.l1_origin.number), transactions)
    }

    /// The same with the L1 origin given.
    pub(crate) fn sequence_on(
        &mut self,
        l1: &L1,
        origin: u64,
        mut transactions: Vec<Bytes>,
    ) -> L2BlockInfo {
        let timestamp = self.head().block.timestamp + BLOCK_TIME;
        let is_first = |fork| self.config.activates(fork, timestamp);
        let drift = self.config.max_sequencer_drift(l1.blocks[origin as usize].info.timestamp);
        if [OpHardfork::Ecotone, OpHardfork::Fjord, OpHardfork::Isthmus, OpHardfork::Jovian]
            .into_iter()
            .any(is_first)
            || timestamp > l1.blocks[origin as usize].info.timestamp + drift
        {
            transactions.clear();
        }
        let attributes = self.expected(l1, origin, transactions);
        self.apply(&attributes)
    }

    /// What a block with this L1 origin must be made of, by the rules.
    pub(crate) fn expected(
        &self,
        l1: &L1,
        origin: u64,
        transactions: Vec<Bytes>,
    ) -> OpPayloadAttributes {
        let config = &self.config;
        let head = self.head();
        let timestamp = head.block.timestamp + config.block_time;
        let block = &l1.blocks[origin as usize];
        let mut system_config = self.system_config(head.block.number);
        let mut list: Vec<Bytes> = Vec::new();
        let mut sequence_number = head.sequence_number + 1;
        if origin != head.l1_origin.number {
            sequence_number = 0;
            list = deposits_from_receipts(
                &block.receipts,
                config.deposit_contract_address,
                block.info.hash,
            )
            .expect("tests make valid deposits");
            let _ignored = system_config.update_with_receipts(
                &block.receipts,
                config.l1_system_config_address,
                config.is_active(OpHardfork::Ecotone, block.info.timestamp),
            );
        }
        let attributes = L1Attributes::new(
            config,
            &l1_chain(),
            &system_config,
            sequence_number,
            (&block.header, block.info.hash),
            timestamp,
        )
        .expect("the scalar is well formed");
        let deposit = attributes.deposit_at(config, timestamp);
        list.insert(0, deposit.encoded_2718().into());
        for fork in OpHardfork::VARIANTS {
            if config.activates(*fork, timestamp) {
                list.extend(upgrade_transactions(*fork));
            }
        }
        list.extend(transactions);
        let since = |fork| config.is_active(fork, timestamp);
        let params = if config.activates(OpHardfork::Holocene, timestamp) {
            B64::ZERO
        } else {
            system_config.eip1559_params()
        };
        OpPayloadAttributes {
            payload_attributes: PayloadAttributes {
                timestamp,
                prev_randao: block.header.mix_hash,
                suggested_fee_recipient: address!("4200000000000000000000000000000000000011"),
                withdrawals: since(OpHardfork::Canyon).then(Vec::new),
                parent_beacon_block_root: since(OpHardfork::Ecotone)
                    .then(|| block.header.parent_beacon_block_root.unwrap()),
                slot_number: None,
                target_gas_limit: None,
            },
            transactions: Some(list),
            no_tx_pool: Some(true),
            gas_limit: Some(system_config.gas_limit),
            eip_1559_params: since(OpHardfork::Holocene).then_some(params),
            min_base_fee: since(OpHardfork::Jovian).then_some(system_config.min_base_fee),
        }
    }

    /// Makes a block out of attributes, as an engine would.
    pub(crate) fn apply(&mut self, attributes: &OpPayloadAttributes) -> L2BlockInfo {
        let head = self.head();
        let given = &attributes.payload_attributes;
        let raw = attributes.transactions.clone().expect("derived blocks list transactions");
        let transactions: Vec<OpTxEnvelope> = raw
            .iter()
            .map(|raw| OpTxEnvelope::decode_2718_exact(raw).expect("tests make valid transactions"))
            .collect();
        let header = Header {
            number: head.block.number + 1,
            parent_hash: head.block.hash,
            timestamp: given.timestamp,
            mix_hash: given.prev_randao,
            beneficiary: given.suggested_fee_recipient,
            parent_beacon_block_root: given.parent_beacon_block_root,
            withdrawals_root: given.withdrawals.as_ref().map(|_| B256::ZERO),
            gas_limit: attributes.gas_limit.expect("derived blocks have a gas limit"),
            extra_data: extra_data(attributes),
            transactions_root: keccak256(raw.concat()),
            ..Header::default()
        };
        let body = alloy_consensus::BlockBody { transactions, ..Default::default() };
        let block: Block<Rollup> = Block::<Rollup> { header, body };
        let info =
            L2BlockInfo::from_block(&block, &self.config.genesis).expect("it has attributes");
        let sequenced = raw.iter().filter(|raw| raw[0] != 0x7e).cloned().collect();
        self.blocks.push(L2Block { block, info, attributes: attributes.clone(), sequenced });
        info
    }

    fn system_config(&self, number: u64) -> SystemConfig {
        SystemConfig::from_l2_block(&self.block(number).block, &self.config)
            .expect("it has attributes")
    }

    fn answer(&mut self, number: u64) -> Result<&L2Block, L2Error> {
        match self.fail_at.take() {
            Some(0) => return Err(L2Error::Down),
            at => self.fail_at = at.map(|at| at - 1),
        }
        self.blocks.get(number as usize).ok_or(L2Error::Missing(number))
    }
}

fn extra_data(attributes: &OpPayloadAttributes) -> Bytes {
    let default = alloy_eips::eip1559::BaseFeeParams::new(250, 6);
    match (attributes.eip_1559_params, attributes.min_base_fee) {
        (Some(params), Some(minimum)) => {
            encode_jovian_extra_data(params, default, minimum).expect("the parameters are valid")
        }
        (Some(params), None) => {
            encode_holocene_extra_data(params, default).expect("the parameters are valid")
        }
        _ => Bytes::new(),
    }
}

/// Why a rollup did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum L2Error {
    /// For a while.
    Down,
    /// There is no such block.
    Missing(u64),
}

impl std::fmt::Display for L2Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for L2Error {}

impl ProviderError for L2Error {
    fn severity(&self) -> Severity {
        match self {
            Self::Down => Severity::Temporary,
            Self::Missing(_) => Severity::Critical,
        }
    }
}

/// A rollup as tests and pipelines share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedL2(Rc<RefCell<L2>>);

impl SharedL2 {
    pub(crate) fn new(l2: L2) -> Self {
        Self(Rc::new(RefCell::new(l2)))
    }
}

impl Deref for SharedL2 {
    type Target = RefCell<L2>;

    fn deref(&self) -> &RefCell<L2> {
        &self.0
    }
}

impl L2Provider for SharedL2 {
    type Error = L2Error;

    fn block_info(&mut self, number: u64) -> Result<L2BlockInfo, L2Error> {
        self.borrow_mut().answer(number).map(|block| block.info)
    }

    fn block(&mut self, number: u64) -> Result<Block<Rollup>, L2Error> {
        self.borrow_mut().answer(number).map(|block| block.block.clone())
    }

    fn system_config(&mut self, number: u64) -> Result<SystemConfig, L2Error> {
        self.borrow_mut().answer(number)?;
        Ok(self.borrow().system_config(number))
    }
}
