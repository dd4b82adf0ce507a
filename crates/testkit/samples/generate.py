#!/usr/bin/env python3
"""Makes the sample block next to this file.

    pip install ethereum-execution==2.20.0 && python3 generate.py

The block is synthetic: mainnet's rules at Cancun, made-up accounts. Signatures, gas, roots, receipts
and the state afterwards come from EELS (ethereum/execution-specs), an implementation that shares
no code with Lockstep, so replaying the block compares the two.
"""

import json
from dataclasses import replace
from pathlib import Path

from ethereum.crypto.elliptic_curve import SECP256K1N
from ethereum.crypto.hash import keccak256
from ethereum.forks.cancun import vm
from ethereum.forks.cancun.blocks import Header, Withdrawal
from ethereum.forks.cancun.bloom import logs_bloom
from ethereum.forks.cancun.fork import EMPTY_OMMER_HASH, apply_body
from ethereum.forks.cancun.fork_types import Account, Address, VersionedHash
from ethereum.forks.cancun.state import State, get_account, get_storage, set_account, set_storage, state_root
from ethereum.forks.cancun.transactions import (
    Access, AccessListTransaction, BlobTransaction, FeeMarketTransaction, LegacyTransaction,
    encode_transaction, get_transaction_hash, signing_hash_155, signing_hash_1559,
    signing_hash_2930, signing_hash_4844)
from ethereum.forks.cancun.trie import root, trie_get
from ethereum.forks.cancun.utils.address import compute_contract_address
from ethereum.forks.cancun.utils.hexadecimal import hex_to_address
from ethereum_rlp import rlp
from ethereum_spec_tools.evm_tools.utils import secp256k1_sign
from ethereum_types.bytes import Bytes, Bytes0, Bytes8, Bytes32
from ethereum_types.numeric import U64, U256, Uint
import coincurve

HERE = Path(__file__).parent
NUMBER, TIMESTAMP, BASE_FEE = 19_999_999, 1_717_281_587, 7 * 10**9
BENEFICIARY = hex_to_address("0x" + "be" * 20)
WITHDRAWER = hex_to_address("0x" + "dd" * 20)
COUNTER = hex_to_address("0x" + "c0" * 20)

# Adds the first word of the call data to slot 0, keeps the hash of the grandparent block in slot 1
# and logs the sum under the word; reverts if the word is zero.
COUNTER_CODE = bytes.fromhex(
    "600035" "80" "600b57" "600080fd"  # if (word == 0) revert
    "5b" "80600054" "01" "80600055"  # slot[0] = sum = slot[0] + word
    "60024303" "40" "600155"  # slot[1] = blockhash(number - 2)
    "600052" "60206000a1" "00")  # log1(sum, word)
# Deploys code that returns nothing but its first byte, STOP.
INIT_CODE = bytes.fromhex("6001600c60003960016000f300")


def hash_of(text):
    return Bytes32(keccak256(text.encode()))


def key_of(name):
    return int.from_bytes(hash_of(name), "big") % int(SECP256K1N)


def address_of(name):
    public = coincurve.PublicKey.from_valid_secret(key_of(name).to_bytes(32, "big")).format(False)[1:]
    return Address(keccak256(public)[12:])


def word(value):
    return Bytes(value.to_bytes(32, "big"))


def sign(transaction, name, signing_hash, *chain):
    r, s, y = secp256k1_sign(signing_hash(transaction, *chain), key_of(name))
    parity = {"v": U256(int(y) + 37)} if chain else {"y_parity": U256(y)}
    return replace(transaction, r=U256(r), s=U256(s), **parity)


