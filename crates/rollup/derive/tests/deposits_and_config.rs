//! What a block takes from its L1 origin: deposits, and changes of the system config (OP
//! specification: deposits, system config, deriving payload attributes).

#![allow(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "tests")]

mod common;

use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B256, Log, LogData, TxKind, U256, address};
use common::{BLOCK_TIME, GENESIS_TIME, PORTAL, SYSTEM_CONFIG, World, config, l1_chain};
use lockstep_chain::OpHardfork;
use lockstep_derive::{DeriveError, Severity, Step, sequencer_attributes};
use lockstep_protocol::{CONFIG_UPDATE_TOPIC, SystemConfigUpdate, TRANSACTION_DEPOSITED_TOPIC};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};

const FORKS: [OpHardfork; 3] = [OpHardfork::Bedrock, OpHardfork::Granite, OpHardfork::Jovian];

fn deposit(value: u64) -> TxDeposit {
    let to = address!("00000000000000000000000000000000000000bb");
    TxDeposit {
        from: Address::repeat_byte(5),
        to: if value.is_multiple_of(2) { TxKind::Create } else { TxKind::Call(to) },
        mint: value.into(),
        value: U256::from(value),
        gas_limit: 100_000 + value,
        input: vec![value as u8; value as usize].into(),
        ..TxDeposit::default()
    }
}

#[test]
fn the_first_block_of_an_epoch_has_the_deposits_of_its_origin() {
    for fork in FORKS {
        let mut world = World::at(fork);
        world.mine();
        for value in 1..5 {
            world.l1.borrow_mut().deposit(&deposit(value));
        }
        world.mine_many(2);
        let head = world.head();
        world.post(&world.singles(1..=head));
        world.mine();
        let follower = world.assert_derives_up_to(head);
        let mut seen = 0;
        for derived in &follower.derived {
            let transactions = derived.attributes.transactions.as_ref().unwrap();
            let deposits: Vec<TxDeposit> = transactions
                .iter()
                .filter(|transaction| transaction[0] == 0x7e)
                .map(|transaction| match OpTxEnvelope::decode_2718_exact(transaction) {
                    Ok(OpTxEnvelope::Deposit(deposit)) => deposit.into_inner(),
                    other => panic!("{other:?}"),
                })
                .collect();
            let number = derived.parent.block.number + 1;
            let info = follower.l2.borrow().block(number).info;
            if info.l1_origin.number != 2 || info.sequence_number != 0 {
                assert_eq!(deposits.len(), 1, "{fork}, block {number}");
                continue;
            }
            seen += 1;
            // Deposits come before the transactions of the batch, in the order of their logs.
            assert!(transactions[..5].iter().all(|transaction| transaction[0] == 0x7e));
            for (value, got) in (1..5).zip(&deposits[1..]) {
                let expected = TxDeposit { source_hash: got.source_hash, ..deposit(value) };
                assert_eq!(*got, expected);
            }
            let mut sources: Vec<B256> = deposits.iter().map(|d| d.source_hash).collect();
            sources.sort();
            sources.dedup();
            assert_eq!(sources.len(), 5);
        }
        assert_eq!(seen, 1, "{fork}");
    }
}

/// Deposits are in the blocks that are made up when no batch comes, too.
#[test]
fn deposits_are_included_without_a_batcher() {
    for fork in FORKS {
        let world = World::at(fork);
        world.l1.borrow_mut().mine();
        world.l1.borrow_mut().deposit(&deposit(3));
        world.l1.borrow_mut().mine_many(30);
        let mut follower = world.follower();
        follower.run();
        let users: usize = follower
            .derived
            .iter()
            .map(|derived| derived.attributes.transactions.as_ref().unwrap().len() - 1)
            .sum();
        assert_eq!(users, 1, "{fork}");
    }
}

