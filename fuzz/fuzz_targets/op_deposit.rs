//! Logs of the L1 contracts: nothing panics, and what was read is announced by an equal log.
//!
//! Input: the number of topics and which of them are the event's own, the other topics, then the data.

#![no_main]

use alloy_primitives::{Address, B256, Bytes, LogData};
use libfuzzer_sys::fuzz_target;
use lockstep_protocol::{
    CONFIG_UPDATE_TOPIC, L1Attributes, MESSAGE_PASSED_TOPIC, SystemConfigUpdate,
    TRANSACTION_DEPOSITED_TOPIC, Withdrawal, deposit_from_log, deposit_log,
};

fuzz_target!(|bytes: &[u8]| {
    let _ = L1Attributes::decode(bytes);
    let Some((form, mut rest)) = bytes.split_first() else { return };
    let topic = match form >> 4 & 3 {
        0 => TRANSACTION_DEPOSITED_TOPIC,
        1 => CONFIG_UPDATE_TOPIC,
        2 => MESSAGE_PASSED_TOPIC,
        _ => B256::ZERO,
    };
    let mut topics = vec![topic];
    for index in 0..form & 3 {
        let mut word = B256::ZERO;
        if let Some((byte, after)) = rest.split_first() {
            // A byte repeated makes an address; a small number alone a version or a type.
            word = if *byte < 16 { B256::with_last_byte(*byte) } else { B256::repeat_byte(*byte) };
            rest = after;
        }
        if topic == CONFIG_UPDATE_TOPIC && index == 0 {
            word = B256::ZERO;
        }
        topics.push(word);
    }
    if topic == TRANSACTION_DEPOSITED_TOPIC && topics.len() == 4 {
        topics[3] = B256::ZERO;
    }
    let log = LogData::new_unchecked(topics, Bytes::copy_from_slice(rest));
    if let Ok(deposit) = deposit_from_log(&log, B256::ZERO, 0) {
        let again = deposit_log(&deposit, Address::ZERO);
        assert_eq!(deposit_from_log(&again, B256::ZERO, 0), Ok(deposit));
    }
    if let Ok(update) = SystemConfigUpdate::from_log(&log) {
        assert_eq!(SystemConfigUpdate::from_log(&update.to_log(Address::ZERO)), Ok(update));
    }
    if let Ok(withdrawal) = Withdrawal::from_log(&log) {
        assert_eq!(Withdrawal::from_log(&withdrawal.to_log(Address::ZERO)), Ok(withdrawal));
    }
});
