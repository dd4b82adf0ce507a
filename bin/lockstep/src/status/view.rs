//! What a network looks like, as lines of text.

use super::{Heads, Network, Rollup, Slot, SuperTransaction};
use crate::network::{grouped, name_of};

/// Super transactions that are shown.
const SHOWN_SUPER: usize = 3;

/// The network as a person reads it.
pub(crate) fn lines(network: &Network) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(heads) = &network.l1 {
        lines.push(format!("L1      block {:<8} {}", grouped(heads.newest), sure(heads)));
    }
    if !network.slots.is_empty() {
        let slots: Vec<String> = network.slots.iter().map(slot).collect();
        lines.push(format!("slots   {}", slots.join("  ")));
        lines.push(
            "        ● its proposer opted in  → belongs to the next that did  ? not decided"
                .to_owned(),
        );
    }
    lines.extend(network.rollups.iter().map(rollup));
    if network.rollups.len() > 1 {
        let newest = network.super_transactions.iter().rev().take(SHOWN_SUPER);
        let newest: Vec<String> = newest.map(super_transaction).collect();
        if newest.is_empty() {
            lines.push("super   no transaction over several rollups yet".to_owned());
        }
        lines.extend(newest);
    }
    lines.extend(network.problems.iter().map(|problem| format!("?       {problem}")));
    lines
}

fn sure(heads: &Heads) -> String {
    format!("safe {:<8} final {:<8}", grouped(heads.safe), grouped(heads.finalized))
}

fn slot(slot: &Slot) -> String {
    match slot {
        Slot { by_slot: Some(by), slot, .. } if by == slot => format!("{slot} ●"),
        Slot { by_slot: Some(by), slot, .. } => format!("{slot} →{by}"),
        Slot { slot, is_decided: true, .. } => format!("{slot} nobody's"),
        Slot { slot, .. } => format!("{slot} ?"),
    }
}

fn rollup(rollup: &Rollup) -> String {
    let Rollup { name, heads, posted, gas_per_second, transactions_per_second, .. } = rollup;
    let mgas = gas_per_second / 1e6;
    let posted = posted.map(|posted| format!("posted {:<8} ", grouped(posted)));
    format!(
        "{name:<7} preconfirmed {:<8} {}{} {mgas:>7.2} Mgas/s {transactions_per_second:>7.1} tx/s",
        grouped(heads.newest),
        posted.unwrap_or_default(),
        sure(heads)
    )
}

fn super_transaction(found: &SuperTransaction) -> String {
    let SuperTransaction { slot, index, home, peers, transaction_hash, block_number } = found;
    let peers: Vec<String> = peers.iter().map(|peer| name_of(*peer)).collect();
    format!(
        "super   {index} of slot {slot}: {} → {}, block {}, {transaction_hash}",
        name_of(*home),
        peers.join(", "),
        grouped(*block_number)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, B256};

    fn network() -> Network {
        let heads = Heads { newest: 1_250, safe: 1_241, finalized: 980 };
        let rollup = |name: &str, chain_id| Rollup {
            name: name.to_owned(),
            chain_id,
            heads,
            posted: Some(1_245),
            gas_per_second: 1_234_567.0,
            transactions_per_second: 3.0,
        };
        let slot = |slot, by_slot| Slot {
            slot,
            gateway: Some(Address::repeat_byte(1)),
            by_slot: Some(by_slot),
            is_decided: true,
        };
        let unknown = Slot { slot: 133, gateway: None, by_slot: None, is_decided: false };
        Network {
            l1: Some(heads),
            slots: vec![slot(130, 130), slot(131, 132), slot(132, 132), unknown],
            rollups: vec![rollup("alpha", 901), rollup("beta", 902)],
            super_transactions: (0..5)
                .map(|index| SuperTransaction {
                    slot: 129,
                    index,
                    home: 901,
                    peers: vec![902],
                    transaction_hash: B256::repeat_byte(index as u8),
                    block_number: 1_249,
                })
                .collect(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn owners_heads_rates_and_super_transactions_are_told() {
        let lines = lines(&network());
        assert_eq!(lines[0].trim_end(), "L1      block 1,250    safe 1,241    final 980");
        assert_eq!(lines[1], "slots   130 ●  131 →132  132 ●  133 ?");
        assert_eq!(
            lines[3],
            "alpha   preconfirmed 1,250    posted 1,245    safe 1,241    final 980         1.23 Mgas/s     3.0 tx/s"
        );
        assert!(lines[4].starts_with("beta "), "{}", lines[4]);
        // The newest first, and not all.
        assert!(lines[5].starts_with("super   4 of slot 129: alpha → beta, block 1,249, 0x0404"));
        assert_eq!(lines.len(), 8);
    }

    #[test]
    fn what_is_not_known_is_said() {
        let mut network = network();
        network.l1 = None;
        network.slots.clear();
        network.super_transactions.clear();
        network.problems.push("L1: it is gone".to_owned());
        let lines = lines(&network);
        let expected =
            ["super   no transaction over several rollups yet", "?       L1: it is gone"];
        assert_eq!(lines[2..], expected);
        network.rollups.truncate(1);
        network.rollups[0].posted = None;
        assert!(!super::lines(&network)[0].contains("posted"));
        assert!(!super::lines(&network).iter().any(|line| line.starts_with("super")));
    }
}
