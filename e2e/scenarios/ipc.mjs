//! One JSON-RPC request and a batch over the Unix socket, by hand.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { within } from '../lib/wait.mjs';
import { rpc } from '../lib/rpc.mjs';

/** Sends `request` and reads until what came is one complete JSON value. */
function ask(path, request) {
    const socket = connect(path);
    const answer = new Promise((resolve, reject) => {
        let text = '';
        socket.setEncoding('utf8');
        socket.on('error', reject);
        socket.on('close', () => reject(new Error(`the socket closed after ${JSON.stringify(text)}`)));
        socket.on('data', (chunk) => {
            text += chunk;
            try {
                resolve(JSON.parse(text));
            } catch {
                // Not complete yet.
            }
        });
        socket.write(`${JSON.stringify(request)}\n`);
    });
    return within(10, 'an answer over the socket', answer).finally(() => socket.destroy());
}

export default async function ({ check, dev }) {
    const { ipc, http, chainId } = dev.l1;

    await check('a request is answered', async () => {
        const answer = await ask(ipc, { jsonrpc: '2.0', id: 7, method: 'eth_chainId', params: [] });
        assert.deepEqual(answer, { jsonrpc: '2.0', id: 7, result: `0x${chainId.toString(16)}` });
    });

    await check('a batch is answered', async () => {
        const answers = await ask(ipc, [
            { jsonrpc: '2.0', id: 'version', method: 'web3_clientVersion', params: [] },
            { jsonrpc: '2.0', id: 'genesis', method: 'eth_getBlockByNumber', params: ['0x0', false] },
        ]);
        const genesis = await rpc(http)('eth_getBlockByNumber', '0x0', false);
        assert.equal(answers.length, 2);
        assert.equal(answers.find(({ id }) => id === 'genesis').result.hash, genesis.hash);
        assert.equal(typeof answers.find(({ id }) => id === 'version').result, 'string');
    });

    await check(
        'an unknown method is refused with code -32601',
        async () => {
            const answer = await ask(ipc, { jsonrpc: '2.0', id: 1, method: 'eth_noSuchMethod', params: [] });
            assert.equal(answer.error.code, -32601);
        },
        { needs: 'code -32601' },
    );
}
