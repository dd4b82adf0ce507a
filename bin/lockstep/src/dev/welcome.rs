//! What `lockstep dev` says when the network is ready.

use serde_json::Value;
use std::fmt::Write;

/// The ports of a network that was started without options.
const DEFAULT_ROLLUP: &str = "http://127.0.0.1:9545";

/// What a person must know to use the network of the event `ready`. `program` is how this one was called.
pub(super) fn text(ready: &Value, program: &str) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_text(&mut out, ready, program);
    out
}

fn write_text(out: &mut String, ready: &Value, program: &str) -> std::fmt::Result {
    let list = |name: &str| ready.get(name).and_then(Value::as_array).into_iter().flatten();
    writeln!(
        out,
        "L1      {:<22}  Beacon API {}",
        field(ready, "/l1/http"),
        field(ready, "/l1/beacon")
    )?;
    for rollup in list("rollups") {
        writeln!(
            out,
            "{:<7} {:<22}  chain {}, derived again from L1 at {}",
            field(rollup, "/name"),
            field(rollup, "/http"),
            field(rollup, "/chainId"),
            field(rollup, "/follower/http"),
        )?;
    }
    writeln!(out, "\nAccounts with 10,000 ether on each chain. Everybody knows their keys:")?;
    for account in list("accounts") {
        writeln!(out, "  {}  {}", field(account, "/address"), field(account, "/privateKey"))?;
    }
    writeln!(out)?;
    match ready.pointer("/cafe").and_then(Value::as_str) {
        Some(cafe) => write_example(out, ready, cafe, program)?,
        None => writeln!(
            out,
            "Try: cast balance --rpc-url {} {}",
            field(ready, "/rollups/0/http"),
            field(ready, "/accounts/0/address")
        )?,
    }
    writeln!(out, "Stop with Ctrl-C.")
}

/// One transaction over two rollups, and how to see it.
fn write_example(out: &mut String, ready: &Value, cafe: &str, program: &str) -> std::fmt::Result {
    let home = field(ready, "/rollups/0/http");
    let order = format!(
        "{cafe} 'order(uint256,uint256)' {} 2 --value 0.01ether",
        field(ready, "/rollups/1/chainId")
    );
    let at = if home == DEFAULT_ROLLUP { String::new() } else { format!(" --rollup {home}") };
    writeln!(
        out,
        "Try: two cups of coffee, ordered on {} and served on {}, which calls back with the change:",
        field(ready, "/rollups/0/name"),
        field(ready, "/rollups/1/name"),
    )?;
    writeln!(out, "  {program} send{at} {order}")?;
    writeln!(out, "or with Foundry's cast:")?;
    writeln!(
        out,
        "  cast send --rpc-url {home} --private-key {} \\",
        field(ready, "/accounts/0/privateKey")
    )?;
    writeln!(out, "    {order}")?;
    writeln!(out, "and see its calls over both rollups:")?;
    let others = match ready.get("rollups").and_then(Value::as_array) {
        Some(rollups) if !at.is_empty() => rollups
            .iter()
            .map(|rollup| format!(" --rollup {}", field(rollup, "/http")))
            .collect::<String>(),
        _ => String::new(),
    };
    writeln!(out, "  {program} trace{others} TRANSACTION_HASH\n")
}

fn field(value: &Value, path: &str) -> String {
    match value.pointer(path) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => "-".to_owned(),
        Some(other) => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockstep_devnet::rollup_name;
    use serde_json::json;

    fn ready(port: u16, rollups: usize) -> Value {
        let http = |port: u16| format!("http://127.0.0.1:{port}");
        let rollup = |index: usize| {
            let port = port + 2 * index as u16;
            json!({
                "name": rollup_name(index),
                "chainId": 901 + index,
                "http": http(port),
                "follower": { "http": http(port + 1) },
            })
        };
        json!({
            "l1": { "http": http(8545), "beacon": http(5052) },
            "rollups": (0..rollups).map(rollup).collect::<Vec<_>>(),
            "cafe": (rollups > 1).then_some("0xCAFE"),
            "accounts": [{ "address": "0xa", "privateKey": "0xb" }],
        })
    }

    #[test]
    fn a_union_comes_with_an_example_to_paste() {
        let text = text(&ready(9545, 2), "lockstep");
        for line in [
            "alpha   http://127.0.0.1:9545   chain 901, derived again from L1 at http://127.0.0.1:9546",
            "  lockstep send 0xCAFE 'order(uint256,uint256)' 902 2 --value 0.01ether",
            "  cast send --rpc-url http://127.0.0.1:9545 --private-key 0xb \\",
            "    0xCAFE 'order(uint256,uint256)' 902 2 --value 0.01ether",
            "  lockstep trace TRANSACTION_HASH",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
    }

    #[test]
    fn other_ports_are_named_in_the_example() {
        let text = text(&ready(40_000, 2), "lockstep");
        let trace = "  lockstep trace --rollup http://127.0.0.1:40000 --rollup http://127.0.0.1:40002 \
                     TRANSACTION_HASH";
        assert!(text.contains("  lockstep send --rollup http://127.0.0.1:40000 0xCAFE"), "{text}");
        assert!(text.lines().any(|it| it == trace), "{text}");
    }

    #[test]
    fn a_single_rollup_calls_no_other() {
        let text = text(&ready(9545, 1), "lockstep");
        assert!(text.contains("Try: cast balance --rpc-url http://127.0.0.1:9545 0xa"), "{text}");
        assert!(!text.contains("trace"), "{text}");
    }
}
