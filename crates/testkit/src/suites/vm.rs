//! VM tests: one call frame under the rules of Frontier.

use super::state::header;
use crate::{
    fields::HexBytes,
    model::{account::Accounts, vm::VmTest},
    world::{differences, logs_hash, memory_state},
};
use alloy_consensus::{SignableTransaction, Transaction, TxLegacy};
use alloy_evm::{Evm, EvmFactory};
use alloy_primitives::{Address, Bytes, Signature, U256};
use lockstep_chain::{Ethereum, EthereumHardfork, EthereumTransaction, ForkSchedule};
use lockstep_execution::{BlockState, Execute, MemoryState};

/// Runs one test.
///
/// The frame becomes the top frame of a transaction: its sender is the caller, rich enough to pay,
/// and its gas is the frame's and what a transaction costs before its first instruction.
///
/// # Errors
/// What differed.
pub fn run(test: &VmTest) -> Result<(), String> {
    let exec = &test.exec;
    if exec.caller != exec.origin {
        return Err("exec.caller is not exec.origin, as it is in the top frame".into());
    }
    let chain = Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Frontier));
    let mut header = header(&chain, &test.env);
    let before = state_before(test);
    let intrinsic_gas = intrinsic_gas(&exec.data.0);
    let transaction = transaction(test, intrinsic_gas)?;
    // Some frames have more gas than their block, which a transaction cannot.
    header.gas_limit = header.gas_limit.max(transaction.gas_limit());
    let state = BlockState::new(&before, chain.state_rules(&header));
    let mut evm = chain.evm_factory(&header).create_evm(state, chain.evm_env(&header));
    let result = evm
        .transact_commit(chain.tx_env(&transaction, exec.caller))
        .map_err(|error| error.to_string())?;
    let Some(post) = &test.post else {
        return match result.is_success() {
            true => Err("the call succeeded, expected it to fail".into()),
            false => Ok(()),
        };
    };
    if !result.is_success() {
        return Err(format!("the call failed: {result:?}"));
    }
    let gas_used = result.gas().total_gas_spent().saturating_sub(intrinsic_gas);
    expect("gas", test.gas.map(|gas| gas.0), &exec.gas.0.saturating_sub(gas_used))?;
    expect(
        "out",
        test.out.clone().map(|out| out.0),
        &result.output().cloned().unwrap_or_default(),
    )?;
    expect("logs", test.logs, &logs_hash(result.logs()))?;
    let mut after = before.clone();
    after.apply(&evm.db().changes());
    expect_accounts(post, &after, [exec.caller, test.env.current_coinbase])
}

fn expect<T: PartialEq + core::fmt::Debug>(
    what: &str,
    expected: Option<T>,
    got: &T,
) -> Result<(), String> {
    match expected {
        Some(expected) if expected != *got => {
            Err(format!("{what}: expected {expected:?}, got {got:?}"))
        }
        _ => Ok(()),
    }
}

/// The test's state, with a caller who can send the transaction, and the call's value not yet with the callee.
fn state_before(test: &VmTest) -> MemoryState {
    let mut accounts = test.pre.clone();
    let caller = accounts.entry(test.exec.caller).or_default();
    caller.balance.0 = U256::MAX >> 1;
    // No transaction comes from an account with code (EIP-3607).
    caller.code = HexBytes::default();
    if test.exec.address != test.exec.caller {
        let callee = accounts.entry(test.exec.address).or_default();
        callee.balance.0 = callee.balance.0.saturating_sub(test.exec.value.0);
        callee.code = test.exec.code.clone();
    }
    memory_state(&accounts)
}

/// What a call costs before its first instruction (Yellow Paper of Frontier).
fn intrinsic_gas(data: &Bytes) -> u64 {
    let zeros = data.iter().filter(|byte| **byte == 0).count() as u64;
    21_000 + 4 * zeros + 68 * (data.len() as u64 - zeros)
}

fn transaction(test: &VmTest, intrinsic_gas: u64) -> Result<EthereumTransaction, String> {
    let exec = &test.exec;
    let gas_price = u128::try_from(exec.gas_price.0).map_err(|_| "exec.gasPrice is too high")?;
    let gas_limit = exec.gas.0.checked_add(intrinsic_gas).ok_or("exec.gas is too much")?;
    let transaction = TxLegacy {
        nonce: test.pre.get(&exec.caller).map_or(0, |caller| caller.nonce.0),
        gas_price,
        gas_limit,
        to: exec.address.into(),
        value: exec.value.0,
        input: exec.data.0.clone(),
        ..Default::default()
    };
    Ok(transaction.into_signed(Signature::test_signature()).into())
}

/// The accounts are as expected, but for those that a transaction touches besides its frame.
fn expect_accounts(
    expected: &Accounts,
    got: &MemoryState,
    except: [Address; 2],
) -> Result<(), String> {
    let mut expected = expected.clone();
    expected.retain(|address, _| !except.contains(address));
    let mut relevant = MemoryState::default();
    for (address, account) in got.accounts().filter(|(address, _)| !except.contains(*address)) {
        let code = got.code_of(&account.info.code_hash).cloned().unwrap_or_default();
        relevant.set_account(*address, account.info.nonce, account.info.balance, code);
        for (slot, value) in &account.storage {
            relevant.set_slot(*address, *slot, *value);
        }
    }
    match differences(&expected, &relevant) {
        difference if difference.is_empty() => Ok(()),
        difference => Err(difference),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stores 1 in slot 0: two pushes of 3 gas and a store of 20,000.
    const TEST: &str = r#"{
        "env": {"currentCoinbase": "0x00000000000000000000000000000000000000cb",
            "currentDifficulty": "0x020000", "currentGasLimit": "0x0f4240",
            "currentNumber": "0x01", "currentTimestamp": "0x03e8"},
        "exec": {"address": "0x0000000000000000000000000000000000000aaa",
            "caller": "0x0000000000000000000000000000000000000bbb",
            "origin": "0x0000000000000000000000000000000000000bbb",
            "code": "0x600160005500", "data": "0x00ff", "gas": "0x0186a0", "gasPrice": "0x01",
            "value": "0x07"},
        "pre": {"0x0000000000000000000000000000000000000aaa":
            {"balance": "0x07", "code": "0x600160005500", "nonce": "0x00", "storage": {}}},
        "post": {"0x0000000000000000000000000000000000000aaa":
            {"balance": "0x07", "code": "0x600160005500", "nonce": "0x00", "storage": {"0x": "0x01"}}},
        "gas": "79994", "out": "0x",
        "logs": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
    }"#;

    fn run_text(text: &str) -> Result<(), String> {
        run(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn gas_storage_and_balance_of_a_frame_are_compared() {
        assert_eq!(run_text(TEST), Ok(()));
        let error = run_text(&TEST.replace("79994", "79993")).unwrap_err();
        assert_eq!(error, "gas: expected 79993, got 79994");
        let error = run_text(&TEST.replace(r#""0x": "0x01""#, r#""0x": "0x02""#)).unwrap_err();
        assert!(error.contains("[0x0]: expected 0x2, got 0x1"), "{error}");
    }

    #[test]
    fn a_frame_that_must_fail_and_does_not_is_a_failure() {
        let without_post = TEST.replace("\"post\"", "\"ignored\"");
        assert!(run_text(&without_post).unwrap_err().contains("succeeded"));
        let out_of_gas = without_post.replace("0x0186a0", "0x4e25");
        assert_eq!(run_text(&out_of_gas), Ok(()));
    }
}
