//! A rollup of `lockstep dev` on an L1 that others wrote: anvil, which is reorganised under it.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { skip } from '../lib/checks.mjs';
import { rpc } from '../lib/rpc.mjs';
import { chooseTarget } from '../lib/target.mjs';
import { until } from '../lib/wait.mjs';

export default async function ({ check, target, directory }) {
    if (target.missing.includes('rollups')) skip('no rollups here');
    const own = join(directory, 'anvil');
    mkdirSync(own);
    const anvil = await chooseTarget('anvil').startDev({ directory: own });
    const onL1 = rpc(anvil.l1.http);
    // anvil keeps blobs, but does not say when its slots are.
    const data = ['--data-availability', 'calldata'];
    const args = ['--l1', anvil.l1.http, '--l1-beacon', anvil.l1.http, ...data];
    const dev = await target.startDev({ directory, args });
    const onRollup = rpc(dev.rollups[0].http);
    const derived = rpc(dev.rollups[0].follower.http);

    const unsafeHead = async () => (await onRollup('optimism_syncStatus')).unsafe_l2;
    const l1Hash = async (number) => (await onL1('eth_getBlockByNumber', `0x${number.toString(16)}`, false))?.hash;
    /** A head whose L1 origin lies at `number` or above. */
    const headFrom = (number) =>
        until('the rollup to follow the L1', async () => {
            const head = await unsafeHead();
            return head.l1origin.number >= number && head;
        });

    await check('rollup blocks take their origin from the L1, block by block', async () => {
        const { l1origin } = await headFrom(2);
        assert.equal(l1origin.hash, await l1Hash(l1origin.number));
    });

    await check('blocks whose origin is reorganised away are replaced', async () => {
        const before = await headFrom(3);
        const gone = before.l1origin.number;
        // The rollup may be some blocks behind the L1, which may grow by one meanwhile.
        const depth = Number(await onL1('eth_blockNumber')) - gone + 2;
        await onL1('anvil_reorg', depth, []);
        await until('the rollup to follow the new L1 branch', async () => {
            const block = await onRollup('eth_getBlockByNumber', `0x${before.number.toString(16)}`, false);
            return block !== null && block.hash !== before.hash;
        });
        const { l1origin } = await headFrom(gone);
        assert.equal(l1origin.hash, await l1Hash(l1origin.number));
    });

    await check('the independent node derives the rollup from the new branch', async () => {
        const { number } = await unsafeHead();
        const safe = await until(
            'the block to become safe',
            async () => {
                const { safe_l2: safe } = await derived('optimism_syncStatus');
                return safe.number >= number && safe;
            },
            { seconds: 90 },
        );
        const block = await onRollup('eth_getBlockByNumber', `0x${safe.number.toString(16)}`, false);
        assert.equal(block.hash, safe.hash);
    });

    await check('it ends on SIGTERM with status 0', async () => {
        assert.equal((await dev.server.stop()).code, 0);
    });
    await anvil.server.stop();
}
