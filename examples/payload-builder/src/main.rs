//! An L1 whose blocks take transactions in the order in which they came, whatever they pay; only
//! one account goes first.
//!
//! ```text
//! $ cargo run -p payload-builder
//! came: Alice (tip 1), Bob (tip 9), Alice (tip 1), Oracle (tip 0)
//! block: Oracle, Alice, Bob, Alice
//! ```

use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{
    Address, B256, U256,
    map::{AddressMap, AddressSet},
};
use alloy_rpc_types_engine::PayloadAttributes;
use alloy_signer::SignerSync;
use lockstep_chain::{Ethereum, EthereumHardfork};
use lockstep_devnet::{DevAccount, L1_CHAIN_ID, MNEMONIC, accounts, l1_genesis};
use lockstep_engine::{BlockBuilder, BuildError, PayloadBuilder, Refusal};
use lockstep_execution::MemoryState;
use lockstep_node::{NodeBuilder, NodeChain, PartError};
use lockstep_pool::{Origin, Pool};
use lockstep_storage::GenesisBlock;
use std::sync::Arc;

/// First come, first served, but for one account, which is served before all others.
#[derive(Debug)]
struct FirstCome<C: NodeChain> {
    pool: Pool<C>,
    privileged: Address,
}

impl<C: NodeChain> PayloadBuilder<C> for FirstCome<C> {
    fn build(&self, block: &mut BlockBuilder<'_, C>) -> Result<(), BuildError> {
        // A transaction cannot go before an earlier one of its sender, even if it came before it.
        let mut newest = AddressMap::<u64>::default();
        let mut queue: Vec<_> = self
            .pool
            .best(block.base_fee(), block.blob_base_fee())
            .map(|tx| {
                let came = newest.entry(tx.sender).or_default();
                *came = tx.sequence.max(*came);
                ((tx.sender != self.privileged, *came), tx)
            })
            .collect();
        queue.sort_by_key(|(place, _)| *place);
        let mut stuck = AddressSet::default();
        for (_, tx) in queue {
            if block.is_cancelled() {
                break;
            }
            if stuck.contains(&tx.sender) {
                continue;
            }
            match block.push(tx.consensus(), tx.sender, tx.sidecar().cloned().map(Arc::new)) {
                Ok(_) => {}
                Err(Refusal::Failed(error)) => return Err(error),
                // What follows from this sender cannot be taken, either.
                Err(_) => {
                    stuck.insert(tx.sender);
                }
            }
        }
        Ok(())
    }
}

/// A transfer of nothing to nobody, signed and encoded. `tip` is in gwei.
fn transfer(from: &DevAccount, nonce: u64, tip: u128) -> Result<Vec<u8>, PartError> {
    let transaction = TxEip1559 {
        chain_id: L1_CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000,
        max_priority_fee_per_gas: tip * 1_000_000_000,
        to: Address::ZERO.into(),
        value: U256::ZERO,
        ..Default::default()
    };
    let signature = from.signer.sign_hash_sync(&transaction.signature_hash())?;
    let signed: EthereumTxEnvelope<TxEip4844> = transaction.into_signed(signature).into();
    Ok(signed.encoded_2718())
}

/// Sends transactions (of which account, with which tip in gwei) to a node whose last account is
/// privileged, and returns whose transactions its next block has.
async fn order_of_a_block(sent: &[(usize, u128)]) -> Result<Vec<usize>, PartError> {
    let accounts = accounts(MNEMONIC, 3)?;
    let addresses: Vec<Address> = accounts.iter().map(|account| account.address).collect();
    let privileged = addresses.last().copied().unwrap_or_default();
    let genesis = l1_genesis(EthereumHardfork::Osaka, 0, &addresses);
    let chain = Ethereum::from_genesis(&genesis)?;
    let header = chain.genesis_header(&genesis);
    let first = GenesisBlock::new(header, MemoryState::from_genesis(&genesis))?;
    let node = NodeBuilder::new(chain, &first)
        .payload_builder(move |pool| FirstCome { pool: pool.clone(), privileged })
        .launch()
        .await?;

    for (index, (account, tip)) in sent.iter().enumerate() {
        let earlier = sent.iter().take(index).filter(|(other, _)| other == account).count();
        let account = accounts.get(*account).ok_or("there is no such account")?;
        let signed = transfer(account, earlier as u64, *tip)?;
        node.context().pool().add_raw(&signed, Origin::Local)?;
    }
    let attributes = PayloadAttributes {
        timestamp: 12,
        prev_randao: B256::ZERO,
        suggested_fee_recipient: Address::ZERO,
        withdrawals: Some(Vec::new()),
        parent_beacon_block_root: Some(B256::ZERO),
        slot_number: None,
        target_gas_limit: None,
    };
    let block = node.context().engine().produce(&attributes)?;
    node.shutdown().await?;
    let account = |sender: &Address| addresses.iter().position(|address| address == sender);
    Ok(block.block.senders.iter().filter_map(account).collect())
}

const NAMES: [&str; 3] = ["Alice", "Bob", "Oracle"];

#[tokio::main]
async fn main() -> Result<(), PartError> {
    let sent = [(0, 1), (1, 9), (0, 1), (2, 0)];
    let order = order_of_a_block(&sent).await?;
    let name = |account: &usize| NAMES.get(*account).copied().unwrap_or_default();
    let came = sent.iter().map(|(account, tip)| format!("{} (tip {tip})", name(account)));
    println!("came: {}", came.collect::<Vec<_>>().join(", "));
    println!("block: {}", order.iter().map(name).collect::<Vec<_>>().join(", "));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_to_its_end() {
        main().expect("the node runs in this process alone");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn blocks_are_in_the_order_of_arrival_behind_the_privileged_account() {
        let order = order_of_a_block(&[(0, 1), (1, 9), (0, 1), (2, 0), (1, 2), (2, 5)]).await;
        assert_eq!(order.expect("the node builds a block"), [2, 2, 0, 1, 0, 1]);
    }
}
