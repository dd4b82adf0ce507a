//! One transaction of every type, for scenarios that look at blocks rather than at transactions.

import {
    createPublicClient,
    createWalletClient,
    defineChain,
    encodeDeployData,
    encodeFunctionData,
    http,
    keccak256,
} from 'viem';
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts';
import { blobOf, commit, withBlobProofs, withCellProofs } from './blobs.mjs';

/** A viem client that can send, for a raw account of the dev chain. */
export function walletFor({ chainId, http: url }, privateKey) {
    const chain = defineChain({
        id: chainId,
        name: 'dev',
        nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
        rpcUrls: { default: { http: [url] } },
    });
    const options = { chain, pollingInterval: 100, transport: http(url) };
    const client = createPublicClient(options);
    const wallet = createWalletClient({ ...options, account: privateKeyToAccount(privateKey) });
    const mined = (hash) => client.waitForTransactionReceipt({ hash, timeout: 30_000 });
    return { client, wallet, mined };
}

/**
 * Sends transactions of types 0 to 4, a deployment and a failing call, and returns
 * their receipts. `cellProofs`: whether the chain is at Osaka.
 */
export async function sendEveryType(endpoint, privateKey, { Ledger, Delegate }, { cellProofs }) {
    const { client, wallet, mined } = walletFor(endpoint, privateKey);
    const fresh = privateKeyToAccount(generatePrivateKey());
    const gasPrice = 2n * (await client.getGasPrice());
    let nonce = await client.getTransactionCount({ address: wallet.account.address, blockTag: 'pending' });
    const tip = 1_000_000_000n;
    const fees = { maxFeePerGas: gasPrice + tip, maxPriorityFeePerGas: tip };
    const hashes = [];

    const send = async (fields, wrap = (signed) => signed) => {
        const request = { to: fresh.address, gas: 200_000n, nonce: nonce++, chainId: endpoint.chainId, ...fields };
        const signed = await wallet.signTransaction(request);
        hashes.push(keccak256(signed));
        await client.sendRawTransaction({ serializedTransaction: wrap(signed) });
    };

    const deployment = (contract, args) => ({
        ...{ type: 'eip1559', to: undefined, gas: 1_500_000n, ...fees },
        data: encodeDeployData({ abi: contract.abi, bytecode: contract.bytecode, args }),
    });
    await send(deployment(Ledger, [1000n]));
    await send(deployment(Delegate));
    const [ledger, delegate] = (await Promise.all(hashes.map(mined))).map(({ contractAddress }) => contractAddress);

    const slot = `0x${'00'.repeat(32)}`;
    const accessList = [{ address: ledger, storageKeys: [slot] }];
    const move = encodeFunctionData({ abi: Ledger.abi, functionName: 'move', args: [fresh.address, 1n, 'traffic'] });
    await send({ type: 'legacy', gasPrice, value: 1n });
    await send({ type: 'legacy', gasPrice, to: ledger, data: move });
    await send({ type: 'eip2930', gasPrice, to: ledger, data: move, accessList });
    await send({ type: 'eip1559', ...fees, to: ledger, data: move, accessList });
    await send({
        type: 'eip1559',
        ...fees,
        to: ledger,
        data: encodeFunctionData({ abi: Ledger.abi, functionName: 'refuse' }),
    });
    // Pools keep an account's blob transactions and its other ones apart: only one kind may wait at a time.
    await Promise.all(hashes.map(mined));
    const sidecar = await commit(blobOf('traffic'));
    await send(
        {
            ...{ type: 'eip4844', ...fees, value: 1n, blobVersionedHashes: [sidecar.versionedHash] },
            maxFeePerBlobGas: 10n * (await client.getBlobBaseFee()),
        },
        (signed) => (cellProofs ? withCellProofs : withBlobProofs)(signed, [sidecar]),
    );
    await mined(hashes.at(-1));
    const authorization = await fresh.signAuthorization({ address: delegate, chainId: endpoint.chainId, nonce: 0 });
    await send({ type: 'eip7702', ...fees, value: 1n, authorizationList: [authorization] });

    const receipts = await Promise.all(hashes.map(mined));
    return { receipts, ledger, sidecar, authority: fresh.address };
}
