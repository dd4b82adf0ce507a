//! The `lockstep` namespace: super transactions, and how sure a transaction is.

use crate::{Args, Context, RpcError, RpcResult, context::Current, register::Registrar};
use alloy_eips::BlockNumHash;
use alloy_primitives::{Address, B256, Bytes, ChainId, U64, U256};
use jsonrpsee::{Methods, core::RegisterMethodError};
use lockstep_chain::{Chain, Rollup};
use lockstep_engine::{ChainSnapshot, PendingBlock};
use lockstep_execution::Execute;
use lockstep_storage::RecoveredBlock;
use lockstep_union::{Message, Part, PartTransaction, Step};
use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// What a node knows of its rollup's blocks on L1 beyond what its own fork choice says.
///
/// A block that is named and is not canonical says nothing of those that are.
pub trait Confirmations: fmt::Debug + Send + Sync {
    /// The newest block up to which the data of all is in blocks of L1; `None` if that is not known.
    fn posted(&self) -> Option<BlockNumHash>;

    /// The newest block whose state is proven on L1; `None` if that is not known.
    fn settled(&self) -> Option<BlockNumHash> {
        None
    }
}

/// How sure it is that a transaction stays, and does what it did. Later levels are surer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ConfirmationLevel {
    /// It waits in the pool.
    Pending,
    /// The sequencer has executed it, and says where it stands.
    Preconfirmed,
    /// Its block's data is in a block of L1.
    Posted,
    /// Its block was derived from L1.
    Safe,
    /// Its block's state is proven on L1.
    Settled,
    /// Its block was derived from finalized blocks of L1; and where it is known what is settled, it is
    /// that, too.
    Final,
}

impl ConfirmationLevel {
    /// All levels, the surest last.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::Preconfirmed, Self::Posted, Self::Safe, Self::Settled, Self::Final];

    /// The word for it in JSON-RPC, in logs and on screens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Preconfirmed => "preconfirmed",
            Self::Posted => "posted",
            Self::Safe => "safe",
            Self::Settled => "settled",
            Self::Final => "final",
        }
    }
}

impl fmt::Display for ConfirmationLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// All methods of the namespace. `confirmations` may be left out: `posted` and `settled` are then never
/// said.
///
/// # Errors
/// When two methods have the same name.
pub fn lockstep_methods(
    context: &Arc<Context<Rollup>>,
    confirmations: Option<Arc<dyn Confirmations>>,
) -> Result<Methods, RegisterMethodError> {
    let mut registrar = Registrar::new(context);
    // A part can be large.
    registrar.work("lockstep_getSuperTransaction", super_transaction);
    let for_heads = confirmations.clone();
    registrar.task("lockstep_confirmation", move |context, params| {
        let confirmations = confirmations.clone();
        async move {
            let mut args = Args::new(&params)?;
            let hash: B256 = args.required()?;
            args.end()?;
            confirmation(&context, confirmations.as_deref(), &hash)
        }
    });
    registrar.task("lockstep_heads", move |context, params| {
        let confirmations = for_heads.clone();
        async move {
            Args::new(&params)?.end()?;
            heads(&context, confirmations.as_deref())
        }
    });
    registrar.finish()
}

/// What L1 is known to have of a chain, beyond its fork choice.
struct OnL1 {
    posted: Option<BlockNumHash>,
    settled: Option<BlockNumHash>,
    is_settlement_known: bool,
}

impl OnL1 {
    /// To be read before the chain: what is known of L1 is then never ahead of it.
    fn read(confirmations: Option<&dyn Confirmations>) -> Self {
        let posted = confirmations.and_then(Confirmations::posted);
        let settled = confirmations.and_then(Confirmations::settled);
        Self { posted, settled, is_settlement_known: settled.is_some() }
    }

    /// Without what is not canonical.
    fn on(self, chain: &ChainSnapshot<Rollup>) -> RpcResult<Self> {
        let canonical = |block: Option<BlockNumHash>| match block {
            Some(block) if chain.is_canonical(block)? => RpcResult::Ok(Some(block)),
            _ => Ok(None),
        };
        let (posted, settled) = (canonical(self.posted)?, canonical(self.settled)?);
        Ok(Self { posted, settled, ..self })
    }

    /// The newest block that is final, if this is the newest one that was derived from finalized blocks of L1.
    fn finalized(&self, derived: Option<BlockNumHash>) -> Option<BlockNumHash> {
        if !self.is_settlement_known {
            return derived;
        }
        Some(older(derived?, self.settled?))
    }
}

fn older(one: BlockNumHash, other: BlockNumHash) -> BlockNumHash {
    if one.number <= other.number { one } else { other }
}

