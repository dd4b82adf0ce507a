//! What an L2 node says: blocks, output roots, and parts of its state.

use crate::{
    ClientError, Endpoint, RpcClient,
    lru::Lru,
    proof::AccountProof,
    storage::{GET_PROOF, fetch_proof},
    verify::Witness,
    witness::{RpcWitness, WitnessNodes},
};
use alloy_consensus::{BlockBody, Header};
use alloy_eips::{BlockNumberOrTag, eip4895::Withdrawals};
use alloy_primitives::{Address, B256, Bytes, Sealed, U64, address};
use alloy_rpc_types_eth::{Block as RpcBlock, Header as RpcHeader};
use lockstep_chain::{Block, OpHardfork, Rollup};
use lockstep_protocol::{L2BlockInfo, OutputRoot, RollupConfig, SystemConfig};
use op_alloy_rpc_types::Transaction;
use parking_lot::Mutex;
use std::{fmt, sync::Arc};

/// The predeployed contract whose storage holds the withdrawals (`L2ToL1MessagePasser`).
pub const MESSAGE_PASSER: Address = address!("4200000000000000000000000000000000000016");

/// The most slots of one account that are proven in one call.
pub const MAX_PROVEN_SLOTS: usize = 256;

/// The most blocks that one call walks back.
pub const MAX_BLOCKS_BACK: usize = 64;

/// What the cache of blocks may take, in bytes.
const CACHE_BYTES: usize = 64 * 1024 * 1024;

/// A node of the rollup behind JSON-RPC. Clones share connections and cache.
///
/// As with [`L1Client`](crate::L1Client), what is asked for by hash is held against that hash and
/// kept, and what is asked for by number is not kept. A number means what the node holds canonical:
/// whether that is the right chain is the caller's question, and is what derivation answers.
#[derive(Clone)]
pub struct L2Client {
    shared: Arc<Shared>,
}

struct Shared {
    rpc: RpcClient,
    config: Arc<RollupConfig>,
    blocks: Mutex<Lru<Arc<Block<Rollup>>>>,
}

type RpcL2Block = RpcBlock<Transaction>;

impl L2Client {
    /// A node behind `rpc` of the rollup with this configuration.
    pub fn new(rpc: RpcClient, config: Arc<RollupConfig>) -> Self {
        let blocks = Mutex::new(Lru::new(CACHE_BYTES));
        Self { shared: Arc::new(Shared { rpc, config, blocks }) }
    }

    /// The node.
    pub fn endpoint(&self) -> &Endpoint {
        self.shared.rpc.endpoint()
    }

    /// The JSON-RPC client, for what is not wrapped here.
    pub fn rpc(&self) -> &RpcClient {
        &self.shared.rpc
    }

    /// The configuration of the rollup.
    pub fn config(&self) -> &Arc<RollupConfig> {
        &self.shared.config
    }

