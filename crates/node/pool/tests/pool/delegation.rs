//! EIP-7702: one transaction at a time for accounts whose code was signed over.

use crate::world::{ETHER, World, refused};
use alloy_primitives::{Address, U256};
use lockstep_chain::EthereumHardfork;
use lockstep_execution::Bytecode;
use lockstep_pool::{Origin, Pool, PoolConfig, PoolError};

fn world() -> World {
    World::new(EthereumHardfork::Prague)
}

#[test]
fn a_delegated_sender_has_one_transaction_in_flight() {
    let world = world();
    let tip = world.genesis_with(|state| {
        let delegation = Bytecode::new_eip7702(Address::repeat_byte(1));
        state.set_account(world.address(0), 0, U256::from(ETHER), delegation);
    });
    let pool = Pool::new(world.chain.clone(), PoolConfig::default(), tip.head());
    assert_eq!(
        refused(&pool, world.transfer(0, 1, 100)).to_string(),
        "gapped-nonce tx from delegated accounts"
    );
    pool.add(world.transfer(0, 0, 100), Origin::External).unwrap();
    assert_eq!(
        refused(&pool, world.transfer(0, 1, 100)).to_string(),
        "in-flight transaction limit reached for delegated accounts"
    );
    pool.add(world.transfer(0, 0, 200), Origin::External).unwrap();
}

#[test]
fn an_authority_of_a_waiting_transaction_has_one_in_flight() {
    let world = world();
    let pool = world.pool();
    let set_code = pool.add(world.set_code(0, 0, &[1]), Origin::External).unwrap();
    pool.add(world.transfer(1, 0, 100), Origin::External).unwrap();
    assert!(matches!(refused(&pool, world.transfer(1, 1, 100)), PoolError::InFlightLimit));
    // Once the reservation is gone, so is the limit.
    pool.remove(&set_code);
    pool.add(world.transfer(1, 1, 100), Origin::External).unwrap();
}

#[test]
fn an_authority_with_several_transactions_is_reserved() {
    let world = world();
    let pool = world.pool();
    pool.add(world.transfer(1, 0, 100), Origin::External).unwrap();
    pool.add(world.set_code(0, 0, &[1]), Origin::External).unwrap();
    let pool = world.pool();
    pool.add(world.transfer(1, 0, 100), Origin::External).unwrap();
    pool.add(world.transfer(1, 1, 100), Origin::External).unwrap();
    let error = refused(&pool, world.set_code(0, 0, &[1]));
    assert!(error.to_string().starts_with("authority already reserved"), "{error}");
}

#[test]
fn an_empty_authorization_list_is_refused() {
    let world = world();
    let error = refused(&world.pool(), world.set_code(0, 0, &[]));
    assert_eq!(error.to_string(), "set code tx with empty auth list");
}

#[test]
fn a_replaced_set_code_transaction_releases_its_authorities() {
    let world = world();
    let pool = world.pool();
    pool.add(world.set_code(0, 0, &[1, 2]), Origin::External).unwrap();
    pool.add(world.transfer(0, 0, 200), Origin::External).unwrap();
    for nonce in 0..3 {
        pool.add(world.transfer(1, nonce, 100), Origin::External).unwrap();
    }
}

/// Each authorization is a signature to recover. So nonce and balance come first, even before the
/// gas that the authorizations cost: recovering is part of that check.
#[test]
fn who_cannot_pay_has_no_authorizations_recovered() {
    let world = World::new(EthereumHardfork::Prague);
    let crowded = world.set_code(0, 0, &[1; 20]);
    let error = refused(&world.pool(), crowded.clone());
    assert!(matches!(error, PoolError::IntrinsicGas { .. }), "{error}");
    let poor = world.genesis_with(|state| {
        state.set_account(world.address(0), 0, U256::ZERO, Bytecode::default());
    });
    let pool = Pool::new(world.chain, PoolConfig::default(), poor.head());
    let error = refused(&pool, crowded);
    assert!(matches!(error, PoolError::InsufficientFunds { .. }), "{error}");
}
