//! The transactions by which a fork upgrades a rollup's contracts, in its first block
//! (OP specification: derivation of Ecotone, Fjord, Isthmus, Jovian and Interop).

use crate::{
    DepositSource, L1_ATTRIBUTES_DEPOSITOR, L1_BLOCK,
    predeploys::{
        CROSS_L2_INBOX, GAS_PRICE_ORACLE, L2_TO_L2_CROSS_DOMAIN_MESSENGER, OPERATOR_FEE_VAULT,
    },
};
use alloc::vec::Vec;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, TxKind, U256, address};
use lockstep_chain::OpHardfork;
use op_alloy_consensus::TxDeposit;

/// Accounts that only ever deploy one contract each.
const ECOTONE_L1_BLOCK_DEPLOYER: Address = address!("4210000000000000000000000000000000000000");
const ECOTONE_ORACLE_DEPLOYER: Address = address!("4210000000000000000000000000000000000001");
const FJORD_ORACLE_DEPLOYER: Address = address!("4210000000000000000000000000000000000002");
const ISTHMUS_L1_BLOCK_DEPLOYER: Address = address!("4210000000000000000000000000000000000003");
const ISTHMUS_ORACLE_DEPLOYER: Address = address!("4210000000000000000000000000000000000004");
const ISTHMUS_VAULT_DEPLOYER: Address = address!("4210000000000000000000000000000000000005");
const JOVIAN_L1_BLOCK_DEPLOYER: Address = address!("4210000000000000000000000000000000000006");
const JOVIAN_ORACLE_DEPLOYER: Address = address!("4210000000000000000000000000000000000007");
const INTEROP_INBOX_DEPLOYER: Address = address!("4220000000000000000000000000000000000000");
const INTEROP_MESSENGER_DEPLOYER: Address = address!("4220000000000000000000000000000000000001");
/// The senders that EIP-4788 and EIP-2935 name.
const BEACON_ROOTS_DEPLOYER: Address = address!("0B799C86a49DEeb90402691F1041aa3AF2d3C875");
const BLOCK_HASHES_DEPLOYER: Address = address!("3462413Af4609098e1E27A490f554f260213D685");

