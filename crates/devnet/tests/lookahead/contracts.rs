//! The union's contracts on L1, and calls to them.

use alloy_consensus::{Header, TxReceipt};
use alloy_eips::eip4788::{BEACON_ROOTS_ADDRESS, BEACON_ROOTS_CODE};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, address, bytes};
use alloy_sol_types::{SolCall, SolConstructor, SolValue};
use blst::min_pk::{PublicKey, Signature};
use lockstep_chain::{FeeParams, ForkSchedule, OpHardfork, Rollup};
use lockstep_devnet::beacon::ValidatorKeys;
use lockstep_execution::{BlockExecutor, MemoryState};
use lockstep_lookahead::{Delegation, Owner, Proof, Slot};
use op_alloy_consensus::{OpTxEnvelope, TxDeposit};
use std::collections::BTreeMap;

/// The interfaces and codes of the artifacts.
macro_rules! bind {
    ($($module:ident: $artifact:literal;)*) => {$(
        pub(crate) mod $module {
            #![allow(
                dead_code,
                clippy::all,
                missing_debug_implementations,
                missing_docs,
                unreachable_pub,
                reason = "generated"
            )]
            alloy_sol_types::sol!(Artifact, $artifact);
        }
    )*};
}

bind! {
    inbox: "../settlement/contracts/artifacts/Inbox.json";
    lookahead: "../settlement/contracts/artifacts/Lookahead.json";
    registry: "../settlement/contracts/artifacts/Registry.json";
}

use self::{
    inbox::Artifact as Inbox, lookahead::Artifact as LookaheadContract,
    registry::Artifact as Registry,
};

/// Calls the address that its input begins with, with the rest of it, and logs what comes back, with whether it succeeded.
const READER: Address = address!("00000000000000000000000000000000000ead00");
const READER_CODE: Bytes =
    bytes!("601436038060146000376000600082600060003560601c5afa3d600060003e3d6000a100");

const OWNER: Address = Address::repeat_byte(0x0e);

/// How long EIP-4788 keeps roots.
const HISTORY: u64 = 8191;

/// A time of the beacon chain.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) genesis: u64,
    pub(crate) slot_seconds: u64,
    pub(crate) slots_per_epoch: u64,
}

/// L1 with the contracts. Transactions are deposits, since those need neither fees nor signatures.
pub(crate) struct L1 {
    chain: Rollup,
    pub(crate) state: MemoryState,
    times: Times,
    number: u64,
    pub(crate) timestamp: u64,
    pub(crate) lookahead: Address,
    pub(crate) registry: Address,
    pub(crate) inbox: Address,
}

impl L1 {
    pub(crate) fn new(times: Times) -> Self {
        let account = |code: Bytes| GenesisAccount { code: Some(code), ..Default::default() };
        let alloc = BTreeMap::from([
            (READER, account(READER_CODE)),
            (BEACON_ROOTS_ADDRESS, account(BEACON_ROOTS_CODE.clone())),
        ]);
        let mut l1 = Self {
            chain: Rollup::new(
                901,
                ForkSchedule::<OpHardfork>::at(OpHardfork::Isthmus),
                FeeParams::OP_MAINNET,
            ),
            state: MemoryState::from_genesis(&Genesis { alloc, ..Default::default() }),
            times,
            number: 0,
            timestamp: times.genesis,
            lookahead: Address::ZERO,
            registry: Address::ZERO,
            inbox: Address::ZERO,
        };
        let chain = lookahead::Lookahead::Chain {
            genesisTime: times.genesis,
            secondsPerSlot: times.slot_seconds,
            slotsPerEpoch: times.slots_per_epoch,
            endSlot: 1 << 30,
        };
        let layouts = vec![lookahead::Lookahead::Layout {
            firstSlot: 0,
            proposerLookahead: 101,
            validators: 75,
        }];
        let constructor = LookaheadContract::constructorCall { chain, layouts };
        l1.lookahead = l1.create(1, &LookaheadContract::BYTECODE, &constructor);
        let config = registry::Registry::Config {
            lookahead: l1.lookahead,
            minCollateral: U256::from(1),
            exitDelaySlots: 1,
        };
        let constructor = Registry::constructorCall { config };
        l1.registry = l1.create(2, &Registry::BYTECODE, &constructor);
        let config = inbox::Inbox::Config {
            lookahead: l1.lookahead,
            registry: l1.registry,
            firstSlot: 0,
            windowSlots: 64,
        };
        l1.inbox = l1.create(3, &Inbox::BYTECODE, &Inbox::constructorCall { config });
        l1
    }

    fn create(&mut self, creator: u8, code: &Bytes, constructor: &impl SolConstructor) -> Address {
        let creator = Address::repeat_byte(creator);
        let code = [code.as_ref(), &constructor.abi_encode()].concat();
        self.transact(creator, TxKind::Create, 0, code).expect("the contract is created");
        creator.create(0)
    }

