//! A small L1 with its beacon chain and a registry, behind two nodes.

use alloy_consensus::{Header, Sealable};
use alloy_primitives::{Address, B256, Bytes, FixedBytes, Sealed, U256, keccak256};
use lockstep_lookahead::{Delegation, Delegations, LookaheadSource, Owner, Slot, key_root};
use lockstep_providers::{
    BeaconClient, Endpoint, L1Client, Request, Response, Retry, RpcClient, Transport,
    TransportError,
};
use lockstep_trie::{EMPTY_ROOT_HASH, KECCAK_EMPTY, NoSource, NodeSet, StateTrie};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::{fmt, sync::Arc};

pub(crate) const SLOTS_PER_EPOCH: u64 = 8;
pub(crate) const REGISTRY: Address = Address::repeat_byte(0x77);
const GENESIS: u64 = 1_000;
const SLOT_SECONDS: u64 = 12;
const VALIDATORS: u64 = 6;

/// The key of a validator.
pub(crate) fn key(validator: u64) -> FixedBytes<48> {
    FixedBytes::repeat_byte(validator as u8 + 1)
}

/// The root of the key of a validator.
pub(crate) fn root_of(validator: u64) -> B256 {
    key_root(&key(validator))
}

pub(crate) type Recorded = Vec<(B256, Delegation)>;

#[derive(Clone, Debug)]
struct Block {
    slot: Slot,
    root: B256,
    header: Sealed<Header>,
    /// All that the registry has after this block.
    recorded: Recorded,
}

/// What the nodes know, and how they are wrong.
#[derive(Clone)]
pub(crate) struct World {
    blocks: Vec<Block>,
    /// The L1 node has not seen the last blocks.
    pub(crate) l1_is_behind: usize,
    /// The L1 node follows this chain instead.
    pub(crate) other_l1: Option<Box<Self>>,
    pub(crate) knows_fulu_duties: bool,
    pub(crate) has_registry: bool,
    /// What becomes of the beacon node's duties.
    pub(crate) tamper_duties: fn(&mut Value),
    /// What becomes of the L1 node's proofs.
    pub(crate) tamper_proof: fn(&mut Value),
    /// What was asked for, in order.
    pub(crate) asked: Vec<String>,
}

