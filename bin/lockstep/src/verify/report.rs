//! What came of a range.

use super::transcript::Transcript;
use crate::output::say;
use lockstep_host::{L1Blocks, Outcome};
use lockstep_protocol::RollupConfig;
use serde::Serialize;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};

/// What came of a part of the range.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) l1_head: String,
    pub(super) agreed_output_root: String,
    /// What the node (or the stored witness) claims.
    pub(super) claimed_output_root: String,
    /// What came of derivation and execution.
    pub(super) output_root: String,
    /// The newest block that L1 tells of.
    pub(super) derived: u64,
    pub(super) verified: bool,
    pub(super) seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) witness: Option<PathBuf>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    pub(super) from: u64,
    pub(super) to: u64,
    pub(super) offline: bool,
    pub(super) chain_id: u64,
    pub(super) parts: Vec<Part>,
    /// What was said with the other rollups of the union, up to the last part.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) transcripts: BTreeMap<u64, Transcript>,
    /// What the verdict depends on that nothing was held against.
    pub(super) taken_on_trust: Vec<String>,
    pub(super) verified: bool,
}

/// A range that was verified, and what was read for it.
#[derive(Clone, Debug)]
pub(super) struct Verified {
    pub(super) report: Report,
    pub(super) config: RollupConfig,
    pub(super) l1: L1Blocks,
}

impl Part {
    pub(super) fn new(outcome: &Outcome, time: Duration, witness: Option<PathBuf>) -> Self {
        let Outcome { boot, agreed, verdict } = outcome;
        Self {
            from: agreed.number,
            to: boot.claimed_l2_block,
            l1_head: boot.l1_head.to_string(),
            agreed_output_root: boot.agreed_l2_output_root.to_string(),
            claimed_output_root: boot.claimed_l2_output_root.to_string(),
            output_root: verdict.output_root.to_string(),
            derived: verdict.head.number,
            verified: outcome.is_verified(),
            seconds: time.as_secs_f64(),
            witness,
        }
    }

    pub(super) fn print(&self) {
        let Self { from, to, output_root, claimed_output_root, l1_head, seconds, derived, .. } =
            self;
        let first = from + 1;
        if self.verified {
            say!("blocks {first} to {to} verified: output root {output_root} ({seconds:.1} s)");
            return say!("  after output root {} at L1 block {l1_head}", self.agreed_output_root);
        }
        say!("blocks {first} to {to} NOT VERIFIED");
        if derived < to {
            say!("  L1 up to block {l1_head} makes blocks up to {derived} only");
        }
        say!("  claimed {claimed_output_root}");
        say!("  derived {output_root} at block {derived}");
    }
}

impl Verified {
    pub(super) const fn chain_id(&self) -> u64 {
        self.config.l2_chain_id
    }

    /// When the last block is due, in seconds; `None` of one that cannot be.
    pub(super) fn time(&self) -> Option<u64> {
        let blocks = self.report.to.checked_sub(self.config.genesis.l2.number)?;
        self.config.genesis.l2_time.checked_add(blocks.checked_mul(self.config.block_time)?)
    }

    /// A member of a union of two, verified up to block 2.
    #[cfg(test)]
    pub(super) fn of_union(chain_id: u64, transcripts: BTreeMap<u64, Transcript>) -> Self {
        let union = lockstep_protocol::UnionConfig {
            chains: [901, 902].into(),
            slot_seconds: 2,
            block_time: 1,
            ..Default::default()
        };
        let config = RollupConfig {
            l2_chain_id: chain_id,
            block_time: 1,
            union: Some(union),
            ..RollupConfig::default()
        };
        let report = Report {
            from: 1,
            to: 2,
            offline: false,
            chain_id,
            parts: Vec::new(),
            transcripts,
            taken_on_trust: Vec::new(),
            verified: true,
        };
        let nothing = lockstep_host::Host::of_witness(Default::default()).expect("it fits");
        let l1 = nothing.l1_blocks(Default::default()).expect("it is in memory");
        Self { report, config, l1 }
    }
}

impl Report {
    pub(super) fn print(&self) {
        let Self { from, to, chain_id, parts, .. } = self;
        let verdict = if self.verified { "verified" } else { "NOT VERIFIED" };
        let how = if self.offline { "from stored witnesses" } else { "online" };
        say!(
            "chain {chain_id}, blocks {} to {to} {verdict} {how}, in {} parts",
            from + 1,
            parts.len()
        );
        for (peer, Transcript { hash, sent, received }) in &self.transcripts {
            say!(
                "  with chain {peer}: transcript {hash}, sent {sent} wei, received {received} wei"
            );
        }
        self.taken_on_trust.iter().for_each(|what| say!("  taken on trust: {what}"));
    }
}
