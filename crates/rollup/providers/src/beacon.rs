//! Blobs, and who proposes, from beacon nodes.

mod proposers;

pub use proposers::{BeaconHeader, MAX_DUTIES, MAX_STATE_BYTES, ProposerDuties, ProposerDuty};

use crate::{
    Accept, BlobError, ClientError, Endpoint, HttpTransport, Request, Retry, Timeouts, Transport,
    VerifiedBlob,
    bounded::Bounded,
    lru::Lru,
    rpc::{exchange, shortened},
};
use alloy_eips::eip4844::{BYTES_PER_BLOB, Bytes48, kzg_to_versioned_hash};
use alloy_primitives::{B256, Bytes};
use parking_lot::Mutex;
use serde::{Deserialize, de::DeserializeOwned};
use std::{collections::HashMap, fmt, fmt::Write as _, sync::Arc};

/// The most blobs that one call asks for: more than any block has.
pub const MAX_BLOBS: usize = 128;

/// The most blobs in one HTTP request.
const MAX_BATCH: usize = 16;

/// The largest answer that holds no blobs: `/eth/v1/config/spec` is some 10 KB.
const MAX_SMALL_BYTES: u64 = 1024 * 1024;

/// What one blob takes in an answer: hexadecimal, and for a sidecar its header and proofs.
const BYTES_PER_ANSWERED_BLOB: u64 = 2 * BYTES_PER_BLOB as u64 + 16 * 1024;

/// The largest answer that holds blobs. Whatever is asked for, there must be room for all blobs of the block:
/// sidecars cannot be asked for by hash, and nodes that do not know the parameter give all blobs.
const MAX_BLOBS_BYTES: u64 = MAX_BLOBS as u64 * BYTES_PER_ANSWERED_BLOB + MAX_SMALL_BYTES;

/// What the cache of blobs may take, in bytes.
const CACHE_BYTES: usize = 64 * (BYTES_PER_BLOB + 512);

const GENESIS: &str = "/eth/v1/beacon/genesis";
const SPEC: &str = "/eth/v1/config/spec";
const BLOBS: &str = "/eth/v1/beacon/blobs";
const SIDECARS: &str = "/eth/v1/beacon/blob_sidecars";

/// When slots are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotClock {
    /// The time of slot 0, in seconds.
    pub genesis: u64,
    /// The length of a slot, in seconds.
    pub slot_seconds: u64,
}

impl SlotClock {
    /// The slot that `timestamp` (in seconds) lies in. On a faithful L1 it is the beginning of one;
    /// development networks are less exact.
    ///
    /// # Errors
    /// [`ClientError::NoSlot`] if that is before slot 0.
    pub const fn slot(&self, timestamp: u64) -> Result<u64, ClientError> {
        let Self { genesis, slot_seconds } = *self;
        match timestamp.checked_sub(genesis) {
            Some(since) if slot_seconds > 0 => Ok(since / slot_seconds),
            _ => Err(ClientError::NoSlot { timestamp, genesis, slot_seconds }),
        }
    }
}

/// One or more beacon nodes: the second and later ones are asked for blobs that those before do not
/// have, as an archive is. Clones share connections and cache.
#[derive(Clone)]
pub struct BeaconClient {
    shared: Arc<Shared>,
}

struct Shared {
    nodes: Vec<Node>,
    retry: Retry,
    cache: Mutex<Lru<VerifiedBlob>>,
}

struct Node {
    transport: Arc<dyn Transport>,
    /// As this node says: one that is wrong about it is of no use, and harms no other.
    clock: Mutex<Option<SlotClock>>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Genesis {
    genesis_time: String,
}

#[derive(Deserialize)]
struct Spec {
    #[serde(rename = "SECONDS_PER_SLOT")]
    seconds_per_slot: Option<String>,
    #[serde(rename = "SLOT_DURATION_MS")]
    slot_duration_ms: Option<String>,
}

#[derive(Deserialize)]
struct Sidecar {
    blob: Bytes,
    kzg_commitment: Bytes48,
    kzg_proof: Bytes48,
}

impl BeaconClient {
    /// The nodes behind these transports.
    ///
    /// # Errors
    /// [`ClientError::Url`] if there is none.
    pub fn new(nodes: Vec<Arc<dyn Transport>>, retry: Retry) -> Result<Self, ClientError> {
        if nodes.is_empty() {
            return Err(ClientError::Url { reason: "of a beacon node is missing" });
        }
        let node = |transport| Node { transport, clock: Mutex::new(None) };
        let nodes = nodes.into_iter().map(node).collect();
        let cache = Mutex::new(Lru::new(CACHE_BYTES));
        Ok(Self { shared: Arc::new(Shared { nodes, retry, cache }) })
    }

    /// The nodes at these URLs.
    ///
    /// # Errors
    /// [`ClientError::Url`] if there is none, or one cannot be used.
    pub fn http(urls: &[String], timeouts: Timeouts, retry: Retry) -> Result<Self, ClientError> {
        let node = |url: &String| {
            HttpTransport::new(url, timeouts).map(|node| Arc::new(node) as Arc<dyn Transport>)
        };
        Self::new(urls.iter().map(node).collect::<Result<_, _>>()?, retry)
    }

