//! Deposit requests, read from the deposit contract's events (EIP-6110).

use alloc::vec::Vec;
use alloy_primitives::{Address, B256, Bytes, Log, U256, b256};

/// `keccak256("DepositEvent(bytes,bytes,bytes,bytes,bytes)")`.
const DEPOSIT_EVENT: B256 =
    b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");

/// The event's five byte strings: where each begins in the data, and its length. Public key,
/// withdrawal credentials, amount, signature, index.
const FIELDS: [(usize, usize); 5] = [(160, 48), (256, 32), (320, 8), (384, 96), (512, 8)];

/// The length of the event's data, in bytes.
const EVENT_BYTES: usize = 576;

/// The length of a deposit request, in bytes.
const REQUEST_BYTES: usize = 48 + 32 + 8 + 96 + 8;

/// The deposit requests (without the type byte) in the logs of one transaction.
///
/// # Errors
/// What is wrong with an event of the contract that is not laid out as EIP-6110 demands.
pub fn parse_deposits(contract: Address, logs: &[Log]) -> Result<Bytes, &'static str> {
    let mut requests = Vec::new();
    for log in logs {
        if log.address == contract && log.topics().first() == Some(&DEPOSIT_EVENT) {
            append_deposit(&log.data.data, &mut requests)?;
        }
    }
    Ok(requests.into())
}

fn append_deposit(data: &[u8], requests: &mut Vec<u8>) -> Result<(), &'static str> {
    if data.len() != EVENT_BYTES {
        return Err("the data is not 576 bytes long");
    }
    requests.reserve(REQUEST_BYTES);
    for (position, (offset, length)) in FIELDS.into_iter().enumerate() {
        if word(data, position * 32) != Some(U256::from(offset)) {
            return Err("a field does not begin where it must");
        }
        if word(data, offset) != Some(U256::from(length)) {
            return Err("a field does not have the length it must");
        }
        let start = offset + 32;
        requests.extend_from_slice(data.get(start..start + length).unwrap_or_default());
    }
    Ok(())
}

fn word(data: &[u8], offset: usize) -> Option<U256> {
    data.get(offset..offset + 32).and_then(U256::try_from_be_slice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    fn event() -> Vec<u8> {
        let mut data = vec![0; EVENT_BYTES];
        for (position, (offset, length)) in FIELDS.into_iter().enumerate() {
            data[position * 32..][..32].copy_from_slice(&U256::from(offset).to_be_bytes::<32>());
            data[offset..][..32].copy_from_slice(&U256::from(length).to_be_bytes::<32>());
            data[offset + 32..][..length].fill(position as u8 + 1);
        }
        data
    }

    fn log(data: Vec<u8>) -> Log {
        Log::new_unchecked(Address::repeat_byte(7), vec![DEPOSIT_EVENT], data.into())
    }

    #[test]
    fn the_fields_are_joined_in_order() {
        let requests = parse_deposits(Address::repeat_byte(7), &[log(event())]).unwrap();
        assert_eq!(requests.len(), REQUEST_BYTES);
        assert_eq!(requests[..48], [1; 48]);
        assert_eq!(requests[184..], [5; 8]);
    }

    #[test]
    fn any_other_layout_is_refused() {
        for byte in (0..160).step_by(32).map(|word| word + 31).chain([191, 287, 351, 415, 543]) {
            let mut data = event();
            data[byte] ^= 1;
            assert!(parse_deposits(Address::repeat_byte(7), &[log(data)]).is_err(), "byte {byte}");
        }
        let mut long = event();
        long.push(0);
        assert!(parse_deposits(Address::repeat_byte(7), &[log(long)]).is_err());
    }

    #[test]
    fn events_of_other_contracts_are_ignored() {
        assert!(parse_deposits(Address::ZERO, &[log(vec![1])]).unwrap().is_empty());
    }
}
