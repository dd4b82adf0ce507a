//! The contracts that a rollup has from its first block on (OP specification: predeploys).

use crate::{
    BridgedToken, FeeVault, GasPriceOracle, Gate, L1Block, L2ToL1MessagePasser, TokenBridge, WETH9,
    storage::{Slots, word},
};
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, Bytes, U256, address, bytes};
use lockstep_chain::OpHardfork;
use std::collections::BTreeMap;

/// Where [`WETH9`] is.
pub const WETH: Address = address!("4200000000000000000000000000000000000006");
/// Where [`GasPriceOracle`] is.
pub const GAS_PRICE_ORACLE: Address = address!("420000000000000000000000000000000000000F");
/// Where the [`FeeVault`] of priority fees is.
pub const SEQUENCER_FEE_VAULT: Address = address!("4200000000000000000000000000000000000011");
/// Where [`L1Block`] is.
pub const L1_BLOCK: Address = address!("4200000000000000000000000000000000000015");
/// Where [`L2ToL1MessagePasser`] is.
pub const MESSAGE_PASSER: Address = address!("4200000000000000000000000000000000000016");
/// Where the [`FeeVault`] of base fees is.
pub const BASE_FEE_VAULT: Address = address!("4200000000000000000000000000000000000019");
/// Where the [`FeeVault`] of L1 fees is.
pub const L1_FEE_VAULT: Address = address!("420000000000000000000000000000000000001A");
/// Where the [`FeeVault`] of operator fees is.
pub const OPERATOR_FEE_VAULT: Address = address!("420000000000000000000000000000000000001b");
/// Where [`Gate`] is, on rollups of a union.
pub const GATE: Address = address!("42000000000000000000000000000000000000E0");
/// The port, on rollups of a union: proxies send their calls here, and the executor carries them out.
pub const PORT: Address = address!("42000000000000000000000000000000000000E1");
/// Where [`TokenBridge`] is, on rollups of a union.
pub const TOKEN_BRIDGE: Address = address!("42000000000000000000000000000000000000E2");
/// Where the code is that all tokens of L1 on a rollup of a union share: [`BridgedToken`].
pub const BRIDGED_TOKEN: Address = address!("42000000000000000000000000000000000000E3");

/// What an executor without the rules of super transactions fails at: an invalid instruction.
const PORT_CODE: Bytes = bytes!("fe");

/// Who gets the fees that the vaults collect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeeRecipient {
    /// An account on L1; fees are withdrawn to it.
    OnL1(Address),
    /// An account on the rollup.
    OnRollup(Address),
}

/// The rollup's own contracts, for a genesis at which `fork` is active.
///
/// The vaults pay `fees_to` when there are at least `min_withdrawal` wei in one of them. The contracts
/// know all forks up to Jovian; what differs is which formula [`GasPriceOracle`] begins with.
pub fn predeploys(
    fork: OpHardfork,
    fees_to: FeeRecipient,
    min_withdrawal: U256,
) -> BTreeMap<Address, GenesisAccount> {
    let plain = |code| Slots::default().into_account(code);
    let vault = vault(fees_to, min_withdrawal);
    BTreeMap::from([
        (WETH, plain(&WETH9::DEPLOYED_BYTECODE)),
        (GAS_PRICE_ORACLE, gas_price_oracle(fork)),
        (L1_BLOCK, plain(&L1Block::DEPLOYED_BYTECODE)),
        (MESSAGE_PASSER, plain(&L2ToL1MessagePasser::DEPLOYED_BYTECODE)),
        (SEQUENCER_FEE_VAULT, vault.clone()),
        (BASE_FEE_VAULT, vault.clone()),
        (L1_FEE_VAULT, vault.clone()),
        (OPERATOR_FEE_VAULT, vault),
    ])
}

/// What a rollup of a union has besides [`predeploys`], from its first block on: [`GATE`] and [`PORT`]
/// (rule 1.1 of super transactions), [`TOKEN_BRIDGE`] and [`BRIDGED_TOKEN`]. The bridge believes `token_portal`, the
/// rollup's [`TokenPortal`](crate::TokenPortal) on L1. Proxies need Shanghai, which is Canyon on a rollup.
pub fn union_predeploys(token_portal: Address) -> BTreeMap<Address, GenesisAccount> {
    let bridge = Slots::default().pack(0, [(word(token_portal), 160)]);
    // Nobody can begin the shared code itself: it has its bridge.
    let token = Slots::default().pack(6, [(word(TOKEN_BRIDGE), 160)]);
    BTreeMap::from([
        (GATE, Slots::default().into_account(&Gate::DEPLOYED_BYTECODE)),
        (PORT, Slots::default().into_account(&PORT_CODE)),
        (TOKEN_BRIDGE, bridge.into_account(&TokenBridge::DEPLOYED_BYTECODE)),
        (BRIDGED_TOKEN, token.into_account(&BridgedToken::DEPLOYED_BYTECODE)),
    ])
}

fn gas_price_oracle(fork: OpHardfork) -> GenesisAccount {
    let forks = [OpHardfork::Ecotone, OpHardfork::Fjord, OpHardfork::Isthmus, OpHardfork::Jovian];
    let flags = forks.map(|switched| (U256::from(fork >= switched), 8));
    Slots::default().pack(0, flags).into_account(&GasPriceOracle::DEPLOYED_BYTECODE)
}

fn vault(fees_to: FeeRecipient, min_withdrawal: U256) -> GenesisAccount {
    let (recipient, network) = match fees_to {
        FeeRecipient::OnL1(recipient) => (recipient, 0),
        FeeRecipient::OnRollup(recipient) => (recipient, 1),
    };
    Slots::default()
        .pack(1, [(word(recipient), 160), (U256::from(network), 8)])
        .pack(2, [(min_withdrawal, 256)])
        .into_account(&FeeVault::DEPLOYED_BYTECODE)
}