fn newer(one: BlockNumHash, other: BlockNumHash) -> BlockNumHash {
    if one.number >= other.number { one } else { other }
}

/// The newest block that is as sure as a level says.
#[derive(Clone, Copy, Debug, Serialize)]
struct Head {
    number: U64,
    /// Absent as long as the block is not complete.
    hash: Option<B256>,
}

impl From<BlockNumHash> for Head {
    fn from(block: BlockNumHash) -> Self {
        Self { number: U64::from(block.number), hash: Some(block.hash) }
    }
}

#[derive(Clone, Debug, Serialize)]
struct Heads {
    preconfirmed: Head,
    posted: Option<Head>,
    safe: Option<Head>,
    settled: Option<Head>,
    #[serde(rename = "final")]
    finalized: Option<Head>,
}

fn heads(context: &Context<Rollup>, confirmations: Option<&dyn Confirmations>) -> RpcResult<Heads> {
    let on_l1 = OnL1::read(confirmations);
    let Moment { open, now } = Moment::read(context);
    let snapshot = &now.snapshot;
    let on_l1 = on_l1.on(snapshot)?;
    let safe = snapshot.safe();
    // What was derived is in L1, whoever posted it.
    let posted = confirmations.and(match (on_l1.posted, safe) {
        (Some(posted), Some(safe)) => Some(newer(posted, safe)),
        (posted, safe) => posted.or(safe),
    });
    let head = BlockNumHash::new(snapshot.head().number, snapshot.head().seal());
    let preconfirmed = match open {
        Some(open) => Head { number: U64::from(open.block.number()), hash: None },
        None => head.into(),
    };
    Ok(Heads {
        preconfirmed,
        posted: posted.map(Head::from),
        safe: safe.map(Head::from),
        settled: on_l1.settled.map(Head::from),
        finalized: on_l1.finalized(snapshot.finalized()).map(Head::from),
    })
}

/// The chain, and the block that is open on top of it.
struct Moment {
    open: Option<PendingBlock<Rollup>>,
    now: Arc<Current<Rollup>>,
}

impl Moment {
    /// The open block is read before the chain: one that is closed between the two is then in the chain, while the
    /// other way round it would be in neither.
    fn read(context: &Context<Rollup>) -> Self {
        let open = context.pending_block();
        let now = context.now();
        let head = now.snapshot.head().number;
        Self { open: open.filter(|open| open.block.number() > head), now }
    }

    fn find(&self, hash: &B256) -> RpcResult<Option<Place>> {
        if let Some((block, index)) = self.now.snapshot.transaction(hash)? {
            return Ok(Some(Place { block, index, is_complete: true }));
        }
        let Some(open) = &self.open else { return Ok(None) };
        let block = open.block.clone();
        let index = open.transaction_index(hash);
        Ok(index.map(|index| Place { block, index, is_complete: false }))
    }
}

