//! The contracts of a union on L1: created by transactions, or there from the beginning.

use crate::{
    Deployment, Inbox, L1Addresses, Lookahead, OptedInProposer, Registry, SettingsError,
    TokenPortal, UnionHoldings, UnionPortal, UnionSettings, Vault,
    l1::{accounts_before_portal, deployment, deployments_before_portal, portal_slots},
    storage::{Slots, after, elements, entry, numbered, word},
    validator_key_root,
};
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, U256};
use std::collections::BTreeMap;

/// Where the contracts of one rollup of a union are on L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberAddresses {
    /// Those that any rollup has; the portal is a [`UnionPortal`].
    pub rollup: L1Addresses,
    /// [`TokenPortal`].
    pub token_portal: Address,
}

impl MemberAddresses {
    /// Where they are when `deployer` creates them with the nonces `nonce` to `nonce + 3`, in the order of
    /// [`union_deployments`].
    pub fn created_by(deployer: Address, nonce: u64) -> Self {
        Self {
            rollup: L1Addresses::created_by(deployer, nonce),
            token_portal: deployer.create(nonce.saturating_add(3)),
        }
    }
}

/// Where the contracts of a union are on L1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnionAddresses {
    /// [`Lookahead`].
    pub lookahead: Address,
    /// [`Registry`].
    pub registry: Address,
    /// [`Inbox`].
    pub inbox: Address,
    /// [`Vault`].
    pub vault: Address,
    /// The contracts of each rollup, in the order of [`UnionSettings::rollups`].
    pub rollups: Vec<MemberAddresses>,
}

impl UnionAddresses {
    /// Where they are when `deployer` creates them with consecutive nonces from `nonce` on, in the order of
    /// [`union_deployments`]: look-ahead, registry, inbox and vault, then of each of `rollups` rollups its oracle,
    /// its configuration, its portal and its portal of tokens. So the contracts of all rollups stay where they are when one is added.
    pub fn created_by(deployer: Address, nonce: u64, rollups: usize) -> Self {
        let at = |offset: u64| deployer.create(nonce.saturating_add(offset));
        let first_of_rollups = (4_u64..).step_by(4).map(|offset| nonce.saturating_add(offset));
        Self {
            lookahead: at(0),
            registry: at(1),
            inbox: at(2),
            vault: at(3),
            rollups: first_of_rollups
                .take(rollups)
                .map(|nonce| MemberAddresses::created_by(deployer, nonce))
                .collect(),
        }
    }

    fn check(&self, settings: &UnionSettings) -> Result<(), SettingsError> {
        let (rollups, addresses) = (settings.rollups.len(), self.rollups.len());
        if rollups != addresses {
            return Err(SettingsError::AddressCount { rollups, addresses });
        }
        settings.validate()
    }
}

/// The contracts to create, in this order, for them to be at `addresses` (see
/// [`UnionAddresses::created_by`]). After that, the vault's admin must add each rollup with both of its portals
/// (`Vault.addRollup`); until then these take neither ether nor tokens.
///
/// # Errors
/// When a constructor would refuse its settings, or there are not as many addresses as rollups.
pub fn union_deployments(
    settings: &UnionSettings,
    addresses: &UnionAddresses,
) -> Result<Vec<Deployment>, SettingsError> {
    addresses.check(settings)?;
    let (chain, layouts) = beacon_chain(settings);
    let lookahead = Lookahead::constructorCall { chain, layouts };
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
    let mut deployments = vec![
        deployment(addresses.lookahead, &Lookahead::BYTECODE, &lookahead),
        deployment(addresses.registry, &Registry::BYTECODE, &registry),
        deployment(addresses.inbox, &Inbox::BYTECODE, &inbox),
        deployment(addresses.vault, &Vault::BYTECODE, &vault),
    ];
    for (rollup, member) in settings.rollups.iter().zip(&addresses.rollups) {
        let at = &member.rollup;
        deployments.extend(deployments_before_portal(rollup, at));
        let portal = UnionPortal::constructorCall {
            oracle: at.output_oracle,
            config: at.system_config,
            vault_: addresses.vault,
        };
        deployments.push(deployment(at.portal, &UnionPortal::BYTECODE, &portal));
        let tokens = TokenPortal::constructorCall { portal_: at.portal };
        deployments.push(deployment(member.token_portal, &TokenPortal::BYTECODE, &tokens));
    }
    Ok(deployments)
}

/// The contracts as accounts of a development L1's genesis, as if created in its first block, with all rollups
/// added to the vault, and with what they hold. The genesis must have EIP-4788's contract, too.
///
/// # Errors
/// When a contract would refuse its settings or what it is to hold, or there are not as many addresses as
/// rollups.
pub fn union_genesis_accounts(
    settings: &UnionSettings,
    addresses: &UnionAddresses,
    holdings: &UnionHoldings,
) -> Result<BTreeMap<Address, GenesisAccount>, SettingsError> {
    addresses.check(settings)?;
    holdings.validate(settings)?;
    let mut accounts = BTreeMap::from([
        (addresses.lookahead, lookahead_account(settings)),
        (addresses.registry, registry_account(settings, addresses, &holdings.proposers)),
        (addresses.inbox, inbox_account(settings, addresses)),
        (addresses.vault, vault_account(settings, addresses, holdings)),
    ]);
    for (rollup, member) in settings.rollups.iter().zip(&addresses.rollups) {
        let at = &member.rollup;
        accounts.extend(accounts_before_portal(rollup, at));
        // After the slots of `Portal`.
        let slots = portal_slots(at).pack(6, [(word(addresses.vault), 160)]);
        accounts.insert(at.portal, slots.into_account(&UnionPortal::DEPLOYED_BYTECODE));
        let tokens = Slots::default()
            .pack(0, [(word(at.portal), 160)])
            .pack(1, [(word(addresses.vault), 160)])
            .into_account(&TokenPortal::DEPLOYED_BYTECODE);
        accounts.insert(member.token_portal, tokens);
    }
    Ok(accounts)
}

