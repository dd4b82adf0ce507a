//! Withdrawals: messages from the rollup to L1 (OP specification: withdrawals).

use alloc::vec::Vec;
use alloy_primitives::{Address, B256, Bytes, Log, LogData, U256, b256, keccak256};

/// `keccak256("MessagePassed(uint256,address,address,uint256,uint256,bytes,bytes32)")`.
pub const MESSAGE_PASSED_TOPIC: B256 =
    b256!("02a52367d10742d8032712c1bb8e0144ff1ec5ffda1ed7d70bb05a2744955054");

/// A message from the rollup to L1.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawal {
    /// The position among all messages, and a version in the upper 16 bits.
    pub nonce: U256,
    /// Who sends it, on the rollup.
    pub sender: Address,
    /// Who receives it, on L1.
    pub target: Address,
    /// The ether that it carries, in wei.
    pub value: U256,
    /// The gas that it may use on L1.
    pub gas_limit: U256,
    /// The call data.
    pub data: Bytes,
}

/// Why a log is no withdrawal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WithdrawalError {
    /// The number of topics is wrong.
    #[error("a withdrawal has 4 topics, not {0}")]
    Topics(usize),
    /// The log is of another event.
    #[error("{0} is not the topic of withdrawals")]
    Event(B256),
    /// The data is not the ABI encoding of the event.
    #[error("the {0} bytes of the log are not the encoding of a withdrawal")]
    Encoding(usize),
    /// The log names another hash than that of the withdrawal.
    #[error("the withdrawal has hash {expected}, the log says {got}")]
    Hash {
        /// The hash of what was read.
        expected: B256,
        /// What the log says.
        got: B256,
    },
}

impl Withdrawal {
    /// The hash under which the withdrawal is proven and finalised.
    pub fn hash(&self) -> B256 {
        let head = [
            self.nonce,
            U256::from_be_bytes(self.sender.into_word().0),
            U256::from_be_bytes(self.target.into_word().0),
            self.value,
            self.gas_limit,
            U256::from(6 * 32),
        ];
        let mut out = Vec::with_capacity(7 * 32 + self.data.len().next_multiple_of(32));
        head.iter().for_each(|word| out.extend_from_slice(&word.to_be_bytes::<32>()));
        encode_bytes(&self.data, &mut out);
        keccak256(out)
    }

    /// The storage slot of the message passer that says that the withdrawal was sent.
    pub fn storage_slot(&self) -> B256 {
        sent_message_slot(self.hash())
    }

    /// Reads the withdrawal from the log of the message passer.
    ///
    /// # Errors
    /// [`WithdrawalError`] for anything that the predeploy does not emit.
    pub fn from_log(log: &LogData) -> Result<Self, WithdrawalError> {
        let &[topic, nonce, sender, target] = log.topics() else {
            return Err(WithdrawalError::Topics(log.topics().len()));
        };
        if topic != MESSAGE_PASSED_TOPIC {
            return Err(WithdrawalError::Event(topic));
        }
        let (head, data) =
            event_data(&log.data).ok_or(WithdrawalError::Encoding(log.data.len()))?;
        let [value, gas_limit, _, got] = head;
        let withdrawal = Self {
            nonce: nonce.into(),
            sender: Address::from_word(sender),
            target: Address::from_word(target),
            value,
            gas_limit,
            data: Bytes::copy_from_slice(data),
        };
        let (expected, got) = (withdrawal.hash(), B256::from(got));
        if expected != got {
            return Err(WithdrawalError::Hash { expected, got });
        }
        Ok(withdrawal)
    }

    /// The log by which the message passer at `contract` announces the withdrawal.
    pub fn to_log(&self, contract: Address) -> Log {
        let topics = [
            MESSAGE_PASSED_TOPIC,
            self.nonce.into(),
            self.sender.into_word(),
            self.target.into_word(),
        ];
        let mut data = Vec::new();
        for word in [self.value, self.gas_limit, U256::from(4 * 32), self.hash().into()] {
            data.extend_from_slice(&word.to_be_bytes::<32>());
        }
        encode_bytes(&self.data, &mut data);
        Log { address: contract, data: LogData::new_unchecked(topics.into(), data.into()) }
    }
}

/// The storage slot of the message passer for the withdrawal with hash `withdrawal`: a mapping in
/// slot 0.
pub fn sent_message_slot(withdrawal: B256) -> B256 {
    keccak256([withdrawal, B256::ZERO].concat())
}

fn encode_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&U256::from(bytes.len()).to_be_bytes::<32>());
    out.extend_from_slice(bytes);
    out.resize(out.len() + bytes.len().next_multiple_of(32) - bytes.len(), 0);
}

/// Four words, of which the third points to the `bytes` behind them.
fn event_data(data: &[u8]) -> Option<([U256; 4], &[u8])> {
    let (head, rest) = data.split_at_checked(4 * 32)?;
    let mut words = [U256::ZERO; 4];
    words
        .iter_mut()
        .zip(head.chunks_exact(32))
        .for_each(|(word, bytes)| *word = U256::from_be_slice(bytes));
    let (length, rest) = rest.split_first_chunk::<32>()?;
    let length = usize::try_from(U256::from_be_bytes(*length)).ok()?;
    let [_, _, offset, _] = words;
    let is_exact = length.checked_next_multiple_of(32)? == rest.len();
    let bytes = rest.get(..length)?;
    (is_exact && offset == U256::from(4 * 32)).then_some((words, bytes))
}
