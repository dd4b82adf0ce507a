//! `lockstep verify` proves what the nodes of a rollup say: every block from the first one on, with what nodes answer and
//! again with nothing but what was kept of that.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { skip } from '../lib/checks.mjs';
import { runCommand } from '../lib/process.mjs';
import { rpc } from '../lib/rpc.mjs';
import { walletFor } from '../lib/traffic.mjs';
import { until } from '../lib/wait.mjs';

const BLOCKS_PER_PART = 15;

export default async function ({ check, target, dev, account: { address, privateKey }, contracts: { Ledger }, directory }) {
    if (dev.rollups.length === 0) skip('no rollups here');
    const [rollup] = dev.rollups;
    const { wallet, mined } = walletFor(rollup, privateKey);
    const derived = rpc(rollup.follower.http);
    const witnesses = join(directory, 'witnesses');
    let safe;

    const verify = async (...args) => {
        const range = ['--from', '0', '--to', String(safe.number), '--witness-dir', witnesses, '--json'];
        return JSON.parse(await runCommand(target.binary(), ['verify', ...range, ...args], { seconds: 120 }));
    };
    const nodes = ['--l1', dev.l1.http, '--l1-beacon', dev.l1.beacon, '--l2', rollup.follower.http];

    await check('a rollup has blocks to prove', async () => {
        const { contractAddress } = await mined(
            await wallet.deployContract({ abi: Ledger.abi, bytecode: Ledger.bytecode, args: [1000n] }),
        );
        // The whole balance moves back and forth, so slots are created and deleted.
        const move = { address: contractAddress, abi: Ledger.abi, functionName: 'move' };
        let last;
        for (let round = 0; round < 8; round += 1) {
            const to = `0x${String(round % 4).padStart(40, '1')}`;
            last = await mined(await wallet.writeContract({ ...move, args: [to, 1n, `round ${round}`] }));
            assert.equal(last.status, 'success');
        }
        safe = await until(
            'it to become safe',
            async () => {
                const { safe_l2: found } = await derived('optimism_syncStatus');
                return found.number >= Number(last.blockNumber) && found;
            },
            { seconds: 90 },
        );
        assert.ok(BigInt(await derived('eth_getBalance', address, 'latest')) > 0n);
    });

    let online;
    await check('every part of the chain is proven with what nodes answer', async () => {
        online = await verify('--split', String(BLOCKS_PER_PART), ...nodes);
        assert.equal(online.verified, true);
        assert.equal(online.chainId, rollup.chainId);
        assert.equal(online.parts.length, Math.ceil(safe.number / BLOCKS_PER_PART));
        const { outputRoot } = await derived('optimism_outputAtBlock', `0x${safe.number.toString(16)}`);
        assert.equal(online.parts.at(-1).outputRoot, outputRoot);
    });

    await check('and again from what was kept, with no node', async () => {
        const offline = await verify('--offline');
        assert.equal(offline.verified, true);
        const roots = ({ parts }) => parts.map(({ outputRoot }) => outputRoot);
        assert.deepEqual(roots(offline), roots(online));
    });

    await check('what was kept is refused once a bit of it has changed', async () => {
        const [file] = readdirSync(witnesses).map((name) => join(witnesses, name));
        const bytes = readFileSync(file);
        bytes[Math.floor(bytes.length / 2)] ^= 1;
        writeFileSync(file, bytes);
        await assert.rejects(verify('--offline'), /verify .*: 2: /s);
    });
}
