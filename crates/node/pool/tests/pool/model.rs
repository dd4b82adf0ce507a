//! The pool against a model that does everything the slow and obvious way: one list of
//! transactions, searched and sorted anew for each question.

use crate::world::{ETHER, GAS_LIMIT, Tip, World, transfer};
use alloy_consensus::{Transaction, TxEip1559};
use alloy_primitives::{Address, B256, U256};
use lockstep_chain::{Ethereum, EthereumHardfork, EthereumTransaction};
use lockstep_execution::Bytecode;
use lockstep_pool::{
    EthereumPooledTransaction, Origin, Pool, PoolConfig, PoolError, Pooled, SubPoolLimit,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, HashMap};

#[derive(Clone, Debug)]
struct Waiting {
    tx: EthereumPooledTransaction,
    sender: Address,
    origin: Origin,
    sequence: u64,
    pending: Option<bool>,
    queued_since: u64,
}

impl Waiting {
    fn hash(&self) -> B256 {
        *self.tx.tx_hash()
    }

    fn cost(&self) -> U256 {
        U256::from(self.tx.gas_limit()) * U256::from(self.tx.max_fee_per_gas()) + self.tx.value()
    }

    fn tip(&self, base_fee: u64) -> i128 {
        let above = self.tx.max_fee_per_gas() as i128 - i128::from(base_fee);
        above.min(self.tx.max_priority_fee_per_gas().unwrap() as i128)
    }
}

fn is_local(tx: &Waiting) -> bool {
    tx.origin == Origin::Local
}

fn bytes(part: &[&Waiting]) -> usize {
    part.iter().map(|tx| alloy_eips::eip2718::Encodable2718::encode_2718_len(&tx.tx)).sum()
}

struct Model {
    config: PoolConfig,
    tip: Tip,
    base_fee: u64,
    waiting: Vec<Waiting>,
    /// Included transactions of this node's users.
    recent: HashMap<B256, (Origin, u64)>,
    sequence: u64,
}

impl Model {
    fn account(&self, sender: Address) -> (u64, U256) {
        let account = self.tip.state.memory.get(&sender);
        account.map_or((0, U256::ZERO), |account| (account.info.nonce, account.info.balance))
    }

    fn of(&self, sender: Address) -> Vec<&Waiting> {
        let mut all: Vec<_> = self.waiting.iter().filter(|tx| tx.sender == sender).collect();
        all.sort_by_key(|tx| tx.tx.nonce());
        all
    }

    /// Those that leave no gap and are paid for.
    fn ready(&self, sender: Address) -> Vec<&Waiting> {
        let (nonce, balance) = self.account(sender);
        let mut spent = U256::ZERO;
        (nonce..)
            .zip(self.of(sender))
            .take_while(|(nonce, tx)| {
                spent += tx.cost();
                tx.tx.nonce() == *nonce && spent <= balance
            })
            .map(|(_, tx)| tx)
            .collect()
    }

    fn pending(&self, sender: Address) -> BTreeSet<B256> {
        let pays = |tx: &&&Waiting| tx.tx.max_fee_per_gas() >= u128::from(self.base_fee);
        self.ready(sender).iter().take_while(pays).map(|tx| tx.hash()).collect()
    }

    fn stand(&mut self, sender: Address) {
        let pending = self.pending(sender);
        let number = self.tip.header.number;
        for tx in self.waiting.iter_mut().filter(|tx| tx.sender == sender) {
            let now = pending.contains(&tx.hash());
            if !now && tx.pending != Some(false) {
                tx.queued_since = number;
            }
            tx.pending = Some(now);
        }
    }

    fn drop(&mut self, hash: B256) {
        let Some(at) = self.waiting.iter().position(|tx| tx.hash() == hash) else { return };
        let sender = self.waiting.remove(at).sender;
        self.stand(sender);
    }

