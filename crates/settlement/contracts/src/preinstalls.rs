//! Contracts of others that tools expect at the same address on every chain.
//!
//! Each was created by a transaction without chain id that anybody can send again, signed by a key that was
//! used once or that nobody has: whoever recovers the signer, and from it the address, knows that the code
//! is the right one. The tests do.

use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, Bytes, address, bytes, hex};
use std::collections::BTreeMap;

/// Creates contracts with `CREATE2`, at addresses that depend on salt and code alone.
pub const CREATE2_DEPLOYER: Address = address!("4e59b44847b379578588920cA78FbF26c0B4956C");

/// Makes many calls in one: `eth_call`s of wallets and libraries go through it in batches. Its source is at
/// <https://github.com/mds1/multicall3>, under the MIT licence.
pub const MULTICALL3: Address = address!("cA11bde05977b3631167028862bE2a173976CA11");

const CREATE2_DEPLOYER_CODE: Bytes = bytes!(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
);

const MULTICALL3_CODE: [u8; 3_808] =
    match hex::const_decode_to_array(include_bytes!("multicall3.hex")) {
        Ok(code) => code,
        Err(_) => panic!("multicall3.hex is not 3,808 bytes in hex"),
    };

/// The accounts of [`CREATE2_DEPLOYER`] and [`MULTICALL3`], for the genesis of either chain.
pub fn preinstalls() -> BTreeMap<Address, GenesisAccount> {
    let account = |code| GenesisAccount { nonce: Some(1), code: Some(code), ..Default::default() };
    BTreeMap::from([
        (CREATE2_DEPLOYER, account(CREATE2_DEPLOYER_CODE)),
        (MULTICALL3, account(Bytes::from_static(&MULTICALL3_CODE))),
    ])
}
