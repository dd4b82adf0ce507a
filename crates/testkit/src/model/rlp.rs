//! RLP tests: values and their encodings.

use alloy_primitives::{Bytes, U256, hex};
use serde::Deserialize;

/// An RLP test.
#[derive(Clone, Debug, Deserialize)]
pub struct RlpTest {
    /// The value; `"VALID"` and `"INVALID"` only say whether `out` is well-formed.
    #[serde(rename = "in")]
    pub value: Value,
    /// The encoding, in hex with or without prefix.
    #[serde(rename = "out")]
    pub encoded: String,
}

/// A value as the tests write it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// An integer.
    Number(u64),
    /// Bytes, or a decimal integer after `#`.
    Text(String),
    /// A list.
    List(Vec<Self>),
}

/// An RLP item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// A byte string.
    Bytes(Bytes),
    /// A list.
    List(Vec<Self>),
}

impl Value {
    /// The item that the value stands for.
    ///
    /// # Errors
    /// The number after `#` that is none.
    pub fn item(&self) -> Result<Item, String> {
        let number = |number: U256| Item::Bytes(number.to_be_bytes_trimmed_vec().into());
        match self {
            Self::Number(value) => Ok(number(U256::from(*value))),
            Self::List(values) => {
                values.iter().map(Self::item).collect::<Result<_, _>>().map(Item::List)
            }
            Self::Text(text) => match text.strip_prefix('#') {
                None => Ok(Item::Bytes(text.clone().into_bytes().into())),
                Some(digits) => Ok(Item::Bytes(big_number(digits)?)),
            },
        }
    }
}

/// Decimal digits as big-endian bytes without leading zeros; the tests go beyond 256 bits.
fn big_number(digits: &str) -> Result<Bytes, String> {
    const MAX_DIGITS: usize = 1_000;
    if digits.len() > MAX_DIGITS {
        return Err(format!("a number of {} digits, the limit is {MAX_DIGITS}", digits.len()));
    }
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.chars() {
        let mut carry = digit.to_digit(10).ok_or_else(|| format!("#{digits} is not a number"))?;
        for byte in bytes.iter_mut().rev() {
            let value = u32::from(*byte) * 10 + carry;
            *byte = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry > 0 {
            bytes.insert(0, carry as u8);
        }
    }
    Ok(bytes.into())
}

impl RlpTest {
    /// The bytes of the encoding.
    ///
    /// # Errors
    /// What is wrong with the hex.
    pub fn encoded(&self) -> Result<Bytes, String> {
        hex::decode(&self.encoded).map(Into::into).map_err(|error| format!("`out`: {error}"))
    }
}
