//! Transactions of all types.

use super::{programs::init_of_mortal, rng::Rng, world::World};
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use lockstep_chain::EthereumTransaction;

/// The types of transactions that there are beyond the first one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Types {
    pub(super) access_lists: bool,
    pub(super) dynamic_fees: bool,
    pub(super) blobs: bool,
    pub(super) delegations: bool,
}

/// What all types have.
struct Common {
    nonce: u64,
    gas_limit: u64,
    to: TxKind,
    value: U256,
    input: Bytes,
    access_list: AccessList,
}

/// A transaction on chain 1; its signature is nobody's.
pub(super) fn transaction(
    rng: &mut Rng,
    world: &World,
    types: Types,
    nonce: u64,
) -> EthereumTransaction {
    let common = Common::new(rng, world, nonce);
    let called = common.to.to().copied();
    match (called, rng.below(20)) {
        (Some(to), 0..3) if types.delegations => delegation(rng, world, common, to),
        (Some(to), 3) if types.blobs => with_blobs(rng, common, to),
        (_, 4..13) if types.dynamic_fees => {
            let Common { nonce, gas_limit, to, value, input, access_list } = common;
            let transaction = TxEip1559 {
                chain_id: 1,
                nonce,
                gas_limit,
                max_fee_per_gas: 100,
                max_priority_fee_per_gas: u128::from(rng.below(3)),
                to,
                value,
                input,
                access_list,
            };
            EthereumTransaction::Eip1559(transaction.into_signed(nobodys()))
        }
        (_, 13 | 14) if types.access_lists => {
            let Common { nonce, gas_limit, to, value, input, access_list } = common;
            let gas_price = gas_price(rng);
            let transaction = TxEip2930 {
                chain_id: 1,
                nonce,
                gas_price,
                gas_limit,
                to,
                value,
                input,
                access_list,
            };
            EthereumTransaction::Eip2930(transaction.into_signed(nobodys()))
        }
        _ => {
            let Common { nonce, gas_limit, to, value, input, .. } = common;
            let gas_price = gas_price(rng);
            let transaction =
                TxLegacy { chain_id: None, nonce, gas_price, gas_limit, to, value, input };
            EthereumTransaction::Legacy(transaction.into_signed(nobodys()))
        }
    }
}

fn nobodys() -> Signature {
    Signature::new(U256::ONE, U256::ONE, false)
}

fn gas_price(rng: &mut Rng) -> u128 {
    let price = if rng.below(200) == 0 { u128::MAX >> rng.below(24) } else { 7 };
    price.saturating_add(rng.below(3).into())
}

impl Common {
    fn new(rng: &mut Rng, world: &World, nonce: u64) -> Self {
        let words = [world.target(rng), world.target(rng)].map(|target| target.into_word());
        let length = rng.pick(&[0, 32, 32, 64]);
        let mut input: Bytes = words.concat()[..length].to_vec().into();
        let value = match rng.below(8) {
            0..4 => U256::ZERO,
            4 if rng.chance(10) => U256::MAX - U256::from(rng.below(2_000_000)),
            4 => U256::from(10).pow(U256::from(19)),
            _ => U256::from(rng.below(1_000_000)),
        };
        // Some have enough for whatever is called.
        let gas_limit = match rng.below(16) {
            0 => 1_500_000,
            1 => 21_000 + rng.below(40_000),
            _ => 60_000 + rng.below(4) * 70_000 + rng.below(1_000),
        };
        let mut to = TxKind::Call(world.target(rng));
        if rng.chance(6) {
            (to, input) = (TxKind::Create, init_of_mortal().into());
        }
        Self { nonce, gas_limit, to, value, input, access_list: access_list(rng, world) }
    }
}

fn access_list(rng: &mut Rng, world: &World) -> AccessList {
    let length = if rng.chance(60) { 0 } else { 1 + rng.below(3) };
    let item = |_| AccessListItem {
        address: world.target(rng),
        storage_keys: (0..rng.below(3)).map(|key| B256::with_last_byte(key as u8)).collect(),
    };
    AccessList((0..length).map(item).collect())
}

fn with_blobs(rng: &mut Rng, common: Common, to: Address) -> EthereumTransaction {
    let Common { nonce, gas_limit, value, input, access_list, .. } = common;
    // The first byte is the version, of which there is one.
    let version = if rng.chance(2) { 2 } else { 1 };
    let mut hash = B256::repeat_byte(9);
    hash[0] = version;
    let transaction = TxEip4844 {
        chain_id: 1,
        nonce,
        gas_limit,
        max_fee_per_gas: 100,
        max_priority_fee_per_gas: u128::from(rng.below(3)),
        to,
        value,
        access_list,
        blob_versioned_hashes: vec![hash; 1 + rng.below(2) as usize],
        max_fee_per_blob_gas: u128::from(rng.below(60)),
        input,
    };
    EthereumTransaction::Eip4844(transaction.into_signed(nobodys()))
}

/// The signatures of delegations are nobody's, too: each is recovered to some address, or is not and is passed over.
fn delegation(rng: &mut Rng, world: &World, common: Common, to: Address) -> EthereumTransaction {
    let Common { nonce, gas_limit, value, input, access_list, .. } = common;
    let authorizations = (0..1 + rng.below(2)).map(|_| {
        let delegate =
            Authorization { chain_id: U256::ZERO, address: world.target(rng), nonce: rng.below(2) };
        let r = U256::from(1 + rng.below(2));
        SignedAuthorization::new_unchecked(delegate, 0, r, U256::ONE)
    });
    let authorization_list: Vec<_> = authorizations.collect();
    // It may call whose delegation it is.
    let authority = authorization_list.first().and_then(|signed| signed.recover_authority().ok());
    let transaction = TxEip7702 {
        chain_id: 1,
        nonce,
        gas_limit: gas_limit + 60_000,
        max_fee_per_gas: 100,
        max_priority_fee_per_gas: 2,
        to: authority.filter(|_| rng.chance(50)).unwrap_or(to),
        value,
        access_list,
        authorization_list,
        input,
    };
    EthereumTransaction::Eip7702(transaction.into_signed(nobodys()))
}
