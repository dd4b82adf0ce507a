//! What beacon nodes say of proposers, and of the states that prove it.

use super::{BeaconClient, Node, malformed};
use crate::{Accept, ClientError, bounded::Bounded, verify::Witness};
use alloy_primitives::{B256, FixedBytes};
use lockstep_ssz::{hash_pair, length_chunk};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, Unexpected},
};

/// The most duties in one answer: no preset has longer epochs.
pub const MAX_DUTIES: usize = 64;

/// The largest beacon state that is read, in bytes. Mainnet's has some 150 bytes for each of its validators.
pub const MAX_STATE_BYTES: u64 = 512 * 1024 * 1024;

/// The largest answer with duties or a header, in bytes.
const MAX_BYTES: u64 = 64 * 1024;

const DUTIES_V1: &str = "/eth/v1/validator/duties/proposer";
const DUTIES_V2: &str = "/eth/v2/validator/duties/proposer";
const HEADERS: &str = "/eth/v1/beacon/headers";
const STATES: &str = "/eth/v2/debug/beacon/states";

/// A number that is written as a string.
#[derive(Clone, Copy, Debug)]
struct Decimal(u64);

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| text.parse().ok()).flatten();
        let wrong = || D::Error::invalid_value(Unexpected::Str(&text), &"a number of 64 bits");
        number.map(Self).ok_or_else(wrong)
    }
}

#[derive(Deserialize)]
struct Duties {
    dependent_root: B256,
    data: Bounded<Duty, MAX_DUTIES>,
}

#[derive(Deserialize)]
struct Duty {
    pubkey: FixedBytes<48>,
    validator_index: Decimal,
    slot: Decimal,
}

#[derive(Deserialize)]
struct HeaderAnswer {
    header: SignedHeader,
}

#[derive(Deserialize)]
struct SignedHeader {
    message: HeaderMessage,
}

#[derive(Deserialize)]
struct HeaderMessage {
    slot: Decimal,
    proposer_index: Decimal,
    parent_root: B256,
    state_root: B256,
    body_root: B256,
}

/// Who proposes a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProposerDuty {
    /// The slot.
    pub slot: u64,
    /// The validator's index.
    pub validator_index: u64,
    /// The validator's key, compressed.
    pub key: FixedBytes<48>,
}

/// Who proposes the slots of an epoch, as a beacon node says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposerDuties {
    /// The root of a block that other duties would need to replace.
    pub dependent_root: B256,
    /// That block is the last one before this epoch, or genesis. It is the epoch before the one asked for if the
    /// node knows Fulu's rule (beacon-APIs: `getProposerDutiesV2`), else the one asked for.
    pub dependent_epoch: u64,
    /// One for each slot, if the node keeps to the rules: nothing is checked.
    pub duties: Vec<ProposerDuty>,
}

/// The header of a beacon block (consensus specifications: `BeaconBlockHeader`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeaconHeader {
    /// The block's slot.
    pub slot: u64,
    /// Its proposer.
    pub proposer_index: u64,
    /// The block before.
    pub parent_root: B256,
    /// The state after the block.
    pub state_root: B256,
    /// The block's content.
    pub body_root: B256,
}

impl BeaconHeader {
    /// The root of the header, which is the block's.
    pub fn root(&self) -> B256 {
        let zero = hash_pair(&B256::ZERO, &B256::ZERO);
        let slot = hash_pair(&length_chunk(self.slot), &length_chunk(self.proposer_index));
        let left = hash_pair(&slot, &hash_pair(&self.parent_root, &self.state_root));
        hash_pair(&left, &hash_pair(&hash_pair(&self.body_root, &B256::ZERO), &zero))
    }
}

impl BeaconClient {
    /// Who proposes the slots of an epoch, as the first node that answers says. It is that node's word.
    ///
    /// # Errors
    /// When no node answers, or not with duties.
    pub fn proposer_duties(&self, epoch: u64) -> Result<ProposerDuties, ClientError> {
        self.first(|node| self.duties_of(node, epoch))
    }

