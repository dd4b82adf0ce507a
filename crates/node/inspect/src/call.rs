//! `eth_call`.

use crate::{
    CallOutcome, CallSite, Inspect, InspectError, Limits, Overrides,
    execute::{ContextOf, OutcomeOf, environment, overridden, relax, transact, waive_fees},
    limits::{Recorded, Watch},
    overlay::Overlay,
    precompiles::{WarmAddresses, override_precompiles},
    request::{self, Defaults},
};
use alloy_consensus::Header;
use alloy_evm::{Evm, EvmFactory, precompiles::PrecompilesMap};
use alloy_rpc_types_eth::TransactionRequest;
use lockstep_execution::{BlockState, EvmEnvOf, StateReader};
use revm::{Inspector, context::TxEnv, inspector::NoOpInspector};

/// Runs a call in the block with this header, on the state after that block.
///
/// The call need not be signed, nor have the right nonce. It gets the gas it asks for up to
/// `limits.gas_cap`, and pays for it only if it says so.
///
/// # Errors
/// [`InspectError::Refused`] if it cannot run; a call that ran and failed is an outcome.
pub fn call<C: Inspect, S: StateReader>(
    chain: &C,
    header: &Header,
    state: S,
    request: &TransactionRequest,
    overrides: &Overrides,
    limits: &Limits<'_>,
) -> Result<CallOutcome, InspectError> {
    let prepared = Prepared::new(chain, header, state, overrides, limits)?;
    let call = prepared.call(chain, request, limits)?;
    Ok(CallOutcome::new::<C>(prepared.run(chain, &call, limits)?.result))
}

/// Block and state with the overrides applied, for calls that do not see each other.
#[derive(Debug)]
pub(crate) struct Prepared<C: Inspect, S> {
    pub(crate) header: Header,
    pub(crate) overlay: Overlay<S>,
    overrides: Overrides,
    env: EvmEnvOf<C>,
    /// The time of the block as it is without overrides, in seconds.
    timestamp: u64,
    /// See [`CallSite::peer_fee_percent`].
    pub(crate) peer_fee_percent: u64,
}

impl<C: Inspect, S: StateReader> Prepared<C, S> {
    pub(crate) fn new(
        chain: &C,
        header: &Header,
        state: S,
        overrides: &Overrides,
        limits: &Limits<'_>,
    ) -> Result<Self, InspectError> {
        let timestamp = header.timestamp;
        let (header, overlay) = overridden(header, state, overrides, limits)?;
        let blob_base_fee = overrides.block.as_ref().and_then(|block| block.blob_base_fee);
        let mut env = environment(chain, &header, blob_base_fee);
        relax::<C>(&mut env);
        let overrides = overrides.clone();
        Ok(Self { header, overlay, overrides, env, timestamp, peer_fee_percent: 100 })
    }

    /// Where a call runs, for one that goes on to other rollups.
    fn site<'a>(&self, limits: &Limits<'a>) -> CallSite<'a> {
        // Not that of the environment, which is zero for a call that does not pay for its gas.
        let base_fee = self.header.base_fee_per_gas.unwrap_or_default();
        let Self { timestamp, peer_fee_percent, .. } = *self;
        CallSite { base_fee, timestamp, limits: *limits, peer_fee_percent }
    }

    /// The call with every field filled in.
    pub(crate) fn call(
        &self,
        chain: &C,
        request: &TransactionRequest,
        limits: &Limits<'_>,
    ) -> Result<TxEnv, InspectError> {
        let sender =
            self.overlay.account(&request::sender(request)).map_err(InspectError::state)?;
        let nonce = sender.map_or(0, |info| info.nonce);
        let base_fee = self.header.base_fee_per_gas;
        request::call_env(chain, request, Defaults { base_fee, gas_cap: limits.gas_cap, nonce })
    }

    /// A state that forgets what a call does to it.
    pub(crate) fn fresh_state(&self, chain: &C) -> BlockState<&Overlay<S>> {
        BlockState::new(&self.overlay, chain.state_rules(&self.header))
    }

    /// Runs a call, without an inspector where nobody may want to stop it.
    pub(crate) fn run(
        &self,
        chain: &C,
        call: &TxEnv,
        limits: &Limits<'_>,
    ) -> Result<OutcomeOf<C>, InspectError> {
        if limits.stop.is_some() {
            let mut watch = Watch::new(*limits, Recorded::default());
            let state = self.fresh_state(chain);
            let result = self.inspect(chain, call, &mut watch, state, limits);
            return match watch.verdict() {
                Some(verdict) => Err(verdict),
                None => result.map(|(outcome, _)| outcome),
            };
        }
        let mut env = self.env.clone();
        waive_fees::<C>(&mut env, call);
        let mut evm = chain.evm_factory(&self.header).create_evm(self.fresh_state(chain), env);
        if !self.move_precompiles(evm.precompiles_mut())?.is_empty() {
            let state = self.fresh_state(chain);
            let outcome = self.inspect(chain, call, NoOpInspector, state, limits);
            return outcome.map(|(outcome, _)| outcome);
        }
        transact(chain, &mut evm, call, &self.site(limits))
    }

    /// Runs a call under an inspector; returns the state before its changes, too.
    pub(crate) fn inspect<'a, I: Inspector<ContextOf<C, &'a Overlay<S>>>>(
        &self,
        chain: &C,
        call: &TxEnv,
        inspector: I,
        state: BlockState<&'a Overlay<S>>,
        limits: &Limits<'_>,
    ) -> Result<(OutcomeOf<C>, BlockState<&'a Overlay<S>>), InspectError> {
        let mut env = self.env.clone();
        waive_fees::<C>(&mut env, call);
        let factory = chain.evm_factory(&self.header);
        let inspectors = (WarmAddresses::default(), inspector);
        let mut evm = factory.create_evm_with_inspector(state, env, inspectors);
        evm.inspector_mut().0 = self.move_precompiles(evm.precompiles_mut())?;
        let outcome = transact(chain, &mut evm, call, &self.site(limits))?;
        Ok((outcome, evm.into_db()))
    }

    fn move_precompiles(
        &self,
        precompiles: &mut PrecompilesMap,
    ) -> Result<WarmAddresses, InspectError> {
        match &self.overrides.state {
            Some(accounts) => override_precompiles(precompiles, accounts),
            None => Ok(WarmAddresses::default()),
        }
    }
}
