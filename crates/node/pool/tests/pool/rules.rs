//! One rule each, by the sentence that a client sees.

use crate::world::{CHAIN_ID, ETHER, GAS_LIMIT, World, refused, transfer};
use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip2930, TxLegacy};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, bytes};
use lockstep_chain::EthereumHardfork;
use lockstep_execution::Bytecode;
use lockstep_pool::{Origin, Pool, PoolConfig, PoolError};

fn prague() -> World {
    World::new(EthereumHardfork::Prague)
}

#[test]
fn a_transfer_is_pending_and_found() {
    let world = prague();
    let pool = world.pool();
    let mut events = pool.subscribe();
    let tx = world.transfer(0, 0, 100);
    let hash = pool.add_raw(&tx.encoded_2718(), Origin::External).unwrap();
    assert_eq!(hash, *tx.tx_hash());
    let found = pool.get(&hash).unwrap();
    assert_eq!((found.sender, found.nonce()), (world.address(0), 0));
    assert_eq!(found.cost, U256::from(21_000 * 100 + 1));
    assert_eq!(pool.status().pending, 1);
    assert_eq!(pool.next_nonce(world.address(0)), Some(1));
    assert_eq!(pool.pending_hashes(), [hash]);
    assert_eq!(events.try_recv().unwrap().hash, hash);
}

#[test]
fn a_known_transaction_is_refused() {
    let world = prague();
    let pool = world.pool();
    pool.add(world.transfer(0, 0, 100), Origin::External).unwrap();
    assert_eq!(refused(&pool, world.transfer(0, 0, 100)).to_string(), "already known");
}

#[test]
fn a_used_nonce_is_refused() {
    let world = prague();
    let tip = world.genesis_with(|state| {
        state.set_account(world.address(0), 5, U256::from(ETHER), Bytecode::default());
    });
    let pool = Pool::new(world.chain.clone(), PoolConfig::default(), tip.head());
    let error = refused(&pool, world.transfer(0, 3, 100));
    assert_eq!(error.to_string(), "nonce too low: next nonce 5, tx nonce 3");
}

#[test]
fn a_nonce_too_far_ahead_is_refused() {
    let world = prague();
    let pool = world.pool_with(PoolConfig { max_nonce_gap: 8, ..Default::default() });
    pool.add(world.transfer(0, 8, 100), Origin::External).unwrap();
    let error = refused(&pool, world.transfer(0, 9, 100));
    assert!(error.to_string().starts_with("nonce too high"), "{error}");
    let error = refused(&pool, world.transfer(1, u64::MAX, 100));
    assert_eq!(error.to_string(), "nonce has max value");
}

#[test]
fn what_the_balance_does_not_cover_is_refused() {
    let world = prague();
    let tip = world.genesis_with(|state| {
        let balance = U256::from(2 * 21_000 * 100 + 1);
        state.set_account(world.address(0), 0, balance, Bytecode::default());
        state.set_account(world.address(1), 0, U256::ZERO, Bytecode::default());
    });
    let pool = Pool::new(world.chain.clone(), PoolConfig::default(), tip.head());
    let error = refused(&pool, world.transfer(1, 0, 100));
    assert_eq!(
        error.to_string(),
        "insufficient funds for gas * price + value: balance 0, tx cost 2100001, overshot 2100001"
    );
    pool.add(world.transfer(0, 0, 100), Origin::External).unwrap();
    let error = refused(&pool, world.transfer(0, 1, 100));
    assert_eq!(
        error.to_string(),
        "insufficient funds for gas * price + value: balance 4200001, queued cost 2100001, \
         tx cost 2100001, overshot 1"
    );
}

#[test]
fn a_cost_beyond_256_bits_is_refused() {
    let world = prague();
    let tx = TxEip1559 { value: U256::MAX, ..transfer(0, 100, 100) };
    let error = refused(&world.pool(), world.signed(0, tx));
    assert!(error.to_string().starts_with("insufficient funds"), "{error}");
}

#[test]
fn gas_below_what_it_costs_is_refused() {
    let world = prague();
    let pool = world.pool();
    let tx = TxEip1559 { gas_limit: 1, ..transfer(0, 100, 100) };
    let error = refused(&pool, world.signed(0, tx));
    assert_eq!(error.to_string(), "intrinsic gas too low: gas 1, minimum needed 21000");
    // 1,000 bytes that are not zero: 16 gas each, but at least 40 each (EIP-7623).
    let input = Bytes::from(vec![1; 1_000]);
    let tx = TxEip1559 { gas_limit: 40_000, input, ..transfer(0, 100, 100) };
    let error = refused(&pool, world.signed(0, tx));
    assert_eq!(
        error.to_string(),
        "insufficient gas for floor data gas cost: gas 40000, minimum needed 61000"
    );
}

