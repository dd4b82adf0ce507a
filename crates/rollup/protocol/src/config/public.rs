//! The configurations of the public chains, from the superchain registry.

use super::{CHANNEL_TIMEOUT_BEDROCK, ChainOpConfig, RollupConfig, RollupGenesis};
use crate::SystemConfig;
use alloy_eips::BlockNumHash;
use core::str::{FromStr, SplitWhitespace};
use serde_json::Value;

/// A line for each chain; its first lines say what the columns are.
const CHAINS: &str = include_str!("../../data/public_chains.txt");

impl RollupConfig {
    /// The configuration of a public OP Stack chain, on Ethereum or on Sepolia.
    ///
    /// It holds through Jovian. When Karst begins is known of the chains that follow the times of the
    /// superchain registry (OP, Ink, Metal, Mode, Soneium, Unichain and Zora); derivation stops there
    /// ([`Self::unsupported_fork`]). Other chains may have scheduled forks after Jovian that are not
    /// known here: do not derive them beyond Jovian without a configuration of their own.
    ///
    /// A few of the chains keep their data elsewhere than on L1; [`Self::validate`] refuses those.
    pub fn of_chain(chain_id: u64) -> Option<Self> {
        lines().map(Columns).find_map(|mut columns| {
            let id: u64 = columns.next()?;
            if id == chain_id { columns.config(id) } else { None }
        })
    }

    /// The chain ids of the public OP Stack chains.
    pub fn public_chains() -> impl Iterator<Item = u64> {
        lines().filter_map(|mut columns| columns.next()?.parse().ok())
    }
}

fn lines() -> impl Iterator<Item = SplitWhitespace<'static>> {
    CHAINS.lines().filter(|line| !line.starts_with('#')).map(str::split_whitespace)
}

struct Columns(SplitWhitespace<'static>);

impl Columns {
    fn next<T: FromStr>(&mut self) -> Option<T> {
        self.0.next()?.parse().ok()
    }

    /// A time, or none.
    fn time(&mut self) -> Option<Option<u64>> {
        match self.0.next()? {
            "-" => Some(None),
            time => time.parse().ok().map(Some),
        }
    }

    fn config(&mut self, l2_chain_id: u64) -> Option<RollupConfig> {
        Some(RollupConfig {
            l2_chain_id,
            l1_chain_id: self.next()?,
            block_time: self.next()?,
            max_sequencer_drift: self.next()?,
            seq_window_size: self.next()?,
            channel_timeout: CHANNEL_TIMEOUT_BEDROCK,
            chain_op_config: ChainOpConfig {
                eip1559_elasticity: self.next()?,
                eip1559_denominator: self.next()?,
                eip1559_denominator_canyon: self.next()?,
            },
            regolith_time: Some(0),
            canyon_time: self.time()?,
            delta_time: self.time()?,
            ecotone_time: self.time()?,
            fjord_time: self.time()?,
            granite_time: self.time()?,
            holocene_time: self.time()?,
            pectra_blob_schedule_time: self.time()?,
            isthmus_time: self.time()?,
            jovian_time: self.time()?,
            karst_time: self.time()?,
            interop_time: None,
            batch_inbox_address: self.next()?,
            deposit_contract_address: self.next()?,
            l1_system_config_address: self.next()?,
            protocol_versions_address: self.next()?,
            genesis: self.genesis()?,
            alt_da: match self.0.next()? {
                "l1" => None,
                other => Some(Value::from(other)),
            },
            union: None,
            other: Default::default(),
        })
    }

    fn genesis(&mut self) -> Option<RollupGenesis> {
        Some(RollupGenesis {
            l1: BlockNumHash { number: self.next()?, hash: self.next()? },
            l2: BlockNumHash { number: self.next()?, hash: self.next()? },
            l2_time: self.next()?,
            system_config: SystemConfig {
                batcher_address: self.next()?,
                overhead: self.next()?,
                scalar: self.next()?,
                gas_limit: self.next()?,
                ..SystemConfig::default()
            },
        })
    }
}
