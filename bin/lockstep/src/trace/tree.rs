//! A trace as lines of text.

use super::{Root, Trace};
use crate::network::{grouped, name_of};
use alloy_primitives::{Address, Bytes, U256, hex, utils::format_ether};
use alloy_sol_types::{Revert, SolError};
use lockstep_union::{CallNode, CallTree};
use std::iter;

/// Bytes of data that are shown; of longer data, the beginning.
const SHOWN_BYTES: usize = 36;

/// Words of data that are shown as numbers.
const SHOWN_WORDS: usize = 6;

const WORD_BYTES: usize = 32;

/// Bytes of what names a function, or an error.
const SELECTOR_BYTES: usize = 4;

/// The trace as a person reads it.
pub(super) fn lines(trace: &Trace) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(root) = &trace.root {
        lines.push(format!("transaction {}", root.transaction_hash));
    }
    match &trace.tree {
        Some(tree) => {
            let (slot, index) = (tree.id.slot, tree.id.index);
            let home = name_of(tree.home);
            lines.push(format!("super transaction {index} of slot {slot}, home rollup {home}"));
            lines.push(trace.root.as_ref().map_or_else(|| unknown_root(tree), root_line));
            add_calls(tree, &mut lines);
        }
        None => {
            lines.extend(trace.root.as_ref().map(root_line));
            lines.push("it calls no other rollup".to_owned());
        }
    }
    for chain in &trace.not_asked {
        lines.push(format!(
            "{} took part and was not asked: name its node with --rollup URL, too",
            name_of(*chain)
        ));
    }
    for chain in &trace.not_found {
        lines.push(format!(
            "{} took part, and its node does not have its part: ask again when it has the block, or another node",
            name_of(*chain)
        ));
    }
    lines
}

fn unknown_root(tree: &CallTree) -> String {
    format!("{}  {} (its transaction is not known here)", name_of(tree.home), tree.origin)
}

fn root_line(root: &Root) -> String {
    let to = root.to.map_or_else(|| "a new contract".to_owned(), |to| to.to_string());
    let gas = root.gas_used.map(|gas| format!("{} gas", grouped(gas)));
    let place = match (root.level, root.block_number) {
        (Some(level), Some(number)) => Some(format!("{level}, block {number}")),
        (Some(level), None) => Some(level.to_string()),
        (None, _) => None,
    };
    let fate = match root.success {
        Some(true) => Some("succeeded".to_owned()),
        Some(false) => Some("REVERTED".to_owned()),
        None => None,
    };
    let details = [Some(call_data(&root.input)), ether(root.value), fate, gas, place];
    let chain = name_of(root.chain_id);
    format!("{chain}  {} calls {to}  {}", root.from, joined(details))
}

/// Adds the calls, each below its caller.
fn add_calls(tree: &CallTree, lines: &mut Vec<String>) {
    let made_in = |parent: Option<usize>, indent: &str| -> Vec<(usize, bool, String)> {
        let calls = tree.calls.iter().enumerate();
        let made = calls.filter(|(_, call)| call.parent == parent).map(|(index, _)| index);
        let made: Vec<usize> = made.collect();
        let last = made.last().copied();
        made.into_iter().map(|it| (it, Some(it) == last, indent.to_owned())).rev().collect()
    };
    // A call comes after the one that it was made in, so this ends.
    let mut open = made_in(None, "");
    while let Some((index, is_last, indent)) = open.pop() {
        let Some(call) = tree.calls.get(index) else { continue };
        let (branch, below) = if is_last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        lines.push(format!("{indent}{branch}{}", call_line(call)));
        open.extend(made_in(Some(index), &format!("{indent}{below}")));
    }
}

