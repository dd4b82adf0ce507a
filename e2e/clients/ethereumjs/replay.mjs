//! Usage: replay.mjs CLIENT GENESIS PAYLOADS OUTPUT
//!
//! Starts EthereumJS from a genesis file in geth's format, feeds it parameters of engine_newPayloadV4, and writes
//! down what it answered and which blocks it then serves. It listens on every interface: run it in isolation.

import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { startServer } from '../../lib/process.mjs';
import { engine, rpc } from '../../lib/rpc.mjs';
import { until } from '../../lib/wait.mjs';

const RPC_PORT = 8545;
const ENGINE_PORT = 8551;

const [client, genesis, payloads, output] = process.argv.slice(2);
const directory = mkdtempSync(join(dirname(output), 'ethereumjs-'));
const jwtSecret = join(directory, 'jwt.hex');
const secret = randomBytes(32).toString('hex');
writeFileSync(jwtSecret, secret);

const server = startServer(
    process.execPath,
    [
        ...[client, '--gethGenesis', genesis, '--dataDir', join(directory, 'data')],
        ...['--rpc', '--rpcAddr', '127.0.0.1', '--rpcPort', String(RPC_PORT)],
        ...['--rpcEngine', '--rpcEngineAddr', '127.0.0.1', '--rpcEnginePort', String(ENGINE_PORT)],
        ...['--jwtSecret', jwtSecret, '--extIP', '127.0.0.1', '--discDns=false', '--isSingleNode'],
    ],
    { log: join(directory, 'ethereumjs.log'), cwd: directory },
);

const call = rpc(`http://127.0.0.1:${RPC_PORT}`);
const tell = engine(`http://127.0.0.1:${ENGINE_PORT}`, secret);
const blockAt = (number) => call('eth_getBlockByNumber', `0x${number.toString(16)}`, false);
const blocks = [await until('EthereumJS to serve its genesis block', () => blockAt(0), { seconds: 60 })];

const answers = [];
const all = JSON.parse(readFileSync(payloads, 'utf8'));
for (const parameters of all) {
    const [{ blockHash }] = parameters;
    const payload = await tell('engine_newPayloadV4', ...parameters);
    const head = { headBlockHash: blockHash, safeBlockHash: blockHash, finalizedBlockHash: blocks[0].hash };
    const { payloadStatus: forkchoice } = await tell('engine_forkchoiceUpdatedV3', head, null);
    answers.push({ payload, forkchoice });
    if (payload.status !== 'VALID' || forkchoice.status !== 'VALID') break;
}
for (let number = 1; number <= answers.length; number += 1) blocks.push(await blockAt(number));

// A block that claims another state than it has, so that a client which executes nothing is found out.
const [last, ...others] = all.at(-1);
const forged = await tell('engine_newPayloadV4', { ...last, stateRoot: last.receiptsRoot }, ...others);

writeFileSync(output, JSON.stringify({ answers, blocks, forged }));
await server.stop('SIGKILL');
process.exit(0);
