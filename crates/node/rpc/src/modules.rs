//! Namespaces, and which of them a transport serves.

use crate::{Context, RpcChain, RpcResult, admin, debug, eth, net, ots, testing, trace, txpool};
use jsonrpsee::{Methods, RpcModule, core::RegisterMethodError};
use std::{collections::BTreeMap, sync::Arc};

/// A selection that is not possible.
#[derive(Debug, thiserror::Error)]
pub enum ModulesError {
    /// There is no namespace of this name. The operator must correct the configuration.
    #[error("there is no namespace `{name}`; there are: {known}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// Two methods have the same name.
    #[error(transparent)]
    Method(#[from] RegisterMethodError),
}

/// Methods by namespace. A node adds its own with [`Self::add`].
#[derive(Clone, Debug, Default)]
pub struct Modules {
    by_name: BTreeMap<String, Methods>,
}

impl Modules {
    /// All namespaces that every chain has: `eth`, `net`, `web3`, `txpool`, `debug`, `trace`,
    /// `ots`, `admin` and `testing`.
    ///
    /// # Errors
    /// When two methods have the same name.
    pub fn standard<C: RpcChain>(context: &Arc<Context<C>>) -> Result<Self, ModulesError> {
        let mut modules = Self::default();
        modules.add("eth", eth::methods(context)?)?;
        modules.add("net", net::net_methods(context)?)?;
        modules.add("web3", net::web3_methods(context)?)?;
        modules.add("txpool", txpool::methods(context)?)?;
        modules.add("debug", debug::methods(context)?)?;
        modules.add("trace", trace::methods(context)?)?;
        modules.add("ots", ots::methods(context)?)?;
        modules.add("admin", admin::methods(context)?)?;
        modules.add("testing", testing::methods(context)?)?;
        Ok(modules)
    }

    /// Adds methods to a namespace, which begins to exist if it did not.
    ///
    /// # Errors
    /// When a method of this name is there already.
    pub fn add(
        &mut self,
        namespace: impl Into<String>,
        methods: impl Into<Methods>,
    ) -> Result<&mut Self, ModulesError> {
        self.by_name.entry(namespace.into()).or_default().merge(methods)?;
        Ok(self)
    }

    /// The names of all namespaces.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// The methods of some namespaces, or of all for `*`, together with `rpc_modules`, which lists
    /// them. No methods for no namespace.
    ///
    /// # Errors
    /// [`ModulesError::Unknown`] for a name that is not there.
    pub fn select(&self, names: &[String]) -> Result<Methods, ModulesError> {
        let mut selected = Methods::new();
        let mut listed: BTreeMap<String, &'static str> = BTreeMap::new();
        let all = names.iter().any(|name| name == "*");
        for name in names.iter().filter(|name| *name != "*") {
            if !self.by_name.contains_key(name) {
                let known = self.names().collect::<Vec<_>>().join(", ");
                return Err(ModulesError::Unknown { name: name.clone(), known });
            }
        }
        for (name, methods) in &self.by_name {
            if all || names.contains(name) {
                selected.merge(methods.clone())?;
                listed.insert(name.clone(), "1.0");
            }
        }
        if !listed.is_empty() {
            listed.insert("rpc".into(), "1.0");
            let mut rpc = RpcModule::new(listed);
            rpc.register_method("rpc_modules", |_, listed, _| RpcResult::Ok(listed.clone()))?;
            selected.merge(rpc)?;
        }
        Ok(selected)
    }
}