fn call_line(call: &CallNode) -> String {
    let answer = match (call.success, call.is_undone) {
        (true, false) => returned(&call.output),
        (true, true) => format!("{}, UNDONE since its caller failed", returned(&call.output)),
        (false, _) => format!("REVERTED{}", reason(&call.output)),
    };
    let details = [
        Some(call_data(&call.input)),
        ether(call.value),
        call.is_static.then(|| "static".to_owned()),
        Some(format!("{} gas", grouped(call.gas_used))),
        Some(answer),
    ];
    let (chain, from) = (name_of(call.chain), name_of(call.caller_chain));
    format!("{chain}  {} called from {from} {}  {}", call.to, short(call.from), joined(details))
}

fn joined<const N: usize>(details: [Option<String>; N]) -> String {
    details.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn ether(value: U256) -> Option<String> {
    if value.is_zero() {
        return None;
    }
    let text = format_ether(value);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    Some(format!("{text} ether"))
}

fn returned(output: &Bytes) -> String {
    match words(output) {
        _ if output.is_empty() => "returned".to_owned(),
        Some(words) => format!("returned {words}"),
        None => format!("returned {}", data(output)),
    }
}

/// Why a call reverted, if it says so.
fn reason(output: &Bytes) -> String {
    if output.is_empty() {
        return String::new();
    }
    match Revert::abi_decode(output) {
        Ok(Revert { reason }) => format!(": {}", reason.escape_debug()),
        Err(_) => format!(" with {}", call_data(output)),
    }
}

/// A selector and its arguments, as numbers if that is what they may be.
fn call_data(bytes: &Bytes) -> String {
    let Some((selector, arguments)) = bytes.split_at_checked(SELECTOR_BYTES) else {
        return data(bytes);
    };
    match words(arguments) {
        Some(words) => format!("0x{}({words})", hex::encode(selector)),
        None => data(bytes),
    }
}

/// A few words: as decimal numbers, and what is larger than any amount of ether in hexadecimal.
fn words(bytes: &[u8]) -> Option<String> {
    let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
    if !rest.is_empty() || words.len() > SHOWN_WORDS {
        return None;
    }
    let number = |word: &[u8; WORD_BYTES]| match u128::try_from(U256::from_be_bytes(*word)) {
        Ok(number) => number.to_string(),
        Err(_) => format!("{:#x}", U256::from_be_bytes(*word)),
    };
    Some(words.iter().map(number).collect::<Vec<_>>().join(", "))
}

fn data(bytes: &Bytes) -> String {
    if bytes.is_empty() {
        return "no data".to_owned();
    }
    match bytes.get(..SHOWN_BYTES).filter(|_| bytes.len() > SHOWN_BYTES) {
        Some(beginning) => {
            format!("0x{}… ({} bytes)", hex::encode(beginning), grouped(bytes.len() as u64))
        }
        None => bytes.to_string(),
    }
}

fn short(address: Address) -> String {
    let text = address.to_string();
    let (head, tail) = (text.get(..6), text.get(text.len() - 4..));
    head.into_iter().chain(iter::once("…")).chain(tail).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::B256;
    use lockstep_rpc::ConfirmationLevel;
    use lockstep_union::SuperId;

    fn call(number: u32, parent: Option<usize>, chain: u64) -> CallNode {
        CallNode {
            number,
            parent,
            depth: 1,
            caller_chain: 1803 - chain,
            chain,
            from: Address::repeat_byte(0x11),
            to: Address::repeat_byte(0x22),
            value: U256::from(5_000_000_000_000_000_u64),
            is_static: false,
            gas: 100_000,
            gas_used: 61_234,
            input: Bytes::from_static(&[1, 2, 3, 4]),
            output: Bytes::from_static(&[9]),
            success: true,
            is_undone: false,
        }
    }

    fn trace(calls: Vec<CallNode>) -> Trace {
        let tree = CallTree {
            id: SuperId { slot: 12, index: 3 },
            home: 901,
            origin: Address::repeat_byte(7),
            calls,
        };
        let root = Root {
            transaction_hash: B256::repeat_byte(1),
            chain_id: 901,
            block_number: Some(17),
            level: Some(ConfirmationLevel::Safe),
            from: Address::repeat_byte(7),
            to: Some(Address::repeat_byte(8)),
            value: U256::ZERO,
            input: Bytes::from(vec![5; 67]),
            success: Some(true),
            gas_used: Some(1_234_567),
        };
        let (not_asked, not_found) = ([903].into(), [902].into());
        Trace { root: Some(root), tree: Some(tree), places: Vec::new(), not_asked, not_found }
    }

    #[test]
    fn calls_stand_below_their_callers_in_order() {
        let undone = CallNode { is_undone: true, ..call(5, None, 902) };
        let calls = vec![call(1, None, 902), call(2, Some(0), 901), call(3, Some(1), 902), undone];
        let lines = lines(&trace(calls));
        let shape: Vec<&str> =
            lines.iter().map(|line| line.split("  0x").next().unwrap()).collect();
        let expected = [
            "transaction 0x0101010101010101010101010101010101010101010101010101010101010101",
            "super transaction 3 of slot 12, home rollup alpha",
            "alpha",
            "├─ beta",
            "│  └─ alpha",
            "│     └─ beta",
            "└─ beta",
            "gamma took part and was not asked: name its node with --rollup URL, too",
            "beta took part, and its node does not have its part: ask again when it has the block, or another node",
        ];
        assert_eq!(shape, expected);
        assert!(lines[2].ends_with("succeeded, 1,234,567 gas, safe, block 17"), "{}", lines[2]);
        assert!(lines[2].contains("050505… (67 bytes)"), "{}", lines[2]);
        let told =
            "called from alpha 0x1111…1111  0x01020304(), 0.005 ether, 61,234 gas, returned 0x09";
        assert!(lines[3].ends_with(told), "{}", lines[3]);
        assert!(
            lines[6].ends_with("returned 0x09, UNDONE since its caller failed"),
            "{}",
            lines[6]
        );
    }

    #[test]
    fn words_are_numbers() {
        let mut bytes = vec![1, 2, 3, 4];
        bytes.extend(U256::from(902).to_be_bytes::<32>());
        bytes.extend(Address::repeat_byte(0x22).into_word());
        let address = "0x2222222222222222222222222222222222222222";
        assert_eq!(call_data(&bytes.clone().into()), format!("0x01020304(902, {address})"));
        assert_eq!(returned(&Bytes::copy_from_slice(&bytes[4..36])), "returned 902");
        bytes.extend([0; 32 * 5]);
        assert!(call_data(&bytes.into()).ends_with("… (228 bytes)"));
        assert_eq!(call_data(&Bytes::from_static(&[1, 2])), "0x0102");
        assert_eq!(call_data(&Bytes::new()), "no data");
    }

    #[test]
    fn a_revert_tells_its_reason() {
        let said = Revert::from("sold\nout").abi_encode();
        let failed = |output: Vec<u8>| {
            call_line(&CallNode { success: false, output: output.into(), ..call(1, None, 902) })
        };
        assert!(failed(said).ends_with("REVERTED: sold\\nout"));
        assert!(failed(vec![1, 2]).ends_with("REVERTED with 0x0102"));
        assert!(failed(Vec::new()).ends_with("REVERTED"));
    }

    #[test]
    fn an_ordinary_transaction_has_no_tree() {
        let trace = Trace {
            tree: None,
            not_asked: Default::default(),
            not_found: Default::default(),
            ..trace(Vec::new())
        };
        assert_eq!(lines(&trace).last().unwrap(), "it calls no other rollup");
    }

    #[test]
    fn a_deep_tree_takes_no_stack() {
        let calls = (0..500_usize)
            .map(|index| call(index as u32, index.checked_sub(1), 901 + (index as u64 + 1) % 2))
            .collect();
        assert_eq!(lines(&trace(calls)).len(), 505);
    }
}
