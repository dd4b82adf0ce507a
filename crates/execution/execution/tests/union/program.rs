//! Small contracts for tests, from operations to bytecode.

use crate::world::{chain, contract};
use alloy_primitives::{Address, ChainId};
use lockstep_union::proxy_of;

/// One thing that a contract does.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// `slot = value`.
    Store(u8, u8),
    /// `slot += 1`.
    Increment(u8),
    /// `slot = what the opcode pushes`.
    Environment(u8, u8),
    /// Adds one to transient slot 1 and stores it in `slot`.
    Transient(u8),
    /// Calls a contract.
    Call(CallOp),
    /// Delegates to a contract, or to its proxy, and stores in `slot` whether that worked.
    Delegate {
        to: Target,
        slot: u8,
    },
    /// Creates a contract whose init code does this and leaves no code.
    Create(Vec<Self>),
    /// Does this some times.
    Repeat(u8, Vec<Self>),
    Log(u8),
    /// Reverts with the word.
    Revert(u8),
    /// Uses up all gas.
    Invalid,
    /// Sends all ether to contract 1, and ends.
    SelfDestruct,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// Rollup number.
    pub(crate) rollup: u64,
    /// Contract number.
    pub(crate) contract: u8,
}

#[derive(Clone, Debug)]
pub(crate) struct CallOp {
    pub(crate) to: Target,
    /// Wei sent along.
    pub(crate) value: u8,
    /// Gas; `None` for all.
    pub(crate) gas: Option<u32>,
    pub(crate) is_static: bool,
    /// What becomes of a failure.
    pub(crate) on_failure: OnFailure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFailure {
    /// Go on, and store nothing.
    Ignore,
    /// Store whether it worked in the slot and what it returned in the next.
    Store(u8),
    /// Revert.
    Revert,
}

impl CallOp {
    pub(crate) fn new(rollup: u64, contract: u8) -> Self {
        let to = Target { rollup, contract };
        Self { to, value: 0, gas: None, is_static: false, on_failure: OnFailure::Store(0) }
    }
}

/// The code of a contract on a rollup that does `ops` and returns its slot 0.
pub(crate) fn assemble(on: ChainId, ops: &[Op]) -> Vec<u8> {
    let mut assembler = Assembler { on, code: Vec::new(), blobs: Vec::new() };
    assembler.ops(ops);
    assembler.end();
    assembler.finish()
}

struct Assembler {
    on: ChainId,
    code: Vec<u8>,
    /// Init codes, and where their offset must stand.
    blobs: Vec<(usize, Vec<u8>)>,
}

impl Assembler {
    fn ops(&mut self, ops: &[Op]) {
        for op in ops {
            self.op(op);
        }
    }

    fn op(&mut self, op: &Op) {
        match op {
            Op::Store(slot, value) => self.bytes(&[0x60, *value, 0x60, *slot, 0x55]),
            Op::Increment(slot) => {
                self.bytes(&[0x60, *slot, 0x54, 0x60, 1, 0x01, 0x60, *slot, 0x55]);
            }
            Op::Environment(opcode, slot) => self.bytes(&[*opcode, 0x60, *slot, 0x55]),
            Op::Transient(slot) => {
                self.bytes(&[0x60, 1, 0x5c, 0x60, 1, 0x01, 0x80, 0x60, 1, 0x5d, 0x60, *slot, 0x55])
            }
            Op::Call(call) => self.call(call),
            Op::Delegate { to, slot } => {
                self.bytes(&[0x5f, 0x5f, 0x5f, 0x5f]);
                self.push_address(self.address(*to));
                self.bytes(&[0x62, 0, 0xc0, 0, 0xf4, 0x60, *slot, 0x55]);
            }
            Op::Create(ops) => self.create(ops),
            Op::Repeat(times, ops) => (0..*times).for_each(|_| self.ops(ops)),
            Op::Log(topic) => self.bytes(&[0x60, *topic, 0x60, 32, 0x5f, 0xa1]),
            Op::Revert(word) => self.bytes(&[0x60, *word, 0x5f, 0x52, 0x60, 32, 0x5f, 0xfd]),
            Op::Invalid => self.bytes(&[0xfe]),
            Op::SelfDestruct => {
                self.push_address(contract(1));
                self.bytes(&[0xff]);
            }
        }
    }

    fn call(&mut self, call: &CallOp) {
        // Clears the word that the output goes to.
        self.bytes(&[0x5f, 0x60, 32, 0x52]);
        self.bytes(&[0x60, 32, 0x60, 32, 0x60, 32, 0x5f]);
        if !call.is_static {
            self.bytes(&[0x60, call.value]);
        }
        self.push_address(self.address(call.to));
        match call.gas {
            Some(gas) => {
                self.bytes(&[0x63]);
                self.bytes(&gas.to_be_bytes());
            }
            None => self.bytes(&[0x5a]),
        }
        self.bytes(&[if call.is_static { 0xfa } else { 0xf1 }]);
        match call.on_failure {
            OnFailure::Ignore => self.bytes(&[0x50]),
            OnFailure::Store(slot) => {
                self.bytes(&[0x60, slot, 0x55, 0x60, 32, 0x51, 0x60, slot.wrapping_add(1), 0x55]);
            }
            OnFailure::Revert => {
                let after = self.code.len() + 12;
                let [high, low] = u16::try_from(after).unwrap().to_be_bytes();
                // Passes on what came back, up to one word.
                self.bytes(&[0x61, high, low, 0x57, 0x60, 32, 0x60, 32, 0xfd, 0xfe, 0xfe, 0xfe]);
                self.bytes(&[0x5b]);
            }
        }
    }

    fn create(&mut self, ops: &[Op]) {
        let mut inner = Self { on: self.on, code: Vec::new(), blobs: Vec::new() };
        inner.ops(ops);
        inner.bytes(&[0x00]);
        let blob = inner.finish();
        let [high, low] = u16::try_from(blob.len()).unwrap().to_be_bytes();
        self.bytes(&[0x61, high, low, 0x61, 0, 0, 0x60, 96, 0x39]);
        self.blobs.push((self.code.len() - 5, blob));
        self.bytes(&[0x61, high, low, 0x60, 96, 0x5f, 0xf0, 0x50]);
    }

    /// Returns slot 0.
    fn end(&mut self) {
        self.bytes(&[0x5f, 0x54, 0x5f, 0x52, 0x60, 32, 0x5f, 0xf3]);
    }

    fn finish(mut self) -> Vec<u8> {
        for (at, blob) in core::mem::take(&mut self.blobs) {
            let offset = u16::try_from(self.code.len()).unwrap().to_be_bytes();
            self.code[at..at + 2].copy_from_slice(&offset);
            self.code.extend(blob);
        }
        self.code
    }

    fn address(&self, to: Target) -> Address {
        let (id, address) = (chain(to.rollup), contract(to.contract));
        if id == self.on { address } else { proxy_of(id, address) }
    }

    fn push_address(&mut self, address: Address) {
        self.bytes(&[0x73]);
        self.bytes(address.as_slice());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.code.extend_from_slice(bytes);
    }
}