    /// The chain's EIP-155 id.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn chain_id(&self) -> Result<u64, ClientError> {
        Ok(self.rpc().call::<U64>("eth_chainId", &[(); 0])?.to())
    }

    /// The canonical header at a number or tag, as of now; `None` if there is none (yet).
    ///
    /// # Errors
    /// When the node does not answer, or not with a header of that hash and number.
    pub fn header(&self, at: BlockNumberOrTag) -> Result<Option<Sealed<Header>>, ClientError> {
        let method = "eth_getBlockByNumber";
        let header: Option<RpcHeader> = match self.rpc().call(method, &(at, false)) {
            // Before the first block is safe or final, many nodes fail instead of saying `null`.
            Err(ClientError::Rpc { .. }) if at.is_safe() || at.is_finalized() => None,
            answer => answer?,
        };
        let Some(header) = header else { return Ok(None) };
        let header = self.checked_header(method, header, None, at.as_number())?;
        Ok(Some(header))
    }

    /// The header with this hash.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the node does not know it; when it does not answer, or not with
    /// that header.
    pub fn header_by_hash(&self, hash: B256) -> Result<Header, ClientError> {
        if let Some(block) = self.shared.blocks.lock().get(&hash) {
            return Ok(block.header.clone());
        }
        let method = "eth_getBlockByHash";
        let header: Option<RpcHeader> = self.rpc().call(method, &(hash, false))?;
        let header = header.ok_or_else(|| self.not_found("header", hash))?;
        Ok(self.checked_header(method, header, Some(hash), None)?.into_inner())
    }

    /// The canonical block at a number, as of now.
    ///
    /// # Errors
    /// [`ClientError::NoBlock`] if there is none; when the node does not answer, or not with a
    /// block of that number whose parts fit together.
    pub fn block_by_number(&self, number: u64) -> Result<Arc<Block<Rollup>>, ClientError> {
        let method = "eth_getBlockByNumber";
        let block: Option<RpcL2Block> = self.rpc().call(method, &(U64::from(number), true))?;
        let endpoint = self.endpoint().clone();
        let block = block.ok_or(ClientError::NoBlock { endpoint, number })?;
        self.keep(method, block, None, Some(number))
    }

    /// The block with this hash.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the node does not know it; when it does not answer, or not with
    /// that block.
    pub fn block_by_hash(&self, hash: B256) -> Result<Arc<Block<Rollup>>, ClientError> {
        if let Some(block) = self.shared.blocks.lock().get(&hash) {
            return Ok(block);
        }
        let method = "eth_getBlockByHash";
        let block: Option<RpcL2Block> = self.rpc().call(method, &(hash, true))?;
        let block = block.ok_or_else(|| self.not_found("block", hash))?;
        self.keep(method, block, Some(hash), None)
    }

    /// The block with this hash and up to `ancestors` of its ancestors (at most
    /// [`MAX_BLOCKS_BACK`]), the newest first: a walk back for one round trip per batch.
    ///
    /// There may be fewer, where a reorganisation happens meanwhile or the chain begins.
    ///
    /// # Errors
    /// As [`Self::block_by_hash`].
    pub fn blocks_back(
        &self,
        hash: B256,
        ancestors: usize,
    ) -> Result<Vec<Sealed<Arc<Block<Rollup>>>>, ClientError> {
        let first = Sealed::new_unchecked(self.block_by_hash(hash)?, hash);
        let number = first.header.number;
        let lowest = number.saturating_sub(ancestors.min(MAX_BLOCKS_BACK) as u64);
        let numbers: Vec<_> = (lowest..number).rev().map(|at| (U64::from(at), true)).collect();
        let method = "eth_getBlockByNumber";
        let blocks = self.rpc().batch::<Option<RpcL2Block>, _>(method, &numbers)?;
        let mut chain = vec![first];
        for block in blocks {
            let Ok(Some(block)) = block else { break };
            let Some(parent) = chain.last().map(|child| child.header.parent_hash) else { break };
            // By number the node answers with what is canonical now, which may be another chain.
            let Ok(block) = self.keep(method, block, None, None) else { break };
            if block.header.hash_slow() != parent {
                break;
            }
            chain.push(Sealed::new_unchecked(block, parent));
        }
        Ok(chain)
    }

    /// The canonical block at a number, and where it stands in its epoch.
    ///
    /// # Errors
    /// As [`Self::block_by_number`]; [`ClientError::Rollup`] if the block is none of this rollup.
    pub fn block_info(&self, number: u64) -> Result<L2BlockInfo, ClientError> {
        let block = self.block_by_number(number)?;
        L2BlockInfo::from_block(&block, &self.config().genesis)
            .map_err(|error| self.not_ours(&block, &error))
    }

    /// The system config that the canonical block at a number was made with.
    ///
    /// # Errors
    /// As [`Self::block_info`].
    pub fn system_config(&self, number: u64) -> Result<SystemConfig, ClientError> {
        let block = self.block_by_number(number)?;
        SystemConfig::from_l2_block(&block, self.config())
            .map_err(|error| self.not_ours(&block, &error))
    }

    /// The output that a block stands for. From Isthmus on its header says it all; before, the
    /// storage root of the message passer is proven against the header's state root.
    ///
    /// # Errors
    /// When the node does not answer, or not with a proof that holds.
    pub fn output(&self, header: &Sealed<Header>) -> Result<OutputRoot, ClientError> {
        let withdrawals_root = header
            .withdrawals_root
            .filter(|_| self.config().is_active(OpHardfork::Isthmus, header.timestamp));
        let message_passer_storage_root = match withdrawals_root {
            Some(root) => root,
            None => self.account_proof(header, MESSAGE_PASSER, &[])?.storage_root,
        };
        Ok(OutputRoot {
            state_root: header.state_root,
            message_passer_storage_root,
            block_hash: header.hash(),
        })
    }

    /// The nodes on the paths to an account and to slots (unhashed) of it, in the state after the
    /// block with this header. The path to the account was followed from the header's state root.
    ///
    /// # Errors
    /// [`ClientError::Limit`] for more than [`MAX_PROVEN_SLOTS`] slots; when the node does not
    /// answer, or not with a proof that holds.
    pub fn account_proof(
        &self,
        header: &Sealed<Header>,
        address: Address,
        slots: &[B256],
    ) -> Result<AccountProof, ClientError> {
        let proof = fetch_proof(self.rpc(), header, address, slots)?;
        proof
            .verify(header.state_root, address, slots.len())
            .map_err(|reason| self.witness(GET_PROOF).untrue("proof", "one that holds", reason))
    }

    /// The trie nodes and codes that the execution of the canonical block at a number reads
    /// (`debug_executionWitness`). They are not related to any root: use them by their hashes.
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] if the node does not serve it; when it does not answer.
    pub fn execution_witness(&self, number: u64) -> Result<WitnessNodes, ClientError> {
        let witness: RpcWitness =
            self.rpc().call("debug_executionWitness", &[U64::from(number)])?;
        Ok(witness.into())
    }

    /// As [`Self::execution_witness`], of a payload that need not be a block of the node's: `attributes`
    /// are those of the child of `parent` (`debug_executePayload`).
    ///
    /// # Errors
    /// As [`Self::execution_witness`].
    pub fn payload_witness(
        &self,
        parent: B256,
        attributes: &serde_json::Value,
    ) -> Result<WitnessNodes, ClientError> {
        let witness: RpcWitness = self.rpc().call("debug_executePayload", &(parent, attributes))?;
        Ok(witness.into())
    }

    /// The rollup's configuration, as a node of the rollup tells it (`optimism_rollupConfig`).
    /// Execution nodes do not; it is for the caller to believe.
    ///
    /// # Errors
    /// When the node does not answer, or not with a configuration that can be used.
    pub fn fetch_config(rpc: &RpcClient) -> Result<RollupConfig, ClientError> {
        let method = "optimism_rollupConfig";
        let json: Box<serde_json::value::RawValue> = rpc.call(method, &[(); 0])?;
        RollupConfig::from_json(json.get().as_bytes()).map_err(|error| ClientError::Malformed {
            endpoint: rpc.endpoint().clone(),
            method,
            reason: error.to_string(),
        })
    }

    /// A trie node by its hash, from a node that keeps tries by hash (`debug_dbGet`).
    ///
    /// # Errors
    /// [`ClientError::Unsupported`] if the node does not serve it; [`ClientError::NotFound`]; when
    /// it does not answer, or with something of another hash.
    pub fn trie_node(&self, hash: B256) -> Result<Bytes, ClientError> {
        self.preimage(
            "trie node",
            hash,
            &[("debug_dbGet", Bytes::copy_from_slice(hash.as_slice()))],
        )
    }

    /// The code with this hash, from whichever method the node serves: `debug_codeByHash`, or
    /// `debug_dbGet` under the keys that geth gives to codes.
    ///
    /// # Errors
    /// As [`Self::trie_node`].
    pub fn code(&self, hash: B256) -> Result<Bytes, ClientError> {
        let plain = Bytes::copy_from_slice(hash.as_slice());
        let prefixed = [b"c".as_slice(), hash.as_slice()].concat();
        let ways = [
            ("debug_dbGet", Bytes::from(prefixed)),
            ("debug_codeByHash", plain.clone()),
            ("debug_dbGet", plain),
        ];
        self.preimage("code", hash, &ways)
    }

    /// The first of these answers that has the hash.
    fn preimage(
        &self,
        what: &'static str,
        hash: B256,
        ways: &[(&'static str, Bytes)],
    ) -> Result<Bytes, ClientError> {
        let mut failure = None;
        for (method, key) in ways {
            match self.rpc().call::<Option<Bytes>>(method, &[key]) {
                Ok(Some(bytes)) => match alloy_primitives::keccak256(&bytes) {
                    found if found == hash => return Ok(bytes),
                    found => failure = Some(self.witness(method).untrue(what, hash, found)),
                },
                Ok(None) => failure = failure.or_else(|| Some(self.not_found(what, hash))),
                // To geth a key that is not there is an error without a code of its own.
                Err(ClientError::Rpc { .. }) => failure = Some(self.not_found(what, hash)),
                Err(error @ ClientError::Unsupported { .. }) => failure = failure.or(Some(error)),
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| self.not_found(what, hash)))
    }

    fn keep(
        &self,
        method: &'static str,
        block: RpcL2Block,
        hash: Option<B256>,
        number: Option<u64>,
    ) -> Result<Arc<Block<Rollup>>, ClientError> {
        let header = self.checked_header(method, block.header, hash, number)?;
        let transactions: Vec<_> = block
            .transactions
            .into_transactions()
            .map(|transaction| transaction.inner.into_inner())
            .collect();
        let bytes = self.witness(method).transactions(&header, &transactions)?;
        // A rollup has no withdrawals of its own: the list is empty from Canyon on.
        let canyon = self.config().is_active(OpHardfork::Canyon, header.timestamp);
        let withdrawals = canyon.then(Withdrawals::default);
        let (header, hash) = header.split();
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
        let block = Arc::new(Block::<Rollup> { header, body });
        let weight = bytes.saturating_add(size_of::<Header>());
        self.shared.blocks.lock().insert(hash, Arc::clone(&block), weight);
        Ok(block)
    }

    fn checked_header(
        &self,
        method: &'static str,
        header: RpcHeader,
        hash: Option<B256>,
        number: Option<u64>,
    ) -> Result<Sealed<Header>, ClientError> {
        let witness = self.witness(method);
        let header = witness.header(header, hash)?;
        if let Some(number) = number {
            witness.expect("block number", number, header.number)?;
        }
        Ok(header)
    }

    fn witness(&self, method: &'static str) -> Witness<'_> {
        Witness { endpoint: self.endpoint(), method }
    }

    fn not_found(&self, what: &'static str, hash: B256) -> ClientError {
        ClientError::NotFound { endpoint: self.endpoint().clone(), what, hash }
    }

    fn not_ours(&self, block: &Block<Rollup>, error: &impl fmt::Display) -> ClientError {
        let (number, hash) = (block.header.number, block.header.hash_slow());
        ClientError::Rollup { number, hash, reason: error.to_string() }
    }
}

impl fmt::Debug for L2Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L2Client").field("rpc", self.rpc()).finish_non_exhaustive()
    }
}
