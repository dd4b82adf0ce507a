//! The calls between rollups of one super transaction, as a tree.

use crate::{Message, Part, SuperId};
use alloc::{collections::BTreeMap, vec::Vec};
use alloy_primitives::{Address, Bytes, ChainId, U256};

/// Why parts are not told as one tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// There is nothing to tell.
    #[error("there are no parts")]
    NoParts,
    /// A part is that of another super transaction than the first.
    #[error("rollup {0} has a part of another super transaction")]
    Identity(ChainId),
    /// A message is told in two ways, or cannot come where it does.
    #[error("message {0} is not the same on both sides, or cannot come there")]
    Message(u32),
}

/// A call from one rollup to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallNode {
    /// The number of the message that made it.
    pub number: u32,
    /// The call in which it was made, as an index of [`CallTree::calls`]; `None` if the user's
    /// transaction made it, or one that is not known.
    pub parent: Option<usize>,
    /// How many calls between rollups were open, this one included.
    pub depth: u32,
    /// The rollup that called.
    pub caller_chain: ChainId,
    /// The rollup on which it ran.
    pub chain: ChainId,
    /// Who called the proxy, on the rollup that called.
    pub from: Address,
    /// What was called.
    pub to: Address,
    /// Ether sent along, in wei.
    pub value: U256,
    /// Whether it could change no state.
    pub is_static: bool,
    /// What it could use, in gas of the rollup on which it ran.
    pub gas: u64,
    /// What it used, that of calls which it made in turn included.
    pub gas_used: u64,
    /// The calldata.
    pub input: Bytes,
    /// What it returned or reverted with.
    pub output: Bytes,
    /// Whether it succeeded.
    pub success: bool,
    /// Whether it succeeded and was undone since what called it failed.
    pub is_undone: bool,
}

/// The calls between rollups of one super transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallTree {
    /// Which super transaction.
    pub id: SuperId,
    /// The rollup of the user's transaction.
    pub home: ChainId,
    /// Who signed it.
    pub origin: Address,
    /// The calls in the order in which they were made; so each comes after the one it was made in.
    pub calls: Vec<CallNode>,
}

impl CallTree {
    /// Puts together what the parts of some rollups tell. Calls between two rollups of which no part is
    /// given are not there, and what they called hangs on the next known call above.
    ///
    /// Takes memory and, but for calls that are undone, time in proportion to the steps.
    ///
    /// # Errors
    /// When the parts are not those of one execution; not all that is wrong with them is found.
    pub fn assemble(parts: &BTreeMap<ChainId, Part>) -> Result<Self, TreeError> {
        let first = parts.values().next().ok_or(TreeError::NoParts)?;
        let Part { id, home, origin, .. } = *first;
        let mut messages = BTreeMap::<u32, Sent<'_>>::new();
        for (&chain, part) in parts {
            if (part.id, part.home, part.origin) != (id, home, origin) {
                return Err(TreeError::Identity(chain));
            }
            for step in &part.steps {
                let (from, to) = if step.is_sent { (chain, step.peer) } else { (step.peer, chain) };
                let sent = Sent { from, to, message: &step.message };
                if *messages.entry(step.index).or_insert(sent) != sent {
                    return Err(TreeError::Message(step.index));
                }
            }
        }
        let mut builder = Builder::default();
        for (number, sent) in messages {
            builder.take(number, sent).ok_or(TreeError::Message(number))?;
        }
        match builder.open.last().and_then(|open| builder.calls.get(open.call)) {
            Some(call) => Err(TreeError::Message(call.number)),
            None => Ok(Self { id, home, origin, calls: builder.calls }),
        }
    }
}

/// A message on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Sent<'a> {
    from: ChainId,
    to: ChainId,
    message: &'a Message,
}

/// A call that runs, or is being undone.
struct Open {
    call: usize,
    is_undo: bool,
}

#[derive(Default)]
struct Builder {
    calls: Vec<CallNode>,
    open: Vec<Open>,
    /// The calls that stand, by the call that made them.
    standing: BTreeMap<Option<usize>, Vec<usize>>,
}

impl Builder {
    /// Takes the next message; `None` if it cannot come now.
    fn take(&mut self, number: u32, sent: Sent<'_>) -> Option<()> {
        let Sent { from, to, message } = sent;
        let parent = self.open.last().map(|open| open.call);
        match message {
            Message::Call(call) => {
                let node = CallNode {
                    number,
                    parent,
                    depth: call.depth,
                    caller_chain: from,
                    chain: to,
                    from: call.from,
                    to: call.to,
                    value: call.value,
                    is_static: call.is_static,
                    gas: call.gas,
                    gas_used: 0,
                    input: call.input.clone(),
                    output: Bytes::new(),
                    success: false,
                    is_undone: false,
                };
                self.open.push(Open { call: self.calls.len(), is_undo: false });
                self.calls.push(node);
            }
            Message::Return(answer) => {
                let index = self.close(from, to, false)?;
                let node = self.calls.get_mut(index)?;
                (node.success, node.gas_used) = (answer.success, answer.gas_used);
                node.output = answer.output.clone();
                if answer.success {
                    self.standing.entry(node.parent).or_default().push(index);
                }
            }
            Message::Rollback => {
                let standing = self.standing.get_mut(&parent)?;
                let is_meant = |index: &usize| {
                    let call = self.calls.get(*index);
                    call.is_some_and(|call| (call.caller_chain, call.chain) == (from, to))
                };
                let call = standing.remove(standing.iter().rposition(is_meant)?);
                self.calls.get_mut(call)?.is_undone = true;
                self.open.push(Open { call, is_undo: true });
            }
            Message::RolledBack => {
                self.close(from, to, true)?;
            }
        }
        Some(())
    }

