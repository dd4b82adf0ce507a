//! The accounts of a development chain.

use alloy_primitives::Address;
use alloy_signer_local::{
    LocalSignerError, MnemonicBuilder, PrivateKeySigner, coins_bip39::English,
};

/// The mnemonic that development tools agree on. Everybody knows its keys: never send anything
/// of value to them.
pub const MNEMONIC: &str = "test test test test test test test test test test test junk";

/// How many accounts of the mnemonic are funded.
pub const ACCOUNTS: u32 = 10;

/// An account and the key that signs for it.
#[derive(Clone, Debug)]
pub struct DevAccount {
    /// Its address.
    pub address: Address,
    /// Its key.
    pub signer: PrivateKeySigner,
}

/// The first `count` accounts of a mnemonic at Ethereum's derivation path `m/44'/60'/0'/0/i`.
///
/// # Errors
/// When the mnemonic is not a valid English BIP-39 phrase.
pub fn accounts(mnemonic: &str, count: u32) -> Result<Vec<DevAccount>, LocalSignerError> {
    (0..count)
        .map(|index| {
            let builder = MnemonicBuilder::<English>::default().phrase(mnemonic).index(index)?;
            let signer = builder.build()?;
            Ok(DevAccount { address: signer.address(), signer })
        })
        .collect()
}

/// Who sends the transactions on L1 that a rollup lives from.
#[derive(Clone, Debug)]
pub struct Operators {
    /// Posts batches.
    pub batcher: DevAccount,
    /// Claims outputs.
    pub proposer: DevAccount,
}

/// The operators of a development rollup, at the derivation path `m/44'/60'/1'/0/i` of the mnemonic:
/// none of the accounts that users have, however many these are.
///
/// # Errors
/// When the mnemonic is not a valid English BIP-39 phrase.
pub fn operators(mnemonic: &str) -> Result<Operators, LocalSignerError> {
    let account = |index: u32| {
        let builder = MnemonicBuilder::<English>::default().phrase(mnemonic);
        let signer = builder.derivation_path(format!("m/44'/60'/1'/0/{index}"))?.build()?;
        Ok::<_, LocalSignerError>(DevAccount { address: signer.address(), signer })
    };
    Ok(Operators { batcher: account(0)?, proposer: account(1)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::address;

    #[test]
    fn the_accounts_are_those_that_every_tool_knows() {
        let accounts = accounts(MNEMONIC, ACCOUNTS).expect("the mnemonic is valid");
        assert_eq!(accounts.len(), 10);
        assert_eq!(accounts[0].address, address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266"));
        assert_eq!(accounts[9].address, address!("a0Ee7A142d267C1f36714E4a8F75612F20a79720"));
    }

    #[test]
    fn operators_are_none_of_the_users() {
        let users = accounts(MNEMONIC, 100).expect("the mnemonic is valid");
        let Operators { batcher, proposer } = operators(MNEMONIC).expect("the mnemonic is valid");
        assert_ne!(batcher.address, proposer.address);
        for user in users {
            assert!(![batcher.address, proposer.address].contains(&user.address));
        }
    }

    #[test]
    fn a_wrong_mnemonic_is_refused() {
        assert!(accounts("test test test", 1).is_err());
        assert!(operators("test test test").is_err());
    }
}
