//! Where the parent's state comes from.

use alloc::sync::Arc;
use alloy_primitives::{Address, B256, U256};
use revm::{bytecode::Bytecode, state::AccountInfo};

/// Reads one fixed state: the state after the parent block.
///
/// Answers are taken on trust; a reader over untrusted data (a witness) verifies before it
/// answers. Readers may cache: the executor asks for each account, slot and code at most once
/// per block.
pub trait StateReader {
    /// Why a read failed.
    type Error: core::error::Error + Send + Sync + 'static;

    /// Nonce, balance and code hash of an account; `None` if it does not exist.
    ///
    /// `code` may be left `None`; it is then read through [`Self::code`] when it is needed.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Self::Error>;

    /// The value of a storage slot; zero if it was never written.
    ///
    /// # Errors
    /// When the state cannot be read.
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Self::Error>;

    /// Whether any storage slot of the account is not zero.
    ///
    /// Asked only for accounts without code and nonce, on which no contract may be created if
    /// this is so (EIP-7610).
    ///
    /// # Errors
    /// When the state cannot be read.
    fn has_storage(&self, address: &Address) -> Result<bool, Self::Error>;

    /// The code with this hash.
    ///
    /// # Errors
    /// When the code cannot be read, or is not known.
    fn code(&self, code_hash: &B256) -> Result<Bytecode, Self::Error>;

    /// The hash of an ancestor block; asked for the 256 newest only.
    ///
    /// # Errors
    /// When the hash cannot be read, or is not known.
    fn block_hash(&self, number: u64) -> Result<B256, Self::Error>;
}

impl<S: StateReader + ?Sized> StateReader for &S {
    type Error = S::Error;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Self::Error> {
        (**self).account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Self::Error> {
        (**self).storage(address, slot)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Self::Error> {
        (**self).has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Self::Error> {
        (**self).code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, Self::Error> {
        (**self).block_hash(number)
    }
}

impl<S: StateReader + ?Sized> StateReader for Arc<S> {
    type Error = S::Error;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Self::Error> {
        (**self).account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Self::Error> {
        (**self).storage(address, slot)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Self::Error> {
        (**self).has_storage(address)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Self::Error> {
        (**self).code(code_hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, Self::Error> {
        (**self).block_hash(number)
    }
}
