//! Numbers and bytes in every spelling that official fixtures of ten years use.
//!
//! `0x00`, `0x0001`, `0x`, an empty string, decimal strings, JSON integers, and
//! `0x:bigint 0x…` all stand for numbers; hex may lack its prefix.

use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use core::{fmt, marker::PhantomData};
use serde::{
    Deserialize, Deserializer,
    de::{self, Visitor},
};

/// A 256-bit number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(pub U256);

/// A 64-bit number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(pub u64);

/// A number that a fixture may have chosen too large for 256 bits on purpose (then `None`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wide(pub Option<U256>);

/// A number that stands for 32 bytes, as storage keys and `currentRandom` do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Word(pub B256);

/// Bytes in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HexBytes(pub Bytes);

/// The recipient of a transaction; the empty string means contract creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recipient(pub TxKind);

/// Why a text is not a number of the wanted size.
enum NumberError {
    Malformed,
    TooLarge,
}

fn parse_number(text: &str) -> Result<U256, NumberError> {
    let text = text.strip_prefix("0x:bigint ").unwrap_or(text).trim();
    let (digits, radix, max_digits) = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(hex) => (hex, 16, 64),
        None => (text, 10, 78),
    };
    if !digits.bytes().all(|digit| (digit as char).is_digit(radix)) {
        return Err(NumberError::Malformed);
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > max_digits {
        return Err(NumberError::TooLarge);
    }
    if digits.is_empty() {
        return Ok(U256::ZERO);
    }
    U256::from_str_radix(digits, u64::from(radix)).map_err(|_| NumberError::TooLarge)
}

/// A field type that is written as text.
trait Text: Sized {
    const WHAT: &'static str;

    fn from_text(text: &str) -> Result<Self, String>;

    fn from_number(_: u64) -> Result<Self, String> {
        Err(format!("a number where {} is expected", Self::WHAT))
    }
}

fn narrow<T>(text: &str, what: &str, narrow: impl Fn(U256) -> Option<T>) -> Result<T, String> {
    match parse_number(text).map(narrow) {
        Ok(Some(value)) => Ok(value),
        Ok(None) | Err(NumberError::TooLarge) => Err(format!("{} is more than {what}", cut(text))),
        Err(NumberError::Malformed) => Err(format!("{} is not a number", cut(text))),
    }
}

/// At most the first 80 characters, quoted.
fn cut(text: &str) -> String {
    let shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() { format!("{shown:?}…") } else { format!("{shown:?}") }
}

impl Text for Quantity {
    const WHAT: &'static str = "a 256-bit number";

    fn from_text(text: &str) -> Result<Self, String> {
        narrow(text, Self::WHAT, Some).map(Self)
    }

    fn from_number(number: u64) -> Result<Self, String> {
        Ok(Self(U256::from(number)))
    }
}

impl Text for Number {
    const WHAT: &'static str = "a 64-bit number";

    fn from_text(text: &str) -> Result<Self, String> {
        narrow(text, Self::WHAT, |value| u64::try_from(value).ok()).map(Self)
    }

    fn from_number(number: u64) -> Result<Self, String> {
        Ok(Self(number))
    }
}

impl Text for Wide {
    const WHAT: &'static str = "a number";

    fn from_text(text: &str) -> Result<Self, String> {
        match parse_number(text) {
            Ok(value) => Ok(Self(Some(value))),
            Err(NumberError::TooLarge) => Ok(Self(None)),
            Err(NumberError::Malformed) => Err(format!("{} is not a number", cut(text))),
        }
    }

    fn from_number(number: u64) -> Result<Self, String> {
        Ok(Self(Some(U256::from(number))))
    }
}

impl Text for Word {
    const WHAT: &'static str = "32 bytes";

    fn from_text(text: &str) -> Result<Self, String> {
        // Hashes stand without a prefix in some places; a number would have lost its zeros.
        if text.len() == 64 {
            return decode_hex(text).map(|bytes| Self(B256::left_padding_from(&bytes)));
        }
        narrow(text, Self::WHAT, Some).map(|value| Self(B256::from(value)))
    }
}

