//! Measures throughput and latency of four methods of one or two nodes.
//!
//! ```text
//! load [--seconds N] [--connections N] URL [URL]
//! ```
//!
//! Each node must have the ten accounts of the well-known test mnemonic funded. With two URLs the
//! last lines are the throughput of the first divided by that of the second. Before it measures,
//! it sends a few transactions that leave logs and waits until they are in blocks; then it asks
//! the node to stop making blocks (anvil's `evm_setAutomine`), if it can be asked.

use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, TxEip1559, TxEip4844};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bytes, TxKind, U256, b256, hex};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use serde_json::{Value, json};
use std::{error::Error, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::Instant,
};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The keys of the mnemonic `test test test test test test test test test test test junk`.
const KEYS: [B256; 4] = [
    b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    b256!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
];

/// Hashes a word 64 times and returns it: `for i in 0..64 { mem[0] = keccak(mem[0..32]) }`.
const HASHING: [u8; 26] = hex!("60005b60206000206000526001018060401160025760206000f3");
/// Leaves one log whose topic is the block's number.
const LOGGING: [u8; 7] = hex!("4360006000a100");
/// Transactions that leave logs before anything is measured.
const LOGS: u64 = 64;
/// Transactions that are signed for the measurement, per second of it.
const SENT_PER_SECOND: u64 = 8_000;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<()> {
    let mut urls = Vec::new();
    let (mut seconds, mut connections) = (5, 16);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--seconds" => seconds = args.next().ok_or("--seconds N")?.parse()?,
            "--connections" => connections = args.next().ok_or("--connections N")?.parse()?,
            _ => urls.push(arg),
        }
    }
    if urls.is_empty() || urls.len() > 2 {
        return Err("usage: load [--seconds N] [--connections N] URL [URL]".into());
    }
    let mut measured = Vec::new();
    for url in &urls {
        measured.push(measure(url, seconds, connections).await?);
    }
    if let [ours, theirs] = measured.as_slice() {
        for (ours, theirs) in ours.iter().zip(theirs) {
            let ratio = ours.per_second / theirs.per_second;
            println!("{}", json!({ "method": ours.method, "ratio": ratio }));
        }
    }
    Ok(())
}

/// What was measured of a method.
struct Measured {
    method: &'static str,
    per_second: f64,
}

async fn measure(url: &str, seconds: u64, connections: usize) -> Result<Vec<Measured>> {
    let authority = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut client = Client::connect(&authority).await?;
    let chain_id = quantity(&client.call("eth_chainId", json!([])).await?)?;
    prepare(&mut client, chain_id).await?;
    let rich = PrivateKeySigner::from_bytes(&KEYS[0])?.address();
    let hashing = json!([{ "from": rich, "data": Bytes::from_static(&HASHING) }, "latest"]);
    let head = quantity(&client.call("eth_blockNumber", json!([])).await?)?;
    let from = format!("{:#x}", head.saturating_sub(LOGS));
    let logs = json!([{ "fromBlock": from, "toBlock": "latest" }]);
    let repeated =
        [("eth_call", hashing), ("eth_getBalance", json!([rich, "latest"])), ("eth_getLogs", logs)];
    let mut all = Vec::new();
    for (method, params) in repeated {
        let body = Arc::new(vec![body(method, &params)]);
        all.push(run(url, &authority, method, body, seconds, connections).await?);
    }
    // It may not know the method, and then makes blocks as it likes.
    let _ = client.call("evm_setAutomine", json!([false])).await;
    let mut sent = Vec::new();
    for key in KEYS {
        let signer = PrivateKeySigner::from_bytes(&key)?;
        let params = json!([signer.address(), "pending"]);
        let nonce = quantity(&client.call("eth_getTransactionCount", params).await?)?;
        for offset in 0..SENT_PER_SECOND * seconds / KEYS.len() as u64 {
            let to = TxKind::Call(signer.address());
            let raw = signed(&signer, chain_id, nonce + offset, to, Bytes::new())?;
            sent.push((offset, body("eth_sendRawTransaction", &json!([raw]))));
        }
    }
    // Nonces in order, senders in turn.
    sent.sort_by_key(|(offset, _)| *offset);
    let sent = Arc::new(sent.into_iter().map(|(_, body)| body).collect());
    all.push(run(url, &authority, "eth_sendRawTransaction", sent, seconds, connections).await?);
    Ok(all)
}

