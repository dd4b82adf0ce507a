//! The rollups of a running network, over JSON-RPC.

use alloy_primitives::{Address, B256};
use clap::Args as ClapArgs;
use eyre::{Result, bail, ensure, eyre};
use lockstep_devnet::{ROLLUP_CHAIN_ID, rollup_name};
use lockstep_protocol::RollupConfig;
use lockstep_providers::{ClientError, L2Client, RpcClient, Timeouts};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{fmt, time::Duration};

/// Where `lockstep dev` serves the JSON-RPC of its L1.
pub(crate) const L1_PORT: u16 = 8545;

/// Where `lockstep dev` serves the Beacon API of its L1.
pub(crate) const BEACON_PORT: u16 = 5052;

/// Where `lockstep dev` serves the JSON-RPC of its first rollup.
pub(crate) const ROLLUP_PORT: u16 = 9545;

/// Where `lockstep dev` serves that of the node that derives its first rollup.
pub(crate) const FOLLOWER_PORT: u16 = 9546;

/// The ports of a rollup of `lockstep dev` are so many above those of the one before.
pub(crate) const PORT_STEP: u16 = 2;

/// Rollups of a development network have a name; so many are looked up.
const NAMED: u64 = 64;

/// Whoever waits for an answer is a person.
const TIMEOUTS: Timeouts =
    Timeouts { connect: Duration::from_secs(2), total: Duration::from_secs(20) };

/// Where a network is.
#[derive(Clone, Debug, Default, ClapArgs)]
pub(crate) struct NetworkArgs {
    /// JSON-RPC of a node of a rollup, or its name in a `lockstep dev` on this machine; may be given several
    /// times [default: all rollups of that].
    #[arg(long = "rollup", value_name = "URL|NAME")]
    pub(crate) rollups: Vec<String>,
}

/// A node of a rollup.
#[derive(Clone, Debug)]
pub(crate) struct RollupNode {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) config: RollupConfig,
    rpc: RpcClient,
}

/// Why nodes could not be connected to.
#[derive(Debug)]
pub(crate) struct Away {
    first: eyre::Report,
    others: Vec<eyre::Report>,
}

impl NetworkArgs {
    /// The nodes of all rollups that were named; or of those of a `lockstep dev` on this machine.
    pub(crate) fn connect(&self) -> Result<Vec<RollupNode>> {
        match self.connect_each()? {
            (nodes, None) => Ok(nodes),
            (_, Some(away)) => Err(away.first),
        }
    }

    /// Those of them that answer, of which there is one at least, and why the others do not.
    pub(crate) fn connect_each(&self) -> Result<(Vec<RollupNode>, Option<Away>)> {
        let mut nodes = Vec::new();
        let urls = if self.rollups.is_empty() {
            let first = RollupNode::connect(&local(ROLLUP_PORT))?;
            let others = first.config.union.as_ref().map_or(0, |union| union.chains.len() - 1);
            nodes.push(first);
            (1..=others).map_while(port_of).map(local).collect()
        } else {
            self.rollups.iter().map(|it| rollup_url(it)).collect::<Result<Vec<_>>>()?
        };
        let mut away: Option<Away> = None;
        for url in urls {
            match (RollupNode::connect(&url), &mut away) {
                (Ok(node), _) => nodes.push(node),
                (Err(error), Some(away)) => away.others.push(error),
                (Err(first), away @ None) => *away = Some(Away { first, others: Vec::new() }),
            }
        }
        match away {
            Some(away) if nodes.is_empty() => Err(away.first),
            away => Ok((distinct(nodes)?, away)),
        }
    }
}

impl Away {
    pub(crate) fn reasons(&self) -> impl Iterator<Item = String> {
        [&self.first].into_iter().chain(&self.others).map(|error| format!("{error:#}"))
    }
}

/// Where `lockstep dev` serves the JSON-RPC of its rollup at this index.
fn port_of(index: usize) -> Option<u16> {
    u16::try_from(index).ok()?.checked_mul(PORT_STEP)?.checked_add(ROLLUP_PORT)
}

fn distinct(nodes: Vec<RollupNode>) -> Result<Vec<RollupNode>> {
    for (index, node) in nodes.iter().enumerate() {
        let same = nodes.iter().take(index).find(|it| it.chain_id() == node.chain_id());
        if let Some(same) = same {
            bail!("{} and {} are nodes of one rollup: name one of them", same.url, node.url);
        }
    }
    Ok(nodes)
}

