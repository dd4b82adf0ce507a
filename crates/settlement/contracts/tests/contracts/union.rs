//! The contracts of a union on L1, in a genesis and created.

use crate::{
    genesis::{SETTINGS, code_of, storage, storage_of},
    machine::Machine,
};
use alloy_primitives::{Address, B256, FixedBytes, TxKind, U256, address};
use alloy_sol_types::{SolCall, SolConstructor, SolInterface};
use blst::min_pk::SecretKey;
use lockstep_chain::OpHardfork;
use lockstep_contracts::{
    BeaconChain, Delegation, Inbox, L1Addresses, L1Settings, Lookahead, MAX_EXIT_DELAY_SLOTS,
    MemberAddresses, OptedInProposer, Portal, Registry, SettingsError, StateLayout, TokenPortal,
    UnionAddresses, UnionHoldings, UnionPortal, UnionSettings, Vault, union_batch_hash,
    union_deployments, union_genesis_accounts, validator_key_root,
};
use std::collections::BTreeMap;

const DEPLOYER: Address = address!("00000000000000000000000000000000000000a4");
const ADMIN: Address = address!("00000000000000000000000000000000000000c1");
pub(crate) const SETTLEMENT: Address = address!("00000000000000000000000000000000000000c2");
const GATEWAY: Address = address!("00000000000000000000000000000000000000c3");
const OWNER: Address = address!("00000000000000000000000000000000000000c4");
/// The slot of the time at which a [`Machine`] begins.
const NOW: u64 = 1_000;
const EPOCH: u64 = 8;

/// Settings of which no two fields are the same.
pub(crate) fn settings() -> UnionSettings {
    let later = StateLayout { first_slot: 5_000, proposer_lookahead: 130, validators: 131 };
    UnionSettings {
        beacon: BeaconChain {
            genesis_time_s: 1_700_000_000 - 12 * NOW,
            seconds_per_slot: 12,
            slots_per_epoch: EPOCH,
            end_slot: 10_000,
            layouts: vec![StateLayout::fulu(20), later],
        },
        min_collateral: U256::from(1_000),
        exit_delay_slots: 50,
        first_slot: 90,
        window_slots: 64,
        admin: ADMIN,
        settlement: SETTLEMENT,
        rollups: vec![SETTINGS, L1Settings { l2_chain_id: 902, gas_limit: 30_000_000, ..SETTINGS }],
    }
}

fn secret(number: u8) -> SecretKey {
    SecretKey::key_gen(&[number; 32], &[]).unwrap()
}

fn key(number: u8) -> FixedBytes<48> {
    secret(number).sk_to_pk().compress().into()
}

/// A coordinate as EIP-2537 encodes it.
fn words(coordinate: &[u8]) -> [B256; 2] {
    let (high, low) = coordinate.split_at(16);
    [B256::left_padding_from(high), B256::from_slice(low)]
}

fn point(number: u8) -> Registry::G1Point {
    let bytes = secret(number).sk_to_pk().serialize();
    let ([x_high, x_low], [y_high, y_low]) = (words(&bytes[..48]), words(&bytes[48..]));
    Registry::G1Point { xHigh: x_high, xLow: x_low, yHigh: y_high, yLow: y_low }
}

fn sign(number: u8, root: B256) -> Registry::G2Point {
    let suite = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
    let bytes = secret(number).sign(root.as_slice(), suite, &[]).serialize();
    // Points are written with the second part of a coordinate first.
    let [x1, x0, y1, y0] = [0, 48, 96, 144].map(|at| words(&bytes[at..at + 48]));
    Registry::G2Point {
        x0High: x0[0],
        x0Low: x0[1],
        x1High: x1[0],
        x1Low: x1[1],
        y0High: y0[0],
        y0Low: y0[1],
        y1High: y1[0],
        y1Low: y1[1],
    }
}

