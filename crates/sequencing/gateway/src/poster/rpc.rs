//! L1 and rollups behind JSON-RPC.

use super::{InboxState, L1Inbox, MemberStatus, RollupStatus};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bytes};
use alloy_sol_types::SolCall;
use lockstep_batcher::{Inclusion, L1Head, L1Submit, NonceAt, RpcL1, SendOutcome, SourceError};
use lockstep_contracts::Inbox;
use lockstep_providers::{ClientError, RpcClient};
use serde::Deserialize;
use serde_json::json;

/// An L1 node behind JSON-RPC, and the inbox there. What it says is its word.
#[derive(Clone, Debug)]
pub struct RpcInbox {
    rpc: RpcClient,
    l1: RpcL1,
    inbox: Address,
    /// It never changes.
    window_slots: Option<u64>,
}

impl RpcInbox {
    /// The inbox at an address on the L1 that `rpc` asks.
    pub const fn new(rpc: RpcClient, l1: RpcL1, inbox: Address) -> Self {
        Self { rpc, l1, inbox, window_slots: None }
    }

    /// What a view function returns after a block; `None` if the node does not show the block.
    fn view<C: SolCall>(&self, call: &C, at: B256) -> Result<Option<C::Return>, SourceError> {
        let failed = |error: ClientError| SourceError::new("inbox", error);
        let input = Bytes::from(call.abi_encode());
        let parameters = (json!({ "to": self.inbox, "data": input }), json!({ "blockHash": at }));
        let answer: Bytes = match self.rpc.call("eth_call", &parameters) {
            Ok(answer) => answer,
            // These functions never revert: it is the block that is not known.
            Err(ClientError::Rpc { .. }) => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        C::abi_decode_returns(&answer).map(Some).map_err(|_| {
            let reason = format!("{} answers {answer} and is no inbox", self.inbox);
            SourceError::new("inbox", reason)
        })
    }
}

impl L1Submit for RpcInbox {
    fn head(&mut self) -> Result<L1Head, SourceError> {
        self.l1.head()
    }

    fn nonce(&mut self, account: Address, at: NonceAt) -> Result<u64, SourceError> {
        self.l1.nonce(account, at)
    }

    fn balance(&mut self, account: Address) -> Result<u128, SourceError> {
        self.l1.balance(account)
    }

    fn send(&mut self, raw: &[u8]) -> Result<SendOutcome, SourceError> {
        self.l1.send(raw)
    }

    fn inclusion(&mut self, hash: B256) -> Result<Option<Inclusion>, SourceError> {
        self.l1.inclusion(hash)
    }
}

impl L1Inbox for RpcInbox {
    fn inbox(&mut self, at: B256) -> Result<Option<InboxState>, SourceError> {
        let window_slots = match self.window_slots {
            Some(slots) => Some(slots),
            None => self.view(&Inbox::windowSlotsCall {}, at)?,
        };
        self.window_slots = window_slots;
        let head = self.view(&Inbox::headCall {}, at)?;
        let next_slot = self.view(&Inbox::nextSlotCall {}, at)?;
        let (Some(head), Some(next_slot), Some(window_slots)) = (head, next_slot, window_slots)
        else {
            return Ok(None);
        };
        Ok(Some(InboxState { head, next_slot, window_slots }))
    }
}

/// A rollup's Lockstep node behind JSON-RPC (`optimism_syncStatus`).
#[derive(Clone, Debug)]
pub struct RpcMember {
    rollup: RpcClient,
}

impl RpcMember {
    /// `rollup` knows where derivation stands.
    pub const fn new(rollup: RpcClient) -> Self {
        Self { rollup }
    }
}

#[derive(Debug, Deserialize)]
struct RpcStatus {
    safe_l2: RpcRef,
    /// The block up to which everything was derived; zeros before the first.
    current_l1: RpcRef,
}

/// Rollup nodes write numbers as such.
#[derive(Clone, Copy, Debug, Deserialize)]
struct RpcRef {
    hash: B256,
    number: u64,
}

impl From<RpcRef> for BlockNumHash {
    fn from(RpcRef { hash, number }: RpcRef) -> Self {
        Self { number, hash }
    }
}

impl RollupStatus for RpcMember {
    fn status(&mut self) -> Result<MemberStatus, SourceError> {
        let status: RpcStatus = self
            .rollup
            .call("optimism_syncStatus", &[(); 0])
            .map_err(|error| SourceError::new("status", error))?;
        let RpcStatus { safe_l2, current_l1 } = status;
        Ok(MemberStatus {
            safe_head: safe_l2.into(),
            derived_up_to: (!current_l1.hash.is_zero()).then(|| current_l1.into()),
        })
    }
}
