//! An L1 with a precompiled contract of its own: the median of any number of words.
//!
//! The chain runs in this process, and is called as any wallet would call it:
//!
//! ```text
//! $ cargo run -p custom-precompile
//! the median of 30, 7 and 12 is 12
//! ```

use alloy_primitives::{Address, Bytes, U256, address};
use lockstep_chain::{Ethereum, EthereumHardfork};
use lockstep_devnet::{dev_server, l1_genesis};
use lockstep_execution::MemoryState;
use lockstep_node::{
    Customized, NodeBuilder, PartError,
    precompile::{
        DynPrecompile, PrecompileHalt, PrecompileId, PrecompileInput, PrecompileOutput,
        PrecompileResult,
    },
};
use lockstep_rpc::RpcSettings;
use lockstep_storage::GenesisBlock;
use serde_json::{Value, json};

/// Where the contract is.
const MEDIAN: Address = address!("000000000000000000000000000000000000c0de");

/// What it costs, in gas.
const BASE_GAS: u64 = 60;
const WORD_GAS: u64 = 12;

/// The lower median of the words of the input; zero of none.
fn median(call: &PrecompileInput<'_>) -> PrecompileResult {
    let (words, _) = call.data.as_chunks::<32>();
    let gas = WORD_GAS.saturating_mul(words.len() as u64).saturating_add(BASE_GAS);
    if gas > call.gas {
        return Ok(PrecompileOutput::halt(PrecompileHalt::OutOfGas, call.reservoir));
    }
    let mut words = words.to_vec();
    words.sort_unstable();
    let median = words.get(words.len().saturating_sub(1) / 2).copied().unwrap_or_default();
    Ok(PrecompileOutput::new(gas, median.into(), call.reservoir))
}

/// Ethereum with the contract.
fn with_median(chain: Ethereum) -> Customized<Ethereum> {
    Customized::new(chain).precompiles(|_header, precompiles| {
        let contract = DynPrecompile::new(PrecompileId::custom("median"), |call| median(&call));
        precompiles.apply_precompile(&MEDIAN, |_| Some(contract));
    })
}

/// Starts a node of the chain, asks it over JSON-RPC, and stops it.
async fn ask_a_node(numbers: &[u64]) -> Result<U256, PartError> {
    let genesis = l1_genesis(EthereumHardfork::Osaka, 0, &[]);
    let chain = Ethereum::from_genesis(&genesis)?;
    let header = chain.genesis_header(&genesis);
    let first = GenesisBlock::new(header, MemoryState::from_genesis(&genesis))?;
    let node = NodeBuilder::new(with_median(chain), &first)
        .rpc(RpcSettings::default(), dev_server(0, None))
        .launch()
        .await?;

    let address = node.rpc_address().ok_or("JSON-RPC is not served")?;
    let words = numbers.iter().flat_map(|number| U256::from(*number).to_be_bytes::<32>());
    let call = json!({ "to": MEDIAN, "data": words.collect::<Bytes>() });
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call] });
    let answer = tokio::task::spawn_blocking(move || {
        ureq::post(format!("http://{address}"))
            .header("content-type", "application/json")
            .send(request.to_string())?
            .body_mut()
            .read_to_string()
    });
    let answer: Value = serde_json::from_str(&answer.await??)?;
    node.shutdown().await?;
    let result = answer.get("result").and_then(Value::as_str).ok_or_else(|| answer.to_string())?;
    Ok(result.parse()?)
}

#[tokio::main]
async fn main() -> Result<(), PartError> {
    let median = ask_a_node(&[30, 7, 12]).await?;
    println!("the median of 30, 7 and 12 is {median}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_runs_to_its_end() {
        main().expect("nothing else uses a free port");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_node_knows_the_median() {
        for (numbers, median) in
            [(&[][..], 0_u64), (&[5], 5), (&[9, 4], 4), (&[30, 7, 12], 12), (&[1, 1, 8, 9], 1)]
        {
            let answer = ask_a_node(numbers).await.expect("the node answers");
            assert_eq!(answer, U256::from(median), "{numbers:?}");
        }
    }
}