def transactions():
    unsigned = dict(r=U256(0), s=U256(0))
    typed = dict(unsigned, y_parity=U256(0), chain_id=U64(1))
    fees = dict(max_priority_fee_per_gas=Uint(10**9), max_fee_per_gas=Uint(20 * 10**9))
    alice, bob = "lockstep sample: alice", "lockstep sample: bob"
    yield alice, sign(LegacyTransaction(
        nonce=U256(5), gas_price=Uint(8 * 10**9), gas=Uint(21_000), to=address_of(bob),
        value=U256(10**17), data=Bytes(), v=U256(0), **unsigned), alice, signing_hash_155, U64(1))
    yield bob, sign(AccessListTransaction(
        nonce=U256(0), gas_price=Uint(9 * 10**9), gas=Uint(100_000), to=COUNTER, value=U256(0),
        data=word(1), access_list=(Access(COUNTER, (Bytes32(word(0)), Bytes32(word(1)))),),
        **typed), bob, signing_hash_2930)
    yield alice, sign(FeeMarketTransaction(
        nonce=U256(6), gas=Uint(100_000), to=COUNTER, value=U256(3), data=word(2**255),
        access_list=(), **fees, **typed), alice, signing_hash_1559)
    yield alice, sign(FeeMarketTransaction(
        nonce=U256(7), gas=Uint(100_000), to=COUNTER, value=U256(0), data=Bytes(),
        access_list=(), **fees, **typed), alice, signing_hash_1559)
    yield bob, sign(FeeMarketTransaction(
        nonce=U256(1), gas=Uint(100_000), to=Bytes0(), value=U256(7), data=Bytes(INIT_CODE),
        access_list=(), **fees, **typed), bob, signing_hash_1559)
    yield bob, sign(BlobTransaction(
        nonce=U256(2), gas=Uint(50_000), to=WITHDRAWER, value=U256(0), data=Bytes(b"blob"),
        access_list=(), max_fee_per_blob_gas=U256(10),
        blob_versioned_hashes=(VersionedHash(b"\1" + hash_of("blob")[1:]),), **fees, **typed),
        bob, signing_hash_4844)


def quantity(value):
    return hex(int(value))


def data(value):
    return "0x" + bytes(value).hex()


def rpc(index, sender, transaction, block):
    envelope = encode_transaction(transaction)
    ty = 0 if isinstance(transaction, LegacyTransaction) else envelope[0]
    price = (transaction.gas_price if ty < 2 else min(
        int(transaction.max_fee_per_gas), BASE_FEE + int(transaction.max_priority_fee_per_gas)))
    out = {
        "hash": data(get_transaction_hash(envelope)), "type": quantity(ty),
        "blockHash": block["hash"], "blockNumber": block["number"],
        "transactionIndex": quantity(index), "from": data(address_of(sender)),
        "to": data(transaction.to) if transaction.to else None, "nonce": quantity(transaction.nonce),
        "gas": quantity(transaction.gas), "gasPrice": quantity(price),
        "value": quantity(transaction.value), "input": data(transaction.data), "chainId": "0x1"}
    if ty >= 1:
        out["accessList"] = [{"address": data(access.account), "storageKeys": list(map(data, access.slots))}
                             for access in transaction.access_list]
        out["yParity"] = quantity(transaction.y_parity)
    if ty >= 2:
        out["maxFeePerGas"] = quantity(transaction.max_fee_per_gas)
        out["maxPriorityFeePerGas"] = quantity(transaction.max_priority_fee_per_gas)
    if ty == 3:
        out["maxFeePerBlobGas"] = quantity(transaction.max_fee_per_blob_gas)
        out["blobVersionedHashes"] = list(map(data, transaction.blob_versioned_hashes))
    v = transaction.v if ty == 0 else transaction.y_parity
    return out | {"v": quantity(v), "r": quantity(transaction.r), "s": quantity(transaction.s)}


def write(path, value):
    path = HERE / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1) + "\n")


