//! Answers the program that is proven.

use crate::{
    Entry, EntryKey, HostError, Request, Sources, Store, elements::BlobElements, entry::read_blob,
    precompiles,
};
use alloy_primitives::{B256, Bytes};
use lockstep_preimage::{Hint, PreimageKey, PreimageKind, PreimageOracle};
use lockstep_providers::ClientError;
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
};

/// The most answers of precompiled contracts that are in memory at once.
const MAX_PRECOMPILE_ANSWERS: usize = 4096;

/// Called with each rollup block's parent before the block is executed.
pub type OnBlock = Box<dyn Fn(B256) + Send + Sync>;

/// Answers with what it keeps, and fetches what it lacks where it has somebody to ask.
///
/// Nothing that a hash commits to is taken from a node or a file without that hash being computed, so
/// the host is a trusted oracle, as far as hashes go.
pub struct Host<S> {
    store: S,
    sources: Option<Sources>,
    state: Mutex<State>,
    on_block: Option<OnBlock>,
}

#[derive(Debug, Default)]
struct State {
    /// What was announced last, until it was fetched.
    announced: Option<Request>,
    /// The hint that was given last, to tell in errors.
    last_hint: String,
    elements: BlobElements,
    precompiles: HashMap<PreimageKey, Bytes>,
    /// The blocks whose children's witnesses were fetched.
    witnessed: HashSet<B256>,
    has_no_witnesses: bool,
    used: BTreeSet<EntryKey>,
}

impl<S: Store> Host<S> {
    /// A host that fetches what is not in `store`, and keeps it there.
    pub fn online(store: S, sources: Sources) -> Self {
        Self { store, sources: Some(sources), state: Mutex::default(), on_block: None }
    }

    /// A host that has nothing but what is in `store`.
    pub fn offline(store: S) -> Self {
        Self { store, sources: None, state: Mutex::default(), on_block: None }
    }

    /// Calls `on_block` with the hash of each block after which the program executes another.
    #[must_use]
    pub fn with_progress(mut self, on_block: OnBlock) -> Self {
        self.on_block = Some(on_block);
        self
    }

    /// Where entries are kept.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Where entries come from, if anywhere.
    pub const fn sources(&self) -> Option<&Sources> {
        self.sources.as_ref()
    }

