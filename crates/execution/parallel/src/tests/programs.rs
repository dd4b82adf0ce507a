//! Contracts that get into each other's way.

use alloy_primitives::Address;
use revm::bytecode::opcode as op;

/// How many contracts there are.
pub(super) const CONTRACTS: u64 = 24;

/// The one that creates with CREATE2 what [`init_of_mortal`] leaves, with salt one, and the one that does with CREATE.
pub(super) const CREATOR2: u64 = 7;
pub(super) const CREATOR: u64 = 8;

/// As [`CREATOR2`]; in the same transaction it calls, and so destroys, what it has created.
pub(super) const PHOENIX: u64 = 15;

pub(super) fn contract(index: u64) -> Address {
    Address::left_padding_from(&(0x00cc_0000 + index).to_be_bytes())
}

/// The word of the call data that names another account.
const TARGET: [u8; 3] = [op::PUSH1, 0, op::CALLDATALOAD];

/// Puts the call data into memory.
const COPY_DATA: [u8; 6] = [op::CALLDATASIZE, op::PUSH1, 0, op::PUSH1, 0, op::CALLDATACOPY];

/// Room for one word of an answer, and the call data.
const FRAME: [u8; 7] = [op::PUSH1, 32, op::PUSH1, 0, op::CALLDATASIZE, op::PUSH1, 0];

/// `CALL`s `TARGET` with the call data, with the value that `value` leaves on the stack.
fn call_target(value: &[u8]) -> Vec<u8> {
    let call = [op::PUSH2, 0x60, 0, op::CALL];
    [&COPY_DATA[..], &FRAME, value, &TARGET, &call].concat()
}

/// Calls `TARGET` with an opcode that takes no value.
fn visit_target(opcode: u8) -> Vec<u8> {
    [&COPY_DATA[..], &FRAME, &TARGET, &[op::PUSH2, 0x60, 0, opcode]].concat()
}

/// Puts these bytes into memory.
fn put(bytes: &[u8]) -> Vec<u8> {
    let put = |(at, byte): (usize, &u8)| [op::PUSH1, *byte, op::PUSH1, at as u8, op::MSTORE8];
    bytes.iter().enumerate().flat_map(put).collect()
}

/// Code that creates a contract of `init` with CREATE (or CREATE2 and salt 1), and leaves its address on the stack.
fn create(init: &[u8], is_create2: bool) -> Vec<u8> {
    let mut code = put(init);
    if is_create2 {
        code.extend([op::PUSH1, 1]);
    }
    code.extend([op::PUSH1, init.len() as u8, op::PUSH1, 0, op::CALLVALUE]);
    code.push(if is_create2 { op::CREATE2 } else { op::CREATE });
    code
}

/// Keeps what is on the stack in a slot.
const fn store(slot: u8) -> [u8; 3] {
    [op::PUSH1, slot, op::SSTORE]
}

/// Adds one to a slot.
fn bump(slot: u8) -> Vec<u8> {
    vec![op::PUSH1, slot, op::SLOAD, op::PUSH1, 1, op::ADD, op::PUSH1, slot, op::SSTORE]
}

/// Code that returns `PUSH1 0 CALLDATALOAD SELFDESTRUCT` as the created contract's, after having set a slot.
pub(super) fn init_of_mortal() -> Vec<u8> {
    let code = [op::PUSH1, 0, op::CALLDATALOAD, op::SELFDESTRUCT];
    let first = [&[op::PUSH1, 9][..], &store(1)].concat();
    let last = [op::PUSH1, code.len() as u8, op::PUSH1, 0, op::RETURN];
    [first, put(&code), last.to_vec()].concat()
}

/// More slots and accounts than are searched from front to back.
fn visit_many() -> Vec<u8> {
    let slot = |slot: u8| [op::PUSH1, slot, op::SLOAD, op::POP];
    let account = |index: u8| {
        // The last ones are users and contracts.
        let address = 0x00cc_0000 + u32::from(index) - 16;
        let [_, high, middle, low] = address.to_be_bytes();
        [op::PUSH3, high, middle, low, op::EXTCODEHASH, op::POP]
    };
    let slots = (0..32).flat_map(slot);
    slots.chain((0..32).flat_map(account)).chain(bump(5)).chain(bump(29)).collect()
}

