//! What `lockstep dev` says when the network is ready.

use serde_json::Value;
use std::fmt::Write;

/// The ports of a network that was started without options.
const DEFAULT_ROLLUP: &str = "http://127.0.0.1:9545";

/// How wide a line with an account and its key is.
const ACCOUNT_COLUMNS: usize = 116;

/// What a person must know to use the network of the event `ready`, on a terminal with so many columns. `program` is how
/// this one was called.
pub(super) fn text(ready: &Value, program: &str, columns: usize) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write_text(&mut out, ready, program, columns);
    out
}

fn list<'v>(value: &'v Value, name: &str) -> impl Iterator<Item = &'v Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn write_text(out: &mut String, ready: &Value, program: &str, columns: usize) -> std::fmt::Result {
    let (l1, beacon) = (field(ready, "/l1/http"), field(ready, "/l1/beacon"));
    writeln!(out, "L1        {l1:<22}  Beacon API {beacon}")?;
    for rollup in list(ready, "rollups") {
        let (name, chain) = (field(rollup, "/name"), field(rollup, "/chainId"));
        let (http, follower) = (field(rollup, "/http"), field(rollup, "/follower/http"));
        writeln!(out, "{name:<9} {http:<22}  chain {chain}  follower {follower}")?;
    }
    writeln!(out, "A follower derives its rollup again, from L1 alone.\n")?;
    write_accounts(out, ready, columns)?;
    match ready.pointer("/cafe").and_then(Value::as_str) {
        Some(cafe) => write_example(out, ready, cafe, program)?,
        None => writeln!(
            out,
            "Try: cast balance --rpc-url {} {}",
            field(ready, "/rollups/0/http"),
            field(ready, "/accounts/0/address")
        )?,
    }
    write!(out, "Stop with Ctrl-C.")
}

/// The accounts with their keys beside them, or below where there is no room for both.
fn write_accounts(out: &mut String, ready: &Value, columns: usize) -> std::fmt::Result {
    writeln!(out, "Accounts with 10,000 ether on each chain. Everybody knows their keys:")?;
    let is_wide = columns >= ACCOUNT_COLUMNS;
    for (number, account) in list(ready, "accounts").enumerate() {
        let key = if is_wide { field(account, "/privateKey") } else { String::new() };
        let line = format!("({number}) {}  {key}", field(account, "/address"));
        writeln!(out, "{}", line.trim_end())?;
    }
    if !is_wide {
        writeln!(out, "Their keys:")?;
        for (number, account) in list(ready, "accounts").enumerate() {
            writeln!(out, "({number}) {}", field(account, "/privateKey"))?;
        }
    }
    writeln!(out)
}

/// One transaction over two rollups, and how to see it.
fn write_example(out: &mut String, ready: &Value, cafe: &str, program: &str) -> std::fmt::Result {
    let home = field(ready, "/rollups/0/http");
    let order = format!(
        "{cafe} 'order(uint256,uint256)' {} 2 --value 0.01ether",
        field(ready, "/rollups/1/chainId")
    );
    let at = if home == DEFAULT_ROLLUP { String::new() } else { format!(" --rollup {home}") };
    let (first, second) = (field(ready, "/rollups/0/name"), field(ready, "/rollups/1/name"));
    writeln!(
        out,
        "Try: coffee ordered on {first}, served on {second}, which calls back with the change:"
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
        let text = text(&ready(9545, 2), "lockstep", 120);
        for line in [
            "alpha     http://127.0.0.1:9545   chain 901  follower http://127.0.0.1:9546",
            "(0) 0xa  0xb",
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
        let text = text(&ready(40_000, 2), "lockstep", 120);
        let trace = "  lockstep trace --rollup http://127.0.0.1:40000 --rollup http://127.0.0.1:40002 \
                     TRANSACTION_HASH";
        assert!(text.contains("  lockstep send --rollup http://127.0.0.1:40000 0xCAFE"), "{text}");
        assert!(text.lines().any(|it| it == trace), "{text}");
    }

    #[test]
    fn on_a_narrow_terminal_no_line_breaks_but_that_of_a_command() {
        let mut ready = ready(9545, 8);
        let account =
            json!({ "address": format!("0x{:040}", 1), "privateKey": format!("0x{:064}", 1) });
        ready["accounts"] = json!([account, account]);
        let text = text(&ready, "lockstep", 80);
        let wide: Vec<_> = text.lines().filter(|line| line.chars().count() >= 80).collect();
        assert!(wide.iter().all(|line| line.starts_with("  ")), "{wide:#?}");
        assert!(text.contains(&format!("(1) 0x{:064}", 1)), "{text}");
    }

    #[test]
    fn a_single_rollup_calls_no_other() {
        let text = text(&ready(9545, 1), "lockstep", 120);
        assert!(text.contains("Try: cast balance --rpc-url http://127.0.0.1:9545 0xa"), "{text}");
        assert!(!text.contains("trace"), "{text}");
    }
}
