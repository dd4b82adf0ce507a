//! Whole chains from genesis files: the truth is the hash of the genesis and of the newest block.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may stop at what it did not expect"
)]

use alloy_consensus::{Header, Sealable, Sealed};
use alloy_primitives::{B256, U256, b256, keccak256};
use alloy_rlp::Decodable;
use lockstep_chain::{Block, Chain, Ethereum, genesis};
use lockstep_execution::{
    ExecuteOptions, MemoryState, StateChanges, execute_block, validate_output, validate_state_root,
};
use lockstep_testkit::fixtures::{self, archive};
use lockstep_trie::{NoSource, StateTrie};

#[test]
fn genesis_files_give_the_hashes_of_the_networks() {
    let Some(fixtures) = fixtures::folder() else { return };
    let files = archive(&fixtures.join("misc/genesis.tar.zst")).expect("the archive is whole");
    let genesis_of = |network| {
        let json = &files[&format!("genesis/{network}.json")];
        genesis::parse(json).expect("the genesis file parses")
    };
    let hoodi = Ethereum::from_genesis(&genesis_of("hoodi")).expect("the file is valid");
    let expected = [
        (
            Ethereum::mainnet(),
            "mainnet",
            b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"),
        ),
        (
            Ethereum::sepolia(),
            "sepolia",
            b256!("25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9"),
        ),
        (hoodi, "hoodi", b256!("bbe312868b376a3001692a646dd2d7d1e4406380dfd86b98aa8a34d1557c971b")),
    ];
    for (chain, network, hash) in expected {
        let header = chain.genesis_header(&genesis_of(network));
        assert_eq!(header.hash_slow(), hash, "{network}");
    }
    let holesky = b256!("69d8c9d72f6fa4ad42d4702b433707212f90db395eb54dc20bc85de253788783");
    assert_eq!(genesis::state_root(&genesis_of("holesky")), holesky);
}

#[test]
fn a_chain_that_crosses_every_fork_to_cancun_imports_to_its_head() {
    let head = b256!("36a166f0dcd160fc5e5c61c9a7c2d7f236d9175bf27f43aaa2150e291f092ef7");
    import("misc/chain-ethtest-500.tar.zst", "ethtest", 500, head);
}

#[test]
fn a_chain_that_crosses_every_fork_to_prague_imports_to_its_head() {
    let head = b256!("af51811799f22260e5b4e1f95504dae760505f102dcb2e9ca7d897d8a40124a1");
    import("misc/chain-rpc-compat-45.tar.zst", "rpc-compat", 45, head);
}

fn import(name: &str, folder: &str, newest: u64, head: B256) {
    let Some(fixtures) = fixtures::folder() else { return };
    let files = archive(&fixtures.join(name)).expect("the archive is whole");
    let mut import = Import::new(&files[&format!("{folder}/genesis.json")]);
    let mut rlp = files[&format!("{folder}/chain.rlp")].as_slice();
    while !rlp.is_empty() {
        import.block(&Block::<Ethereum>::decode(&mut rlp).expect("the block decodes"));
    }
    assert_eq!((import.head.number, import.head.hash()), (newest, head));
    assert_eq!(import.state.state_root(), import.head.state_root);
}

/// A chain under import, its state in both forms.
struct Import {
    chain: Ethereum,
    head: Sealed<Header>,
    total_difficulty: U256,
    state: MemoryState,
    trie: StateTrie,
}

impl Import {
    fn new(json: &[u8]) -> Self {
        let genesis = genesis::parse(json).expect("the genesis file parses");
        let chain = Ethereum::from_genesis(&genesis).expect("the genesis file is valid");
        let head = chain.genesis_header(&genesis).seal_slow();
        let mut state = MemoryState::from_genesis(&genesis);
        let mut trie = StateTrie::empty();
        fill(&mut trie, &state);
        let Ok(root) = trie.root(&NoSource) else { panic!("the whole trie is known") };
        assert_eq!(root, head.state_root);
        let total_difficulty = head.difficulty;
        state.set_block_hash(head.number, head.hash());
        Self { chain, head, total_difficulty, state, trie }
    }

    fn block(&mut self, block: &Block<Ethereum>) {
        let Self { chain, head, trie, state, .. } = self;
        let header = &block.header;
        let number = header.number;
        chain.validate_header(header).unwrap_or_else(|error| panic!("block {number}: {error}"));
        chain
            .validate_header_against_parent(header, head, Some(self.total_difficulty))
            .unwrap_or_else(|error| panic!("block {number}: {error}"));
        chain.validate_body(block).unwrap_or_else(|error| panic!("block {number}: {error}"));
        let senders = chain.recover_senders(block).expect("the signatures recover");
        let mut root_after = |changes: &StateChanges| {
            let mut trie = trie.clone();
            changes.apply_to(&mut trie);
            Ok(trie.root(&NoSource)?)
        };
        let options =
            ExecuteOptions { intermediate_roots: Some(&mut root_after), ..Default::default() };
        let output = execute_block(chain, block, &senders, &*state, options)
            .unwrap_or_else(|error| panic!("block {number}: {error}"));
        validate_output(chain, header, &output)
            .unwrap_or_else(|error| panic!("block {number}: {error}"));
        output.changes.apply_to(trie);
        let Ok(root) = trie.root(&NoSource) else { panic!("the whole trie is known") };
        validate_state_root(header, root).unwrap_or_else(|error| panic!("block {number}: {error}"));
        state.apply(&output.changes);
        self.total_difficulty += header.difficulty;
        self.head = header.clone().seal_slow();
        self.state.set_block_hash(number, self.head.hash());
    }
}

/// Writes a whole state into an empty trie.
fn fill(trie: &mut StateTrie, state: &MemoryState) {
    for (address, account) in state.accounts() {
        let hashed = keccak256(address);
        trie.set_account(hashed, account.info.nonce, account.info.balance, account.info.code_hash);
        for (slot, value) in &account.storage {
            trie.set_slot(hashed, keccak256(slot.to_be_bytes::<32>()), *value);
        }
    }
}
