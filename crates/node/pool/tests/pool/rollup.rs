//! A rollup's pool: no blobs, no deposits, and data paid for on L1.

use crate::world::{ETHER, TestState, transfer};
use alloy_consensus::{Header, Sealable, SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, U256, address};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{FeeParams, ForkSchedule, OpHardfork, Rollup};
use lockstep_execution::{Bytecode, MemoryState};
use lockstep_pool::{Origin, Pool, PoolConfig, PoolError, PoolHead};
use op_alloy_consensus::{OpPooledTransaction, TxDeposit};
use std::sync::Arc;

const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");

fn rollup(fork: OpHardfork) -> Rollup {
    Rollup::new(1337, ForkSchedule::<OpHardfork>::at(fork), FeeParams::OP_MAINNET)
}

fn user() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::with_last_byte(1)).unwrap()
}

fn pool(fork: OpHardfork, balance: U256, l1_base_fee: u64) -> Pool<Rollup> {
    let mut memory = MemoryState::default();
    memory.set_account(user().address(), 0, balance, Bytecode::default());
    memory.set_account(L1_BLOCK, 1, U256::ZERO, Bytecode::default());
    // Slot 1 holds the L1 base fee, slot 3 the scalars of Ecotone: here 10^6 for the base fee.
    memory.set_slot(L1_BLOCK, U256::from(1), U256::from(l1_base_fee));
    memory.set_slot(L1_BLOCK, U256::from(3), U256::from(1_000_000u64) << 96);
    let header = Header {
        number: 1,
        timestamp: 2,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(10),
        // Version 0, denominator 250, elasticity 6.
        extra_data: alloy_primitives::hex!("00000000fa00000006").into(),
        ..Default::default()
    };
    let state = Arc::new(TestState { memory, ..Default::default() });
    let head = PoolHead { header: header.seal_slow(), state };
    Pool::new(rollup(fork), PoolConfig::default(), head)
}

fn sign(tx: TxEip1559) -> OpPooledTransaction {
    let signature = user().sign_hash_sync(&tx.signature_hash()).unwrap();
    OpPooledTransaction::Eip1559(tx.into_signed(signature))
}

#[test]
fn a_transfer_is_pending() {
    let pool = pool(OpHardfork::Isthmus, U256::from(ETHER), 0);
    let tx = sign(transfer(0, 100, 100));
    let hash = pool.add_raw(&tx.encoded_2718(), Origin::External).unwrap();
    assert_eq!(pool.best(10, None).map(|tx| tx.hash).collect::<Vec<_>>(), [hash]);
    assert_eq!(pool.get(&hash).unwrap().cost, U256::from(21_000 * 100 + 1));
}

#[test]
fn the_balance_must_cover_the_data_on_l1() {
    let balance = U256::from(21_000 * 100 + 1);
    pool(OpHardfork::Fjord, balance, 0).add(sign(transfer(0, 100, 100)), Origin::Local).unwrap();
    let refused = pool(OpHardfork::Fjord, balance, 1_000_000)
        .add(sign(transfer(0, 100, 100)), Origin::Local)
        .unwrap_err();
    let PoolError::InsufficientFunds { cost, .. } = refused else { panic!("{refused}") };
    assert!(cost > balance);
}

#[test]
fn deposits_and_blob_transactions_do_not_decode() {
    let pool = pool(OpHardfork::Isthmus, U256::from(ETHER), 0);
    let deposit = TxDeposit { from: user().address(), ..Default::default() }.encoded_2718();
    for bytes in [&deposit[..], &[3, 0xc0]] {
        let error = pool.add_raw(bytes, Origin::External).unwrap_err();
        assert!(matches!(error, PoolError::Decode(_)), "{error}");
    }
}

#[test]
fn set_code_transactions_wait_for_isthmus() {
    let tx = alloy_consensus::TxEip7702 { chain_id: 1337, gas_limit: 99_999, ..Default::default() };
    let signature = user().sign_hash_sync(&tx.signature_hash()).unwrap();
    let tx = OpPooledTransaction::Eip7702(tx.into_signed(signature));
    let balance = U256::from(ETHER);
    let error = pool(OpHardfork::Holocene, balance, 0).add(tx.clone(), Origin::Local).unwrap_err();
    assert!(error.to_string().starts_with("transaction type not supported"), "{error}");
    let error = pool(OpHardfork::Isthmus, balance, 0).add(tx, Origin::Local).unwrap_err();
    assert_eq!(error.to_string(), "set code tx with empty auth list");
}
