//! Messages between rollups, and the script that a rollup keeps of them.

use alloc::vec::Vec;
use alloy_primitives::{Address, B256, Bytes, ChainId, U256, keccak256};
use alloy_rlp::{
    BufMut, Decodable, Encodable, Header, RlpDecodable, RlpEncodable, length_of_length,
};

/// Which super transaction of the union: they execute in this order (rule 3.1).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, RlpEncodable, RlpDecodable,
)]
pub struct SuperId {
    /// The L1 slot.
    pub slot: u64,
    /// The position among the slot's super transactions.
    pub index: u64,
}

/// A call to a contract on another rollup.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Call {
    /// Who called the proxy, on the caller's rollup.
    pub from: Address,
    /// The called contract, on the peer.
    pub to: Address,
    /// Ether sent along, in wei.
    pub value: U256,
    /// The peer's gas that the call may use.
    pub gas: u64,
    /// The peer's base fee, in wei, at which the caller pays.
    pub base_fee: u64,
    /// Whether the call may change no state.
    pub is_static: bool,
    /// How many calls between rollups are open, this one included.
    pub depth: u32,
    /// The calldata.
    pub input: Bytes,
}

/// Ether that no call sends along, in wei: 79 billion, of which there are 0.12. What scripts say of
/// values adds up to nothing near 2²⁵⁶ then, and neither balances nor counters wrap.
pub(crate) const VALUE_LIMIT: U256 = U256::from_limbs([0, 1 << 32, 0, 0]);

impl Call {
    /// Whether the ether that is sent along may exist (rule 2.2).
    pub(crate) fn has_possible_value(&self) -> bool {
        self.value < VALUE_LIMIT
    }
}

/// The answer to a [`Call`].
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Return {
    /// Whether it succeeded. If not, the peer's state is as it was before.
    pub success: bool,
    /// The peer's gas that it used, that of calls which it made in turn included.
    pub gas_used: u64,
    /// What it returned or reverted with.
    pub output: Bytes,
}

/// What one rollup tells another. Each message hands control over (rule 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Run this.
    Call(Call),
    /// It has run.
    Return(Return),
    /// Undo the newest call from me that still stands.
    Rollback,
    /// It is undone.
    RolledBack,
}

/// One entry of a script: a message that the rollup sent or received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The position in the super transaction, over all rollups; the first is 1.
    pub index: u32,
    /// The other rollup.
    pub peer: ChainId,
    /// Whether this rollup sent it.
    pub is_sent: bool,
    /// What was said.
    pub message: Message,
}

/// One rollup's part of a super transaction, with which it executes it alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Which super transaction.
    pub id: SuperId,
    /// The rollup of the user's transaction.
    pub home: ChainId,
    /// Who signed it.
    pub origin: Address,
    /// The gas that the block must have left, as for a transaction; 0 on the home rollup, where the
    /// transaction says it (rule 5.5).
    pub gas_limit: u64,
    /// What this rollup sent and received, in order.
    pub steps: Vec<Step>,
}

const CALL: u8 = 1;
const RETURN: u8 = 2;
const ROLLBACK: u8 = 3;
const ROLLED_BACK: u8 = 4;

impl Message {
    const fn kind(&self) -> u8 {
        match self {
            Self::Call(_) => CALL,
            Self::Return(_) => RETURN,
            Self::Rollback => ROLLBACK,
            Self::RolledBack => ROLLED_BACK,
        }
    }

    fn body_length(&self) -> usize {
        match self {
            Self::Call(call) => call.length(),
            Self::Return(it) => it.length(),
            Self::Rollback | Self::RolledBack => 0,
        }
    }
}

/// The kind, and after it what a call or an answer says: one or two items of the list around them.
impl Encodable for Message {
    fn encode(&self, out: &mut dyn BufMut) {
        self.kind().encode(out);
        match self {
            Self::Call(call) => call.encode(out),
            Self::Return(it) => it.encode(out),
            Self::Rollback | Self::RolledBack => {}
        }
    }

    fn length(&self) -> usize {
        self.kind().length() + self.body_length()
    }
}

