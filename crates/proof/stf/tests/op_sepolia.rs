//! Real OP Sepolia blocks, executed with nothing but hashes: the truth is each block's own hash.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

mod common;

use alloy_primitives::Bytes;
use lockstep_chain::Chain;
use lockstep_preimage::{CachingOracle, PreimageKey, PreimageOracle, PreimageSet};
use lockstep_stf::{DataError, PayloadError, StatelessExecutor, execute_stateless};
use std::{cell::RefCell, collections::BTreeSet};

/// Notes what it is asked for.
struct Noting<'a> {
    preimages: &'a PreimageSet,
    asked: RefCell<BTreeSet<PreimageKey>>,
}

impl PreimageOracle for Noting<'_> {
    type Error = <PreimageSet as PreimageOracle>::Error;

    fn get(&self, key: PreimageKey) -> Result<Bytes, Self::Error> {
        self.asked.borrow_mut().insert(key);
        self.preimages.get(key)
    }
}

#[test]
fn real_blocks_execute_statelessly_to_their_hash() {
    for block in common::blocks() {
        let number = block.number();
        let parent = block.parent.clone();
        let oracle = &block.preimages;
        let made = execute_stateless(&block.chain, parent.clone(), &block.attributes, oracle)
            .expect("the block executes");
        let (chain, header) = (&block.chain, &made.block.header);
        assert_eq!(made.block.hash(), block.hash, "block {number}: {header:?}");
        chain.validate_header(header).expect("the header is valid");
        let against_parent = chain.validate_header_against_parent(header, &parent, None);
        against_parent.expect("the header follows from its parent");
        chain.validate_body(&made.block).expect("the body is valid");
        assert_eq!(made.receipts.len(), made.block.body.transactions.len());
    }
}

#[test]
fn consecutive_blocks_execute_on_one_state_that_moves_on() {
    let blocks = common::blocks();
    let mut union = PreimageSet::new();
    for (_, preimage) in blocks.iter().flat_map(|block| block.preimages.iter()) {
        union.insert_keccak256(preimage.clone());
    }
    let Some(first) = blocks.first() else { return };
    let oracle = CachingOracle::new(&union, 1 << 20);
    let mut executor = StatelessExecutor::new(&first.chain, &oracle, first.parent.clone());
    for block in blocks.iter().take(4) {
        assert_eq!(block.parent.hash(), executor.head().hash(), "the blocks are consecutive");
        let made = executor.execute(&block.attributes).expect("the block executes");
        assert_eq!(made.block.hash(), block.hash);
    }
}

/// Whatever single pre-image is withheld of those that are read, the block fails and says which.
#[test]
fn a_missing_preimage_is_named_and_no_fault_of_the_block() {
    let Some(block) = common::blocks().into_iter().next() else { return };
    let execute = |oracle: &Noting<'_>| {
        execute_stateless(&block.chain, block.parent.clone(), &block.attributes, oracle)
    };
    let all = Noting { preimages: &block.preimages, asked: RefCell::default() };
    execute(&all).expect("everything is there");
    let asked = all.asked.into_inner();
    assert!(asked.len() > 100, "{} pre-images", asked.len());
    for missing in asked.iter().step_by(7) {
        let mut preimages = block.preimages.clone();
        preimages.remove(missing).expect("it was asked for");
        let oracle = Noting { preimages: &preimages, asked: RefCell::default() };
        let error = execute(&oracle).expect_err("a pre-image is missing");
        assert!(!error.is_invalid_payload(), "{error}");
        let PayloadError::Data(DataError::Oracle(_)) = &error else { panic!("{error}") };
        assert!(error.to_string().contains(&missing.to_string()), "{error}");
    }
}

/// Answers every question but one with the truth.
struct Lying<'a> {
    preimages: &'a PreimageSet,
    about: PreimageKey,
}

impl PreimageOracle for Lying<'_> {
    type Error = <PreimageSet as PreimageOracle>::Error;

    fn get(&self, key: PreimageKey) -> Result<Bytes, Self::Error> {
        let mut answer = self.preimages.get(key)?.to_vec();
        if key == self.about {
            answer[0] ^= 1;
        }
        Ok(answer.into())
    }
}

#[test]
fn a_wrong_preimage_is_found_out() {
    let Some(block) = common::blocks().into_iter().next() else { return };
    let all = Noting { preimages: &block.preimages, asked: RefCell::default() };
    execute_stateless(&block.chain, block.parent.clone(), &block.attributes, &all)
        .expect("everything is there");
    for about in all.asked.into_inner().into_iter().step_by(11) {
        let oracle = Lying { preimages: &block.preimages, about };
        let parent = block.parent.clone();
        let error = execute_stateless(&block.chain, parent, &block.attributes, &oracle)
            .expect_err("one answer is wrong");
        assert!(!error.is_invalid_payload(), "{error}");
        assert!(matches!(error, PayloadError::Data(_)), "{error}");
    }
}