    fn add(&mut self, tx: EthereumPooledTransaction, sender: Address, origin: Origin) -> bool {
        if self.waiting.iter().any(|other| other.hash() == *tx.tx_hash()) {
            return false;
        }
        self.sequence += 1;
        let added =
            Waiting { tx, sender, origin, sequence: self.sequence, pending: None, queued_since: 0 };
        let (nonce, balance) = self.account(sender);
        let wanted = added.tx.nonce();
        if wanted < nonce || wanted > nonce + self.config.max_nonce_gap {
            return false;
        }
        let mine = self.of(sender);
        let old = mine.iter().find(|old| old.tx.nonce() == wanted).map(|old| (*old).clone());
        if let Some(old) = &old {
            let above = |new: u128, old: u128| new > old && new * 100 >= old * 110;
            let tips = |tx: &Waiting| tx.tx.max_priority_fee_per_gas().unwrap();
            if !above(added.tx.max_fee_per_gas(), old.tx.max_fee_per_gas())
                || !above(tips(&added), tips(old))
            {
                return false;
            }
        } else if mine.len() >= self.slots(&added)
            && mine.last().is_none_or(|last| last.tx.nonce() < wanted)
        {
            return false;
        }
        let others = mine.iter().filter(|other| other.tx.nonce() != wanted);
        let queued: U256 = others.map(|other| other.cost()).sum();
        if queued + added.cost() > balance {
            return false;
        }
        self.enter(&added, old)
    }

    fn slots(&self, added: &Waiting) -> usize {
        let local = is_local(added) || self.of(added.sender).iter().any(|tx| is_local(tx));
        if local { self.config.local_sender_slots } else { self.config.sender_slots }
    }

    fn enter(&mut self, added: &Waiting, old: Option<Waiting>) -> bool {
        let (hash, sender, nonce) = (added.hash(), added.sender, added.tx.nonce());
        self.waiting.retain(|tx| tx.sender != sender || tx.tx.nonce() != nonce);
        self.waiting.push(added.clone());
        self.stand(sender);
        while self.of(sender).len() > self.slots(added)
            && self.of(sender).last().unwrap().tx.nonce() > nonce
        {
            let last = self.of(sender).last().unwrap().hash();
            self.drop(last);
        }
        self.enforce_limits();
        if self.waiting.iter().any(|tx| tx.hash() == hash) {
            return true;
        }
        if let Some(old) = old {
            self.waiting.push(Waiting { pending: None, ..old });
            self.stand(sender);
            self.enforce_limits();
        }
        false
    }

    fn enforce_limits(&mut self) {
        for (pending, limit) in [(true, self.config.pending), (false, self.config.queued)] {
            loop {
                let part: Vec<_> =
                    self.waiting.iter().filter(|tx| tx.pending == Some(pending)).collect();
                if part.len() <= limit.transactions && bytes(&part) <= limit.bytes {
                    break;
                }
                let (local, others): (Vec<&Waiting>, Vec<&Waiting>) =
                    part.iter().copied().partition(|tx| is_local(tx));
                let percent = self.config.local_share_percent;
                let too_much = local.len() > limit.transactions * percent / 100
                    || bytes(&local) > limit.bytes * percent / 100;
                let from = if too_much || others.is_empty() { local } else { others };
                let victim = from.iter().min_by_key(|tx| self.rank(tx)).unwrap().hash();
                self.drop(victim);
            }
        }
    }

    /// Lowest tip first, of the transaction and all that must come before it; then the newest.
    fn rank(&self, tx: &Waiting) -> (i128, i128, i128) {
        let mine = self.of(tx.sender);
        let before = || mine.iter().filter(|other| other.tx.nonce() <= tx.tx.nonce());
        let tip = before().map(|tx| tx.tip(self.base_fee)).min().unwrap();
        let newest = before().map(|tx| tx.sequence).max().unwrap();
        (tip, -i128::from(newest), -i128::from(tx.tx.nonce()))
    }

