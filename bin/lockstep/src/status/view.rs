//! What a network looks like, as lines of text.

use super::{L1Heads, Network, Rollup, Slot, SuperTransaction};
use crate::{
    network::{grouped, name_of},
    output::plain_line,
};

/// Super transactions that are shown.
const SHOWN_SUPER: usize = 3;

/// Where the text of a line begins, after the name of what it is about.
const INDENT: usize = 10;

/// How wide a number of blocks is.
const NUMBER: usize = 10;

/// Room for the lines, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

impl Room {
    /// Of something that is no terminal.
    pub(crate) const UNLIMITED: Self = Self { columns: 120, rows: usize::MAX };
}

/// The network as a person reads it: owners of slots, heads, super transactions, problems. Lines that are too wide end
/// early; of too many rollups the first are shown.
pub(crate) fn lines(network: &Network, room: Room) -> Vec<String> {
    let mut above = Vec::new();
    above.extend(network.l1.as_ref().map(|heads| named("L1", &l1(heads))));
    if !network.slots.is_empty() {
        above.push(named("slots", &slots(&network.slots, room.columns)));
        above.push(named(
            "",
            "● its proposer opted in  → owned by the next that did  ? not decided",
        ));
    }
    let mut below = Vec::new();
    if network.rollups.len() > 1 {
        let newest = network.super_transactions.iter().rev().take(SHOWN_SUPER);
        below.extend(newest.map(|found| named("super", &super_transaction(found, room.columns))));
        if below.is_empty() {
            below.push(named("super", "no transaction over several rollups yet"));
        }
    }
    below.extend(network.problems.iter().map(|problem| named("?", &plain_line(problem))));
    let left = room.rows.saturating_sub(above.len()).saturating_sub(below.len());
    above.extend(rollups(&network.rollups, left));
    above.extend(below);
    above
}

fn named(name: &str, text: &str) -> String {
    format!("{name:<INDENT$}{text}")
}

fn known(number: Option<u64>) -> String {
    number.map_or_else(|| "-".to_owned(), grouped)
}

fn l1(heads: &L1Heads) -> String {
    let (safe, finalized) = (known(heads.safe), known(heads.finalized));
    format!("block {}, safe {safe}, finalized {finalized}", grouped(heads.latest))
}

/// As many slots as there is room for.
fn slots(slots: &[Slot], columns: usize) -> String {
    let mut out = String::new();
    for slot in slots {
        let text = slot_text(slot);
        let separator = if out.is_empty() { "" } else { "  " };
        let width = INDENT + out.chars().count() + separator.len() + text.chars().count();
        if width >= columns && !out.is_empty() {
            break;
        }
        out.push_str(separator);
        out.push_str(&text);
    }
    out
}

fn slot_text(slot: &Slot) -> String {
    match slot {
        Slot { by_slot: Some(by), slot, .. } if by == slot => format!("{slot} ●"),
        Slot { by_slot: Some(by), slot, .. } => format!("{slot} →{by}"),
        Slot { slot, is_decided: true, .. } => format!("{slot} nobody's"),
        Slot { slot, .. } => format!("{slot} ?"),
    }
}

/// A table with at most so many lines.
fn rollups(rollups: &[Rollup], most: usize) -> Vec<String> {
    if rollups.is_empty() {
        return Vec::new();
    }
    // The level that only nodes know that follow settlement.
    let has_settled = rollups.iter().any(|rollup| rollup.settled.is_some());
    let longest = rollups.iter().map(|rollup| rollup.name.len() + 1).max();
    let indent = longest.unwrap_or_default().max(INDENT);
    let row = |name: &str, cells: [&str; 7]| {
        let [preconfirmed, posted, safe, settled, finalized, gas, transactions] = cells;
        let settled = if has_settled { format!("{settled:>NUMBER$}") } else { String::new() };
        format!(
            "{name:<indent$}{preconfirmed:>12}{posted:>NUMBER$}{safe:>NUMBER$}{settled}{finalized:>NUMBER$}\
             {gas:>8}{transactions:>9}"
        )
    };
    let mut lines =
        vec![row("", ["preconfirmed", "posted", "safe", "settled", "final", "Mgas/s", "tx/s"])];
    let is_cut = rollups.len() + 1 > most.max(2);
    let shown = if is_cut { most.max(3) - 2 } else { rollups.len() };
    lines.extend(rollups.iter().take(shown).map(|rollup| {
        let Rollup { name, posted, safe, settled, finalized, .. } = rollup;
        let [posted, safe, settled, finalized] =
            [posted, safe, settled, finalized].map(|it| known(*it));
        let gas = format!("{:.2}", rollup.gas_per_second / 1e6);
        let transactions = format!("{:.1}", rollup.transactions_per_second);
        let preconfirmed = grouped(rollup.preconfirmed);
        row(name, [&preconfirmed, &posted, &safe, &settled, &finalized, &gas, &transactions])
    }));
    if is_cut {
        let more = rollups.len() - shown;
        lines.push(named("…", &format!("and {more} more: `lockstep status` shows all")));
    }
    lines
}

