//! What the union's inbox on L1 says when it takes a batch (`contracts/src/union/Inbox.sol`).

use alloc::vec::Vec;
use alloy_primitives::{Address, B256, Log, LogData, U256, b256};

/// `keccak256("BatchPosted(uint64,address,uint64,uint64,bytes32,bytes32,bytes32[])")`.
pub const BATCH_POSTED_TOPIC: B256 =
    b256!("cebefe21ac9cd916419f6c8b82e32fbe0e5afc822d4341f3a293d057e6f6029b");

/// In front of the blob hashes: three words, the offset of the list, and its length.
const HEAD_WORDS: usize = 5;
/// Where the list begins in the data, in bytes.
const LIST_OFFSET: u64 = 4 * 32;

/// A union batch that the inbox took: signed by the owner of its slot, and in this L1 block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchPosted {
    /// The slot that the batch is for.
    pub slot: u64,
    /// The gateway that owns the slot.
    pub owner: Address,
    /// The position among all batches of the union.
    pub sequence: u64,
    /// The slot of the proposer who delegated to the gateway: the batch's own, or a later one.
    pub owner_slot: u64,
    /// What the owner signed, and the name of the batch.
    pub batch_hash: B256,
    /// The hash of the batch before it; zero for the first.
    pub parent: B256,
    /// The versioned hashes of the blobs that hold it, in order. They are blobs of one transaction,
    /// one behind the other.
    pub blob_hashes: Vec<B256>,
}

/// Why a log is not the event. The inbox emits none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchPostedError {
    /// The number of topics is wrong.
    #[error("a posted batch has 4 topics, not {0}")]
    Topics(usize),
    /// The log is of another event.
    #[error("{0} is not the topic of posted batches")]
    Event(B256),
    /// A value does not fit its type.
    #[error("`{field}` cannot be {value}")]
    Value {
        /// Which.
        field: &'static str,
        /// What stands there.
        value: B256,
    },
    /// The data is not the ABI encoding of the values.
    #[error("the {0} bytes of the log are not the encoding of a posted batch")]
    Encoding(usize),
}

impl BatchPosted {
    /// Reads the event from a log of the inbox.
    ///
    /// # Errors
    /// [`BatchPostedError`] for anything that the contract does not emit.
    pub fn from_log(log: &LogData) -> Result<Self, BatchPostedError> {
        let &[topic, slot, owner, sequence] = log.topics() else {
            return Err(BatchPostedError::Topics(log.topics().len()));
        };
        if topic != BATCH_POSTED_TOPIC {
            return Err(BatchPostedError::Event(topic));
        }
        let malformed = BatchPostedError::Encoding(log.data.len());
        let (words, rest) = log.data.as_chunks::<32>();
        let Some(([owner_slot, batch_hash, parent, offset, count], hashes)) =
            words.split_first_chunk::<HEAD_WORDS>()
        else {
            return Err(malformed);
        };
        let is_list = U256::from_be_bytes(*offset) == U256::from(LIST_OFFSET)
            && U256::from_be_bytes(*count) == U256::from(hashes.len());
        if !is_list || !rest.is_empty() {
            return Err(malformed);
        }
        if Address::from_word(owner).into_word() != owner {
            return Err(BatchPostedError::Value { field: "owner", value: owner });
        }
        Ok(Self {
            slot: number("slot", slot)?,
            owner: Address::from_word(owner),
            sequence: number("sequence", sequence)?,
            owner_slot: number("ownerSlot", B256::new(*owner_slot))?,
            batch_hash: B256::new(*batch_hash),
            parent: B256::new(*parent),
            blob_hashes: hashes.iter().map(|hash| B256::new(*hash)).collect(),
        })
    }

    /// The log by which the inbox at `inbox` announces the batch.
    pub fn to_log(&self, inbox: Address) -> Log {
        let word = |value: u64| B256::from(U256::from(value));
        let topics =
            [BATCH_POSTED_TOPIC, word(self.slot), self.owner.into_word(), word(self.sequence)];
        let head = [
            word(self.owner_slot),
            self.batch_hash,
            self.parent,
            word(LIST_OFFSET),
            word(self.blob_hashes.len() as u64),
        ];
        let data: Vec<u8> = head.iter().chain(&self.blob_hashes).flat_map(|word| word.0).collect();
        Log { address: inbox, data: LogData::new_unchecked(topics.into(), data.into()) }
    }
}

fn number(field: &'static str, word: B256) -> Result<u64, BatchPostedError> {
    U256::from_be_bytes(word.0)
        .try_into()
        .map_err(|_| BatchPostedError::Value { field, value: word })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use alloy_primitives::keccak256;

    #[test]
    fn the_topic_is_the_hash_of_the_signature() {
        let signature = "BatchPosted(uint64,address,uint64,uint64,bytes32,bytes32,bytes32[])";
        assert_eq!(BATCH_POSTED_TOPIC, keccak256(signature));
    }

    #[test]
    fn what_the_inbox_does_not_emit_is_refused() {
        let event = BatchPosted {
            slot: 7,
            owner: Address::repeat_byte(2),
            sequence: 3,
            owner_slot: 9,
            batch_hash: B256::repeat_byte(4),
            parent: B256::repeat_byte(5),
            blob_hashes: vec![B256::repeat_byte(1), B256::repeat_byte(6)],
        };
        let log = event.to_log(Address::ZERO).data;
        assert_eq!(BatchPosted::from_log(&log), Ok(event));
        let with_data = |data: Vec<u8>| LogData::new_unchecked(log.topics().to_vec(), data.into());
        for length in 0..log.data.len() {
            let cut = with_data(log.data[..length].to_vec());
            assert_eq!(BatchPosted::from_log(&cut), Err(BatchPostedError::Encoding(length)));
        }
        // The upper bytes of numbers and addresses, the offset and the length.
        for at in [0, 23, 96, 127, 128, 159] {
            let mut data = log.data.to_vec();
            data[at] ^= 1;
            assert!(BatchPosted::from_log(&with_data(data)).is_err(), "byte {at}");
        }
        for (index, byte) in [(0, 0), (1, 0), (1, 23), (2, 11), (3, 5)] {
            let mut topics = log.topics().to_vec();
            topics[index][byte] ^= 1;
            let changed = LogData::new_unchecked(topics, log.data.clone());
            assert!(BatchPosted::from_log(&changed).is_err(), "topic {index}, byte {byte}");
        }
        let short = LogData::new_unchecked(log.topics()[..3].to_vec(), log.data.clone());
        assert_eq!(BatchPosted::from_log(&short), Err(BatchPostedError::Topics(3)));
    }
}
