//! A token of L1 on two rollups, under the executor of super transactions: from its vault on L1, over both, and back.

use crate::{
    apps::{Token, new_token, output},
    bridge::{finalize_call, prove_call},
    genesis::{PROPOSER, SETTINGS},
    machine::Machine,
    proofs::{storage_proof, storage_root},
    union::{SETTLEMENT, deploy, settings},
    union_world::{ANYBODY, HOME, PEER, USER, World, deploy_proxy},
};
use alloy_primitives::{Address, B256, Bytes, ChainId, TxKind, U256, keccak256};
use alloy_sol_types::{SolCall, SolError, SolEvent, SolValue};
use lockstep_chain::OpHardfork;
use lockstep_contracts::{
    BRIDGED_TOKEN, BridgedToken, MESSAGE_PASSER, MemberAddresses, OutputOracle, Portal,
    TOKEN_BRIDGE, TokenBridge, TokenPortal, UnionAddresses, Vault,
};
use lockstep_protocol::{OutputRoot, Withdrawal, deposit_from_log};
use lockstep_union::{JointOutcome, proxy_of};
use op_alloy_consensus::TxDeposit;
use std::collections::BTreeMap;

const BOB: Address = Address::repeat_byte(0xb0);

/// An L1 with a union and a token of which `ANYBODY` has all, and the union's rollups.
struct Bridged {
    l1: Machine,
    addresses: UnionAddresses,
    world: World,
    l1_token: Address,
    /// Where the token is on each rollup, once it is there.
    token: Address,
}

/// What the bridge of a rollup has of the other: sent, and received.
type Carried = (U256, U256);

impl Bridged {
    fn new() -> Self {
        let mut l1 = Machine::new(OpHardfork::Isthmus, BTreeMap::new());
        let addresses = deploy(&mut l1, &settings());
        let l1_token = new_token(&mut l1);
        let portals = [0, 1].map(|member| addresses.rollups[member].token_portal);
        let mut world = World::with_token_portals(portals);
        let token = world.home.read(TOKEN_BRIDGE, &TokenBridge::tokenOfCall { l1Token: l1_token });
        Self { l1, addresses, world, l1_token, token }
    }

    fn member(&self, chain: ChainId) -> MemberAddresses {
        self.addresses.rollups[usize::from(chain == PEER)]
    }

    fn machine(&mut self, chain: ChainId) -> &mut Machine {
        if chain == PEER { &mut self.world.peer } else { &mut self.world.home }
    }

    /// What a deposit of `ANYBODY` on L1 is on the rollup.
    fn deposit_on_l1(&mut self, chain: ChainId, to: Address, amount: U256) -> TxDeposit {
        let spender = self.member(chain).token_portal;
        self.l1.call(ANYBODY, self.l1_token, &Token::approveCall { spender, amount });
        let call = TokenPortal::depositCall { token: self.l1_token, to, amount };
        let logs = self.l1.call(ANYBODY, spender, &call);
        let event = logs.last().unwrap();
        assert_eq!(event.address, self.member(chain).rollup.portal);
        deposit_from_log(&event.data, B256::repeat_byte(7), 0).unwrap()
    }

    fn deposit(&mut self, chain: ChainId, to: Address, amount: u64) {
        let deposit = self.deposit_on_l1(chain, to, U256::from(amount));
        self.machine(chain).deposit(deposit).expect("a deposit cannot fail");
    }

    /// The user sends tokens from the home rollup.
    fn send(&mut self, to: Address, amount: u64) -> JointOutcome {
        let call = TokenBridge::sendCall {
            token: self.token,
            peer: U256::from(PEER),
            to,
            amount: U256::from(amount),
        };
        self.world.execute(TOKEN_BRIDGE, 0, call.abi_encode())
    }

    /// The user has its proxy on the peer send tokens home.
    fn send_back(&mut self, to: Address, amount: u64) -> JointOutcome {
        let bridge = deploy_proxy(&mut self.world.home, PEER, TOKEN_BRIDGE);
        let call = TokenBridge::sendCall {
            token: self.token,
            peer: U256::from(HOME),
            to,
            amount: U256::from(amount),
        };
        self.world.execute(bridge, 0, call.abi_encode())
    }

    fn balance(&mut self, chain: ChainId, account: Address) -> u64 {
        let token = self.token;
        let balance = BridgedToken::balanceOfCall { account };
        self.machine(chain).read(token, &balance).to()
    }

    fn supply(&mut self, chain: ChainId) -> U256 {
        let token = self.token;
        let machine = self.machine(chain);
        if machine.state.get(&token).is_none() {
            return U256::ZERO;
        }
        machine.read(token, &BridgedToken::totalSupplyCall {})
    }

    fn kept(&mut self, chain: ChainId) -> U256 {
        let call = Vault::balanceOfCall { rollup: U256::from(chain), token: self.l1_token };
        self.l1.read(self.addresses.vault, &call)
    }