/// What a transaction of an upgrade does.
#[derive(Clone, Copy)]
enum Action {
    /// Deploys the contract with this initialisation code.
    Deploy(Address, &'static [u8]),
    /// Makes a proxy point to what an account deployed: `upgradeTo(address)`.
    UpgradeProxy(Address, Address),
    /// Tells a predeploy that the fork is active: a call without arguments.
    Enable(Address, [u8; 4]),
}

/// A transaction of an upgrade: its intent, its gas limit, and what it does.
type Upgrade = (&'static str, u64, Action);

/// `upgradeTo(address)`.
const UPGRADE_TO: [u8; 4] = [0x36, 0x59, 0xcf, 0xe6];

const UPGRADE_GAS: u64 = 50_000;

use Action::{Deploy, Enable, UpgradeProxy};

const ECOTONE: [Upgrade; 6] = [
    (
        "Ecotone: L1 Block Deployment",
        375_000,
        Deploy(ECOTONE_L1_BLOCK_DEPLOYER, include_bytes!("../data/upgrades/ecotone_l1_block.bin")),
    ),
    (
        "Ecotone: Gas Price Oracle Deployment",
        1_000_000,
        Deploy(
            ECOTONE_ORACLE_DEPLOYER,
            include_bytes!("../data/upgrades/ecotone_gas_price_oracle.bin"),
        ),
    ),
    (
        "Ecotone: L1 Block Proxy Update",
        UPGRADE_GAS,
        UpgradeProxy(L1_BLOCK, ECOTONE_L1_BLOCK_DEPLOYER),
    ),
    (
        "Ecotone: Gas Price Oracle Proxy Update",
        UPGRADE_GAS,
        UpgradeProxy(GAS_PRICE_ORACLE, ECOTONE_ORACLE_DEPLOYER),
    ),
    (
        "Ecotone: Gas Price Oracle Set Ecotone",
        80_000,
        Enable(GAS_PRICE_ORACLE, [0x22, 0xb9, 0x0a, 0xb3]),
    ),
    (
        "Ecotone: beacon block roots contract deployment",
        250_000,
        Deploy(BEACON_ROOTS_DEPLOYER, include_bytes!("../data/upgrades/ecotone_beacon_roots.bin")),
    ),
];

const FJORD: [Upgrade; 3] = [
    (
        "Fjord: Gas Price Oracle Deployment",
        1_450_000,
        Deploy(
            FJORD_ORACLE_DEPLOYER,
            include_bytes!("../data/upgrades/fjord_gas_price_oracle.bin"),
        ),
    ),
    (
        "Fjord: Gas Price Oracle Proxy Update",
        UPGRADE_GAS,
        UpgradeProxy(GAS_PRICE_ORACLE, FJORD_ORACLE_DEPLOYER),
    ),
    (
        "Fjord: Gas Price Oracle Set Fjord",
        90_000,
        Enable(GAS_PRICE_ORACLE, [0x8e, 0x98, 0xb1, 0x06]),
    ),
];

const ISTHMUS: [Upgrade; 8] = [
    (
        "Isthmus: L1 Block Deployment",
        425_000,
        Deploy(ISTHMUS_L1_BLOCK_DEPLOYER, include_bytes!("../data/upgrades/isthmus_l1_block.bin")),
    ),
    (
        "Isthmus: Gas Price Oracle Deployment",
        1_625_000,
        Deploy(
            ISTHMUS_ORACLE_DEPLOYER,
            include_bytes!("../data/upgrades/isthmus_gas_price_oracle.bin"),
        ),
    ),
    (
        "Isthmus: Operator Fee Vault Deployment",
        500_000,
        Deploy(
            ISTHMUS_VAULT_DEPLOYER,
            include_bytes!("../data/upgrades/isthmus_operator_fee_vault.bin"),
        ),
    ),
    (
        "Isthmus: L1 Block Proxy Update",
        UPGRADE_GAS,
        UpgradeProxy(L1_BLOCK, ISTHMUS_L1_BLOCK_DEPLOYER),
    ),
    (
        "Isthmus: Gas Price Oracle Proxy Update",
        UPGRADE_GAS,
        UpgradeProxy(GAS_PRICE_ORACLE, ISTHMUS_ORACLE_DEPLOYER),
    ),
    (
        "Isthmus: Operator Fee Vault Proxy Update",
        UPGRADE_GAS,
        UpgradeProxy(OPERATOR_FEE_VAULT, ISTHMUS_VAULT_DEPLOYER),
    ),
    (
        "Isthmus: Gas Price Oracle Set Isthmus",
        90_000,
        Enable(GAS_PRICE_ORACLE, [0x29, 0x1b, 0x03, 0x83]),
    ),
    (
        "Isthmus: EIP-2935 Contract Deployment",
        250_000,
        Deploy(BLOCK_HASHES_DEPLOYER, include_bytes!("../data/upgrades/isthmus_block_hashes.bin")),
    ),
];

// The specification words the first four otherwise ("L1Block", "GasPriceOracle"); these are the
// intents of the implementations that derived the public chains.
const JOVIAN: [Upgrade; 5] = [
    (
        "Jovian: L1 Block Deployment",
        447_315,
        Deploy(JOVIAN_L1_BLOCK_DEPLOYER, include_bytes!("../data/upgrades/jovian_l1_block.bin")),
    ),
    (
        "Jovian: L1 Block Proxy Update",
        UPGRADE_GAS,
        UpgradeProxy(L1_BLOCK, JOVIAN_L1_BLOCK_DEPLOYER),
    ),
    (
        "Jovian: Gas Price Oracle Deployment",
        1_750_714,
        Deploy(
            JOVIAN_ORACLE_DEPLOYER,
            include_bytes!("../data/upgrades/jovian_gas_price_oracle.bin"),
        ),
    ),
    (
        "Jovian: Gas Price Oracle Proxy Update",
        UPGRADE_GAS,
        UpgradeProxy(GAS_PRICE_ORACLE, JOVIAN_ORACLE_DEPLOYER),
    ),
    (
        "Jovian: Gas Price Oracle Set Jovian",
        90_000,
        Enable(GAS_PRICE_ORACLE, [0xb3, 0xd7, 0x20, 0x79]),
    ),
];

const INTEROP: [Upgrade; 4] = [
    (
        "Interop: CrossL2Inbox Deployment",
        420_000,
        Deploy(
            INTEROP_INBOX_DEPLOYER,
            include_bytes!("../data/upgrades/interop_cross_l2_inbox.bin"),
        ),
    ),
    (
        "Interop: CrossL2Inbox Proxy Update",
        UPGRADE_GAS,
        UpgradeProxy(CROSS_L2_INBOX, INTEROP_INBOX_DEPLOYER),
    ),
    (
        "Interop: L2ToL2CrossDomainMessenger Deployment",
        1_100_000,
        Deploy(
            INTEROP_MESSENGER_DEPLOYER,
            include_bytes!("../data/upgrades/interop_l2_to_l2_messenger.bin"),
        ),
    ),
    (
        "Interop: L2ToL2CrossDomainMessenger Proxy Update",
        UPGRADE_GAS,
        UpgradeProxy(L2_TO_L2_CROSS_DOMAIN_MESSENGER, INTEROP_MESSENGER_DEPLOYER),
    ),
];

/// The transactions that the first block of `fork` carries behind its deposits, as EIP-2718 encodes
/// them, in order. Most forks need none.
///
/// Of the forks after Jovian, which are not supported ([`RollupConfig::unsupported_fork`]), Karst's
/// are not known here, and Interop's are those of a draft.
///
/// [`RollupConfig::unsupported_fork`]: crate::RollupConfig::unsupported_fork
pub fn upgrade_transactions(fork: OpHardfork) -> Vec<Bytes> {
    let upgrades: &[Upgrade] = match fork {
        OpHardfork::Ecotone => &ECOTONE,
        OpHardfork::Fjord => &FJORD,
        OpHardfork::Isthmus => &ISTHMUS,
        OpHardfork::Jovian => &JOVIAN,
        OpHardfork::Interop => &INTEROP,
        _ => &[],
    };
    upgrades.iter().map(|upgrade| deposit(*upgrade).encoded_2718().into()).collect()
}

fn deposit((intent, gas_limit, action): Upgrade) -> TxDeposit {
    let (from, to, input) = match action {
        Deploy(deployer, code) => (deployer, TxKind::Create, Bytes::from_static(code)),
        UpgradeProxy(proxy, deployer) => {
            let implementation = deployer.create(0).into_word();
            let input = [UPGRADE_TO.as_slice(), implementation.as_slice()].concat();
            (Address::ZERO, TxKind::Call(proxy), input.into())
        }
        Enable(predeploy, selector) => {
            let input = Bytes::copy_from_slice(&selector);
            (L1_ATTRIBUTES_DEPOSITOR, TxKind::Call(predeploy), input)
        }
    };
    TxDeposit {
        source_hash: DepositSource::Upgrade { intent }.hash(),
        from,
        to,
        mint: 0,
        value: U256::ZERO,
        gas_limit,
        is_system_transaction: false,
        input,
    }
}
