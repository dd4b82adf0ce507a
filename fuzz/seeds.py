#!/usr/bin/env python3
"""Makes the seeds of the fuzz targets: small inputs from which a fuzzer reaches the depths quickly.

    pip install ethereum-execution==2.20.0 && python3 fuzz/seeds.py
"""

import io
import json
import shutil
import tarfile
import zlib
from pathlib import Path

from ethereum.crypto.hash import keccak256
from ethereum.forks.shanghai.blocks import Header, Withdrawal
from ethereum.forks.shanghai.fork import EMPTY_OMMER_HASH
from ethereum.forks.shanghai.fork_types import Account
from ethereum.forks.shanghai.state import State, set_account, state_root
from ethereum.forks.shanghai.trie import Trie, root, trie_set
from ethereum.forks.shanghai.utils.hexadecimal import hex_to_address
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes, Bytes8, Bytes32
from ethereum_types.numeric import U64, U256, Uint

HERE = Path(__file__).parent
SAMPLE = HERE / "../crates/testkit/samples"
CANCUN, FRONTIER, ISTHMUS = 16, 0, 7


def write(target, name, content):
    path = HERE / "seeds" / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def unhex(text):
    return bytes.fromhex(text[2:].zfill((len(text) - 1) // 2 * 2))


def number(text):
    return int(text, 16).to_bytes(32, "big").lstrip(b"\0")


# ---------------------------------------------------------------------------- block_rlp

def header(block):
    fields = [unhex(block[name]) for name in (
        "parentHash", "sha3Uncles", "miner", "stateRoot", "transactionsRoot", "receiptsRoot", "logsBloom")]
    fields += [number(block[name]) for name in ("difficulty", "number", "gasLimit", "gasUsed", "timestamp")]
    fields += [unhex(block[name]) for name in ("extraData", "mixHash", "nonce")]
    fields += [number(block["baseFeePerGas"]), unhex(block["withdrawalsRoot"]), number(block["blobGasUsed"]),
               number(block["excessBlobGas"]), unhex(block["parentBeaconBlockRoot"])]
    return fields


def transaction(tx):
    ty = int(tx["type"], 16)
    to = unhex(tx["to"]) if tx["to"] else b""
    fees = ["gasPrice"] if ty < 2 else ["maxPriorityFeePerGas", "maxFeePerGas"]
    fields = [number(tx["nonce"])] + [number(tx[fee]) for fee in fees]
    fields += [number(tx["gas"]), to, number(tx["value"]), unhex(tx["input"])]
    if ty >= 1:
        fields.insert(0, number(tx["chainId"]))
        fields.append([[unhex(item["address"]), [unhex(key) for key in item["storageKeys"]]]
                       for item in tx["accessList"]])
    if ty == 3:
        fields += [number(tx["maxFeePerBlobGas"]), [unhex(hash) for hash in tx["blobVersionedHashes"]]]
    fields += [number(tx["v"]), number(tx["r"]), number(tx["s"])]
    return fields if ty == 0 else bytes([ty]) + rlp.encode(fields)


def blocks():
    sample = json.loads(next((SAMPLE / "blocks").glob("*/block.json")).read_text())
    transactions = [transaction(tx) for tx in sample["transactions"]]
    withdrawals = [[number(w["index"]), number(w["validatorIndex"]), unhex(w["address"]), number(w["amount"])]
                   for w in sample["withdrawals"]]
    block = [header(sample), transactions, [], withdrawals]
    encoded = rlp.encode(block)
    assert keccak256(rlp.encode(block[0])) == unhex(sample["hash"])
    write("block_rlp", "cancun", bytes([CANCUN]) + encoded)

    for index, name in ((0, "legacy"), (1, "eip2930"), (2, "eip1559"), (5, "eip4844")):
        tx = transactions[index]
        write("block_rlp", f"transaction_{name}", bytes([CANCUN]) + (tx if isinstance(tx, bytes) else rlp.encode(tx)))

    ommer = header(sample)[:15]
    ommer[7], ommer[10], ommer[14] = b"\2\0\0", b"", b"\1" * 8
    old = list(transactions[0])
    old[6] = b"\x1b"
    write("block_rlp", "frontier", bytes([FRONTIER]) + rlp.encode([ommer, [old], [ommer]]))
    write("block_rlp", "merge", bytes([128 + 14]) + rlp.encode([ommer, [], []]))

    deposit = b"\x7e" + rlp.encode([b"\1" * 32, b"\2" * 20, b"\3" * 20, b"", b"", b"\x0f\x42\x40", b"", b"\xaa" * 4])
    rollup = header(sample) + [bytes.fromhex(
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")]
    rollup[12], rollup[17] = b"\0" + b"\0\0\0\6\0\0\0\2", b""
    write("block_rlp", "isthmus", bytes([ISTHMUS]) + rlp.encode([rollup, [deposit], [], []]))

    log = [b"\4" * 20, [b"\5" * 32, b"\6" * 32], b"data"]
    write("block_rlp", "receipt_root", bytes([0]) + rlp.encode([b"\7" * 32, b"\x52\x08", bytes(256), [log]]))
    typed = b"\2" + rlp.encode([b"\1", b"\x52\x08", bytes(256), [log]])
    write("block_rlp", "receipt_typed", bytes([0]) + rlp.encode(typed))


# ---------------------------------------------------------------------------- trie_node

def child(place):
    """Stands for the hash of the node `place` after the next one."""
    return b"\xff" * 31 + bytes([place])


def trie(nodes, operations):
    out = bytes([len(nodes)])
    for node in nodes:
        encoded = rlp.encode(node)
        out += len(encoded).to_bytes(2, "big") + encoded
    for key, value in operations:
        repeat = 0x80 if len(value) > 15 else 0
        out += bytes([len(key) - 1]) + key + bytes([repeat | len(value[:15])]) + value[:15]
    return out


def tries():
    keys = [bytes([first] * 32) for first in (0x11, 0x12, 0x21, 0xff)]
    short = [(b"do", b"verb"), (b"dog", b"puppy"), (b"doge", b"coin"), (b"horse", b"stallion"), (b"dog", b"")]
    write("trie_node", "operations", trie([], [(key, b"v" * 16) for key in keys] + [(keys[0], b"")] + short))
    leaf = [b"\x20" + b"\x11" * 31, b"v" * 40]
    odd_leaf = [b"\x31" + b"\x11" * 30, b"v" * 40]
    branch = [child(0), child(1)] + [b""] * 15
    write("trie_node", "leaf", trie([leaf], [(b"\x11" * 31, b"new")]))
    write("trie_node", "branch", trie([branch, odd_leaf, odd_leaf], [
        (b"\x01" + b"\x11" * 30, b""), (b"\x11" + b"\x11" * 30, b"v" * 16)]))
    write("trie_node", "extension", trie([[b"\0\xab", child(0)], branch, odd_leaf, odd_leaf], [
        (b"\xab\x01" + b"\x11" * 30, b""), (b"\xab\xff", b"v")]))
    embedded = [[b"\x31", b"a"], [b"\x32", b"b"]] + [b""] * 14 + [b"c"]
    write("trie_node", "embedded", trie([[b"\x16", embedded]], [(b"\x60", b""), (b"\x61", b""), (b"\x60", b"d")]))


# ---------------------------------------------------------------------------- fixture_loader

def zstd_frame(data):
    """One frame that holds `data` as it is."""
    assert len(data) < 1 << 17
    size = len(data).to_bytes(4, "little")
    block = (len(data) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd" + b"\xa0" + size + block + data


def archive(files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    # Half of a tar archive is the padding after its end.
    return out.getvalue()[:1024 * len(files) + 1024]


def blockchain():
    """One block without transactions that pays a withdrawal."""
    def make(parent, place, state, **changes):
        fields = dict(
            parent_hash=parent, ommers_hash=EMPTY_OMMER_HASH, coinbase=hex_to_address("0x" + "be" * 20),
            state_root=state, transactions_root=root(Trie(secured=False, default=None)),
            receipt_root=root(Trie(secured=False, default=None)), bloom=Bytes(bytes(256)), difficulty=Uint(0),
            number=Uint(place), gas_limit=Uint(100_000), gas_used=Uint(0), timestamp=U256(12 * place),
            extra_data=Bytes(), prev_randao=Bytes32(bytes(32)), nonce=Bytes8(bytes(8)), base_fee_per_gas=Uint(7),
            withdrawals_root=root(Trie(secured=False, default=None)))
        return Header(**(fields | changes))

    def fields(header):
        names = dict(parentHash="parent_hash", uncleHash="ommers_hash", coinbase="coinbase", stateRoot="state_root",
                     transactionsTrie="transactions_root", receiptTrie="receipt_root", bloom="bloom",
                     extraData="extra_data", mixHash="prev_randao", nonce="nonce", withdrawalsRoot="withdrawals_root")
        numbers = dict(difficulty="difficulty", number="number", gasLimit="gas_limit", gasUsed="gas_used",
                       timestamp="timestamp", baseFeePerGas="base_fee_per_gas")
        out = {key: "0x" + bytes(getattr(header, name)).hex() for key, name in names.items()}
        out |= {key: hex(getattr(header, name)) for key, name in numbers.items()}
        return out | {"hash": "0x" + keccak256(rlp.encode(header)).hex()}

    account = hex_to_address("0x" + "aa" * 20)
    state = State()
    set_account(state, account, Account(Uint(1), U256(5), Bytes()))
    genesis = make(Bytes32(bytes(32)), 0, state_root(state))
    set_account(state, account, Account(Uint(1), U256(5 + 3 * 10**9), Bytes()))
    withdrawal = Withdrawal(U64(0), U64(1), account, U256(3))
    withdrawals = Trie(secured=False, default=None)
    trie_set(withdrawals, rlp.encode(Uint(0)), rlp.encode(withdrawal))
    parent = keccak256(rlp.encode(genesis))
    block = make(parent, 1, state_root(state), withdrawals_root=root(withdrawals), base_fee_per_gas=Uint(7))
    hash = "0x" + keccak256(rlp.encode(block)).hex()
    return {
        "network": "Shanghai", "sealEngine": "NoProof", "genesisBlockHeader": fields(genesis),
        "pre": {"0x" + "aa" * 20: {"balance": "0x05", "nonce": "0x01", "code": "0x", "storage": {}}},
        "blocks": [{"rlp": "0x" + rlp.encode((block, (), (), (withdrawal,))).hex(), "blockHeader": fields(block)}],
        "lastblockhash": hash,
        "postState": {"0x" + "aa" * 20: {"balance": hex(5 + 3 * 10**9), "nonce": "0x01", "code": "0x", "storage": {}}}}


def fixtures():
    sample = json.loads(next((SAMPLE / "blocks").glob("*/block.json")).read_text())
    account = {"0x" + "c0" * 20: {"balance": "0x0a", "nonce": "0x00", "code": "0x6001600055", "storage": {"0x00": "0x01"}}}
    env = {"currentCoinbase": "0x" + "be" * 20, "currentDifficulty": "0x20000", "currentGasLimit": "0x0f4240",
           "currentNumber": "0x01", "currentTimestamp": "0x03e8", "currentBaseFee": "0x0a"}
    zero = "0x" + "00" * 32
    state = {"env": env, "pre": account, "transaction": {
        "data": ["0x00"], "gasLimit": ["0x0186a0"], "value": ["0x00"], "gasPrice": "0x0a", "nonce": "0x00",
        "to": "0x" + "c0" * 20, "sender": "0x" + "aa" * 20, "accessLists": [[]]},
        "post": {"London": [{"hash": zero, "logs": zero, "indexes": {"data": 0, "gas": 0, "value": 0}}]}}
    trie_test = {"in": [["do", "verb"], ["dog", "puppy"], ["do", None]], "root": zero}
    rlp_test = {"in": ["dog", ["#83729609699884896815286331701780722", 5, ""]], "out": "0xc0"}
    difficulty = {"parentTimestamp": "0x01", "parentDifficulty": "0x020000", "parentUncles": "0x00",
                  "currentTimestamp": "0x02", "currentBlockNumber": "0x05", "currentDifficulty": "0x020040"}
    legacy = "0x" + rlp.encode(transaction(sample["transactions"][0])).hex()
    transaction_test = {"txbytes": legacy, "result": {"London": {"exception": "TR_None", "intrinsicGas": "0x5208"}}}
    engine = {key: value for key, value in blockchain().items() if key != "blocks"} | {
        "engineNewPayloads": [{"params": [{}], "newPayloadVersion": "2", "errorCode": "-32602"}]}
    vm = {"env": env, "pre": account, "exec": {
        "address": "0x" + "c0" * 20, "caller": "0x" + "aa" * 20, "origin": "0x" + "aa" * 20, "code": "0x00", "data": "0x",
        "gas": "0x0186a0", "gasPrice": "0x01", "value": "0x00"}}
    head = {name: sample[name] for name in sample if name not in ("transactions", "withdrawals", "uncles")}
    seeds = {
        2: ("file", {"case": rlp_test, "other": trie_test}), 3: ("state", state), 4: ("blockchain", blockchain()),
        5: ("engine", engine), 6: ("rlp", rlp_test), 7: ("trie", trie_test), 8: ("transaction", transaction_test),
        9: ("difficulty", difficulty), 10: ("vm", vm), 11: ("header", head),
        12: ("rpc_transaction", sample["transactions"][5])}
    for choice, (name, value) in seeds.items():
        write("fixture_loader", name, bytes([choice]) + json.dumps(value, separators=(",", ":")).encode())
    folder = next((SAMPLE / "blocks").glob("*"))
    compact = [json.dumps(json.loads((folder / name).read_text()), separators=(",", ":")).encode()
               for name in ("block.json", "pre_state.json")]
    write("fixture_loader", "real_block", b"\x0f" + b"\0".join(compact))
    oracle = json.loads(next((SAMPLE / "blocks.oracle-results").glob("*.json")).read_text())
    oracle["receipts"] = oracle["receipts"][:1]
    write("fixture_loader", "oracle", b"\x0e" + json.dumps(oracle, separators=(",", ":")).encode())
    write("fixture_loader", "network", b"\x0dArrowGlacierToParisAtDiffC0000")
    tar = archive({"a/rlptest.json": json.dumps({"case": rlp_test}).encode(), "b.txt": b"no fixture"})
    write("fixture_loader", "tar", b"\0" + tar)
    write("fixture_loader", "tar_zst", b"\1" + zstd_frame(tar))


def derivation():
    """The fork, then items: their kind, their length and their data. Kind 3 is a batch, 1 a frame."""
    genesis = keccak256(bytes(8))
    single = b"\0" + rlp.encode([genesis, b"", bytes(31) + b"\1", (1_002).to_bytes(2, "big"), []])
    # From the second block on, three blocks of the first epoch without transactions.
    span = b"\1" + b"\2\0" + genesis[:20] + bytes(20) + b"\3" + bytes(1) + bytes(3)
    item = lambda kind, data: bytes([kind]) + len(data).to_bytes(2, "big") + data
    for fork in (2, 4, 5, 0x17, 7):
        write("derive_pipeline", f"batches_{fork}", bytes([fork]) + item(3, single) + item(3, span) * 2)
    frames = [item(1 | number << 2 | (0x20 if number == 2 else 0), b"\x78\1" * 9) for number in (2, 0, 1)]
    write("derive_pipeline", "frames", b"\4" + b"".join(frames) + item(2, b"\xc0") + item(0, b"\1\2"))


def rollup_data():
    def string(data):
        length = len(data).to_bytes((len(data).bit_length() + 7) // 8, "big")
        return bytes([0xb7 + len(length)]) + length + data

    def frame(number, data, is_last):
        return b"\xab" * 16 + number.to_bytes(2, "big") + len(data).to_bytes(4, "big") + data + bytes([is_last])

    def words(*values):
        return b"".join(value.to_bytes(32, "big") for value in values)

    single = bytes.fromhex("00f852a0" + "01" * 32 + "07a0" + "02" * 32 + "8203f2cb8ac90102038004051b0607")
    span = bytes.fromhex(
        "010a08" + "01" * 20 + "02" * 20 + "020301040106" + f"{6:064x}{7:064x}" * 3 + f"{7:064x}{8:064x}" * 2
        + "11" * 80 + "c3040205c304020501c4040205c002c505020306c004c605020306c0c00101010101030303040402")
    plain = string(single) + string(span)
    fixed = zlib.compressobj(9, zlib.DEFLATED, 15, 9, zlib.Z_FIXED)
    write("op_frames", "two", b"\0" + frame(0, b"some", 0) + frame(1, b"thing", 1))
    write("op_channel", "zlib", zlib.compress(plain, 9))
    write("op_channel", "fixed", fixed.compress(plain) + fixed.flush())
    write("op_channel", "stored", zlib.compress(plain, 0))
    write("op_channel", "text", zlib.compress(bytes((i * i * 7 + i // 9) % 64 + 32 for i in range(6000)), 9))
    write("op_span_batch", "single", single)
    write("op_span_batch", "span", span)
    deposit = words(32, 74, 3, 4) + bytes.fromhex("000000000000000500" "06").ljust(32, b"\0")
    write("op_deposit", "deposit", bytes([3, 0x11, 0x22, 0]) + deposit)
    for name, ty, values in (("gas_limit", 2, [30_000_000]), ("gas_config", 1, [188, 684_000]),
                             ("eip1559", 4, [0xab000000cd])):
        write("op_deposit", name, bytes([0x12, 0, ty]) + words(32, 32 * len(values), *values))
    write("op_blob", "short", bytes.fromhex("1b000000c8") + bytes(range(123)))


if __name__ == "__main__":
    shutil.rmtree(HERE / "seeds", ignore_errors=True)
    blocks()
    tries()
    fixtures()
    derivation()
    rollup_data()
