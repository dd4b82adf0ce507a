//! One transition: what the engine builds of payload attributes, the proof's program makes of them,
//! or both call them invalid.

use crate::world::{engine_on, memory};
use alloy_consensus::{EMPTY_ROOT_HASH, Header, SignableTransaction, TxEip1559, TxEip7702};
use alloy_eips::{
    eip2718::Encodable2718, eip4895::Withdrawal, eip7685::EMPTY_REQUESTS_HASH,
    eip7702::Authorization,
};
use alloy_primitives::{Address, B64, B256, Bytes, Sealed, TxKind, U256, hex};
use alloy_rpc_types_engine::PayloadAttributes;
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use lockstep_chain::{
    FeeParams, ForkSchedule, OpHardfork, Rollup, genesis::L2_TO_L1_MESSAGE_PASSER,
};
use lockstep_engine::{EngineConfig, EngineError};
use lockstep_execution::{Bytecode, MemoryState, StateCommitment};
use lockstep_preimage::PreimageSet;
use lockstep_stf::execute_stateless;
use lockstep_storage::GenesisBlock;
use lockstep_trie::{NoSource, StateTrie};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use proptest::prelude::*;

const CHAIN_ID: u64 = 901;
const TIME: u64 = 1_000;
const WRITER: Address = Address::repeat_byte(0xc0);
/// Writes its block's number into the slot that its caller's value names.
const WRITER_CODE: &[u8] = &hex!("433455");

const FORKS: [OpHardfork; 10] = [
    OpHardfork::Bedrock,
    OpHardfork::Regolith,
    OpHardfork::Canyon,
    OpHardfork::Ecotone,
    OpHardfork::Fjord,
    OpHardfork::Granite,
    OpHardfork::Holocene,
    OpHardfork::Isthmus,
    OpHardfork::Jovian,
    OpHardfork::Karst,
];

fn user() -> PrivateKeySigner {
    PrivateKeySigner::from_bytes(&B256::repeat_byte(5)).unwrap()
}

/// What stands in the list of transactions.
#[derive(Clone, Debug)]
enum Item {
    Deposit {
        gas_limit: u64,
        mint: u128,
    },
    /// The user's next transaction, or one that is not.
    Call {
        skips: u64,
        gas_limit: u64,
        value: u64,
    },
    SetCode,
    Bytes(Vec<u8>),
    /// A deposit with something after it.
    Trailing(u8),
}

fn encoded(items: &[Item]) -> Vec<Bytes> {
    let mut nonce = 0;
    let deposit = |index: usize, gas_limit, mint| {
        OpTxEnvelope::from(TxDeposit {
            source_hash: B256::from(U256::from(index)),
            from: Address::repeat_byte(1),
            to: WRITER.into(),
            mint,
            value: U256::from(index),
            gas_limit,
            ..Default::default()
        })
        .encoded_2718()
    };
    let encode = |(index, item): (usize, &Item)| match item {
        Item::Deposit { gas_limit, mint } => deposit(index, *gas_limit, *mint),
        Item::Call { skips, gas_limit, value } => {
            let tx = TxEip1559 {
                chain_id: CHAIN_ID,
                nonce: nonce + skips,
                gas_limit: *gas_limit,
                max_fee_per_gas: 10_000_000_000,
                max_priority_fee_per_gas: 1,
                to: TxKind::Call(WRITER),
                value: U256::from(*value),
                ..Default::default()
            };
            nonce += 1;
            let signature = user().sign_hash_sync(&tx.signature_hash()).unwrap();
            OpTxEnvelope::Eip1559(tx.into_signed(signature)).encoded_2718()
        }
        Item::SetCode => {
            let authorization =
                Authorization { chain_id: U256::from(CHAIN_ID), address: WRITER, nonce: nonce + 1 };
            let signature = user().sign_hash_sync(&authorization.signature_hash()).unwrap();
            let tx = TxEip7702 {
                chain_id: CHAIN_ID,
                nonce,
                gas_limit: 200_000,
                max_fee_per_gas: 10_000_000_000,
                max_priority_fee_per_gas: 1,
                to: WRITER,
                authorization_list: vec![authorization.into_signed(signature)],
                ..Default::default()
            };
            nonce += 2;
            let signature = user().sign_hash_sync(&tx.signature_hash()).unwrap();
            OpTxEnvelope::Eip7702(tx.into_signed(signature)).encoded_2718()
        }
        Item::Bytes(bytes) => bytes.clone(),
        Item::Trailing(byte) => [deposit(index, 50_000, 0), vec![*byte]].concat(),
    };
    items.iter().enumerate().map(encode).map(Bytes::from).collect()
}

