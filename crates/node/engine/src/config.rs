//! The engine's limits and habits.

use alloy_primitives::Bytes;
use std::time::Duration;

/// The engine's limits and habits.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Threads that execute a block together; with one it is executed serially.
    pub execution_threads: usize,
    /// The most accounts, and the most slots, that are kept in memory of the newest state, from one block to the next:
    /// up to 600 bytes for one of both. With 0 each block reads all that it needs.
    pub max_cached_state: usize,
    /// Canonical blocks that stay in memory although they could be persisted. A reorg within them
    /// is instant; a deeper one executes the blocks it undoes once more. Finalized blocks are
    /// persisted regardless.
    pub keep_in_memory: u64,
    /// The most stored blocks that a reorg or a rewind takes back. Each is executed once more and
    /// kept in memory, while no other block and no other fork choice is accepted.
    pub max_reorg_depth: u64,
    /// The most canonical blocks that wait to be persisted, beyond those that are kept. At the
    /// limit [`Engine::insert`](crate::Engine::insert) waits.
    pub max_unpersisted: usize,
    /// How long an insertion waits for persistence before it gives up.
    pub persistence_patience: Duration,
    /// The most blocks that one write to storage holds.
    pub persistence_batch: usize,
    /// The most blocks in memory that are not canonical; the oldest branch tips make room.
    pub max_side_blocks: usize,
    /// The most blocks that wait for their parent; the oldest make room.
    pub max_waiting_blocks: usize,
    /// The most invalid blocks that are remembered; the oldest make room.
    pub max_invalid_blocks: usize,
    /// The most trie nodes that are kept in memory from one block to the next.
    pub max_trie_nodes: usize,
    /// The most updates that a subscriber may fall behind before it loses some.
    pub update_capacity: usize,
    /// The gas limit towards which built blocks move, where the consensus layer does not say.
    pub gas_limit: u64,
    /// The extra data of built blocks, at most 32 bytes, where the chain leaves it free.
    pub extra_data: Bytes,
    /// The most payloads in the making or waiting to be fetched; the oldest make room.
    pub max_payloads: usize,
    /// How often a payload is built anew.
    pub build_interval: Duration,
    /// How long a payload is improved if nobody asks for it.
    pub build_time: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            execution_threads: 1,
            max_cached_state: 400_000,
            keep_in_memory: 32,
            max_reorg_depth: 1024,
            max_unpersisted: 256,
            persistence_patience: Duration::from_secs(30),
            persistence_batch: 64,
            max_side_blocks: 1024,
            max_waiting_blocks: 256,
            max_invalid_blocks: 1024,
            max_trie_nodes: 500_000,
            update_capacity: 1024,
            gas_limit: 60_000_000,
            extra_data: Bytes::from_static(b"lockstep"),
            max_payloads: 16,
            build_interval: Duration::from_millis(250),
            build_time: Duration::from_secs(12),
        }
    }
}