/// A server on this machine.
pub(crate) fn local(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The URL of a rollup that is given as a URL, or by its name in a `lockstep dev` on this machine.
pub(crate) fn rollup_url(rollup: &str) -> Result<String> {
    if rollup.contains("://") {
        return Ok(rollup.to_owned());
    }
    let index = (0..NAMED as usize).find(|index| rollup_name(*index) == rollup);
    let port = index.and_then(port_of).ok_or_else(|| {
        eyre!(
            "--rollup {rollup}: neither a URL like {} nor the name of a rollup of `lockstep dev` (alpha, beta, …)",
            local(ROLLUP_PORT)
        )
    })?;
    Ok(local(port))
}

/// An address, from the command line.
pub(crate) fn address(text: &str) -> Result<Address, String> {
    text.parse().map_err(|_| {
        "an address is 20 bytes in hexadecimal, like 0xcafe000000000000000000000000000000000000"
            .to_owned()
    })
}

/// The hash of a transaction, from the command line.
pub(crate) fn transaction_hash(text: &str) -> Result<B256, String> {
    text.parse().map_err(|_| {
        "the hash of a transaction is 32 bytes in hexadecimal, as `lockstep send` prints it"
            .to_owned()
    })
}

/// What a rollup is called, by its chain id.
pub(crate) fn name_of(chain_id: u64) -> String {
    match chain_id.checked_sub(ROLLUP_CHAIN_ID).filter(|index| *index < NAMED) {
        Some(index) => rollup_name(index as usize),
        None => format!("chain {chain_id}"),
    }
}

impl RollupNode {
    /// The node behind this URL.
    pub(crate) fn connect(url: &str) -> Result<Self> {
        let rpc = RpcClient::http(url, TIMEOUTS).map_err(|error| eyre!("{url}: {error}"))?;
        let config = L2Client::fetch_config(&rpc).map_err(|error| match error {
            ClientError::Unreachable { reason, .. } => eyre!(
                "nothing answers at {url} ({reason}): start a network with `lockstep dev`, or say where one is \
                 with --rollup URL"
            ),
            ClientError::Unsupported { .. } => {
                eyre!(
                    "{url} is not a node of a rollup: it does not serve optimism_rollupConfig (a `lockstep node` does \
                     with --http-api eth,optimism,lockstep)"
                )
            }
            ClientError::Status { status, .. } => eyre!(
                "{url} serves no JSON-RPC (HTTP status {status}): name the JSON-RPC of a rollup, which the first of \
                 `lockstep dev` has at {}",
                local(ROLLUP_PORT)
            ),
            error => error.into(),
        })?;
        Ok(Self { name: name_of(config.l2_chain_id), url: url.to_owned(), config, rpc })
    }

    pub(crate) const fn chain_id(&self) -> u64 {
        self.config.l2_chain_id
    }

    /// Asks the node.
    pub(crate) fn call<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &Value,
    ) -> Result<T, ClientError> {
        self.rpc.call(method, params)
    }

    /// Asks the node the same of each.
    pub(crate) fn call_each<T: DeserializeOwned>(
        &self,
        method: &'static str,
        params: &[Value],
    ) -> Result<Vec<T>, ClientError> {
        self.rpc.batch_all(method, params)
    }

    /// When the block with this number is due, in seconds.
    pub(crate) fn time_of(&self, number: u64) -> Result<u64> {
        let since = number
            .checked_sub(self.config.genesis.l2.number)
            .and_then(|blocks| blocks.checked_mul(self.config.block_time));
        since
            .and_then(|since| since.checked_add(self.config.genesis.l2_time))
            .ok_or_else(|| eyre!("{}: there is no block {number}", self.url))
    }

    /// The number of the block at this time, in seconds; `None` if there is none.
    pub(crate) fn number_at(&self, time: u64) -> Option<u64> {
        let since = time.checked_sub(self.config.genesis.l2_time)?;
        let block_time = self.config.block_time;
        let is_of_a_block = block_time > 0 && since.is_multiple_of(block_time);
        is_of_a_block.then(|| self.config.genesis.l2.number + since / block_time)
    }
}

impl fmt::Display for RollupNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, chain) = (&self.name, self.chain_id());
        if *name == name_of(chain) && name.starts_with("chain") {
            return f.write_str(name);
        }
        write!(f, "{name} ({chain})")
    }
}

/// A number with a comma after every three digits.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Refuses what a node says of another chain.
pub(crate) fn expect_chain(node: &RollupNode, chain: u64) -> Result<()> {
    ensure!(node.chain_id() == chain, "{} is of chain {}, not {chain}", node.url, node.chain_id());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollups_are_named_or_located() {
        assert_eq!(rollup_url("beta").expect("it is a name"), "http://127.0.0.1:9547");
        assert_eq!(rollup_url("http://h:1").expect("it is a URL"), "http://h:1");
        assert!(rollup_url("betta").is_err());
        assert!(address("0x12").is_err_and(|error| error.contains("20 bytes")));
        assert!(transaction_hash("0x12").is_err_and(|error| error.contains("32 bytes")));
        assert_eq!((name_of(901), name_of(10)), ("alpha".to_owned(), "chain 10".to_owned()));
    }

    #[test]
    fn numbers_are_grouped_by_three_digits() {
        let known = [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in known {
            assert_eq!(grouped(number), text);
        }
    }

    #[test]
    fn with_no_node_at_all_it_is_said_why_there_is_none() {
        let network = NetworkArgs { rollups: vec![local(1), local(1)] };
        let error = network.connect_each().expect_err("nobody is there").to_string();
        assert!(error.starts_with("nothing answers at http://127.0.0.1:1 "), "{error}");
        let network = NetworkArgs { rollups: vec![local(1), "betta".to_owned()] };
        let error = network.connect_each().expect_err("there is no such rollup").to_string();
        assert!(error.starts_with("--rollup betta: "), "{error}");
    }

    #[test]
    fn nobody_at_the_other_end_is_said_with_what_to_do() {
        // Port 1 of this machine is nobody's.
        let error = RollupNode::connect(&local(1)).expect_err("nobody is there").to_string();
        assert!(error.contains("lockstep dev") && error.contains("--rollup URL"), "{error}");
    }
}
