//! `lockstep import`: execute the blocks of a file onto a chain.

use crate::{
    chain::{self, L1},
    output::say,
    progress,
};
use alloy_primitives::{B256, Sealed};
use alloy_rlp::Header as RlpHeader;
use alloy_rpc_types_engine::{ForkchoiceState, PayloadStatusEnum};
use clap::Args as ClapArgs;
use eyre::{Context, Result, bail, ensure};
use lockstep_chain::{Ethereum, decode_block};
use lockstep_engine::{Engine, EngineConfig, NoTransactions};
use lockstep_execution::MemoryState;
use lockstep_node::open_folder;
use lockstep_storage::{GenesisBlock, Options};
use serde_json::json;
use std::{fs, path::PathBuf, sync::Arc};

/// The largest file that is read.
const MAX_FILE_BYTES: u64 = 4 << 30;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// A network (mainnet, sepolia, hoodi) or a genesis file in geth's format.
    #[arg(long, value_name = "NAME|FILE")]
    chain: String,
    /// The folder of the chain.
    #[arg(long, value_name = "DIR")]
    datadir: PathBuf,
    /// A file of consecutive blocks in RLP, one after the other. Blocks that are there already
    /// are passed over.
    #[arg(value_name = "FILE")]
    blocks: PathBuf,
    /// Print the outcome as JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<bool> {
    let L1 { chain, genesis } = chain::find_l1(&args.chain)?;
    let describe = || args.blocks.display().to_string();
    let bytes = fs::metadata(&args.blocks).wrap_err_with(describe)?.len();
    ensure!(
        bytes <= MAX_FILE_BYTES,
        "{}: {bytes} bytes, the limit is {MAX_FILE_BYTES}",
        describe()
    );
    let rlp = fs::read(&args.blocks).wrap_err_with(describe)?;
    let first: GenesisBlock<Ethereum> =
        GenesisBlock::new(chain.genesis_header(&genesis), MemoryState::from_genesis(&genesis))?;
    let storage = open_folder(&args.datadir, &chain, &genesis, &first, Options::default())?;
    let engine =
        Engine::open(chain, Arc::new(storage), Arc::new(NoTransactions), EngineConfig::default())?;
    let bar = progress::bar(!args.json, bytes);
    let imported = import_blocks(&engine, &rlp, &mut |position, number| {
        bar.set_position(position);
        bar.set_message(format!("block {number}"));
    });
    bar.finish_and_clear();
    // What was imported before a bad block stays.
    engine.shutdown()?;
    let imported = imported.wrap_err_with(describe)?;
    let head = engine.view().head();
    let (number, hash, state_root) = (head.number, head.seal(), head.state_root);
    if args.json {
        say!(
            "{}",
            json!({ "imported": imported, "head": number, "hash": hash, "stateRoot": state_root })
        );
    } else {
        say!("imported {imported} blocks; the head is block {number} {hash}");
    }
    Ok(true)
}

/// Executes the blocks of a file in order and makes each the head. `progress` is told the position
/// in the file and the number of the block. How many blocks there were.
pub(crate) fn import_blocks(
    engine: &Engine<Ethereum>,
    rlp: &[u8],
    progress: &mut dyn FnMut(u64, u64),
) -> Result<u64> {
    let mut rest = rlp;
    let mut blocks = 0;
    while !rest.is_empty() {
        let position = rlp.len() - rest.len();
        let block = next_block(&mut rest).wrap_err_with(|| format!("at byte {position}"))?;
        let number = block.header.number;
        let hash = block.seal();
        let status = engine.insert(block)?;
        match status.status {
            PayloadStatusEnum::Valid => choose_head(engine, hash)?,
            PayloadStatusEnum::Invalid { validation_error } => {
                bail!("block {number} {hash} is invalid: {validation_error}")
            }
            _ => bail!("block {number} {hash} does not continue the chain"),
        }
        blocks += 1;
        progress((rlp.len() - rest.len()) as u64, number);
    }
    Ok(blocks)
}

fn choose_head(engine: &Engine<Ethereum>, hash: B256) -> Result<()> {
    let choice = ForkchoiceState { head_block_hash: hash, ..Default::default() };
    let status = engine.fork_choice(choice)?;
    ensure!(status.is_valid(), "block {hash} cannot be the head: {:?}", status.status);
    Ok(())
}

/// Takes a block off the beginning of `rest`.
fn next_block(rest: &mut &[u8]) -> Result<Sealed<lockstep_chain::Block<Ethereum>>> {
    let mut content = *rest;
    let header = RlpHeader::decode(&mut content)?;
    let length = (rest.len() - content.len()).saturating_add(header.payload_length);
    let Some((item, after)) = rest.split_at_checked(length) else {
        bail!("a block of {length} bytes is cut off after {}", rest.len());
    };
    let block = decode_block::<Ethereum>(item)?;
    *rest = after;
    let hash = block.header.hash_slow();
    Ok(Sealed::new_unchecked(block, hash))
}
