//! Transactions waiting for a block.
