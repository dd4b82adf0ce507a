//! Blob transactions and their sidecars.

use crate::world::{CHAIN_ID, World, refused};
use alloy_consensus::TxEip4844;
use alloy_eips::{
    eip2718::Encodable2718,
    eip4844::{Blob, BlobTransactionSidecar, env_settings::EnvKzgSettings},
    eip7594::{BlobTransactionSidecarEip7594, BlobTransactionSidecarVariant},
};
use alloy_primitives::{Address, B256};
use lockstep_chain::{Ethereum, EthereumHardfork, ForkCondition, ForkSchedule};
use lockstep_pool::{EthereumPooledTransaction, Origin, PoolConfig, PoolError, SubPoolLimit};

fn blob(seed: u8) -> Blob {
    let mut blob = Blob::ZERO;
    blob[1] = seed;
    blob
}

pub(crate) fn version_0(seeds: &[u8]) -> BlobTransactionSidecarVariant {
    let blobs = seeds.iter().map(|seed| blob(*seed)).collect();
    let settings = EnvKzgSettings::Default.get();
    let sidecar = BlobTransactionSidecar::try_from_blobs_with_settings(blobs, settings).unwrap();
    BlobTransactionSidecarVariant::Eip4844(sidecar)
}

fn version_1(seeds: &[u8]) -> BlobTransactionSidecarVariant {
    let blobs = seeds.iter().map(|seed| blob(*seed)).collect();
    let settings = EnvKzgSettings::Default.get();
    let sidecar =
        BlobTransactionSidecarEip7594::try_from_blobs_with_settings(blobs, settings).unwrap();
    BlobTransactionSidecarVariant::Eip7594(sidecar)
}

pub(crate) fn sign(
    world: &World,
    nonce: u64,
    fee: u128,
    sidecar: BlobTransactionSidecarVariant,
) -> EthereumPooledTransaction {
    let tx = TxEip4844 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: fee,
        max_priority_fee_per_gas: fee,
        max_fee_per_blob_gas: fee,
        to: Address::repeat_byte(1),
        blob_versioned_hashes: sidecar.versioned_hashes().collect(),
        ..Default::default()
    };
    world.signed_blob(0, tx, sidecar)
}

fn hashes(tx: &EthereumPooledTransaction) -> Vec<B256> {
    tx.as_eip4844().unwrap().tx().tx.blob_versioned_hashes.clone()
}

#[test]
fn a_blob_transaction_is_pending_with_its_blobs() {
    let world = World::new(EthereumHardfork::Prague);
    let pool = world.pool();
    let tx = sign(&world, 0, 100, version_0(&[1, 2]));
    pool.add_raw(&tx.encoded_2718(), Origin::External).unwrap();
    let status = pool.status();
    assert_eq!((status.pending, status.queued, status.blobs), (1, 0, 1));
    let asked = [hashes(&tx)[1], B256::ZERO, hashes(&tx)[0]];
    let got = pool.blobs(&asked);
    assert_eq!(got[0].as_ref().unwrap().blob(), Some(&blob(2)));
    assert!(got[0].as_ref().unwrap().proof().is_some());
    assert!(got[0].as_ref().unwrap().cell_proofs().is_none());
    assert!(got[1].is_none());
    assert_eq!(got[2].as_ref().unwrap().blob(), Some(&blob(1)));
    assert_eq!(pool.best(9, Some(1)).count(), 1);
    assert_eq!(pool.best(9, Some(101)).count(), 0);
    assert_eq!(pool.best(9, None).count(), 0);
}