/// Where a transaction stands.
struct Place {
    block: Arc<RecoveredBlock<Rollup>>,
    index: usize,
    /// Whether the block is complete; its hash is not known before.
    is_complete: bool,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Confirmation {
    level: ConfirmationLevel,
    block_number: Option<U64>,
    /// Absent as long as the block is not complete.
    block_hash: Option<B256>,
}

fn confirmation(
    context: &Context<Rollup>,
    confirmations: Option<&dyn Confirmations>,
    hash: &B256,
) -> RpcResult<Option<Confirmation>> {
    let on_l1 = OnL1::read(confirmations);
    let mut moment = Moment::read(context);
    let mut found = moment.find(hash)?;
    let mut waits = false;
    if found.is_none() {
        waits = context.pool.contains(hash);
        // It may have gone from the pool into a block between the two.
        moment = Moment::read(context);
        found = moment.find(hash)?;
    }
    let Some(Place { block, is_complete, .. }) = found else {
        let level = ConfirmationLevel::Pending;
        let pending = Confirmation { level, block_number: None, block_hash: None };
        return Ok(waits.then_some(pending));
    };
    let number = block.number();
    let reaches =
        |newest: Option<BlockNumHash>| is_complete && newest.is_some_and(|it| number <= it.number);
    let snapshot = &moment.now.snapshot;
    let on_l1 = on_l1.on(snapshot)?;
    let level = if reaches(on_l1.finalized(snapshot.finalized())) {
        ConfirmationLevel::Final
    } else if reaches(on_l1.settled) {
        ConfirmationLevel::Settled
    } else if reaches(snapshot.safe()) {
        ConfirmationLevel::Safe
    } else if reaches(on_l1.posted) {
        ConfirmationLevel::Posted
    } else {
        ConfirmationLevel::Preconfirmed
    };
    let block_hash = is_complete.then(|| block.hash());
    Ok(Some(Confirmation { level, block_number: Some(U64::from(number)), block_hash }))
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct SuperTransaction {
    id: Id,
    /// The rollup that answers.
    chain: U64,
    home: U64,
    origin: Address,
    /// The user's transaction, on its home rollup; elsewhere it is not known.
    transaction_hash: Option<B256>,
    /// The transaction that holds this rollup's part.
    part_hash: B256,
    block_number: U64,
    /// Absent as long as the block is not complete.
    block_hash: Option<B256>,
    gas_limit: U64,
    steps: Vec<ShownStep>,
    /// This rollup's part as it stands in the block.
    part: Bytes,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Id {
    slot: U64,
    index: U64,
}

#[derive(Clone, Debug, Serialize)]
struct ShownStep {
    number: U64,
    peer: U64,
    direction: &'static str,
    #[serde(flatten)]
    message: ShownMessage,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum ShownMessage {
    Call {
        from: Address,
        to: Address,
        value: U256,
        gas: U64,
        base_fee: U64,
        is_static: bool,
        depth: U64,
        input: Bytes,
    },
    Return {
        success: bool,
        gas_used: U64,
        output: Bytes,
    },
    Rollback,
    RolledBack,
}

impl From<&Step> for ShownStep {
    fn from(step: &Step) -> Self {
        let message = match &step.message {
            Message::Call(call) => ShownMessage::Call {
                from: call.from,
                to: call.to,
                value: call.value,
                gas: U64::from(call.gas),
                base_fee: U64::from(call.base_fee),
                is_static: call.is_static,
                depth: U64::from(call.depth),
                input: call.input.clone(),
            },
            Message::Return(answer) => ShownMessage::Return {
                success: answer.success,
                gas_used: U64::from(answer.gas_used),
                output: answer.output.clone(),
            },
            Message::Rollback => ShownMessage::Rollback,
            Message::RolledBack => ShownMessage::RolledBack,
        };
        let direction = if step.is_sent { "sent" } else { "received" };
        Self { number: U64::from(step.index), peer: U64::from(step.peer), direction, message }
    }
}

fn super_transaction(
    context: &Context<Rollup>,
    args: &mut Args<'_>,
) -> RpcResult<Option<SuperTransaction>> {
    let hash: B256 = args.required()?;
    let Some(place) = Moment::read(context).find(&hash)? else { return Ok(None) };
    let chain = context.view.chain();
    if let Some(part) = part_at(chain, &place.block, place.index)? {
        let user = match &part {
            PartTransaction::OnHome(_) => place.index.checked_add(1),
            PartTransaction::OnPeer(_) => None,
        };
        return Ok(shown(chain.chain_id(), &place, place.index, part, user));
    }
    let Some(before) = place.index.checked_sub(1) else { return Ok(None) };
    match part_at(chain, &place.block, before)? {
        Some(part @ PartTransaction::OnHome(_)) => {
            Ok(shown(chain.chain_id(), &place, before, part, Some(place.index)))
        }
        _ => Ok(None),
    }
}

/// The part that the transaction at `index` holds; `None` if it holds none.
fn part_at(
    chain: &Rollup,
    block: &RecoveredBlock<Rollup>,
    index: usize,
) -> RpcResult<Option<PartTransaction>> {
    let Some(rules) = chain.union() else { return Ok(None) };
    let (transactions, senders) = (block.transactions(), &block.senders);
    let (Some(transaction), Some(sender)) = (transactions.get(index), senders.get(index)) else {
        return Ok(None);
    };
    let tx = chain.tx_env(transaction, *sender);
    PartTransaction::read(&tx.0, chain.chain_id(), rules)
        .map_err(|reason| RpcError::Internal(format!("transaction {index}: {reason}")))
}

fn shown(
    chain: ChainId,
    place: &Place,
    index: usize,
    part: PartTransaction,
    user: Option<usize>,
) -> Option<SuperTransaction> {
    let transactions = place.block.transactions();
    let (PartTransaction::OnHome(part) | PartTransaction::OnPeer(part)) = part;
    let Part { id, home, origin, gas_limit, ref steps } = part;
    let user = user.and_then(|user| transactions.get(user));
    Some(SuperTransaction {
        id: Id { slot: U64::from(id.slot), index: U64::from(id.index) },
        chain: U64::from(chain),
        home: U64::from(home),
        origin,
        transaction_hash: user.map(|user| user.tx_hash()),
        part_hash: transactions.get(index)?.tx_hash(),
        block_number: U64::from(place.block.number()),
        block_hash: place.is_complete.then(|| place.block.hash()),
        gas_limit: U64::from(gas_limit),
        steps: steps.iter().map(ShownStep::from).collect(),
        part: alloy_rlp::encode(&part).into(),
    })
}
