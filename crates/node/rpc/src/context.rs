//! What all methods work on.

use crate::{
    RpcChain, RpcError, RpcResult, RpcSettings, Workers, feed::Feed, filters::Filters,
    local::LocalSigner, testing::TestBlocks, waiters::Waiters,
};
use alloy_consensus::Header;
use alloy_eips::{BlockId, BlockNumHash, BlockNumberOrTag, RpcBlockHash};
use alloy_primitives::{B256, Sealed};
use lockstep_engine::{ChainSnapshot, ChainView, PendingBlock};
use lockstep_inspect::Peers;
use lockstep_pool::Pool;
use lockstep_storage::{RecoveredBlock, State, StorageError};
use parking_lot::RwLock;
use std::{
    fmt,
    sync::{Arc, OnceLock},
};
use tokio::sync::{Semaphore, watch};

/// Tells whether the node is catching up.
pub trait SyncState: fmt::Debug + Send + Sync {
    /// The newest block that is known to exist while the node is behind it; `None` once it is not.
    fn target(&self) -> Option<u64>;
}

/// The block that the node is building, for the `pending` tag.
pub trait PendingBlocks<C: RpcChain>: fmt::Debug + Send + Sync {
    /// The block on top of the head as it would be now, with its receipts.
    fn pending(&self) -> Option<PendingBlock<C>>;

    /// Tells of every new [`Self::pending`] from now on.
    fn changes(&self) -> watch::Receiver<()>;
}

/// The parts of a node that the methods speak for. The optional ones may be left out.
#[derive(Debug)]
pub struct Parts<C: RpcChain> {
    /// The chain.
    pub view: ChainView<C>,
    /// Transactions that wait.
    pub pool: Pool<C>,
    /// Whether the node is catching up; without it, it never is.
    pub sync: Option<Arc<dyn SyncState>>,
    /// The block under construction; without it, `pending` means the head and the pool's nonces.
    pub pending: Option<Arc<dyn PendingBlocks<C>>>,
    /// The other rollups of the chain's union; without it, calls that reach one are refused.
    pub peers: Option<Arc<dyn Peers>>,
    /// Keys that the node signs with on demand, for development chains.
    pub signer: Option<Arc<dyn LocalSigner>>,
    /// Builds blocks on demand, for test suites.
    pub test_blocks: Option<Arc<dyn TestBlocks>>,
}

/// What all methods work on. Shared by all connections.
#[derive(Debug)]
pub struct Context<C: RpcChain> {
    pub(crate) view: ChainView<C>,
    pub(crate) pool: Pool<C>,
    pub(crate) sync: Option<Arc<dyn SyncState>>,
    pub(crate) pending: Option<Arc<dyn PendingBlocks<C>>>,
    pub(crate) peers: Option<Arc<dyn Peers>>,
    pub(crate) signer: Option<Arc<dyn LocalSigner>>,
    pub(crate) test_blocks: Option<Arc<dyn TestBlocks>>,
    pub(crate) settings: RpcSettings,
    pub(crate) workers: Workers,
    pub(crate) call_costs: crate::eth::CallCosts,
    pub(crate) filters: Filters<C>,
    pub(crate) feed: Feed<C>,
    pub(crate) waiters: Waiters,
    /// Places for subscriptions.
    pub(crate) subscriptions: Semaphore,
    pub(crate) genesis: Sealed<Header>,
    pub(crate) suggested_tip: crate::eth::TipCache,
    current: RwLock<Option<Arc<Current<C>>>>,
}

/// The chain at one moment, kept while it is the newest so that requests share what they read.
#[derive(Debug)]
pub(crate) struct Current<C: RpcChain> {
    pub(crate) snapshot: ChainSnapshot<C>,
    state: OnceLock<Arc<dyn State>>,
}

impl<C: RpcChain> Current<C> {
    /// The state after the head.
    pub(crate) fn state(&self) -> RpcResult<Arc<dyn State>> {
        if let Some(state) = self.state.get() {
            return Ok(state.clone());
        }
        let state = self.snapshot.state_by_hash(&self.snapshot.head().seal())?;
        Ok(self.state.get_or_init(|| state).clone())
    }
}

/// A block that a request named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Located {
    pub(crate) block: BlockNumHash,
    pub(crate) is_canonical: bool,
}

impl<C: RpcChain> Parts<C> {
    /// A node that follows a chain and has a pool, and nothing else.
    pub const fn new(view: ChainView<C>, pool: Pool<C>) -> Self {
        Self { view, pool, sync: None, pending: None, peers: None, signer: None, test_blocks: None }
    }
}

impl<C: RpcChain> Context<C> {
    /// Puts the parts together and begins to follow the chain and the pool.
    ///
    /// Must be called within a tokio runtime. The tasks end when the context is dropped.
    ///
    /// # Errors
    /// When the first block cannot be read.
    pub fn start(parts: Parts<C>, settings: RpcSettings) -> Result<Arc<Self>, RpcError> {
        let Parts { view, pool, sync, pending, peers, signer, test_blocks } = parts;
        let genesis = view.snapshot().header(0)?;
        let genesis =
            genesis.ok_or_else(|| RpcError::Internal("the chain has no first block".into()))?;
        let limits = &settings.limits;
        let context = Arc::new(Self {
            workers: Workers::new(limits.executing, limits.executing_queue),
            call_costs: crate::eth::CallCosts::new(spare_threads()),
            filters: Filters::new(limits.filters, limits.filter_idle),
            feed: Feed::new(),
            waiters: Waiters::default(),
            subscriptions: Semaphore::new(limits.subscriptions.min(Semaphore::MAX_PERMITS)),
            current: RwLock::new(None),
            suggested_tip: crate::eth::TipCache::default(),
            view,
            pool,
            sync,
            pending,
            peers,
            signer,
            test_blocks,
            settings,
            genesis,
        });
        crate::feed::follow_chain(&context);
        crate::feed::follow_pool(&context);
        crate::feed::follow_pending(&context);
        Ok(context)
    }