fn item() -> impl Strategy<Value = Item> {
    let gas_limit = prop_oneof![6 => Just(100_000_u64), 1 => Just(20_000), 1 => Just(40_000_000)];
    let bytes = prop_oneof![
        Just(vec![]),
        Just(vec![1]),
        Just(vec![0x7e]),
        prop::collection::vec(any::<u8>(), 1..40)
    ];
    prop_oneof![
        12 => (gas_limit.clone(), 0_u128..9)
            .prop_map(|(gas_limit, mint)| Item::Deposit { gas_limit, mint }),
        12 => (prop_oneof![12 => Just(0), 1 => Just(7)], gas_limit, 0_u64..4)
            .prop_map(|(skips, gas_limit, value)| Item::Call { skips, gas_limit, value }),
        2 => Just(Item::SetCode),
        1 => bytes.prop_map(Item::Bytes),
        1 => any::<u8>().prop_map(Item::Trailing),
    ]
}

/// How the attributes differ from those that the fork asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    NotLater,
    Withdrawals(Option<bool>),
    BeaconRoot(bool),
    GasLimit(Option<u64>),
    Params(Option<u64>),
    MinBaseFee(Option<u64>),
}

fn flaw() -> impl Strategy<Value = Flaw> {
    prop_oneof![
        8 => Just(Flaw::None),
        1 => Just(Flaw::NotLater),
        1 => any::<Option<bool>>().prop_map(Flaw::Withdrawals),
        1 => any::<bool>().prop_map(Flaw::BeaconRoot),
        1 => prop_oneof![Just(None), Just(Some(0)), Just(Some(u64::MAX)), Just(Some(1 << 63))]
            .prop_map(Flaw::GasLimit),
        1 => prop_oneof![
            Just(None), Just(Some(0)), Just(Some(1)), Just(Some(1 << 32)), Just(Some((9 << 32) + 3))
        ]
        .prop_map(Flaw::Params),
        1 => any::<Option<u64>>().prop_map(Flaw::MinBaseFee),
    ]
}

fn attributes(fork: OpHardfork, flaw: Flaw, seed: u64, items: &[Item]) -> OpPayloadAttributes {
    let since = |first| fork >= first;
    let mut attributes = OpPayloadAttributes {
        payload_attributes: PayloadAttributes {
            timestamp: TIME + 1 + seed % 5,
            prev_randao: B256::from(U256::from(seed)),
            suggested_fee_recipient: Address::left_padding_from(&seed.to_be_bytes()),
            withdrawals: since(OpHardfork::Canyon).then(Vec::new),
            parent_beacon_block_root: since(OpHardfork::Ecotone)
                .then(|| B256::from(U256::from(seed + 1))),
            slot_number: None,
            target_gas_limit: None,
        },
        transactions: (!seed.is_multiple_of(9)).then(|| encoded(items)),
        no_tx_pool: Some(true),
        gas_limit: Some(30_000_000 + seed % 1_000),
        eip_1559_params: since(OpHardfork::Holocene).then(|| {
            if seed.is_multiple_of(2) { B64::ZERO } else { B64::from((50_u64 << 32) | 2) }
        }),
        min_base_fee: since(OpHardfork::Jovian).then_some(seed % 3),
    };
    let common = &mut attributes.payload_attributes;
    match flaw {
        Flaw::None => {}
        Flaw::NotLater => common.timestamp = TIME,
        Flaw::Withdrawals(list) => {
            let withdrawals =
                |is_empty| if is_empty { vec![] } else { vec![Withdrawal::default()] };
            common.withdrawals = list.map(withdrawals);
        }
        Flaw::BeaconRoot(is_there) => {
            common.parent_beacon_block_root = is_there.then_some(B256::ZERO);
        }
        Flaw::GasLimit(limit) => attributes.gas_limit = limit,
        Flaw::Params(params) => attributes.eip_1559_params = params.map(B64::from),
        Flaw::MinBaseFee(fee) => attributes.min_base_fee = fee,
    }
    attributes
}