#[test]
fn gas_beyond_a_block_or_the_cap_is_refused() {
    let world = prague();
    let tx = TxEip1559 { gas_limit: GAS_LIMIT + 1, ..transfer(0, 100, 100) };
    let error = refused(&world.pool(), world.signed(0, tx));
    assert_eq!(error.to_string(), "exceeds block gas limit");
    let world = World::new(EthereumHardfork::Osaka);
    let tx = TxEip1559 { gas_limit: (1 << 24) + 1, ..transfer(0, 100, 100) };
    let error = refused(&world.pool(), world.signed(0, tx));
    assert_eq!(error.to_string(), "transaction gas limit too high (cap: 16777216, tx: 16777217)");
}

#[test]
fn another_chains_transaction_is_refused() {
    let world = prague();
    let tx = TxEip1559 { chain_id: 1, ..transfer(0, 100, 100) };
    let error = refused(&world.pool(), world.signed(0, tx));
    assert_eq!(error.to_string(), "invalid sender: invalid chain id for signer: have 1 want 1337");
}

#[test]
fn a_transaction_without_replay_protection_is_taken() {
    let world = prague();
    let tx = TxLegacy {
        chain_id: None,
        gas_price: 100,
        gas_limit: 21_000,
        to: TxKind::Call(Address::ZERO),
        ..Default::default()
    };
    world.pool().add(world.signed_legacy(0, tx), Origin::External).unwrap();
}

#[test]
fn a_signature_of_nobody_is_refused() {
    let signature = Signature::new(U256::ZERO, U256::ZERO, false);
    let tx = EthereumTxEnvelope::Eip1559(transfer(0, 100, 100).into_signed(signature));
    assert_eq!(refused(&prague().pool(), tx).to_string(), "invalid sender");
}

/// EIP-2: of the two signatures that fit, one is valid.
#[test]
fn a_malleable_signature_is_refused() {
    let world = prague();
    let EthereumTxEnvelope::Eip1559(signed) = world.transfer(0, 0, 100) else { panic!() };
    let order = U256::from_be_slice(&alloy_primitives::hex!(
        "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
    ));
    let (r, s, odd) = (signed.signature().r(), signed.signature().s(), signed.signature().v());
    let signature = Signature::new(r, order - s, !odd);
    let tx = EthereumTxEnvelope::Eip1559(signed.strip_signature().into_signed(signature));
    assert_eq!(refused(&world.pool(), tx).to_string(), "invalid sender");
}

#[test]
fn types_before_their_fork_are_refused() {
    let world = World::new(EthereumHardfork::Istanbul);
    let listed = TxEip2930 { chain_id: CHAIN_ID, gas_limit: 21_000, ..Default::default() };
    let signature = Signature::test_signature();
    let listed = EthereumTxEnvelope::Eip2930(listed.into_signed(signature));
    for tx in [listed, world.transfer(0, 0, 100), world.set_code(0, 0, &[1])] {
        let error = refused(&world.pool(), tx);
        assert!(error.to_string().starts_with("transaction type not supported"), "{error}");
    }
}

#[test]
fn a_tip_above_the_fee_is_refused() {
    let world = prague();
    let error = refused(&world.pool(), world.signed(0, transfer(0, 100, 101)));
    assert!(
        error.to_string().starts_with("max priority fee per gas higher than max fee per gas"),
        "{error}"
    );
}

#[test]
fn a_low_tip_is_taken_from_this_nodes_users_alone() {
    let world = prague();
    let pool = world.pool_with(PoolConfig { min_tip: 3, ..Default::default() });
    let error = refused(&pool, world.signed(0, transfer(0, 100, 2)));
    assert_eq!(error.to_string(), "transaction underpriced: gas tip cap 2, minimum needed 3");
    pool.add(world.signed(0, transfer(0, 100, 2)), Origin::Local).unwrap();
}

#[test]
fn large_transactions_and_contracts_are_refused() {
    let world = prague();
    let pool = world.pool();
    let input = Bytes::from(vec![0; 128 * 1024]);
    let tx = TxEip1559 { gas_limit: 20_000_000, input, ..transfer(0, 100, 100) };
    let error = refused(&pool, world.signed(0, tx));
    assert!(error.to_string().starts_with("oversized data: transaction size 131"), "{error}");
    let input = Bytes::from(vec![0; 49_153]);
    let to = TxKind::Create;
    let tx = TxEip1559 { gas_limit: 20_000_000, input, to, ..transfer(0, 100, 100) };
    let error = refused(&pool, world.signed(0, tx));
    assert_eq!(error.to_string(), "max initcode size exceeded: code size 49153");
}

/// EIP-3607, with the exception of EIP-7702.
#[test]
fn contracts_cannot_send_and_delegated_accounts_can() {
    let world = prague();
    let tip = world.genesis_with(|state| {
        let balance = U256::from(ETHER);
        let code = Bytecode::new_legacy(bytes!("00"));
        state.set_account(world.address(0), 0, balance, code);
        let delegation = Bytecode::new_eip7702(Address::repeat_byte(1));
        state.set_account(world.address(1), 0, balance, delegation);
    });
    let pool = Pool::new(world.chain.clone(), PoolConfig::default(), tip.head());
    let error = refused(&pool, world.transfer(0, 0, 100));
    assert!(error.to_string().starts_with("sender not an eoa"), "{error}");
    pool.add(world.transfer(1, 0, 100), Origin::External).unwrap();
}

