//! Batches of several blocks, whole and broken.

use super::World;
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, Sealed};
use lockstep_protocol::{Batch, SpanBatch};

impl World {
    /// Makes the next rollup blocks, and batches them as one span.
    pub(crate) fn sequence_span(&mut self, blocks: Vec<Vec<Bytes>>) {
        let mut batches = Vec::new();
        for transactions in blocks {
            batches.push(self.next_batch(transactions.clone()));
            self.make(transactions);
        }
        let span = SpanBatch::from_blocks(&batches, false).expect("they follow on each other");
        self.batches.push(Batch::Span(span));
    }

    /// Batches a span whose last block has a transaction that cannot stand in it. The blocks before it
    /// are made, and taken back with the user's transactions; returns their output roots.
    pub(crate) fn batch_invalid_span(&mut self, blocks: Vec<Vec<Bytes>>) -> Vec<B256> {
        let (state, trie) = (self.state.clone(), self.trie.clone());
        let (head, sequence_number) = (self.l2.len(), self.sequence_number);
        let signed: usize = blocks.iter().map(Vec::len).sum();
        let mut batches = Vec::new();
        for transactions in blocks {
            batches.push(self.next_batch(transactions.clone()));
            self.make(transactions);
        }
        batches.push(self.next_batch(vec![self.invalid_transaction()]));
        let span = SpanBatch::from_blocks(&batches, false).expect("they follow on each other");
        self.batches.push(Batch::Span(span));
        (self.state, self.trie) = (state, trie);
        self.sequence_number = sequence_number;
        self.user_nonce -= signed as u64;
        self.transaction_counts.truncate(head);
        // Nobody but the program ever made these blocks.
        let forget = |(block, root): (Sealed<Header>, B256)| {
            self.host.roots.remove(&block.hash());
            root
        };
        self.l2.drain(head..).map(forget).collect()
    }
}
