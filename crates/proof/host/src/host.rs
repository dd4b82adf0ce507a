//! Answers the program that is proven.

use crate::{
    Entry, EntryKey, HostError, Locals, MemoryStore, Request, Sources, Store, Witness,
    elements::BlobElements, entry::read_blob, precompiles,
};
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, Sealed};
use lockstep_preimage::{Hint, PreimageKey, PreimageKind, PreimageOracle};
use lockstep_providers::ClientError;
use parking_lot::Mutex;
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
};

/// The most answers of precompiled contracts that are in memory at once.
const MAX_PRECOMPILE_ANSWERS: usize = 4096;

/// The most blocks whose witnesses are known to have been asked for: more than a range has.
const MAX_ANNOUNCED_BLOCKS: usize = 16_384;

/// After so many blocks in a row whose witness the node did not give, it is not asked again.
const MAX_WITNESS_FAILURES: u32 = 3;

/// Called with each rollup block's parent before the block is executed.
pub type OnBlock = Box<dyn Fn(B256) + Send + Sync>;

/// Answers with what it keeps, and fetches what it lacks where it has somebody to ask. It serves one run of
/// a program at a time: what that is about is its own, what hashes stand for is in a store that hosts can
/// share.
///
/// Nothing that a hash commits to is taken from a node or a file without that hash being computed, and no
/// blob without its commitment: the host is a trusted oracle, and attests blobs.
pub struct Host<S> {
    store: S,
    sources: Option<Sources>,
    state: Mutex<State>,
    on_block: Option<OnBlock>,
}

#[derive(Debug, Default)]
struct State {
    /// What the run is about.
    locals: Locals,
    /// The hint that was given last.
    hint: Option<Request>,
    /// Whether that was followed.
    is_followed: bool,
    elements: BlobElements,
    precompiles: HashMap<PreimageKey, Bytes>,
    blocks: Blocks,
    used: BTreeSet<EntryKey>,
}

/// What is known of the blocks after which the program executed others.
#[derive(Debug, Default)]
struct Blocks {
    announced: HashSet<B256>,
    /// The newest that the rollup's node knows.
    newest_known: Option<Sealed<Header>>,
    /// It does not know the one after that.
    is_on_another_chain: bool,
    /// The blocks in a row whose children's witnesses were refused.
    failures: u32,
    has_no_witnesses: bool,
}

impl Host<MemoryStore> {
    /// A host that has nothing but a witness.
    ///
    /// # Errors
    /// [`HostError::Limit`] if that does not fit into memory.
    pub fn of_witness(witness: Witness) -> Result<Self, HostError> {
        let limit = MemoryStore::DEFAULT_MAX_BYTES;
        let store = MemoryStore::with_entries(witness.entries, limit)?;
        Ok(Self::offline(store).with_locals(witness.locals))
    }
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

    /// Says what the run is about.
    #[must_use]
    pub fn with_locals(self, locals: Locals) -> Self {
        self.set_locals(locals);
        self
    }

    pub(crate) fn set_locals(&self, locals: Locals) {
        self.state.lock().locals = locals;
    }

    /// Where entries are kept.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Where entries come from, if anywhere.
    pub const fn sources(&self) -> Option<&Sources> {
        self.sources.as_ref()
    }

    /// Whether the program has asked for this.
    pub(crate) fn was_used(&self, key: &EntryKey) -> bool {
        self.state.lock().used.contains(key)
    }