#[test]
fn changes_of_the_system_config_take_effect_with_their_epoch() {
    let mut world = World::at(OpHardfork::Jovian);
    world.mine();
    for update in [
        SystemConfigUpdate::GasLimit(60_000_000),
        SystemConfigUpdate::Eip1559 { denominator: 100, elasticity: 3 },
        SystemConfigUpdate::OperatorFee { scalar: 5, constant: 6 },
        SystemConfigUpdate::MinBaseFee(77),
        SystemConfigUpdate::DaFootprintGasScalar(88),
    ] {
        world.l1.borrow_mut().update(&update);
    }
    world.mine_many(4);
    let head = world.head();
    world.post(&[world.span(1..=head)]);
    world.mine();
    let follower = world.assert_derives_up_to(head);
    for derived in &follower.derived {
        let number = derived.parent.block.number + 1;
        let is_changed = follower.l2.borrow().block(number).info.l1_origin.number >= 2;
        let attributes = &derived.attributes;
        assert_eq!(attributes.gas_limit == Some(60_000_000), is_changed, "{number}");
        assert_eq!(attributes.min_base_fee == Some(77), is_changed, "{number}");
        let params = attributes.eip_1559_params.unwrap();
        assert_eq!(params == [0, 0, 0, 100, 0, 0, 0, 3], is_changed, "{number}");
    }
}

/// What the contracts of the configuration emit cannot be left out; derivation stops there and goes
/// on when it is asked again, with the same result.
#[test]
fn what_the_contracts_emit_must_be_readable() {
    let malformed = |contract, topic| Log {
        address: contract,
        data: LogData::new_unchecked(vec![topic, B256::ZERO, B256::ZERO, B256::ZERO], [1].into()),
    };
    for (log, is_deposit) in [
        (malformed(PORTAL, TRANSACTION_DEPOSITED_TOPIC), true),
        (malformed(SYSTEM_CONFIG, CONFIG_UPDATE_TOPIC), false),
    ] {
        let mut world = World::at(OpHardfork::Jovian);
        world.l1.borrow_mut().log(log);
        world.l1.borrow_mut().mine();
        world.l1.borrow_mut().mine_many(25);
        let mut follower = world.follower();
        let error = loop {
            let head = follower.head();
            match follower.pipeline.step(&head) {
                Ok(Step::Attributes(attributes)) => {
                    follower.l2.borrow_mut().apply(&attributes.attributes);
                }
                Ok(Step::Idle) => panic!("the log must not be passed over"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.severity(), Severity::Critical);
        assert_eq!(matches!(error, DeriveError::Deposits { .. }), is_deposit, "{error}");
        let head = follower.head();
        let again = follower.pipeline.step(&head).expect_err("nothing has changed");
        assert_eq!(again.to_string(), error.to_string());
        // The same log of another contract is nobody's business.
        world.l1.borrow_mut().reorg(26);
        world.l1.borrow_mut().log(malformed(Address::repeat_byte(1), TRANSACTION_DEPOSITED_TOPIC));
        world.mine();
        let head = world.head();
        world.post(&world.singles(1..=head));
        world.mine();
        world.assert_derives_up_to(head);
    }
}

/// What a sequencer begins a block with is what derivation asks of it, but for the transactions.
#[test]
fn a_sequencer_begins_its_blocks_as_they_are_derived() {
    let mut config = config(OpHardfork::Holocene);
    config.isthmus_time = Some(GENESIS_TIME + 5 * BLOCK_TIME);
    let mut world = World::new(config);
    world.mine();
    world.l1.borrow_mut().deposit(&deposit(4));
    world.mine_many(2);
    let head = world.head();
    let (mut l1, mut l2) = (world.l1.clone(), common::SharedL2::new(world.l2.clone()));
    for number in 1..=head {
        let (parent, block) = (world.l2.block(number - 1), world.l2.block(number));
        let got = sequencer_attributes(
            &world.config,
            &l1_chain(),
            (&mut l1, &mut l2),
            &parent.info,
            block.info.l1_origin,
        )
        .expect("everything is there");
        let mut expected = block.attributes.clone();
        let transactions = expected.transactions.as_mut().expect("it has transactions");
        transactions.truncate(transactions.len() - block.sequenced.len());
        // The first block of Isthmus upgrades contracts.
        expected.no_tx_pool = Some(number == 5);
        assert_eq!(got, expected, "block {number}");
    }
}
