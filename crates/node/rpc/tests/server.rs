//! What the server does with clients that are wrong, slow, gone, or many.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test may stop at what it did not expect"
)]

mod common;

use common::{
    Node,
    client::{Socket, error_code, post, post_json, request, result},
    dev::{LOGGER, LOOPER, call, word},
};
use lockstep_rpc::Limits;
use serde_json::{Value, json};
use std::{net::SocketAddr, time::Duration};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const JSON: &str = "content-type: application/json\r\n";

fn address(node: &Node) -> SocketAddr {
    node.server.address().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_requests_get_the_codes_of_json_rpc() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    for (body, code) in [
        ("{", -32700),
        ("nonsense", -32700),
        ("", -32700),
        ("[1,", -32700),
        (r#"{"jsonrpc":"2.0"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_nothing"}"#, -32601),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":{"a":1}}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_getBalance","params":[]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[1]}"#, -32602),
        (r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#, -32601),
    ] {
        let answer = post_json(at, body).await;
        assert_eq!(answer["error"]["code"], code, "{body}: {answer}");
    }
    let answer = post_json(at, r#"[1,{"jsonrpc":"2.0","id":7,"method":"eth_chainId"}]"#).await;
    assert_eq!(answer[0]["error"]["code"], -32600, "{answer}");
    assert_eq!((&answer[1]["id"], &answer[1]["result"]), (&json!(7), &json!("0x539")));
    // A notification gets no answer.
    let (status, body) = post(at, JSON, br#"{"jsonrpc":"2.0","method":"eth_chainId"}"#).await;
    assert_eq!((status, body.len()), (200, 0));
    let (status, _) = post(at, "content-type: text/plain\r\n", b"{}").await;
    assert_eq!(status, 415);
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deep_nesting_neither_crashes_nor_stalls_the_server() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        let _ = post(at, JSON, deep.as_bytes()).await;
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_call","params":[{deep}]}}"#);
        let (_, answer) = post(at, JSON, body.as_bytes()).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(answer["error"]["code"].is_i64(), "{answer}");
    }
    assert_eq!(result(at, "eth_chainId", json!([])).await, "0x539");
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_batches_and_answers_have_limits() {
    let limits = Limits {
        request_bytes: 4_096,
        response_bytes: 4_096,
        batch_requests: 3,
        ..Limits::default()
    };
    let node = Node::dev(limits).await;
    let at = address(&node);
    let (status, body) = post(at, JSON, &[b' '; 5_000]).await;
    assert_eq!(status, 413);
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["error"]["code"], -32007);
    let batch = |requests: usize, method: &str| {
        let each = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": []});
        Value::from(vec![each; requests]).to_string()
    };
    assert_eq!(post_json(at, &batch(3, "eth_chainId")).await.as_array().unwrap().len(), 3);
    assert_eq!(post_json(at, &batch(4, "eth_chainId")).await["error"]["code"], -32010);
    // The code of a contract, asked for often enough.
    let long = "ab".repeat(3_000);
    let echo = request(at, "web3_sha3", json!([format!("0x{long}")])).await;
    assert_eq!(echo["error"]["code"], -32007, "{echo}");
    let values = json!([{ LOGGER.to_string(): vec!["0x0"; 80] }]);
    assert_eq!(error_code(at, "eth_getStorageValues", values).await, -32008);
    let big = json!([{ LOGGER.to_string(): vec!["0x0"; 40] }]);
    let each = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getStorageValues", "params": big});
    let answer = post_json(at, &Value::from(vec![each; 2]).to_string()).await;
    assert_eq!(answer["error"]["code"], -32011, "{answer}");
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_executing_requests_are_told_to_come_again() {
    let limits = Limits {
        executing: 1,
        executing_queue: 0,
        call_gas: 3_000_000_000,
        request_timeout: Duration::from_millis(300),
        ..Limits::default()
    };
    let node = Node::dev(limits).await;
    let at = address(&node);
    let endless = json!([{ "to": LOOPER, "gas": "0xb2d05e00" }, "latest"]);
    let first = tokio::spawn({
        let endless = endless.clone();
        async move {
            // It may come while one of the others runs, and be refused.
            loop {
                let answer = request(at, "eth_call", endless.clone()).await;
                if answer["error"]["code"] != -32005 {
                    return answer;
                }
            }
        }
    });
    // Sooner or later the first one runs, and every other is refused.
    loop {
        let answer = request(at, "eth_estimateGas", json!([{ "to": LOGGER }])).await;
        if answer["error"]["code"] == -32005 {
            break;
        }
        assert!(answer["result"].is_string(), "{answer}");
    }
    // Reading goes on meanwhile.
    assert_eq!(result(at, "eth_blockNumber", json!([])).await, "0x0");
    let first = first.await.unwrap();
    assert!(first["error"]["message"].as_str().unwrap().contains("timed out"), "{first}");
    // Its worker is free again, long before the gas is used up.
    let freed = async {
        loop {
            let answer = request(at, "eth_estimateGas", json!([{ "to": LOGGER }])).await;
            if answer["result"].is_string() {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(2), freed).await.unwrap();
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_as_a_whole_has_a_time_limit() {
    let limits = Limits {
        call_gas: 3_000_000_000,
        request_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let node = Node::dev(limits).await;
    let endless = json!({
        "jsonrpc": "2.0", "id": 1, "method": "eth_call",
        "params": [{ "to": LOOPER, "gas": "0xb2d05e00" }, "latest"],
    });
    let mut socket = Socket::connect(address(&node)).await;
    socket.send_text(Value::from(vec![endless; 20]).to_string()).await;
    // Twenty times the limit of one would be four seconds.
    let answers = tokio::time::timeout(Duration::from_secs(2), socket.next()).await;
    let answers = answers.unwrap().unwrap();
    assert_eq!(answers.as_array().unwrap().len(), 20);
    for answer in answers.as_array().unwrap() {
        assert!(answer["error"]["message"].as_str().unwrap().contains("timed out"), "{answer}");
    }
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_websocket_client_that_reads_no_answers_is_not_read_either() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    let mut socket = Socket::connect(at).await;
    // Each is answered with some 70 KiB: 280 MiB in all.
    let slots = json!([{ LOGGER.to_string(): vec!["0x0"; 1_000] }]);
    let asking = async {
        for _ in 0..4_000 {
            socket.send("eth_getStorageValues", slots.clone()).await;
        }
    };
    // The socket is not read any more at some point, so this does not end.
    let asked = tokio::time::timeout(Duration::from_secs(5), asking).await;
    assert!(asked.is_err(), "all requests were read");
    // Others are served, and this client is as soon as it reads.
    assert_eq!(result(at, "eth_chainId", json!([])).await, "0x539");
    for _ in 0..100 {
        assert!(socket.next().await.unwrap()["result"].is_object());
    }
    drop(socket);
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_refused_for_its_parameters_is_not_done() {
    let node = Node::dev(Limits { filters: 1, ..Limits::default() }).await;
    let at = address(&node);
    for (method, params) in [
        ("eth_newFilter", json!([{}, 1])),
        ("eth_newBlockFilter", json!([1])),
        ("eth_newPendingTransactionFilter", json!([true, 1])),
        ("eth_newFilter", json!([{ "blockHash": node.context.settings().network_id }])),
        ("eth_newFilter", json!([{ "blockHash": format!("0x{}", "11".repeat(32)) }])),
        ("eth_newFilter", json!([{ "fromBlock": "0x5", "toBlock": "0x4" }])),
    ] {
        assert_eq!(error_code(at, method, params).await, -32602, "{method}");
    }
    // The only place is still free.
    result(at, "eth_newFilter", json!([{}])).await;
    assert_eq!(error_code(at, "eth_newFilter", json!([{}])).await, -32005);
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_with_more_logs_than_an_answer_holds_tells_them_in_parts() {
    let node = Node::dev(Limits { log_results: 2, ..Limits::default() }).await;
    let at = address(&node);
    let id = result(at, "eth_newFilter", json!([{ "address": LOGGER }])).await;
    for nonce in 0..5 {
        let transaction = call(nonce, LOGGER, word(5));
        node.pool.add_raw(&transaction, lockstep_pool::Origin::Local).unwrap();
        node.mine();
    }
    let mut blocks = Vec::new();
    loop {
        let logs = result(at, "eth_getFilterChanges", json!([id])).await;
        let logs = logs.as_array().unwrap();
        if logs.is_empty() {
            break;
        }
        assert!(logs.len() <= 2, "{logs:?}");
        blocks.extend(logs.iter().map(|log| log["blockNumber"].as_str().unwrap().to_owned()));
    }
    assert_eq!(blocks, ["0x1", "0x2", "0x3", "0x4", "0x5"]);
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addresses_and_topics_of_a_filter_count_together() {
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    let topic = |index: u64| format!("{:#066x}", index);
    let topics: Vec<_> = (0..600).map(topic).collect();
    let filter = json!([{ "topics": [topics, topics] }]);
    assert_eq!(error_code(at, "eth_newFilter", filter.clone()).await, -32602);
    assert_eq!(error_code(at, "eth_getLogs", filter).await, -32602);
    result(at, "eth_newFilter", json!([{ "topics": [topics] }])).await;
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_beyond_the_limit_are_closed() {
    let node = Node::dev(Limits { connections: 2, ..Limits::default() }).await;
    let at = address(&node);
    let first = Socket::connect(at).await;
    let second = Socket::connect(at).await;
    let mut third = tokio::net::TcpStream::connect(at).await.unwrap();
    let mut nothing = Vec::new();
    assert_eq!(third.read_to_end(&mut nothing).await.unwrap_or(0), 0);
    drop(first);
    // The place is free again as soon as the server has noticed.
    loop {
        let mut stream = tokio::net::TcpStream::connect(at).await.unwrap();
        let _ = stream
            .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .await;
        let mut answer = Vec::new();
        if stream.read_to_end(&mut answer).await.unwrap_or(0) > 0 {
            assert!(answer.starts_with(b"HTTP/1.1 200"));
            break;
        }
    }
    drop(second);
    node.server.stopped().await;
}

/// Memory of this process that is in use, in bytes.
fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_subscriptions_all_hear_of_a_block() {
    const CONNECTIONS: usize = 20;
    const EACH: usize = 500;
    let node = Node::dev(Limits::default()).await;
    let at = address(&node);
    let before = resident_bytes();
    let mut sockets = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut socket = Socket::connect(at).await;
        for index in 0..EACH {
            let topic = if index % 2 == 0 {
                json!(["newHeads"])
            } else {
                json!(["logs", { "address": LOGGER }])
            };
            socket.subscribe(topic).await;
        }
        sockets.push(socket);
    }
    let with_subscriptions = resident_bytes();
    node.pool.add_raw(&call(0, LOGGER, word(5)), lockstep_pool::Origin::Local).unwrap();
    let block = node.mine();
    let hash = json!(block.block.hash());
    for socket in &mut sockets {
        let mut heads = 0;
        let mut logs = 0;
        for _ in 0..EACH {
            let told = &socket.notification().await["result"];
            if told["hash"] == hash {
                heads += 1;
            } else if told["blockHash"] == hash {
                logs += 1;
            }
        }
        assert_eq!((heads, logs), (EACH / 2, EACH / 2));
    }
    let grown = with_subscriptions.saturating_sub(before);
    eprintln!("10,000 subscriptions take {} KiB", grown / 1024);
    assert!(grown < 256 << 20, "{grown} bytes for 10,000 subscriptions");
    drop(sockets);
    node.server.stopped().await;
}

/// Reads until each of the subscriptions to new heads has told of block `newest` or was closed; how
/// many were closed.
async fn closed_subscriptions(socket: &mut Socket, subscriptions: usize, newest: u64) -> usize {
    let newest = json!(format!("{newest:#x}"));
    let mut closed = std::collections::HashSet::new();
    let mut told_all = 0;
    while closed.len() + told_all < subscriptions {
        let told = socket.notification().await;
        if told.get("error").is_some() {
            assert!(closed.insert(told["subscription"].to_string()), "closed twice: {told}");
        } else if told["result"]["number"] == newest {
            told_all += 1;
        }
    }
    closed.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_loses_its_subscriptions_and_is_told() {
    const SUBSCRIPTIONS: usize = 200;
    let node = Node::dev(Limits { client_buffer: 256, ..Limits::default() }).await;
    let at = address(&node);
    let mut socket = Socket::connect(at).await;
    for _ in 0..SUBSCRIPTIONS {
        socket.subscribe(json!(["newHeads"])).await;
    }
    // Far more than the sockets' buffers hold, without reading any of it.
    (0..149).for_each(|_| drop(node.mine()));
    let closed = closed_subscriptions(&mut socket, SUBSCRIPTIONS, node.mine().block.number()).await;
    assert!(closed > 0, "everything was buffered for a client that did not read");
    // The connection lives, and so does the server.
    assert_eq!(socket.request("eth_chainId", json!([])).await["result"], "0x539");
    socket.early.clear();
    socket.subscribe(json!(["newHeads"])).await;
    let number = node.mine().block.number();
    loop {
        let told = socket.notification().await;
        if told["result"]["number"] == format!("{number:#x}") {
            break;
        }
    }
    node.server.stopped().await;
}

/// A request that is answered with some 70 KiB.
fn large() -> Value {
    json!([{ LOGGER.to_string(): vec!["0x0"; 1_000] }])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_that_are_not_read_are_bounded_by_their_bytes() {
    const SUBSCRIPTIONS: usize = 200;
    let limits = Limits { client_buffer: 1_000_000, waiting_bytes: 64 << 10, ..Limits::default() };
    let node = Node::dev(limits).await;
    let at = address(&node);
    let mut socket = Socket::connect(at).await;
    for _ in 0..SUBSCRIPTIONS {
        socket.subscribe(json!(["newHeads"])).await;
    }
    // Some 40 MB, of which the sockets' buffers hold a few.
    (0..149).for_each(|_| drop(node.mine()));
    let closed = closed_subscriptions(&mut socket, SUBSCRIPTIONS, node.mine().block.number()).await;
    assert!(closed > 0, "everything was buffered for a client that did not read");
    assert_eq!(socket.request("eth_chainId", json!([])).await["result"], "0x539");
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_share_a_limit_and_take_nothing_from_those_that_do() {
    let limits = Limits { waiting_bytes: 512 << 10, connections: 4, ..Limits::default() };
    let node = Node::dev(limits).await;
    let at = address(&node);
    let mut slow = Socket::connect(at).await;
    let asking = async {
        loop {
            slow.send("eth_getStorageValues", large()).await;
        }
    };
    // It is not read any more at some point.
    let never: Result<(), _> = tokio::time::timeout(Duration::from_secs(3), asking).await;
    assert!(never.is_err());
    let mut quick = Socket::connect(at).await;
    for _ in 0..20 {
        let answer = quick.request("eth_getStorageValues", large()).await;
        assert!(answer["result"].is_object(), "{answer}");
    }
    // The slow one learns which of its answers were not kept.
    let dropped = async {
        loop {
            let answer = slow.next().await.unwrap();
            match answer["error"]["code"].as_i64() {
                Some(code) => break code,
                None => assert!(answer["result"].is_object(), "{answer}"),
            }
        }
    };
    assert_eq!(dropped.await, -32005);
    drop((slow, quick));
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_of_all_connections_together_are_limited() {
    let node = Node::dev(Limits { subscriptions: 3, ..Limits::default() }).await;
    let at = address(&node);
    let mut first = Socket::connect(at).await;
    let mut second = Socket::connect(at).await;
    first.subscribe(json!(["newHeads"])).await;
    first.subscribe(json!(["logs"])).await;
    second.subscribe(json!(["newPendingTransactions"])).await;
    let refused = second.request("eth_subscribe", json!(["newHeads"])).await;
    assert_eq!(refused["error"]["code"], -32005, "{refused}");
    drop(first);
    // The places are free as soon as the server has noticed.
    let subscribed = async {
        while second.request("eth_subscribe", json!(["newHeads"])).await["error"].is_object() {}
    };
    tokio::time::timeout(Duration::from_secs(10), subscribed).await.unwrap();
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_whose_client_is_gone_frees_its_worker() {
    let limits = Limits {
        executing: 1,
        executing_queue: 0,
        call_gas: 30_000_000_000,
        trace_timeout: Duration::from_secs(600),
        request_timeout: Duration::from_secs(600),
        ..Limits::default()
    };
    let node = Node::dev(limits).await;
    let at = address(&node);
    let mut socket = Socket::connect(at).await;
    let tracer = json!({ "tracer": "callTracer", "timeout": "600s" });
    let endless = json!([{ "to": LOOPER, "gas": "0x6fc23ac00" }, "latest", tracer]);
    socket.send("debug_traceCall", endless).await;
    let is_busy = async || {
        let answer = request(at, "eth_estimateGas", json!([{ "to": LOGGER }])).await;
        answer["error"]["code"] == -32005
    };
    while !is_busy().await {}
    drop(socket);
    let freed = async { while is_busy().await {} };
    tokio::time::timeout(Duration::from_secs(5), freed).await.unwrap();
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_takes_its_subscriptions_along() {
    let limits = Limits { subscriptions_per_connection: 2, ..Limits::default() };
    let node = Node::dev(limits).await;
    let at = address(&node);
    for _ in 0..50 {
        let mut socket = Socket::connect(at).await;
        socket.subscribe(json!(["newHeads"])).await;
        socket.subscribe(json!(["newPendingTransactions"])).await;
        let refused = socket.request("eth_subscribe", json!(["newHeads"])).await;
        assert_eq!(refused["error"]["code"], -32006);
        drop(socket);
        node.mine();
    }
    let mut socket = Socket::connect(at).await;
    let id = socket.subscribe(json!(["newHeads"])).await;
    // The library answers before it knows the subscription; it does once that has told something.
    node.mine();
    socket.notification().await;
    assert_eq!(socket.request("eth_unsubscribe", json!([id])).await["result"], true);
    assert_eq!(socket.request("eth_unsubscribe", json!([id])).await["result"], false);
    for wrong in [json!(["nothing"]), json!([]), json!(["logs", {"address": "0x12"}])] {
        let answer = socket.request("eth_subscribe", wrong).await;
        assert_eq!(answer["error"]["code"], -32602, "{answer}");
    }
    node.server.stopped().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipc_speaks_as_go_ethereum_does() {
    let folder = std::env::temp_dir().join(format!("lockstep-rpc-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("node.ipc");
    let node = Node::dev_with_ipc(Limits::default(), path.clone()).await;
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    // Two requests and a batch, cut in the middle of one of them.
    let bytes = concat!(
        r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#,
        r#"[{"jsonrpc":"2.0","id":2,"method":"eth_blockNumber"},{"id":3}] "#,
        r#"{"jsonrpc":"2.0","id":4,"method":"eth_subscribe","params":["newHeads"]}"#,
    );
    for part in bytes.as_bytes().chunks(50) {
        stream.write_all(part).await.unwrap();
        stream.flush().await.unwrap();
    }
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(stream));
    let mut answers = std::collections::BTreeMap::new();
    for _ in 0..3 {
        let line = lines.next_line().await.unwrap().unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap();
        let id = answer["id"].as_u64().or_else(|| answer[0]["id"].as_u64()).unwrap();
        answers.insert(id, answer);
    }
    assert_eq!(answers[&1]["result"], "0x539");
    assert_eq!(answers[&2][0]["result"], "0x0");
    assert_eq!(answers[&2][1]["error"]["code"], -32600);
    let subscription = answers[&4]["result"].clone();
    let hash = node.mine().block.hash();
    let told: Value = serde_json::from_str(&lines.next_line().await.unwrap().unwrap()).unwrap();
    assert_eq!(told["params"]["subscription"], subscription);
    assert_eq!(told["params"]["result"]["hash"], json!(hash));
    let mut stream = lines.into_inner().into_inner();
    stream.write_all(b"}").await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("-32700"), "{rest}");
    node.server.stopped().await;
    assert!(!path.exists(), "the socket's file is left behind");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ipc_client_that_reads_no_answers_is_not_read_either() {
    let folder = std::env::temp_dir().join(format!("lockstep-rpc-slow-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("node.ipc");
    let node = Node::dev_with_ipc(Limits::default(), path.clone()).await;
    let mut stream = tokio::net::UnixStream::connect(&path).await.unwrap();
    let body = json!({
        "jsonrpc": "2.0", "id": 1, "method": "eth_getStorageValues", "params": large(),
    });
    let body = body.to_string();
    let mut sent = 0;
    let asking = async {
        loop {
            stream.write_all(body.as_bytes()).await.unwrap();
            sent += 1;
        }
    };
    let never: Result<(), _> = tokio::time::timeout(Duration::from_secs(3), asking).await;
    assert!(never.is_err());
    // 16 MiB of answers, those of 64 requests more, and what the sockets hold.
    assert!(sent < 600, "{sent} requests of a client that reads nothing");
    drop(stream);
    node.server.stopped().await;
    std::fs::remove_dir_all(&folder).unwrap();
}
