//! One real block with the state it touches.

use super::{Codes, OracleResults, check::Note};
use crate::{
    Error,
    fields::{HexBytes, Number, Quantity},
    json,
    model::{header::HeaderFields, transaction::RpcTransaction},
    source::File,
};
use alloy_consensus::BlockBody;
use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use alloy_primitives::{Address, B256, KECCAK256_EMPTY, U256};
use lockstep_chain::{Block, Chain, Ethereum, EthereumHardfork};
use lockstep_execution::{
    AccountInfo, BlockOutput, Bytecode, ExecuteOptions, ExecutionError, MemoryState, StateReader,
    code_from, execute_block,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// A real block, the accounts and slots it touches as they were before it, and what is known of
/// its results.
#[derive(Debug)]
pub struct Fixture {
    pub(super) chain: Ethereum,
    pub(super) block: Block<Ethereum>,
    pub(super) hash: B256,
    pub(super) stated: Vec<StatedTransaction>,
    pub(super) senders: Vec<Address>,
    pub(super) state: FixtureState,
    pub(super) has_ommers: bool,
    pub(super) missing_codes: usize,
    pub(super) oracle: Option<OracleResults>,
    pub(super) read_bytes: u64,
}

/// What the fixture says of a transaction besides its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct StatedTransaction {
    pub(super) hash: B256,
    pub(super) from: Address,
}

/// The state before the block, as far as the fixture holds it.
#[derive(Debug)]
pub struct FixtureState {
    pub(super) accounts: MemoryState,
    block_hashes: BTreeMap<u64, B256>,
}

/// The block read what the fixture does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownState {
    /// A code.
    #[error("the fixture lacks the code {0}")]
    Code(B256),
    /// The hash of an ancestor.
    #[error("the fixture lacks the hash of block {0}")]
    BlockHash(u64),
}

/// `block.json`.
#[derive(Debug, Deserialize)]
struct BlockFields {
    transactions: Vec<RpcTransaction>,
    uncles: Vec<B256>,
    withdrawals: Option<Vec<WithdrawalFields>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithdrawalFields {
    index: Number,
    validator_index: Number,
    address: Address,
    amount: Number,
}

/// One account of `pre_state.json`.
#[derive(Debug, Deserialize)]
struct AccountFields {
    balance: Quantity,
    nonce: Number,
    code_hash: Option<B256>,
    code: Option<HexBytes>,
    #[serde(default)]
    storage: BTreeMap<Quantity, Quantity>,
}

impl Fixture {
    /// Parses `block.json` and `pre_state.json`.
    ///
    /// # Errors
    /// If either is malformed, naming the field.
    pub fn parse(
        block: &File,
        pre_state: &File,
        codes: &Codes,
        block_hashes: &BTreeMap<u64, B256>,
        oracle: Option<OracleResults>,
    ) -> Result<Self, Error> {
        let text = json::utf8(&block.name, &block.bytes)?;
        let header: HeaderFields = json::parse(&block.name, "", text)?;
        let fields: BlockFields = json::parse(&block.name, "", text)?;
        let mut block_hashes = block_hashes.clone();
        if let Some(parent) = header.number.0.checked_sub(1) {
            block_hashes.insert(parent, header.parent_hash);
        }
        let (accounts, missing_codes) = read_accounts(pre_state, codes)?;
        let stated = fields.transactions.iter();
        let stated = stated.map(|tx| StatedTransaction { hash: tx.hash, from: tx.from }).collect();
        let mut transactions = Vec::new();
        for (index, fields) in fields.transactions.iter().enumerate() {
            let transaction = fields.transaction().map_err(|error| {
                Error::field(&block.name, format!("transactions[{index}]"), error.to_string())
            })?;
            transactions.push(transaction);
        }
        let withdrawals = fields
            .withdrawals
            .map(|list| Withdrawals::new(list.iter().map(WithdrawalFields::withdrawal).collect()));
        let body = BlockBody { transactions, ommers: Vec::new(), withdrawals };
        let chain = Ethereum::mainnet();
        let parsed = Block::<Ethereum> { header: header.header(), body };
        let senders = chain.recover_senders(&parsed).unwrap_or_else(|_| {
            // The check of the block tells which signature is wrong.
            fields.transactions.iter().map(|tx| tx.from).collect()
        });
        Ok(Self {
            chain,
            hash: header.hash,
            senders,
            block: parsed,
            stated,
            state: FixtureState { accounts, block_hashes },
            has_ommers: !fields.uncles.is_empty(),
            missing_codes,
            oracle,
            read_bytes: block.read_bytes.max(pre_state.read_bytes),
        })
    }