    /// Executes a transaction in a block of its own; its logs if it succeeds.
    fn transact(
        &mut self,
        from: Address,
        to: TxKind,
        value: u128,
        input: Vec<u8>,
    ) -> Option<Vec<alloy_primitives::Log>> {
        self.number += 1;
        let header = Header {
            number: self.number,
            timestamp: self.timestamp,
            gas_limit: 60_000_000,
            base_fee_per_gas: Some(1),
            excess_blob_gas: Some(0),
            ..Default::default()
        };
        let deposit = TxDeposit {
            from,
            to,
            mint: value,
            value: U256::from(value),
            gas_limit: 30_000_000,
            input: input.into(),
            ..Default::default()
        };
        let mut executor = BlockExecutor::new(&self.chain, &header, self.state.clone());
        let outcome = executor.transact(&OpTxEnvelope::from(deposit), from).unwrap();
        let changes = executor.changes();
        let logs = executor.receipts()[0].logs().to_vec();
        self.state.apply(&changes);
        outcome.success.then_some(logs)
    }

    /// What a function returns, or the data of its revert.
    pub(crate) fn read<C: SolCall>(&mut self, to: Address, call: &C) -> Result<C::Return, Bytes> {
        let input = [to.as_slice(), &call.abi_encode()].concat();
        let logs = self.transact(Address::ZERO, TxKind::Call(READER), 0, input).unwrap();
        let data = &logs[0].data;
        if data.topics() == [B256::ZERO] {
            return Err(data.data.clone());
        }
        Ok(C::abi_decode_returns(&data.data).expect("the function's answer"))
    }

    /// The time of a slot.
    pub(crate) const fn time(&self, slot: Slot) -> u64 {
        self.times.genesis + self.times.slot_seconds * slot
    }

    /// Registers a validator's key, by its signature.
    pub(crate) fn register(&mut self, keys: &ValidatorKeys, validator: u64) {
        let root = Registry::registrationRootCall { owner: OWNER, registration: 0 };
        let root = self.read(self.registry, &root).unwrap();
        let key = keys.public()[validator as usize];
        let call = Registry::registerCall {
            key: g1(&key),
            owner: OWNER,
            signature: g2(&keys.sign(validator, &root)),
        };
        let sent = self.transact(OWNER, TxKind::Call(self.registry), 5, call.abi_encode());
        sent.expect("the registration succeeds");
    }

    /// Delegates slots of a validator, by its signature.
    pub(crate) fn delegate(
        &mut self,
        keys: &ValidatorKeys,
        validator: u64,
        delegation: Delegation,
    ) {
        let delegation = registry::Registry::Delegation {
            firstSlot: delegation.first_slot.try_into().unwrap(),
            lastSlot: delegation.last_slot.try_into().unwrap(),
            gateway: delegation.gateway,
        };
        let root = Registry::delegationRootCall { delegation: delegation.clone(), registration: 0 };
        let root = self.read(self.registry, &root).unwrap();
        let call = Registry::delegateCall {
            key: g1(&keys.public()[validator as usize]),
            delegation,
            signature: g2(&keys.sign(validator, &root)),
        };
        let sent = self.transact(OWNER, TxKind::Call(self.registry), 0, call.abi_encode());
        sent.expect("the delegation is recorded");
    }

    /// What EIP-4788's contract keeps of an L1 block.
    pub(crate) fn keep_beacon_root(&mut self, timestamp: u64, root: B256) {
        let slot = U256::from(timestamp % HISTORY);
        self.state.set_slot(BEACON_ROOTS_ADDRESS, slot, U256::from(timestamp));
        self.state.set_slot(BEACON_ROOTS_ADDRESS, slot + U256::from(HISTORY), root.into());
    }

    pub(crate) fn gateway_at(&mut self, key: B256, slot: Slot) -> Option<Address> {
        let call = Registry::gatewayAtCall { key, slot };
        let gateway = self.read(self.registry, &call).unwrap();
        (!gateway.is_zero()).then_some(gateway)
    }

    /// `Inbox.ownerOf`; `None` where it reverts.
    pub(crate) fn owner_of(&mut self, slot: Slot, proof: &impl SolValue) -> Option<Owner> {
        let proof = inbox::Lookahead::Proof::abi_decode(&proof.abi_encode()).unwrap();
        let answer = self.read(self.inbox, &Inbox::ownerOfCall { slot, proof }).ok()?;
        Some(Owner { gateway: answer.owner, by_slot: answer.ownerSlot })
    }

    /// `Lookahead.proposers`; `None` where it reverts.
    pub(crate) fn proposers(&mut self, first_slot: Slot, proof: &Proof) -> Option<Vec<B256>> {
        let proof = lookahead::Lookahead::Proof::abi_decode(&proof.abi_encode()).unwrap();
        let call = LookaheadContract::proposersCall { firstSlot: first_slot, proof };
        self.read(self.lookahead, &call).ok()
    }
}

/// A coordinate of 48 bytes, as EIP-2537 has it: two words, the first of which begins with 16 zeros.
fn words(coordinate: &[u8]) -> [B256; 2] {
    let (high, low) = coordinate.split_at(16);
    [B256::left_padding_from(high), B256::from_slice(low)]
}

fn g1(key: &[u8; 48]) -> Registry::G1Point {
    let bytes = PublicKey::from_bytes(key).unwrap().serialize();
    let [x, y] = [words(&bytes[..48]), words(&bytes[48..])];
    Registry::G1Point { xHigh: x[0], xLow: x[1], yHigh: y[0], yLow: y[1] }
}

fn g2(signature: &[u8; 96]) -> Registry::G2Point {
    let bytes = Signature::from_bytes(signature).unwrap().serialize();
    // The second part of a coordinate comes first here.
    let part = |place: usize| words(&bytes[48 * place..48 * (place + 1)]);
    let [x1, x0, y1, y0] = [part(0), part(1), part(2), part(3)];
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
