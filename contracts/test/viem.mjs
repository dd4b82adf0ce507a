//! A deposit and a withdrawal over our contracts by viem's `op-stack` actions, which know OP's contracts alone.
//!
//! Two anvils stand for L1 and for a rollup that executes what it is sent. Outputs are claimed by this script.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import {
    createPublicClient,
    createTestClient,
    createWalletClient,
    defineChain,
    encodeAbiParameters,
    getContractAddress,
    http,
    keccak256,
    padHex,
    parseEther,
    zeroHash,
} from 'viem';
import { privateKeyToAccount } from 'viem/accounts';
import {
    extractTransactionDepositedLogs,
    getL2TransactionHashes,
    getWithdrawals,
    publicActionsL1,
    publicActionsL2,
    walletActionsL1,
    walletActionsL2,
} from 'viem/op-stack';

const ARTIFACTS = new URL('../../crates/settlement/contracts/artifacts/', import.meta.url);
const FOUNDRY = new URL('../node_modules/@foundry-rs/', import.meta.url);
const FINALIZATION_PERIOD_S = 600n;
const BOB = '0x00000000000000000000000000000000000b0b00';
// The first account of the mnemonic that development tools agree on.
const account = privateKeyToAccount('0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80');
const addressOf = (nonce) => getContractAddress({ from: account.address, nonce });
const addresses = { oracle: addressOf(0n), config: addressOf(1n), portal: addressOf(2n) };
const predeploys = {
    GasPriceOracle: '0x420000000000000000000000000000000000000F',
    L1Block: '0x4200000000000000000000000000000000000015',
    L2ToL1MessagePasser: '0x4200000000000000000000000000000000000016',
};
const artifact = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, ARTIFACTS), 'utf8'));
const children = [];

/** Starts an anvil on a free port of the loopback interface; its URL. */
async function startAnvil(chainId) {
    const platform = readdirSync(FOUNDRY).find((name) => name.startsWith('anvil-'));
    const program = new URL(`${platform}/bin/anvil`, FOUNDRY).pathname;
    const child = spawn(program, ['--port', '0', '--chain-id', String(chainId)], { stdio: ['ignore', 'pipe', 'inherit'] });
    children.push(child);
    for await (const line of createInterface({ input: child.stdout })) {
        const listening = /^Listening on (127\.0\.0\.1:\d+)/.exec(line);
        if (listening) {
            child.stdout.resume();
            return `http://${listening[1]}`;
        }
    }
    throw new Error('anvil ended before it listened');
}

const ether = { name: 'Ether', symbol: 'ETH', decimals: 18 };

function chains(l1Url, rollupUrl) {
    const l1 = defineChain({ id: 1337, name: 'L1', nativeCurrency: ether, rpcUrls: { default: { http: [l1Url] } } });
    const rollup = defineChain({
        id: 901,
        name: 'rollup',
        sourceId: l1.id,
        nativeCurrency: ether,
        rpcUrls: { default: { http: [rollupUrl] } },
        contracts: {
            portal: { [l1.id]: { address: addresses.portal } },
            l2OutputOracle: { [l1.id]: { address: addresses.oracle } },
            gasPriceOracle: { address: predeploys.GasPriceOracle },
            l1Block: { address: predeploys.L1Block },
            l2ToL1MessagePasser: { address: predeploys.L2ToL1MessagePasser },
        },
    });
    return { l1, rollup };
}

/** Clients of one chain; `publicActions` and `walletActions` are viem's for its side. */
function clients(chain, publicActions, walletActions) {
    const transport = http();
    // anvil has no Multicall3: calls are batched without one.
    const batch = { multicall: { deployless: true } };
    return {
        reader: createPublicClient({ chain, transport, batch, pollingInterval: 50 }).extend(publicActions),
        wallet: createWalletClient({ account, chain, transport }).extend(walletActions),
        test: createTestClient({ mode: 'anvil', chain, transport }),
        plain: createPublicClient({ chain, transport, pollingInterval: 50 }),
    };
}

async function mined({ plain }, hash) {
    const receipt = await plain.waitForTransactionReceipt({ hash });
    assert.equal(receipt.status, 'success');
    return receipt;
}

async function createContracts(l1) {
    const { timestamp } = await l1.plain.getBlock();
    const role = account.address;
    const oracle = {
        submissionInterval: 1n,
        l2BlockTime: 1n,
        startingBlockNumber: 0n,
        startingTimestamp: timestamp - 1_000n,
        proposer: role,
        challenger: role,
        finalizationPeriodSeconds: FINALIZATION_PERIOD_S,
    };
    const config = {
        owner: role,
        optimismPortal: addresses.portal,
        batchInbox: role,
        batcher: role,
        unsafeBlockSigner: role,
        l2ChainId: 901n,
        startBlock: 0n,
        gasLimit: 60_000_000n,
        basefeeScalar: 1_368,
        blobbasefeeScalar: 810_949,
        eip1559Denominator: 250,
        eip1559Elasticity: 6,
        operatorFeeScalar: 0,
        operatorFeeConstant: 0n,
        minBaseFee: 0n,
        daFootprintGasScalar: 400,
    };
    const create = async (name, address, args) => {
        const { abi, bytecode } = artifact(name);
        const receipt = await mined(l1, await l1.wallet.deployContract({ abi, bytecode, args }));
        assert.equal(receipt.contractAddress, address.toLowerCase());
    };
    await create('OutputOracle', addresses.oracle, [oracle]);
    await create('SystemConfig', addresses.config, [config]);
    await create('Portal', addresses.portal, [addresses.oracle, addresses.config]);
}

