//! The limits hold, whoever sends what.

use crate::world::{ETHER, World, refused, transfer};
use alloy_consensus::TxEip1559;
use alloy_primitives::{B256, Bytes, U256};
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{Ethereum, EthereumHardfork};
use lockstep_execution::Bytecode;
use lockstep_pool::{Origin, Pool, PoolConfig, PoolError, SubPoolLimit};

fn limited(transactions: usize) -> PoolConfig {
    let limit = SubPoolLimit { transactions, bytes: usize::MAX };
    PoolConfig { pending: limit, queued: limit, ..Default::default() }
}

fn world() -> World {
    World::new(EthereumHardfork::Prague)
}

#[test]
fn the_lowest_tip_leaves_a_full_pool() {
    let world = world();
    let pool = world.pool_with(limited(3));
    for (user, fee) in [(0, 50), (1, 20), (2, 40)] {
        pool.add(world.transfer(user, 0, fee), Origin::External).unwrap();
    }
    let error = refused(&pool, world.transfer(3, 0, 15));
    assert!(error.to_string().starts_with("transaction underpriced"), "{error}");
    pool.add(world.transfer(3, 0, 30), Origin::External).unwrap();
    assert_eq!(pool.status().pending, 3);
    assert!(pool.next_nonce(world.address(1)).is_none(), "the tip of 11 was the lowest");
}

/// A transaction cannot go into a block before those of its sender before it. So a high tip behind
/// a low one is worth no more than the low one.
#[test]
fn a_high_tip_behind_a_low_one_protects_nothing() {
    let world = world();
    let pool = world.pool_with(limited(3));
    pool.add(world.transfer(0, 0, 12), Origin::External).unwrap();
    pool.add(world.transfer(0, 1, 900), Origin::External).unwrap();
    pool.add(world.transfer(1, 0, 50), Origin::External).unwrap();
    pool.add(world.transfer(2, 0, 40), Origin::External).unwrap();
    assert_eq!(pool.next_nonce(world.address(0)), Some(1), "its last transaction left");
    assert_eq!(pool.status().pending, 3);
}

#[test]
fn local_transactions_are_not_evicted_for_others() {
    let world = world();
    let pool = world.pool_with(limited(2));
    pool.add(world.transfer(0, 0, 10), Origin::Local).unwrap();
    pool.add(world.transfer(1, 0, 20), Origin::External).unwrap();
    pool.add(world.transfer(2, 0, 900), Origin::External).unwrap();
    assert_eq!(pool.next_nonce(world.address(0)), Some(1), "the tip of 1 is a local one's");
    assert!(pool.next_nonce(world.address(1)).is_none());
}

/// JSON-RPC is open to strangers, so what comes from there has no privilege but the journal.
#[test]
fn a_full_pool_of_cheap_user_transactions_lets_those_in_who_pay_more() {
    let world = world();
    let pool = world.pool_with(limited(3));
    for (user, origin) in [(0, Origin::User), (1, Origin::Private), (2, Origin::User)] {
        pool.add(world.transfer(user, 0, 11), origin).unwrap();
    }
    let error = pool.add(world.transfer(3, 0, 10), Origin::User).unwrap_err();
    assert!(matches!(error, PoolError::Underpriced { .. }), "{error}");
    for (user, origin) in [(3, Origin::External), (4, Origin::User), (5, Origin::Local)] {
        pool.add(world.transfer(user, 0, 90), origin).unwrap();
    }
    for user in 0..3 {
        assert!(pool.next_nonce(world.address(user)).is_none(), "user {user}");
    }
}

#[test]
fn user_transactions_have_ordinary_slots_and_tips_and_expire() {
    let world = world();
    let config =
        PoolConfig { sender_slots: 2, min_tip: 5, queued_lifetime_blocks: 1, ..Default::default() };
    for origin in [Origin::User, Origin::Private] {
        let pool = world.pool_with(config);
        let error = pool.add(world.signed(0, transfer(0, 100, 4)), origin).unwrap_err();
        assert!(matches!(error, PoolError::TipTooLow { tip: 4, minimum: 5 }), "{error}");
        let first = pool.add(world.transfer(0, 1, 100), origin).unwrap();
        pool.add(world.transfer(0, 2, 100), origin).unwrap();
        let error = pool.add(world.transfer(0, 3, 100), origin).unwrap_err();
        assert!(matches!(error, PoolError::AccountLimit { pooled: 2 }), "{error}");
        let mut tip = world.genesis.clone();
        for _ in 0..2 {
            assert!(pool.contains(&first));
            tip = world.child(&tip, vec![], 0, 1);
            pool.advance(tip.head(), &[tip.block()], &[]);
        }
        assert!(!pool.contains(&first));
    }
}

/// Not even the operator's own transactions keep out those of the operator that pay more.
#[test]
fn a_pool_full_of_local_transactions_keeps_the_best() {
    let world = world();
    let pool = world.pool_with(limited(2));
    for (user, fee) in [(0, 30), (1, 20)] {
        pool.add(world.transfer(user, 0, fee), Origin::Local).unwrap();
    }
    let error = pool.add(world.transfer(2, 0, 15), Origin::Local).unwrap_err();
    assert!(matches!(error, PoolError::Underpriced { .. }), "{error}");
    pool.add(world.transfer(3, 0, 25), Origin::Local).unwrap();
    assert_eq!(pool.next_nonce(world.address(0)), Some(1));
    assert!(pool.next_nonce(world.address(1)).is_none());
}

