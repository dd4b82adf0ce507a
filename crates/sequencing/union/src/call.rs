//! A call that goes on to peers and is to stand in no block.

use crate::{
    SuperId, UnionError,
    control::{Event, Fault, FaultOf},
    participant::{Observer, PartOutcome, Participant},
};
use alloc::collections::BTreeMap;
use alloy_evm::Database;
use alloy_op_evm::OpTx;
use alloy_primitives::ChainId;
use revm::state::EvmState;

/// A call has no place in the order of super transactions; it is told as the last of all.
const CALL_ID: SuperId = SuperId { slot: u64::MAX, index: u64::MAX };

/// The peers that a call may go on to, each made ready when it is reached.
pub trait Reach<'p> {
    /// The state of a peer.
    type State: Database + 'p;
    /// Who watches a peer.
    type Observer: Observer<Self::State> + 'p;

    /// The base fee of the peer's block on which the call goes on, in wei; `None` if it cannot be
    /// reached.
    fn base_fee(&self, chain: ChainId) -> Option<u64>;

    /// The peer, for the rest of the call. Asked once for each peer that has a base fee.
    fn participant(
        &mut self,
        chain: ChainId,
    ) -> Option<Participant<'p, Self::State, Self::Observer>>;
}

/// Executes a call on its home rollup, and what it calls on peers, and changes no rollup.
///
/// It costs and does what [`crate::execute_jointly`] would; only the order and the transcripts
/// (rules 1.7 and 7.1) are not written, since it is no super transaction. What it does on the home
/// rollup is returned with the state that it would leave there; what it does on peers is forgotten.
///
/// # Errors
/// [`UnionError::Transaction`] if it cannot run; [`UnionError::PeerUnavailable`] if it calls a peer that
/// cannot be reached; otherwise the state's or the EVM's failure.
pub fn execute_call<'p, DB, I, R>(
    home: &mut Participant<'_, DB, I>,
    peers: &mut R,
    tx: OpTx,
) -> Result<(PartOutcome, EvmState), UnionError<DB::Error>>
where
    DB: Database,
    I: Observer<DB>,
    R: Reach<'p>,
    R::State: revm::Database<Error = DB::Error>,
{
    let origin = tx.0.base.caller;
    home.begin(CALL_ID, home.chain, origin);
    let mut call = Reaching { home, peers, reached: BTreeMap::new() };
    let done = call.run(tx);
    let Reaching { home, mut reached, .. } = call;
    let failed = done.err().map(|(chain, fault)| match reached.get_mut(&chain) {
        Some(peer) => peer.explain(fault),
        None => home.explain(fault),
    });
    reached.values_mut().for_each(Participant::discard);
    if let Some(error) = failed {
        home.discard();
        return Err(error);
    }
    Ok(home.conclude())
}

/// A call on its way over rollups.
struct Reaching<'c, 'h, 'p, DB: Database, I, R: Reach<'p>> {
    home: &'c mut Participant<'h, DB, I>,
    peers: &'c mut R,
    reached: BTreeMap<ChainId, Participant<'p, R::State, R::Observer>>,
}

impl<'p, DB, I, R> Reaching<'_, '_, 'p, DB, I, R>
where
    DB: Database,
    I: Observer<DB>,
    R: Reach<'p>,
    R::State: revm::Database<Error = DB::Error>,
{
    /// Hands control from rollup to rollup until the call has ended; an error is that of a rollup.
    fn run(&mut self, tx: OpTx) -> Result<(), (ChainId, FaultOf<DB>)> {
        let home = self.home.chain;
        let mut from = home;
        let started = self.home.start(tx, &fees(home, self.home.base_fee, self.peers));
        let mut event = started.map_err(|fault| (home, fault))?;
        while let Event::Sent(step) = event {
            let to = step.peer;
            if to != home && !self.reached.contains_key(&to) {
                self.reach(to).map_err(|fault| (home, fault))?;
            }
            let fees = fees(home, self.home.base_fee, self.peers);
            event = match self.reached.get_mut(&to) {
                Some(peer) => peer.receive(step.index, from, step.message, &fees),
                None => self.home.receive(step.index, from, step.message, &fees),
            }
            .map_err(|fault| (to, fault))?;
            from = to;
        }
        for (chain, peer) in &mut self.reached {
            peer.check_state().map_err(|fault| (*chain, fault))?;
        }
        self.home.check_state().map_err(|fault| (home, fault))
    }

    fn reach(&mut self, chain: ChainId) -> Result<(), FaultOf<DB>> {
        let peer = self.peers.participant(chain);
        let mut peer = peer.ok_or(Fault::PeerUnavailable(chain))?;
        let session = &self.home.session;
        peer.begin(session.id, session.home, session.origin);
        self.reached.insert(chain, peer);
        Ok(())
    }
}

/// Looks up the base fees of all rollups.
fn fees<'p, R: Reach<'p>>(
    home: ChainId,
    base_fee: u64,
    peers: &R,
) -> impl Fn(ChainId) -> Option<u64> {
    move |chain| if chain == home { Some(base_fee) } else { peers.base_fee(chain) }
}