    /// Ends what is open; the answer goes the other way than the call went.
    fn close(&mut self, from: ChainId, to: ChainId, is_undo: bool) -> Option<usize> {
        let open = self.open.pop().filter(|open| open.is_undo == is_undo)?;
        let call = self.calls.get(open.call)?;
        ((call.chain, call.caller_chain) == (from, to)).then_some(open.call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Return, Step};
    use alloc::vec;

    fn call(depth: u32, to: u8) -> Message {
        Message::Call(Call {
            from: Address::repeat_byte(to - 1),
            to: Address::repeat_byte(to),
            value: U256::from(to),
            gas: 1_000,
            base_fee: 7,
            is_static: false,
            depth,
            input: Bytes::new(),
        })
    }

    fn answer(success: bool) -> Message {
        Message::Return(Return { success, gas_used: 10, output: Bytes::from_static(b"x") })
    }

    /// The parts of rollups 1, 2 and 3 of messages with sender and receiver.
    fn parts(messages: &[(ChainId, ChainId, Message)]) -> BTreeMap<ChainId, Part> {
        let part = |chain| {
            let id = SuperId { slot: 1, index: 2 };
            let numbered = (1..).zip(messages);
            let own = numbered.filter(|(_, (from, to, _))| *from == chain || *to == chain);
            let steps = own.map(|(index, (from, to, message))| {
                let is_sent = *from == chain;
                Step {
                    index,
                    peer: if is_sent { *to } else { *from },
                    is_sent,
                    message: message.clone(),
                }
            });
            let origin = Address::repeat_byte(9);
            (chain, Part { id, home: 1, origin, gas_limit: 0, steps: steps.collect() })
        };
        [1, 2, 3].map(part).into()
    }

    /// 1 calls 2, which calls 3, which calls 1; then 1 undoes all of it, and calls 2 in vain.
    fn undone() -> Vec<(ChainId, ChainId, Message)> {
        vec![
            (1, 2, call(1, 0x12)),
            (2, 3, call(2, 0x23)),
            (3, 1, call(3, 0x31)),
            (1, 3, answer(true)),
            (3, 2, answer(true)),
            (2, 1, answer(true)),
            (1, 2, Message::Rollback),
            (2, 3, Message::Rollback),
            (3, 1, Message::Rollback),
            (1, 3, Message::RolledBack),
            (3, 2, Message::RolledBack),
            (2, 1, Message::RolledBack),
            (1, 2, call(1, 0x12)),
            (2, 1, answer(false)),
        ]
    }

    fn shape(tree: &CallTree) -> Vec<(u32, Option<usize>, ChainId, bool, bool)> {
        let told = tree.calls.iter();
        told.map(|it| (it.number, it.parent, it.chain, it.success, it.is_undone)).collect()
    }

    #[test]
    fn calls_hang_where_they_were_made() {
        let tree = CallTree::assemble(&parts(&undone())).unwrap();
        let expected = [
            (1, None, 2, true, true),
            (2, Some(0), 3, true, true),
            (3, Some(1), 1, true, true),
            (13, None, 2, false, false),
        ];
        assert_eq!(shape(&tree), expected);
        assert_eq!((tree.home, tree.origin), (1, Address::repeat_byte(9)));
        assert_eq!(tree.calls[0].output, Bytes::from_static(b"x"));
    }

    #[test]
    fn one_rollup_tells_what_it_knows() {
        let mut parts = parts(&undone());
        parts.retain(|chain, _| *chain == 1);
        let expected =
            [(1, None, 2, true, true), (3, Some(0), 1, true, true), (13, None, 2, false, false)];
        assert_eq!(shape(&CallTree::assemble(&parts).unwrap()), expected);
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        assert_eq!(CallTree::assemble(&BTreeMap::new()), Err(TreeError::NoParts));
        let good = parts(&undone());
        let mut other = good.clone();
        other.get_mut(&3).unwrap().id.index = 3;
        assert_eq!(CallTree::assemble(&other), Err(TreeError::Identity(3)));
        let mut lying = good.clone();
        lying.get_mut(&2).unwrap().steps[0].message = call(1, 0x77);
        assert_eq!(CallTree::assemble(&lying), Err(TreeError::Message(1)));
        let mut open = good;
        open.values_mut().for_each(|part| part.steps.retain(|step| step.index != 14));
        assert_eq!(CallTree::assemble(&open), Err(TreeError::Message(13)));
        for unexpected in
            [(1, 2, Message::Rollback), (1, 2, Message::RolledBack), (1, 2, answer(true))]
        {
            assert_eq!(CallTree::assemble(&parts(&[unexpected])), Err(TreeError::Message(1)));
        }
    }
}
