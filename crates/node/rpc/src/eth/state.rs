//! Accounts, code, storage, and proofs of them.

use crate::{
    Args, Context, RpcChain, RpcError, RpcResult, args::parse_slot, context::locate,
    register::Registrar,
};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U64, U256, keccak256};
use alloy_rpc_types_eth::{
    AccountInfo as RpcAccountInfo, EIP1186AccountProofResponse, EIP1186StorageProof,
};
use alloy_serde::JsonStorageKey;
use lockstep_execution::{AccountInfo, StateCommitment};
use lockstep_storage::{State, StorageError};
use lockstep_trie::{NodePath, NodeSource, StateTrie, TrieAccount, TrieError};
use serde::Serialize;
use std::collections::BTreeMap;

pub(super) fn register<C: RpcChain>(registrar: &mut Registrar<C>) {
    registrar
        .read("eth_getBalance", balance)
        .read("eth_getTransactionCount", transaction_count)
        .read("eth_getCode", code)
        .read("eth_getStorageAt", storage_at)
        .read("eth_getStorageValues", storage_values)
        .work("eth_getProof", proof)
        .work("eth_getAccount", account)
        .read("eth_getAccountInfo", account_info);
}

fn balance<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<U256> {
    let address: Address = args.required()?;
    let state = context.state_of(&context.now(), args.block()?)?;
    Ok(state.account(&address)?.map_or(U256::ZERO, |account| account.balance))
}

fn transaction_count<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<U64> {
    let address: Address = args.required()?;
    let id = args.block()?;
    let state = context.state_of(&context.now(), id)?;
    let nonce = state.account(&address)?.map_or(0, |account| account.nonce);
    // The pool may hear of a block a little later than the state shows it.
    let pooled = if id.is_pending() { context.pool.next_nonce(address) } else { None };
    Ok(U64::from(nonce.max(pooled.unwrap_or_default())))
}

fn code<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<Bytes> {
    let address: Address = args.required()?;
    let state = context.state_of(&context.now(), args.block()?)?;
    code_of(&*state, state.account(&address)?.as_ref())
}

fn code_of(state: &dyn State, account: Option<&AccountInfo>) -> RpcResult<Bytes> {
    match account {
        Some(account) if account.code_hash != KECCAK256_EMPTY => {
            Ok(state.code(&account.code_hash)?.original_bytes())
        }
        _ => Ok(Bytes::new()),
    }
}

fn storage_at<C: RpcChain>(context: &Context<C>, args: &mut Args<'_>) -> RpcResult<B256> {
    let address: Address = args.required()?;
    let slot = args.slot()?;
    let state = context.state_of(&context.now(), args.block()?)?;
    Ok(state.storage(&address, &slot)?.into())
}

fn storage_values<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<BTreeMap<Address, Vec<B256>>> {
    let wanted: BTreeMap<Address, Vec<String>> = args.required()?;
    let slots: usize = wanted.values().map(Vec::len).sum();
    if slots == 0 {
        return Err(RpcError::invalid("empty request"));
    }
    check_slots(slots, context.settings.limits.slots)?;
    let state = context.state_of(&context.now(), args.block()?)?;
    let read = |(address, slots): (Address, Vec<String>)| {
        let values = slots.iter().map(|slot| {
            let value: B256 = state.storage(&address, &parse_slot(slot)?)?.into();
            Ok(value)
        });
        Ok((address, values.collect::<RpcResult<_>>()?))
    };
    wanted.into_iter().map(read).collect()
}

fn check_slots(asked: usize, limit: usize) -> RpcResult<()> {
    if asked > limit {
        return Err(RpcError::invalid(format!("too many slots (max {limit})")));
    }
    Ok(())
}

/// The state that a proof is asked for; refused if its trie would have to be rebuilt over too
/// many blocks.
fn state_for_proof<C: RpcChain>(
    context: &Context<C>,
    id: BlockId,
) -> RpcResult<std::sync::Arc<dyn State>> {
    context.refuse_pending(id, "state root, so nothing in it can be proven,")?;
    let now = context.now();
    let located = locate(&now.snapshot, id)?.ok_or(RpcError::UnknownBlock)?;
    let behind = now.snapshot.head().number.saturating_sub(located.block.number);
    let limit = context.settings.limits.proof_blocks;
    if behind > limit {
        return Err(RpcError::Limit { what: "blocks behind the head", asked: behind, limit });
    }
    context.state_of(&now, id)
}

