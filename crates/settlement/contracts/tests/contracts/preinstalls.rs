//! Contracts of others are what their authors signed.

use crate::machine::Machine;
use alloy_consensus::{SignableTransaction, TxLegacy, transaction::SignerRecoverable};
use alloy_primitives::{Address, Bytes, Signature, TxKind, U256, hex, uint};
use alloy_sol_types::{SolCall, sol};
use lockstep_chain::OpHardfork;
use lockstep_contracts::{
    CREATE2_DEPLOYER, FeeRecipient, L2ToL1MessagePasser, MESSAGE_PASSER, MULTICALL3, predeploys,
    preinstalls,
};
use op_alloy_consensus::OpTxEnvelope;

sol! {
    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }
    struct Result {
        bool success;
        bytes returnData;
    }
    function aggregate3(Call3[] calls) returns (Result[]);
}

/// The price that all of these transactions pay, in wei.
const GAS_PRICE: u128 = 100_000_000_000;

/// Where the contract with this code was created, if the signature of the transaction is right.
fn created_at(init_code: Vec<u8>, gas_limit: u64, signature: Signature) -> Address {
    let tx = TxLegacy {
        chain_id: None,
        nonce: 0,
        gas_price: GAS_PRICE,
        gas_limit,
        to: TxKind::Create,
        value: U256::ZERO,
        input: init_code.into(),
    };
    let signed = OpTxEnvelope::from(tx.into_signed(signature));
    signed.recover_signer().expect("the signature is one").create(0)
}

fn code_of(address: Address) -> Bytes {
    preinstalls()[&address].code.clone().expect("it has code")
}

#[test]
fn code_is_what_was_signed_for() {
    // Returns the code that follows it.
    let multicall3 = hex!("608060405234801561001057600080fd5b50610ee0806100206000396000f3fe");
    let signature = Signature::new(
        uint!(0xedce47092c0f398cebf3ffc267f05c8e7076e3b89445e0fe50f6332273d4569b_U256),
        uint!(0x1b0b9d000e19b24c5869b0fc3b22b0d6fa47cd63316875cbbd577d76e6fde086_U256),
        true,
    );
    let init_code = [&multicall3, code_of(MULTICALL3).as_ref()].concat();
    assert_eq!(created_at(init_code, 1_000_000, signature), MULTICALL3);

    let deployer = hex!("604580600e600039806000f350fe");
    let twos = U256::from_be_bytes([0x22; 32]);
    let init_code = [&deployer, code_of(CREATE2_DEPLOYER).as_ref()].concat();
    let signature = Signature::new(twos, twos, false);
    assert_eq!(created_at(init_code, 100_000, signature), CREATE2_DEPLOYER);
}

#[test]
fn calls_are_made_in_batches() {
    let recipient = FeeRecipient::OnRollup(Address::ZERO);
    let mut accounts = predeploys(OpHardfork::Jovian, recipient, U256::ZERO);
    accounts.extend(preinstalls());
    let mut machine = Machine::new(OpHardfork::Jovian, accounts);
    let nonce = L2ToL1MessagePasser::messageNonceCall {}.abi_encode();
    let call = |call_data: &[u8]| Call3 {
        target: MESSAGE_PASSER,
        allowFailure: true,
        callData: Bytes::copy_from_slice(call_data),
    };
    let calls = vec![call(&nonce), call(&[0xff; 4])];
    let results = machine.read(MULTICALL3, &aggregate3Call { calls });
    assert_eq!(results.len(), 2);
    assert!(results[0].success && !results[1].success);
    assert_eq!(U256::from_be_slice(&results[0].returnData), U256::ONE << 240);
}