    /// When slots are, as the first node that answers says.
    ///
    /// # Errors
    /// When none answers, or not with numbers.
    pub fn clock(&self) -> Result<SlotClock, ClientError> {
        let mut last = ClientError::Url { reason: "of a beacon node is missing" };
        for node in &self.shared.nodes {
            match self.clock_of(node) {
                Ok(clock) => return Ok(clock),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// When slots are, as a node says; asked until it answers.
    fn clock_of(&self, node: &Node) -> Result<SlotClock, ClientError> {
        if let Some(clock) = *node.clock.lock() {
            return Ok(clock);
        }
        let clock = self.fetch_clock(node.transport.as_ref())?;
        *node.clock.lock() = Some(clock);
        Ok(clock)
    }

    /// The blobs with these versioned hashes, in this order, of the L1 block at `timestamp` (in
    /// seconds). Each of them is what its hash commits to.
    ///
    /// # Errors
    /// [`ClientError::MissingBlob`] if no node has one of them; [`ClientError::NoSlot`],
    /// [`ClientError::Limit`]; when no node answers, or none with those blobs.
    pub fn blobs(&self, timestamp: u64, hashes: &[B256]) -> Result<Vec<VerifiedBlob>, ClientError> {
        if hashes.len() > MAX_BLOBS {
            let found = hashes.len();
            return Err(ClientError::Limit { what: "blobs", found, limit: MAX_BLOBS });
        }
        let mut found: HashMap<B256, VerifiedBlob> = HashMap::new();
        let mut missing: Vec<B256> = Vec::new();
        for hash in hashes {
            match self.shared.cache.lock().get(hash) {
                Some(blob) => drop(found.insert(*hash, blob)),
                None if missing.contains(hash) => {}
                None => missing.push(*hash),
            }
        }
        if !missing.is_empty() {
            self.fetch(timestamp, &mut missing, &mut found)?;
        }
        Ok(hashes.iter().filter_map(|hash| found.get(hash).cloned()).collect())
    }

    /// Fetches what is missing from the first node that has it.
    fn fetch(
        &self,
        timestamp: u64,
        missing: &mut Vec<B256>,
        found: &mut HashMap<B256, VerifiedBlob>,
    ) -> Result<(), ClientError> {
        let (mut last, mut last_slot) = (None, None);
        for node in &self.shared.nodes {
            let slot = match self.clock_of(node).and_then(|clock| clock.slot(timestamp)) {
                Ok(slot) => slot,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
            last_slot = Some(slot);
            for source in [Source::Blobs, Source::Sidecars] {
                let wanted = missing.clone();
                for part in wanted.chunks(MAX_BATCH) {
                    match self.fetch_from(node.transport.as_ref(), source, slot, part) {
                        Ok(blobs) => self.keep(blobs, missing, found),
                        Err(error) => last = Some(error),
                    }
                }
                if missing.is_empty() {
                    return Ok(());
                }
            }
            // It may have been wrong about its slots.
            *node.clock.lock() = None;
        }
        match (last, missing.first(), last_slot) {
            (_, None, _) => Ok(()),
            // Nothing can be said about blobs by a node that does not answer.
            (Some(error @ ClientError::Unreachable { .. }), ..) | (Some(error), _, None) => {
                Err(error)
            }
            (last, Some(hash), slot) => {
                let slot = slot.unwrap_or_default();
                let reason = last.map_or_else(
                    || "the block has no such blob".to_owned(),
                    |error| error.to_string(),
                );
                Err(ClientError::MissingBlob { hash: *hash, slot, reason: shortened(reason) })
            }
        }
    }

    fn keep(
        &self,
        blobs: Vec<VerifiedBlob>,
        missing: &mut Vec<B256>,
        found: &mut HashMap<B256, VerifiedBlob>,
    ) {
        for blob in blobs {
            missing.retain(|hash| *hash != blob.hash());
            self.shared.cache.lock().insert(blob.hash(), blob.clone(), BYTES_PER_BLOB);
            found.insert(blob.hash(), blob);
        }
    }

    /// Those of the blobs that the node has.
    fn fetch_from(
        &self,
        node: &dyn Transport,
        source: Source,
        slot: u64,
        hashes: &[B256],
    ) -> Result<Vec<VerifiedBlob>, ClientError> {
        match source {
            Source::Blobs => {
                let mut path = format!("{BLOBS}/{slot}?versioned_hashes=");
                for (index, hash) in hashes.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    // Writing to a string does not fail.
                    let _ = write!(path, "{comma}{hash}");
                }
                let blobs: Bounded<Bytes, MAX_BLOBS> =
                    self.get(node, BLOBS, &path, MAX_BLOBS_BYTES)?;
                Ok(verified(node.endpoint(), &blobs.0, hashes))
            }
            Source::Sidecars => {
                let path = format!("{SIDECARS}/{slot}");
                let sidecars: Bounded<Sidecar, MAX_BLOBS> =
                    self.get(node, SIDECARS, &path, MAX_BLOBS_BYTES)?;
                Ok(verified_sidecars(node.endpoint(), &sidecars.0, hashes))
            }
        }
    }

    fn fetch_clock(&self, node: &dyn Transport) -> Result<SlotClock, ClientError> {
        let genesis: Genesis = self.get(node, GENESIS, GENESIS, MAX_SMALL_BYTES)?;
        let spec: Spec = self.get(node, SPEC, SPEC, MAX_SMALL_BYTES)?;
        let number = |method, text: &str| {
            text.parse::<u64>().map_err(|_| malformed(node, method, format!("{text} is no number")))
        };
        let slot_seconds = match (&spec.seconds_per_slot, &spec.slot_duration_ms) {
            (Some(seconds), _) => number(SPEC, seconds)?,
            (None, Some(ms)) => number(SPEC, ms)? / 1000,
            (None, None) => 0,
        };
        if slot_seconds == 0 {
            return Err(malformed(node, SPEC, "has no length of a slot".to_owned()));
        }
        Ok(SlotClock { genesis: number(GENESIS, &genesis.genesis_time)?, slot_seconds })
    }

    fn get<T: DeserializeOwned>(
        &self,
        node: &dyn Transport,
        method: &'static str,
        path: &str,
        max_response_bytes: u64,
    ) -> Result<T, ClientError> {
        let body = self.fetch_bytes(node, method, path, Accept::Json, max_response_bytes)?;
        let answer: Envelope<T> = serde_json::from_slice(&body)
            .map_err(|error| malformed(node, method, error.to_string()))?;
        Ok(answer.data)
    }

    fn fetch_bytes(
        &self,
        node: &dyn Transport,
        method: &'static str,
        path: &str,
        accept: Accept,
        max_response_bytes: u64,
    ) -> Result<Vec<u8>, ClientError> {
        let request = Request { path, body: None, accept, max_response_bytes };
        exchange(node, &self.shared.retry, method, &request)
    }
}

/// How a node is asked for blobs.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// `/eth/v1/beacon/blobs`, which every node has from Fulu on.
    Blobs,
    /// `/eth/v1/beacon/blob_sidecars`, which nodes and archives have from before.
    Sidecars,
}

/// Those among `blobs` that have one of `hashes`. A node that does not know the parameter answers
/// with all blobs of the block, so another blob is no lie; its commitment is computed once.
fn verified(endpoint: &Endpoint, blobs: &[Bytes], hashes: &[B256]) -> Vec<VerifiedBlob> {
    let mut verified = Vec::new();
    let mut wrong = Vec::new();
    for bytes in blobs {
        match VerifiedBlob::of(bytes) {
            Ok(blob) if hashes.contains(&blob.hash()) => verified.push(blob),
            Ok(blob) => tracing::debug!(%endpoint, hash = %blob.hash(), "another blob was given"),
            Err(error) => wrong.push(error),
        }
        if verified.len() == hashes.len() {
            break;
        }
    }
    warn(endpoint, BLOBS, &wrong);
    verified
}

/// Those among the sidecars that have one of `hashes`, and whose proof holds.
fn verified_sidecars(
    endpoint: &Endpoint,
    sidecars: &[Sidecar],
    hashes: &[B256],
) -> Vec<VerifiedBlob> {
    let mut verified = Vec::new();
    let mut wrong = Vec::new();
    for Sidecar { blob, kzg_commitment, kzg_proof } in sidecars {
        let hash = kzg_to_versioned_hash(kzg_commitment.as_slice());
        if !hashes.contains(&hash) {
            continue;
        }
        match VerifiedBlob::with_proof(blob, kzg_commitment, kzg_proof, hash) {
            Ok(blob) => verified.push(blob),
            Err(error) => wrong.push(error),
        }
    }
    warn(endpoint, SIDECARS, &wrong);
    verified
}

/// Tells of all that is wrong in one answer at once.
fn warn(endpoint: &Endpoint, method: &'static str, wrong: &[BlobError]) {
    if let Some(error) = wrong.first() {
        let blobs = wrong.len();
        tracing::warn!(%endpoint, method, blobs, %error, "a beacon node gave wrong blobs");
    }
}

fn malformed(node: &dyn Transport, method: &'static str, reason: String) -> ClientError {
    ClientError::Malformed { endpoint: node.endpoint().clone(), method, reason: shortened(reason) }
}

impl fmt::Debug for BeaconClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<&Endpoint> =
            self.shared.nodes.iter().map(|node| node.transport.endpoint()).collect();
        f.debug_struct("BeaconClient").field("nodes", &nodes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_counted_from_genesis() {
        let clock = SlotClock { genesis: 1_606_824_023, slot_seconds: 12 };
        assert_eq!(clock.slot(1_606_824_023).ok(), Some(0));
        assert_eq!(clock.slot(1_606_824_046).ok(), Some(1));
        assert_eq!(clock.slot(1_606_824_047).ok(), Some(2));
        assert!(matches!(clock.slot(1_606_824_022), Err(ClientError::NoSlot { .. })));
        assert!(SlotClock { genesis: 0, slot_seconds: 0 }.slot(0).is_err());
    }
}
