//! Asks nodes for what a program announced.

use crate::{Entry, HostError, Request, entry::ProvenBlob, lists::list_nodes};
use alloy_consensus::Header;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256, Bytes, Sealed};
use lockstep_preimage::Hint;
use lockstep_providers::{
    BeaconClient, ClientError, L1Client, L2Client, MAX_BLOCKS_BACK, WitnessNodes,
};

/// Headers that are fetched with one that was asked for: programs walk back.
const L1_HEADERS_AHEAD: usize = 64;

/// Where data comes from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// An L1 node.
    pub l1: L1Client,
    /// Beacon nodes of that L1.
    pub beacon: BeaconClient,
    /// A node of the rollup.
    pub l2: L2Client,
}

/// What a request brought.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pub(crate) entries: Vec<Entry>,
    pub(crate) blob: Option<ProvenBlob>,
}

impl From<Vec<Entry>> for Fetched {
    fn from(entries: Vec<Entry>) -> Self {
        Self { entries, blob: None }
    }
}

impl Sources {
    /// Fetches what a hint announces. `known` is the newest of the program's blocks that the rollup's
    /// node is known to have.
    ///
    /// A node that is on another chain does not have the states after the program's blocks. Those have
    /// all that the program did not change since in common with the state after `known`, and what it
    /// changed it has itself. So proofs of that state are fetched instead: each node is used by its hash.
    pub(crate) fn fetch(
        &self,
        request: &Request,
        known: Option<&Sealed<Header>>,
    ) -> Result<Fetched, HostError> {
        match request {
            Request::Hint(hint) => self.fetch_hint(hint, known),
            Request::AccountProof { block, address } => {
                self.account_by_number(*block, known, *address, &[])
            }
            Request::StorageProof { block, address, slot } => {
                self.account_by_number(*block, known, *address, &[*slot])
            }
            Request::PayloadWitness { parent, attributes } => {
                if let Ok(attributes) = serde_json::from_slice(attributes)
                    && let Ok(witness) = self.l2.payload_witness(*parent, &attributes)
                {
                    return Ok(witness_entries(witness).into());
                }
                self.block_witness(*parent, known)
            }
        }
    }

    fn fetch_hint(
        &self,
        hint: &Hint,
        known: Option<&Sealed<Header>>,
    ) -> Result<Fetched, HostError> {
        Ok(match hint {
            Hint::L1Header(hash) => {
                let headers = self.l1.headers_back(*hash, L1_HEADERS_AHEAD)?;
                headers.iter().map(header_entry).collect::<Vec<_>>().into()
            }
            Hint::L1Transactions(hash) => list_nodes(&self.l1.transactions(*hash)?.1).into(),
            Hint::L1Receipts(hash) => list_nodes(&self.l1.receipts(*hash)?).into(),
            Hint::L1Blob { hash, timestamp, .. } => {
                let blob = self.beacon.blobs(*timestamp, &[*hash])?.pop();
                let blob = blob.map(ProvenBlob::new).transpose()?;
                Fetched { blob, ..Fetched::default() }
            }
            Hint::L2Header(hash) | Hint::L2Transactions(hash) => self.l2_blocks(*hash)?,
            Hint::L2Code(hash) => vec![Entry::hashed(*hash, self.l2.code(*hash)?)].into(),
            Hint::L2StateNode(hash) => vec![Entry::hashed(*hash, self.l2.trie_node(*hash)?)].into(),
            Hint::L2AccountProof { block, address } => {
                self.account(&self.l2_header(*block, known)?, *address, &[])?
            }
            Hint::L2StorageProof { block, address, slot } => {
                self.account(&self.l2_header(*block, known)?, *address, &[*slot])?
            }
            Hint::L2BlockWitness(parent) => self.block_witness(*parent, known)?,
            // The host has the output root that is agreed from the start. Precompiled contracts are
            // computed, not fetched.
            Hint::L2Output(_) | Hint::L1Precompile { .. } => Fetched::default(),
        })
    }