    /// The block's number.
    pub const fn number(&self) -> u64 {
        self.block.header.number
    }

    /// The block's rules.
    pub fn fork(&self) -> EthereumHardfork {
        self.chain.fork(&self.block.header)
    }

    /// The chain that the block belongs to.
    pub const fn chain(&self) -> &Ethereum {
        &self.chain
    }

    /// The block.
    pub const fn block(&self) -> &Block<Ethereum> {
        &self.block
    }

    /// The senders of its transactions.
    pub fn senders(&self) -> &[Address] {
        &self.senders
    }

    /// The state before it, as far as the fixture holds it.
    pub const fn state(&self) -> &FixtureState {
        &self.state
    }

    /// The number of transactions.
    pub const fn transactions(&self) -> usize {
        self.block.body.transactions.len()
    }

    /// The gas that the header says was used.
    pub const fn gas_used(&self) -> u64 {
        self.block.header.gas_used
    }

    /// Whether the block can be executed: every code is there.
    pub const fn is_complete(&self) -> bool {
        self.missing_codes == 0
    }

    /// Bytes of blocks read from the disk so far by the walk that found the block; see
    /// [`super::size_on_disk`].
    pub const fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// What the fixture does not permit to check.
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = Vec::new();
        if self.missing_codes > 0 {
            notes.push(Note::NotExecuted { missing_codes: self.missing_codes });
        }
        if self.has_ommers {
            notes.push(Note::OmmersAbsent);
        }
        notes
    }

    /// Executes the block: what is worth measuring.
    ///
    /// # Errors
    /// Why the block cannot be executed.
    pub fn execute(
        &self,
    ) -> Result<BlockOutput<<Ethereum as Chain>::Receipt>, ExecutionError<UnknownState>> {
        let options = ExecuteOptions::default();
        execute_block(&self.chain, &self.block, &self.senders, &self.state, options)
    }
}

impl WithdrawalFields {
    const fn withdrawal(&self) -> Withdrawal {
        Withdrawal {
            index: self.index.0,
            validator_index: self.validator_index.0,
            address: self.address,
            amount: self.amount.0,
        }
    }
}

/// The accounts, and how many of their codes are nowhere.
fn read_accounts(file: &File, codes: &Codes) -> Result<(MemoryState, usize), Error> {
    let text = json::utf8(&file.name, &file.bytes)?;
    let accounts: BTreeMap<Address, AccountFields> = json::parse(&file.name, "", text)?;
    let mut state = MemoryState::default();
    let mut missing_codes = BTreeSet::new();
    for (address, account) in accounts {
        let code = match (&account.code, account.code_hash) {
            (Some(code), _) => code_from(code.0.clone()),
            (None, None | Some(KECCAK256_EMPTY)) => Bytecode::default(),
            (None, Some(hash)) => codes.get(&hash).cloned().unwrap_or_else(|| {
                missing_codes.insert(hash);
                Bytecode::default()
            }),
        };
        state.set_account(address, account.nonce.0, account.balance.0, code);
        for (slot, value) in account.storage {
            state.set_slot(address, slot.0, value.0);
        }
    }
    Ok((state, missing_codes.len()))
}

impl FixtureState {
    /// The accounts.
    pub const fn accounts(&self) -> &MemoryState {
        &self.accounts
    }

    /// The hashes of ancestors, by number.
    pub const fn block_hashes(&self) -> &BTreeMap<u64, B256> {
        &self.block_hashes
    }
}

impl StateReader for FixtureState {
    type Error = UnknownState;

