"""web3.py: contracts, installed filters, fees, proofs, and what the tracing namespaces answer."""

import json
import sys
import time
import traceback

from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.exceptions import ContractCustomError, ContractLogicError, TransactionNotFound

given = json.load(open(sys.argv[1]))
web3 = Web3(HTTPProvider(given["l1"]["http"]))
account = Account.from_key(given["account"]["privateKey"])
friend = Account.create()


def check(what, needs=()):
    """Runs the function below it at once, as one check."""

    def run(body):
        missing = [need for need in needs if need in given["missing"]]
        result = {"what": what}
        if missing:
            result["skipped"] = f"no {', '.join(missing)} here"
        else:
            try:
                body()
            except Exception as error:
                at = traceback.extract_tb(error.__traceback__)[1:2]
                line = f" at `{at[0].line}`" if at else ""
                result["failure"] = f"{type(error).__name__}: {error}{line}"
        print(json.dumps(result), flush=True)

    return run


def rpc(method, *params):
    answer = web3.provider.make_request(method, list(params))
    if "error" in answer:
        raise RuntimeError(f"{method}: {answer['error']}")
    return answer["result"]


def until(what, condition, seconds=30):
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() >= end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.1)
    return value


def send(transaction):
    """Signs, sends and waits; the chain mines nothing else from this account."""
    transaction = {
        "from": account.address,
        "nonce": web3.eth.get_transaction_count(account.address, "pending"),
        "chainId": web3.eth.chain_id,
        **transaction,
    }
    if "maxFeePerGas" not in transaction and "gasPrice" not in transaction:
        transaction["maxPriorityFeePerGas"] = web3.eth.max_priority_fee
        base_fee = web3.eth.get_block("latest")["baseFeePerGas"]
        transaction["maxFeePerGas"] = 2 * base_fee + transaction["maxPriorityFeePerGas"]
    if "gas" not in transaction:
        transaction["gas"] = web3.eth.estimate_gas(transaction)
    signed = account.sign_transaction({key: value for key, value in transaction.items() if key != "from"})
    sent = web3.eth.send_raw_transaction(signed.raw_transaction)
    return web3.eth.wait_for_transaction_receipt(sent, timeout=30, poll_latency=0.1)


def equal(actual, expected):
    if actual != expected:
        raise AssertionError(f"{actual!r} is not {expected!r}")


def hexed(value):
    return Web3.to_hex(value)


artifact = given["contracts"]["Ledger"]
factory = web3.eth.contract(abi=artifact["abi"], bytecode=artifact["bytecode"])
deployed = send({"data": factory.constructor(1000).data_in_transaction})
ledger = web3.eth.contract(address=deployed["contractAddress"], abi=artifact["abi"])


def move(amount, memo):
    data = ledger.encode_abi("move", args=[friend.address, amount, memo])
    return send({"to": ledger.address, "data": data, "value": 0})


moved = move(7, "from python")
moved_hash = hexed(moved["transactionHash"])


@check("the node is connected, and blocks are served")
def _():
    equal(web3.is_connected(), True)
    equal(web3.eth.chain_id, given["l1"]["chainId"])
    block = web3.eth.get_block(moved["blockNumber"], full_transactions=True)
    equal([tx["hash"] for tx in block["transactions"] if tx["from"] == account.address], [moved["transactionHash"]])
    equal(web3.eth.get_block_transaction_count(block["hash"]), len(block["transactions"]))


@check("a contract is called, now and in the past, and with overridden state")
def _():
    equal(ledger.functions.balanceOf(friend.address).call(), 7)
    equal(ledger.functions.balanceOf(friend.address).call(block_identifier=moved["blockNumber"] - 1), 0)
    override = {ledger.address: {"stateDiff": {hexed(b"\0" * 32): "0x" + "00" * 31 + "2a"}}}
    equal(ledger.functions.supply().call(state_override=override), 42)
    equal(ledger.functions.supply().call(), 1000)


@check("reverts carry a reason or a custom error")
def _():
    try:
        ledger.functions.refuse().call()
        raise AssertionError("refuse did not revert")
    except ContractLogicError as error:
        equal("refused" in str(error), True)
    try:
        ledger.functions.move(friend.address, 5000, "").call({"from": account.address})
        raise AssertionError("move did not revert")
    except ContractCustomError as error:
        selector = Web3.keccak(text="Insufficient(address,uint256,uint256)")[:4]
        equal(str(error.data)[:10], hexed(selector))


