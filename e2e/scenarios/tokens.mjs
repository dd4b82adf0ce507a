//! An ERC-20 of L1 over two rollups: deposited, sent along, withdrawn; and what there is of it and of ether, counted.

import assert from 'node:assert/strict';
import { decodeErrorResult, getAddress, parseEther } from 'viem';
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts';
import { getL2TransactionHashes } from 'viem/op-stack';
import { bridgeOf, finalize } from '../lib/bridge.mjs';
import { skip } from '../lib/checks.mjs';
import { walletFor } from '../lib/traffic.mjs';
import { FEE_VAULTS, GATE, PORT, TOKEN_BRIDGE, artifact, commonBlock, etherOf, membersOf } from '../lib/union.mjs';

const ETHER = '0x0000000000000000000000000000000000000000';
/** What every account of a dev chain begins with. */
const BALANCE = parseEther('10000');
/** Sent where the transaction is expected to fail, so that nobody estimates it. */
const GAS = 3_000_000n;
const SUPPLY = 1_000_000n;

export default async function ({ check, target, directory, contracts: { Shop, Shopper } }) {
    if (target.missing.includes('rollups')) skip('no rollups here');
    const dev = await target.startDev({ directory, slotTime: 2, rollups: 'default' });
    const { address: owner, privateKey } = dev.accounts[0];
    const members = membersOf(dev, privateKey);
    const [alpha, beta] = members;
    const l1 = walletFor(dev.l1, privateKey);
    const onL1 = async (contract, functionName, args) => {
        const receipt = await l1.mined(await l1.wallet.writeContract({ ...contract, functionName, args }));
        assert.equal(receipt.status, 'success');
        return receipt;
    };
    const readL1 = (contract, functionName, args) => l1.client.readContract({ ...contract, functionName, args });

    const vault = { address: dev.union.vault, abi: artifact('Vault').abi };
    const bridge = { address: TOKEN_BRIDGE, abi: artifact('TokenBridge').abi };
    const gate = { address: GATE, abi: artifact('Gate').abi };
    const portalOf = ({ contracts }) => ({ address: contracts.tokenPortal, abi: artifact('TokenPortal').abi });
    const { abi: erc20, bytecode } = artifact('examples/Token');
    const created = await l1.mined(await l1.wallet.deployContract({ abi: erc20, bytecode, args: [owner, SUPPLY] }));
    const original = { address: created.contractAddress, abi: erc20 };
    const token = {
        address: await alpha.read(bridge, 'tokenOf', [original.address]),
        abi: artifact('BridgedToken').abi,
    };
    const held = (member, account) => member.read(token, 'balanceOf', [account]);
    const friend = privateKeyToAddress(generatePrivateKey());

    const deposit = async (member, amount) => {
        const portal = portalOf(member);
        await onL1(original, 'approve', [portal.address, amount]);
        const receipt = await onL1(portal, 'deposit', [original.address, owner, amount]);
        const [arrived] = getL2TransactionHashes(receipt);
        assert.equal((await member.mined(arrived)).status, 'success');
    };

    await check('a deposit on L1 makes the token on a rollup, with its name', async () => {
        await deposit(alpha, 1_000n);
        assert.equal(await held(alpha, owner), 1_000n);
        const said = await Promise.all(['name', 'symbol', 'decimals'].map((what) => alpha.read(token, what)));
        assert.deepEqual(said, ['Example', 'EX', 18]);
        assert.equal(getAddress(await alpha.read(token, 'l1Token')), getAddress(original.address));
        assert.equal(await beta.client.getCode({ address: token.address }), undefined);
    });

    await check('tokens are sent to the other rollup in one transaction, where the token is at the same address', async () => {
        const receipt = await alpha.send(bridge, 'send', [token.address, BigInt(beta.chainId), friend, 200n]);
        assert.equal(receipt.status, 'success');
        assert.deepEqual([await held(alpha, owner), await held(beta, friend)], [800n, 200n]);
        assert.equal(await beta.read(token, 'name'), 'Example');
        const gone = [token.address, BigInt(beta.chainId), friend, 801n];
        assert.equal((await alpha.send(bridge, 'send', gone, { gas: GAS })).status, 'reverted');
    });

    const shop = await beta.deploy(Shop, [token.address]);
    const shopper = await alpha.deploy(Shopper, [BigInt(beta.chainId), token.address, shop.address]);
    const proxyOnBeta = (account) => beta.read(gate, 'proxyOf', [BigInt(alpha.chainId), account]);
    /** All balances that sends may change. */
    const balances = async () => [
        ...(await Promise.all([owner, shopper.address].map((account) => held(alpha, account)))),
        ...(await Promise.all([shop.address, friend].map((account) => held(beta, account)))),
        await beta.balance(shop.address),
    ];
    const transfer = (data, amount) => [token.address, BigInt(beta.chainId), shop.address, amount, data];

    await check('tokens arrive in a contract, which is called with them in the name of who sent them', async () => {
        const receipt = await alpha.send(bridge, 'sendAndCall', transfer('0x', 25n));
        assert.equal(receipt.status, 'success');
        const customer = await proxyOnBeta(owner);
        assert.equal(await beta.read(shop, 'lastCustomer'), customer);
        assert.equal(await beta.read(shop, 'bought', [customer]), 2n);
        assert.equal(await held(beta, shop.address), 25n);
    });

    await check('a contract that refuses them undoes all', async () => {
        const before = await balances();
        const receipt = await alpha.send(bridge, 'sendAndCall', transfer('0x', 9n), { gas: GAS });
        assert.equal(receipt.status, 'reverted');
        assert.deepEqual(await balances(), before);
    });

    await alpha.send(token, 'transfer', [shopper.address, 300n]);

    await check('a refusal that is caught leaves the tokens where they were, and tells why', async () => {
        const before = await balances();
        assert.equal((await alpha.send(shopper, 'trySending', [9n])).status, 'success');
        const data = await alpha.read(shopper, 'lastError');
        const { errorName, args } = decodeErrorResult({ abi: Shop.abi, data });
        assert.deepEqual([errorName, args], ['TooCheap', [9n, 10n]]);
        assert.deepEqual(await balances(), before);
    });

    await check('tokens and ether go along with a call, whose answer is used', async () => {
        const before = await balances();
        const receipt = await alpha.send(shopper, 'shop', [55n], { value: 7n });
        assert.equal(receipt.status, 'success');
        assert.equal(await alpha.read(shopper, 'count'), 5n);
        assert.equal(await beta.read(shop, 'bought', [await proxyOnBeta(shopper.address)]), 5n);
        const [mine, its, sold, given, tips] = before;
        assert.deepEqual(await balances(), [mine, its - 55n, sold + 55n, given, tips + 7n]);
    });

    await check('what is undone at home was nowhere', async () => {
        const before = await balances();
        const receipt = await alpha.send(shopper, 'shopAndRegret', [55n], { value: 7n, gas: GAS });
        assert.equal(receipt.status, 'reverted');
        assert.deepEqual(await balances(), before);
    });

    const rollups = { alpha: bridgeOf(dev.l1, alpha, privateKey), beta: bridgeOf(dev.l1, beta, privateKey) };
    const kept = (member, what) => readL1(vault, 'balanceOf', [BigInt(member.chainId), what]);

    await check('tokens are withdrawn from the rollup to which they came', async () => {
        const receipt = await alpha.send(bridge, 'withdraw', [token.address, friend, 40n]);
        assert.equal(receipt.status, 'success');
        await finalize(rollups.alpha, receipt);
        assert.equal(await readL1(original, 'balanceOf', [friend]), 40n);
        assert.equal(await kept(alpha, original.address), 960n);
    });

    await check('what came from the other rollup is owed until it is settled, and claimed then', async () => {
        await alpha.send(bridge, 'send', [token.address, BigInt(beta.chainId), owner, 100n]);
        const receipt = await beta.send(bridge, 'withdraw', [token.address, friend, 30n]);
        await finalize(rollups.beta, receipt);
        const portal = portalOf(beta);
        assert.equal(await readL1(portal, 'owed', [original.address, friend]), 30n);
        assert.equal(await readL1(original, 'balanceOf', [friend]), 40n);

        // What will be proven to settlement; on a dev chain the first account is it.
        const [sent] = await alpha.read(bridge, 'carried', [BigInt(beta.chainId), original.address]);
        const [, received] = await beta.read(bridge, 'carried', [BigInt(alpha.chainId), original.address]);
        assert.deepEqual([sent, received], [380n, 380n]);
        await onL1(vault, 'move', [BigInt(alpha.chainId), BigInt(beta.chainId), original.address, sent]);
        await onL1(portal, 'claim', [original.address, friend, 30n]);
        assert.equal(await readL1(original, 'balanceOf', [friend]), 70n);
        assert.deepEqual([await kept(alpha, original.address), await kept(beta, original.address)], [580n, 350n]);
    });

    await check('no token was made or lost: each rollup has what the vault keeps for it', async () => {
        await deposit(beta, 50n);
        await alpha.send(bridge, 'send', [token.address, BigInt(beta.chainId), friend, 60n]);
        const holders = [owner, friend, shop.address, shopper.address, await proxyOnBeta(shopper.address)];
        let all = 0n;
        for (const [member, peer, moved] of [[alpha, beta, -380n], [beta, alpha, 380n]]) {
            const [sent, received] = await member.read(bridge, 'carried', [BigInt(peer.chainId), original.address]);
            const supply = await member.read(token, 'totalSupply');
            assert.equal((await kept(member, original.address)) - moved + received - sent, supply);
            const balances = await Promise.all(holders.map((holder) => held(member, holder)));
            assert.equal(balances.reduce((sum, it) => sum + it), supply);
            all += supply;
        }
        assert.equal(all, 980n);
        assert.equal(await readL1(original, 'balanceOf', [vault.address]), all);
    });

    await check('no wei was made or lost: each rollup has what the vault keeps for it, sent and received', async () => {
        const accounts = dev.accounts.map(({ address }) => address);
        const contracts = [TOKEN_BRIDGE, token.address, shop.address, shopper.address, friend, GATE, PORT, dev.cafe];
        const holders = [...accounts, ...FEE_VAULTS, ...contracts];
        const at = await commonBlock(members);
        const [a, b] = await Promise.all([etherOf(alpha, beta, holders, at), etherOf(beta, alpha, holders, at)]);
        assert.deepEqual([a.hash, a.sent, a.received], [b.hash, b.received, b.sent]);
        assert.equal(a.sent, 7n);
        const genesis = BigInt(accounts.length) * BALANCE;
        assert.deepEqual([a.ether, b.ether], [genesis - 7n, genesis + 7n]);
        assert.deepEqual([await kept(alpha, ETHER), await kept(beta, ETHER)], [genesis, genesis]);
        assert.equal(await l1.client.getBalance({ address: vault.address }), a.ether + b.ether);
    });

    await check('it ends on SIGTERM with status 0', async () => {
        assert.equal((await dev.server.stop()).code, 0);
    });
}