impl Decodable for Message {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        match u8::decode(buf)? {
            CALL => match Call::decode(buf)? {
                call if call.has_possible_value() => Ok(Self::Call(call)),
                _ => Err(alloy_rlp::Error::Custom("more ether than there is")),
            },
            RETURN => Return::decode(buf).map(Self::Return),
            ROLLBACK => Ok(Self::Rollback),
            ROLLED_BACK => Ok(Self::RolledBack),
            _ => Err(alloy_rlp::Error::Custom("unknown kind of message")),
        }
    }
}

impl Encodable for Step {
    fn encode(&self, out: &mut dyn BufMut) {
        Header { list: true, payload_length: self.payload_length() }.encode(out);
        self.index.encode(out);
        self.peer.encode(out);
        self.is_sent.encode(out);
        self.message.encode(out);
    }

    fn length(&self) -> usize {
        let payload = self.payload_length();
        payload + length_of_length(payload)
    }
}

impl Step {
    fn payload_length(&self) -> usize {
        self.index.length() + self.peer.length() + self.is_sent.length() + self.message.length()
    }
}

impl Decodable for Step {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let mut payload = Header::decode_bytes(buf, true)?;
        let step = Self {
            index: u32::decode(&mut payload)?,
            peer: u64::decode(&mut payload)?,
            is_sent: bool::decode(&mut payload)?,
            message: Message::decode(&mut payload)?,
        };
        end(payload).map(|()| step)
    }
}

impl Encodable for Part {
    fn encode(&self, out: &mut dyn BufMut) {
        Header { list: true, payload_length: self.payload_length() }.encode(out);
        self.id.encode(out);
        self.home.encode(out);
        self.origin.encode(out);
        self.gas_limit.encode(out);
        self.steps.encode(out);
    }

    fn length(&self) -> usize {
        let payload = self.payload_length();
        payload + length_of_length(payload)
    }
}

impl Part {
    fn payload_length(&self) -> usize {
        self.id.length()
            + self.home.length()
            + self.origin.length()
            + self.gas_limit.length()
            + self.steps.length()
    }

    /// Reads a part of at most `max_steps` steps from the front of `buf`. There is one encoding of a
    /// part; nothing else is accepted, and memory is bounded by the length of `buf`.
    ///
    /// Whether the steps make sense is found by executing them.
    ///
    /// # Errors
    /// What is wrong with the encoding.
    pub fn decode(buf: &mut &[u8], max_steps: usize) -> alloy_rlp::Result<Self> {
        let mut payload = Header::decode_bytes(buf, true)?;
        let id = SuperId::decode(&mut payload)?;
        let home = u64::decode(&mut payload)?;
        let origin = Address::decode(&mut payload)?;
        let gas_limit = u64::decode(&mut payload)?;
        let mut list = Header::decode_bytes(&mut payload, true)?;
        let mut steps = Vec::new();
        while !list.is_empty() {
            if steps.len() >= max_steps {
                return Err(alloy_rlp::Error::Custom("a part has too many steps"));
            }
            steps.push(Step::decode(&mut list)?);
        }
        end(payload).map(|()| Self { id, home, origin, gas_limit, steps })
    }
}

const fn end(rest: &[u8]) -> alloy_rlp::Result<()> {
    if rest.is_empty() { Ok(()) } else { Err(alloy_rlp::Error::UnexpectedLength) }
}

/// What both rollups hash of a message between them (rule 7.2).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Envelope<'a> {
    pub(crate) id: SuperId,
    pub(crate) home: ChainId,
    pub(crate) origin: Address,
    pub(crate) index: u32,
    pub(crate) from: ChainId,
    pub(crate) to: ChainId,
    pub(crate) message: &'a Message,
}

impl Envelope<'_> {
    pub(crate) fn hash(&self) -> B256 {
        let payload_length = self.id.length()
            + self.home.length()
            + self.origin.length()
            + self.index.length()
            + self.from.length()
            + self.to.length()
            + self.message.length();
        let header = Header { list: true, payload_length };
        let mut out = Vec::with_capacity(payload_length + header.length());
        header.encode(&mut out);
        self.id.encode(&mut out);
        self.home.encode(&mut out);
        self.origin.encode(&mut out);
        self.index.encode(&mut out);
        self.from.encode(&mut out);
        self.to.encode(&mut out);
        self.message.encode(&mut out);
        keccak256(out)
    }
}