pub(super) fn code_of(index: u64) -> Vec<u8> {
    match index {
        0 => bump(0),
        // Whose balance is asked for decides what is stored.
        1 => [&TARGET[..], &[op::BALANCE], &store(1)].concat(),
        2 => [&[op::COINBASE, op::BALANCE][..], &store(2), &bump(0)].concat(),
        // Passes on what it gets, half of what it has, or nothing.
        3 => call_target(&[op::CALLVALUE]),
        4 => call_target(&[op::PUSH1, 2, op::ADDRESS, op::BALANCE, op::DIV]),
        5 => [call_target(&[op::PUSH1, 0]), bump(3)].concat(),
        6 => [&TARGET[..], &[op::SELFDESTRUCT]].concat(),
        CREATOR2 => [&create(&init_of_mortal(), true)[..], &store(6)].concat(),
        CREATOR => [&create(&init_of_mortal(), false)[..], &store(6)].concat(),
        // Writes, and then has no gas left or reverts.
        9 => [&bump(4)[..], &[op::PUSH1, 0, op::PUSH1, 0, op::REVERT]].concat(),
        10 => [&bump(5)[..], &[op::JUMPDEST, op::PUSH1, 9, op::JUMP]].concat(),
        // Pays more than it may have, and stores whether it could.
        11 => {
            let value = [op::PUSH3, 0x0f, 0xff, 0xff];
            [&call_target(&value)[..], &store(7), &TARGET, &[op::EXTCODEHASH], &store(8)].concat()
        }
        // The hash of a recent block, twice, and that of the block with the number that the data gives.
        12 => {
            let parent = [op::PUSH1, 1, op::NUMBER, op::SUB, op::BLOCKHASH];
            let other = [op::PUSH1, 31, op::CALLDATALOAD, op::PUSH1, 0, op::BYTE, op::BLOCKHASH];
            [&parent[..], &store(9), &parent, &store(10), &other, &store(11)].concat()
        }
        // Counts in transient storage, through a call that may come back (EIP-1153).
        13 => {
            let count = [op::PUSH1, 1, op::TLOAD, op::PUSH1, 1, op::ADD, op::PUSH1, 1, op::TSTORE];
            let kept = [&[op::PUSH1, 1, op::TLOAD][..], &store(12)].concat();
            [&count[..], &call_target(&[op::PUSH1, 0]), &kept].concat()
        }
        // Calls itself until the gas is gone, and writes on the way down and up.
        14 => {
            let itself = [op::ADDRESS, op::GAS, op::CALL];
            let arguments = [op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0];
            [&bump(13)[..], &arguments, &itself, &store(14), &bump(13)].concat()
        }
        PHOENIX => {
            let call = [op::PUSH2, 0xff, 0xff, op::CALL];
            // The address lies below the arguments.
            let arguments = [op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0, op::PUSH1, 0];
            let child = [&create(&init_of_mortal(), true)[..], &arguments, &[op::DUP6], &call];
            [&child.concat()[..], &store(15), &bump(16)].concat()
        }
        // One and nothing in turn; what is written depends on what was there.
        16 => [&[op::PUSH1, 0, op::SLOAD, op::ISZERO][..], &store(0)].concat(),
        17 => {
            [&[op::PUSH1, 0, op::SLOAD, op::PUSH1, 1, op::SLOAD][..], &store(0), &store(1)].concat()
        }
        // Which slot is written depends on what was there, too.
        18 => [
            &bump(0)[..],
            &[op::NUMBER, op::PUSH1, 3, op::PUSH1, 0, op::SLOAD, op::MOD, op::SSTORE],
        ]
        .concat(),
        19 => [visit_target(op::DELEGATECALL), store(17).to_vec()].concat(),
        20 => [visit_target(op::STATICCALL), store(18).to_vec()].concat(),
        21 => {
            let copy = [op::PUSH1, 32, op::PUSH1, 0, op::PUSH1, 0];
            let word = [op::PUSH1, 0, op::MLOAD];
            [&copy[..], &TARGET, &[op::EXTCODECOPY], &word, &store(19)].concat()
        }
        22 => visit_many(),
        // Its own balance, before and after it has paid.
        _ => {
            let own = [op::SELFBALANCE];
            [&own[..], &store(20), &call_target(&[op::PUSH1, 3]), &own, &store(21)].concat()
        }
    }
}
