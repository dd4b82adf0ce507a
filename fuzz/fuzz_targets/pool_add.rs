//! Transactions from bytes, as a peer or a user sends them to a pool: nothing panics, and what the pool takes can be
//! found, told and removed again, until nothing is left.
//!
//! Input: transactions, each a byte that chooses origin and form, a length (two bytes, little endian) and its bytes. In
//! the one form they are the network encoding, in the other they describe a transaction with any signature: its signer
//! is somebody, and everybody is rich.

#![no_main]

use alloy_consensus::{
    EthereumTxEnvelope, Header, Sealable, SignableTransaction, TxEip1559, TxEip7702, TxLegacy,
};
use alloy_eips::{
    eip2718::Encodable2718,
    eip7702::{Authorization, SignedAuthorization},
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use libfuzzer_sys::fuzz_target;
use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule};
use lockstep_execution::{AccountInfo, Bytecode, StateReader};
use lockstep_pool::{
    EthereumPooledTransaction, Origin, Pool, PoolConfig, PoolError, PoolHead, PoolStatus,
    SubPoolLimit,
};
use lockstep_storage::{State, StorageError};
use lockstep_trie::{NodePath, NodeSource};
use std::sync::Arc;

const CHAIN_ID: u64 = 1;

/// So small that an input reaches the limits.
const LIMIT: SubPoolLimit = SubPoolLimit { transactions: 6, bytes: 4096 };

fuzz_target!(|input: &[u8]| {
    let chain =
        Ethereum::new(CHAIN_ID, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Osaka));
    let header = Header {
        gas_limit: 36_000_000,
        base_fee_per_gas: Some(7),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        ..Default::default()
    };
    let head = PoolHead { header: header.seal_slow(), state: Arc::new(Rich) };
    let config = PoolConfig { pending: LIMIT, queued: LIMIT, blobs: LIMIT, ..Default::default() };
    let pool = Pool::new(chain, config, head);

    let mut hashes = Vec::new();
    let mut rest = input;
    while let Some(([choice, length @ ..], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes(*length));
        let (content, after) = after.split_at_checked(length).unwrap_or((after, &[]));
        rest = after;
        let origin = [Origin::External, Origin::Local, Origin::User, Origin::Private]
            [usize::from(*choice % 4)];
        let encoded =
            if *choice < 64 { content.to_vec() } else { described(content).encoded_2718() };
        match pool.add_raw(&encoded, origin) {
            Ok(hash) => {
                hashes.push(hash);
                if let Some(found) = pool.get(&hash) {
                    assert_eq!((found.hash, found.tx.encoded_2718()), (hash, encoded));
                    assert!(pool.next_nonce(found.sender).is_some());
                }
            }
            Err(error) => assert!(!error.is_internal(), "{error}"),
        }
        let PoolStatus { pending, queued, blobs } = pool.status();
        assert!(pending + queued <= 3 * LIMIT.transactions && blobs <= LIMIT.transactions);
        let listed = pool.content();
        let _ = (pool.best(7, Some(1)).count(), listed);
    }

    for hash in &hashes {
        let was_there = pool.contains(hash);
        assert_eq!(pool.remove(hash).is_some(), was_there);
        assert!(!pool.contains(hash));
        assert!(matches!(pool.add_raw(&[], Origin::External), Err(PoolError::Decode(_))));
    }
    assert_eq!(pool.status(), PoolStatus { pending: 0, queued: 0, blobs: 0 });
});

/// A transaction with the fields that the bytes give, in their order; zero where they end.
fn described(bytes: &[u8]) -> EthereumPooledTransaction {
    let mut bytes = bytes.iter().copied();
    let mut byte = || bytes.next().unwrap_or_default();
    let ty = byte();
    let nonce = u64::from(byte() % 8);
    // Fees from nothing to more than anybody has.
    let mut fee = || u128::from(byte()).saturating_pow(u32::from(byte() % 17));
    let (max_fee_per_gas, max_priority_fee_per_gas) = (fee(), fee());
    let value = U256::from(fee());
    let gas_limit = 20_000 + u64::from(byte()) * 500;
    let signer = byte() % 4;
    let to = Address::repeat_byte(byte());
    let authority = byte() % 4;
    let input: Bytes = bytes.collect();
    // The coordinate of a point for every one of them, so that there is a signer.
    let signature = Signature::new(GENERATOR, U256::from(signer + 1), false);
    let (chain_id, kind) = (CHAIN_ID, TxKind::Call(to));
    match ty % 3 {
        0 => {
            let chain_id = (ty < 128).then_some(chain_id);
            let tx = TxLegacy {
                chain_id,
                nonce,
                gas_price: max_fee_per_gas,
                gas_limit,
                to: if ty < 64 { TxKind::Create } else { kind },
                value,
                input,
            };
            EthereumTxEnvelope::Legacy(tx.into_signed(signature))
        }
        1 => {
            let tx = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: kind,
                value,
                access_list: Default::default(),
                input,
            };
            EthereumTxEnvelope::Eip1559(tx.into_signed(signature))
        }
        _ => {
            let authorization =
                Authorization { chain_id: U256::from(chain_id), address: to, nonce };
            let signed = SignedAuthorization::new_unchecked(
                authorization,
                0,
                GENERATOR,
                U256::from(authority + 1),
            );
            let tx = TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list: Default::default(),
                authorization_list: vec![signed],
                input,
            };
            EthereumTxEnvelope::Eip7702(tx.into_signed(signature))
        }
    }
}

/// The first coordinate of secp256k1's generator.
const GENERATOR: U256 = U256::from_limbs([
    0x59F2_815B_16F8_1798,
    0x029B_FCDB_2DCE_28D9,
    0x55A0_6295_CE87_0B07,
    0x79BE_667E_F9DC_BBAC,
]);

/// A state in which everybody has a hundred ether and nobody has code.
#[derive(Debug)]
struct Rich;

impl StateReader for Rich {
    type Error = StorageError;

    fn account(&self, _: &Address) -> Result<Option<AccountInfo>, StorageError> {
        let balance = U256::from(100) * U256::from(10).pow(U256::from(18));
        Ok(Some(AccountInfo { balance, ..Default::default() }))
    }

    fn storage(&self, _: &Address, _: &U256) -> Result<U256, StorageError> {
        Ok(U256::ZERO)
    }

    fn has_storage(&self, _: &Address) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn code(&self, _: &B256) -> Result<Bytecode, StorageError> {
        Ok(Bytecode::default())
    }

    fn block_hash(&self, _: u64) -> Result<B256, StorageError> {
        Ok(B256::ZERO)
    }
}

impl NodeSource for Rich {
    type Error = StorageError;

    fn node(&self, _: &NodePath, _: B256) -> Result<Option<Bytes>, StorageError> {
        Ok(None)
    }
}

impl State for Rich {
    fn state_root(&self) -> B256 {
        B256::ZERO
    }
}