/// Why a proof could not be made.
#[derive(Debug, thiserror::Error)]
enum SourceError {
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error("the request took too long, or nobody waits for it any more")]
    Stopped,
}

/// The nodes of a state's trie, until the request must end.
struct Nodes<'a, F> {
    state: &'a dyn State,
    must_stop: F,
}

impl<F: Fn() -> bool> NodeSource for Nodes<'_, F> {
    type Error = SourceError;

    fn node(&self, at: &NodePath, hash: B256) -> Result<Option<Bytes>, SourceError> {
        if (self.must_stop)() {
            return Err(SourceError::Stopped);
        }
        Ok(self.state.node(at, hash)?)
    }

    fn is_trusted(&self) -> bool {
        self.state.is_trusted()
    }
}

/// The trie that commits to a state.
fn trie_of<C: RpcChain>(state: &dyn State) -> RpcResult<StateTrie> {
    if !C::Commitment::is_trie() {
        return Err(RpcError::refused("this chain does not commit to its state by a trie"));
    }
    Ok(StateTrie::from_root(state.state_root()))
}

fn trie_error(error: TrieError<SourceError>) -> RpcError {
    match error {
        TrieError::Source(SourceError::Storage(error)) => RpcError::Storage(error),
        error => RpcError::Internal(error.to_string()),
    }
}

fn proof<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<EIP1186AccountProofResponse> {
    let address: Address = args.required()?;
    let keys: Vec<String> = args.required()?;
    check_slots(keys.len(), context.settings.limits.slots)?;
    let slots = keys.iter().map(|key| parse_slot(key)).collect::<RpcResult<Vec<U256>>>()?;
    let state = state_for_proof(context, args.block()?)?;
    let hashed: Vec<B256> = slots.iter().map(|slot| keccak256(slot.to_be_bytes::<32>())).collect();
    let mut trie = trie_of::<C>(&*state)?;
    let nodes = Nodes { state: &*state, must_stop: args.stop() };
    let proof = trie.prove(keccak256(address), &hashed, &nodes).map_err(trie_error)?;
    let account = proof.account.unwrap_or_default();
    // A key comes back in the form in which it was sent.
    let key = |text: &String, slot: U256| match text.len() {
        66 => JsonStorageKey::Hash(slot.into()),
        _ => JsonStorageKey::Number(slot),
    };
    let storage_proof = keys.iter().zip(slots).zip(proof.storage).map(|((text, slot), proof)| {
        EIP1186StorageProof { key: key(text, slot), value: proof.value, proof: proof.proof }
    });
    Ok(EIP1186AccountProofResponse {
        address,
        balance: account.balance,
        code_hash: account.code_hash,
        nonce: account.nonce,
        storage_hash: account.storage_root,
        account_proof: proof.proof,
        storage_proof: storage_proof.collect(),
    })
}

/// An account as the trie holds it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct RpcAccount {
    balance: U256,
    code_hash: B256,
    nonce: U64,
    storage_root: B256,
}

fn account<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<Option<RpcAccount>> {
    let address: Address = args.required()?;
    let state = state_for_proof(context, args.block()?)?;
    let mut trie = trie_of::<C>(&*state)?;
    let nodes = Nodes { state: &*state, must_stop: args.stop() };
    let account = trie.account(keccak256(address), &nodes).map_err(trie_error)?;
    Ok(account.map(|account: TrieAccount| RpcAccount {
        balance: account.balance,
        code_hash: account.code_hash,
        nonce: U64::from(account.nonce),
        storage_root: account.storage_root,
    }))
}

fn account_info<C: RpcChain>(
    context: &Context<C>,
    args: &mut Args<'_>,
) -> RpcResult<RpcAccountInfo> {
    let address: Address = args.required()?;
    let state = context.state_of(&context.now(), args.block()?)?;
    let account = state.account(&address)?;
    let code = code_of(&*state, account.as_ref())?;
    let account = account.unwrap_or_default();
    Ok(RpcAccountInfo { balance: account.balance, nonce: account.nonce, code })
}
