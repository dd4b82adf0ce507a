//! The MDBX part of a chain on disk: tables, their keys and values, and transactions over them.

mod codec;
mod environment;
pub(crate) mod history;
mod moment;
mod nodes;
mod records;
mod transaction;

pub(crate) use codec::{Cursor, Malformed};
pub(crate) use environment::{Environment, Table};
pub(crate) use moment::Moment;
pub(crate) use nodes::NodeWriter;
pub(crate) use records::{
    BlockRow, Identity, Position, account, decode_account, decode_value, encode_account,
    encode_value, node_key, slot_key,
};
pub(crate) use transaction::{Reader, Tx, Writer};