    /// What the program has asked for so far: enough for the same run without nodes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn witness(&self) -> Result<Vec<Entry>, HostError> {
        let used = self.state.lock().used.clone();
        let mut entries = Vec::with_capacity(used.len());
        for key in used {
            if let Some(value) = self.store.get(&key)? {
                entries.push(Entry::known(key, value));
            }
        }
        Ok(entries)
    }

    /// The pre-image of `key`.
    ///
    /// # Errors
    /// [`HostError::Unknown`] or [`HostError::Incomplete`] if it cannot be had; when a node or the
    /// store fails.
    pub fn preimage(&self, key: PreimageKey) -> Result<Bytes, HostError> {
        let mut state = self.state.lock();
        if let Some(found) = self.find(&mut state, &key)? {
            return Ok(found);
        }
        if let Some(request) = state.announced.take() {
            self.fetch(&mut state, &request)?;
            if let Some(found) = self.find(&mut state, &key)? {
                return Ok(found);
            }
        }
        let (key, hint) = (Box::new(key), state.last_hint.clone());
        Err(match self.sources {
            Some(_) => HostError::Unknown { key, hint },
            None => HostError::Incomplete { key, hint },
        })
    }

    /// Takes note of what will be asked for. It is fetched when something is missing; only the
    /// witness of a block is fetched at once, because much more is announced before that is needed.
    ///
    /// # Errors
    /// When the witness of a block cannot be fetched, although the node serves such.
    pub fn announce(&self, request: Request) -> Result<(), HostError> {
        let mut state = self.state.lock();
        state.last_hint = request.to_string();
        let parent = match &request {
            Request::Hint(Hint::L2BlockWitness(parent))
            | Request::PayloadWitness { parent, .. } => *parent,
            _ => {
                state.announced = Some(request);
                return Ok(());
            }
        };
        if let Some(on_block) = &self.on_block {
            on_block(parent);
        }
        if self.sources.is_none() || state.has_no_witnesses || !state.witnessed.insert(parent) {
            return Ok(());
        }
        match self.fetch(&mut state, &request) {
            Err(HostError::Client(ClientError::Unsupported { endpoint, method })) => {
                tracing::info!(%endpoint, method, "witnesses are put together from proofs");
                state.has_no_witnesses = true;
                Ok(())
            }
            // Without it each node is fetched by itself.
            Err(HostError::Client(ClientError::Rpc { endpoint, message, .. })) => {
                tracing::warn!(%endpoint, %parent, message, "the witness of a block was refused");
                Ok(())
            }
            result => result,
        }
    }

    fn find(&self, state: &mut State, key: &PreimageKey) -> Result<Option<Bytes>, HostError> {
        if let Some((hash, bytes)) = state.elements.get(key) {
            state.used.insert(EntryKey::Blob(hash));
            return Ok(Some(bytes));
        }
        match key.kind() {
            PreimageKind::Precompile => Ok(state.precompiles.get(key).cloned()),
            PreimageKind::Local | PreimageKind::Keccak256 | PreimageKind::Sha256 => {
                let key = EntryKey::Preimage(*key);
                let found = self.store.get(&key)?;
                if found.is_some() {
                    state.used.insert(key);
                }
                Ok(found)
            }
            PreimageKind::Blob => self.find_element(state, key),
            PreimageKind::GlobalGeneric => Ok(None),
        }
    }

    /// An element of a blob that made room for others: the program used it before.
    fn find_element(
        &self,
        state: &mut State,
        key: &PreimageKey,
    ) -> Result<Option<Bytes>, HostError> {
        let blobs = state.used.iter().filter_map(|key| match key {
            EntryKey::Blob(hash) if !state.elements.contains(hash) => Some(*hash),
            _ => None,
        });
        for hash in blobs.collect::<Vec<_>>() {
            self.load_blob(state, hash)?;
            if let Some((_, bytes)) = state.elements.get(key) {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// Takes a kept blob into memory; `false` if it is not kept.
    fn load_blob(&self, state: &mut State, hash: B256) -> Result<bool, HostError> {
        if state.elements.contains(&hash) {
            return Ok(true);
        }
        let Some(value) = self.store.get(&EntryKey::Blob(hash))? else { return Ok(false) };
        state.elements.insert(read_blob(hash, &value)?);
        Ok(true)
    }

    fn fetch(&self, state: &mut State, request: &Request) -> Result<(), HostError> {
        match request {
            Request::Hint(Hint::L1Precompile { address, required_gas, input }) => {
                if state.precompiles.len() >= MAX_PRECOMPILE_ANSWERS {
                    state.precompiles.clear();
                }
                let key = PreimageKey::precompile(address, *required_gas, input);
                let answer = precompiles::answer(address, *required_gas, input);
                state.precompiles.insert(key, answer);
                return Ok(());
            }
            Request::Hint(Hint::L1Blob { hash, .. }) if self.load_blob(state, *hash)? => {
                return Ok(());
            }
            _ => {}
        }
        let Some(sources) = &self.sources else { return Ok(()) };
        tracing::debug!(%request, "a hint is followed");
        let fetched = sources.fetch(request)?;
        for entry in &fetched.entries {
            self.store.put(entry)?;
        }
        if let Some(blob) = fetched.blob {
            state.elements.insert(blob);
        }
        Ok(())
    }
}

impl<S: Store> PreimageOracle for Host<S> {
    type Error = HostError;

    fn get(&self, key: PreimageKey) -> Result<Bytes, HostError> {
        self.preimage(key)
    }

    fn hint(&self, hint: &Hint) -> Result<(), HostError> {
        self.announce(Request::Hint(hint.clone()))
    }

    fn is_trusted(&self) -> bool {
        true
    }
}

impl<S: fmt::Debug> fmt::Debug for Host<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("store", &self.store)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}