fn super_transaction(found: &SuperTransaction, columns: usize) -> String {
    let SuperTransaction { slot, index, home, peers, transaction_hash, block_number, level } =
        found;
    let peers: Vec<String> = peers.iter().map(|peer| name_of(*peer)).collect();
    let (home, peers) = (name_of(*home), peers.join(", "));
    let hash = transaction_hash.to_string();
    let text = format!("{home} → {peers}, {level} in block {}", grouped(*block_number));
    let full = format!("{text}, number {index} of slot {slot}, {hash}");
    if INDENT + full.chars().count() < columns {
        return full;
    }
    let (begin, end) = (hash.get(..10).unwrap_or_default(), hash.get(58..).unwrap_or_default());
    format!("{text}, {begin}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, B256};
    use lockstep_rpc::ConfirmationLevel;

    const NARROW: Room = Room { columns: 80, rows: 24 };

    fn rollup(name: &str, chain_id: u64) -> Rollup {
        Rollup {
            name: name.to_owned(),
            chain_id,
            preconfirmed: 1_250,
            posted: Some(1_245),
            safe: Some(1_241),
            settled: None,
            finalized: None,
            gas_per_second: 1_234_567.0,
            transactions_per_second: 3.0,
        }
    }

    fn network() -> Network {
        let slot = |slot, by_slot| Slot {
            slot,
            gateway: Some(Address::repeat_byte(1)),
            by_slot: Some(by_slot),
            is_decided: true,
        };
        let unknown = Slot { slot: 133, gateway: None, by_slot: None, is_decided: false };
        Network {
            l1: Some(L1Heads { latest: 1_250, safe: Some(1_241), finalized: None }),
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
                    level: ConfirmationLevel::Preconfirmed,
                })
                .collect(),
            problems: Vec::new(),
        }
    }

    #[test]
    fn owners_heads_rates_and_super_transactions_are_told() {
        let lines = lines(&network(), NARROW);
        let expected = [
            "L1        block 1,250, safe 1,241, finalized -",
            "slots     130 ●  131 →132  132 ●  133 ?",
            "          ● its proposer opted in  → owned by the next that did  ? not decided",
            "          preconfirmed    posted      safe     final  Mgas/s     tx/s",
            "alpha            1,250     1,245     1,241         -    1.23      3.0",
            "beta             1,250     1,245     1,241         -    1.23      3.0",
            "super     alpha → beta, preconfirmed in block 1,249, 0x04040404…04040404",
        ];
        assert_eq!(lines[..7], expected);
        // The newest first, and not all.
        assert_eq!(lines.len(), 9);
        assert!(lines.iter().all(|line| line.chars().count() < NARROW.columns), "{lines:#?}");
    }

    #[test]
    fn where_there_is_room_nothing_is_short() {
        let lines = lines(&network(), Room { columns: 160, ..NARROW });
        let hash = B256::repeat_byte(4);
        let text = format!("preconfirmed in block 1,249, number 4 of slot 129, {hash}");
        assert!(lines.iter().any(|line| line.ends_with(&text)), "{lines:#?}");
    }

    #[test]
    fn of_many_rollups_the_first_are_shown_and_as_many_slots_as_there_is_room_for() {
        let mut network = network();
        network.rollups = (0..64).map(|index| rollup("many", 901 + index)).collect();
        let slots = network.slots.clone();
        network.slots = slots.iter().cycle().take(40).copied().collect();
        let lines = lines(&network, NARROW);
        assert_eq!(lines.len(), NARROW.rows);
        let shown = lines.iter().filter(|line| line.starts_with("many")).count();
        let more = format!("…         and {} more: `lockstep status` shows all", 64 - shown);
        assert!(lines.contains(&more), "{lines:#?}");
        assert!(lines[1].chars().count() < NARROW.columns, "{}", lines[1]);
        assert_eq!(super::lines(&network, Room::UNLIMITED).len(), 3 + 65 + 3);
    }

    #[test]
    fn settled_is_shown_where_it_is_known() {
        let mut network = network();
        network.rollups[1].settled = Some(900);
        let lines = lines(&network, NARROW);
        assert!(lines[3].contains("safe   settled     final"), "{}", lines[3]);
        assert!(lines[5].contains("1,241       900         -"), "{}", lines[5]);
        assert!(lines.iter().skip(3).all(|line| line.chars().count() < NARROW.columns));
    }

    #[test]
    fn what_is_not_known_is_said_in_a_line_that_moves_no_cursor() {
        let mut network = network();
        network.l1 = None;
        network.slots.clear();
        network.super_transactions.clear();
        network.problems.push("L1: it is gone\n\x1b[2J".to_owned());
        let lines = lines(&network, NARROW);
        let expected =
            ["super     no transaction over several rollups yet", "?         L1: it is gone  [2J"];
        assert_eq!(lines[3..], expected);
        network.rollups.truncate(1);
        network.rollups[0].posted = None;
        let lines = super::lines(&network, NARROW);
        assert!(!lines.iter().any(|line| line.starts_with("super")), "{lines:#?}");
    }
}