    /// The header of the block with this root.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if no node knows it; when none answers, or not with that header.
    pub fn header(&self, root: B256) -> Result<BeaconHeader, ClientError> {
        self.first(|node| self.header_of(node, root))
    }

    /// The state after the block with this header, in SSZ, as the first node that answers says: *nothing of it is
    /// checked*. It may be large; [`MAX_STATE_BYTES`] is the limit, and the time of the client's connections must do.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if no node has it (any more); when none answers.
    pub fn state(&self, header: &BeaconHeader) -> Result<Vec<u8>, ClientError> {
        self.first(|node| {
            let by_root = self.state_of(node, &header.state_root.to_string(), header);
            match by_root {
                // Not all nodes find states by root. That it is another one at this slot, its root will tell.
                Err(
                    ClientError::NotFound { .. } | ClientError::Status { status: 400 | 500, .. },
                ) => self.state_of(node, &header.slot.to_string(), header),
                state => state,
            }
        })
    }

    /// What the first node says that does not fail.
    fn first<T>(&self, ask: impl Fn(&Node) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let mut last = ClientError::Url { reason: "of a beacon node is missing" };
        for node in &self.shared.nodes {
            match ask(node) {
                Ok(answer) => return Ok(answer),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn duties_of(&self, node: &Node, epoch: u64) -> Result<ProposerDuties, ClientError> {
        let ask = |method: &'static str| -> Result<Duties, ClientError> {
            let node = node.transport.as_ref();
            let path = format!("{method}/{epoch}");
            let body = self.fetch_bytes(node, method, &path, Accept::Json, MAX_BYTES)?;
            serde_json::from_slice(&body)
                .map_err(|error| malformed(node, method, error.to_string()))
        };
        let (answer, dependent_epoch) = match ask(DUTIES_V2) {
            Err(ClientError::Status { status: 404 | 405 | 501, .. }) => (ask(DUTIES_V1)?, epoch),
            answer => (answer?, epoch.saturating_sub(1)),
        };
        let duty = |duty: Duty| ProposerDuty {
            slot: duty.slot.0,
            validator_index: duty.validator_index.0,
            key: duty.pubkey,
        };
        let duties = answer.data.0.into_iter().map(duty).collect();
        Ok(ProposerDuties { dependent_root: answer.dependent_root, dependent_epoch, duties })
    }

    fn header_of(&self, node: &Node, root: B256) -> Result<BeaconHeader, ClientError> {
        let transport = node.transport.as_ref();
        let endpoint = transport.endpoint();
        let path = format!("{HEADERS}/{root}");
        let answer: HeaderAnswer =
            self.get(transport, HEADERS, &path, MAX_BYTES).map_err(|error| match error {
                ClientError::Status { status: 404, .. } => ClientError::NotFound {
                    endpoint: endpoint.clone(),
                    what: "beacon block",
                    hash: root,
                },
                error => error,
            })?;
        let message = answer.header.message;
        let header = BeaconHeader {
            slot: message.slot.0,
            proposer_index: message.proposer_index.0,
            parent_root: message.parent_root,
            state_root: message.state_root,
            body_root: message.body_root,
        };
        Witness { endpoint, method: HEADERS }.expect("block root", root, header.root())?;
        Ok(header)
    }

    fn state_of(
        &self,
        node: &Node,
        id: &str,
        header: &BeaconHeader,
    ) -> Result<Vec<u8>, ClientError> {
        let transport = node.transport.as_ref();
        let path = format!("{STATES}/{id}");
        let state = self.fetch_bytes(transport, STATES, &path, Accept::Ssz, MAX_STATE_BYTES);
        state.map_err(|error| match error {
            ClientError::Status { status: 404, .. } => {
                let (endpoint, hash) = (transport.endpoint().clone(), header.state_root);
                ClientError::NotFound { endpoint, what: "beacon state", hash }
            }
            error => error,
        })
    }
}
