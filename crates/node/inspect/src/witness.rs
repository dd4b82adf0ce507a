//! `debug_executionWitness`: everything that a block reads, so that it can run on nothing else.

use crate::{Inspect, InspectError, ReplayBlock};
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_rlp::Encodable;
use alloy_rpc_types_debug::ExecutionWitness;
use lockstep_execution::{
    Accessed, BlockOutput, ExecuteOptions, ExecutionError, StateCommitment, StateReader,
    execute_block, validate_output, validate_state_root,
};
use lockstep_trie::{NodeSource, Recorder, StateTrie};

/// The newest ancestors whose hashes a block can see (Yellow Paper § 9.4, BLOCKHASH).
const VISIBLE_ANCESTORS: u64 = 256;

/// The witness of a block: trie nodes (with those that deletions need), codes, the addresses and
/// slots that were read, and the headers from the oldest ancestor whose hash was read up to the
/// parent. The lists have no duplicates, and their order depends on the block alone.
///
/// `parent_state` is the state after `parent`; `header_of` gives an ancestor's header by number.
///
/// The block is executed and held against its header, so a witness that is returned suffices.
///
/// # Errors
/// [`InspectError::Genesis`]; [`InspectError::NoTrie`]; [`InspectError::Replay`] if the block does not execute to what its
/// header says; [`InspectError::State`], [`InspectError::Trie`], or what `header_of` fails with.
pub fn execution_witness<C: Inspect, S: StateReader + NodeSource>(
    chain: &C,
    block: ReplayBlock<'_, C>,
    parent_state: S,
    parent: &Header,
    header_of: impl FnMut(u64) -> Result<Option<Header>, InspectError>,
) -> Result<ExecutionWitness, InspectError> {
    let header = &block.block.header;
    if header.number == 0 {
        return Err(InspectError::Genesis);
    }
    if !C::Commitment::is_trie() {
        return Err(InspectError::NoTrie);
    }
    let recorder = Recorder::new(&parent_state);
    let mut trie = StateTrie::from_root(parent.state_root);
    // Receipts from before Byzantium need the root after each transaction, and so does who checks
    // them with nothing but the witness.
    let intermediate = StateTrie::from_root(parent.state_root);
    let mut root_after = |changes: &lockstep_execution::StateChanges| {
        let mut trie = intermediate.clone();
        changes.apply_to(&mut trie);
        let root = trie.root(&recorder).map_err(|error| error.to_string())?;
        Ok(root)
    };
    let options = ExecuteOptions {
        record_access: true,
        intermediate_roots: Some(&mut root_after),
        ..Default::default()
    };
    let output = execute_block(chain, block.block, block.senders, &parent_state, options)
        .map_err(failure)?;
    let accessed = output.accessed.clone().unwrap_or_default();
    read_again(&mut trie, &accessed, &recorder)?;
    output.changes.apply_to(&mut trie);
    let root = trie.root(&recorder).map_err(trie_failure)?;
    check(chain, header, &output, root)?;
    let state: Vec<Bytes> = recorder.into_nodes().iter().map(|(_, rlp)| rlp.clone()).collect();
    Ok(ExecutionWitness {
        state,
        codes: codes(&accessed, &parent_state)?,
        keys: keys(&accessed),
        headers: headers(parent, &accessed, header_of)?,
    })
}

/// Reads what the block read through the trie, so that the recorder sees it, too.
fn read_again<S: NodeSource>(
    trie: &mut StateTrie,
    accessed: &Accessed,
    source: &S,
) -> Result<(), InspectError> {
    for item in &accessed.accounts.0 {
        let hashed = keccak256(item.address);
        trie.account(hashed, source).map_err(trie_failure)?;
        for slot in &item.storage_keys {
            trie.slot(hashed, keccak256(slot), source).map_err(trie_failure)?;
        }
    }
    Ok(())
}

