//! A foreign L1, asked over JSON-RPC.

use crate::{L1Heads, L1Origin, L1Origins};
use alloy_primitives::{B256, U64, U128, U256};
use lockstep_rpc::L1BlockRef;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{error::Error, io::Read, time::Duration};

/// How long one question may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer, in bytes: a header and a fee history are far smaller.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// Why a foreign L1 did not answer as it must.
#[derive(Debug, thiserror::Error)]
pub enum RemoteL1Error {
    /// The request failed.
    #[error("{url}: {reason}")]
    Request {
        /// Where it went.
        url: String,
        /// Why it failed.
        reason: String,
    },
    /// The answer is not what was asked for.
    #[error("{url}: the answer to {method} {reason}")]
    Answer {
        /// Where it came from.
        url: String,
        /// What was asked.
        method: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A foreign L1 behind a JSON-RPC URL.
#[derive(Debug)]
pub struct RemoteL1 {
    agent: ureq::Agent,
    url: String,
}

#[derive(Debug, Deserialize)]
struct Answer {
    id: u64,
    result: Option<Value>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    number: U64,
    hash: B256,
    parent_hash: B256,
    timestamp: U64,
    mix_hash: B256,
    base_fee_per_gas: Option<U128>,
    parent_beacon_block_root: Option<B256>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct FeeHistory {
    base_fee_per_blob_gas: Option<Vec<U256>>,
}

impl RemoteL1 {
    /// An L1 that serves JSON-RPC at `url`.
    pub fn new(url: String) -> Self {
        let config = ureq::Agent::config_builder().timeout_global(Some(TIMEOUT)).build();
        Self { agent: config.into(), url }
    }

    /// The chain id of the L1.
    ///
    /// # Errors
    /// When it does not answer, or not with a number.
    pub fn chain_id(&self) -> Result<u64, RemoteL1Error> {
        let [id] = self.ask([("eth_chainId", json!([]))])?;
        let id: U64 = self.parse("eth_chainId", id)?;
        Ok(id.to())
    }

    /// The number of the newest block.
    ///
    /// # Errors
    /// When it does not answer, or not with a number.
    pub fn newest(&self) -> Result<u64, RemoteL1Error> {
        let [number] = self.ask([("eth_blockNumber", json!([]))])?;
        let number: U64 = self.parse("eth_blockNumber", number)?;
        Ok(number.to())
    }

    fn block(&self, number: u64) -> Result<Option<L1Origin>, RemoteL1Error> {
        let at = json!(U64::from(number));
        let [header] = self.ask([("eth_getBlockByNumber", json!([at, false]))])?;
        let Some(header) = self.parse::<Option<Header>>("eth_getBlockByNumber", header)? else {
            return Ok(None);
        };
        if header.number.to::<u64>() != number {
            let reason = format!("is block {}, not {number}", header.number);
            return Err(self.wrong("eth_getBlockByNumber", reason));
        }
        let [fees] = self.ask([("eth_feeHistory", json!([U64::ONE, at, []]))])?;
        let fees: FeeHistory = self.parse("eth_feeHistory", fees)?;
        let blob_base_fee = fees.base_fee_per_blob_gas.and_then(|fees| fees.first().copied());
        Ok(Some(L1Origin {
            number,
            hash: header.hash,
            parent_hash: header.parent_hash,
            timestamp: header.timestamp.to(),
            base_fee: header.base_fee_per_gas.unwrap_or_default().to(),
            blob_base_fee: blob_base_fee
                .filter(|fee| !fee.is_zero())
                .map_or(1, |fee| fee.saturating_to()),
            prev_randao: header.mix_hash,
            parent_beacon_block_root: header.parent_beacon_block_root.unwrap_or_default(),
        }))
    }

    /// The newest block that a tag stands for. Many nodes answer with an error as long as there is
    /// none.
    fn tagged(&self, tag: &str) -> Result<L1BlockRef, RemoteL1Error> {
        let answer = match self.ask([("eth_getBlockByNumber", json!([tag, false]))]) {
            Err(RemoteL1Error::Answer { .. }) => return Ok(L1BlockRef::default()),
            answer => {
                let [answer] = answer?;
                answer
            }
        };
        let header = self.parse::<Option<Header>>("eth_getBlockByNumber", answer)?;
        Ok(header.map_or_else(L1BlockRef::default, |header| L1BlockRef {
            hash: header.hash,
            number: header.number.to(),
            parent_hash: header.parent_hash,
            timestamp: header.timestamp.to(),
        }))
    }

    /// Asks several questions in one request; the answers in the same order.
    fn ask<const N: usize>(
        &self,
        questions: [(&'static str, Value); N],
    ) -> Result<[Value; N], RemoteL1Error> {
        let methods = questions.each_ref().map(|(method, _)| *method);
        let requests: Vec<Value> = (0_u64..)
            .zip(questions)
            .map(|(id, (method, params))| {
                json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
            })
            .collect();
        let mut answers: Vec<Answer> = self.post(&json!(requests))?;
        let mut take = |index: usize| {
            let method = methods.get(index).copied().unwrap_or_default();
            let id = index as u64;
            let found = answers.iter().position(|answer| answer.id == id);
            let Some(found) = found else {
                return Err(self.wrong(method, "is missing".to_owned()));
            };
            let answer = answers.swap_remove(found);
            match answer.error {
                Some(error) => Err(self.wrong(method, format!("is an error: {error}"))),
                None => Ok(answer.result.unwrap_or_default()),
            }
        };
        let mut results = [const { Value::Null }; N];
        for (index, result) in results.iter_mut().enumerate() {
            *result = take(index)?;
        }
        Ok(results)
    }

    fn post(&self, body: &Value) -> Result<Vec<Answer>, RemoteL1Error> {
        let failed = |reason: String| RemoteL1Error::Request { url: self.url.clone(), reason };
        let mut response = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .send(body.to_string())
            .map_err(|error| failed(error.to_string()))?;
        let mut bytes = Vec::new();
        let mut reader = response.body_mut().as_reader().take(MAX_ANSWER_BYTES);
        reader.read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
        serde_json::from_slice(&bytes).map_err(|error| failed(error.to_string()))
    }

    fn parse<T: for<'de> Deserialize<'de>>(
        &self,
        method: &'static str,
        value: Value,
    ) -> Result<T, RemoteL1Error> {
        serde_json::from_value(value).map_err(|error| self.wrong(method, error.to_string()))
    }

    fn wrong(&self, method: &'static str, reason: String) -> RemoteL1Error {
        RemoteL1Error::Answer { url: self.url.clone(), method, reason }
    }
}

impl L1Origins for RemoteL1 {
    fn origin(&self, number: u64) -> Result<Option<L1Origin>, Box<dyn Error + Send + Sync>> {
        Ok(self.block(number)?)
    }

    fn heads(&self) -> Result<L1Heads, Box<dyn Error + Send + Sync>> {
        let head = self.tagged("latest")?;
        let safe = self.tagged("safe")?;
        let finalized = self.tagged("finalized")?;
        Ok(L1Heads { head, safe, finalized })
    }
}
