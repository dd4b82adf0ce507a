//! Wire formats as they are, so that no change of them goes unnoticed. What is longer than a line is
//! pinned by its hash. Where another implementation or the specification states a value, the test
//! says so; the others were written down from this one after it decoded real data.

mod common;

use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bytes, U256, b256, hex, keccak256};
use common::config;
use lockstep_chain::OpHardfork;
use lockstep_protocol::{
    Batch, CONFIG_UPDATE_TOPIC, DepositSource, EcotoneScalars, Frame, L1Attributes,
    MESSAGE_PASSED_TOPIC, OutputRoot, SingleBatch, SpanBatch, SystemConfigUpdate,
    TRANSACTION_DEPOSITED_TOPIC, Withdrawal, deposit_log, encode_blob, encode_frames,
    upgrade_transactions,
};
use op_alloy_consensus::TxDeposit;

fn attributes() -> L1Attributes {
    L1Attributes {
        number: 1,
        timestamp: 2,
        base_fee: 3,
        hash: B256::repeat_byte(4),
        sequence_number: 5,
        batcher_hash: B256::repeat_byte(6),
        fee_overhead: U256::from(7),
        fee_scalar: U256::from(8),
        blob_base_fee: 9,
        base_fee_scalar: 10,
        blob_base_fee_scalar: 11,
        operator_fee_scalar: 12,
        operator_fee_constant: 13,
        da_footprint_gas_scalar: 14,
    }
}

#[test]
fn topics_are_the_hashes_of_their_events() {
    for (topic, event) in [
        (CONFIG_UPDATE_TOPIC, "ConfigUpdate(uint256,uint8,bytes)"),
        (TRANSACTION_DEPOSITED_TOPIC, "TransactionDeposited(address,address,uint256,bytes)"),
        (
            MESSAGE_PASSED_TOPIC,
            "MessagePassed(uint256,address,address,uint256,uint256,bytes,bytes32)",
        ),
    ] {
        assert_eq!(topic, keccak256(event), "{event}");
    }
}

/// As the specification of the upgrades and kona's tests state them.
#[test]
fn source_hashes_of_upgrades() {
    for (intent, expected) in [
        (
            "Isthmus: L1 Block Deployment",
            b256!("3b2d0821ca2411ad5cd3595804d1213d15737188ae4cbd58aa19c821a6c211bf"),
        ),
        (
            "Interop: CrossL2Inbox Deployment",
            b256!("6e5e214f73143df8fe6f6054a3ed7eb472d373376458a9c8aecdf23475beb616"),
        ),
        (
            "Jovian: L1 Block Deployment",
            b256!("bb1a656f65401240fac3db12e7a79ebb954b11e62f7626eb11691539b798d3bf"),
        ),
        (
            "Jovian: Gas Price Oracle Set Jovian",
            b256!("e836db6a959371756f8941be3e962d000f7e12a32e49e2c9ca42ba177a92716c"),
        ),
    ] {
        assert_eq!(DepositSource::Upgrade { intent }.hash(), expected, "{intent}");
    }
}

#[test]
fn frames() {
    let frame = Frame {
        channel: [0xab; 16].into(),
        number: 0x0102,
        data: [0xde, 0xad].into(),
        is_last: true,
    };
    let expected = hex!("00 abababababababababababababababab 0102 00000002 dead 01");
    assert_eq!(encode_frames(&[frame]), expected);
}

/// The layouts of the specification: deposits, Ecotone, Isthmus and Jovian § L1 attributes.
#[test]
fn l1_attributes() {
    let packed = concat!(
        "0000000a 0000000b 0000000000000005 0000000000000002 0000000000000001",
        "0000000000000000000000000000000000000000000000000000000000000003",
        "0000000000000000000000000000000000000000000000000000000000000009",
        "0404040404040404040404040404040404040404040404040404040404040404",
        "0606060606060606060606060606060606060606060606060606060606060606",
    );
    let packed = packed.replace(' ', "");
    let bedrock = concat!(
        "015d8eb9",
        "0000000000000000000000000000000000000000000000000000000000000001",
        "0000000000000000000000000000000000000000000000000000000000000002",
        "0000000000000000000000000000000000000000000000000000000000000003",
        "0404040404040404040404040404040404040404040404040404040404040404",
        "0000000000000000000000000000000000000000000000000000000000000005",
        "0606060606060606060606060606060606060606060606060606060606060606",
        "0000000000000000000000000000000000000000000000000000000000000007",
        "0000000000000000000000000000000000000000000000000000000000000008",
    );
    let fees = "0000000c000000000000000d";
    let encode = |fork| hex::encode(attributes().encode(fork));
    for fork in [OpHardfork::Bedrock, OpHardfork::Regolith, OpHardfork::Canyon] {
        assert_eq!(encode(fork), bedrock);
    }
    for fork in [OpHardfork::Ecotone, OpHardfork::Granite, OpHardfork::Holocene] {
        assert_eq!(encode(fork), format!("440a5e20{packed}"));
    }
    assert_eq!(encode(OpHardfork::Isthmus), format!("098999be{packed}{fees}"));
    for fork in [OpHardfork::Jovian, OpHardfork::Karst, OpHardfork::Interop] {
        assert_eq!(encode(fork), format!("3db6be2b{packed}{fees}000e"));
    }
}

