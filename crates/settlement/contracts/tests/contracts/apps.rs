//! The example apps on a union: their code as forge compiled it, under the executor of super transactions.

use crate::{
    machine::Machine,
    union_world::{ANYBODY, HOME, PEER, USER, World, transcript},
};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use alloy_sol_types::{SolCall, SolConstructor, SolError};
use lockstep_union::{JointOutcome, proxy_of};

macro_rules! bind {
    ($($module:ident: $contract:ident, $artifact:literal;)*) => {$(
        pub(crate) mod $module {
            #![allow(missing_docs, reason = "generated")]
            alloy_sol_types::sol!($contract, $artifact);
        }
        pub(crate) use $module::$contract;
    )*};
}

bind! {
    arbitrage: Arbitrage, "artifacts/examples/Arbitrage.json";
    cross_swap: CrossSwap, "artifacts/examples/CrossSwap.json";
    lender: Lender, "artifacts/examples/Lender.json";
    pool: Pool, "artifacts/examples/Pool.json";
    token: Token, "artifacts/examples/Token.json";
}

const RECIPIENT: Address = Address::repeat_byte(0xb0);
const ETHER: u128 = 1_000_000_000_000_000_000;

/// Creates a contract with some ether.
pub(crate) fn create(
    machine: &mut Machine,
    from: Address,
    value: u128,
    code: &Bytes,
    arguments: &impl SolConstructor,
) -> Address {
    let nonce = machine.state.get(&from).map_or(0, |account| account.info.nonce);
    let init_code = [code.as_ref(), &arguments.abi_encode()].concat();
    machine.transact(from, TxKind::Create, value, init_code).expect("it is created");
    from.create(nonce)
}

/// A token of which `ANYBODY` has all.
pub(crate) fn new_token(machine: &mut Machine) -> Address {
    let supply = U256::from(10_000_000);
    let arguments = Token::constructorCall { owner: ANYBODY, supply };
    create(machine, ANYBODY, 0, &Token::BYTECODE, &arguments)
}

/// A pool with these reserves: tokens, and ether in wei.
fn new_pool(machine: &mut Machine, token: Address, tokens: u64, ether: u128) -> Address {
    let arguments = Pool::constructorCall { token_: token };
    let pool = create(machine, ANYBODY, 0, &Pool::BYTECODE, &arguments);
    let amount = U256::from(tokens);
    machine.call(ANYBODY, token, &Token::approveCall { spender: pool, amount });
    let fund = Pool::fundCall { amount }.abi_encode();
    machine.transact(ANYBODY, TxKind::Call(pool), ether, fund).expect("it is funded");
    pool
}

fn tokens_of(machine: &mut Machine, token: Address, owner: Address) -> U256 {
    machine.read(token, &Token::balanceOfCall { owner })
}

/// What the user's transaction returned, or reverted with.
pub(crate) fn output(done: &JointOutcome) -> Result<Bytes, Bytes> {
    let result = done[&HOME].result.as_ref().expect("it is the home rollup");
    let output = result.output().cloned().unwrap_or_default();
    if result.is_success() { Ok(output) } else { Err(output) }
}

