//! Foundry's forge: tests on a fork of our chain, a deployment and a script that broadcasts.

import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { generatePrivateKey, privateKeyToAddress } from 'viem/accounts';
import { runCommand } from '../lib/process.mjs';
import { foundry } from '../lib/target.mjs';
import { walletFor } from '../lib/traffic.mjs';

const here = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

export default async function ({ check, dev, account, contracts, directory }) {
    const { client, wallet, mined } = walletFor(dev.l1, account.privateKey);
    const { abi, bytecode } = contracts.Ledger;
    const friend = privateKeyToAddress(generatePrivateKey());

    // forge writes beside its sources, so it gets copies.
    for (const folder of ['contracts', 'forge']) cpSync(here(folder), join(directory, folder), { recursive: true });
    cpSync(here('forge/foundry.toml'), join(directory, 'foundry.toml'));

    const deployed = await mined(await wallet.deployContract({ abi, bytecode, args: [1000n] }));
    const address = deployed.contractAddress;
    const moved = await mined(
        await wallet.writeContract({ address, abi, functionName: 'move', args: [friend, 7n, ''] }),
    );

    const forge = (...args) =>
        runCommand(foundry('forge'), args, {
            cwd: directory,
            seconds: 240,
            env: {
                HOME: directory,
                FOUNDRY_SOLC: here('lib/solc.mjs'),
                CHAIN_ID: String(dev.l1.chainId),
                LEDGER: address,
                OWNER: account.address,
                FRIEND: friend,
                PRIVATE_KEY: account.privateKey,
                DEPLOYED: String(deployed.blockNumber),
                MOVED: String(moved.blockNumber),
            },
        });

    await check('every test passes on a fork of the chain', async () => {
        const suites = JSON.parse(await forge('test', '--fork-url', dev.l1.http, '--json'));
        const results = Object.values(suites).flatMap((suite) => Object.entries(suite.test_results));
        const failed = results.filter(([, { status }]) => status !== 'Success');
        assert.deepEqual(
            failed.map(([name, { reason }]) => `${name}: ${reason}`),
            [],
        );
        assert.equal(results.length, 6);
    });

    await check('forge create deploys a contract', async () => {
        const output = await forge(
            ...['create', 'contracts/Ledger.sol:Ledger', '--rpc-url', dev.l1.http, '--private-key', account.privateKey],
            ...['--broadcast', '--json', '--constructor-args', '77'],
        );
        const { deployedTo, transactionHash } = JSON.parse(output);
        assert.equal(await client.readContract({ address: deployedTo, abi, functionName: 'supply' }), 77n);
        assert.equal(
            (await client.getTransactionReceipt({ hash: transactionHash })).contractAddress,
            deployedTo.toLowerCase(),
        );
    });

    await check('a script simulates, broadcasts and waits for its transactions', async () => {
        const output = await forge(
            ...[
                'script',
                'forge/script/Deploy.s.sol:Deploy',
                '--rpc-url',
                dev.l1.http,
                '--broadcast',
                '--slow',
                '--json',
            ],
        );
        const lines = output
            .trim()
            .split('\n')
            .map((line) => JSON.parse(line));
        const ledger = lines.find(({ returns }) => returns).returns['0'].value;
        assert.equal(
            await client.readContract({ address: ledger, abi, functionName: 'balanceOf', args: [friend] }),
            11n,
        );
        const events = await client.getLogs({
            address: ledger,
            fromBlock: moved.blockNumber,
            event: abi.find(({ name }) => name === 'Moved'),
        });
        assert.equal(events.length, 2);
    });
}
