//! Real OP Sepolia blocks, executed with nothing but hashes: the truth is each block's own hash.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

mod common;

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, Sealable, Sealed};
use alloy_eips::eip2718::Decodable2718;
use alloy_primitives::{Address, B64, B256, Bytes, KECCAK256_EMPTY, U64, U256, hex, keccak256};
use lockstep_chain::{Block, Chain, OpHardfork, Rollup, body::transactions_root};
use lockstep_execution::{
    AccountInfo, Bytecode, ExecuteOptions, StateReader, execute_block, validate_output,
};
use lockstep_protocol::L1Attributes;
use lockstep_testkit::source::{Limits, open};
use lockstep_trie::{NodePath, NodeSet, NodeSource, StateTrie};
use op_alloy_consensus::OpTxEnvelope;
use serde::Deserialize;
use std::{cell::RefCell, io::Read, path::Path};

const BLOCKS: [u64; 6] = [26207960, 26207961, 26207962, 26207963, 26208384, 26208927];

#[derive(Deserialize)]
struct Fixture {
    parent_header: Header,
    executing_payload: Payload,
    expected_block_hash: B256,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    timestamp: U64,
    prev_randao: B256,
    suggested_fee_recipient: Address,
    parent_beacon_block_root: B256,
    transactions: Vec<Bytes>,
    gas_limit: U64,
    eip1559_params: B64,
}

#[derive(Debug, thiserror::Error)]
#[error("the witness does not hold {0}")]
struct Missing(String);

/// The parent's state, of which only hashes are known to begin with.
struct Witness {
    trie: RefCell<StateTrie>,
    preimages: NodeSet,
}

impl Witness {
    fn preimage(&self, hash: B256) -> Result<Option<Bytes>, Missing> {
        let Ok(found) = self.preimages.node(&NodePath::default(), hash);
        Ok(found)
    }

    fn trie_account(
        &self,
        address: &Address,
    ) -> Result<Option<lockstep_trie::TrieAccount>, Missing> {
        let hashed = keccak256(address);
        let account = self.trie.borrow_mut().account(hashed, &self.preimages);
        account.map_err(|error| Missing(error.to_string()))
    }
}

impl StateReader for Witness {
    type Error = Missing;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, Missing> {
        Ok(self.trie_account(address)?.map(|account| AccountInfo {
            nonce: account.nonce,
            balance: account.balance,
            code_hash: account.code_hash,
            code: None,
            account_id: None,
        }))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, Missing> {
        let (hashed, hashed_slot) = (keccak256(address), keccak256(slot.to_be_bytes::<32>()));
        let value = self.trie.borrow_mut().slot(hashed, hashed_slot, &self.preimages);
        value.map_err(|error| Missing(error.to_string()))
    }

    fn has_storage(&self, address: &Address) -> Result<bool, Missing> {
        let account = self.trie_account(address)?;
        Ok(account.is_some_and(|account| account.storage_root != EMPTY_ROOT_HASH))
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, Missing> {
        if *code_hash == KECCAK256_EMPTY {
            return Ok(Bytecode::default());
        }
        let code = self.preimage(*code_hash)?;
        code.map(Bytecode::new_raw).ok_or_else(|| Missing(format!("code {code_hash}")))
    }

    fn block_hash(&self, number: u64) -> Result<B256, Missing> {
        Err(Missing(format!("the hash of block {number}")))
    }
}

fn read(path: &Path) -> String {
    let mut text = String::new();
    let mut reader = open(path, &Limits::default()).expect("the fixture opens");
    reader.read_to_string(&mut text).expect("the fixture is text");
    text
}

fn preimages(path: &Path) -> NodeSet {
    let mut set = NodeSet::new();
    for line in read(path).lines() {
        let (key, value) = line.split_once(' ').expect("a key and a value");
        let hash = set.insert(hex::decode(value).expect("hex").into());
        assert_eq!(hex::encode(hash), key);
    }
    set
}

/// The header as far as it is known before execution (Holocene).
fn header_before_execution(chain: &Rollup, parent: &Sealed<Header>, payload: &Payload) -> Header {
    let timestamp = payload.timestamp.to();
    Header {
        parent_hash: parent.hash(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: payload.suggested_fee_recipient,
        number: parent.number + 1,
        gas_limit: payload.gas_limit.to(),
        timestamp,
        extra_data: [&[0], payload.eip1559_params.as_slice()].concat().into(),
        mix_hash: payload.prev_randao,
        base_fee_per_gas: chain.next_base_fee(parent, timestamp),
        withdrawals_root: Some(EMPTY_ROOT_HASH),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(payload.parent_beacon_block_root),
        ..Default::default()
    }
}

#[test]
fn the_l1_attributes_of_real_blocks_are_read_and_written_back() {
    let Some(fixtures) = common::fixtures() else { return };
    for number in BLOCKS {
        let path = fixtures.join(format!("op-blocks/blocks/block-{number}.fixture.json"));
        let fixture: Fixture = serde_json::from_str(&read(&path)).expect("the fixture parses");
        let first = &fixture.executing_payload.transactions[0];
        let deposit = OpTxEnvelope::decode_2718_exact(first).expect("the transaction decodes");
        let deposit = deposit.as_deposit().expect("a block begins with a deposit").inner();
        let attributes = L1Attributes::decode(&deposit.input).expect("the attributes decode");
        assert_eq!(attributes.deposit(OpHardfork::Holocene), *deposit, "block {number}");
    }
}

fn execute(folder: &Path, number: u64) {
    let chain = Rollup::op_sepolia();
    let fixture: Fixture =
        serde_json::from_str(&read(&folder.join(format!("block-{number}.fixture.json"))))
            .expect("the fixture parses");
    let preimages = preimages(&folder.join(format!("block-{number}.preimages.hex.zst")));
    let parent = fixture.parent_header.seal_slow();
    let payload = fixture.executing_payload;

    let mut block: Block<Rollup> =
        header_before_execution(&chain, &parent, &payload).into_block(Default::default());
    block.body.withdrawals = Some(Default::default());
    block.body.transactions = payload
        .transactions
        .iter()
        .map(|tx| Decodable2718::decode_2718_exact(tx).expect("the transaction decodes"))
        .collect();
    block.header.transactions_root = transactions_root(&block.body.transactions);

    let trie = RefCell::new(StateTrie::from_root(parent.state_root));
    let witness = Witness { trie, preimages };
    let senders = chain.recover_senders(&block).expect("the signatures recover");
    let output = execute_block(&chain, &block, &senders, &witness, ExecuteOptions::default())
        .expect("the block executes");
    let Witness { trie, preimages } = witness;
    let mut trie = trie.into_inner();
    output.changes.apply_to(&mut trie);

    let header = &mut block.header;
    header.state_root = trie.root(&preimages).expect("the witness holds every node");
    (header.receipts_root, header.logs_bloom) = chain.receipts_root(header, &output.receipts);
    header.gas_used = output.gas_used;
    assert_eq!(header.hash_slow(), fixture.expected_block_hash, "block {number}: {header:?}");

    chain.validate_header(&block.header).expect("the header is valid");
    chain
        .validate_header_against_parent(&block.header, &parent, None)
        .expect("the header follows from its parent");
    chain.validate_body(&block).expect("the body is valid");
    validate_output(&chain, &block.header, &output).expect("the output is what the header says");
}

#[test]
fn real_op_sepolia_blocks_execute_statelessly_to_their_hash() {
    let Some(fixtures) = common::fixtures() else { return };
    for number in BLOCKS {
        execute(&fixtures.join("op-blocks/blocks"), number);
    }
}
