//! Whether the parts of many rollups are those of one joint execution, as far as data tells.

use crate::{Part, Step, SuperId};
use alloc::{collections::BTreeMap, vec::Vec};
use alloy_primitives::ChainId;

/// A part, and when it is executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacedPart {
    /// The timestamp of the block that the part stands in, in seconds.
    pub timestamp: u64,
    /// The part.
    pub part: Part,
}

/// Why parts are not those of one joint execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disagreement {
    /// A rollup would execute a super transaction after a later one (rule 3.1).
    #[error(
        "rollup {chain} has super transaction {index} of slot {slot} behind one that is not earlier",
        slot = id.slot, index = id.index
    )]
    Order {
        /// The rollup.
        chain: ChainId,
        /// The super transaction.
        id: SuperId,
    },
    /// Two parts name another home or signer, or stand in blocks of different times.
    #[error(
        "rollups {first} and {second} have super transaction {index} of slot {slot} with another \
         home, signer or time",
        slot = id.slot, index = id.index
    )]
    Identity {
        /// The super transaction.
        id: SuperId,
        /// A rollup.
        first: ChainId,
        /// The one that differs from it.
        second: ChainId,
    },
    /// A message is not sent by one rollup and received by another, as the same; or it is not for the
    /// sender to say something, who has no control; or numbers are left out (rules 2.1, 2.2, 3.2).
    #[error(
        "message {number} of super transaction {index} of slot {slot} is not one that was sent once \
         and received once, by who has control",
        slot = id.slot, index = id.index
    )]
    Message {
        /// The super transaction.
        id: SuperId,
        /// The number of the message, or that which one in its place should have.
        number: u32,
    },
    /// The home rollup is not in control at the end; or there are no messages, or none of a rollup
    /// that has a part.
    #[error(
        "super transaction {index} of slot {slot} does not end on its home, or has a part without \
         messages",
        slot = id.slot, index = id.index
    )]
    Incomplete {
        /// The super transaction.
        id: SuperId,
    },
}

/// Checks the parts of all rollups of a union against each other. Those of a rollup are in the order in
/// which it executes them.
///
/// Parts that pass are those of one joint execution if each is that of an execution alone: messages have
/// one order over all rollups (rule 3.3), and who received one got what the other side sent.
///
/// # Errors
/// The first [`Disagreement`], in the order of rollups and super transactions.
///
/// # Limits
/// Memory is a few words for each part and step; time is that of sorting them.
pub fn check_agreement(parts: &BTreeMap<ChainId, Vec<PlacedPart>>) -> Result<(), Disagreement> {
    let mut sides = BTreeMap::<SuperId, Vec<(ChainId, &PlacedPart)>>::new();
    for (&chain, placed) in parts {
        let mut before = None;
        for side in placed {
            let id = side.part.id;
            if before >= Some(id) {
                return Err(Disagreement::Order { chain, id });
            }
            before = Some(id);
            sides.entry(id).or_default().push((chain, side));
        }
    }
    sides.iter().try_for_each(|(id, sides)| check_super(*id, sides))
}

/// Checks the parts of one super transaction.
fn check_super(id: SuperId, sides: &[(ChainId, &PlacedPart)]) -> Result<(), Disagreement> {
    let Some(&(first, reference)) = sides.first() else { return Ok(()) };
    let identity = |side: &PlacedPart| (side.part.home, side.part.origin, side.timestamp);
    if let Some(&(second, _)) = sides.iter().find(|(_, side)| identity(side) != identity(reference))
    {
        return Err(Disagreement::Identity { id, first, second });
    }
    if sides.iter().any(|(_, side)| side.part.steps.is_empty()) {
        return Err(Disagreement::Incomplete { id });
    }
    let mut steps: Vec<(ChainId, &Step)> = Vec::new();
    for (chain, side) in sides {
        let disorder = side.part.steps.windows(2).find_map(|pair| match pair {
            [before, step] if before.index >= step.index => Some(step.index),
            _ => None,
        });
        if let Some(number) = disorder {
            return Err(Disagreement::Message { id, number });
        }
        steps.extend(side.part.steps.iter().map(|step| (*chain, step)));
    }
    // Both sides of a message come together, who sent it first.
    steps.sort_unstable_by_key(|(chain, step)| (step.index, !step.is_sent, *chain));
    let mut control = reference.part.home;
    for (number, pair) in (1..).zip(steps.chunks(2)) {
        match *pair {
            [(from, sent), (to, received)]
                if is_message(number, (from, sent), (to, received)) && from == control =>
            {
                control = to;
            }
            _ => return Err(Disagreement::Message { id, number }),
        }
    }
    if control == reference.part.home { Ok(()) } else { Err(Disagreement::Incomplete { id }) }
}