#[test]
fn from_osaka_on_cell_proofs_are_wanted_and_computed_for_this_nodes_users() {
    let world = World::new(EthereumHardfork::Osaka);
    let pool = world.pool();
    let old = sign(&world, 0, 100, version_0(&[1]));
    assert_eq!(
        refused(&pool, old.clone()).to_string(),
        "unexpected sidecar version, want: 1, got: 0"
    );
    pool.add(old.clone(), Origin::Local).unwrap();
    let got = pool.blobs(&hashes(&old));
    let BlobTransactionSidecarVariant::Eip7594(expected) = version_1(&[1]) else { panic!() };
    assert_eq!(got[0].as_ref().unwrap().cell_proofs(), Some(&expected.cell_proofs[..]));
    pool.add(sign(&world, 1, 100, version_1(&[2])), Origin::External).unwrap();
}

#[test]
fn before_osaka_cell_proofs_are_refused() {
    let world = World::new(EthereumHardfork::Prague);
    let error = refused(&world.pool(), sign(&world, 0, 100, version_1(&[1])));
    assert_eq!(error.to_string(), "unexpected sidecar version, want: 0, got: 1");
}

#[test]
fn sidecars_that_do_not_belong_are_refused() {
    let osaka = World::new(EthereumHardfork::Osaka);
    let prague = World::new(EthereumHardfork::Prague);
    let BlobTransactionSidecarVariant::Eip4844(good) = version_0(&[1, 2]) else { panic!() };
    let mut other_blob = good.clone();
    other_blob.blobs[0] = blob(3);
    let mut other_proof = good.clone();
    other_proof.proofs.swap(0, 1);
    let mut fewer_blobs = good.clone();
    fewer_blobs.blobs.pop();
    let mut more_proofs = good;
    more_proofs.proofs.push(more_proofs.proofs[0]);
    for sidecar in [other_blob, other_proof, fewer_blobs, more_proofs] {
        let sidecar = BlobTransactionSidecarVariant::Eip4844(sidecar);
        let error = refused(&prague.pool(), sign(&prague, 0, 100, sidecar));
        assert!(matches!(error, PoolError::Sidecar(_)), "{error}");
    }
    let BlobTransactionSidecarVariant::Eip7594(good) = version_1(&[1]) else { panic!() };
    let mut other_cell = good.clone();
    other_cell.cell_proofs.swap(0, 127);
    let mut fewer_cells = good.clone();
    fewer_cells.cell_proofs.pop();
    let mut no_blob = good;
    no_blob.blobs.clear();
    no_blob.cell_proofs.clear();
    for sidecar in [other_cell, fewer_cells, no_blob] {
        let sidecar = BlobTransactionSidecarVariant::Eip7594(sidecar);
        let error = refused(&osaka.pool(), sign(&osaka, 0, 100, sidecar));
        assert!(matches!(error, PoolError::Sidecar(_)), "{error}");
    }
    // Versioned hashes of other commitments.
    let mut tx = TxEip4844 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: 100,
        max_priority_fee_per_gas: 100,
        max_fee_per_blob_gas: 100,
        ..Default::default()
    };
    tx.blob_versioned_hashes = version_0(&[7]).versioned_hashes().collect();
    let error = refused(&prague.pool(), prague.signed_blob(0, tx, version_0(&[1])));
    assert!(matches!(error, PoolError::Sidecar(_)), "{error}");
}

#[test]
fn blob_counts_have_limits() {
    let world = World::new(EthereumHardfork::Osaka);
    let error = refused(&world.pool(), sign(&world, 0, 100, version_0(&[])));
    assert_eq!(error.to_string(), "blobless blob transaction");
    // The proofs are not looked at before the count.
    let BlobTransactionSidecarVariant::Eip4844(one) = version_0(&[1]) else { panic!() };
    let seven = BlobTransactionSidecar::new(
        vec![one.blobs[0]; 7],
        vec![one.commitments[0]; 7],
        vec![one.proofs[0]; 7],
    );
    let seven = sign(&world, 0, 100, BlobTransactionSidecarVariant::Eip4844(seven));
    let error = refused(&world.pool(), seven.clone());
    assert_eq!(error.to_string(), "too many blobs in transaction: have 7, permitted 6");
    let error = world.pool().add_raw(&seven.encoded_2718(), Origin::External).unwrap_err();
    assert_eq!(error.to_string(), "too many blobs in transaction: have 7, permitted 6");
}

