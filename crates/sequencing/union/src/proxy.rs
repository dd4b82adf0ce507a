//! Proxies: their code, their addresses, and what they send to the port.

use alloc::vec::Vec;
use alloy_primitives::{Address, B256, Bytes, ChainId, U256, hex};
use lockstep_chain::{GATE, PORT};

/// What comes before and after the port's address in the code of every proxy (rule 1.2).
const CODE_BEFORE_PORT: &[u8] =
    &hex!("604060" "3c5f39" "33604052" "365f606037" "5f5f366060015f" "3473");
const CODE_AFTER_PORT: &[u8] = &hex!("5af1" "3d5f5f3e" "6038573d5ffd" "5b3d5ff3");
/// Returns the proxy's code, which follows it (rule 1.3).
const INIT_CODE: &[u8] = &hex!("607c8060093d393df3");
const WORD: usize = 32;
/// Chain, target and caller come before the calldata (rule 1.5).
const HEADER_BYTES: usize = 3 * WORD;

/// The code of the proxy of `target` on `chain`, on any rollup of the union (rule 1.2).
pub fn proxy_code(chain: ChainId, target: Address) -> Bytes {
    let mut code = Vec::with_capacity(124);
    code.extend_from_slice(CODE_BEFORE_PORT);
    code.extend_from_slice(PORT.as_slice());
    code.extend_from_slice(CODE_AFTER_PORT);
    code.extend_from_slice(&U256::from(chain).to_be_bytes::<WORD>());
    code.extend_from_slice(target.into_word().as_slice());
    code.into()
}

/// The code that makes the proxy of `target` on `chain` (rule 1.3).
pub fn proxy_init_code(chain: ChainId, target: Address) -> Bytes {
    [INIT_CODE, &proxy_code(chain, target)].concat().into()
}

/// The address of the proxy of `target` on `chain`, on any rollup of the union (rule 1.3).
pub fn proxy_of(chain: ChainId, target: Address) -> Address {
    GATE.create2_from_code(B256::ZERO, proxy_init_code(chain, target))
}

/// What a proxy asks of the port (rule 1.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortInput {
    pub(crate) chain: ChainId,
    pub(crate) target: Address,
    /// Who called the proxy.
    pub(crate) caller: Address,
    pub(crate) calldata: Bytes,
}

impl PortInput {
    /// Reads the input of a call to the port; `None` unless a proxy could have made it.
    pub(crate) fn decode(input: &Bytes) -> Option<Self> {
        let chain = U256::try_from_be_slice(input.get(..WORD)?)?;
        Some(Self {
            chain: chain.try_into().ok()?,
            target: address(input.get(WORD..2 * WORD)?)?,
            caller: address(input.get(2 * WORD..HEADER_BYTES)?)?,
            calldata: input.slice(HEADER_BYTES..),
        })
    }
}

fn address(word: &[u8]) -> Option<Address> {
    let (padding, address) = word.split_at_checked(WORD - Address::len_bytes())?;
    padding.iter().all(|byte| *byte == 0).then(|| Address::from_slice(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_has_the_lengths_that_it_speaks_of() {
        let code = proxy_code(7, Address::repeat_byte(1));
        assert_eq!(code.len(), 124);
        assert_eq!(code.get(0x38), Some(&0x5b), "the jump destination");
        assert_eq!(code.get(0x3c..0x5c), Some(U256::from(7).to_be_bytes::<WORD>().as_slice()));
    }

    #[test]
    fn an_address_with_a_dirty_upper_part_is_refused() {
        let mut input = alloc::vec![0; HEADER_BYTES];
        assert!(PortInput::decode(&input.clone().into()).is_some());
        assert!(PortInput::decode(&input.clone().split_off(1).into()).is_none());
        for dirty in [0, WORD, 2 * WORD] {
            input[dirty] = 1;
            assert!(PortInput::decode(&input.clone().into()).is_none());
            input[dirty] = 0;
        }
    }
}
