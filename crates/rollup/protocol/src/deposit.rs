//! Deposits: transactions that L1 puts into the rollup (OP specification: deposits).

use alloc::vec::Vec;
use alloy_consensus::ReceiptEnvelope;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Log, LogData, TxKind, U256, b256, keccak256};
use op_alloy_consensus::TxDeposit;

/// `keccak256("TransactionDeposited(address,address,uint256,bytes)")`.
pub const TRANSACTION_DEPOSITED_TOPIC: B256 =
    b256!("b3813568d9991fc951961fcb4c784893574240a28925604d09fc577c55bb7c32");

/// Mint, value, gas limit and the creation flag, before the data of the transaction.
const OPAQUE_HEAD_BYTES: usize = 32 + 32 + 8 + 1;

/// What makes a deposit unique.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepositSource<'a> {
    /// A user's deposit: the L1 block, and the position of the log among all of the block.
    User {
        /// The hash of the L1 block.
        l1_block_hash: B256,
        /// The position of the log.
        log_index: u64,
    },
    /// The L1 attributes: the L1 block, and the position of the rollup block in its epoch.
    L1Attributes {
        /// The hash of the L1 block.
        l1_block_hash: B256,
        /// The position of the rollup block.
        sequence_number: u64,
    },
    /// A transaction of a network upgrade: what it is for.
    Upgrade {
        /// The intent, as the specification words it.
        intent: &'a str,
    },
    /// A block that replaces one with an invalid message (Interop).
    BlockReplacement {
        /// The output root of the replaced block.
        output_root: B256,
    },
}

impl DepositSource<'_> {
    /// The source hash of the deposit.
    pub fn hash(&self) -> B256 {
        let positioned = |hash: B256, position: u64| {
            keccak256([hash, B256::from(U256::from(position))].concat())
        };
        let (domain, id) = match *self {
            Self::User { l1_block_hash, log_index } => (0, positioned(l1_block_hash, log_index)),
            Self::L1Attributes { l1_block_hash, sequence_number } => {
                (1, positioned(l1_block_hash, sequence_number))
            }
            Self::Upgrade { intent } => (2, keccak256(intent)),
            Self::BlockReplacement { output_root } => (4, output_root),
        };
        keccak256([B256::with_last_byte(domain), id].concat())
    }
}

/// Why a log is no deposit. The deposit contract emits none of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DepositError {
    /// The number of topics is wrong.
    #[error("a deposit has 4 topics, not {0}")]
    Topics(usize),
    /// The log is of another event.
    #[error("{0} is not the topic of deposits")]
    Event(B256),
    /// The version is not known.
    #[error("version {0} of deposits is not known")]
    Version(B256),
    /// The data is not the ABI encoding of `bytes`.
    #[error("the {0} bytes of the log are not the encoding of one `bytes` value")]
    Encoding(usize),
    /// The opaque data is too short.
    #[error("the opaque data has {0} bytes, at least {OPAQUE_HEAD_BYTES} are needed")]
    Short(usize),
    /// More ether is minted than exists.
    #[error("the deposit mints {0} wei, more than 128 bits")]
    Mint(U256),
}

/// Reads a deposit from the log of the deposit contract, the `log_index`-th of the L1 block with
/// hash `l1_block_hash`.
///
/// # Errors
/// [`DepositError`] for anything that the contract does not emit.
pub fn deposit_from_log(
    log: &LogData,
    l1_block_hash: B256,
    log_index: u64,
) -> Result<TxDeposit, DepositError> {
    let &[topic, from, to, version] = log.topics() else {
        return Err(DepositError::Topics(log.topics().len()));
    };
    if topic != TRANSACTION_DEPOSITED_TOPIC {
        return Err(DepositError::Event(topic));
    }
    if !version.is_zero() {
        return Err(DepositError::Version(version));
    }
    let opaque = opaque_data(&log.data).ok_or(DepositError::Encoding(log.data.len()))?;
    let short = || DepositError::Short(opaque.len());
    let (mint, rest) = opaque.split_first_chunk::<32>().ok_or_else(short)?;
    let (value, rest) = rest.split_first_chunk::<32>().ok_or_else(short)?;
    let (gas_limit, rest) = rest.split_first_chunk::<8>().ok_or_else(short)?;
    let (is_creation, input) = rest.split_first().ok_or_else(short)?;
    let mint = U256::from_be_bytes(*mint);
    Ok(TxDeposit {
        source_hash: DepositSource::User { l1_block_hash, log_index }.hash(),
        from: Address::from_word(from),
        to: match is_creation {
            0 => TxKind::Call(Address::from_word(to)),
            _ => TxKind::Create,
        },
        mint: mint.try_into().map_err(|_| DepositError::Mint(mint))?,
        value: U256::from_be_bytes(*value),
        gas_limit: u64::from_be_bytes(*gas_limit),
        is_system_transaction: false,
        input: Bytes::copy_from_slice(input),
    })
}

/// The only `bytes` value in the data of a log, minimally padded.
fn opaque_data(data: &[u8]) -> Option<&[u8]> {
    let (offset, rest) = data.split_first_chunk::<32>()?;
    let (length, rest) = rest.split_first_chunk::<32>()?;
    let length = usize::try_from(U256::from_be_bytes(*length)).ok()?;
    let is_padded = rest.len() % 32 == 0 && rest.len() < length.checked_add(32)?;
    let is_bytes = U256::from_be_bytes(*offset) == U256::from(32);
    rest.get(..length).filter(|_| is_padded && is_bytes)
}

/// The log by which the deposit contract at `contract` announces `deposit`. The source hash is not
/// part of it: it follows from where the log stands.
pub fn deposit_log(deposit: &TxDeposit, contract: Address) -> Log {
    let length = OPAQUE_HEAD_BYTES + deposit.input.len();
    let mut data = Vec::with_capacity(64 + length.next_multiple_of(32));
    data.extend_from_slice(&U256::from(32).to_be_bytes::<32>());
    data.extend_from_slice(&U256::from(length).to_be_bytes::<32>());
    data.extend_from_slice(&U256::from(deposit.mint).to_be_bytes::<32>());
    data.extend_from_slice(&deposit.value.to_be_bytes::<32>());
    data.extend_from_slice(&deposit.gas_limit.to_be_bytes());
    data.push(deposit.to.is_create().into());
    data.extend_from_slice(&deposit.input);
    data.resize(64 + length.next_multiple_of(32), 0);
    let to = deposit.to.to().copied().unwrap_or_default();
    let topics =
        [TRANSACTION_DEPOSITED_TOPIC, deposit.from.into_word(), to.into_word(), B256::ZERO];
    Log { address: contract, data: LogData::new_unchecked(topics.into(), data.into()) }
}

/// The deposits that the receipts of an L1 block announce, as EIP-2718 transactions, in order.
///
/// # Errors
/// The first log of the deposit contract that is no deposit. A deposit is never left out: a chain
/// that did would not be the rollup any more.
pub fn deposits_from_receipts(
    receipts: &[ReceiptEnvelope],
    deposit_contract: Address,
    l1_block_hash: B256,
) -> Result<Vec<Bytes>, DepositError> {
    let mut deposits = Vec::new();
    let mut log_index = 0;
    for receipt in receipts {
        for log in receipt.logs() {
            let index = log_index;
            log_index += 1;
            if receipt.status()
                && log.address == deposit_contract
                && log.topics().first() == Some(&TRANSACTION_DEPOSITED_TOPIC)
            {
                let deposit = deposit_from_log(log, l1_block_hash, index)?;
                deposits.push(deposit.encoded_2718().into());
            }
        }
    }
    Ok(deposits)
}