    /// What the program has asked for so far: enough for the same run without nodes.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn witness(&self) -> Result<Witness, HostError> {
        let (locals, used) = {
            let state = self.state.lock();
            (state.locals.clone(), state.used.clone())
        };
        let mut entries = Vec::with_capacity(used.len());
        for key in used {
            if let Some(value) = self.store.get(&key)? {
                entries.push(Entry::known(key, value));
            }
        }
        Ok(Witness { locals, entries })
    }

    /// The pre-image of `key`.
    ///
    /// # Errors
    /// [`HostError::Unknown`] or [`HostError::Incomplete`] if it cannot be had; when a node or the
    /// store fails. The last hint is followed again when it is asked for the next time.
    pub fn preimage(&self, key: PreimageKey) -> Result<Bytes, HostError> {
        let mut state = self.state.lock();
        if let Some(found) = self.find(&mut state, &key)? {
            return Ok(found);
        }
        if let Some(request) = state.hint.clone().filter(|_| !state.is_followed) {
            self.follow(&mut state, &request)?;
            state.is_followed = true;
            if let Some(found) = self.find(&mut state, &key)? {
                return Ok(found);
            }
        }
        let key = Box::new(key);
        let hint = state.hint.as_ref().map_or_else(String::new, ToString::to_string);
        Err(match self.sources {
            Some(_) => HostError::Unknown { key, hint },
            None => HostError::Incomplete { key, hint },
        })
    }

    /// Takes note of what will be asked for. It is fetched when something is missing; only the
    /// witness of a block is fetched at once, because much more is announced before that is needed.
    /// Without that, as it may be, each node of the state is fetched by itself.
    ///
    /// # Errors
    /// When the store fails.
    pub fn announce(&self, request: Request) -> Result<(), HostError> {
        let mut state = self.state.lock();
        let parent = match &request {
            Request::Hint(Hint::L2BlockWitness(parent))
            | Request::PayloadWitness { parent, .. } => Some(*parent),
            _ => None,
        };
        if let (Some(on_block), Some(parent)) = (&self.on_block, parent) {
            on_block(parent);
        }
        let announced = match (&self.sources, parent) {
            (Some(sources), Some(parent)) => {
                self.announce_block(&mut state, sources, parent, &request)
            }
            _ => Ok(()),
        };
        state.is_followed = parent.is_some();
        state.hint = Some(request);
        announced
    }

    /// Fetches the witness of the block after `parent`. Nothing that a node makes of that ends the run.
    fn announce_block(
        &self,
        state: &mut State,
        sources: &Sources,
        parent: B256,
        request: &Request,
    ) -> Result<(), HostError> {
        let blocks = &mut state.blocks;
        if blocks.announced.len() >= MAX_ANNOUNCED_BLOCKS {
            blocks.announced.clear();
        }
        if !blocks.announced.insert(parent) {
            return Ok(());
        }
        match sources.l2.header_by_hash(parent) {
            Ok(header) => blocks.newest_known = Some(Sealed::new_unchecked(header, parent)),
            Err(error) => {
                blocks.unknown(parent, &error);
                return Ok(());
            }
        }
        if blocks.has_no_witnesses {
            return Ok(());
        }
        match self.follow(state, request) {
            Ok(()) => state.blocks.failures = 0,
            Err(HostError::Client(error)) => state.blocks.refused(parent, &error),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn find(&self, state: &mut State, key: &PreimageKey) -> Result<Option<Bytes>, HostError> {
        if let Some((hash, bytes)) = state.elements.get(key) {
            state.used.insert(EntryKey::Blob(hash));
            return Ok(Some(bytes));
        }
        match key.kind() {
            PreimageKind::Precompile => Ok(state.precompiles.get(key).cloned()),
            PreimageKind::Local => {
                Ok(key.local_number().and_then(|number| state.locals.get(&number).cloned()))
            }
            PreimageKind::Keccak256 | PreimageKind::Sha256 => {
                let key = EntryKey::Preimage(*key);
                let found = self.store.get(&key)?;
                if found.is_some() {
                    state.used.insert(key);
                }
                Ok(found)
            }
            // Elements of blobs are all found above, once their blob was announced.
            PreimageKind::Blob | PreimageKind::GlobalGeneric => Ok(None),
        }
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

    fn follow(&self, state: &mut State, request: &Request) -> Result<(), HostError> {
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
        let fetched = sources.fetch(request, state.blocks.newest_known.as_ref())?;
        for entry in &fetched.entries {
            self.store.put(entry)?;
        }
        if let Some(blob) = fetched.blob {
            self.store.put(&blob.entry())?;
            state.elements.insert(blob);
        }
        Ok(())
    }
}

impl Blocks {
    /// The node does not know a block that L1 makes, or does not answer. What the state after that has in
    /// common with the newest that it knows, it has all the same.
    fn unknown(&mut self, hash: B256, error: &ClientError) {
        let newest_known = self.newest_known.as_ref().map(|known| known.number);
        if self.is_on_another_chain {
            tracing::debug!(%hash, newest_known, %error, "the node did not give a derived block");
        } else {
            self.is_on_another_chain = matches!(error, ClientError::NotFound { .. });
            tracing::warn!(%hash, newest_known, %error, "the node did not give a derived block");
        }
    }

    /// The node did not give the witness of the block after `parent`.
    fn refused(&mut self, parent: B256, error: &ClientError) {
        self.failures += 1;
        let is_for_good = matches!(error, ClientError::Unsupported { .. })
            || matches!(error, ClientError::Status { status: 401 | 403..=405, .. })
            || self.failures >= MAX_WITNESS_FAILURES;
        if is_for_good {
            self.has_no_witnesses = true;
            tracing::warn!(%error, "witnesses are put together from proofs from now on");
        } else {
            tracing::warn!(%parent, %error, "the witness of a block is put together from proofs");
        }
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

    fn attests_blobs(&self) -> bool {
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
