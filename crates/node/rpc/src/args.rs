//! Positional parameters, with the words in which tools expect to hear that they are wrong.

use crate::{RpcError, RpcResult, deadline::Deadline};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Bytes, U64, U256};
use jsonrpsee::types::{Params, params::ParamsSequence};
use serde::de::DeserializeOwned;

/// The positional parameters of a request, taken one after the other.
///
/// A parameter that is missing at the end or `null` counts as not given.
#[derive(Debug)]
pub struct Args<'a> {
    rest: ParamsSequence<'a>,
    position: usize,
    deadline: Option<Deadline>,
}

impl<'a> Args<'a> {
    /// The parameters of a request.
    ///
    /// # Errors
    /// When they are given by name: the Ethereum API knows them by position only.
    pub fn new(params: &'a Params<'_>) -> RpcResult<Self> {
        if params.is_object() {
            return Err(RpcError::invalid("non-array args"));
        }
        Ok(Self { rest: params.sequence(), position: 0, deadline: None })
    }

    /// The same, for work that must end in time.
    pub(crate) fn until(self, deadline: Deadline) -> Self {
        Self { deadline: Some(deadline), ..self }
    }

    /// When the work must end, if it must.
    pub(crate) const fn deadline(&self) -> Option<&Deadline> {
        self.deadline.as_ref()
    }

    /// Tells code that runs whether it must stop.
    pub(crate) fn stop(&self) -> impl Fn() -> bool + Sync + use<> {
        let deadline = self.deadline.clone();
        move || deadline.as_ref().is_some_and(Deadline::has_passed)
    }

    /// The next parameter, if it is given.
    ///
    /// # Errors
    /// When it is not a `T`.
    pub fn optional<T: DeserializeOwned>(&mut self) -> RpcResult<Option<T>> {
        let position = self.position;
        self.position += 1;
        self.rest.optional_next::<T>().map_err(|error| {
            let reason = error.data().map_or_else(|| error.message(), |data| data.get());
            RpcError::invalid(format!("invalid argument {position}: {}", unquote(reason)))
        })
    }

    /// The next parameter.
    ///
    /// # Errors
    /// When it is missing or not a `T`.
    pub fn required<T: DeserializeOwned>(&mut self) -> RpcResult<T> {
        let position = self.position;
        self.optional()?.ok_or_else(|| {
            RpcError::invalid(format!("missing value for required argument {position}"))
        })
    }

    /// The next parameter as a block: number, tag, hash, or object (EIP-1898); `latest` if it is
    /// not given.
    ///
    /// # Errors
    /// When it names no block.
    pub fn block(&mut self) -> RpcResult<BlockId> {
        Ok(self.optional()?.unwrap_or(BlockId::Number(BlockNumberOrTag::Latest)))
    }

    /// The next parameter as a block, which must be given.
    ///
    /// # Errors
    /// When it is missing or names no block.
    pub fn required_block(&mut self) -> RpcResult<BlockId> {
        self.required()
    }

    /// The next parameter as an unsigned quantity of at most 64 bits, in hexadecimal or, as some
    /// libraries send it, as a JSON number.
    ///
    /// # Errors
    /// When it is missing or no quantity.
    pub fn quantity(&mut self) -> RpcResult<u64> {
        Ok(self.required::<U64>()?.to())
    }

    /// The next parameter as a storage slot: up to 32 bytes, left-padded.
    ///
    /// # Errors
    /// When it is missing, not hexadecimal, or longer.
    pub fn slot(&mut self) -> RpcResult<U256> {
        parse_slot(&self.required::<String>()?)
    }

    /// The next parameter as bytes, if given.
    ///
    /// # Errors
    /// When it is not hexadecimal.
    pub fn optional_bytes(&mut self) -> RpcResult<Option<Bytes>> {
        self.optional()
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// When there are more parameters than the method takes.
    pub fn end(&mut self) -> RpcResult<()> {
        match self.rest.optional_next::<serde::de::IgnoredAny>() {
            Ok(None) => Ok(()),
            _ => {
                let want = self.position;
                Err(RpcError::invalid(format!("too many arguments, want at most {want}")))
            }
        }
    }
}

/// A storage slot from hexadecimal of any length up to 32 bytes.
pub(crate) fn parse_slot(text: &str) -> RpcResult<U256> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.len() > 64 {
        let shown: String = text.chars().take(80).collect();
        let reason = format!("storage key too long (want at most 32 bytes): {shown:?}");
        return Err(RpcError::InvalidParams(reason));
    }
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let slot = is_hex.then(|| U256::from_str_radix(digits, 16).ok()).flatten();
    slot.ok_or_else(|| RpcError::invalid(format!("invalid hex in storage key: {text:?}")))
}

fn unquote(json: &str) -> &str {
    json.trim_matches('"')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, B256};

    fn args<'a>(params: &'a Params<'_>) -> Args<'a> {
        Args::new(params).unwrap()
    }

    #[test]
    fn what_is_missing_or_null_is_not_given() {
        let params = Params::new(Some("[null]"));
        let mut args = args(&params);
        assert_eq!(args.optional::<Address>().unwrap(), None);
        assert_eq!(args.block().unwrap(), BlockId::latest());
        assert!(args.end().is_ok());
    }

    #[test]
    fn blocks_come_as_numbers_tags_hashes_and_objects() {
        let hash = B256::repeat_byte(7);
        let json =
            format!(r#"["0x10","safe","{hash}",{{"blockHash":"{hash}","requireCanonical":true}}]"#);
        let params = Params::new(Some(&json));
        let mut args = args(&params);
        assert_eq!(args.block().unwrap(), BlockId::number(16));
        assert_eq!(args.block().unwrap(), BlockId::safe());
        assert_eq!(args.block().unwrap(), BlockId::hash(hash));
        assert_eq!(args.block().unwrap(), BlockId::hash_canonical(hash));
    }

    #[test]
    fn wrong_parameters_are_named_by_their_position() {
        for (json, expected) in [
            (r#"["2"]"#, "invalid argument 0"),
            (r#"[]"#, "missing value for required argument 0"),
            (r#"[{"blockHash":"0x12"}]"#, "invalid argument 0"),
        ] {
            let params = Params::new(Some(json));
            let error = args(&params).required_block().unwrap_err();
            assert_eq!(error.code(), crate::error::INVALID_PARAMS);
            assert!(error.to_string().starts_with(expected), "{error}");
        }
        let params = Params::new(Some(r#"[1]"#));
        assert_eq!(args(&params).end().unwrap_err().code(), crate::error::INVALID_PARAMS);
        let params = Params::new(Some(r#"{"a":1}"#));
        assert!(Args::new(&params).is_err());
    }

    #[test]
    fn slots_are_padded_and_limited() {
        assert_eq!(parse_slot("0x1").unwrap(), U256::ONE);
        assert_eq!(parse_slot("").unwrap(), U256::ZERO);
        assert_eq!(parse_slot(&"f".repeat(64)).unwrap(), U256::MAX);
        assert!(parse_slot(&format!("0x{}", "0".repeat(65))).is_err());
        assert!(parse_slot("0xasdf").is_err());
        assert!(parse_slot("0x1_0").is_err());
    }
}
