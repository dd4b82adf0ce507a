//! Rules of a header, alone and against its parent, that Ethereum and rollups share.

use alloc::string::String;
use alloy_consensus::Header;
use alloy_primitives::{B256, Sealed, U256};
use core::fmt::Display;

/// The longest extra data that Ethereum allows, in bytes (Yellow Paper § 4.3.4).
pub const MAX_EXTRA_DATA_BYTES: usize = 32;

/// The lowest gas limit (Yellow Paper § 4.3.4).
pub const MIN_GAS_LIMIT: u64 = 5_000;

/// The highest gas limit (EIP-4803).
pub const MAX_GAS_LIMIT: u64 = i64::MAX as u64;

/// A gas limit must differ from its parent's by less than one part in this many.
pub const GAS_LIMIT_BOUND_DIVISOR: u64 = 1_024;

/// A consensus rule that a header breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A field that must have one value has another.
    #[error("header field `{field}` is {got}, expected {expected}")]
    Field {
        /// The field's name in JSON-RPC.
        field: &'static str,
        /// The value the rules demand.
        expected: String,
        /// The value found.
        got: String,
    },
    /// A field's value lies outside its limit.
    #[error("header field `{field}` is {got}, the limit is {limit}")]
    Limit {
        /// The field's name in JSON-RPC.
        field: &'static str,
        /// The limit, in words.
        limit: String,
        /// The value found.
        got: String,
    },
    /// A field that the fork demands is missing.
    #[error("header field `{field}` is missing in {fork}")]
    Missing {
        /// The field's name in JSON-RPC.
        field: &'static str,
        /// The fork of the header.
        fork: String,
    },
    /// A field that the fork does not know is present.
    #[error("header field `{field}` does not exist in {fork}")]
    Unexpected {
        /// The field's name in JSON-RPC.
        field: &'static str,
        /// The fork of the header.
        fork: String,
    },
    /// A proof-of-stake block on a parent that has not reached the terminal total difficulty, or
    /// a proof-of-work block on one that has (EIP-3675).
    #[error(
        "a {kind} block cannot follow total difficulty {parent_total_difficulty} (terminal {terminal})"
    )]
    Merge {
        /// "proof-of-work" or "proof-of-stake".
        kind: &'static str,
        /// The parent's total difficulty.
        parent_total_difficulty: U256,
        /// The chain's terminal total difficulty.
        terminal: U256,
    },
    /// The merge is decided by total difficulty and the caller did not give the parent's.
    #[error("the parent's total difficulty is needed to judge block {number}")]
    TotalDifficultyUnknown {
        /// The block's number.
        number: u64,
    },
    /// The Ethash seal does not match the header.
    #[error("invalid Ethash seal: {0}")]
    Seal(&'static str),
}

impl HeaderError {
    pub(crate) fn limit(field: &'static str, limit: impl Display, got: impl Display) -> Self {
        Self::Limit { field, limit: alloc::format!("{limit}"), got: alloc::format!("{got}") }
    }
}

/// `got` must be `expected`.
pub(crate) fn expect<T: PartialEq + Display>(
    field: &'static str,
    got: &T,
    expected: &T,
) -> Result<(), HeaderError> {
    if got == expected {
        return Ok(());
    }
    Err(HeaderError::Field {
        field,
        expected: alloc::format!("{expected}"),
        got: alloc::format!("{got}"),
    })
}

/// `value` must be present exactly if `wanted`.
pub(crate) fn expect_presence<T>(
    field: &'static str,
    value: &Option<T>,
    wanted: bool,
    fork: impl Display,
) -> Result<(), HeaderError> {
    match (value, wanted) {
        (None, true) => Err(HeaderError::Missing { field, fork: alloc::format!("{fork}") }),
        (Some(_), false) => Err(HeaderError::Unexpected { field, fork: alloc::format!("{fork}") }),
        _ => Ok(()),
    }
}

/// Gas limit and gas used within their bounds.
pub(crate) fn validate_gas(header: &Header) -> Result<(), HeaderError> {
    if !(MIN_GAS_LIMIT..=MAX_GAS_LIMIT).contains(&header.gas_limit) {
        let limit = alloc::format!("{MIN_GAS_LIMIT}..={MAX_GAS_LIMIT}");
        return Err(HeaderError::limit("gasLimit", limit, header.gas_limit));
    }
    if header.gas_used > header.gas_limit {
        return Err(HeaderError::limit("gasUsed", header.gas_limit, header.gas_used));
    }
    Ok(())
}

/// The fields that proof of stake fixes (EIP-3675).
pub(crate) fn validate_proof_of_stake(header: &Header) -> Result<(), HeaderError> {
    expect("difficulty", &header.difficulty, &U256::ZERO)?;
    expect("nonce", &header.nonce, &Default::default())?;
    expect("sha3Uncles", &header.ommers_hash, &alloy_consensus::EMPTY_OMMER_ROOT_HASH)
}

/// Parent hash, number and time follow from the parent.
pub(crate) fn validate_link(header: &Header, parent: &Sealed<Header>) -> Result<(), HeaderError> {
    expect::<B256>("parentHash", &header.parent_hash, &parent.hash())?;
    expect("number", &header.number, &parent.number.saturating_add(1))?;
    if header.timestamp <= parent.timestamp {
        let limit = alloc::format!("later than the parent's {}", parent.timestamp);
        return Err(HeaderError::limit("timestamp", limit, header.timestamp));
    }
    Ok(())
}

/// The gas limit moved by less than 1/1024 of `parent_gas_limit`.
pub(crate) fn validate_gas_limit_step(
    header: &Header,
    parent_gas_limit: u64,
) -> Result<(), HeaderError> {
    let bound = parent_gas_limit / GAS_LIMIT_BOUND_DIVISOR;
    if header.gas_limit.abs_diff(parent_gas_limit) >= bound {
        let limit = alloc::format!("less than {bound} away from the parent's {parent_gas_limit}");
        return Err(HeaderError::limit("gasLimit", limit, header.gas_limit));
    }
    Ok(())
}