/// Two proposers, one with two delegations that it could record now, and ether of one rollup.
fn holdings() -> UnionHoldings {
    let first = NOW + 2 * EPOCH;
    let delegation = |first_slot, last_slot, gateway| Delegation { first_slot, last_slot, gateway };
    let delegations =
        vec![delegation(first, first + 9, GATEWAY), delegation(first + 11, first + 700, ADMIN)];
    UnionHoldings {
        proposers: vec![
            OptedInProposer {
                key: key(1),
                owner: OWNER,
                collateral: U256::from(1_001),
                delegations,
            },
            OptedInProposer {
                key: key(2),
                owner: ADMIN,
                collateral: U256::from(1_002),
                delegations: Vec::new(),
            },
        ],
        ether: BTreeMap::from([(902, U256::from(77))]),
    }
}

/// Creates a union by transactions.
pub(crate) fn deploy(machine: &mut Machine, settings: &UnionSettings) -> UnionAddresses {
    let addresses = UnionAddresses::created_by(DEPLOYER, 0, settings.rollups.len());
    for deployment in union_deployments(settings, &addresses).unwrap() {
        let created = machine.transact(DEPLOYER, TxKind::Create, 0, deployment.init_code);
        created.expect("the constructor succeeds");
        assert!(!code_of(machine, deployment.address).is_empty());
    }
    for (rollup, at) in settings.rollups.iter().zip(&addresses.rollups) {
        let rollup = U256::from(rollup.l2_chain_id);
        let (portal, token_portal) = (at.rollup.portal, at.token_portal);
        let call = Vault::addRollupCall { rollup, portal, tokenPortal: token_portal };
        machine.call(settings.admin, addresses.vault, &call);
    }
    addresses
}

/// Brings in by calls what a genesis can begin with.
fn fill(
    machine: &mut Machine,
    settings: &UnionSettings,
    addresses: &UnionAddresses,
    holdings: &UnionHoldings,
) {
    let registry = TxKind::Call(addresses.registry);
    for (number, proposer) in (1..).zip(&holdings.proposers) {
        let root = machine.read(
            addresses.registry,
            &Registry::registrationRootCall { owner: proposer.owner, registration: 0 },
        );
        let call = Registry::registerCall {
            key: point(number),
            owner: proposer.owner,
            signature: sign(number, root),
        };
        let collateral = proposer.collateral.to();
        machine.transact(OWNER, registry, collateral, call.abi_encode()).expect("it is registered");
        for it in &proposer.delegations {
            let delegation = Registry::Delegation {
                firstSlot: it.first_slot.try_into().unwrap(),
                lastSlot: it.last_slot.try_into().unwrap(),
                gateway: it.gateway,
            };
            let root = machine.read(
                addresses.registry,
                &Registry::delegationRootCall { delegation: delegation.clone(), registration: 0 },
            );
            let (key, signature) = (point(number), sign(number, root));
            let call = Registry::delegateCall { key, delegation, signature };
            machine.transact(OWNER, registry, 0, call.abi_encode()).expect("it is recorded");
        }
    }
    for (rollup, at) in settings.rollups.iter().zip(&addresses.rollups) {
        let Some(ether) = holdings.ether.get(&rollup.l2_chain_id) else { continue };
        let donation = UnionPortal::donateETHCall {}.abi_encode();
        machine.transact(OWNER, TxKind::Call(at.rollup.portal), ether.to(), donation).unwrap();
    }
}

#[test]
fn a_union_is_the_same_in_a_genesis_as_created() {
    let (settings, holdings) = (settings(), holdings());
    let mut machine = Machine::new(OpHardfork::Isthmus, BTreeMap::new());
    let addresses = deploy(&mut machine, &settings);
    fill(&mut machine, &settings, &addresses, &holdings);

    let mut accounts = union_genesis_accounts(&settings, &addresses, &holdings).unwrap();
    for at in addresses.rollups.iter().map(|member| member.rollup) {
        // A portal notes the block in which it begins.
        let first_block = machine.slot(at.portal, U256::ZERO) >> 192 << 192;
        assert_ne!(first_block, U256::ZERO);
        let portal = accounts.get_mut(&at.portal).unwrap().storage.as_mut().unwrap();
        let params = portal.get_mut(&B256::ZERO).unwrap();
        *params = B256::from(U256::from_be_bytes(params.0) | first_block);
    }
    assert_eq!(accounts.len(), 12);
    for (address, account) in &accounts {
        assert_eq!(storage(account), storage_of(&machine, *address), "{address}");
        assert_eq!(account.code, Some(code_of(&machine, *address)));
        assert_eq!(account.nonce, machine.state.get(address).map(|account| account.info.nonce));
        assert_eq!(account.balance, machine.balance(*address), "{address}");
    }
}

