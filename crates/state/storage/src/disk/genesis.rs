//! The first commit of a chain.

use super::{changes::ChangeSet, rows};
use crate::{
    ForkChoice, GenesisBlock, StorageError,
    db::{
        BlockRow, Environment, Identity, Position, Table, encode_account, encode_value, node_key,
        slot_key,
    },
    files::{Kind, Pending, StaticFiles},
};
use alloy_consensus::BlockHeader;
use alloy_eips::BlockNumHash;
use alloy_primitives::{B256, keccak256};
use lockstep_chain::Chain;

/// Writes block and state that the chain begins with.
pub(super) fn write<C: Chain>(
    environment: &Environment,
    files: &StaticFiles,
    identity: &Identity,
    genesis: &GenesisBlock<C>,
) -> Result<Position, StorageError> {
    let tx = environment.write()?;
    write_state(&tx, genesis)?;
    let block = genesis.block();
    let (number, hash) = (block.header.number(), block.seal());
    let row = BlockRow {
        hash,
        state_root: block.header.state_root(),
        total_difficulty: block.header.difficulty(),
    };
    tx.put(Table::Blocks, &number.to_be_bytes(), &row.encode())?;
    tx.put(Table::BlockNumbers, hash.as_slice(), &number.to_be_bytes())?;

    let mut pending = Pending::new(identity.segment_blocks, [0; 5]);
    let contents = [
        (Kind::Headers, alloy_rlp::encode(&block.header)),
        (Kind::Bodies, alloy_rlp::encode(&block.body)),
        (Kind::Senders, Vec::new()),
        (Kind::Receipts, rows::encode_receipts::<C::Receipt>(&[])),
        (Kind::Changes, ChangeSet::default().encode()),
    ];
    for (kind, content) in contents {
        pending.push(kind, number, &hash, &content, true)?;
    }
    files.write(&pending)?;
    let position = Position {
        tip: BlockNumHash::new(number, hash),
        fork_choice: ForkChoice::default(),
        lengths: pending.lengths(),
    };
    tx.put(Table::Meta, Position::KEY, &position.encode())?;
    tx.put(Table::Meta, Identity::KEY, &identity.encode())?;
    tx.commit()?;
    Ok(position)
}

fn write_state<C: Chain>(
    tx: &crate::db::Writer,
    genesis: &GenesisBlock<C>,
) -> Result<(), StorageError> {
    let mut encoded = Vec::new();
    for (address, account) in genesis.state().accounts() {
        encoded.clear();
        encode_account(&account.info, &mut encoded);
        let hashed = keccak256(address);
        tx.put(Table::Accounts, address.as_slice(), &encoded)?;
        tx.put(Table::HashedAccounts, hashed.as_slice(), &encoded)?;
        for (slot, value) in &account.storage {
            let slot = B256::from(*slot);
            let value = encode_value(value);
            tx.put(Table::Storage, &slot_key(address.as_slice(), &slot), &value)?;
            let key = slot_key(hashed.as_slice(), &keccak256(slot));
            tx.put(Table::HashedStorage, &key, &value)?;
        }
        let code_hash = &account.info.code_hash;
        if let Some(code) = genesis.state().code_of(code_hash) {
            tx.put(Table::Codes, code_hash.as_slice(), code.original_byte_slice())?;
        }
    }
    for (at, _, rlp) in genesis.nodes().iter() {
        let (table, key) = node_key(at);
        tx.put(table, &key, rlp)?;
    }
    Ok(())
}
