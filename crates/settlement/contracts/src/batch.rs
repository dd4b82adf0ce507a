//! What the owner of a slot signs.

use crate::Inbox;
use alloy_primitives::{Address, B256, ChainId};
use alloy_sol_types::{SolStruct, eip712_domain};

mod typed {
    alloy_sol_types::sol! {
        struct UnionBatch {
            uint64 slot;
            bytes32 parent;
            bytes32[] blobHashes;
        }
    }
}

/// The hash of a batch: what the owner of its slot signs (EIP-712), its name in `BatchPosted`, and the parent
/// of the next one. `chain_id` is that of L1, `inbox` the contract's address there.
pub fn union_batch_hash(batch: &Inbox::Batch, chain_id: ChainId, inbox: Address) -> B256 {
    let Inbox::Batch { slot, parent, blobHashes } = batch.clone();
    let domain = eip712_domain! {
        name: "Lockstep Inbox",
        version: "1",
        chain_id: chain_id,
        verifying_contract: inbox,
    };
    typed::UnionBatch { slot, parent, blobHashes }.eip712_signing_hash(&domain)
}