/// A rollup of nothing but a user, a contract and the message passer, and all of its state's nodes.
fn rollup(fork: OpHardfork) -> (Rollup, GenesisBlock<Rollup>, PreimageSet) {
    let mut state = MemoryState::default();
    let rich = U256::from(10).pow(U256::from(24));
    state.set_account(user().address(), 0, rich, Bytecode::new());
    let code = Bytes::from_static(WRITER_CODE);
    state.set_account(WRITER, 1, U256::ZERO, Bytecode::new_raw(code.clone()));
    state.set_account(L2_TO_L1_MESSAGE_PASSER, 1, U256::ZERO, Bytecode::new());
    state.set_slot(L2_TO_L1_MESSAGE_PASSER, U256::from(1), U256::from(2));
    let mut preimages = PreimageSet::new();
    preimages.insert_keccak256(code);
    let mut trie = StateTrie::empty();
    let commit = |_: &_, _, rlp: &[u8]| {
        preimages.insert_keccak256(Bytes::copy_from_slice(rlp));
    };
    let root = StateCommitment::commit(&mut trie, &state.as_changes(), &NoSource, commit).unwrap();
    let since = |first| fork >= first;
    let extra_data: &'static [u8] = if since(OpHardfork::Jovian) {
        &hex!("01000000fa000000060000000000000000")
    } else if since(OpHardfork::Holocene) {
        &hex!("00000000fa00000006")
    } else {
        &[]
    };
    let header = Header {
        state_root: root,
        timestamp: TIME,
        gas_limit: 30_000_000,
        base_fee_per_gas: Some(1_000_000_000),
        extra_data: Bytes::from_static(extra_data),
        withdrawals_root: since(OpHardfork::Canyon).then_some(EMPTY_ROOT_HASH),
        blob_gas_used: since(OpHardfork::Ecotone).then_some(0),
        excess_blob_gas: since(OpHardfork::Ecotone).then_some(0),
        parent_beacon_block_root: since(OpHardfork::Ecotone).then_some(B256::ZERO),
        requests_hash: since(OpHardfork::Isthmus).then_some(EMPTY_REQUESTS_HASH),
        ..Default::default()
    };
    let chain = Rollup::new(CHAIN_ID, ForkSchedule::<OpHardfork>::at(fork), FeeParams::OP_MAINNET);
    (chain, GenesisBlock::new(header, state).unwrap(), preimages)
}

/// Makes the block on both sides; returns whether there is one.
fn agree(fork: OpHardfork, attributes: &OpPayloadAttributes) -> bool {
    let (chain, genesis, preimages) = rollup(fork);
    let engine = engine_on(&chain, &memory(&genesis), EngineConfig::default());
    let parent = Sealed::new_unchecked(genesis.block().header.clone(), genesis.block().seal());
    let built = engine.build_now(parent.seal(), attributes);
    let made = execute_stateless(&chain, parent, attributes, &preimages);
    match (built, made) {
        (Ok(built), Ok(made)) => {
            let built = &built.block.block.block;
            assert_eq!(built.header, made.block.header, "{fork}");
            assert_eq!(built.body, made.block.body, "{fork}");
            // What both make, whoever receives it takes.
            let receiver = engine_on(&chain, &memory(&genesis), EngineConfig::default());
            let status = receiver.insert(made.block).unwrap();
            assert!(status.is_valid(), "{fork}: {status}");
            true
        }
        (Err(built), Err(made)) => {
            assert!(built.is_invalid_payload(), "{fork}: {built}");
            assert!(made.is_invalid_payload(), "{fork}: {made}");
            if let EngineError::Attributes(built) = built {
                assert_eq!(built.to_string(), made.to_string(), "{fork}");
            }
            false
        }
        (built, made) => panic!("{fork}: the engine says {built:?}, the proof {made:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_engine_and_the_proof_make_the_same_of_any_attributes(
        fork in prop::sample::select(&FORKS[..]),
        flaw in flaw(),
        seed in any::<u32>(),
        items in prop::collection::vec(item(), 0..6),
    ) {
        agree(fork, &attributes(fork, flaw, seed.into(), &items));
    }
}

#[test]
fn attributes_without_a_flaw_make_a_block_at_every_fork() {
    let items = [
        Item::Deposit { gas_limit: 100_000, mint: 3 },
        Item::Call { skips: 0, gas_limit: 100_000, value: 2 },
        Item::Call { skips: 0, gas_limit: 100_000, value: 0 },
    ];
    for fork in FORKS {
        for seed in 1..=4 {
            assert!(agree(fork, &attributes(fork, Flaw::None, seed, &items)), "{fork}");
        }
    }
}

#[test]
fn a_deposit_for_which_the_block_has_no_room_makes_it_invalid_at_every_fork() {
    let items = [Item::Deposit { gas_limit: 40_000_000, mint: 0 }];
    for fork in FORKS {
        assert!(!agree(fork, &attributes(fork, Flaw::None, 1, &items)), "{fork}");
    }
}

#[test]
fn a_rollups_header_has_no_extra_data_before_holocene() {
    let config = EngineConfig { extra_data: Bytes::from_static(b"mine"), ..Default::default() };
    for fork in FORKS.into_iter().take_while(|fork| *fork < OpHardfork::Holocene) {
        let (chain, genesis, _) = rollup(fork);
        let engine = engine_on(&chain, &memory(&genesis), config.clone());
        let built = engine
            .build_now(genesis.block().seal(), &attributes(fork, Flaw::None, 1, &[]))
            .unwrap();
        assert_eq!(built.block.block.block.header.extra_data, Bytes::new(), "{fork}");
    }
}
