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

/// A log of the system config contract that cannot be read is ignored, but not those around it; both
/// by traversal (who may send batches) and in what blocks are made of.
#[test]
fn unreadable_changes_of_the_system_config_are_ignored_one_by_one() {
    let log = |topics: Vec<B256>, data: Vec<u8>| Log {
        address: SYSTEM_CONFIG,
        data: LogData::new_unchecked(topics, data.into()),
    };
    let word = |value: u64| U256::from(value).to_be_bytes::<32>();
    let data = |value: u64| [word(32), word(32), word(value)].concat();
    let ty = B256::with_last_byte;
    for fork in [OpHardfork::Bedrock, OpHardfork::Granite, OpHardfork::Jovian] {
        let mut world = World::at(fork);
        world.mine();
        let mut l1 = world.l1.borrow_mut();
        for bad in [
            log(vec![CONFIG_UPDATE_TOPIC], Vec::new()),
            log(vec![CONFIG_UPDATE_TOPIC, ty(1), ty(2)], data(7)),
            log(vec![CONFIG_UPDATE_TOPIC, ty(0), ty(9)], data(7)),
            log(vec![CONFIG_UPDATE_TOPIC, ty(0), ty(2)], data(7)[..95].to_vec()),
            log(vec![CONFIG_UPDATE_TOPIC, ty(0), ty(0)], [word(32), word(32), [1; 32]].concat()),
            // An elasticity of 5 without a denominator.
            log(vec![CONFIG_UPDATE_TOPIC, ty(0), ty(4)], data(5)),
        ] {
            l1.update(&SystemConfigUpdate::GasLimit(40_000_000));
            l1.log(bad);
        }
        l1.update(&SystemConfigUpdate::Eip1559 { denominator: 100, elasticity: 3 });
        l1.update(&SystemConfigUpdate::GasLimit(60_000_000));
        drop(l1);
        world.mine_many(4);
        let head = world.head();
        world.post(&world.singles(1..=head));
        world.mine();
        let follower = world.assert_derives_up_to(head);
        assert_eq!(follower.drops(), [("system_config_update", 6)], "{fork}");
        let last = &follower.derived.last().unwrap().attributes;
        assert_eq!(last.gas_limit, Some(60_000_000), "{fork}");
        let params = last.eip_1559_params.map(|params| params.0);
        let is_holocene = fork >= OpHardfork::Holocene;
        assert_eq!(params, is_holocene.then_some([0, 0, 0, 100, 0, 0, 0, 3]), "{fork}");
    }
}

/// What the deposit contract emits cannot be left out; derivation stops there and stops again when it
/// is asked again.
#[test]
fn deposits_must_be_readable() {
    let malformed = |contract, topic| Log {
        address: contract,
        data: LogData::new_unchecked(vec![topic, B256::ZERO, B256::ZERO, B256::ZERO], [1].into()),
    };
    let log = malformed(PORTAL, TRANSACTION_DEPOSITED_TOPIC);
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
    assert!(matches!(error, DeriveError::Deposits { .. }), "{error}");
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