@check("events are read from receipts and found by filter arguments")
def _():
    [event] = ledger.events.Moved().process_receipt(moved)
    equal(dict(event["args"]), {"from": account.address, "to": friend.address, "amount": 7, "memo": "from python"})
    logs = ledger.events.Moved().get_logs(from_block=deployed["blockNumber"], argument_filters={"to": friend.address})
    equal([log["transactionHash"] for log in logs], [moved["transactionHash"]])


@check("installed filters tell what is new, once, and are gone when uninstalled")
def _():
    blocks = web3.eth.filter("latest")
    pending = web3.eth.filter("pending")
    logs = web3.eth.filter({"address": ledger.address, "fromBlock": deployed["blockNumber"]})
    equal(
        [log["transactionHash"] for log in logs.get_all_entries()],
        [deployed["transactionHash"], moved["transactionHash"]],
    )
    receipt = move(1, "filtered")
    seen = []
    until("the block", lambda: seen.extend(blocks.get_new_entries()) or receipt["blockHash"] in seen)
    equal(len(seen), len(set(seen)))
    until("the transaction", lambda: receipt["transactionHash"] in pending.get_new_entries())
    # A filter with a past first block may tell of past logs first; nobody tells the same log twice.
    changes = [log["transactionHash"] for log in logs.get_new_entries()]
    equal(changes.count(receipt["transactionHash"]), 1)
    equal(logs.get_new_entries(), [])
    for installed in (blocks, pending, logs):
        equal(web3.eth.uninstall_filter(installed.filter_id), True)
    equal(web3.eth.uninstall_filter(blocks.filter_id), False)
    try:
        rpc("eth_getFilterChanges", blocks.filter_id)
    except RuntimeError:
        return
    raise AssertionError("an uninstalled filter answered")


@check("the fee history tells base fees, ratios and rewards")
def _():
    history = web3.eth.fee_history(3, moved["blockNumber"], [25.0, 75.0])
    equal(history["oldestBlock"], max(0, moved["blockNumber"] - 2))
    count = len(history["gasUsedRatio"])
    equal((len(history["baseFeePerGas"]), len(history["reward"])), (count + 1, count))
    equal(history["baseFeePerGas"][count - 1], web3.eth.get_block(moved["blockNumber"])["baseFeePerGas"])
    equal(all(len(rewards) == 2 for rewards in history["reward"]), True)


@check("a proof tells what the state tells")
def _():
    slot = Web3.keccak(bytes(12) + bytes.fromhex(friend.address[2:]) + (1).to_bytes(32, "big"))
    proof = web3.eth.get_proof(ledger.address, [int.from_bytes(slot, "big")], moved["blockNumber"])
    equal(proof["storageProof"][0]["value"] in (7, b"\x07"), True)
    equal(proof["codeHash"], Web3.keccak(web3.eth.get_code(ledger.address)))
    block = web3.eth.get_block(moved["blockNumber"])
    equal(Web3.keccak(proof["accountProof"][0]), block["stateRoot"])
    equal(Web3.keccak(proof["storageProof"][0]["proof"][0]), proof["storageHash"])


@check("unknown transactions and blocks are not found")
def _():
    try:
        web3.eth.get_transaction_receipt("0x" + "11" * 32)
        raise AssertionError("a receipt of nothing")
    except TransactionNotFound:
        pass
    equal(rpc("eth_getBlockByNumber", "0xffffff", False), None)


def call_of(traces):
    [trace] = [trace for trace in traces if trace.get("traceAddress") == [] and trace["type"] == "call"]
    return trace


@check("trace_transaction and trace_block tell the same")
def _():
    traces = rpc("trace_transaction", moved_hash)
    trace = call_of(traces)
    equal(trace["action"]["to"], ledger.address.lower())
    equal(int(trace["result"]["output"], 16), 993)
    equal(trace["blockNumber"], moved["blockNumber"])
    in_block = rpc("trace_block", hex(moved["blockNumber"]))
    equal([one for one in in_block if one.get("transactionHash") == moved_hash], traces)


@check("trace_filter finds by sender and receiver within a range")
def _():
    span = {"fromBlock": hex(deployed["blockNumber"]), "toBlock": hex(moved["blockNumber"])}
    address = account.address.lower()
    by_receiver = rpc("trace_filter", {**span, "toAddress": [ledger.address.lower()]})
    equal(moved_hash in [trace["transactionHash"] for trace in by_receiver], True)
    equal(all(trace["action"]["from"] == address for trace in by_receiver), True)
    by_sender = rpc("trace_filter", {**span, "fromAddress": [address]})
    equal({trace["type"] for trace in by_sender}, {"create", "call"})
    equal(len(rpc("trace_filter", {**span, "fromAddress": [address], "count": 1})), 1)