#[test]
fn local_transactions_take_their_share_of_a_full_pool_and_no_more() {
    let world = world();
    let pool = world.pool_with(PoolConfig { local_share_percent: 50, ..limited(4) });
    for user in 0..4 {
        pool.add(world.transfer(user, 0, 20), Origin::Local).unwrap();
    }
    for user in 4..8 {
        pool.add(world.transfer(user, 0, 10 + user as u128), Origin::External).unwrap();
    }
    let content = pool.content();
    let of = |origin| {
        let all = content.pending.values().flat_map(|by_nonce| by_nonce.values());
        all.filter(|tx| tx.origin == origin).count()
    };
    assert_eq!((of(Origin::Local), of(Origin::External)), (2, 2));
}

#[test]
fn a_replacement_that_finds_no_room_leaves_the_old_one() {
    let world = world();
    let pending = SubPoolLimit { transactions: 9, bytes: 1_000 };
    let pool = world.pool_with(PoolConfig { pending, ..Default::default() });
    let old = pool.add(world.transfer(0, 0, 100), Origin::External).unwrap();
    let input = Bytes::from(vec![0; 1_000]);
    let large = TxEip1559 { input, gas_limit: 100_000, ..transfer(0, 200, 200) };
    let error = refused(&pool, world.signed(0, large));
    assert!(matches!(error, PoolError::Underpriced { .. }), "{error}");
    assert_eq!(pool.pending_hashes(), [old]);
}

#[test]
fn a_sender_has_so_many_slots() {
    let world = world();
    let pool = world.pool_with(PoolConfig { sender_slots: 3, ..Default::default() });
    // 40 kB take two slots.
    let input = Bytes::from(vec![0; 40_000]);
    let large = TxEip1559 { input, gas_limit: 1_000_000, ..transfer(1, 100, 100) };
    pool.add(world.signed(0, large), Origin::External).unwrap();
    pool.add(world.transfer(0, 2, 100), Origin::External).unwrap();
    let error = refused(&pool, world.transfer(0, 3, 100));
    assert_eq!(error.to_string(), "account limit exceeded: pooled 2 txs");
    // What fills the gap may come in, and the last one leaves.
    pool.add(world.transfer(0, 0, 100), Origin::External).unwrap();
    assert_eq!((pool.status().pending, pool.status().queued), (2, 0));
    // The operator of this node may have more.
    pool.add(world.transfer(0, 2, 100), Origin::Local).unwrap();
    pool.add(world.transfer(0, 3, 100), Origin::Local).unwrap();
}

#[test]
fn one_sender_cannot_push_others_out_with_gaps() {
    let world = world();
    let pool = world.pool_with(limited(8));
    for user in 1..9 {
        pool.add(world.transfer(user, 0, 11), Origin::External).unwrap();
    }
    for nonce in 1..60 {
        let _ = pool.add(world.transfer(0, nonce, 9_000), Origin::External);
    }
    assert_eq!((pool.status().pending, pool.status().queued), (8, 8));
}

/// A crowd that sends in any order, with gaps, replacements and rising base fees.
#[test]
fn limits_hold_under_adversarial_load() {
    let world = world();
    let crowd: Vec<_> =
        (1..=60u8).map(|n| PrivateKeySigner::from_bytes(&B256::repeat_byte(n)).unwrap()).collect();
    let genesis = world.genesis_with(|state| {
        for user in &crowd {
            state.set_account(user.address(), 0, U256::from(ETHER), Bytecode::default());
        }
    });
    let config = PoolConfig {
        pending: SubPoolLimit { transactions: 40, bytes: 9_000 },
        queued: SubPoolLimit { transactions: 30, bytes: 6_000 },
        sender_slots: 8,
        ..Default::default()
    };
    let pool: Pool<Ethereum> = Pool::new(world.chain.clone(), config, genesis.head());
    let crowd = World { users: crowd, ..world };
    let mut tip = genesis;
    // A fixed pseudo-random sequence (Knuth's MMIX constants).
    let mut seed = 7u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let mut most = 0;
    for step in 0..3_000 {
        let user = usize::try_from(random(60)).unwrap();
        let fee = u128::from(8 + random(40));
        let input = vec![0; usize::try_from(random(300)).unwrap()].into();
        let tx = TxEip1559 { input, gas_limit: 60_000, ..transfer(random(12), fee, fee) };
        let origin = match random(20) {
            0 => Origin::Local,
            1 => Origin::User,
            _ => Origin::External,
        };
        let _ = pool.add(crowd.signed(user, tx), origin);
        if step % 100 == 99 {
            tip = crowd.child(&tip, vec![], random(30_000_000), step);
            pool.advance(tip.head(), &[tip.block()], &[]);
        }
        most = most.max(pool.status().pending);
        let content = pool.content();
        for (part, limit) in [(&content.pending, config.pending), (&content.queued, config.queued)]
        {
            let all = || part.values().flat_map(|by_nonce| by_nonce.values());
            assert!(all().count() <= limit.transactions);
            assert!(all().map(|tx| tx.size).sum::<usize>() <= limit.bytes);
        }
    }
    assert!(most > 25, "the load was too light to tell: {most}");
}
