//! What contracts store.

use crate::{ClientError, L1Client, MAX_PROVEN_SLOTS, RpcClient, proof::RpcProof, verify::Witness};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Sealed, U64, U256};

pub(crate) const GET_PROOF: &str = "eth_getProof";

/// The proof of an account and of slots of it, in the state after the block with this header.
pub(crate) fn fetch_proof(
    rpc: &RpcClient,
    header: &Sealed<Header>,
    address: Address,
    slots: &[B256],
) -> Result<RpcProof, ClientError> {
    if slots.len() > MAX_PROVEN_SLOTS {
        let (found, limit) = (slots.len(), MAX_PROVEN_SLOTS);
        return Err(ClientError::Limit { what: "slots", found, limit });
    }
    // By hash, so that the answer is of this block even after a reorganisation.
    match rpc.call(GET_PROOF, &(address, slots, header.hash())) {
        // Old nodes know blocks by number only. The root tells whether it is the same block.
        Err(ClientError::Rpc { code: -32_602, .. }) => {
            rpc.call(GET_PROOF, &(address, slots, U64::from(header.number)))
        }
        proof => proof,
    }
}

impl L1Client {
    /// The values of slots (unhashed) of an account in the state after the block with this header; zero where there is
    /// nothing. Each is proven by a path from the header's state root.
    ///
    /// # Errors
    /// [`ClientError::Limit`] for more than [`MAX_PROVEN_SLOTS`] slots; when the node does not
    /// answer, or not with a proof that holds.
    pub fn storage(
        &self,
        header: &Sealed<Header>,
        address: Address,
        slots: &[B256],
    ) -> Result<Vec<U256>, ClientError> {
        let proof = fetch_proof(self.rpc(), header, address, slots)?;
        let witness = Witness { endpoint: self.endpoint(), method: GET_PROOF };
        proof
            .verify_values(header.state_root, address, slots)
            .map_err(|reason| witness.untrue("proof", "one that holds", reason))
    }
}
