//! The same chain with some of its parts replaced.

mod chain;
mod engine;
mod evm;
mod execute;
mod inspect;
mod pool;
mod rpc;

use crate::precompile::PrecompilesMap;
use lockstep_execution::{Execute, StateCommitment};
use std::{fmt, marker::PhantomData, sync::Arc};

pub use evm::CustomizedEvmFactory;

/// Changes the precompiled contracts of a block, given its header.
type Install<H> = dyn Fn(&H, &mut PrecompilesMap) + Send + Sync;

/// A chain that is `C` in everything but what was replaced: its precompiled contracts, or how its
/// headers commit to the state (`S`).
///
/// Blocks, calls, traces and proofs all see the replacement, since all of them go through the
/// chain definition. For more than this implement the traits of a chain, as this one does.
///
/// ```
/// use lockstep_chain::Ethereum;
/// use lockstep_node::{Customized, precompile::{DynPrecompile, PrecompileId, PrecompileOutput}};
///
/// let address = alloy_primitives::address!("000000000000000000000000000000000000c0de");
/// let chain = Customized::new(Ethereum::mainnet()).precompiles(move |_, precompiles| {
///     let echo = DynPrecompile::new(PrecompileId::custom("echo"), |call| {
///         Ok(PrecompileOutput::new(15, call.data.to_vec().into(), call.reservoir))
///     });
///     precompiles.apply_precompile(&address, |_| Some(echo));
/// });
/// # let _ = chain;
/// ```
pub struct Customized<C: Execute, S = <C as Execute>::Commitment> {
    chain: C,
    install: Option<Arc<Install<C::Header>>>,
    commitment: PhantomData<fn() -> S>,
}

impl<C: Execute> Customized<C> {
    /// `chain`, with nothing replaced yet.
    pub const fn new(chain: C) -> Self {
        Self { chain, install: None, commitment: PhantomData }
    }
}

impl<C: Execute, S: StateCommitment> Customized<C, S> {
    /// Calls `install` on the precompiled contracts of every EVM that is made. The header tells it
    /// the number and time of the block, so that it can follow a fork schedule. It must depend on
    /// nothing else: every node of the chain must do the same.
    #[must_use]
    pub fn precompiles(
        mut self,
        install: impl Fn(&C::Header, &mut PrecompilesMap) + Send + Sync + 'static,
    ) -> Self {
        self.install = Some(Arc::new(install));
        self
    }

    /// Lets headers commit to the state in another way. The genesis header must do so, too: its
    /// `stateRoot` is [`lockstep_execution::genesis_root`].
    #[must_use]
    pub fn commitment<T: StateCommitment>(self) -> Customized<C, T> {
        Customized { chain: self.chain, install: self.install, commitment: PhantomData }
    }

    /// The chain with nothing replaced.
    pub const fn inner(&self) -> &C {
        &self.chain
    }
}

impl<C: Execute, S> Clone for Customized<C, S> {
    fn clone(&self) -> Self {
        Self { chain: self.chain.clone(), install: self.install.clone(), commitment: PhantomData }
    }
}

impl<C: Execute, S> fmt::Debug for Customized<C, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Customized").field("chain", &self.chain).finish_non_exhaustive()
    }
}
