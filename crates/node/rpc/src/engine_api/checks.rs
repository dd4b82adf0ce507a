//! Which version of a method takes what, by fork.

use super::EngineApiError;
use alloy_eips::eip7685::Requests;
use alloy_primitives::Bytes;
use jsonrpsee::types::Params;
use lockstep_chain::EthereumHardfork as Fork;
use lockstep_engine::{DeliveredPayload, Payloads};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

/// The parameters of a call, one by one.
pub(super) struct Values<'a> {
    values: Vec<&'a RawValue>,
}

impl<'a> Values<'a> {
    pub(super) fn new(params: &'a Params<'_>) -> Result<Self, EngineApiError> {
        let values = match params.as_str() {
            None => Vec::new(),
            Some(text) => serde_json::from_str(text)
                .map_err(|error| invalid(format!("the parameters are no list: {error}")))?,
        };
        Ok(Self { values })
    }

    pub(super) const fn len(&self) -> usize {
        self.values.len()
    }

    /// # Errors
    /// If there are more, or fewer, parameters.
    pub(super) fn expect(&self, count: usize) -> Result<(), EngineApiError> {
        if self.len() == count {
            return Ok(());
        }
        Err(invalid(format!("expected {count} parameters, got {}", self.len())))
    }

    /// A parameter in its type.
    pub(super) fn read<T: DeserializeOwned>(&self, index: usize) -> Result<T, EngineApiError> {
        let value = self.raw(index)?;
        serde_json::from_str(value.get())
            .map_err(|error| invalid(format!("parameter {index}: {error}")))
    }

    pub(super) fn raw(&self, index: usize) -> Result<&'a RawValue, EngineApiError> {
        self.values
            .get(index)
            .copied()
            .ok_or_else(|| invalid(format!("parameter {index} is missing")))
    }
}

pub(super) fn invalid(reason: impl Into<String>) -> EngineApiError {
    EngineApiError::InvalidParams(reason.into())
}

/// A quantity in JSON.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Quantity(#[serde(with = "alloy_serde::quantity")] pub(super) u64);

/// The payload of `engine_newPayloadV{version}` with what comes beside it.
///
/// # Errors
/// [`EngineApiError::InvalidParams`] if the parameters are not those of the version,
/// [`EngineApiError::UnsupportedFork`] if the version is not for the payload's fork.
pub(super) fn delivered<C: Payloads>(
    chain: &C,
    version: u8,
    values: &Values<'_>,
) -> Result<DeliveredPayload<C::Payload>, EngineApiError> {
    let (count, newest_form) = match version {
        1 => (1, 1),
        2 => (1, 2),
        3 => (3, 3),
        _ => (4, chain.newest_versions().payload_form),
    };
    values.expect(count)?;
    let payload: C::Payload = values.read(0)?;
    let place = C::payload_place(&payload);
    let fork = chain.engine_fork(place.number, place.timestamp);
    // Versions 3 and 4 know one form of payload only; 2 knows two, of which the fork takes one.
    let wanted = if newest_form == 2 && fork < Fork::Shanghai { 1 } else { newest_form };
    if place.form != wanted {
        return Err(invalid(format!("payload of form {}, expected {wanted}", place.form)));
    }
    let versioned_hashes = (version >= 3).then(|| values.read(1)).transpose()?;
    let parent_beacon_block_root = (version >= 3).then(|| values.read(2)).transpose()?;
    let requests = (version >= 4).then(|| requests(values.read(3)?)).transpose()?;
    check_fork("engine_newPayload", version, fork, 4)?;
    Ok(DeliveredPayload { payload, versioned_hashes, parent_beacon_block_root, requests })
}

/// Requests come in ascending order of their types, each type once and none empty (EIP-7685).
fn requests(list: Vec<Bytes>) -> Result<Requests, EngineApiError> {
    let mut last = None;
    for request in &list {
        let ty = request.first().filter(|_| request.len() > 1);
        let ty = ty.ok_or_else(|| invalid("an execution request without data"))?;
        if last.is_some_and(|last| last >= *ty) {
            return Err(invalid("execution requests are not in ascending order of their types"));
        }
        last = Some(*ty);
    }
    Ok(Requests::new(list))
}

