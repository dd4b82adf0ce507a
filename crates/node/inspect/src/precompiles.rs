//! Precompiles that a user moves or replaces.

use crate::InspectError;
use alloy_evm::precompiles::{DynPrecompile, PrecompilesMap};
use alloy_primitives::{Address, map::AddressMap};
use alloy_rpc_types_eth::state::StateOverride;
use revm::{
    Inspector,
    context_interface::{ContextTr, JournalTr, context::ContextError},
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome},
};

/// Moves precompiles to where the overrides want them. A precompile that is overridden in any way
/// is no longer at its place (execution-apis: `eth_simulateV1` § precompiles).
///
/// Returns where precompiles no longer are. Access to such a place stays cheap and access to a new
/// one does not become so: EIP-2929 goes by the rules of the chain, which have not changed.
///
/// # Errors
/// [`InspectError::Override`] if there is no precompile to move, or its new place is overridden.
pub(crate) fn override_precompiles(
    precompiles: &mut PrecompilesMap,
    accounts: &StateOverride,
) -> Result<WarmAddresses, InspectError> {
    let mut addresses: Vec<&Address> = accounts.keys().collect();
    // The outcome of several moves to one place must not depend on a hash map.
    addresses.sort_unstable();
    let mut moved: AddressMap<DynPrecompile> = AddressMap::default();
    let mut left = Vec::new();
    for address in addresses {
        let Some(account) = accounts.get(address) else { continue };
        let is_precompile = precompiles.get(address).is_some();
        if let Some(to) = account.move_precompile_to {
            if !is_precompile {
                let text = format!("account {address} is not a precompile");
                return Err(InspectError::Override(text));
            }
            if accounts.contains_key(&to) {
                return Err(InspectError::Override(format!("account {to} is already overridden")));
            }
        }
        if !is_precompile {
            continue;
        }
        left.push(*address);
        let mut taken = None;
        precompiles.apply_precompile(address, |precompile| {
            taken = precompile;
            None
        });
        moved.extend(account.move_precompile_to.zip(taken));
    }
    if !moved.is_empty() {
        precompiles.set_precompile_lookup(move |address: &Address| moved.get(address).cloned());
    }
    Ok(WarmAddresses(left))
}

/// Addresses that are warm from the start of a transaction.
#[derive(Debug, Default)]
pub(crate) struct WarmAddresses(Vec<Address>);

impl WarmAddresses {
    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn warm<CTX: ContextTr>(&self, context: &mut CTX) {
        if context.journal_mut().depth() > 0 {
            return;
        }
        for address in &self.0 {
            let loaded = context.journal_mut().load_account(*address).map(|_| ());
            if let Err(error) = loaded {
                *context.error() = Err(ContextError::Db(error));
            }
        }
    }
}

impl<CTX: ContextTr> Inspector<CTX> for WarmAddresses {
    fn call(&mut self, context: &mut CTX, _: &mut CallInputs) -> Option<CallOutcome> {
        self.warm(context);
        None
    }

    fn create(&mut self, context: &mut CTX, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.warm(context);
        None
    }
}