@check("trace_replayTransaction tells output, trace and state difference", needs=["trace_replayTransaction"])
def _():
    replay = rpc("trace_replayTransaction", moved_hash, ["trace", "stateDiff", "vmTrace"])
    equal(int(replay["output"], 16), 993)
    equal(
        call_of(replay["trace"])["result"]["gasUsed"],
        call_of(rpc("trace_transaction", moved_hash))["result"]["gasUsed"],
    )
    nonce = replay["stateDiff"][account.address.lower()]["nonce"]["*"]
    equal(int(nonce["to"], 16), int(nonce["from"], 16) + 1)
    equal(len(replay["stateDiff"][ledger.address.lower()]["storage"]), 2)
    equal(len(replay["vmTrace"]["ops"]) > 50, True)


@check("trace_replayBlockTransactions tells of every transaction")
def _():
    replays = rpc("trace_replayBlockTransactions", hex(moved["blockNumber"]), ["trace"])
    block = web3.eth.get_block(moved["blockNumber"])
    equal([replay["transactionHash"] for replay in replays], [hexed(one) for one in block["transactions"]])


@check("trace_call traces what is not mined", needs=["trace_call"])
def _():
    data = ledger.encode_abi("move", args=[friend.address, 1, ""])
    request = {"from": account.address, "to": ledger.address, "data": data}
    traced = rpc("trace_call", request, ["trace", "stateDiff"], "latest")
    equal(call_of(traced["trace"])["action"]["to"], ledger.address.lower())
    equal(len(traced["stateDiff"][ledger.address.lower()]["storage"]), 2)


@check("debug_traceBlockByNumber tells of every transaction in order")
def _():
    traces = rpc("debug_traceBlockByNumber", hex(moved["blockNumber"]), {"tracer": "callTracer"})
    block = web3.eth.get_block(moved["blockNumber"])
    equal([trace["txHash"] for trace in traces], [hexed(one) for one in block["transactions"]])
    own = [trace["result"] for trace in traces if trace["txHash"] == moved_hash]
    equal(own, [rpc("debug_traceTransaction", moved_hash, {"tracer": "callTracer"})])


@check("debug_traceCall runs on past state")
def _():
    data = ledger.encode_abi("balanceOf", args=[friend.address])
    request = {"to": ledger.address, "data": data}
    before = rpc("debug_traceCall", request, hex(moved["blockNumber"] - 1), {"tracer": "callTracer"})
    after = rpc("debug_traceCall", request, hex(moved["blockNumber"]), {"tracer": "callTracer"})
    equal((int(before["output"], 16), int(after["output"], 16)), (0, 7))


@check("the smaller tracers answer", needs=["smaller tracers"])
def _():
    def trace(tracer, config=None):
        return rpc("debug_traceTransaction", moved_hash, {"tracer": tracer, "tracerConfig": config or {}})

    data = ledger.encode_abi("move", args=[friend.address, 7, "from python"])
    equal(trace("4byteTracer"), {f"{data[:10]}-{len(data) // 2 - 5}": 1})
    equal(trace("noopTracer"), {})
    both = {"callTracer": {}, "4byteTracer": {}}
    equal(set(trace("muxTracer", both)), set(both))
    # go-ethereum counts the transaction's own cost into the outermost call, Parity does not.
    flat, parity = trace("flatCallTracer"), rpc("trace_transaction", moved_hash)
    for frames in flat, parity:
        del frames[0]["action"]["gas"], frames[0]["result"]["gasUsed"]
    equal(flat, parity)


@check("raw blocks, headers, receipts and transactions are served", needs=["raw debug data"])
def _():
    number = hex(moved["blockNumber"])
    block = web3.eth.get_block(moved["blockNumber"])
    equal(Web3.keccak(hexstr=rpc("debug_getRawHeader", number)), block["hash"])
    equal(rpc("debug_getRawBlock", number).startswith("0xf9"), True)
    equal(len(rpc("debug_getRawReceipts", number)), len(block["transactions"]))
    equal(Web3.keccak(hexstr=rpc("debug_getRawTransaction", moved_hash)), moved["transactionHash"])