impl Text for HexBytes {
    const WHAT: &'static str = "hex bytes";

    fn from_text(text: &str) -> Result<Self, String> {
        decode_hex(text).map(|bytes| Self(bytes.into()))
    }
}

impl Text for Recipient {
    const WHAT: &'static str = "an address or an empty string";

    fn from_text(text: &str) -> Result<Self, String> {
        let bytes = decode_hex(text)?;
        if bytes.is_empty() {
            return Ok(Self(TxKind::Create));
        }
        match Address::try_from(bytes.as_slice()) {
            Ok(address) => Ok(Self(TxKind::Call(address))),
            Err(_) => Err(format!("{} is {} bytes, an address is 20", cut(text), bytes.len())),
        }
    }
}

fn decode_hex(text: &str) -> Result<Vec<u8>, String> {
    hex::decode(text).map_err(|error| format!("{} is not hex: {error}", cut(text)))
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: Text> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::WHAT)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        T::from_number(number).map_err(E::custom)
    }
}

macro_rules! deserialize_as_text {
    ($($ty:ty),*) => {$(
        impl<'de> Deserialize<'de> for $ty {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(TextVisitor::<Self>(PhantomData))
            }
        }
    )*};
}

deserialize_as_text!(Quantity, Number, Wide, Word, HexBytes, Recipient);

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: for<'de> Deserialize<'de>>(json: &str) -> Result<T, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_are_read_in_every_spelling() {
        for (json, value) in [
            (r#""0x00""#, 0),
            (r#""0x""#, 0),
            (r#""""#, 0),
            (r#""0x0001""#, 1),
            (r#""1000488""#, 1_000_488),
            (r#""0xFf""#, 255),
            (r#""0x:bigint 0x10""#, 16),
            ("7", 7),
        ] {
            assert_eq!(read::<Quantity>(json), Ok(Quantity(U256::from(value))), "{json}");
            assert_eq!(read::<Number>(json), Ok(Number(value)), "{json}");
            assert_eq!(read::<Wide>(json), Ok(Wide(Some(U256::from(value)))), "{json}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_or_marked() {
        let huge = format!("\"0x1{}\"", "0".repeat(64));
        assert!(read::<Quantity>(&huge).unwrap_err().contains("more than a 256-bit number"));
        assert!(read::<Number>(r#""0x10000000000000000""#).unwrap_err().contains("64-bit"));
        assert_eq!(read::<Wide>(&huge), Ok(Wide(None)));
        for json in [r#""0xzz""#, r#""one""#, "-1", "1.5", "null", "[]", r#""0x 1""#] {
            assert!(read::<Quantity>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn an_endless_number_is_cut_in_the_message() {
        let message = read::<Number>(&format!("\"{}\"", "9".repeat(100_000))).unwrap_err();
        assert!(message.len() < 200, "{message}");
    }

    #[test]
    fn words_are_padded_on_the_left() {
        assert_eq!(read::<Word>(r#""0x01""#), Ok(Word(B256::with_last_byte(1))));
        let bare = format!("\"{}\"", "11".repeat(32));
        assert_eq!(read::<Word>(&bare), Ok(Word(B256::repeat_byte(0x11))));
    }

    #[test]
    fn recipients_are_an_address_or_nothing() {
        assert_eq!(read::<Recipient>(r#""""#), Ok(Recipient(TxKind::Create)));
        let address = Address::repeat_byte(7);
        assert_eq!(
            read::<Recipient>(&format!("\"{address}\"")),
            Ok(Recipient(TxKind::Call(address)))
        );
        assert!(read::<Recipient>(r#""0x01""#).is_err());
    }

    #[test]
    fn bytes_must_be_whole() {
        assert_eq!(read::<HexBytes>(r#""0x""#), Ok(HexBytes::default()));
        assert!(read::<HexBytes>(r#""0x1""#).is_err());
        assert!(read::<HexBytes>(r#""0xgg""#).is_err());
    }
}
