//! The official fixture formats, as typed data.

pub mod account;
pub mod blockchain;
pub mod difficulty;
pub mod engine;
pub mod header;
pub mod rlp;
pub mod state;
pub mod transaction;
pub mod transaction_test;
pub mod trie;
pub mod vm;