/// Whether these are the two sides of message `number`.
fn is_message(
    number: u32,
    (from, sent): (ChainId, &Step),
    (to, received): (ChainId, &Step),
) -> bool {
    sent.is_sent
        && !received.is_sent
        && sent.index == number
        && received.index == number
        && sent.peer == to
        && received.peer == from
        && from != to
        && sent.message == received.message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Call, Message, Return};
    use alloc::vec;
    use alloy_primitives::{Address, U256};
    use proptest::{prelude::*, sample::Index};

    fn call(depth: u32) -> Message {
        Message::Call(Call {
            from: Address::repeat_byte(1),
            to: Address::repeat_byte(2),
            value: U256::from(depth),
            gas: 90_000,
            base_fee: 7,
            is_static: false,
            depth,
            input: vec![1, 2, 3].into(),
        })
    }

    fn back(gas_used: u64) -> Message {
        Message::Return(Return { success: true, gas_used, output: vec![9; 6].into() })
    }

    /// The parts of a super transaction, given who tells whom what.
    fn parts(
        index: u64,
        said: &[(ChainId, ChainId, Message)],
    ) -> BTreeMap<ChainId, Vec<PlacedPart>> {
        let mut parts = BTreeMap::<ChainId, Vec<PlacedPart>>::new();
        for (number, (from, to, message)) in (1..).zip(said) {
            for (chain, peer, is_sent) in [(*from, *to, true), (*to, *from, false)] {
                let placed = parts.entry(chain).or_insert_with(|| {
                    let id = SuperId { slot: 5, index };
                    let (home, origin) = (said[0].0, Address::repeat_byte(3));
                    vec![PlacedPart {
                        timestamp: 60,
                        part: Part { id, home, origin, gas_limit: 0, steps: vec![] },
                    }]
                });
                let message = message.clone();
                placed[0].part.steps.push(Step { index: number, peer, is_sent, message });
            }
        }
        parts
    }

    /// 10 calls 11, which calls 12, which calls 10 back; 12 is undone, and 13 is called.
    fn said() -> Vec<(ChainId, ChainId, Message)> {
        vec![
            (10, 11, call(1)),
            (11, 12, call(2)),
            (12, 10, call(3)),
            (10, 12, back(1)),
            (12, 11, back(2)),
            (11, 12, Message::Rollback),
            (12, 11, Message::RolledBack),
            (11, 10, back(3)),
            (10, 13, call(1)),
            (13, 10, back(4)),
        ]
    }

    #[test]
    fn parts_of_one_execution_agree() {
        assert_eq!(check_agreement(&BTreeMap::new()), Ok(()));
        let mut all = parts(0, &said());
        for (chain, mut later) in parts(1, &[(12, 10, call(1)), (10, 12, back(8))]) {
            all.entry(chain).or_default().append(&mut later);
        }
        assert_eq!(check_agreement(&all), Ok(()));
        // A super transaction must be later than the one before it on the same rollup.
        let id = SuperId { slot: 5, index: 0 };
        all.entry(10).or_default().swap(0, 1);
        assert_eq!(check_agreement(&all), Err(Disagreement::Order { chain: 10, id }));
        all.entry(10).or_default().truncate(1);
        assert!(check_agreement(&all).is_err(), "a part is missing");
        let twice = parts(0, &said()).remove(&10).map(|part| [part.clone(), part].concat());
        let twice = BTreeMap::from([(10, twice.unwrap_or_default())]);
        assert_eq!(check_agreement(&twice), Err(Disagreement::Order { chain: 10, id }));
    }

    #[test]
    fn nobody_speaks_without_control() {
        let id = SuperId { slot: 5, index: 0 };
        let message = |number| Err(Disagreement::Message { id, number });
        // 12 was not called; 10 waits for an answer; it does not end on the home; to oneself.
        let odd = parts(0, &[(10, 11, call(1)), (12, 10, back(1))]);
        assert_eq!(check_agreement(&odd), message(2));
        let odd = parts(0, &[(10, 11, call(1)), (10, 12, call(1))]);
        assert_eq!(check_agreement(&odd), message(2));
        let odd = parts(0, &[(10, 11, call(1))]);
        assert_eq!(check_agreement(&odd), Err(Disagreement::Incomplete { id }));
        let odd = parts(0, &[(10, 10, call(1))]);
        assert!(check_agreement(&odd).is_err());
        let mut odd = parts(0, &said());
        odd.insert(14, odd[&13].clone());
        odd.entry(14).or_default()[0].part.steps.clear();
        assert_eq!(check_agreement(&odd), Err(Disagreement::Incomplete { id }));
        let mut odd = parts(0, &said());
        odd.insert(14, odd[&13].clone());
        assert_eq!(check_agreement(&odd), message(10), "a message is received twice");
        // Three rollups that wait for each other in a circle: each agrees with both its neighbours, but
        // no one begins.
        let circle = [(11, 12, call(2)), (12, 13, call(2)), (13, 11, call(2))];
        let mut circle = parts(0, &circle);
        for placed in circle.values_mut() {
            placed[0].part.home = 10;
        }
        assert_eq!(check_agreement(&circle), message(1));
    }

    proptest! {
        /// Whatever is changed on one side only is seen.
        #[test]
        fn a_change_on_one_side_is_seen(
            chain in any::<Index>(), step in any::<Index>(), change in 0..11_u8
        ) {
            let mut all = parts(0, &said());
            let chains: Vec<ChainId> = all.keys().copied().collect();
            let chain = *chain.get(&chains);
            let placed = &mut all.get_mut(&chain).expect("it is there")[0];
            let steps = &mut placed.part.steps;
            let at = step.index(steps.len());
            match change {
                0 => placed.timestamp += 1,
                1 => placed.part.home += 1,
                2 => placed.part.origin = Address::ZERO,
                3 => placed.part.id.index += 1,
                4 => steps[at].index += 1,
                5 => steps[at].peer += 1,
                6 => steps[at].is_sent ^= true,
                7 => steps[at].message = call(9),
                8 => drop(steps.remove(at)),
                9 => steps.insert(at, steps[at].clone()),
                _ => placed.part.steps.clear(),
            }
            prop_assert!(check_agreement(&all).is_err());
        }
    }
}