/// What no call could record, the registry answers from as from anything else.
#[test]
fn slots_can_be_delegated_from_the_first_on() {
    let settings = settings();
    let addresses = UnionAddresses::created_by(DEPLOYER, 0, 2);
    let opted_in = OptedInProposer {
        key: key(1),
        owner: OWNER,
        collateral: settings.min_collateral,
        delegations: vec![Delegation::of_all_slots(GATEWAY)],
    };
    let holdings = UnionHoldings { proposers: vec![opted_in], ..Default::default() };
    let accounts = union_genesis_accounts(&settings, &addresses, &holdings).unwrap();
    let mut machine = Machine::new(OpHardfork::Isthmus, accounts);
    let mut gateway_at = |number, slot| {
        let key = validator_key_root(&key(number));
        machine.read(addresses.registry, &Registry::gatewayAtCall { key, slot })
    };
    for slot in [0, 1, NOW, 1 << 40, (1 << 48) - 1] {
        assert_eq!(gateway_at(1, slot), GATEWAY);
        assert_eq!(gateway_at(2, slot), Address::ZERO);
    }
    assert_eq!(gateway_at(1, 1 << 48), Address::ZERO);
    // It can leave, and its collateral is for the slots that it delegated.
    let key = validator_key_root(&key(1));
    let logs = machine.call(OWNER, addresses.registry, &Registry::exitCall { key });
    assert_eq!(logs.len(), 1);
    let registration = machine.read(addresses.registry, &Registry::registrationsCall { key });
    assert_eq!(registration.exitSlot, (1 << 48) - 1 + settings.exit_delay_slots);
}

#[test]
fn getters_answer_from_a_genesis_what_was_set() {
    let (settings, holdings) = (settings(), holdings());
    let addresses = UnionAddresses::created_by(DEPLOYER, 7, 2);
    let accounts = union_genesis_accounts(&settings, &addresses, &holdings).unwrap();
    let mut machine = Machine::new(OpHardfork::Isthmus, accounts);
    let layout = machine.read(addresses.lookahead, &Lookahead::layoutOfCall { index: U256::ONE });
    assert_eq!((layout.firstSlot, layout.proposerLookahead, layout.validators), (5_000, 130, 131));
    assert_eq!(machine.read(addresses.lookahead, &Lookahead::endSlotCall {}), 10_000);
    assert_eq!(machine.read(addresses.inbox, &Inbox::nextSlotCall {}), 90);
    assert_eq!(machine.read(addresses.inbox, &Inbox::registryCall {}), addresses.registry);
    let MemberAddresses { rollup, token_portal } = addresses.rollups[1];
    assert_eq!(machine.read(rollup.portal, &UnionPortal::vaultCall {}), addresses.vault);
    assert_eq!(machine.read(token_portal, &TokenPortal::vaultCall {}), addresses.vault);
    assert_eq!(machine.read(token_portal, &TokenPortal::portalCall {}), rollup.portal);
    for portal in [rollup.portal, token_portal] {
        assert_eq!(machine.read(addresses.vault, &Vault::rollupOfCall { portal }), U256::from(902));
    }
    let balance = Vault::balanceOfCall { rollup: U256::from(902), token: Address::ZERO };
    assert_eq!(machine.read(addresses.vault, &balance), U256::from(77));
}