/// Versions 1 and 2 are for forks before Cancun, 3 for Cancun, 4 for Prague and, where `newest`
/// is 4, all that follow, 5 for Osaka and all that follow.
pub(super) fn check_fork(
    method: &str,
    version: u8,
    fork: Fork,
    newest: u8,
) -> Result<(), EngineApiError> {
    let fits = match version {
        1 | 2 => fork < Fork::Cancun,
        3 => fork >= Fork::Cancun && fork < Fork::Prague,
        4 if newest == 4 => fork >= Fork::Prague,
        4 => fork >= Fork::Prague && fork < Fork::Osaka,
        _ => fork >= Fork::Osaka,
    };
    if fits {
        return Ok(());
    }
    Err(EngineApiError::UnsupportedFork(format!("{method}V{version} is not for {fork}")))
}

/// The attributes of `engine_forkchoiceUpdatedV{version}`.
///
/// # Errors
/// [`EngineApiError::InvalidAttributes`] if they are not those of the version,
/// [`EngineApiError::UnsupportedFork`] if the version is not for their fork. The fork choice
/// stands in either case.
pub(super) fn attributes<C: Payloads>(
    chain: &C,
    version: u8,
    next_number: u64,
    value: &RawValue,
) -> Result<Option<C::Attributes>, EngineApiError> {
    let wrong = EngineApiError::InvalidAttributes;
    let attributes: Option<C::Attributes> =
        serde_json::from_str(value.get()).map_err(|error| wrong(error.to_string()))?;
    let Some(attributes) = attributes else { return Ok(None) };
    let fork = chain.engine_fork(next_number, C::attributes_timestamp(&attributes));
    let form = C::attributes_version(&attributes);
    let wanted = match version {
        1 => 1,
        2 if fork < Fork::Shanghai => 1,
        2 => 2,
        _ => 3,
    };
    if form != wanted {
        return Err(wrong(format!("attributes of form {form}, expected {wanted} in {fork}")));
    }
    let fits = if version < 3 { fork < Fork::Cancun } else { fork >= Fork::Cancun };
    if !fits {
        let reason = format!("engine_forkchoiceUpdatedV{version} is not for {fork}");
        return Err(EngineApiError::UnsupportedFork(reason));
    }
    Ok(Some(attributes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_must_ascend_and_hold_data() {
        let request = |bytes: &'static [u8]| Bytes::from_static(bytes);
        assert!(requests(vec![request(&[0, 1]), request(&[2, 1])]).is_ok());
        for list in [
            vec![request(&[])],
            vec![request(&[0])],
            vec![request(&[1, 1]), request(&[0, 1])],
            vec![request(&[1, 1]), request(&[1, 2])],
        ] {
            assert_eq!(requests(list).unwrap_err().code().0, -32602);
        }
    }

    #[test]
    fn versions_belong_to_forks() {
        for (version, newest, forks) in [
            (2, 4, &[Fork::Paris, Fork::Shanghai][..]),
            (3, 4, &[Fork::Cancun]),
            (4, 4, &[Fork::Prague, Fork::Osaka, Fork::Bpo1, Fork::Bpo2]),
            (4, 5, &[Fork::Prague]),
            (5, 5, &[Fork::Osaka, Fork::Bpo1, Fork::Bpo2]),
        ] {
            for fork in [
                Fork::Paris,
                Fork::Shanghai,
                Fork::Cancun,
                Fork::Prague,
                Fork::Osaka,
                Fork::Bpo1,
                Fork::Bpo2,
            ] {
                let fits = check_fork("method", version, fork, newest).is_ok();
                assert_eq!(fits, forks.contains(&fork), "V{version}/{newest} {fork}");
            }
        }
    }
}