#[test]
fn a_blob_transaction_neither_waits_for_a_nonce_nor_mixes_with_others() {
    let world = World::new(EthereumHardfork::Prague);
    let pool = world.pool();
    let error = refused(&pool, sign(&world, 1, 100, version_0(&[1])));
    assert_eq!(error.to_string(), "nonce too high: tx nonce 1, gapped nonce 0");
    pool.add(sign(&world, 0, 100, version_0(&[1])), Origin::External).unwrap();
    let error = refused(&pool, world.transfer(0, 1, 100));
    assert_eq!(error.to_string(), "address already reserved");
}

#[test]
fn a_blob_replacement_must_pay_twice() {
    let world = World::new(EthereumHardfork::Prague);
    let pool = world.pool();
    pool.add(sign(&world, 0, 100, version_0(&[1])), Origin::External).unwrap();
    let error = refused(&pool, sign(&world, 0, 199, version_0(&[1])));
    assert_eq!(error.to_string(), "replacement transaction underpriced");
    pool.add(sign(&world, 0, 200, version_0(&[1])), Origin::External).unwrap();
    assert_eq!(pool.status().blobs, 1);
}

#[test]
fn blobs_survive_inclusion_and_a_reorg() {
    let world = World::new(EthereumHardfork::Prague);
    let pool = world.pool();
    let tx = sign(&world, 0, 100, version_0(&[1]));
    let hash = pool.add(tx.clone(), Origin::External).unwrap();
    let consensus = pool.get(&hash).unwrap().consensus();
    let with = world.child(&world.genesis, vec![consensus], 0, 1);
    pool.advance(with.head(), &[with.block()], &[]);
    assert_eq!(pool.status().blobs, 0);
    assert!(pool.blobs(&hashes(&tx))[0].is_some());
    let without = world.child(&world.genesis, vec![], 0, 2);
    pool.advance(without.head(), &[without.block()], &[with.block()]);
    assert_eq!((pool.status().blobs, pool.status().pending), (1, 1));
    assert!(pool.get(&hash).unwrap().sidecar().is_some());
}

#[test]
fn remembered_blobs_are_forgotten_for_newer_ones() {
    let world = World::new(EthereumHardfork::Prague);
    let recent = SubPoolLimit { transactions: 1, bytes: usize::MAX };
    let pool = world.pool_with(PoolConfig { recent, ..Default::default() });
    let txs = [sign(&world, 0, 100, version_0(&[1])), sign(&world, 1, 100, version_0(&[2]))];
    let mut tip = world.genesis.clone();
    for tx in &txs {
        let hash = pool.add(tx.clone(), Origin::External).unwrap();
        let consensus = pool.get(&hash).unwrap().consensus();
        tip = world.child(&tip, vec![consensus], 0, 1);
        pool.advance(tip.head(), &[tip.block()], &[]);
    }
    assert!(pool.blobs(&hashes(&txs[0]))[0].is_none());
    assert!(pool.blobs(&hashes(&txs[1]))[0].is_some());
}

#[test]
fn waiting_sidecars_are_converted_when_osaka_begins() {
    let forks = ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Prague)
        .with(EthereumHardfork::Osaka, ForkCondition::Timestamp(12));
    let world = World::with_chain(Ethereum::new(CHAIN_ID, forks));
    let pool = world.pool();
    let tx = sign(&world, 0, 100, version_0(&[1]));
    pool.add(tx.clone(), Origin::External).unwrap();
    let tip = world.child(&world.genesis, vec![], 0, 1);
    pool.advance(tip.head(), &[tip.block()], &[]);
    let got = pool.blobs(&hashes(&tx));
    assert!(got[0].as_ref().unwrap().cell_proofs().is_some());
    assert_eq!(pool.status().pending, 1);
}
