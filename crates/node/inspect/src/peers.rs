//! The other rollups of a union, for calls that go on there.

use crate::{
    Inspect, InspectError, Limits,
    execute::{ContextOf, EvmOf, OutcomeOf, failure},
    limits::{Recorded, Watch},
};
use alloy_consensus::Header;
use alloy_evm::{Evm, EvmFactory};
use alloy_op_evm::OpTxError;
use alloy_primitives::{Address, B256, ChainId, U256};
use core::{cell::RefCell, fmt};
use lockstep_chain::{Chain, Rollup};
use lockstep_execution::{
    AccountInfo, BlockState, Bytecode, Execute, RollupEvm, StateError, StateReader,
};
use lockstep_union::{Participant, Reach, UnionError, execute_call};
use revm::{
    Inspector,
    context::TxEnv,
    context_interface::result::{EVMError, ResultAndState},
};
use std::{collections::BTreeMap, sync::Arc};

/// The rollups of a union that one node follows.
pub trait Peers: fmt::Debug + Send + Sync {
    /// The newest block of a rollup that is not later than `timestamp`, in seconds; `None` if the rollup
    /// is not followed, or has no such block. All rollups of a union have blocks at the same times.
    ///
    /// # Errors
    /// When it cannot be read.
    fn block(&self, chain: ChainId, timestamp: u64) -> Result<Option<PeerBlock>, PeerStateError>;
}

/// A block on which a call goes on that reaches its rollup.
#[derive(Clone, Debug)]
pub struct PeerBlock {
    /// The rollup.
    pub chain: Rollup,
    /// The block's header.
    pub header: Header,
    /// The state after the block.
    pub state: PeerState,
}

/// Why a peer's block or state could not be read; who must act is in the error itself.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PeerStateError(Box<dyn core::error::Error + Send + Sync>);

impl PeerStateError {
    /// A failure of whatever holds the peer's chain.
    pub fn new(error: impl core::error::Error + Send + Sync + 'static) -> Self {
        Self(Box::new(error))
    }
}

/// The state of a peer, wherever it comes from.
#[derive(Clone)]
pub struct PeerState(Arc<dyn StateReader<Error = PeerStateError> + Send + Sync>);

impl PeerState {
    /// The state that `reader` reads.
    pub fn new(reader: impl StateReader + Send + Sync + 'static) -> Self {
        Self(Arc::new(Erased(reader)))
    }
}

impl fmt::Debug for PeerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerState").finish_non_exhaustive()
    }
}

