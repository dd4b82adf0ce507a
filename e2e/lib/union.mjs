//! The rollups of a union, and what apps over them need.

import { readFileSync } from 'node:fs';
import { rpc } from './rpc.mjs';
import { walletFor } from './traffic.mjs';

export const GATE = '0x42000000000000000000000000000000000000E0';
export const PORT = '0x42000000000000000000000000000000000000E1';

export const TOKEN_BRIDGE = '0x42000000000000000000000000000000000000e2';

/** Where the OP Stack collects fees on a rollup: priority, base, L1 and operator fees. */
export const FEE_VAULTS = ['11', '19', '1A', '1b'].map((end) => `0x42000000000000000000000000000000000000${end}`);

const artifacts = new URL('../../crates/settlement/contracts/artifacts/', import.meta.url);

/** Interface and code of a contract as they are checked in: `Vault`, `examples/Pool`, … */
export const artifact = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, artifacts), 'utf8'));

/** The rollups of a dev chain, each with clients for a key and what it can do with contracts. */
export function membersOf(dev, privateKey) {
    return dev.rollups.map((rollup) => {
        const clients = walletFor(rollup, privateKey);
        const { client, wallet, mined } = clients;
        return {
            ...rollup,
            ...clients,
            call: rpc(rollup.http),
            derived: rpc(rollup.follower.http),
            /** Creates a contract. */
            async deploy({ abi, bytecode }, args = [], value = 0n) {
                const hash = await wallet.deployContract({ abi, bytecode, args, value });
                const { contractAddress: address } = await mined(hash);
                return { address, abi };
            },
            /** Calls a function in a transaction; its receipt. With `gas`, one that will revert is sent as well. */
            async send(contract, functionName, args = [], { value = 0n, gas } = {}) {
                return mined(await wallet.writeContract({ ...contract, functionName, args, value, gas }));
            },
            read: (contract, functionName, args = []) => client.readContract({ ...contract, functionName, args }),
            balance: (address) => client.getBalance({ address }),
        };
    });
}

/** Blocks of the same time on all rollups: the newest that each has. */
export async function commonBlock(members) {
    const heads = await Promise.all(members.map(({ client }) => client.getBlockNumber({ cacheTime: 0 })));
    return heads.reduce((least, it) => (it < least ? it : least));
}

/** All ether of a rollup at a block, if these are all that have any, and what it has said with a peer by then. */
export async function etherOf({ client }, peer, holders, blockNumber) {
    const unique = [...new Set(holders.map((address) => address.toLowerCase()))];
    const balances = await Promise.all(unique.map((address) => client.getBalance({ address, blockNumber })));
    const [hash, sent, received] = await client.readContract({
        ...{ address: GATE, abi: artifact('Gate').abi, functionName: 'transcript', args: [BigInt(peer.chainId)], blockNumber },
    });
    return { ether: balances.reduce((sum, it) => sum + it), hash, sent, received };
}
