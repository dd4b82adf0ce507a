//! The Beacon API of the dev chain, as rollup nodes, gateways and wallets of validators read it.

import assert from 'node:assert/strict';
import { encodeFunctionData, decodeFunctionResult, keccak256, parseGwei } from 'viem';
import { blobOf, commit, proves, withCellProofs } from '../lib/blobs.mjs';
import { beacon, rpc } from '../lib/rpc.mjs';
import { branchRoot, commitmentRoot, headerRoot } from '../lib/ssz.mjs';
import { eventsOf } from '../lib/events.mjs';
import { walletFor } from '../lib/traffic.mjs';
import { skip } from '../lib/checks.mjs';
import { until } from '../lib/wait.mjs';

/** Place of `blob_kzg_commitments` in a body, and how deep its items are: 4 levels of fields, 1 length, 12 of items. */
const COMMITMENTS_FIELD = 11;
const COMMITMENT_DEPTH = 17;

const ZERO_ROOT = `0x${'00'.repeat(32)}`;

export default async function ({ check, dev, account: { privateKey }, contracts }) {
    if (!dev.l1.beacon) skip('no beacon here');
    const get = beacon(dev.l1.beacon);
    const call = rpc(dev.l1.http);
    const { client, wallet, mined } = walletFor(dev.l1, privateKey);

    const { data: genesis } = await get('/eth/v1/beacon/genesis');
    const { data: spec } = await get('/eth/v1/config/spec');
    const slotSeconds = Number(spec.SECONDS_PER_SLOT);
    const slotsPerEpoch = Number(spec.SLOTS_PER_EPOCH);
    const slotAt = (timestamp) => (Number(timestamp) - Number(genesis.genesis_time)) / slotSeconds;
    const headSlot = async () => Number((await get('/eth/v1/beacon/headers/head')).data.header.message.slot);
    // The chain may have begun a moment ago, and genesis has neither parent nor payload.
    await until('the second block', async () => (await headSlot()) >= 2);

    await check('genesis and spec describe the chain', async () => {
        assert.match(genesis.genesis_validators_root, /^0x[0-9a-f]{64}$/);
        assert.match(genesis.genesis_fork_version, /^0x[0-9a-f]{8}$/);
        assert.equal(slotSeconds, dev.slotTime);
        assert.ok(slotsPerEpoch > 0);
        assert.equal(BigInt(spec.DEPOSIT_CHAIN_ID), BigInt(dev.l1.chainId));
        assert.match(spec.DEPOSIT_CONTRACT_ADDRESS, /^0x[0-9a-fA-F]{40}$/);
        const { timestamp } = await call('eth_getBlockByNumber', 'latest', false);
        assert.ok(Number.isInteger(slotAt(timestamp)), 'blocks are at the begin of a slot');
    });

    await check('headers are served by head, genesis, slot and root, and hash to their root', async () => {
        const { data: head } = await get('/eth/v1/beacon/headers/head');
        assert.equal(headerRoot(head.header.message), head.root);
        assert.equal(head.canonical, true);
        for (const id of [head.root, head.header.message.slot]) {
            assert.deepEqual((await get(`/eth/v1/beacon/headers/${id}`)).data, head);
        }
        const { data: parent } = await get(`/eth/v1/beacon/headers/${head.header.message.parent_root}`);
        assert.equal(headerRoot(parent.header.message), head.header.message.parent_root);
        assert.equal((await get('/eth/v1/beacon/headers/genesis')).data.header.message.slot, '0');
        await assert.rejects(get(`/eth/v1/beacon/headers/${ZERO_ROOT}`), { status: 404 });
        await assert.rejects(get('/eth/v1/beacon/headers/nonsense'), { status: 400 });
    });

    await check('a block carries the execution payload of its slot', async () => {
        const { version, data } = await get('/eth/v2/beacon/blocks/head');
        assert.equal(version, 'fulu');
        const { slot, parent_root: parentRoot, body } = data.message;
        const payload = body.execution_payload;
        const block = await call('eth_getBlockByHash', payload.block_hash, false);
        assert.equal(BigInt(block.number), BigInt(payload.block_number));
        assert.equal(slotAt(block.timestamp), Number(slot));
        assert.equal(payload.state_root, block.stateRoot);
        assert.equal(payload.prev_randao, block.mixHash);
        assert.equal(payload.transactions.length, block.transactions.length);
        assert.equal(block.parentBeaconBlockRoot, parentRoot);
        const { data: header } = await get(`/eth/v1/beacon/headers/${slot}`);
        assert.equal(header.header.message.parent_root, parentRoot);
    });

    await check('the 4788 contract returns the root of the parent beacon block', async () => {
        const { abi, bytecode } = contracts.Environment;
        const { contractAddress: to } = await mined(await wallet.deployContract({ abi, bytecode }));
        const block = await call('eth_getBlockByNumber', 'latest', false);
        const args = [BigInt(block.timestamp)];
        const data = encodeFunctionData({ abi, functionName: 'beaconRoot', args });
        const answer = await call('eth_call', { to, data }, { blockHash: block.hash });
        const root = decodeFunctionResult({ abi, functionName: 'beaconRoot', data: answer });
        assert.equal(root, block.parentBeaconBlockRoot);
        const { data: parent } = await get(`/eth/v1/beacon/headers/${root}`);
        assert.equal(headerRoot(parent.header.message), root);
        const { data: own } = await get(`/eth/v1/beacon/headers/${slotAt(block.timestamp)}`);
        assert.equal(own.header.message.parent_root, root);
    });

    await check('blobs are served whole, by versioned hash, and as sidecars whose proofs hold', async () => {
        const sidecars = await Promise.all(['first', 'second'].map((text) => commit(blobOf(text))));
        const versionedHashes = sidecars.map(({ versionedHash }) => versionedHash);
        const request = await wallet.prepareTransactionRequest({
            type: 'eip4844',
            to: wallet.account.address,
            blobVersionedHashes: versionedHashes,
            maxFeePerBlobGas: parseGwei('10'),
        });
        const signed = await wallet.signTransaction(request);
        await client.sendRawTransaction({ serializedTransaction: withCellProofs(signed, sidecars) });
        const { blockHash } = await mined(keccak256(signed));
        const slot = slotAt((await call('eth_getBlockByHash', blockHash, false)).timestamp);

        const { data: blobs } = await get(`/eth/v1/beacon/blobs/${slot}`);
        const own = sidecars.map(({ blob }) => blob);
        assert.deepEqual(
            blobs.filter((blob) => own.includes(blob)),
            own,
        );
        const { data: second } = await get(`/eth/v1/beacon/blobs/${slot}?versioned_hashes=${versionedHashes[1]}`);
        assert.deepEqual(second, [own[1]]);

        const { data: block } = await get(`/eth/v2/beacon/blocks/${slot}`);
        const { data: served } = await get(`/eth/v1/beacon/blob_sidecars/${slot}`);
        assert.deepEqual(
            served.map(({ blob }) => blob),
            blobs,
        );
        assert.deepEqual(
            served.map(({ kzg_commitment: commitment }) => commitment),
            block.message.body.blob_kzg_commitments,
        );
        const { data: header } = await get(`/eth/v1/beacon/headers/${slot}`);
        for (const sidecar of served) {
            assert.ok(await proves(sidecar.blob, sidecar.kzg_commitment, sidecar.kzg_proof));
            const { message } = sidecar.signed_block_header;
            assert.equal(headerRoot(message), header.root);
            const place = COMMITMENTS_FIELD * 2 ** 13 + Number(sidecar.index);
            assert.equal(sidecar.kzg_commitment_inclusion_proof.length, COMMITMENT_DEPTH);
            const root = branchRoot(
                commitmentRoot(sidecar.kzg_commitment),
                sidecar.kzg_commitment_inclusion_proof,
                place,
            );
            assert.equal(root, message.body_root);
        }
        const { data: one } = await get(`/eth/v1/beacon/blob_sidecars/${slot}?indices=${served.at(-1).index}`);
        assert.deepEqual(one, [served.at(-1)]);
    });

    /** Runs `body(epoch)` within one epoch; starts again if another began meanwhile. */
    async function withinOneEpoch(body) {
        for (;;) {
            const epoch = Math.floor((await headSlot()) / slotsPerEpoch);
            const value = await body(epoch);
            if (Math.floor((await headSlot()) / slotsPerEpoch) === epoch) return value;
        }
    }

    await check('proposers of this epoch and the next are known, one per slot, and they did propose', async () => {
        const { epoch, duties, tooFar } = await withinOneEpoch(async (epoch) => ({
            epoch,
            duties: [
                await get(`/eth/v1/validator/duties/proposer/${epoch}`),
                await get(`/eth/v1/validator/duties/proposer/${epoch + 1}`),
            ],
            tooFar: await get(`/eth/v1/validator/duties/proposer/${epoch + 2}`).catch(({ status }) => status),
        }));
        for (const [index, { data, dependent_root: root }] of duties.entries()) {
            const first = (epoch + index) * slotsPerEpoch;
            const slots = data.map(({ slot }) => Number(slot)).sort((a, b) => a - b);
            assert.deepEqual(
                slots,
                slots.map((_, place) => first + place),
            );
            assert.equal(slots.length, slotsPerEpoch);
            assert.match(root, /^0x[0-9a-f]{64}$/);
            assert.ok(data.every(({ pubkey }) => /^0x[0-9a-f]{96}$/.test(pubkey)));
        }
        assert.equal(tooFar, 400);
        const head = await until('a block of that epoch', async () => {
            const { header } = (await get('/eth/v1/beacon/headers/head')).data;
            return Number(header.message.slot) >= epoch * slotsPerEpoch && header.message;
        });
        const duty = duties.flatMap(({ data }) => data).find(({ slot }) => slot === head.slot);
        if (duty) assert.equal(duty.validator_index, head.proposer_index);
    });

    await check('the look-ahead in the state is what the duties say', async () => {
        const [lookahead, ...duties] = await withinOneEpoch(async (epoch) => [
            (await get('/eth/v1/beacon/states/head/proposer_lookahead')).data,
            (await get(`/eth/v1/validator/duties/proposer/${epoch}`)).data,
            (await get(`/eth/v1/validator/duties/proposer/${epoch + 1}`)).data,
        ]);
        const inOrder = duties.flat().sort((a, b) => Number(a.slot) - Number(b.slot));
        assert.deepEqual(
            lookahead,
            inOrder.map(({ validator_index: index }) => index),
        );
    });

    await check('heads, blocks and finalised checkpoints are pushed, and execution follows finality', async () => {
        const stop = new AbortController();
        const events = eventsOf(`${dev.l1.beacon}/eth/v1/events?topics=head,block,finalized_checkpoint`, stop.signal);
        const seen = { head: [], block: [], finalized_checkpoint: [] };
        const reading = (async () => {
            for await (const { event, data } of events) seen[event].push(JSON.parse(data));
        })();
        try {
            const epochs = 4 * slotsPerEpoch * slotSeconds;
            await until('three heads', () => seen.head.length >= 3 && seen.block.length >= 3);
            await until('a finalised checkpoint', () => seen.finalized_checkpoint.length > 0, { seconds: epochs + 30 });
        } finally {
            stop.abort();
            await reading.catch((error) => assert.equal(error.name, 'AbortError'));
        }
        const slots = seen.head.map(({ slot }) => Number(slot));
        assert.deepEqual(
            slots,
            slots.map((_, index) => slots[0] + index),
            'every slot has a head',
        );
        const { data: header } = await get(`/eth/v1/beacon/headers/${slots[0]}`);
        assert.equal(seen.head[0].block, header.root);
        assert.equal(seen.head[0].state, header.header.message.state_root);
        assert.equal(seen.block.find(({ slot }) => Number(slot) === slots[1])?.block, seen.head[1].block);

        const { block: root, epoch } = seen.finalized_checkpoint[0];
        const { data: beaconBlock } = await get(`/eth/v2/beacon/blocks/${root}`);
        assert.ok(Number(beaconBlock.message.slot) <= Number(epoch) * slotsPerEpoch);
        const finalized = await call('eth_getBlockByNumber', 'finalized', false);
        const atCheckpoint = BigInt(beaconBlock.message.body.execution_payload.block_number);
        assert.ok(atCheckpoint > 0n && BigInt(finalized.number) >= atCheckpoint);
    });

    await check('checkpoints are ordered, and the tags of execution point at their blocks', async () => {
        const {
            data: checkpoints,
            finalized,
            ...tags
        } = await until('an answer within one block', async () => {
            const before = await headSlot();
            const { data } = await get('/eth/v1/beacon/states/head/finality_checkpoints');
            const [finalized, safe] = await Promise.all(
                ['finalized', 'safe'].map((tag) => call('eth_getBlockByNumber', tag, false)),
            );
            return (await headSlot()) === before && { data, finalized, safe };
        });
        const epochOf = (name) => Number(checkpoints[name].epoch);
        assert.ok(epochOf('finalized') >= 1);
        assert.ok(epochOf('finalized') < epochOf('current_justified') + 1);
        assert.ok(epochOf('previous_justified') <= epochOf('current_justified'));
        const hashAt = async (name) => {
            const { data } = await get(`/eth/v2/beacon/blocks/${checkpoints[name].root}`);
            return data.message.body.execution_payload.block_hash;
        };
        assert.equal(finalized.hash, await hashAt('finalized'));
        assert.equal(tags.safe.hash, await hashAt('current_justified'));
    });
}