#[test]
fn addresses_are_those_of_consecutive_nonces() {
    let addresses = UnionAddresses::created_by(DEPLOYER, 3, 2);
    let first = [addresses.lookahead, addresses.registry, addresses.inbox, addresses.vault];
    assert_eq!(first, [3, 4, 5, 6].map(|nonce| DEPLOYER.create(nonce)));
    let second = addresses.rollups[1];
    let L1Addresses { output_oracle, system_config, portal } = second.rollup;
    let of_second = [output_oracle, system_config, portal, second.token_portal];
    assert_eq!(of_second, [11, 12, 13, 14].map(|nonce| DEPLOYER.create(nonce)));
    assert_eq!(UnionAddresses::created_by(DEPLOYER, 3, 1).rollups, addresses.rollups[..1]);
}

#[test]
fn a_batch_has_the_hash_that_its_owner_must_sign() {
    let settings = settings();
    let addresses = UnionAddresses::created_by(DEPLOYER, 0, 2);
    let holdings = UnionHoldings::default();
    let accounts = union_genesis_accounts(&settings, &addresses, &holdings).unwrap();
    let mut machine = Machine::new(OpHardfork::Isthmus, accounts);
    for (slot, blobs) in [(0, 0_u8), (77, 1), (u64::MAX, 16)] {
        let batch = Inbox::Batch {
            slot,
            parent: B256::repeat_byte(blobs),
            blobHashes: (0..blobs).map(|blob| B256::repeat_byte(0x80 | blob)).collect(),
        };
        let expected =
            machine.read(addresses.inbox, &Inbox::batchHashCall { batch: batch.clone() });
        assert_eq!(union_batch_hash(&batch, 901, addresses.inbox), expected);
        assert_ne!(union_batch_hash(&batch, 902, addresses.inbox), expected);
        assert_ne!(union_batch_hash(&batch, 901, addresses.vault), expected);
    }
}

/// The second interface of the portal is that of the first: what reads one reads the other.
#[test]
fn the_portal_of_a_union_speaks_as_any_portal() {
    let known: Vec<_> = UnionPortal::UnionPortalCalls::selectors().collect();
    for selector in Portal::PortalCalls::selectors() {
        assert!(known.contains(&selector), "{selector:?}");
    }
}

type Change = fn(&mut UnionSettings, &mut UnionHoldings);

/// The error for settings and holdings after a change.
fn refusal(change: Change) -> SettingsError {
    let (mut settings, mut holdings) = (settings(), holdings());
    change(&mut settings, &mut holdings);
    let addresses = UnionAddresses::created_by(DEPLOYER, 0, 2);
    union_genesis_accounts(&settings, &addresses, &holdings).unwrap_err()
}

#[test]
fn settings_that_a_constructor_refuses_are_refused() {
    let zero = |field| SettingsError::Zero { field };
    let cases: [(Change, SettingsError); 12] = [
        (|it, _| it.beacon.seconds_per_slot = 0, zero("seconds_per_slot")),
        (|it, _| it.min_collateral = U256::ZERO, zero("min_collateral")),
        (|it, _| it.exit_delay_slots = 0, zero("exit_delay_slots")),
        (|it, _| it.window_slots = 0, zero("window_slots")),
        (|it, _| it.admin = Address::ZERO, SettingsError::Nobody { field: "admin" }),
        (|it, _| it.settlement = Address::ZERO, SettingsError::Nobody { field: "settlement" }),
        (
            |it, _| it.exit_delay_slots = MAX_EXIT_DELAY_SLOTS + 1,
            SettingsError::ExitDelay { got: MAX_EXIT_DELAY_SLOTS + 1 },
        ),
        (|it, _| it.beacon.slots_per_epoch = 12, SettingsError::SlotsPerEpoch { got: 12 }),
        (|it, _| it.beacon.layouts.clear(), SettingsError::NoLayout),
        (|it, _| it.beacon.layouts.reverse(), SettingsError::Layouts),
        (|it, _| it.beacon.layouts[0].validators = 1 << 32, SettingsError::Layouts),
        (
            |it, _| it.beacon.end_slot = 5_000,
            SettingsError::EndSlot { end: 5_000, last_fork: 5_000 },
        ),
    ];
    for (change, expected) in cases {
        assert_eq!(refusal(change), expected);
        let mut refused = settings();
        change(&mut refused, &mut UnionHoldings::default());
        // The constructors refuse them, too: here without our check before.
        assert!(!creates(&refused), "{expected}");
    }
}