    fn advance(&mut self, world: &World, tip: Tip, included: &[Tip], dropped: &[Tip]) {
        use lockstep_chain::Chain;
        let blocks = |tips: &[Tip]| -> Vec<(EthereumTransaction, Address)> {
            let block = |tip: &Tip| {
                let block = tip.block().block.clone();
                let senders = block.senders.clone();
                block.transactions().to_vec().into_iter().zip(senders).collect::<Vec<_>>()
            };
            tips.iter().flat_map(block).collect()
        };
        let (included, dropped) = (blocks(included), blocks(dropped));
        let is_included = |hash: &B256| included.iter().any(|(tx, _)| tx.tx_hash() == hash);
        // Those of this node's users are known from memory, the others from the block.
        let mut returning = Vec::new();
        for (tx, sender) in dropped {
            let hash = *tx.tx_hash();
            if is_included(&hash) {
                continue;
            }
            let (origin, sequence) = self.recent.remove(&hash).unwrap_or_else(|| {
                self.sequence += 1;
                (Origin::External, self.sequence)
            });
            let tx = Ethereum::pooled(&tx).unwrap();
            returning.push(Waiting {
                tx,
                sender,
                origin,
                sequence,
                pending: None,
                queued_since: 0,
            });
        }
        self.base_fee = world.chain.next_base_fee(&tip.header, 0).unwrap();
        self.tip = tip;
        let all = std::mem::take(&mut self.waiting);
        for tx in all {
            if tx.tx.nonce() >= self.account(tx.sender).0 {
                self.waiting.push(tx);
            } else if is_included(&tx.hash()) && tx.origin.is_own() {
                self.recent.insert(tx.hash(), (tx.origin, tx.sequence));
            }
        }
        for tx in returning {
            let taken = self.of(tx.sender).iter().any(|other| other.tx.nonce() == tx.tx.nonce());
            if tx.tx.nonce() >= self.account(tx.sender).0 && !taken {
                self.waiting.push(tx);
            }
        }
        let senders: BTreeSet<_> = self.waiting.iter().map(|tx| tx.sender).collect();
        for sender in senders {
            self.stand(sender);
        }
        self.expire();
        self.enforce_limits();
    }

    fn expire(&mut self) {
        let number = self.tip.header.number;
        let lifetime = self.config.queued_lifetime_blocks;
        let is_old = |tx: &&Waiting| {
            tx.pending == Some(false)
                && !is_local(tx)
                && number.saturating_sub(tx.queued_since) > lifetime
        };
        let old: Vec<_> = self.waiting.iter().filter(is_old).map(Waiting::hash).collect();
        for hash in old {
            self.drop(hash);
        }
    }

    /// The best transactions: always the best next one of any sender.
    fn best(&self) -> Vec<B256> {
        let senders: BTreeSet<_> = self.waiting.iter().map(|tx| tx.sender).collect();
        let mut runs: Vec<Vec<&Waiting>> =
            senders.into_iter().map(|sender| self.ready(sender)).collect();
        let mut best = Vec::new();
        loop {
            let pays = |tx: &&Waiting| tx.tx.max_fee_per_gas() >= u128::from(self.base_fee);
            let next = runs
                .iter_mut()
                .filter(|run| run.first().is_some_and(&pays))
                .max_by_key(|run| (run[0].tip(self.base_fee), -i128::from(run[0].sequence)));
            let Some(run) = next else { return best };
            best.push(run.remove(0).hash());
        }
    }

    fn check(&self, world: &World, pool: &Pool<Ethereum>) {
        let content = pool.content();
        for (pending, part) in [(true, &content.pending), (false, &content.queued)] {
            let got: BTreeMap<_, _> = part
                .values()
                .flat_map(|by_nonce| by_nonce.values().map(|tx| (tx.hash, tx.origin)))
                .collect();
            let expected: BTreeMap<_, _> = self
                .waiting
                .iter()
                .filter(|tx| tx.pending == Some(pending))
                .map(|tx| (tx.hash(), tx.origin))
                .collect();
            assert_eq!(got, expected, "pending: {pending}");
        }
        let status = pool.status();
        assert_eq!(status.pending + status.queued, self.waiting.len());
        let best: Vec<_> = pool.best(self.base_fee, None).map(|tx| tx.hash).collect();
        assert_eq!(best, self.best());
        for user in 0..world.users.len() {
            let sender = world.address(user);
            let ready = self.ready(sender).len() as u64;
            let expected = (!self.of(sender).is_empty()).then(|| self.account(sender).0 + ready);
            assert_eq!(pool.next_nonce(sender), expected);
        }
    }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    Add {
        user: usize,
        nonce: u64,
        fee: u128,
        tip: u128,
        value: u32,
        origin: Origin,
    },
    Remove {
        at: usize,
    },
    /// A block on top with the best transactions, and some that the pool never saw.
    Block {
        take: usize,
        foreign: Vec<usize>,
        gas_used: u64,
    },
    /// As many blocks are dropped, and others take their place.
    Reorg {
        depth: usize,
        blocks: usize,
        take: usize,
        gas_used: u64,
    },
}