/// The registry's storage, as `contracts/src/union/Registry.sol` lays it out.
fn registry_state(recorded: &Recorded, has_registry: bool) -> (B256, StateTrie, NodeSet) {
    let mut trie = StateTrie::empty();
    let account = keccak256(REGISTRY);
    trie.set_account(keccak256(Address::ZERO), 0, U256::from(1), KECCAK_EMPTY);
    if has_registry {
        trie.set_account(account, 1, U256::ZERO, KECCAK_EMPTY);
        let mut set = |slot: U256, value| {
            trie.set_slot(account, keccak256(slot.to_be_bytes::<32>()), value);
        };
        set(U256::ZERO, U256::from(0x1234));
        let mut keys: Vec<B256> = recorded.iter().map(|(key, _)| *key).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let of_key: Vec<_> = recorded.iter().filter(|(other, _)| *other == key).collect();
            let length = keccak256([key, B256::with_last_byte(5)].concat());
            set(length.into(), U256::from(of_key.len()));
            let first: U256 = keccak256(length).into();
            for (place, (_, delegation)) in of_key.iter().enumerate() {
                let gateway = U256::from_be_bytes(delegation.gateway.into_word().0) << 96;
                let last = U256::from(delegation.last_slot) << 48;
                let packed = gateway | last | U256::from(delegation.first_slot);
                set(first.wrapping_add(U256::from(place)), packed);
            }
        }
    }
    let mut nodes = NodeSet::new();
    let root = trie
        .commit(&NoSource, |_, _, rlp| {
            nodes.insert(Bytes::copy_from_slice(rlp));
        })
        .expect("a new trie needs no nodes");
    (root, trie, nodes)
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self {
            blocks: Vec::new(),
            l1_is_behind: 0,
            other_l1: None,
            knows_fulu_duties: true,
            has_registry: true,
            tamper_duties: |_| {},
            tamper_proof: |_| {},
            asked: Vec::new(),
        };
        world.mine(0, 0);
        world
    }

    /// A block at a slot; `salt` makes siblings differ.
    pub(crate) fn mine(&mut self, slot: Slot, salt: u8) {
        let recorded = self.blocks.last().map(|parent| parent.recorded.clone());
        self.mine_with(slot, salt, recorded.unwrap_or_default());
    }

    fn mine_with(&mut self, slot: Slot, salt: u8, recorded: Recorded) {
        let parent = self.blocks.last();
        let parent_root = parent.map_or(B256::ZERO, |parent| parent.root);
        assert!(parent.is_none_or(|parent| parent.slot < slot));
        let header = Header {
            parent_hash: parent.map_or(B256::ZERO, |parent| parent.header.hash()),
            number: self.blocks.len() as u64,
            timestamp: GENESIS + SLOT_SECONDS * slot,
            parent_beacon_block_root: Some(parent_root),
            state_root: registry_state(&recorded, self.has_registry).0,
            extra_data: vec![salt].into(),
            base_fee_per_gas: Some(7),
            ..Header::default()
        };
        let root = keccak256([parent_root.as_slice(), &[salt], &slot.to_be_bytes()].concat());
        self.blocks.push(Block { slot, root, header: header.seal_slow(), recorded });
    }

    /// Blocks at all slots after the head's, up to this one.
    pub(crate) fn mine_to(&mut self, slot: Slot, salt: u8) {
        for slot in self.head_slot() + 1..=slot {
            self.mine(slot, salt);
        }
    }

    /// A block at a slot in which delegations are recorded.
    pub(crate) fn record(&mut self, slot: Slot, delegations: &[(B256, Delegation)]) {
        let mut recorded = self.blocks.last().unwrap().recorded.clone();
        recorded.extend_from_slice(delegations);
        self.mine_with(slot, 0, recorded);
    }

    /// Takes back all blocks from a slot on.
    pub(crate) fn unwind(&mut self, slot: Slot) {
        self.blocks.retain(|block| block.slot < slot);
    }

    pub(crate) fn head_slot(&self) -> Slot {
        self.blocks.last().unwrap().slot
    }

    /// Who proposes a slot: decided by the last block before the epoch before.
    pub(crate) fn proposer(&self, slot: Slot) -> u64 {
        let decided = (slot / SLOTS_PER_EPOCH).saturating_sub(1);
        let seed = keccak256([self.boundary(decided).as_slice(), &slot.to_be_bytes()].concat());
        u64::from(seed[0]) % VALIDATORS
    }

    /// The last block before an epoch, or genesis.
    fn boundary(&self, epoch: u64) -> B256 {
        let before = self.blocks.iter().rev().find(|block| block.slot < epoch * SLOTS_PER_EPOCH);
        before.unwrap_or(&self.blocks[0]).root
    }

    /// Who owns a slot by the rule, with all that is recorded at the head; `end` is the first slot that is not known.
    pub(crate) fn owner(&self, slot: Slot, end: Slot) -> Option<Owner> {
        let mut delegations = Delegations::default();
        for (key, delegation) in &self.blocks.last().unwrap().recorded {
            delegations.insert(*key, *delegation).unwrap();
        }
        let end = end.min((slot / SLOTS_PER_EPOCH + 2) * SLOTS_PER_EPOCH);
        (slot..end).find_map(|by_slot| {
            let gateway = delegations.gateway_at(&root_of(self.proposer(by_slot)), by_slot)?;
            Some(Owner { gateway, by_slot })
        })
    }

    fn duties(&self, path: &str) -> Result<Value, u16> {
        let (version, epoch) = match path.strip_prefix("/eth/v2/validator/duties/proposer/") {
            Some(epoch) if self.knows_fulu_duties => (2, epoch),
            Some(_) => return Err(404),
            None => (1, path.strip_prefix("/eth/v1/validator/duties/proposer/").ok_or(404_u16)?),
        };
        let epoch: u64 = epoch.parse().map_err(|_| 400_u16)?;
        let dependent = if version == 2 { epoch.saturating_sub(1) } else { epoch };
        let duty = |slot: Slot| {
            let proposer = self.proposer(slot);
            json!({
                "slot": slot.to_string(),
                "validator_index": proposer.to_string(),
                "pubkey": key(proposer),
            })
        };
        let slots = epoch * SLOTS_PER_EPOCH..(epoch + 1) * SLOTS_PER_EPOCH;
        let mut answer = json!({
            "dependent_root": self.boundary(dependent),
            "execution_optimistic": false,
            "data": slots.map(duty).collect::<Vec<Value>>(),
        });
        (self.tamper_duties)(&mut answer);
        Ok(answer)
    }

    fn beacon_answer(&self, path: &str) -> Result<Value, u16> {
        match path {
            "/eth/v1/beacon/genesis" => {
                Ok(json!({ "data": { "genesis_time": GENESIS.to_string() } }))
            }
            "/eth/v1/config/spec" => {
                Ok(json!({ "data": { "SECONDS_PER_SLOT": SLOT_SECONDS.to_string() } }))
            }
            path => self.duties(path),
        }
    }

    fn l1_blocks(&self) -> &[Block] {
        let blocks = self.other_l1.as_ref().map_or(&self.blocks, |other| &other.blocks);
        &blocks[..blocks.len() - self.l1_is_behind]
    }

    fn l1_answer(&self, method: &str, params: &Value) -> Value {
        let blocks = self.l1_blocks();
        let by_hash =
            |hash: &Value| blocks.iter().find(|block| json!(block.header.hash()) == *hash);
        let block = |block: Option<&Block>| {
            let header = block?.header.clone();
            let header = alloy_rpc_types_eth::Header::from_sealed(header);
            let mut json = serde_json::to_value(header).unwrap();
            json["transactions"] = json!([]);
            json["uncles"] = json!([]);
            Some(json)
        };
        match (method, params[0].as_str()) {
            ("eth_getBlockByNumber", Some("latest")) => json!(block(blocks.last())),
            ("eth_getBlockByNumber", Some(number)) => {
                json!(block(blocks.get(usize::from_str_radix(&number[2..], 16).unwrap())))
            }
            ("eth_getBlockByHash", _) => json!(block(by_hash(&params[0]))),
            ("eth_getProof", _) => {
                let recorded = &by_hash(&params[2]).unwrap().recorded;
                let mut proof = proof_json(recorded, self.has_registry, params);
                (self.tamper_proof)(&mut proof);
                proof
            }
            _ => panic!("{method} is not asked for"),
        }
    }
}