fn beacon_chain(settings: &UnionSettings) -> (Lookahead::Chain, Vec<Lookahead::Layout>) {
    let beacon = &settings.beacon;
    let chain = Lookahead::Chain {
        genesisTime: beacon.genesis_time_s,
        secondsPerSlot: beacon.seconds_per_slot,
        slotsPerEpoch: beacon.slots_per_epoch,
        endSlot: beacon.end_slot,
    };
    let layouts = beacon.layouts.iter().map(|layout| Lookahead::Layout {
        firstSlot: layout.first_slot,
        proposerLookahead: layout.proposer_lookahead,
        validators: layout.validators,
    });
    (chain, layouts.collect())
}

fn lookahead_account(settings: &UnionSettings) -> GenesisAccount {
    let beacon = &settings.beacon;
    let mut slots = Slots::default()
        .pack(
            0,
            [
                (U256::from(beacon.genesis_time_s), 64),
                (U256::from(beacon.seconds_per_slot), 64),
                (U256::from(beacon.slots_per_epoch), 64),
                (U256::from(beacon.end_slot), 64),
            ],
        )
        .pack(1, [(U256::from(beacon.layouts.len()), 256)]);
    for (index, layout) in (0..).zip(&beacon.layouts) {
        slots = slots.pack_at(
            after(elements(numbered(1)), index),
            [
                (U256::from(layout.first_slot), 64),
                (U256::from(layout.proposer_lookahead), 64),
                (U256::from(layout.validators), 64),
            ],
        );
    }
    slots.into_account(&Lookahead::DEPLOYED_BYTECODE)
}

fn registry_account(
    settings: &UnionSettings,
    addresses: &UnionAddresses,
    proposers: &[OptedInProposer],
) -> GenesisAccount {
    let mut slots = Slots::default()
        .pack(0, [(word(addresses.lookahead), 160)])
        .pack(1, [(settings.min_collateral, 256)])
        .pack(2, [(U256::from(settings.exit_delay_slots), 64)]);
    for proposer in proposers {
        let key = validator_key_root(&proposer.key);
        let registration = entry(numbered(3), key);
        // The owner, and no slot of exit.
        slots = slots
            .pack_at(registration, [(word(proposer.owner), 160)])
            .set(after(registration, 1), proposer.collateral)
            .set(entry(numbered(4), key), U256::ONE);
        let delegations = entry(numbered(5), key);
        slots = slots.set(delegations, U256::from(proposer.delegations.len()));
        for (index, delegation) in (0..).zip(&proposer.delegations) {
            slots = slots.pack_at(
                after(elements(delegations), index),
                [
                    (U256::from(delegation.first_slot), 48),
                    (U256::from(delegation.last_slot), 48),
                    (word(delegation.gateway), 160),
                ],
            );
        }
    }
    let collateral = proposers.iter().map(|proposer| proposer.collateral);
    let balance = collateral.fold(U256::ZERO, U256::saturating_add);
    slots.into_account(&Registry::DEPLOYED_BYTECODE).with_balance(balance)
}

fn inbox_account(settings: &UnionSettings, addresses: &UnionAddresses) -> GenesisAccount {
    // Then the number of batches and the hash of the newest, both zero.
    Slots::default()
        .pack(0, [(word(addresses.lookahead), 160)])
        .pack(1, [(word(addresses.registry), 160), (U256::from(settings.window_slots), 64)])
        .pack(2, [(U256::from(settings.first_slot), 64)])
        .into_account(&Inbox::DEPLOYED_BYTECODE)
}

fn vault_account(
    settings: &UnionSettings,
    addresses: &UnionAddresses,
    holdings: &UnionHoldings,
) -> GenesisAccount {
    let mut slots = Slots::default()
        .pack(0, [(word(settings.admin), 160)])
        .pack(1, [(word(settings.settlement), 160)]);
    for (rollup, member) in settings.rollups.iter().zip(&addresses.rollups) {
        let (portal, token_portal) = (member.rollup.portal, member.token_portal);
        let chain = U256::from(rollup.l2_chain_id);
        let ether = holdings.ether.get(&rollup.l2_chain_id).copied().unwrap_or_default();
        // Ether is the token at address zero.
        let account = entry(entry(numbered(5), chain), Address::ZERO.into_word());
        slots = slots
            .set(entry(numbered(2), chain), word(portal))
            .set(entry(numbered(3), chain), word(token_portal))
            .set(entry(numbered(4), portal.into_word()), chain)
            .set(entry(numbered(4), token_portal.into_word()), chain)
            .set(account, ether);
    }
    let balance = holdings.ether.values().copied().fold(U256::ZERO, U256::saturating_add);
    slots.into_account(&Vault::DEPLOYED_BYTECODE).with_balance(balance)
}