impl StateReader for PeerState {
    type Error = PeerStateError;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, PeerStateError> {
        self.0.account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, PeerStateError> {
        self.0.storage(address, slot)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, PeerStateError> {
        self.0.has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, PeerStateError> {
        self.0.code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, PeerStateError> {
        self.0.block_hash(number)
    }
}

/// A reader whose error has lost its type.
struct Erased<S>(S);

impl<S: StateReader> StateReader for Erased<S> {
    type Error = PeerStateError;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, PeerStateError> {
        self.0.account(address).map_err(PeerStateError::new)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, PeerStateError> {
        self.0.storage(address, slot).map_err(PeerStateError::new)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, PeerStateError> {
        self.0.has_storage(address).map_err(PeerStateError::new)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, PeerStateError> {
        self.0.code(code_hash).map_err(PeerStateError::new)
    }

    fn block_hash(&self, number: u64) -> Result<B256, PeerStateError> {
        self.0.block_hash(number).map_err(PeerStateError::new)
    }
}

/// Where a call runs, as far as a call matters that goes on to other rollups.
#[derive(Clone, Copy, Debug)]
pub struct CallSite<'a> {
    /// The base fee at which gas is exchanged, in wei. Code sees another one if it runs without paying.
    pub base_fee: u64,
    /// When the block was made, in seconds: it goes on in the peers' blocks of that time.
    pub timestamp: u64,
    /// What the whole call may take, and the peers.
    pub limits: Limits<'a>,
    /// At how many percent of their base fees gas of peers is bought: 100, as in blocks, unless it is
    /// asked what happens if they rise.
    pub peer_fee_percent: u64,
}

impl CallSite<'_> {
    /// What gas of a peer is bought at, in wei.
    fn price_of(&self, block: &PeerBlock) -> u64 {
        let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
        base_fee.saturating_mul(self.peer_fee_percent) / 100
    }
}

type PeerEvm<'a> = RollupEvm<BlockState<PeerState>, Watch<'a>>;

/// A call's peers, of which only those are made ready that it reaches.
struct Reached<'p, 'a> {
    site: &'p CallSite<'a>,
    blocks: RefCell<BTreeMap<ChainId, Option<PeerBlock>>>,
    places: BTreeMap<ChainId, &'p mut Option<PeerEvm<'a>>>,
    error: RefCell<Option<InspectError>>,
}

impl Reached<'_, '_> {
    /// Finds out whether there is a block of a peer.
    fn look_up(&self, chain: ChainId) -> Option<PeerBlock> {
        match self.site.limits.peers?.block(chain, self.site.timestamp) {
            Ok(block) => block.filter(|block| block.chain.chain_id() == chain),
            Err(PeerStateError(error)) => {
                self.error.borrow_mut().get_or_insert(InspectError::Peer { chain, error });
                None
            }
        }
    }
}

impl<'p, 'a> Reach<'p> for Reached<'p, 'a> {
    type State = BlockState<PeerState>;
    type Observer = Watch<'a>;

    fn base_fee(&self, chain: ChainId) -> Option<u64> {
        let mut blocks = self.blocks.borrow_mut();
        let block = blocks.entry(chain).or_insert_with(|| self.look_up(chain)).as_ref()?;
        Some(self.site.price_of(block))
    }

    fn participant(&mut self, chain: ChainId) -> Option<Participant<'p, Self::State, Watch<'a>>> {
        // The base fee may be asked for again.
        let block = self.blocks.borrow().get(&chain).cloned().flatten()?;
        let price = self.site.price_of(&block);
        let PeerBlock { chain: rollup, header, state } = block;
        let place = self.places.remove(&chain)?;
        let state = BlockState::new(state, rollup.state_rules(&header));
        // Nothing of what a peer does is recorded.
        let limits = Limits { trace_bytes: usize::MAX, ..self.site.limits };
        let watch = Watch::new(limits, Recorded::default());
        let factory = rollup.evm_factory(&header);
        let evm = factory.create_evm_with_inspector(state, rollup.evm_env(&header), watch);
        // As for the call itself, no block's gas bounds what it may use.
        Some(place.insert(evm).participant(u64::MAX)?.priced_at(price))
    }
}

/// Runs a call on a rollup, and what it calls on the others of its union.
pub(crate) fn transact<S: StateReader, I: Inspector<ContextOf<Rollup, S>>>(
    chain: &Rollup,
    evm: &mut EvmOf<Rollup, S, I>,
    call: &TxEnv,
    site: &CallSite<'_>,
) -> Result<OutcomeOf<Rollup>, InspectError> {
    let base_fee = evm.block().basefee;
    let tx = chain.call_env(call.clone());
    let (Some(rules), Some(home)) = (chain.union(), evm.participant(u64::MAX)) else {
        return evm.transact_raw(tx).map_err(|error| failure(evm.db_mut(), error, call, base_fee));
    };
    let mut evms: BTreeMap<ChainId, Option<PeerEvm<'_>>> =
        rules.chains.iter().map(|peer| (*peer, None)).collect();
    let mut reached = Reached {
        site,
        blocks: RefCell::default(),
        places: evms.iter_mut().map(|(peer, place)| (*peer, place)).collect(),
        error: RefCell::default(),
    };
    let done = execute_call(&mut home.priced_at(site.base_fee), &mut reached, tx);
    let error = match done {
        Ok((outcome, state)) => return Ok(ResultAndState { result: outcome.into_result(), state }),
        Err(error) => error,
    };
    if let Some(error) = reached.error.into_inner() {
        return Err(error);
    }
    drop(reached.places);
    for (peer, evm) in &mut evms {
        let Some(evm) = evm else { continue };
        if let Some(PeerStateError(error)) = evm.db_mut().take_error() {
            return Err(InspectError::Peer { chain: *peer, error });
        }
        if let Some(verdict) = evm.inspector().verdict() {
            return Err(verdict);
        }
    }
    let error: EVMError<StateError, OpTxError> = match error {
        UnionError::PeerUnavailable(peer) => return Err(InspectError::PeerUnknown(peer)),
        UnionError::Transaction(reason) => EVMError::Transaction(OpTxError(reason)),
        UnionError::State(error) => EVMError::Database(error),
        UnionError::Evm(reason) => EVMError::Custom(reason),
        other => EVMError::Custom(other.to_string()),
    };
    Err(failure(evm.db_mut(), error, call, base_fee))
}