#[test]
fn a_replacement_must_pay_a_tenth_more() {
    let world = prague();
    let pool = world.pool();
    let first = pool.add(world.signed(0, transfer(0, 100, 50)), Origin::External).unwrap();
    for (fee, tip) in [(109, 60), (120, 54), (100, 50)] {
        let tx = TxEip1559 { value: U256::from(2), ..transfer(0, fee, tip) };
        let error = refused(&pool, world.signed(0, tx));
        assert_eq!(error.to_string(), "replacement transaction underpriced", "{fee} {tip}");
    }
    let second = pool.add(world.signed(0, transfer(0, 110, 55)), Origin::External).unwrap();
    assert!(pool.get(&first).is_none());
    assert_eq!(pool.pending_hashes(), [second]);
}

#[test]
fn a_gap_is_waited_for() {
    let world = prague();
    let pool = world.pool();
    let mut events = pool.subscribe();
    let late = pool.add(world.transfer(0, 1, 100), Origin::External).unwrap();
    assert_eq!((pool.status().pending, pool.status().queued), (0, 1));
    assert_eq!(pool.next_nonce(world.address(0)), Some(0));
    assert!(events.try_recv().is_err());
    let early = pool.add(world.transfer(0, 0, 100), Origin::External).unwrap();
    assert_eq!((pool.status().pending, pool.status().queued), (2, 0));
    let told = [events.try_recv().unwrap().hash, events.try_recv().unwrap().hash];
    assert_eq!(told, [early, late]);
    assert_eq!(pool.remove(&early).unwrap().hash, early);
    assert_eq!((pool.status().pending, pool.status().queued), (0, 1));
}

#[test]
fn the_best_transactions_come_first_and_in_order_of_nonces() {
    let world = prague();
    let pool = world.pool();
    // The base fee of the next block is 9.
    for (user, nonce, fee) in [(0, 0, 20), (0, 1, 90), (1, 0, 50), (2, 0, 30), (1, 1, 40)] {
        pool.add(world.transfer(user, nonce, fee), Origin::External).unwrap();
    }
    let order = |base_fee| -> Vec<(usize, u64)> {
        let user = |sender| (0..3).find(|user| world.address(*user) == sender).unwrap();
        pool.best(base_fee, None).map(|tx| (user(tx.sender), tx.nonce())).collect()
    };
    assert_eq!(order(9), [(1, 0), (1, 1), (2, 0), (0, 0), (0, 1)]);
    assert_eq!(order(25), [(1, 0), (1, 1), (2, 0)]);
    assert!(order(51).is_empty());

    let mut best = pool.best(9, None);
    let first = best.next().unwrap();
    best.mark_invalid(&first);
    best.skip_sender(world.address(0));
    let rest: Vec<_> = best.map(|tx| tx.sender).collect();
    assert_eq!(rest, [world.address(2)]);
}

#[test]
fn the_best_transactions_are_a_snapshot() {
    let world = prague();
    let pool = world.pool();
    for nonce in 0..3 {
        pool.add(world.transfer(0, nonce, 100), Origin::External).unwrap();
    }
    let mut best = pool.best(9, None);
    best.next().unwrap();
    for hash in pool.pending_hashes() {
        pool.remove(&hash);
    }
    pool.add(world.transfer(1, 0, 900), Origin::External).unwrap();
    let rest: Vec<_> = best.map(|tx| tx.nonce()).collect();
    assert_eq!(rest, [1, 2]);
}

#[test]
fn a_private_transaction_is_built_and_shown_to_nobody() {
    let world = prague();
    let pool = world.pool();
    let mut events = pool.subscribe();
    let hash = pool.add(world.transfer(0, 0, 100), Origin::Private).unwrap();
    assert!(events.try_recv().is_err());
    assert!(pool.pending_hashes().is_empty());
    let content = pool.content();
    assert!(content.pending.is_empty() && content.queued.is_empty());
    assert_eq!(pool.best(9, None).map(|tx| tx.hash).collect::<Vec<_>>(), [hash]);
    assert_eq!(pool.status().pending, 1);
}

#[test]
fn an_unreadable_account_is_the_nodes_fault() {
    let world = prague();
    let pool = world.pool();
    world.genesis.state.unreadable.lock().unwrap().insert(world.address(0));
    let error = refused(&pool, world.transfer(0, 0, 100));
    assert!(matches!(&error, PoolError::State(_)) && error.is_internal(), "{error}");
    pool.add(world.transfer(1, 0, 100), Origin::External).unwrap();
}