    fn account(&self, address: &Address) -> Result<Option<AccountInfo>, UnknownState> {
        let Ok(account) = self.accounts.account(address);
        Ok(account)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, UnknownState> {
        let Ok(value) = self.accounts.storage(address, slot);
        Ok(value)
    }

    fn has_storage(&self, address: &Address) -> Result<bool, UnknownState> {
        let Ok(has_storage) = self.accounts.has_storage(address);
        Ok(has_storage)
    }

    fn code(&self, code_hash: &B256) -> Result<Bytecode, UnknownState> {
        self.accounts.code_of(code_hash).cloned().ok_or(UnknownState::Code(*code_hash))
    }

    fn block_hash(&self, number: u64) -> Result<B256, UnknownState> {
        self.block_hashes.get(&number).copied().ok_or(UnknownState::BlockHash(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mainnet::Mismatch;
    use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header};
    use alloy_primitives::Bloom;

    /// A block of mainnet's first day that never was: empty, which needs no signatures.
    fn header() -> Header {
        Header {
            number: 7,
            difficulty: U256::from(131_072),
            gas_limit: 5_000,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            transactions_root: EMPTY_ROOT_HASH,
            receipts_root: EMPTY_ROOT_HASH,
            ..Default::default()
        }
    }

    fn file(name: &str, text: String) -> File {
        File { name: name.into(), bytes: text.into_bytes(), read_bytes: 0 }
    }

    fn parse(block: String, pre_state: &str) -> Result<Fixture, Error> {
        let pre_state = file("7/pre_state.json", pre_state.into());
        let (codes, hashes) = (Codes::default(), BTreeMap::new());
        Fixture::parse(&file("7/block.json", block), &pre_state, &codes, &hashes, None)
    }

    fn block_json(header: &Header) -> String {
        let header = crate::samples::header_json(header);
        format!(r#"{},"transactions":[],"uncles":[]}}"#, header.strip_suffix('}').unwrap())
    }

    fn check(header: &Header) -> Vec<Mismatch> {
        let fixture = parse(block_json(header), "{}").unwrap();
        let mut found = fixture.check_block();
        found.extend(fixture.check_output(&fixture.execute().unwrap()));
        found
    }

    #[test]
    fn an_empty_block_holds() {
        assert_eq!(check(&header()), []);
    }

    #[test]
    fn each_commitment_is_named_when_it_does_not_hold() {
        let wrong = B256::repeat_byte(1);
        for (field, header) in [
            ("gasUsed", Header { gas_used: 1, ..header() }),
            ("receiptsRoot", Header { receipts_root: wrong, ..header() }),
            ("logsBloom", Header { logs_bloom: Bloom::repeat_byte(1), ..header() }),
        ] {
            let found = check(&header);
            assert!(found.iter().any(|mismatch| mismatch.field == field), "{field}: {found:?}");
        }
        let found = check(&Header { transactions_root: wrong, ..header() });
        assert!(found[0].got.contains("transactionsRoot"), "{found:?}");
    }

    #[test]
    fn a_hash_that_is_not_the_headers_is_a_mismatch() {
        let hash = header().hash_slow().to_string();
        let other = block_json(&header()).replace(&hash, &B256::ZERO.to_string());
        let found = parse(other, "{}").unwrap().check_block();
        assert_eq!((found[0].field.as_str(), &found[0].got), ("hash", &hash));
    }

    #[test]
    fn a_missing_code_keeps_the_block_from_execution() {
        let account = format!(r#"{{"balance": "0x0", "nonce": 0, "code_hash": "{}"}}"#, B256::ZERO);
        let pre_state = format!(r#"{{"0x{}": {account}}}"#, "11".repeat(20));
        let fixture = parse(block_json(&header()), &pre_state).unwrap();
        assert!(!fixture.is_complete());
        assert_eq!(fixture.notes(), [Note::NotExecuted { missing_codes: 1 }]);
    }

    #[test]
    fn mistyped_fields_are_named() {
        let block = block_json(&header());
        let transaction = r#""transactions":[{"hash":1}]"#;
        let mistyped = block.replace(r#""transactions":[]"#, transaction);
        let error = parse(mistyped, "{}").unwrap_err().to_string();
        assert!(error.starts_with("7/block.json: field `transactions[0].hash`"), "{error}");
        let pre_state = format!(r#"{{"0x{}": {{"balance": "x"}}}}"#, "11".repeat(20));
        let error = parse(block, &pre_state).unwrap_err().to_string();
        assert!(error.starts_with("7/pre_state.json: field `0x1111"), "{error}");
    }
}
