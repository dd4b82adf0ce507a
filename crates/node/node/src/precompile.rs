//! What a precompiled contract is made of, in the versions that Lockstep is built with.
//!
//! The contracts of a block lie in a [`PrecompilesMap`]; a [`DynPrecompile`] is one of them: a
//! function from [`PrecompileInput`] to [`PrecompileResult`].
//! [`Customized`](crate::Customized) puts it there.

pub use alloy_evm::precompiles::{DynPrecompile, PrecompileInput, PrecompilesMap};
pub use revm::precompile::{
    PrecompileError, PrecompileHalt, PrecompileId, PrecompileOutput, PrecompileResult,
};