    /// A block with its transactions, and some of its ancestors: programs walk back.
    fn l2_blocks(&self, hash: B256) -> Result<Fetched, HostError> {
        let mut entries = Vec::new();
        for block in self.l2.blocks_back(hash, MAX_BLOCKS_BACK / 4)? {
            entries.push(Entry::hashed(block.hash(), alloy_rlp::encode(&block.header).into()));
            entries.extend(list_nodes(&block.body.transactions));
        }
        Ok(entries.into())
    }

    fn account(
        &self,
        header: &Sealed<Header>,
        address: Address,
        slots: &[B256],
    ) -> Result<Fetched, HostError> {
        let proof = self.l2.account_proof(header, address, slots)?;
        let nodes = proof.account_nodes.into_iter().chain(proof.slot_nodes.into_iter().flatten());
        Ok(nodes.map(Entry::keccak256).collect::<Vec<_>>().into())
    }

    /// As [`Self::account`], for programs that name blocks by number. What the node holds canonical there
    /// may not be the program's block, so proofs are fetched of the newest one that is, as well.
    fn account_by_number(
        &self,
        number: u64,
        known: Option<&Sealed<Header>>,
        address: Address,
        slots: &[B256],
    ) -> Result<Fetched, HostError> {
        let Some(known) = known.filter(|known| known.number <= number) else {
            return self.account(&self.canonical(number)?, address, slots);
        };
        let mut fetched = self.account(known, address, slots)?;
        if known.number < number
            && let Ok(canonical) = self.canonical(number)
            && let Ok(more) = self.account(&canonical, address, slots)
        {
            fetched.entries.extend(more.entries);
        }
        Ok(fetched)
    }

    /// What the child of `parent` reads that the node holds canonical. If the program derives
    /// another child, it asks for what it lacks by other hints.
    fn block_witness(
        &self,
        parent: B256,
        known: Option<&Sealed<Header>>,
    ) -> Result<Fetched, HostError> {
        let number = match known {
            Some(known) if known.hash() == parent => known.number,
            _ => self.l2.header_by_hash(parent)?.number,
        };
        let number = number.saturating_add(1);
        let child = self.l2.header(BlockNumberOrTag::Number(number))?;
        if child.is_none_or(|child| child.parent_hash != parent) {
            return Ok(Fetched::default());
        }
        Ok(witness_entries(self.l2.execution_witness(number)?).into())
    }

    fn canonical(&self, number: u64) -> Result<Sealed<Header>, HostError> {
        let header = self.l2.header(BlockNumberOrTag::Number(number))?;
        let endpoint = self.l2.endpoint().clone();
        Ok(header.ok_or(ClientError::NoBlock { endpoint, number })?)
    }

    /// The header with this hash, or if the node does not know it, the newest that it does know.
    fn l2_header(
        &self,
        hash: B256,
        known: Option<&Sealed<Header>>,
    ) -> Result<Sealed<Header>, HostError> {
        match known {
            Some(known) if known.hash() == hash => return Ok(known.clone()),
            _ => {}
        }
        match (self.l2.header_by_hash(hash), known) {
            (Ok(header), _) => Ok(Sealed::new_unchecked(header, hash)),
            // What is unknown some nodes call an error.
            (Err(ClientError::NotFound { .. } | ClientError::Rpc { .. }), Some(known)) => {
                Ok(known.clone())
            }
            (Err(error), _) => Err(error.into()),
        }
    }
}

fn header_entry(header: &Sealed<Header>) -> Entry {
    Entry::hashed(header.hash(), alloy_rlp::encode(header.inner()).into())
}

fn witness_entries(witness: WitnessNodes) -> Vec<Entry> {
    let preimages = witness.nodes.into_iter().chain(witness.codes);
    preimages.map(|preimage: Bytes| Entry::keccak256(preimage)).collect()
}
