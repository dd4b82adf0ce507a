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
    fn a_wrong_mnemonic_is_refused() {
        assert!(accounts("test test test", 1).is_err());
    }
}
