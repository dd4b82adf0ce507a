//! What a contract says when it reverts.

use alloy_primitives::U256;

/// `Error(string)` and `Panic(uint256)` of Solidity.
const ERROR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];

/// go-ethereum's sentence for a revert with this output.
pub fn revert_message(output: &[u8]) -> String {
    match revert_reason(output) {
        Some(reason) => format!("execution reverted: {reason}"),
        None => "execution reverted".to_owned(),
    }
}

/// The reason in the output of a revert, if it follows Solidity's ABI.
pub fn revert_reason(output: &[u8]) -> Option<String> {
    let (selector, data) = output.split_first_chunk::<4>()?;
    match *selector {
        ERROR => {
            let offset = word(data, 0)?;
            let length = word(data, offset)?;
            let text = data.get(offset.checked_add(32)?..)?.get(..length)?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        PANIC => {
            let code = U256::try_from_be_slice(data.get(..32)?)?;
            Some(panic_reason(code))
        }
        _ => None,
    }
}

fn word(data: &[u8], at: usize) -> Option<usize> {
    let word = U256::try_from_be_slice(data.get(at..at.checked_add(32)?)?)?;
    usize::try_from(word).ok()
}

/// Solidity's documentation § panic via assert.
fn panic_reason(code: U256) -> String {
    let known = match u64::try_from(code).unwrap_or(u64::MAX) {
        0x00 => "generic panic",
        0x01 => "assert(false)",
        0x11 => "arithmetic underflow or overflow",
        0x12 => "division or modulo by zero",
        0x21 => "enum overflow",
        0x22 => "invalid encoded storage byte array accessed",
        0x31 => "out-of-bounds array access; popping on an empty array",
        0x32 => "out-of-bounds access of an array or bytesN",
        0x41 => "out of memory",
        0x51 => "uninitialized function",
        _ => return format!("unknown panic code: {code:#x}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;

    #[test]
    fn solidity_errors_are_told_apart() {
        let error = hex!(
            "08c379a00000000000000000000000000000000000000000000000000000000000000020000000000000000000000000000000000000000000000000000000000000000a75736572206572726f72"
        );
        assert_eq!(revert_message(&error), "execution reverted: user error");
        let panic =
            hex!("4e487b710000000000000000000000000000000000000000000000000000000000000001");
        assert_eq!(revert_message(&panic), "execution reverted: assert(false)");
        assert_eq!(revert_message(b"whatever"), "execution reverted");
    }

    #[test]
    fn lying_lengths_give_no_reason() {
        let mut error = ERROR.to_vec();
        for (offset, length) in [(U256::MAX, U256::ONE), (U256::from(32), U256::MAX)] {
            error.truncate(4);
            error.extend(offset.to_be_bytes::<32>());
            error.extend(length.to_be_bytes::<32>());
            assert_eq!(revert_reason(&error), None);
        }
        for length in 0..error.len() {
            assert_eq!(revert_reason(&error[..length]), None);
        }
    }
}