async function createPredeploys(rollup) {
    for (const [name, address] of Object.entries(predeploys)) {
        await rollup.test.setCode({ address, bytecode: artifact(name).deployedBytecode });
    }
    // Ecotone, Fjord and Isthmus are active; L1 gas costs 10 gwei.
    await rollup.test.setStorageAt({ address: predeploys.GasPriceOracle, index: 0, value: padHex('0x10101', { size: 32 }) });
    await rollup.test.setStorageAt({ address: predeploys.L1Block, index: 1, value: padHex('0x2540be400', { size: 32 }) });
    const scalars = padHex('0x558000c5fc50000000000000000', { size: 32 });
    await rollup.test.setStorageAt({ address: predeploys.L1Block, index: 3, value: scalars });
}

async function deposit(l1, rollup) {
    const version = await l1.reader.getPortalVersion({ targetChain: rollup.plain.chain });
    assert.deepEqual(version, { major: 2, minor: 0, patch: 0 });
    const request = await rollup.reader.buildDepositTransaction({ account, mint: parseEther('1'), to: BOB });
    const receipt = await mined(l1, await l1.wallet.depositTransaction(request));
    const [log] = extractTransactionDepositedLogs(receipt);
    assert.equal(log.args.from, account.address);
    assert.equal(log.args.to.toLowerCase(), BOB);
    assert.equal(getL2TransactionHashes(receipt).length, 1);
}

/** Claims the newest block of the rollup. */
async function claim(l1, rollup) {
    const block = await rollup.plain.getBlock();
    const blockNumber = block.number;
    const proof = await rollup.plain.getProof({ address: predeploys.L2ToL1MessagePasser, storageKeys: [], blockNumber });
    const word = { type: 'bytes32' };
    const output = [zeroHash, block.stateRoot, proof.storageHash, block.hash];
    const args = [keccak256(encodeAbiParameters([word, word, word, word], output)), blockNumber, zeroHash, 0n];
    const { abi } = artifact('OutputOracle');
    await mined(l1, await l1.wallet.writeContract({ address: addresses.oracle, abi, functionName: 'proposeL2Output', args }));
}

async function withdraw(l1, rollup) {
    const targetChain = rollup.plain.chain;
    const request = await l1.reader.buildInitiateWithdrawal({ account, to: BOB, value: parseEther('0.25') });
    const receipt = await mined(rollup, await rollup.wallet.initiateWithdrawal(request));
    const expectStatus = async (status) => {
        assert.equal(await l1.reader.getWithdrawalStatus({ receipt, targetChain }), status);
    };
    await expectStatus('waiting-to-prove');
    await rollup.test.mine({ blocks: 3 });
    await claim(l1, rollup);
    await expectStatus('ready-to-prove');
    const { output, withdrawal } = await l1.reader.waitToProve({ receipt, targetChain });
    assert.deepEqual(getWithdrawals(receipt), [withdrawal]);
    await mined(l1, await l1.wallet.proveWithdrawal(await rollup.reader.buildProveWithdrawal({ account, output, withdrawal })));
    await expectStatus('waiting-to-finalize');
    await assert.rejects(l1.wallet.finalizeWithdrawal({ targetChain, withdrawal }));
    await l1.test.increaseTime({ seconds: Number(FINALIZATION_PERIOD_S) + 1 });
    await l1.test.mine({ blocks: 1 });
    await mined(l1, await l1.wallet.finalizeWithdrawal({ targetChain, withdrawal }));
    await expectStatus('finalized');
    assert.equal(await l1.plain.getBalance({ address: BOB }), parseEther('0.25'));
}

async function estimate(rollup) {
    const transaction = { account, to: BOB, value: 1n };
    assert.equal(await rollup.reader.getL1BaseFee(), 10_000_000_000n);
    assert.equal(await rollup.reader.estimateL1Gas(transaction), 1_600n);
    // A hundred bytes at 16 * 10 gwei * 1,368 millionths each.
    assert.equal(await rollup.reader.estimateL1Fee(transaction), (100n * 16n * 10_000_000_000n * 1_368n) / 1_000_000n);
}

try {
    const both = chains(await startAnvil(1337), await startAnvil(901));
    const l1 = clients(both.l1, publicActionsL1(), walletActionsL1());
    const rollup = clients(both.rollup, publicActionsL2(), walletActionsL2());
    await createContracts(l1);
    await createPredeploys(rollup);
    await deposit(l1, rollup);
    await withdraw(l1, rollup);
    await estimate(rollup);
    console.log('viem: a deposit, a withdrawal and fee estimates work with our contracts');
} finally {
    for (const child of children) child.kill();
}
