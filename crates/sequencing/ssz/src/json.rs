//! JSON as the Beacon API writes it: numbers in decimal strings, bytes in hex.

use super::{BitVector, Bitlist, ByteList, Limit, List, Ssz, TreeElement, TreeList, TreeVector};
use crate::Preset;
use alloy_primitives::{Address, Bloom, Bytes, FixedBytes, U256, hex};
use serde_json::Value;

/// Something the Beacon API shows.
pub trait ApiJson: Sized {
    /// The value's JSON.
    fn to_json(&self) -> Value;

    /// Reads what [`Self::to_json`] writes.
    ///
    /// # Errors
    /// What is missing, of another type or beyond the preset's limits, with the field's path.
    fn from_json(value: &Value, preset: &Preset) -> Result<Self, JsonError>;
}

/// Why JSON is not a value of a consensus type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// A field is missing.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// A value cannot be read.
    #[error("{found} is not {expected}")]
    Value {
        /// What was expected.
        expected: &'static str,
        /// The first characters of what was found.
        found: String,
    },
    /// Something within a field is wrong.
    #[error("{0}: {1}")]
    Field(&'static str, Box<Self>),
}

impl JsonError {
    /// The error, of something within the field of this name.
    pub fn in_field(self, name: &'static str) -> Self {
        Self::Field(name, Box::new(self))
    }

    /// A value that is not what was expected.
    pub fn value(expected: &'static str, found: &Value) -> Self {
        let found = found.to_string().chars().take(80).collect();
        Self::Value { expected, found }
    }
}

pub(crate) fn hex_bytes(value: &Value) -> Result<Vec<u8>, JsonError> {
    let text = value.as_str().and_then(|text| text.strip_prefix("0x"));
    let bytes = text.and_then(|digits| hex::decode(digits).ok());
    bytes.ok_or_else(|| JsonError::value("a string of 0x and hex digits", value))
}

fn elements<T: ApiJson>(value: &Value, preset: &Preset) -> Result<Vec<T>, JsonError> {
    let values = value.as_array().ok_or_else(|| JsonError::value("an array", value))?;
    values.iter().map(|value| T::from_json(value, preset)).collect()
}

impl ApiJson for bool {
    fn to_json(&self) -> Value {
        (*self).into()
    }

    fn from_json(value: &Value, _: &Preset) -> Result<Self, JsonError> {
        value.as_bool().ok_or_else(|| JsonError::value("a boolean", value))
    }
}

macro_rules! decimal {
    ($($type:ty),+) => { $(
        impl ApiJson for $type {
            fn to_json(&self) -> Value {
                self.to_string().into()
            }

            fn from_json(value: &Value, _: &Preset) -> Result<Self, JsonError> {
                let number = value.as_str().and_then(|text| text.parse().ok());
                number.ok_or_else(|| JsonError::value("a number in a string", value))
            }
        }
    )+ };
}

decimal!(u8, u64);

impl ApiJson for U256 {
    fn to_json(&self) -> Value {
        self.to_string().into()
    }

    fn from_json(value: &Value, _: &Preset) -> Result<Self, JsonError> {
        let number = value.as_str().and_then(|text| Self::from_str_radix(text, 10).ok());
        number.ok_or_else(|| JsonError::value("a number in a string", value))
    }
}

impl<const N: usize> ApiJson for FixedBytes<N> {
    fn to_json(&self) -> Value {
        hex::encode_prefixed(self).into()
    }

    fn from_json(value: &Value, _: &Preset) -> Result<Self, JsonError> {
        let bytes = hex_bytes(value)?;
        Self::try_from(bytes.as_slice())
            .map_err(|_| JsonError::value("bytes of that length", value))
    }
}

impl ApiJson for Address {
    fn to_json(&self) -> Value {
        hex::encode_prefixed(self).into()
    }

    fn from_json(value: &Value, preset: &Preset) -> Result<Self, JsonError> {
        FixedBytes::from_json(value, preset).map(Self)
    }
}

impl ApiJson for Bloom {
    fn to_json(&self) -> Value {
        hex::encode_prefixed(self).into()
    }

    fn from_json(value: &Value, preset: &Preset) -> Result<Self, JsonError> {
        FixedBytes::from_json(value, preset).map(Self)
    }
}

impl<L: Limit> ApiJson for ByteList<L> {
    fn to_json(&self) -> Value {
        hex::encode_prefixed(self.as_slice()).into()
    }

    fn from_json(value: &Value, preset: &Preset) -> Result<Self, JsonError> {
        let bytes = Bytes::from(hex_bytes(value)?);
        Self::new(bytes, preset).map_err(|_| JsonError::value("within its limit", value))
    }
}

impl<T: Ssz + ApiJson, L: Limit> ApiJson for List<T, L> {
    fn to_json(&self) -> Value {
        self.iter().map(T::to_json).collect()
    }

    fn from_json(value: &Value, preset: &Preset) -> Result<Self, JsonError> {
        Self::new(elements(value, preset)?, preset)
            .map_err(|_| JsonError::value("within its limit", value))
    }
}

macro_rules! bits {
    ($($type:ident),+) => { $(
        impl<L: Limit> ApiJson for $type<L> {
            fn to_json(&self) -> Value {
                hex::encode_prefixed(self.to_bytes()).into()
            }

            fn from_json(value: &Value, preset: &Preset) -> Result<Self, JsonError> {
                Self::read(&hex_bytes(value)?, preset)
                    .map_err(|_| JsonError::value("a bit field of that length", value))
            }
        }
    )+ };
}

bits!(Bitlist, BitVector);

impl<T: TreeElement + ApiJson, L: Limit> ApiJson for TreeVector<T, L> {
    fn to_json(&self) -> Value {
        self.iter().map(|element| element.to_json()).collect()
    }

    fn from_json(value: &Value, preset: &Preset) -> Result<Self, JsonError> {
        Self::new(elements::<T>(value, preset)?, preset)
            .map_err(|_| JsonError::value("a vector of that length", value))
    }
}

impl<T: TreeElement + ApiJson, L: Limit> ApiJson for TreeList<T, L> {
    fn to_json(&self) -> Value {
        self.iter().map(|element| element.to_json()).collect()
    }

    fn from_json(value: &Value, preset: &Preset) -> Result<Self, JsonError> {
        Self::new(elements::<T>(value, preset)?, preset)
            .map_err(|_| JsonError::value("within its limit", value))
    }
}
