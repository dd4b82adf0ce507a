//! Deposits and withdrawals by viem's `op-stack` actions, for a rollup of a dev chain and its L1.

import assert from 'node:assert/strict';
import { createPublicClient, createWalletClient, defineChain, http } from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import { publicActionsL1, publicActionsL2, walletActionsL1, walletActionsL2 } from 'viem/op-stack';

import { until } from './wait.mjs';

const nativeCurrency = { name: 'Ether', symbol: 'ETH', decimals: 18 };

const multicall3 = { address: '0xcA11bde05977b3631167028862bE2a173976CA11' };

function chainOf({ chainId, http: url }, name, { contracts, ...fields } = {}) {
    const rpcUrls = { default: { http: [url] } };
    return defineChain({ id: chainId, name, nativeCurrency, rpcUrls, contracts: { multicall3, ...contracts }, ...fields });
}

function clientsOf(chain, account, publicActions, walletActions) {
    const options = { chain, pollingInterval: 100, transport: http() };
    // Calls that are made at the same time travel as one, through Multicall3.
    const reader = createPublicClient({ ...options, batch: { multicall: true } }).extend(publicActions);
    return {
        reader,
        wallet: createWalletClient({ ...options, account }).extend(walletActions),
        mined: (hash) => reader.waitForTransactionReceipt({ hash, timeout: 60_000 }),
    };
}

/** Clients of the L1 and of the rollup, which know the rollup's contracts, for one account. */
export function bridgeOf(l1, rollup, privateKey) {
    const account = privateKeyToAccount(privateKey);
    const onL1 = (address) => ({ [l1.chainId]: { address } });
    const target = chainOf(rollup, 'rollup', {
        sourceId: l1.chainId,
        contracts: {
            portal: onL1(rollup.contracts.portal),
            l2OutputOracle: onL1(rollup.contracts.outputOracle),
            gasPriceOracle: { address: '0x420000000000000000000000000000000000000F' },
            l1Block: { address: '0x4200000000000000000000000000000000000015' },
            l2ToL1MessagePasser: { address: '0x4200000000000000000000000000000000000016' },
        },
    });
    return {
        account,
        target,
        l1: clientsOf(chainOf(l1, 'L1'), account, publicActionsL1(), walletActionsL1()),
        rollup: clientsOf(target, account, publicActionsL2(), walletActionsL2()),
    };
}

/** Proves the withdrawal of a rollup's receipt when an output is claimed, and finalizes it when it may be; the receipt. */
export async function finalize({ account, target: targetChain, l1, rollup }, receipt) {
    const status = () => l1.reader.getWithdrawalStatus({ receipt, targetChain });
    await until('an output to be claimed', async () => (await status()) === 'ready-to-prove', { seconds: 90 });
    const { output, withdrawal } = await l1.reader.waitToProve({ receipt, targetChain });
    const proof = await rollup.reader.buildProveWithdrawal({ account, output, withdrawal });
    assert.equal((await l1.mined(await l1.wallet.proveWithdrawal(proof))).status, 'success');
    // viem goes by the clock here, the contract by that of the L1, which is behind.
    const finalizing = () => l1.wallet.finalizeWithdrawal({ targetChain, withdrawal });
    const paid = await l1.mined(await until('the proof to be old enough', finalizing, { seconds: 90, every: 1 }));
    assert.equal(paid.status, 'success');
    return paid;
}