def main():
    alice, bob = address_of("lockstep sample: alice"), address_of("lockstep sample: bob")
    before = {
        alice: Account(Uint(5), U256(10**19), Bytes()),
        bob: Account(Uint(0), U256(10**18), Bytes()),
        COUNTER: Account(Uint(1), U256(0), Bytes(COUNTER_CODE)),
    }
    slots_before = {COUNTER: {0: 41}}
    state = State()
    for address, account in before.items():
        set_account(state, address, account)
    for address, slots in slots_before.items():
        for slot, value in slots.items():
            set_storage(state, address, Bytes32(word(slot)), U256(value))

    hashes = [hash_of(f"lockstep sample: block {number}") for number in range(NUMBER - 256, NUMBER)]
    beacon_root = hash_of("lockstep sample: beacon root")
    prev_randao = hash_of("lockstep sample: randao")
    environment = vm.BlockEnvironment(
        chain_id=U64(1), state=state, block_gas_limit=Uint(30_000_000), block_hashes=hashes,
        coinbase=BENEFICIARY, number=Uint(NUMBER), base_fee_per_gas=Uint(BASE_FEE),
        time=U256(TIMESTAMP), prev_randao=prev_randao, excess_blob_gas=U64(0),
        parent_beacon_block_root=beacon_root)
    signed = list(transactions())
    withdrawals = (Withdrawal(U64(1), U64(2), WITHDRAWER, U256(3)),)
    output = apply_body(environment, tuple(encode_transaction(tx) for _, tx in signed), withdrawals)
    header = Header(
        parent_hash=hashes[-1], ommers_hash=EMPTY_OMMER_HASH, coinbase=BENEFICIARY,
        state_root=state_root(state), transactions_root=root(output.transactions_trie),
        receipt_root=root(output.receipts_trie), bloom=logs_bloom(output.block_logs),
        difficulty=Uint(0), number=Uint(NUMBER), gas_limit=Uint(30_000_000),
        gas_used=output.block_gas_used, timestamp=U256(TIMESTAMP), extra_data=Bytes(b"lockstep sample"),
        prev_randao=prev_randao, nonce=Bytes8(bytes(8)), base_fee_per_gas=Uint(BASE_FEE),
        withdrawals_root=root(output.withdrawals_trie), blob_gas_used=output.blob_gas_used,
        excess_blob_gas=U64(0), parent_beacon_block_root=beacon_root)
    block = {
        "hash": data(keccak256(rlp.encode(header))), "parentHash": data(header.parent_hash),
        "sha3Uncles": data(header.ommers_hash), "miner": data(header.coinbase),
        "stateRoot": data(header.state_root), "transactionsRoot": data(header.transactions_root),
        "receiptsRoot": data(header.receipt_root), "logsBloom": data(header.bloom),
        "difficulty": "0x0", "number": quantity(NUMBER), "gasLimit": quantity(header.gas_limit),
        "gasUsed": quantity(header.gas_used), "timestamp": quantity(header.timestamp),
        "extraData": data(header.extra_data), "mixHash": data(header.prev_randao),
        "nonce": data(header.nonce), "baseFeePerGas": quantity(BASE_FEE),
        "withdrawalsRoot": data(header.withdrawals_root),
        "blobGasUsed": quantity(header.blob_gas_used), "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": data(beacon_root), "uncles": [],
        "withdrawals": [{"index": quantity(w.index), "validatorIndex": quantity(w.validator_index),
                         "address": data(w.address), "amount": quantity(w.amount)} for w in withdrawals]}
    block["transactions"] = [rpc(index, *tx, block) for index, tx in enumerate(signed)]
    write(f"blocks/{NUMBER}/block.json", block)

    def account_json(address, account):
        out = {"balance": quantity(account.balance), "nonce": int(account.nonce)}
        if account.code:
            out["code_hash"] = data(keccak256(account.code))
        slots = slots_before.get(address, {})
        return out | {"storage": {quantity(slot): quantity(value) for slot, value in slots.items()}}

    write(f"blocks/{NUMBER}/pre_state.json", {data(a): account_json(a, b) for a, b in before.items()})
    (HERE / "blocks.bytecodes.jsonl").write_text(
        json.dumps({"hash": data(keccak256(COUNTER_CODE)), "code": data(COUNTER_CODE)}) + "\n")
    write("blocks.block_hashes.json", {str(NUMBER - 2): data(hashes[-2])})

    # The oracle's answer, before withdrawals as everywhere in the format.
    receipts = []
    for key, (_, tx) in zip(output.receipt_keys, signed):
        receipt = trie_get(output.receipts_trie, key)
        receipt = rlp.decode(bytes(receipt)[1:]) if isinstance(receipt, bytes) else [
            b"\1" if receipt.succeeded else b"", int(receipt.cumulative_gas_used).to_bytes(8, "big"),
            receipt.bloom]
        receipts.append({
            "tx": data(get_transaction_hash(encode_transaction(tx))),
            "cumulative_gas_used": int.from_bytes(receipt[1], "big"),
            "success": receipt[0] == b"\1", "bloom": data(receipt[2])})
    created = compute_contract_address(bob, Uint(1))
    paid = {WITHDRAWER: 3 * 10**9}
    difference = {}
    for address in (alice, bob, COUNTER, created, BENEFICIARY, WITHDRAWER):
        old, new = before.get(address), get_account(state, address)
        change = {}
        if (balance := int(new.balance) - paid.get(address, 0)) != (old.balance if old else 0):
            change["balance"] = quantity(balance)
        if new.nonce != (old.nonce if old else 0):
            change["nonce"] = quantity(new.nonce)
        if new.code != (old.code if old else b""):
            change["code_hash"], change["code_len"] = data(keccak256(new.code)), len(new.code)
        if address == COUNTER:
            change["storage"] = {quantity(slot): quantity(get_storage(state, address, Bytes32(word(slot))))
                                 for slot in (0, 1)}
        if change:
            difference[data(address)] = change
    write(f"blocks.oracle-results/{NUMBER}.json", {
        "number": NUMBER, "logs_hash": data(keccak256(rlp.encode(output.block_logs))),
        "receipts": receipts, "post_diff": difference})


if __name__ == "__main__":
    main()
