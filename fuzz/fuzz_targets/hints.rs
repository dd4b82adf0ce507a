//! A hint from bytes, ours or another program's: nothing panics, what is read as ours is written as the same
//! bytes, and what is shown of it is short.

#![no_main]

use libfuzzer_sys::fuzz_target;
use lockstep_host::Request;
use lockstep_preimage::Hint;

fuzz_target!(|bytes: &[u8]| {
    let ours = Hint::decode(bytes);
    if let Ok(hint) = &ours {
        assert_eq!(hint.encode().as_bytes(), bytes, "a hint that is written as other bytes");
    }
    match Request::decode(bytes) {
        Ok(Some(request)) => assert!(request.to_string().len() < 400, "a long hint is shown"),
        Ok(None) | Err(_) => assert!(ours.is_err(), "a hint of ours is not understood"),
    }
});