#[test]
fn a_swap_goes_over_two_rollups_or_over_none() {
    let mut world = World::new();
    let token_b = new_token(&mut world.peer);
    let pool_b = new_pool(&mut world.peer, token_b, 1_000_000, 200 * ETHER);
    let token_a = new_token(&mut world.home);
    let pool_a = new_pool(&mut world.home, token_a, 1_000_000, 100 * ETHER);
    let arguments = CrossSwap::constructorCall {
        pool_: pool_a,
        peerChain_: U256::from(PEER),
        peerPool_: pool_b,
    };
    let swapper = create(&mut world.home, ANYBODY, 0, &CrossSwap::BYTECODE, &arguments);
    let amount = U256::from(10_000);
    world.home.call(ANYBODY, token_a, &Token::transferCall { to: USER, amount });
    world.home.call(USER, token_a, &Token::approveCall { spender: swapper, amount });

    // By the formula of both pools.
    let out = |amount: U256, from: U256, to: U256| {
        let kept = amount * U256::from(997);
        kept * to / (from * U256::from(1_000) + kept)
    };
    let million = U256::from(1_000_000);
    let paid = out(amount, million, U256::from(100 * ETHER));
    let bought = out(paid, U256::from(200 * ETHER), million);

    let swap = |least| CrossSwap::swapCall { amount, least, recipient: RECIPIENT }.abi_encode();
    let least = bought + U256::ONE;
    let reverted = output(&world.execute(swapper, 0, swap(least))).unwrap_err();
    let error = CrossSwap::TooLittle::abi_decode(&reverted).expect("it says why");
    assert_eq!((error.bought, error.least), (bought, least));
    assert_eq!(tokens_of(&mut world.home, token_a, USER), amount);
    assert_eq!(world.home.balance(pool_a), U256::from(100 * ETHER));
    assert_eq!(world.peer.balance(pool_b), U256::from(200 * ETHER));
    assert_eq!(tokens_of(&mut world.peer, token_b, RECIPIENT), U256::ZERO);
    // What was said stays said, and no ether has moved.
    let (hash, sent, _) = transcript(&mut world.home, PEER);
    assert!(!hash.is_zero() && sent.is_zero());

    let returned = output(&world.execute(swapper, 0, swap(bought))).expect("it swaps");
    assert_eq!(CrossSwap::swapCall::abi_decode_returns(&returned).unwrap(), bought);
    assert_eq!(tokens_of(&mut world.home, token_a, USER), U256::ZERO);
    assert_eq!(tokens_of(&mut world.peer, token_b, RECIPIENT), bought);
    assert_eq!(world.home.balance(pool_a), U256::from(100 * ETHER) - paid);
    assert_eq!(world.peer.balance(pool_b), U256::from(200 * ETHER) + paid);
    assert_eq!(transcript(&mut world.home, PEER).1, paid);
}

#[test]
fn a_loan_of_another_rollup_is_repaid_or_was_never_made() {
    let mut world = World::new();
    let arguments = Lender::constructorCall { owner_: ANYBODY };
    let lender = create(&mut world.peer, ANYBODY, 500 * ETHER, &Lender::BYTECODE, &arguments);
    let token = new_token(&mut world.home);
    let cheap = new_pool(&mut world.home, token, 2_000_000, 100 * ETHER);
    let dear = new_pool(&mut world.home, token, 1_000_000, 100 * ETHER);
    let arguments = Arbitrage::constructorCall { lenderChain: U256::from(PEER), lender_: lender };
    let arbitrage = create(&mut world.home, USER, 0, &Arbitrage::BYTECODE, &arguments);
    let amount = U256::from(15 * ETHER);
    let run = |cheap, dear| Arbitrage::runCall { amount, cheap, dear }.abi_encode();

    // The wrong way round, it brings less than it cost.
    let done = world.execute(arbitrage, 0, run(dear, cheap));
    let reverted = output(&done).unwrap_err();
    assert_eq!(reverted.as_ref(), Arbitrage::PaymentFailed::SELECTOR);
    assert_eq!(world.peer.balance(lender), U256::from(500 * ETHER));
    assert_eq!(world.home.balance(cheap), U256::from(100 * ETHER));
    assert_eq!(transcript(&mut world.home, PEER).2, U256::ZERO, "no ether came");

    let before = world.home.balance(USER);
    let done = world.execute(arbitrage, 0, run(cheap, dear));
    output(&done).expect("it pays");
    assert_eq!(done[&HOME].part.steps.len(), 6, "the loan, the call back, the repayment");
    let fee = amount * U256::from(5) / U256::from(10_000);
    assert_eq!(world.peer.balance(lender), U256::from(500 * ETHER) + fee);
    let gained = world.home.balance(USER) - before;
    assert!(gained > U256::from(5 * ETHER), "{gained}");
    let (_, sent, received) = transcript(&mut world.home, PEER);
    assert_eq!((sent, received), (amount + fee, amount));
    assert!(world.home.balance(arbitrage).is_zero());
    assert!(world.home.balance(proxy_of(PEER, lender)).is_zero());
}
