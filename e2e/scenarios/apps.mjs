//! Apps over the two rollups that `lockstep dev` starts by default: its own example, pasted; a swap that reverts as one; a
//! flash loan. Value is where it should be, to the wei, and every rollup's blocks are proven.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { parseEther } from 'viem';
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts';
import { getL2TransactionHashes } from 'viem/op-stack';
import { bridgeOf, finalize } from '../lib/bridge.mjs';
import { skip } from '../lib/checks.mjs';
import { runCommand } from '../lib/process.mjs';
import { foundry } from '../lib/target.mjs';
import { walletFor } from '../lib/traffic.mjs';
import { FEE_VAULTS, GATE, PORT, artifact, commonBlock, etherOf, membersOf } from '../lib/union.mjs';
import { until } from '../lib/wait.mjs';

/** What every account of a dev chain begins with. */
const BALANCE = parseEther('10000');
/** Sent where the transaction is expected to fail, so that nobody estimates it. */
const GAS = 3_000_000n;
const ZERO = '0x0000000000000000000000000000000000000000';

export default async function ({ check, target, directory, contracts: { IGate } }) {
    if (target.missing.includes('rollups')) skip('no rollups here');
    const dev = await target.startDev({ directory, slotTime: 2, rollups: 'default' });
    const { address: owner, privateKey } = dev.accounts[0];
    const members = membersOf(dev, privateKey);
    const [alpha, beta] = members;
    const urls = members.flatMap(({ http }) => ['--rollup', http]);
    const lockstep = (...args) => runCommand(target.binary(), args, { seconds: 120 });
    const json = async (...args) => JSON.parse(await lockstep(...args, '--json'));

    const cafe = { address: dev.cafe, abi: artifact('examples/Cafe').abi };
    const PRICE = parseEther('0.003');
    const order = [dev.cafe, 'order(uint256,uint256)', String(beta.chainId), '2', '--value', '0.01ether'];

    const pasted = await check('the example is one cast send: it goes there, and back with the change', async () => {
        const options = ['--rpc-url', alpha.http, '--private-key', privateKey, '--json'];
        const receipt = JSON.parse(await runCommand(foundry('cast'), ['send', ...options, ...order], { env: { HOME: directory } }));
        assert.equal(receipt.status, '0x1');
        assert.equal(await beta.read(cafe, 'served'), 2n);
        assert.equal(await alpha.read(cafe, 'ordered'), 2n);
        assert.equal(await beta.balance(dev.cafe), 2n * PRICE);
        assert.equal(await alpha.balance(dev.cafe), 0n);
        return receipt.transactionHash;
    });

    await check('lockstep trace shows its calls over both rollups', async () => {
        const { transaction, superTransaction, parts, notAsked } = await json('trace', pasted, ...urls);
        assert.deepEqual([transaction.chainId, transaction.success], [alpha.chainId, true]);
        assert.deepEqual([superTransaction.home, superTransaction.origin], [alpha.chainId, owner.toLowerCase()]);
        const calls = superTransaction.calls.map(({ parent, chain, success, value }) => [parent, chain, success, BigInt(value)]);
        assert.deepEqual(calls, [
            [null, beta.chainId, true, parseEther('0.01')],
            [0, alpha.chainId, true, parseEther('0.004')],
        ]);
        assert.deepEqual(parts.map(({ chainId }) => chainId), [alpha.chainId, beta.chainId]);
        assert.deepEqual(notAsked, []);
        // The same, from the transaction that holds the peer's part; and for people.
        const again = await json('trace', parts[1].partHash, ...urls);
        assert.deepEqual(again.superTransaction, superTransaction);
        const text = await lockstep('trace', pasted, ...urls);
        assert.match(text, /^alpha .*\n└─ beta .*\n {3}└─ alpha .* 0\.004 ether/m);
    });

    await check('lockstep send waits for the level that is asked for', async () => {
        const sent = await json('send', '--rollup', alpha.http, '--account', '1', '--wait', 'safe', '--timeout', '90', ...order);
        assert.deepEqual([sent.level, sent.success, sent.from], ['safe', true, dev.accounts[1].address.toLowerCase()]);
        assert.equal(await beta.read(cafe, 'served'), 4n);
        const { level } = await alpha.call('lockstep_confirmation', sent.transactionHash);
        assert.ok(['safe', 'final'].includes(level), level);
    });

    await check('lockstep send does not send what would fail, unless told to, and says that it failed', async () => {
        const cheap = [...order.slice(0, -1), '0.001ether'];
        await assert.rejects(lockstep('send', '--rollup', alpha.http, ...cheap), /would fail, and was not sent/);
        await assert.rejects(lockstep('send', '--rollup', alpha.http, '--gas-limit', String(GAS), ...cheap), /REVERTED/);
        assert.equal(await beta.read(cafe, 'served'), 4n);
    });

    await check('lockstep status tells of owners, heads and super transactions', async () => {
        const at = [...urls, '--l1', dev.l1.http, '--l1-beacon', dev.l1.beacon];
        const status = await json('status', ...at);
        assert.deepEqual(status.problems, []);
        assert.deepEqual(status.rollups.map(({ name }) => name), ['alpha', 'beta']);
        for (const { preconfirmed, posted, safe, final } of status.rollups) {
            assert.ok(preconfirmed >= posted && posted >= safe && safe >= final && posted > 0);
        }
        // Of three validators two opted in, so every slot of the look-ahead but its last ones has an owner.
        assert.ok(status.slots.length > 1 && status.slots[0].isDecided && status.slots[0].gateway);
        const levels = status.superTransactions.map(({ level }) => level);
        assert.ok(levels.length >= 2 && ['safe', 'final'].includes(levels[1]), levels.join());
        assert.match(await lockstep('status', ...at), /^slots .*\n.*\n +preconfirmed .*\nalpha .*\nbeta /m);
    });

    const supply = 1_000_000n;
    const tokenA = await alpha.deploy(artifact('examples/Token'), [owner, supply]);
    const tokenB = await beta.deploy(artifact('examples/Token'), [owner, supply]);
    const pool = async (member, token, amount, ether) => {
        const deployed = await member.deploy(artifact('examples/Pool'), [token.address]);
        await member.send(token, 'approve', [deployed.address, amount]);
        await member.send(deployed, 'fund', [amount], { value: parseEther(ether) });
        return deployed;
    };
    const poolA = await pool(alpha, tokenA, 500_000n, '100');
    const poolB = await pool(beta, tokenB, 500_000n, '200');
    const swap = await alpha.deploy(artifact('examples/CrossSwap'), [poolA.address, BigInt(beta.chainId), poolB.address]);
    const friend = privateKeyToAddress(generatePrivateKey());
    const tokens = async () => [
        await alpha.read(tokenA, 'balanceOf', [owner]),
        await alpha.read(tokenA, 'balanceOf', [poolA.address]),
        await beta.read(tokenB, 'balanceOf', [poolB.address]),
        await beta.read(tokenB, 'balanceOf', [friend]),
        await alpha.balance(poolA.address),
        await beta.balance(poolB.address),
    ];

    await check('a token of one rollup is swapped for one of the other, and ether is carried over', async () => {
        const before = await tokens();
        await alpha.send(tokenA, 'approve', [swap.address, 20_000n]);
        const receipt = await alpha.send(swap, 'swap', [10_000n, 1n, friend]);
        assert.equal(receipt.status, 'success');
        const after = await tokens();
        const bought = after[3];
        assert.ok(bought > 0n);
        const carried = before[4] - after[4];
        assert.deepEqual(after, [
            ...[before[0] - 10_000n, before[1] + 10_000n, before[2] - bought],
            ...[bought, before[4] - carried, before[5] + carried],
        ]);
    });

    await check('a swap that brings too little happens on neither rollup', async () => {
        const before = await tokens();
        const receipt = await alpha.send(swap, 'swap', [10_000n, supply, friend], { gas: GAS });
        assert.equal(receipt.status, 'reverted');
        assert.deepEqual(await tokens(), before);
        const { superTransaction } = await json('trace', receipt.transactionHash, ...urls);
        assert.deepEqual(superTransaction.calls.map(({ success, isUndone }) => [success, isUndone]), [[true, true]]);
    });

    await check('a contract spends tokens that its owner has on another rollup, by an allowance for its proxy', async () => {
        const gate = { address: GATE, abi: IGate.abi };
        // The signer's proxy on beta is who calls there.
        const spender = await beta.read(gate, 'proxyOf', [BigInt(alpha.chainId), owner]);
        await alpha.send(gate, 'deployProxy', [BigInt(beta.chainId), tokenB.address]);
        const proxy = await alpha.read(gate, 'proxyOf', [BigInt(beta.chainId), tokenB.address]);
        const onAlpha = { address: proxy, abi: tokenB.abi };
        await beta.send(tokenB, 'approve', [spender, 70n]);
        const before = await beta.read(tokenB, 'balanceOf', [friend]);
        assert.equal((await alpha.send(onAlpha, 'transferFrom', [owner, friend, 70n])).status, 'success');
        assert.equal(await beta.read(tokenB, 'balanceOf', [friend]), before + 70n);
        assert.equal((await alpha.send(onAlpha, 'transferFrom', [owner, friend, 1n], { gas: GAS })).status, 'reverted');
        assert.equal(await beta.read(tokenB, 'totalSupply'), supply);
        const holders = [owner, poolB.address, friend];
        const held = await Promise.all(holders.map((holder) => beta.read(tokenB, 'balanceOf', [holder])));
        assert.equal(held.reduce((sum, it) => sum + it), supply);
    });

    const lender = await alpha.deploy(artifact('examples/Lender'), [owner], parseEther('50'));
    const dear = await pool(beta, tokenB, 100_000n, '400');
    const arbitrage = await beta.deploy(artifact('examples/Arbitrage'), [BigInt(alpha.chainId), lender.address]);

    await check('ether of one rollup is lent to the other within a transaction, which calls back in the middle', async () => {
        const before = await alpha.balance(lender.address);
        const receipt = await beta.send(arbitrage, 'run', [parseEther('10'), poolB.address, dear.address]);
        assert.equal(receipt.status, 'success');
        const fee = parseEther('10') * 5n / 10_000n;
        assert.equal(await alpha.balance(lender.address), before + fee);
        assert.equal(await beta.balance(arbitrage.address), 0n);
        const { superTransaction } = await json('trace', receipt.transactionHash, ...urls);
        assert.equal(superTransaction.home, beta.chainId);
        assert.ok(superTransaction.calls.every(({ success, isUndone }) => success && !isUndone));
        assert.ok(superTransaction.calls.some(({ parent, chain }) => parent === 0 && chain === beta.chainId));
    });

    await check('a loan that cannot be paid back was never given', async () => {
        const balances = async () => [await alpha.balance(lender.address), await beta.balance(poolB.address), await beta.balance(dear.address)];
        const before = await balances();
        const receipt = await beta.send(arbitrage, 'run', [parseEther('10'), dear.address, poolB.address], { gas: GAS });
        assert.equal(receipt.status, 'reverted');
        assert.deepEqual(await balances(), before);
    });

    const vault = { address: dev.union.vault, abi: artifact('Vault').abi };
    const l1 = walletFor(dev.l1, privateKey);
    const accounts = dev.accounts.map(({ address }) => address);
    const holders = [
        ...[...accounts, ...FEE_VAULTS, friend, dev.cafe, GATE, PORT, swap.address, lender.address, arbitrage.address],
        ...[poolA, poolB, dear, tokenA, tokenB].map(({ address }) => address),
    ];
    const kept = async (member) =>
        l1.client.readContract({ ...vault, functionName: 'balanceOf', args: [BigInt(member.chainId), ZERO] });
    const both = async () => {
        const at = await commonBlock(members);
        return Promise.all([etherOf(alpha, beta, holders, at), etherOf(beta, alpha, holders, at)]);
    };
    const genesis = BigInt(accounts.length) * BALANCE;

    await check('no wei was made or lost: what each rollup has is what it began with, sent and received', async () => {
        const [a, b] = await both();
        assert.ok(a.sent > 0n && a.received > 0n);
        assert.deepEqual([a.hash, a.sent, a.received], [b.hash, b.received, b.sent]);
        assert.equal(a.ether, genesis - a.sent + a.received);
        assert.equal(b.ether, genesis - b.sent + b.received);
        assert.equal((await kept(alpha)) + (await kept(beta)), a.ether + b.ether);
        assert.equal(await l1.client.getBalance({ address: vault.address }), a.ether + b.ether);
    });

    await check('ether is deposited to one rollup, carried to the other in an order, and withdrawn there from the vault', async () => {
        const onAlpha = bridgeOf(dev.l1, alpha, privateKey);
        const onBeta = bridgeOf(dev.l1, beta, privateKey);
        const before = await Promise.all(members.map(kept));
        const deposit = await onAlpha.rollup.reader.buildDepositTransaction({
            ...{ account: onAlpha.account, mint: parseEther('3'), to: owner },
        });
        const deposited = await onAlpha.l1.mined(await onAlpha.l1.wallet.depositTransaction(deposit));
        assert.equal(deposited.status, 'success');
        assert.deepEqual(await Promise.all(members.map(kept)), [before[0] + parseEther('3'), before[1]]);
        const [arrived] = getL2TransactionHashes(deposited);
        assert.equal((await onAlpha.rollup.mined(arrived)).status, 'success');
        assert.equal((await alpha.send(cafe, 'order', [BigInt(beta.chainId), 500n], { value: parseEther('3') })).status, 'success');

        const { l1: down, rollup: up, account } = onBeta;
        const heir = privateKeyToAddress(generatePrivateKey());
        const request = await down.reader.buildInitiateWithdrawal({ account, to: heir, value: parseEther('2'), gas: 50_000n });
        await finalize(onBeta, await up.mined(await up.wallet.initiateWithdrawal(request)));
        assert.equal(await down.reader.getBalance({ address: heir }), parseEther('2'));
        assert.deepEqual(await Promise.all(members.map(kept)), [before[0] + parseEther('3'), before[1] - parseEther('2')]);
        const [a, b] = await both();
        assert.equal(a.ether, genesis + parseEther('3') - a.sent + a.received);
        // Withdrawn ether is with the message passer until it is burnt.
        assert.equal(b.ether, genesis - parseEther('2') - b.sent + b.received);
        assert.equal(await l1.client.getBalance({ address: vault.address }), a.ether + b.ether);
    });

    await check('every block of both rollups is proven, and they agree on their calls, with nodes and from what was kept', async () => {
        const heads = await Promise.all(members.map(({ call }) => call('optimism_syncStatus')));
        const number = Math.max(...heads.map(({ unsafe_l2 }) => unsafe_l2.number));
        for (const { derived } of members) {
            const isSafe = async () => (await derived('optimism_syncStatus')).safe_l2.number >= number;
            await until('it to become safe', isSafe, { seconds: 90 });
        }
        const witnesses = join(directory, 'witnesses');
        const range = ['verify', '--from', '0', '--to', String(number), '--witness-dir'];
        const nodes = ['--l1', dev.l1.http, '--l1-beacon', dev.l1.beacon, ...members.flatMap(({ http }) => ['--l2', http])];
        const online = await json(...range, witnesses, ...nodes, '--split', '40');
        assert.deepEqual([online.verified, online.disagreements, online.notVerified], [true, [], []]);
        const roots = ({ parts }) => parts.map(({ outputRoot }) => outputRoot);
        for (const [index, { chainId, derived }] of members.entries()) {
            const report = online.rollups[index];
            assert.deepEqual([report.verified, report.chainId], [true, chainId]);
            const { outputRoot } = await derived('optimism_outputAtBlock', `0x${number.toString(16)}`);
            assert.equal(roots(report).at(-1), outputRoot);
        }
        const [ofAlpha, ofBeta] = online.rollups.map(({ transcripts }) => Object.values(transcripts)[0]);
        const a = await etherOf(alpha, beta, holders, BigInt(number));
        assert.deepEqual([ofAlpha.hash, ofAlpha.sent, ofAlpha.received], [a.hash, String(a.sent), String(a.received)]);
        assert.deepEqual([ofBeta.hash, ofBeta.sent, ofBeta.received], [a.hash, String(a.received), String(a.sent)]);

        const offline = await json(...range, witnesses, '--offline');
        assert.equal(offline.verified, true);
        assert.deepEqual(offline.rollups.map(roots), online.rollups.map(roots));
        // One of them alone, too.
        const alone = await json(...range, join(witnesses, String(beta.chainId)), '--offline');
        assert.deepEqual([alone.verified, alone.chainId, roots(alone)], [true, beta.chainId, roots(online.rollups[1])]);
    });

    await check('it ends on SIGTERM with status 0', async () => {
        assert.equal((await dev.server.stop()).code, 0);
    });
}