    fn carried(&mut self, chain: ChainId) -> Carried {
        let peer = U256::from(HOME + PEER - chain);
        let l1_token = self.l1_token;
        let call = TokenBridge::carriedCall { peer, l1Token: l1_token };
        let carried = self.machine(chain).read(TOKEN_BRIDGE, &call);
        (carried.sent, carried.received)
    }

    /// Of each rollup: what the vault has, what came and what went are what there is. Between them: one received what the
    /// other sent.
    fn check(&mut self) {
        let [home, peer] = [HOME, PEER].map(|chain| {
            let (sent, received) = self.carried(chain);
            assert_eq!(self.kept(chain) + received - sent, self.supply(chain), "rollup {chain}");
            (sent, received)
        });
        assert_eq!(home, (peer.1, peer.0));
        let vault = self.addresses.vault;
        let all = self.l1.read(self.l1_token, &Token::balanceOfCall { owner: vault });
        assert_eq!(all, self.kept(HOME) + self.kept(PEER));
        assert_eq!(all, self.supply(HOME) + self.supply(PEER));
    }
}

#[test]
fn a_deposit_makes_the_token_at_one_address_on_every_rollup() {
    let mut union = Bridged::new();
    let of_peer = TokenBridge::tokenOfCall { l1Token: union.l1_token };
    assert_eq!(union.world.peer.read(TOKEN_BRIDGE, &of_peer), union.token);
    let deposit = union.deposit_on_l1(HOME, BOB, U256::from(100));
    assert_eq!((deposit.to, deposit.value), (TxKind::Call(TOKEN_BRIDGE), U256::ZERO));
    // Two thirds of its gas are enough.
    let limit = deposit.gas_limit / 3 * 2;
    union.world.home.deposit(TxDeposit { gas_limit: limit, ..deposit }).expect("it is enough");
    union.deposit(PEER, BOB, 30);
    assert_eq!((union.balance(HOME, BOB), union.balance(PEER, BOB)), (100, 30));
    let token = union.token;
    for chain in [HOME, PEER] {
        let l1_token = union.l1_token;
        let machine = union.machine(chain);
        assert_eq!(machine.read(token, &BridgedToken::l1TokenCall {}), l1_token);
        assert_eq!(machine.read(token, &BridgedToken::nameCall {}), "Example");
        assert_eq!(machine.read(BRIDGED_TOKEN, &BridgedToken::bridgeCall {}), TOKEN_BRIDGE);
    }
    union.check();
}

#[test]
fn tokens_go_to_a_peer_in_one_transaction_and_come_back() {
    let mut union = Bridged::new();
    union.deposit(HOME, USER, 100);
    // The first time, the peer asks back what the token is called.
    assert_eq!(union.send(BOB, 60)[&HOME].part.steps.len(), 4);
    assert_eq!((union.balance(HOME, USER), union.balance(PEER, BOB)), (40, 60));
    let own_proxy = proxy_of(HOME, USER);
    assert_eq!(union.send(own_proxy, 30)[&HOME].part.steps.len(), 2);
    union.check();

    // What a proxy has on the peer is its owner's, who sends it back by the peer's bridge.
    output(&union.send_back(BOB, 20)).expect("it is sent");
    assert_eq!((union.balance(HOME, BOB), union.balance(PEER, own_proxy)), (20, 10));
    assert_eq!(union.carried(HOME), (U256::from(90), U256::from(20)));
    union.check();

    // More than there is, and to a rollup that is none of the union.
    output(&union.send(BOB, 11)).unwrap_err();
    output(&union.send_back(BOB, 11)).unwrap_err();
    let nowhere = TokenBridge::sendCall {
        token: union.token,
        peer: U256::from(903),
        to: BOB,
        amount: U256::ONE,
    };
    output(&union.world.execute(TOKEN_BRIDGE, 0, nowhere.abi_encode())).unwrap_err();
    assert_eq!((union.balance(HOME, USER), union.balance(PEER, own_proxy)), (10, 10));
    union.check();
}

/// Contracts of peers that are not their bridges, and calls that only say that they are.
#[test]
fn nobody_mints_but_the_bridge_of_a_peer() {
    let mut union = Bridged::new();
    union.deposit(HOME, USER, 10);
    let forged = |claimed: ChainId| {
        TokenBridge::receiveTokensCall {
            peer: U256::from(claimed),
            l1Token: union.l1_token,
            from: USER,
            to: USER,
            amount: U256::from(1_000),
            isCall: false,
            data: Bytes::new(),
        }
        .abi_encode()
    };
    // On the own rollup, and by the own proxy on the peer.
    let there = deploy_proxy(&mut union.world.home, PEER, TOKEN_BRIDGE);
    let cases = [(TOKEN_BRIDGE, PEER, USER), (TOKEN_BRIDGE, HOME, USER)];
    let of_peer = [(there, HOME, proxy_of(HOME, USER)), (there, PEER, proxy_of(HOME, USER))];
    for (to, claimed, caller) in cases.into_iter().chain(of_peer) {
        let error = output(&union.world.execute(to, 0, forged(claimed))).unwrap_err();
        let refused = TokenBridge::NotPeer::abi_decode(&error).expect("it says why");
        assert_eq!((refused.peer, refused.caller), (U256::from(claimed), caller));
    }
    union.check();
    assert_eq!(union.supply(HOME), U256::from(10));
}

