//! The EVM of the chain, with its precompiled contracts changed.

use super::Install;
use crate::precompile::PrecompilesMap;
use alloy_evm::{Database, Evm, EvmEnv, EvmFactory};
use lockstep_execution::Execute;
use revm::{Inspector, inspector::NoOpInspector};
use std::{fmt, sync::Arc};

/// Makes the EVM of `C` and changes its precompiled contracts.
pub struct CustomizedEvmFactory<C: Execute> {
    pub(super) factory: C::EvmFactory,
    /// The header of the block.
    pub(super) header: C::Header,
    pub(super) install: Option<Arc<Install<C::Header>>>,
}

impl<C: Execute> CustomizedEvmFactory<C> {
    fn install(&self, precompiles: &mut PrecompilesMap) {
        if let Some(install) = &self.install {
            install(&self.header, precompiles);
        }
    }
}

impl<C: Execute> fmt::Debug for CustomizedEvmFactory<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomizedEvmFactory").finish_non_exhaustive()
    }
}

impl<C> EvmFactory for CustomizedEvmFactory<C>
where
    C: Execute<EvmFactory: EvmFactory<Precompiles = PrecompilesMap>>,
{
    type Evm<DB: Database, I: Inspector<Self::Context<DB>>> =
        <C::EvmFactory as EvmFactory>::Evm<DB, I>;
    type Context<DB: Database> = <C::EvmFactory as EvmFactory>::Context<DB>;
    type Tx = <C::EvmFactory as EvmFactory>::Tx;
    type Error<E: core::error::Error + Send + Sync + 'static> =
        <C::EvmFactory as EvmFactory>::Error<E>;
    type HaltReason = <C::EvmFactory as EvmFactory>::HaltReason;
    type Spec = <C::EvmFactory as EvmFactory>::Spec;
    type BlockEnv = <C::EvmFactory as EvmFactory>::BlockEnv;
    type Precompiles = PrecompilesMap;

    fn create_evm<DB: Database>(
        &self,
        db: DB,
        env: EvmEnv<Self::Spec, Self::BlockEnv>,
    ) -> Self::Evm<DB, NoOpInspector> {
        let mut evm = self.factory.create_evm(db, env);
        self.install(evm.precompiles_mut());
        evm
    }

    fn create_evm_with_inspector<DB: Database, I: Inspector<Self::Context<DB>>>(
        &self,
        db: DB,
        env: EvmEnv<Self::Spec, Self::BlockEnv>,
        inspector: I,
    ) -> Self::Evm<DB, I> {
        let mut evm = self.factory.create_evm_with_inspector(db, env, inspector);
        self.install(evm.precompiles_mut());
        evm
    }
}
