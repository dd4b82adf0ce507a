//! What users send.

use alloy_consensus::{
    SignableTransaction, Signed, TxEip1559, TxEip2930, TxEip7702, TxEnvelope, TxLegacy, TxType,
};
use alloy_eips::{
    eip2718::Encodable2718,
    eip2930::{AccessList, AccessListItem},
    eip7702::Authorization,
};
use alloy_primitives::{B256, Bytes, Signature, TxKind, U256};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_devnet::DevAccount;
use lockstep_node::{Node, NodeChain};
use lockstep_pool::{Origin, PoolError};

const GAS_LIMIT: u64 = 300_000;
const MAX_FEE: u128 = 10_000_000_000;
const TIP: u128 = 1_000_000;
/// Times that a pool is asked until it must have learnt of the head.
const PATIENCE: u32 = 100_000;

/// What a transaction does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call<'a> {
    pub(crate) chain_id: u64,
    pub(crate) to: TxKind,
    pub(crate) value: U256,
    pub(crate) input: &'a Bytes,
}

impl Call<'_> {
    /// The signed transaction of type `ty`; `delegating` signs the authorization of one that has one.
    pub(crate) fn sign(
        &self,
        ty: TxType,
        signer: &PrivateKeySigner,
        nonce: u64,
        delegating: &DevAccount,
    ) -> TxEnvelope {
        let Self { chain_id, to, value, input } = *self;
        let (input, address) = (input.clone(), to.to().copied().unwrap_or_default());
        let item = AccessListItem { address, storage_keys: vec![B256::ZERO] };
        let access_list = AccessList(vec![item]);
        let (gas_limit, gas_price) = (GAS_LIMIT, MAX_FEE);
        let (max_fee_per_gas, max_priority_fee_per_gas) = (MAX_FEE, TIP);
        match ty {
            TxType::Legacy => {
                let chain_id = Some(chain_id);
                let tx = TxLegacy { chain_id, nonce, gas_price, gas_limit, to, value, input };
                sign(signer, tx)
            }
            TxType::Eip2930 => {
                let tx = TxEip2930 {
                    chain_id,
                    nonce,
                    gas_price,
                    gas_limit,
                    to,
                    value,
                    access_list,
                    input,
                };
                sign(signer, tx)
            }
            TxType::Eip7702 => {
                let chain = U256::from(chain_id);
                let authorization = Authorization { chain_id: chain, address, nonce: 0 };
                let hash = authorization.signature_hash();
                let signature = delegating.signer.sign_hash_sync(&hash).unwrap();
                let tx = TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: address,
                    value,
                    access_list,
                    authorization_list: vec![authorization.into_signed(signature)],
                    input,
                };
                sign(signer, tx)
            }
            ty => {
                assert_eq!(ty, TxType::Eip1559);
                let tx = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list,
                    input,
                };
                sign(signer, tx)
            }
        }
    }
}

fn sign<T>(signer: &PrivateKeySigner, transaction: T) -> TxEnvelope
where
    T: SignableTransaction<Signature>,
    TxEnvelope: From<Signed<T>>,
{
    let signature = signer.sign_hash_sync(&transaction.signature_hash()).unwrap();
    TxEnvelope::from(transaction.into_signed(signature))
}

/// The next nonce of an account, what waits in the pool counted.
fn nonce<C: NodeChain>(node: &Node<C>, account: &DevAccount) -> u64 {
    let context = node.context();
    let snapshot = context.view().snapshot();
    let head = alloy_consensus::BlockHeader::number(snapshot.head().inner());
    let state = snapshot.state(head).unwrap();
    context.pool().next_nonce(account.address).unwrap_or_else(|| {
        state.account(&account.address).unwrap().map(|account| account.nonce).unwrap_or_default()
    })
}

/// Gives a transaction to the pool, which learns of new heads on a thread of its own: the next nonce
/// may be another one a moment later.
pub(crate) fn submit<C: NodeChain>(
    node: &Node<C>,
    account: &DevAccount,
    make: impl Fn(&PrivateKeySigner, u64) -> TxEnvelope,
) {
    for _ in 0..PATIENCE {
        let raw = make(&account.signer, nonce(node, account)).encoded_2718();
        match node.context().pool().add_raw(&raw, Origin::Local) {
            Ok(_) => return,
            Err(PoolError::NonceTooLow { .. } | PoolError::ReplacementUnderpriced) => {
                std::thread::yield_now();
            }
            // Others of the account, or of one that delegates, wait already.
            Err(PoolError::AuthorityReserved { .. } | PoolError::AccountLimit { .. }) => return,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the pool never learns of the head");
}