#[test]
fn the_first_block_of_a_fork_uses_the_format_before() {
    let mut config = config();
    config.jovian_time = Some(1_100);
    let deposit = |time| attributes().deposit_at(&config, time).input;
    assert_eq!(deposit(1_098).len(), 176);
    assert_eq!(deposit(1_100).len(), 176);
    assert_eq!(deposit(1_102).len(), 178);
    let forks = [1_098, 1_099, 1_100, 1_101, 1_102]
        .map(|time| (config.fork_at(time), config.activates(OpHardfork::Jovian, time)));
    use OpHardfork::{Isthmus, Jovian};
    let expected =
        [(Isthmus, false), (Isthmus, false), (Jovian, true), (Jovian, true), (Jovian, false)];
    assert_eq!(forks, expected);
}

#[test]
fn batches() {
    let config = config();
    // One of each type, unsigned but for placeholders.
    let transactions: Vec<Bytes> = [
        // Legacy, not protected; creates a contract.
        &hex!("c9 01 02 03 80 04 05 1b 06 07")[..],
        // Legacy, protected: `v` is 2 * 901 + 35 + 1.
        &hex!("df 01 02 03 94 1111111111111111111111111111111111111111 04 05 82072e 06 07"),
        // With an access list.
        &hex!("01 e1 820385 01 02 03 94 1111111111111111111111111111111111111111 04 05 c0 01 06 07"),
        &hex!("02 e2 820385 01 02 03 04 94 1111111111111111111111111111111111111111 05 06 c0 80 07 08"),
        &hex!("04 e3 820385 01 02 03 04 94 1111111111111111111111111111111111111111 05 06 c0 c0 80 07 08"),
    ]
    .iter()
    .map(|transaction| Bytes::copy_from_slice(transaction))
    .collect();
    let batch = |at: u64, transactions| SingleBatch {
        parent_hash: B256::repeat_byte(1),
        epoch_num: 7 + at,
        epoch_hash: B256::repeat_byte(2),
        timestamp: 1_010 + 2 * at,
        transactions,
    };
    let single = batch(0, transactions[..1].to_vec());
    let encoded = Batch::Single(single.clone()).encode(&config).expect("it fits");
    let expected = hex!(
        "00 f852 a00101010101010101010101010101010101010101010101010101010101010101 07"
        "a00202020202020202020202020202020202020202020202020202020202020202 8203f2"
        "cb 8a c9010203800405 1b0607"
    );
    assert_eq!(hex::encode(encoded), hex::encode(expected));

    let span = SpanBatch::from_blocks(&[single, batch(1, transactions[1..].to_vec())], true);
    let encoded = Batch::Span(span.expect("two blocks")).encode(&config).expect("it fits");
    let sixes = |r: u8, s: u8| format!("{r:064x}{s:064x}");
    let expected = [
        // Type, seconds since genesis, L1 origin, checks, two blocks of which both begin an epoch,
        // with one and four transactions.
        "010a08".into(),
        "01".repeat(20),
        "02".repeat(20),
        "02030104".into(),
        // The first creates a contract; the second and third have odd signatures.
        "0106".into(),
        sixes(6, 7).repeat(3),
        sixes(7, 8).repeat(2),
        "11".repeat(80),
        "c3040205c3040205".into(),
        "01c4040205c0".into(),
        "02c505020306c0".into(),
        "04c605020306c0c0".into(),
        // Nonces, gas limits, and of the legacy ones the second is protected.
        "0101010101".into(),
        "0303030404".into(),
        "02".into(),
    ];
    assert_eq!(hex::encode(encoded), expected.concat());
}

#[test]
fn logs() {
    let contract = Address::repeat_byte(0xcc);
    let deposit = TxDeposit {
        from: Address::repeat_byte(1),
        to: Address::repeat_byte(2).into(),
        mint: 3,
        value: U256::from(4),
        gas_limit: 5,
        input: [6].into(),
        ..Default::default()
    };
    let data = concat!(
        "0000000000000000000000000000000000000000000000000000000000000020",
        "000000000000000000000000000000000000000000000000000000000000004a",
        "0000000000000000000000000000000000000000000000000000000000000003",
        "0000000000000000000000000000000000000000000000000000000000000004",
        "0000000000000005000600000000000000000000000000000000000000000000",
    );
    assert_eq!(hex::encode(&deposit_log(&deposit, contract).data.data), data);
    let update = |update: SystemConfigUpdate| {
        let log = update.to_log(contract);
        assert_eq!(log.topics()[2], B256::with_last_byte(update.ty()));
        hex::encode(&log.data.data[64..])
    };
    let word = |value: &str| format!("{value:0>64}");
    assert_eq!(update(SystemConfigUpdate::GasLimit(0x1234)), word("1234"));
    let eip1559 = SystemConfigUpdate::Eip1559 { denominator: 0xab, elasticity: 0xcd };
    assert_eq!(update(eip1559), word("ab000000cd"));
    let operator = SystemConfigUpdate::OperatorFee { scalar: 0xab, constant: 0xcd };
    assert_eq!(update(operator), word("ab00000000000000cd"));
    assert_eq!(update(SystemConfigUpdate::DaFootprintGasScalar(400)), word("190"));
    let scalars = EcotoneScalars { base_fee_scalar: 0xab, blob_base_fee_scalar: 0xcd };
    let encoded = format!("{:064x}", scalars.encode());
    assert_eq!(encoded, format!("01{:0>46}{:0>8}{:0>8}", "", "cd", "ab"));
}