#[test]
fn a_receiver_that_takes_no_tokens_undoes_the_send() {
    let mut union = Bridged::new();
    union.deposit(HOME, USER, 10);
    // An account without code, and the bridge's proxy, by which it would call itself at home.
    for to in [BOB, proxy_of(HOME, TOKEN_BRIDGE)] {
        let call = TokenBridge::sendAndCallCall {
            token: union.token,
            peer: U256::from(PEER),
            to,
            amount: U256::from(7),
            data: Bytes::new(),
        };
        output(&union.world.execute(TOKEN_BRIDGE, 0, call.abi_encode())).unwrap_err();
        assert_eq!(union.balance(HOME, USER), 10);
        assert_eq!(union.supply(PEER), U256::ZERO);
        union.check();
    }
}

#[test]
fn what_was_sent_to_a_peer_is_withdrawn_from_there() {
    let mut union = Bridged::new();
    union.deposit(HOME, USER, 100);
    union.send(BOB, 60);
    let call = TokenBridge::withdrawCall { token: union.token, to: BOB, amount: U256::from(50) };
    let logs = union.world.peer.call(BOB, TOKEN_BRIDGE, &call);
    let withdrawal = Withdrawal::from_log(&logs.last().unwrap().data).expect("it is a withdrawal");
    let at = union.member(PEER);
    assert_eq!((withdrawal.sender, withdrawal.target), (TOKEN_BRIDGE, at.token_portal));

    let storage = &union.world.peer.state.get(&MESSAGE_PASSER).unwrap().storage;
    let claimed = OutputRoot {
        state_root: union.world.peer.state.state_root(),
        message_passer_storage_root: storage_root(storage),
        block_hash: keccak256("block"),
    };
    let proof = storage_proof(storage, withdrawal.storage_slot());
    let claim = OutputOracle::proposeL2OutputCall {
        outputRoot: claimed.hash(),
        l2BlockNumber: U256::from(100),
        l1BlockHash: B256::ZERO,
        l1BlockNumber: U256::ZERO,
    };
    let l1 = &mut union.l1;
    l1.call(PROPOSER, at.rollup.output_oracle, &claim);
    l1.call(ANYBODY, at.rollup.portal, &prove_call(&withdrawal, &claimed, proof));
    l1.timestamp += SETTINGS.finalization_period_s + 1;
    let logs = l1.call(ANYBODY, at.rollup.portal, &finalize_call(&withdrawal));
    let done = Portal::WithdrawalFinalized::decode_log(logs.last().unwrap()).unwrap();
    assert!(done.success);

    // The peer's account is empty until settlement has moved what it received.
    let owed = TokenPortal::owedCall { token: union.l1_token, to: BOB };
    assert_eq!(l1.read(at.token_portal, &owed), U256::from(50));
    let claim = TokenPortal::claimCall { token: union.l1_token, to: BOB, amount: U256::from(50) };
    let to = TxKind::Call(at.token_portal);
    assert!(l1.transact(ANYBODY, to, 0, claim.abi_encode()).is_none(), "too early");
    let settle = Vault::moveCall {
        from: U256::from(HOME),
        to: U256::from(PEER),
        token: union.l1_token,
        amount: U256::from(60),
    };
    l1.call(SETTLEMENT, union.addresses.vault, &settle);
    l1.call(ANYBODY, at.token_portal, &claim);
    assert_eq!(l1.read(union.l1_token, &Token::balanceOfCall { owner: BOB }), U256::from(50));
    assert_eq!(union.kept(PEER), union.supply(PEER));
    assert_eq!(union.kept(HOME), union.supply(HOME));
}

/// Deposits and sends in any order, some of which fail: nothing is made or lost.
#[test]
fn the_vault_has_what_the_rollups_have_whatever_is_sent() {
    let mut union = Bridged::new();
    union.deposit(HOME, USER, 1_000);
    union.deposit(PEER, proxy_of(HOME, USER), 1_000);
    let mut seed = keccak256("tokens");
    let (mut done, mut failed) = (0, 0);
    for _ in 0..60 {
        seed = keccak256(seed);
        let amount = u64::from(u16::abi_decode(&B256::left_padding_from(&seed[..2]).0).unwrap());
        let amount = amount % 900;
        let outcome = match seed[2] % 5 {
            0 => {
                union.deposit(if seed[3] < 128 { HOME } else { PEER }, BOB, amount + 1);
                continue;
            }
            1 | 2 => union.send(proxy_of(HOME, USER), amount),
            _ => union.send_back(USER, amount),
        };
        if output(&outcome).is_ok() {
            done += 1
        } else {
            failed += 1
        }
        union.check();
    }
    assert!(done > 5 && failed > 0, "{done} sent, {failed} not");
}
