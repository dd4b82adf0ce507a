//! Replay real mainnet blocks on the part of the state that they touch.
//!
//! [`visit`] reads block after block from a folder of archives, a single archive, or a directory
//! of the same layout; each [`Fixture`] executes and checks itself.
//!
//! The layout: `<number>/block.json` (as `eth_getBlockByNumber` answers, with full transactions)
//! and `<number>/pre_state.json` (accounts by address, with `balance`, `nonce`, `code_hash` and
//! `storage`); beside the folders or their archive, `[<name>.]bytecodes.jsonl[.zst]` (codes by
//! hash), `[<name>.]block_hashes.json` (hashes that `BLOCKHASH` reads), and, if there are any,
//! `<name>.oracle-results.tar.zst` or `oracle-results/` (what another implementation found).

mod check;
mod codes;
mod fixture;
mod load;
mod oracle;

pub use check::{Mismatch, Note, refusal};
pub use codes::Codes;
pub use fixture::{Fixture, FixtureState, UnknownState};
pub use load::{Limits, Visitor, size_on_disk, visit};
pub use oracle::OracleResults;