fn check<C: Inspect>(
    chain: &C,
    header: &Header,
    output: &BlockOutput<C::Receipt>,
    root: B256,
) -> Result<(), InspectError> {
    validate_output(chain, header, output)
        .and_then(|()| validate_state_root(header, root))
        .map_err(|error| InspectError::Replay(error.to_string()))
}

fn codes<S: StateReader>(accessed: &Accessed, state: &S) -> Result<Vec<Bytes>, InspectError> {
    let codes = accessed.codes.iter();
    codes
        .map(|hash| state.code(hash).map(|code| code.original_bytes()).map_err(InspectError::state))
        .collect()
}

/// Addresses, each followed by its slots, unhashed.
fn keys(accessed: &Accessed) -> Vec<Bytes> {
    let mut keys = Vec::new();
    for item in &accessed.accounts.0 {
        keys.push(Bytes::copy_from_slice(item.address.as_slice()));
        let slots = item.storage_keys.iter();
        keys.extend(slots.map(|slot| Bytes::copy_from_slice(slot.as_slice())));
    }
    keys
}

/// The headers that chain the oldest block hash that was read to the parent, the oldest first.
fn headers(
    parent: &Header,
    accessed: &Accessed,
    mut header_of: impl FnMut(u64) -> Result<Option<Header>, InspectError>,
) -> Result<Vec<Bytes>, InspectError> {
    let lowest_visible = (parent.number + 1).saturating_sub(VISIBLE_ANCESTORS);
    let read = accessed.block_numbers.iter().copied();
    let oldest = read.min().unwrap_or(parent.number).clamp(lowest_visible, parent.number);
    let mut headers = Vec::new();
    for number in oldest..parent.number {
        let header = header_of(number)?
            .ok_or_else(|| InspectError::Replay(format!("header {number} is not known")))?;
        headers.push(encoded(&header));
    }
    headers.push(encoded(parent));
    Ok(headers)
}

fn encoded(header: &Header) -> Bytes {
    let mut rlp = Vec::with_capacity(header.length());
    header.encode(&mut rlp);
    rlp.into()
}

fn failure<E: core::error::Error + Send + Sync + 'static>(
    error: ExecutionError<E>,
) -> InspectError {
    match error {
        ExecutionError::State(error) => InspectError::state(error),
        other => InspectError::Replay(other.to_string()),
    }
}

fn trie_failure(error: impl core::fmt::Display) -> InspectError {
    InspectError::Trie(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(parent: u64, read: &[u64]) -> Vec<u64> {
        let header = |number| Header { number, ..Header::default() };
        let accessed = Accessed { block_numbers: read.to_vec(), ..Accessed::default() };
        let headers = headers(&header(parent), &accessed, |number| Ok(Some(header(number))));
        let headers = headers.expect("every header is known");
        let decoded = headers.iter().map(alloy_rlp::decode_exact::<Header>);
        decoded.map(|header| header.expect("it was just encoded").number).collect()
    }

    #[test]
    fn headers_reach_back_to_the_oldest_hash_that_was_read() {
        assert_eq!(numbers(9, &[]), [9]);
        assert_eq!(numbers(9, &[9]), [9]);
        assert_eq!(numbers(9, &[8, 6, 7]), [6, 7, 8, 9]);
        assert_eq!(numbers(0, &[]), [0]);
    }

    #[test]
    fn headers_reach_back_no_further_than_code_can_see() {
        let numbers = numbers(1000, &[3]);
        assert_eq!((numbers.first(), numbers.len()), (Some(&745), 256));
    }

    #[test]
    fn a_header_that_is_not_known_is_told() {
        let accessed = Accessed { block_numbers: vec![3], ..Accessed::default() };
        let parent = Header { number: 5, ..Header::default() };
        let missing = headers(&parent, &accessed, |_| Ok(None));
        assert!(matches!(missing, Err(InspectError::Replay(_))), "{missing:?}");
    }
}