/// Leaves logs on the chain, and waits until they are there.
async fn prepare(client: &mut Client, chain_id: u64) -> Result<()> {
    let signer = PrivateKeySigner::from_bytes(&KEYS[0])?;
    let count = |tag: &str| json!([signer.address(), tag]);
    let nonce = quantity(&client.call("eth_getTransactionCount", count("pending")).await?)?;
    for offset in 0..LOGS {
        let input = Bytes::from_static(&LOGGING);
        let raw = signed(&signer, chain_id, nonce + offset, TxKind::Create, input)?;
        client.call("eth_sendRawTransaction", json!([raw])).await?;
    }
    let end = Instant::now() + Duration::from_secs(60);
    while quantity(&client.call("eth_getTransactionCount", count("latest")).await?)? < nonce + LOGS
    {
        if Instant::now() > end {
            return Err("the node put no transactions into blocks for a minute".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn signed(
    signer: &PrivateKeySigner,
    chain_id: u64,
    nonce: u64,
    to: TxKind,
    input: Bytes,
) -> Result<Bytes> {
    let transaction = TxEip1559 {
        chain_id,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 20_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to,
        value: U256::ZERO,
        input,
        ..Default::default()
    };
    let signature = signer.sign_hash_sync(&transaction.signature_hash())?;
    let envelope: EthereumTxEnvelope<TxEip4844> = transaction.into_signed(signature).into();
    Ok(envelope.encoded_2718().into())
}

fn body(method: &str, params: &Value) -> Vec<u8> {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    request.to_string().into_bytes()
}

fn quantity(value: &Value) -> Result<u64> {
    let digits = value.as_str().and_then(|text| text.strip_prefix("0x")).ok_or("no quantity")?;
    Ok(u64::from_str_radix(digits, 16)?)
}

/// Sends `bodies` over some connections for some time: one again and again, or each once.
async fn run(
    url: &str,
    authority: &str,
    method: &'static str,
    bodies: Arc<Vec<Vec<u8>>>,
    seconds: u64,
    connections: usize,
) -> Result<Measured> {
    let next = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let begin = Instant::now();
    let end = begin + Duration::from_secs(seconds);
    let mut tasks = Vec::new();
    for _ in 0..connections {
        let mut client = Client::connect(authority).await?;
        let (bodies, next) = (bodies.clone(), next.clone());
        tasks.push(tokio::spawn(async move {
            let (mut latencies, mut failed) = (Vec::new(), 0_u64);
            while Instant::now() < end {
                let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let index = if bodies.len() == 1 { 0 } else { index };
                let Some(body) = bodies.get(index) else { break };
                let sent = Instant::now();
                let answer = client.post(body).await?;
                latencies.push(sent.elapsed());
                failed +=
                    u64::from(answer.windows(7).take(64).any(|window| window == b"\"error\""));
            }
            Result::Ok((latencies, failed))
        }));
    }
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for task in tasks {
        let (of_task, failed_there) = task.await??;
        latencies.extend(of_task);
        failed += failed_there;
    }
    let per_second = latencies.len() as f64 / begin.elapsed().as_secs_f64();
    latencies.sort_unstable();
    let at = |percent: usize| {
        let index = latencies.len().saturating_sub(1) * percent / 100;
        latencies.get(index).map_or(0, |latency| latency.as_micros())
    };
    println!(
        "{}",
        json!({
            "url": url, "method": method, "requests_per_second": per_second.round(),
            "p50_us": at(50), "p99_us": at(99), "errors": failed,
        })
    );
    Ok(Measured { method, per_second })
}

/// One connection that stays open.
struct Client {
    stream: BufReader<TcpStream>,
    head: String,
}

impl Client {
    async fn connect(authority: &str) -> Result<Self> {
        let stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\ncontent-length: "
        );
        Ok(Self { stream: BufReader::with_capacity(64 * 1024, stream), head })
    }

    async fn post(&mut self, body: &[u8]) -> Result<Vec<u8>> {
        let mut request = format!("{}{}\r\n\r\n", self.head, body.len()).into_bytes();
        request.extend_from_slice(body);
        self.stream.write_all(&request).await?;
        let mut length = 0;
        let mut line = String::new();
        loop {
            line.clear();
            if self.stream.read_line(&mut line).await? == 0 {
                return Err("the node closed the connection".into());
            }
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let mut answer: Value = serde_json::from_slice(&self.post(&body(method, &params)).await?)?;
        match answer.get("error") {
            Some(error) => Err(format!("{method}: {error}").into()),
            None => Ok(answer.get_mut("result").map(Value::take).unwrap_or_default()),
        }
    }
}
