//! Engine tests: blocks as the payloads that a consensus client would deliver.

use super::{account::Accounts, blockchain::Config, header::HeaderFields};
use crate::fields::Number;
use alloy_primitives::B256;
use serde::{Deserialize, Deserializer, de};

/// A blockchain test in engine format (EEST's `blockchain_tests_engine`).
#[derive(Clone, Debug, Deserialize)]
pub struct EngineTest {
    /// The forks.
    pub network: String,
    /// The first block's header.
    #[serde(rename = "genesisBlockHeader")]
    pub genesis: HeaderFields,
    /// The first block's state.
    pub pre: Accounts,
    /// The payloads to deliver, in this order.
    #[serde(rename = "engineNewPayloads")]
    pub payloads: Vec<Payload>,
    /// The head of the chain after all payloads.
    #[serde(rename = "lastblockhash")]
    pub last_block_hash: B256,
    /// The state of the head.
    #[serde(rename = "postState")]
    pub post_state: Option<Accounts>,
    /// The root of the state of the head.
    #[serde(rename = "postStateHash")]
    pub post_state_hash: Option<B256>,
    /// Chain id and blob parameters, where they are not the usual ones.
    pub config: Option<Config>,
}

/// One call of `engine_newPayloadV…`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payload {
    /// The parameters of the call; which there must be depends on the version.
    pub params: Vec<serde_json::Value>,
    /// The method's version.
    pub new_payload_version: Number,
    /// Set if the answer must be `INVALID`.
    pub validation_error: Option<String>,
    /// Set if the answer must be this JSON-RPC error.
    #[serde(default, deserialize_with = "error_code")]
    pub error_code: Option<i64>,
}

/// Error codes are negative numbers, as text or not.
fn error_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Code {
        Number(i64),
        Text(String),
    }
    match Option::<Code>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Code::Number(code)) => Ok(Some(code)),
        Some(Code::Text(text)) => text.parse().map(Some).map_err(de::Error::custom),
    }
}
