//! Executes one real rollup block from its witness, and counts the instructions: what a proof of it costs
//! at least. `guests/measure` builds and runs it.
//!
//! The input is a block as `lockstep-testkit` describes it (`witness`): the length of `NAME.fixture.json` (64
//! bits, little-endian), that file, and the lines of `NAME.preimages.hex`.
#![no_std]
#![no_main]

extern crate alloc;

mod machine;

use alloc::string::{String, ToString};
use alloy_consensus::{Header, Sealable};
use alloy_primitives::{B256, hex};
use core::fmt::Write;
use lockstep_chain::OpHardfork;
use lockstep_preimage::PreimageSet;
use lockstep_protocol::RollupConfig;
use lockstep_stf::execute_stateless;
use machine::{Serial, instructions};
use op_alloy_rpc_types_engine::OpPayloadAttributes;
use serde::Deserialize;

#[derive(Deserialize)]
struct Fixture {
    rollup_config: RollupConfig,
    parent_header: Header,
    executing_payload: OpPayloadAttributes,
    expected_block_hash: B256,
}

#[unsafe(no_mangle)]
extern "C" fn main() -> ! {
    let outcome = run(machine::input());
    let printed = match &outcome {
        Ok(line) => writeln!(Serial, "{line}"),
        Err(error) => writeln!(Serial, "error: {error}"),
    };
    machine::end(outcome.is_ok() && printed.is_ok());
}

/// Executes the block and tells what it cost.
fn run(input: &[u8]) -> Result<String, String> {
    let (length, rest) = input.split_first_chunk().ok_or("there is no input")?;
    let length = u64::from_le_bytes(*length) as usize;
    let (fixture, preimages) = rest.split_at_checked(length).ok_or("the input is cut off")?;
    let Fixture { rollup_config, parent_header, mut executing_payload, expected_block_hash } =
        serde_json::from_slice(fixture).map_err(|error| error.to_string())?;
    if rollup_config.is_active(OpHardfork::Canyon, executing_payload.payload_attributes.timestamp) {
        // The recorded blocks leave out what is always the same.
        executing_payload.payload_attributes.withdrawals.get_or_insert_default();
    }
    let preimages = parse_preimages(preimages)?;
    let (chain, parent) = (rollup_config.chain(), parent_header.seal_slow());

    let before = instructions();
    let made = execute_stateless(&chain, parent, &executing_payload, &preimages);
    let spent = instructions() - before;

    let block = made.map_err(|error| error.to_string())?.block;
    if block.hash() != expected_block_hash {
        return Err(alloc::format!("block {} instead of {expected_block_hash}", block.hash()));
    }
    let (number, gas, count) = (block.number, block.gas_used, block.body.transactions.len());
    Ok(alloc::format!(
        "{{\"block\":{number},\"transactions\":{count},\"gas\":{gas},\"instructions\":{spent}}}"
    ))
}

fn parse_preimages(text: &[u8]) -> Result<PreimageSet, String> {
    let text = core::str::from_utf8(text).map_err(|error| error.to_string())?;
    let mut preimages = PreimageSet::new();
    for line in text.lines() {
        let (_, bytes) = line.split_once(' ').ok_or("a line without hash and bytes")?;
        let bytes = hex::decode(bytes.trim()).map_err(|error| error.to_string())?;
        preimages.insert_keccak256(bytes.into());
    }
    Ok(preimages)
}
