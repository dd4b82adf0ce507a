//! What the pool accepts, and how much of it.

/// Transactions count towards a sender's limit by slots of this many bytes.
pub const SLOT_BYTES: usize = 32 * 1024;

/// How many transactions a sub-pool holds, and how large they may be together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubPoolLimit {
    /// Transactions.
    pub transactions: usize,
    /// Bytes of all of them in their network encoding, sidecars included.
    pub bytes: usize,
}

/// The rules of a pool that are not the chain's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConfig {
    /// The least `maxPriorityFeePerGas` (or `gasPrice`), in wei, of any transaction but a local
    /// one.
    pub min_tip: u128,
    /// By how many per cent fee and tip must rise to replace a transaction.
    pub price_bump_percent: u128,
    /// The same for blob transactions, whose blob fee must rise as much.
    pub blob_price_bump_percent: u128,
    /// The largest transaction in bytes, not counting its blobs with commitments and proofs.
    pub max_transaction_bytes: usize,
    /// Limits of what can go into the next block.
    pub pending: SubPoolLimit,
    /// Limits of what cannot: for a gap in nonces, a missing balance, or a fee below the base fee.
    pub queued: SubPoolLimit,
    /// Limits of blob transactions, pending or not.
    pub blobs: SubPoolLimit,
    /// Slots of [`SLOT_BYTES`] that the transactions of one sender may fill.
    pub sender_slots: usize,
    /// The same for a sender of a local transaction.
    pub local_sender_slots: usize,
    /// How many per cent of each sub-pool local transactions may fill against the will of others.
    /// Above that, the lowest of them leaves a full pool first.
    pub local_share_percent: usize,
    /// Blob transactions of one sender.
    pub sender_blob_transactions: usize,
    /// How far a nonce may be ahead of the sender's account.
    pub max_nonce_gap: u64,
    /// After how many blocks a transaction, unless it is local, is dropped that cannot go into one.
    pub queued_lifetime_blocks: u64,
    /// Included blob transactions, and included ones of this node's users, that are remembered for reorgs and for
    /// `engine_getBlobs`.
    pub recent: SubPoolLimit,
    /// For how many blocks after its inclusion a transaction stays in the journal, so that a reorg
    /// after a restart does not lose it. Ethereum finalizes a block within 96.
    pub journal_included_blocks: u64,
    /// Whether external transactions go to the journal, too.
    pub journal_external: bool,
    /// How many announcements a slow subscriber may lag behind before it misses some.
    pub event_capacity: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        const MIB: usize = 1024 * 1024;
        Self {
            min_tip: 1,
            price_bump_percent: 10,
            blob_price_bump_percent: 100,
            max_transaction_bytes: 128 * 1024,
            pending: SubPoolLimit { transactions: 32_768, bytes: 64 * MIB },
            queued: SubPoolLimit { transactions: 16_384, bytes: 32 * MIB },
            blobs: SubPoolLimit { transactions: 1_024, bytes: 256 * MIB },
            sender_slots: 64,
            local_sender_slots: 16_384,
            local_share_percent: 50,
            sender_blob_transactions: 16,
            max_nonce_gap: 16_384,
            queued_lifetime_blocks: 900,
            recent: SubPoolLimit { transactions: 4_096, bytes: 64 * MIB },
            journal_included_blocks: 128,
            journal_external: false,
            event_capacity: 4_096,
        }
    }
}