/// What is hashed, rather than the hash, is what the specification gives.
#[test]
fn roots_and_withdrawals() {
    let root = OutputRoot {
        state_root: B256::repeat_byte(1),
        message_passer_storage_root: B256::repeat_byte(2),
        block_hash: B256::repeat_byte(3),
    };
    let preimage = [[0_u8; 32], [1; 32], [2; 32], [3; 32]].concat();
    assert_eq!(root.hash(), keccak256(preimage));

    let withdrawal = Withdrawal {
        nonce: U256::from(1) << 240,
        sender: Address::repeat_byte(1),
        target: Address::repeat_byte(2),
        value: U256::from(3),
        gas_limit: U256::from(4),
        data: [5; 33].into(),
    };
    let preimage = hex!(
        "0001000000000000000000000000000000000000000000000000000000000000"
        "0000000000000000000000000101010101010101010101010101010101010101"
        "0000000000000000000000000202020202020202020202020202020202020202"
        "0000000000000000000000000000000000000000000000000000000000000003"
        "0000000000000000000000000000000000000000000000000000000000000004"
        "00000000000000000000000000000000000000000000000000000000000000c0"
        "0000000000000000000000000000000000000000000000000000000000000021"
        "0505050505050505050505050505050505050505050505050505050505050505"
        "0500000000000000000000000000000000000000000000000000000000000000"
    );
    assert_eq!(withdrawal.hash(), keccak256(preimage));
    let slot = keccak256([withdrawal.hash(), B256::ZERO].concat());
    assert_eq!(withdrawal.storage_slot(), slot);
}

#[test]
fn blobs() {
    let data: Vec<u8> = (0..200_u8).collect();
    let blob = encode_blob(&data).expect("it fits");
    let expected = concat!(
        "1b 00 0000c8 000102030405060708090a0b0c0d0e0f101112131415161718191a",
        "0b 1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a",
        "1b 3c3d3e3f404142434445464748494a4b4c4d4e4f505152535455565758595a",
        "13 5c5d5e5f606162636465666768696a6b6c6d6e6f707172737475767778797a",
    );
    assert_eq!(hex::encode(&blob[..128]), expected.replace(' ', ""));
}

#[test]
fn upgrades() {
    let digest = |fork| keccak256(upgrade_transactions(fork).concat());
    for (fork, count, expected) in [
        (
            OpHardfork::Ecotone,
            6,
            b256!("ec1aa4d001fc132699a0ec68aa25b5872a0be9308195745f06e9db6859ab95a3"),
        ),
        (
            OpHardfork::Fjord,
            3,
            b256!("edcf6d86f081abac7efed96df33ed2119e8385d44067a2ef6b821607f523ff24"),
        ),
        (
            OpHardfork::Isthmus,
            8,
            b256!("10c8653dea3e4a54503143c2b2a83869425eaf540ca470352ed71eba40929671"),
        ),
        (
            OpHardfork::Jovian,
            5,
            b256!("d498d96826b3d1bbb48b56346a26e018f3638bad34f723e5356396eef83cdadd"),
        ),
        (
            OpHardfork::Interop,
            4,
            b256!("596377c1c4b7f722bd79cb14e0528bd2bbc1a4525dd6823dd66da87b965a8b61"),
        ),
    ] {
        assert_eq!(upgrade_transactions(fork).len(), count);
        assert_eq!(digest(fork), expected, "{fork}");
    }
    for fork in [OpHardfork::Regolith, OpHardfork::Granite, OpHardfork::Holocene, OpHardfork::Karst]
    {
        assert_eq!(upgrade_transactions(fork), Vec::<Bytes>::new());
    }
}

#[test]
fn the_hash_of_a_configuration() {
    let mut config = config();
    config.genesis.l1 = BlockNumHash { number: 1, hash: B256::repeat_byte(1) };
    let expected = b256!("a97ffe879719d6796cba2f31280735038e7606aa9e82e35c777d2623b2b5331a");
    assert_eq!(config.hash(), expected);
}