/// Whether the constructors of look-ahead, registry, inbox and vault take these settings.
fn creates(settings: &UnionSettings) -> bool {
    let mut machine = Machine::new(OpHardfork::Isthmus, BTreeMap::new());
    let addresses = UnionAddresses::created_by(DEPLOYER, 0, 0);
    let beacon = &settings.beacon;
    let lookahead = Lookahead::constructorCall {
        chain: Lookahead::Chain {
            genesisTime: beacon.genesis_time_s,
            secondsPerSlot: beacon.seconds_per_slot,
            slotsPerEpoch: beacon.slots_per_epoch,
            endSlot: beacon.end_slot,
        },
        layouts: beacon
            .layouts
            .iter()
            .map(|it| Lookahead::Layout {
                firstSlot: it.first_slot,
                proposerLookahead: it.proposer_lookahead,
                validators: it.validators,
            })
            .collect(),
    };
    let registry = Registry::constructorCall {
        config: Registry::Config {
            lookahead: addresses.lookahead,
            minCollateral: settings.min_collateral,
            exitDelaySlots: settings.exit_delay_slots,
        },
    };
    let inbox = Inbox::constructorCall {
        config: Inbox::Config {
            lookahead: addresses.lookahead,
            registry: addresses.registry,
            firstSlot: settings.first_slot,
            windowSlots: settings.window_slots,
        },
    };
    let vault = Vault::constructorCall { admin_: settings.admin, settlement_: settings.settlement };
    let mut create = |code: &[u8], arguments: Vec<u8>| {
        let init_code = [code, arguments.as_slice()].concat();
        machine.transact(DEPLOYER, TxKind::Create, 0, init_code).is_some()
    };
    create(&Lookahead::BYTECODE, lookahead.abi_encode())
        && create(&Registry::BYTECODE, registry.abi_encode())
        && create(&Inbox::BYTECODE, inbox.abi_encode())
        && create(&Vault::BYTECODE, vault.abi_encode())
}

#[test]
fn holdings_that_the_contracts_would_not_hold_are_refused() {
    let slots = |first, last| SettingsError::DelegatedSlots { key: key(1), first, last };
    let cases: [(Change, SettingsError); 9] = [
        (|_, it| it.proposers[1].key = key(1), SettingsError::KeyTwice { key: key(1) }),
        (|_, it| it.proposers[1].owner = Address::ZERO, SettingsError::Nobody { field: "owner" }),
        (
            |_, it| it.proposers[0].delegations[0].gateway = Address::ZERO,
            SettingsError::Nobody { field: "gateway" },
        ),
        (
            |_, it| it.proposers[1].collateral = U256::from(999),
            SettingsError::SmallCollateral {
                key: key(2),
                got: U256::from(999),
                least: U256::from(1_000),
            },
        ),
        (|_, it| it.proposers[0].delegations[1].first_slot = 1_025, slots(1_025, 1_716)),
        (|_, it| it.proposers[0].delegations[0].last_slot = 5, slots(1_016, 5)),
        (|_, it| it.proposers[0].delegations[1].last_slot = 1 << 48, slots(1_027, 1 << 48)),
        (
            |_, it| assert!(it.ether.insert(903, U256::ONE).is_none()),
            SettingsError::NotAMember { chain: 903 },
        ),
        (|it, _| it.rollups[1].l2_chain_id = 901, SettingsError::ChainTwice { chain: 901 }),
    ];
    for (change, expected) in cases {
        assert_eq!(refusal(change), expected);
    }
    let missing = |it: &mut UnionSettings, _: &mut UnionHoldings| it.rollups.truncate(1);
    assert_eq!(refusal(missing), SettingsError::AddressCount { rollups: 1, addresses: 2 });
    let invalid = |it: &mut UnionSettings, _: &mut UnionHoldings| {
        it.rollups[1].proposer = Address::ZERO;
    };
    assert_eq!(refusal(invalid), SettingsError::Nobody { field: "proposer" });
}
