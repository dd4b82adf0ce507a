//! Blocks as the Engine API takes them.

import { transactionBytes } from './blocks.mjs';

const EMPTY_REQUESTS = '0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** The parameters of `engine_newPayloadV4` for a Prague block as RPC tells it, with its transactions. */
export function payloadOf(block) {
    if (block.requestsHash !== EMPTY_REQUESTS) throw new Error(`block ${Number(block.number)} carries requests`);
    const payload = {
        parentHash: block.parentHash,
        feeRecipient: block.miner,
        stateRoot: block.stateRoot,
        receiptsRoot: block.receiptsRoot,
        logsBloom: block.logsBloom,
        prevRandao: block.mixHash,
        blockNumber: block.number,
        gasLimit: block.gasLimit,
        gasUsed: block.gasUsed,
        timestamp: block.timestamp,
        extraData: block.extraData,
        baseFeePerGas: block.baseFeePerGas,
        blockHash: block.hash,
        transactions: block.transactions.map(transactionBytes),
        withdrawals: block.withdrawals,
        blobGasUsed: block.blobGasUsed,
        excessBlobGas: block.excessBlobGas,
    };
    const versionedHashes = block.transactions.flatMap(({ blobVersionedHashes }) => blobVersionedHashes ?? []);
    return [payload, versionedHashes, block.parentBeaconBlockRoot, []];
}