/// The transcript after one more message (rule 7.1).
pub(crate) fn extend_transcript(transcript: B256, message: B256) -> B256 {
    keccak256([transcript.0, message.0].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn sample() -> Part {
        let call = Call {
            from: Address::repeat_byte(1),
            to: Address::repeat_byte(2),
            value: U256::from(1_000),
            gas: 90_000,
            base_fee: 7,
            is_static: false,
            depth: 1,
            input: vec![1, 2, 3].into(),
        };
        let back = Return { success: true, gas_used: 21, output: vec![9; 60].into() };
        let messages =
            [Message::Call(call), Message::Return(back), Message::Rollback, Message::RolledBack];
        let steps = messages.into_iter().zip(1..).map(|(message, index)| Step {
            index,
            peer: 11,
            is_sent: index % 2 == 1,
            message,
        });
        Part {
            id: SuperId { slot: 5, index: 0 },
            home: 10,
            origin: Address::repeat_byte(3),
            gas_limit: 90_000,
            steps: steps.collect(),
        }
    }

    #[test]
    fn no_script_tells_of_ether_that_cannot_exist() {
        for (value, is_read) in
            [(VALUE_LIMIT - U256::ONE, true), (VALUE_LIMIT, false), (U256::MAX, false)]
        {
            let mut part = sample();
            let Message::Call(call) = &mut part.steps[0].message else { panic!("the first calls") };
            call.value = value;
            let encoded = alloy_rlp::encode(&part);
            assert_eq!(Part::decode(&mut encoded.as_slice(), 9).is_ok(), is_read, "{value}");
        }
    }

    #[test]
    fn parts_survive_their_encoding() {
        let part = sample();
        let encoded = alloy_rlp::encode(&part);
        assert_eq!(encoded.len(), part.length());
        let mut rest = encoded.as_slice();
        assert_eq!(Part::decode(&mut rest, 4), Ok(part));
        assert!(rest.is_empty());
        assert!(Part::decode(&mut encoded.as_slice(), 3).is_err(), "too many steps");
    }

    #[test]
    fn what_can_be_decoded_has_no_other_encoding() {
        let encoded = alloy_rlp::encode(sample());
        for length in 0..encoded.len() {
            assert!(Part::decode(&mut encoded.get(..length).unwrap_or_default(), 9).is_err());
        }
        for position in 0..encoded.len() {
            for bit in 0..8 {
                let mut mutated = encoded.clone();
                mutated[position] ^= 1 << bit;
                let mut rest = mutated.as_slice();
                if let Ok(part) = Part::decode(&mut rest, 9) {
                    let length = mutated.len() - rest.len();
                    assert_eq!(mutated.get(..length), Some(alloy_rlp::encode(part).as_slice()));
                }
            }
        }
    }

    #[test]
    fn a_hash_covers_every_field_of_the_envelope() {
        let message = Message::RolledBack;
        let envelope = Envelope {
            id: SuperId { slot: 1, index: 1 },
            home: 1,
            origin: Address::ZERO,
            index: 1,
            from: 1,
            to: 2,
            message: &message,
        };
        let other = Message::Rollback;
        let changed = [
            Envelope { id: SuperId { slot: 2, index: 1 }, ..envelope },
            Envelope { id: SuperId { slot: 1, index: 2 }, ..envelope },
            Envelope { home: 2, ..envelope },
            Envelope { origin: Address::repeat_byte(1), ..envelope },
            Envelope { index: 2, ..envelope },
            Envelope { from: 3, ..envelope },
            Envelope { to: 3, ..envelope },
            Envelope { message: &other, ..envelope },
        ];
        for changed in changed {
            assert_ne!(changed.hash(), envelope.hash(), "{changed:?}");
        }
    }
}
