//! Whole chains over every fork, executed on the storage itself. The truth is the hash of the
//! newest block and every root on the way.

use crate::forge::options;
use alloy_consensus::Header;
use alloy_primitives::{B256, Sealed, U256, b256};
use alloy_rlp::Decodable;
use lockstep_chain::{Block, Chain, Ethereum, genesis};
use lockstep_execution::{
    ExecuteOptions, MemoryState, StateChanges, execute_block, validate_output,
};
use lockstep_storage::{
    CheckOptions, DiskStorage, ExecutedBlock, ForkChoice, GenesisBlock, MemoryStorage,
    RecoveredBlock, Storage, TrieNodesBuilder,
};
use lockstep_testkit::fixtures;
use lockstep_trie::StateTrie;
use std::sync::Arc;

#[test]
fn a_chain_over_every_fork_to_cancun_is_kept_and_taken_back() {
    let head = b256!("36a166f0dcd160fc5e5c61c9a7c2d7f236d9175bf27f43aaa2150e291f092ef7");
    import("misc/chain-ethtest-500.tar.zst", "ethtest", head);
}

#[test]
fn a_chain_over_every_fork_to_prague_is_kept_and_taken_back() {
    let head = b256!("af51811799f22260e5b4e1f95504dae760505f102dcb2e9ca7d897d8a40124a1");
    import("misc/chain-rpc-compat-45.tar.zst", "rpc-compat", head);
}

fn import(name: &str, folder: &str, head: B256) {
    let Some(fixtures) = fixtures::folder() else { return };
    let files = fixtures::archive(&fixtures.join(name)).expect("the archive is whole");
    let json = &files[&format!("{folder}/genesis.json")];
    let parsed = genesis::parse(json).expect("the genesis file parses");
    let chain = Ethereum::from_genesis(&parsed).expect("the genesis file is valid");
    let state = MemoryState::from_genesis(&parsed);
    let genesis = GenesisBlock::<Ethereum>::new(chain.genesis_header(&parsed), state)
        .expect("the state is the header's");
    let data = tempfile::tempdir().expect("a folder");
    let disk = DiskStorage::open(data.path(), &chain, &genesis, options()).expect("it opens");
    let memory = MemoryStorage::new(&genesis);
    let mut rlp = files[&format!("{folder}/chain.rlp")].as_slice();
    let mut blocks = Vec::new();
    while !rlp.is_empty() {
        let block = Block::<Ethereum>::decode(&mut rlp).expect("the block decodes");
        let executed = Arc::new(execute(&chain, &disk, block));
        let choice = ForkChoice { head: executed.num_hash().hash, ..Default::default() };
        let next = std::slice::from_ref(&executed);
        disk.append(next, choice).expect("the disk has room");
        memory.append(next, choice).expect("the memory has room");
        blocks.push(executed);
    }
    let snapshot = disk.snapshot().expect("a snapshot");
    assert_eq!(snapshot.tip().hash, head);
    let check = |disk: &DiskStorage<Ethereum>| {
        let options = CheckOptions { recover_senders: true };
        let report = disk.check(&chain, options, &mut |_| ()).expect("the check ends");
        assert!(report.is_sound(), "{:#?}", report.problems);
    };
    check(&disk);
    compare(&disk, &memory, &blocks);

    let middle = blocks.len() as u64 / 3;
    drop(snapshot);
    disk.unwind(middle).expect("the history is there");
    check(&disk);
    disk.append(&blocks[middle as usize..], ForkChoice::default()).expect("the disk has room");
    check(&disk);
    compare(&disk, &memory, &blocks);
}

/// Both storages say the same of every block, and of every state what it changed.
fn compare(
    disk: &DiskStorage<Ethereum>,
    memory: &MemoryStorage<Ethereum>,
    blocks: &[Arc<ExecutedBlock<Ethereum>>],
) {
    let (disk, memory) = (disk.snapshot().unwrap(), memory.snapshot().unwrap());
    for executed in blocks {
        let number = executed.block.number();
        let block = disk.block(number).unwrap().unwrap();
        assert_eq!(block.block, executed.block.block);
        assert_eq!(disk.receipts(number).unwrap().unwrap(), executed.receipts);
        let total_difficulty = Some(executed.total_difficulty);
        assert_eq!(disk.total_difficulty(number).unwrap(), total_difficulty);
        for at in [number - 1, number] {
            let states = [&disk, &memory].map(|s| Arc::clone(s).state(at).unwrap());
            for change in executed.changes.accounts() {
                let [left, right] = states.each_ref().map(|s| s.account(&change.address()));
                assert_eq!(left.unwrap(), right.unwrap());
                for slot in executed.changes.slots(change) {
                    let [left, right] =
                        states.each_ref().map(|s| s.storage(&change.address(), &slot.slot));
                    assert_eq!(left.unwrap(), right.unwrap());
                }
            }
        }
    }
}

fn execute(
    chain: &Ethereum,
    disk: &DiskStorage<Ethereum>,
    block: Block<Ethereum>,
) -> ExecutedBlock<Ethereum> {
    let header: &Header = &block.header;
    let snapshot = disk.snapshot().expect("a snapshot");
    let parent = snapshot.tip().number;
    let total = snapshot.total_difficulty(parent).expect("readable").expect("it is there");
    let state = snapshot.state(parent).expect("it is retained");
    let senders = chain.recover_senders(&block).expect("the signatures recover");
    let root = state.state_root();
    let mut root_after = |changes: &StateChanges| {
        let mut trie = StateTrie::from_root(root);
        changes.apply_to(&mut trie);
        Ok(trie.root(&&*state)?)
    };
    let options =
        ExecuteOptions { intermediate_roots: Some(&mut root_after), ..Default::default() };
    let output = execute_block(chain, &block, &senders, &*state, options)
        .unwrap_or_else(|error| panic!("block {}: {error}", header.number));
    validate_output(chain, header, &output).expect("the output is the header's");
    let mut trie = StateTrie::from_root(root);
    output.changes.apply_to(&mut trie);
    let mut nodes = TrieNodesBuilder::default();
    let new_root = trie
        .commit(&&*state, |path, hash, rlp| nodes.push(path, hash, rlp))
        .expect("the nodes are there");
    assert_eq!(new_root, header.state_root, "block {}", header.number);
    let total_difficulty: U256 = total + header.difficulty;
    let hash = header.hash_slow();
    let block = Sealed::new_unchecked(block, hash);
    ExecutedBlock::new(
        Arc::new(RecoveredBlock { block, senders }),
        output.receipts,
        output.requests,
        total_difficulty,
        output.changes,
        nodes.build(),
    )
}