fn proof_json(recorded: &Recorded, has_registry: bool, params: &Value) -> Value {
    let address: Address = serde_json::from_value(params[0].clone()).unwrap();
    let slots: Vec<B256> = serde_json::from_value(params[1].clone()).unwrap();
    let hashed: Vec<B256> = slots.iter().map(keccak256).collect();
    let (_, mut trie, nodes) = registry_state(recorded, has_registry);
    let key = keccak256(address);
    let proof = trie.prove(key, &hashed, &nodes).unwrap();
    let account = trie.account(key, &nodes).unwrap();
    let slots = proof.storage.iter().zip(&slots);
    let slots: Vec<Value> = slots
        .map(|(slot, key)| json!({ "key": key, "value": slot.value, "proof": slot.proof }))
        .collect();
    json!({
        "address": address,
        "balance": account.map_or(U256::ZERO, |account| account.balance),
        "nonce": format!("{:#x}", account.map_or(0, |account| account.nonce)),
        "codeHash": account.map_or(KECCAK_EMPTY, |account| account.code_hash),
        "storageHash": account.map_or(EMPTY_ROOT_HASH, |account| account.storage_root),
        "accountProof": proof.proof,
        "storageProof": slots,
    })
}

pub(crate) type Shared = Arc<Mutex<World>>;

/// A node of the world: the beacon node if it is asked by GET, else the L1 node.
struct Node {
    endpoint: Endpoint,
    world: Shared,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Node")
    }
}

impl Transport for Node {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn exchange(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let mut world = self.world.lock();
        let Some(body) = request.body else {
            world.asked.push(request.path.to_owned());
            return Ok(match world.beacon_answer(request.path) {
                Ok(answer) => Response { status: 200, body: serde_json::to_vec(&answer).unwrap() },
                Err(status) => Response { status, body: Vec::new() },
            });
        };
        let calls: Value = serde_json::from_slice(body).unwrap();
        let one = |call: &Value| {
            let result = world.l1_answer(call["method"].as_str().unwrap(), &call["params"]);
            json!({ "jsonrpc": "2.0", "id": call["id"], "result": result })
        };
        let (first, answer) = match &calls {
            Value::Array(calls) => (&calls[0], calls.iter().map(one).collect()),
            call => (call, one(call)),
        };
        let asked = first["method"].as_str().unwrap().to_owned();
        world.asked.push(asked);
        Ok(Response { status: 200, body: serde_json::to_vec(&answer).unwrap() })
    }
}

/// A world and a source that follows it.
pub(crate) struct Followed {
    pub(crate) world: Shared,
    pub(crate) source: LookaheadSource,
}

impl Followed {
    pub(crate) fn new(world: World) -> Self {
        let world: Shared = Arc::new(Mutex::new(world));
        let node = || -> Arc<dyn Transport> {
            let endpoint = Endpoint::new("http://fake.example").unwrap();
            Arc::new(Node { endpoint, world: Arc::clone(&world) })
        };
        let beacon = BeaconClient::new(vec![node()], Retry::at_once(1)).unwrap();
        let l1 = L1Client::new(RpcClient::new(node()).with_retry(Retry::at_once(1)));
        let source = LookaheadSource::new(beacon, l1, REGISTRY, SLOTS_PER_EPOCH).unwrap();
        Self { world, source }
    }
}

/// The time of a slot, in seconds.
pub(crate) const fn time(slot: Slot) -> u64 {
    GENESIS + SLOT_SECONDS * slot
}