fn origin() -> impl Strategy<Value = Origin> {
    prop_oneof![3 => Just(Origin::Local), 3 => Just(Origin::User), 14 => Just(Origin::External)]
}

fn step() -> impl Strategy<Value = Step> {
    let add = (0..6usize, 0..6u64, 5..60u128, 1..60u128, 0..3u32, origin()).prop_map(
        |(user, nonce, fee, tip, value, origin)| Step::Add {
            user,
            nonce,
            fee,
            tip: tip.min(fee),
            value,
            origin,
        },
    );
    prop_oneof![
        20 => add,
        1 => (0..40usize).prop_map(|at| Step::Remove { at }),
        3 => (0..6usize, prop::collection::vec(0..6usize, 0..2), 0..GAS_LIMIT)
            .prop_map(|(take, foreign, gas_used)| Step::Block { take, foreign, gas_used }),
        2 => (1..4usize, 1..4usize, 0..4usize, 0..GAS_LIMIT).prop_map(
            |(depth, blocks, take, gas_used)| Step::Reorg { depth, blocks, take, gas_used }
        ),
    ]
}

struct Run {
    world: World,
    pool: Pool<Ethereum>,
    model: Model,
    chain: Vec<Tip>,
    salt: u64,
}

impl Run {
    fn new() -> Self {
        let world = World::new(EthereumHardfork::Prague);
        // Poor enough that balances matter: a transfer at 60 wei per gas takes 1.26 million.
        let genesis = world.genesis_with(|state| {
            for user in 0..6u64 {
                let wei = U256::from(4_000_000 * (user + 1) * (user + 1));
                let address = world.address(usize::try_from(user).unwrap());
                state.set_account(address, 0, wei, Bytecode::default());
            }
            state.set_account(world.address(9), 0, U256::from(ETHER), Bytecode::default());
        });
        let config = PoolConfig {
            pending: SubPoolLimit { transactions: 12, bytes: 1_400 },
            queued: SubPoolLimit { transactions: 9, bytes: 1_000 },
            sender_slots: 4,
            max_nonce_gap: 5,
            queued_lifetime_blocks: 4,
            ..Default::default()
        };
        let pool = Pool::new(world.chain.clone(), config, genesis.head());
        let model = Model {
            config,
            tip: genesis.clone(),
            base_fee: 9,
            waiting: Vec::new(),
            recent: HashMap::new(),
            sequence: 0,
        };
        Self { world, pool, model, chain: vec![genesis], salt: 0 }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Add { user, nonce, fee, tip, value, origin } => {
                let sender = self.world.address(user);
                // Around the account's nonce, and below it.
                let nonce = (self.model.account(sender).0 + nonce).saturating_sub(1);
                let value = U256::from(value) * U256::from(400_000);
                let tx = self.world.signed(user, TxEip1559 { value, ..transfer(nonce, fee, tip) });
                let expected = self.model.add(tx.clone(), sender, origin);
                let got = self.pool.add(tx, origin);
                assert_eq!(got.is_ok(), expected, "{got:?}");
                assert!(!matches!(got, Err(PoolError::State(_))));
            }
            Step::Remove { at } => {
                let mut hashes: Vec<_> = self.model.waiting.iter().map(Waiting::hash).collect();
                hashes.sort();
                if let Some(hash) = hashes.get(at) {
                    self.model.drop(*hash);
                    assert!(self.pool.remove(hash).is_some());
                }
            }
            Step::Block { take, foreign, gas_used } => {
                self.reorganise(0, 1, take, &foreign, gas_used);
            }
            Step::Reorg { depth, blocks, take, gas_used } => {
                self.reorganise(depth, blocks, take, &[], gas_used);
            }
        }
        self.model.check(&self.world, &self.pool);
    }

    fn reorganise(
        &mut self,
        depth: usize,
        blocks: usize,
        take: usize,
        foreign: &[usize],
        gas_used: u64,
    ) {
        let fork = self.chain.len() - depth.min(self.chain.len() - 1);
        let dropped = self.chain.split_off(fork);
        let begin = self.chain.len();
        let mut best: Vec<EthereumTransaction> =
            self.pool.best(self.model.base_fee, None).map(|tx| tx.consensus()).collect();
        for _ in 0..blocks {
            self.salt += 1;
            let parent = self.chain.last().unwrap().clone();
            let mut body: Vec<EthereumTransaction> = Vec::new();
            // The base fee goes to and fro among the fees that are offered.
            let gas_used = if parent.header.base_fee_per_gas.unwrap() > 40 { 0 } else { gas_used };
            for user in foreign {
                let sender = self.world.address(*user);
                let nonce = parent.state.memory.get(&sender).unwrap().info.nonce;
                let tx = transfer(nonce, 100, 1);
                let balance = parent.state.memory.get(&sender).unwrap().info.balance;
                let is_first = body.iter().all(|other| other.nonce() != nonce);
                if is_first && foreign.first() == Some(user) && balance > U256::from(2_200_000) {
                    body.push(Ethereum::consensus(&self.world.signed(*user, tx)));
                }
            }
            body.extend(self.executable(&parent, &mut best, take, foreign));
            let tip = self.world.child(&parent, body, gas_used, self.salt);
            self.chain.push(tip);
        }
        let included = &self.chain[begin..];
        let tip = included.last().unwrap().clone();
        let executed = |tips: &[Tip]| tips.iter().map(Tip::block).collect::<Vec<_>>();
        self.pool.advance(tip.head(), &executed(included), &executed(&dropped));
        self.model.advance(&self.world, tip, included, &dropped);
    }

    /// Up to `take` transactions that can stand in a child of `parent`.
    fn executable(
        &self,
        parent: &Tip,
        best: &mut Vec<EthereumTransaction>,
        take: usize,
        without: &[usize],
    ) -> Vec<EthereumTransaction> {
        use alloy_consensus::transaction::SignerRecoverable;
        use lockstep_chain::Chain;
        let base_fee = self.world.chain.next_base_fee(&parent.header, 0).unwrap();
        let mut nonces: HashMap<Address, (u64, U256)> = HashMap::new();
        let mut body = Vec::new();
        best.retain(|tx| {
            let sender = tx.recover_signer().unwrap();
            let info = &parent.state.memory.get(&sender).unwrap().info;
            let (nonce, left) = nonces.entry(sender).or_insert((info.nonce, info.balance));
            let cost = U256::from(tx.gas_limit()) * U256::from(tx.max_fee_per_gas()) + tx.value();
            let fits = body.len() < take
                && without.iter().all(|user| self.world.address(*user) != sender)
                && tx.nonce() == *nonce
                && cost <= *left
                && tx.max_fee_per_gas() >= u128::from(base_fee);
            if fits {
                *nonce += 1;
                *left -= cost;
                body.push(tx.clone());
            }
            !fits
        });
        body
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2_000, ..Default::default() })]

    #[test]
    fn the_pool_agrees_with_the_model(steps in prop::collection::vec(step(), 1..120)) {
        let mut run = Run::new();
        for step in steps {
            run.take(step);
        }
    }
}

/// One long life, so that what is kept between heads (memory of included transactions, times of
/// queueing, orders of eviction) grows old.
#[test]
fn ten_thousand_random_steps_agree_with_the_model() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut run = Run::new();
    let strategy = step();
    let mut reorgs = 0;
    for _ in 0..10_000 {
        let step = strategy.new_tree(&mut runner).unwrap().current();
        reorgs += usize::from(matches!(step, Step::Reorg { .. }));
        run.take(step);
    }
    assert!(reorgs > 500, "{reorgs}");
}
