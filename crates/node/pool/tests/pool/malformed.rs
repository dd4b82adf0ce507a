//! Bytes that are no transaction, or not the canonical ones.

use crate::world::{World, transfer};
use alloy_consensus::TxEip1559;
use alloy_eips::eip2718::Encodable2718;
use lockstep_chain::EthereumHardfork;
use lockstep_pool::{Origin, PoolError};
use proptest::prelude::*;

#[test]
fn malformed_transactions_are_refused() {
    let world = World::new(EthereumHardfork::Prague);
    let pool = world.pool();
    let good = world.transfer(0, 0, 100).encoded_2718();
    let mut trailing = good.clone();
    trailing.push(0);
    let mut other_type = good.clone();
    other_type[0] = 5;
    // As it stands in a list: wrapped into a string.
    let mut wrapped = vec![0xb8, u8::try_from(good.len()).unwrap()];
    wrapped.extend_from_slice(&good);
    let deposit = [&[0x7e], &good[1..]].concat();
    let huge_length = vec![0x02, 0xfb, 0xff, 0xff, 0xff, 0xff];
    let corpus =
        [vec![], vec![0x02], vec![0xc0], trailing, other_type, wrapped, deposit, huge_length];
    for bytes in corpus {
        let error = pool.add_raw(&bytes, Origin::External).unwrap_err();
        assert!(
            matches!(error, PoolError::Decode(_) | PoolError::NotCanonical),
            "{bytes:02x?}: {error}"
        );
    }
    for end in 0..good.len() {
        pool.add_raw(&good[..end], Origin::External).unwrap_err();
    }
    let oversized = vec![0x02; 128 * 1024 + 1];
    let error = pool.add_raw(&oversized, Origin::External).unwrap_err();
    assert!(matches!(error, PoolError::Oversized { .. }), "{error}");
    pool.add_raw(&good, Origin::External).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever a flipped byte makes of a transaction, it is refused or is another one in its
    /// canonical encoding.
    #[test]
    fn a_changed_byte_is_refused_or_another_transaction(at: prop::sample::Index, to: u8) {
        let world = World::new(EthereumHardfork::Prague);
        let pool = world.pool();
        let tx = TxEip1559 { input: vec![1; 70].into(), gas_limit: 90_000, ..transfer(0, 100, 9) };
        let mut bytes = world.signed(0, tx).encoded_2718();
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(hash) = pool.add_raw(&bytes, Origin::External) {
            prop_assert_eq!(pool.get(&hash).unwrap().tx.encoded_2718(), bytes);
        }
    }

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let world = World::new(EthereumHardfork::Prague);
        prop_assert!(world.pool().add_raw(&bytes, Origin::External).is_err());
    }
}