    /// The settings.
    pub const fn settings(&self) -> &RpcSettings {
        &self.settings
    }

    /// The chain as it is now. All that one request reads should come from one of these.
    pub(crate) fn now(&self) -> Arc<Current<C>> {
        let snapshot = self.view.snapshot();
        if let Some(current) = self.current.read().as_ref()
            && is_same(&current.snapshot, &snapshot)
        {
            return current.clone();
        }
        let current = Arc::new(Current { snapshot, state: OnceLock::new() });
        *self.current.write() = Some(current.clone());
        current
    }

    /// Lets go of what is kept of the chain: an old snapshot keeps the database from reusing
    /// space.
    pub(crate) fn forget_current(&self) {
        *self.current.write() = None;
    }

    /// The block under construction, if there is one.
    pub(crate) fn pending_block(&self) -> Option<PendingBlock<C>> {
        self.pending.as_ref()?.pending()
    }

    /// Refuses a request for something that only complete blocks have, if it names the block under
    /// construction.
    pub(crate) fn refuse_pending(&self, id: BlockId, what: &str) -> RpcResult<()> {
        if id.is_pending() && self.pending.is_some() {
            let message = format!("the pending block has no {what} before it is complete");
            return Err(RpcError::refused(message));
        }
        Ok(())
    }

    /// The state that a request named.
    pub(crate) fn state_of(&self, now: &Current<C>, id: BlockId) -> RpcResult<Arc<dyn State>> {
        if id.is_pending()
            && let Some(pending) = self.pending_block()
        {
            return Ok(pending.state);
        }
        if id.is_latest() || id.is_pending() {
            return now.state();
        }
        let located = locate(&now.snapshot, id)?.ok_or(RpcError::UnknownBlock)?;
        if located.block.hash == now.snapshot.head().seal() {
            return now.state();
        }
        Ok(now.snapshot.state_by_hash(&located.block.hash)?)
    }
}

/// How many of the runtime's threads may be busy while one is left to serve connections.
fn spare_threads() -> usize {
    tokio::runtime::Handle::current().metrics().num_workers().saturating_sub(1)
}

fn is_same<C: RpcChain>(one: &ChainSnapshot<C>, other: &ChainSnapshot<C>) -> bool {
    one.head().seal() == other.head().seal()
        && one.safe() == other.safe()
        && one.finalized() == other.finalized()
}

/// The block that a request named; `None` if it is not known. `pending` is the head.
///
/// # Errors
/// [`RpcError::NotCanonical`] if the request wants it to be and it is not; when storage fails.
pub(crate) fn locate<C: RpcChain>(
    snapshot: &ChainSnapshot<C>,
    id: BlockId,
) -> RpcResult<Option<Located>> {
    match id {
        BlockId::Number(tag) => locate_tag(snapshot, tag),
        BlockId::Hash(RpcBlockHash { block_hash, require_canonical }) => {
            locate_hash(snapshot, block_hash, require_canonical == Some(true))
        }
    }
}

fn locate_tag<C: RpcChain>(
    snapshot: &ChainSnapshot<C>,
    tag: BlockNumberOrTag,
) -> RpcResult<Option<Located>> {
    let Some(number) = snapshot.resolve(tag) else { return Ok(None) };
    let Some(hash) = snapshot.hash(number)? else { return Ok(None) };
    Ok(Some(Located { block: BlockNumHash { number, hash }, is_canonical: true }))
}

fn locate_hash<C: RpcChain>(
    snapshot: &ChainSnapshot<C>,
    hash: B256,
    must_be_canonical: bool,
) -> RpcResult<Option<Located>> {
    let Some(number) = snapshot.number(&hash)? else { return Ok(None) };
    let block = BlockNumHash { number, hash };
    let is_canonical = snapshot.is_canonical(block)?;
    if must_be_canonical && !is_canonical {
        return Err(RpcError::NotCanonical(hash));
    }
    Ok(Some(Located { block, is_canonical }))
}

/// A located block with its header.
pub(crate) fn header_of<C: RpcChain>(
    snapshot: &ChainSnapshot<C>,
    located: Located,
) -> Result<Option<Sealed<Header>>, StorageError> {
    if located.is_canonical {
        return snapshot.header(located.block.number);
    }
    Ok(snapshot.executed(&located.block.hash).map(|block| block.block.sealed_header()))
}

/// A located block.
pub(crate) fn block_of<C: RpcChain>(
    snapshot: &ChainSnapshot<C>,
    located: Located,
) -> Result<Option<Arc<RecoveredBlock<C>>>, StorageError> {
    if located.is_canonical {
        return snapshot.block(located.block.number);
    }
    Ok(snapshot.executed(&located.block.hash).map(|block| block.block.clone()))
}

/// The receipts of a located block.
pub(crate) fn receipts_of<C: RpcChain>(
    snapshot: &ChainSnapshot<C>,
    located: Located,
) -> Result<Option<Arc<Vec<C::Receipt>>>, StorageError> {
    if located.is_canonical {
        return snapshot.receipts(located.block.number);
    }
    Ok(snapshot.executed(&located.block.hash).map(|block| block.receipts.clone()))
}
