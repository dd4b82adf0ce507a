//! Witnesses of the blocks of a chain that crosses every fork: the truth is that the blocks execute
//! on nothing else to the roots in their headers.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

mod common;

use alloy_consensus::Header;
use alloy_primitives::B256;
use alloy_rlp::Decodable;
use common::TestChain;
use lockstep_chain::Ethereum;
use lockstep_execution::{
    ExecuteOptions, StateChanges, execute_block, validate_output, validate_state_root,
};
use lockstep_inspect::{InspectError, ReplayBlock, execution_witness};
use lockstep_testkit::{fixtures, stateless::Stateless};
use lockstep_trie::{NodeSet, StateTrie};

#[test]
fn every_block_executes_on_its_witness_alone() {
    let Some(fixtures) = fixtures::folder() else { return };
    let (chain, _) = TestChain::rpc_compat(&fixtures);
    let (mut nodes, mut keys, mut ancestors) = (0, 0, 0);
    for number in 1..=chain.head() {
        let parent = &chain.blocks[number - 1].header;
        let header_of = |number: u64| Ok(chain.blocks.get(number as usize).map(header));
        let block = chain.replay(number);
        let witness =
            execution_witness(&chain.chain, block, chain.state(number - 1), parent, header_of)
                .expect("the block has a witness");
        nodes += witness.state.len();
        keys += witness.keys.len();
        ancestors += witness.headers.len();
        let preimages: NodeSet = witness.state.into_iter().chain(witness.codes).collect();
        execute_on(&chain.chain, block, parent.state_root, preimages, &witness.headers);
    }
    eprintln!("{} blocks, {nodes} nodes, {keys} keys, {ancestors} headers", chain.head());
    assert!(nodes > 500 && keys > 500 && ancestors >= chain.head());
}

fn header(imported: &common::Imported) -> Header {
    imported.header.inner().clone()
}

fn execute_on(
    chain: &Ethereum,
    block: ReplayBlock<'_, Ethereum>,
    root: B256,
    preimages: NodeSet,
    headers: &[alloy_primitives::Bytes],
) {
    let mut state = Stateless::new(root, preimages);
    for rlp in headers {
        let header = Header::decode(&mut rlp.as_ref()).expect("the header decodes");
        state.block_hashes.insert(header.number, header.hash_slow());
    }
    let mut root_after = |changes: &StateChanges| {
        let mut trie = StateTrie::from_root(root);
        changes.apply_to(&mut trie);
        Ok(trie.root(&state)?)
    };
    let options =
        ExecuteOptions { intermediate_roots: Some(&mut root_after), ..Default::default() };
    let header = &block.block.header;
    let output = execute_block(chain, block.block, block.senders, &state, options)
        .unwrap_or_else(|error| panic!("block {}: {error}", header.number));
    validate_output(chain, header, &output).expect("the output is what the header says");
    let mut trie = state.trie.borrow_mut();
    output.changes.apply_to(&mut trie);
    let root = trie.root(&state.preimages).expect("the witness holds every node");
    validate_state_root(header, root).expect("the root is the header's");
}

#[test]
fn genesis_has_no_witness_and_a_wrong_parent_gives_none() {
    let Some(fixtures) = fixtures::folder() else { return };
    let (chain, _) = TestChain::rpc_compat(&fixtures);
    let none = |_| Ok(None);
    let head = chain.head();
    let genesis = &chain.blocks[0].header;
    let result = execution_witness(&chain.chain, chain.replay(0), chain.state(0), genesis, none);
    assert!(matches!(result, Err(InspectError::Genesis)), "{result:?}");
    let wrong =
        execution_witness(&chain.chain, chain.replay(head), chain.state(head), genesis, none);
    assert!(wrong.is_err(), "{wrong:?}");
}
