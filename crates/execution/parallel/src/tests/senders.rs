//! Senders that several threads recover, against those that one does.

use super::rng::Rng;
use crate::ParallelExecutor;
use alloy_consensus::{BlockBody, Header, SignableTransaction, TxLegacy};
use alloy_primitives::{Signature, U256};
use lockstep_chain::{Block, Chain, Ethereum, EthereumHardfork, EthereumTransaction, ForkSchedule};

/// A transaction that somebody signed, or nobody: of few numbers is none the x of a point on the curve.
fn transaction(rng: &mut Rng, nonce: u64, is_signed: bool) -> EthereumTransaction {
    let mut tx = TxLegacy { chain_id: Some(1), nonce, gas_limit: 21_000, ..Default::default() };
    tx.gas_price = rng.below(100).into();
    let r = if is_signed { U256::ONE } else { U256::ZERO };
    let signature = Signature::new(r, U256::from(1 + rng.below(1_000)), rng.chance(50));
    EthereumTransaction::Legacy(tx.into_signed(signature))
}

#[test]
fn senders_and_the_first_that_there_is_not_are_the_same_to_several_threads() {
    let chain = Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::London));
    let executors = [1, 2, 4].map(|threads| ParallelExecutor::new(threads).expect("they start"));
    let (mut signed, mut unsigned) = (0, 0);
    for seed in 0..60 {
        let mut rng = Rng::new(seed);
        let count = rng.below(70);
        let is_whole = rng.chance(50);
        let transactions = (0..count)
            .map(|nonce| {
                let is_signed = is_whole || rng.chance(95);
                transaction(&mut rng, nonce, is_signed)
            })
            .collect();
        let body = BlockBody { transactions, ..Default::default() };
        let block = Block::<Ethereum>::new(Header { number: 1, ..Default::default() }, body);
        let text =
            |senders: Result<_, lockstep_chain::BodyError>| senders.map_err(|it| it.to_string());
        let expected = text(chain.recover_senders(&block));
        for executor in &executors {
            let found = text(executor.recover_senders(&chain, &block));
            assert_eq!(found, expected, "seed {seed}, {} threads", executor.threads());
        }
        *(if expected.is_ok() { &mut signed } else { &mut unsigned }) += 1;
    }
    assert!(signed > 10 && unsigned > 10, "{signed} blocks are signed, {unsigned} are not");
}
