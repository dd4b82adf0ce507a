//! `lockstep send`: sign a transaction for a rollup, send it, and wait until it is as sure as wanted.

mod calldata;
mod wait;

use crate::{
    clock::Stopwatch,
    fate::{Fate, Receipt},
    network::{RollupNode, address, grouped, rollup_url},
    output::{print_json, print_line},
};
use alloy_consensus::{SignableTransaction, TxEip1559};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{
    Address, B256, Bytes, TxKind, U64, U256,
    utils::{ParseUnits, Unit},
};
use alloy_signer::SignerSync;
use alloy_signer_local::PrivateKeySigner;
use clap::{
    Args as ClapArgs,
    builder::{PossibleValue, PossibleValuesParser, TypedValueParser},
};
use eyre::{Context, OptionExt, Result, bail, eyre};
use lockstep_devnet::{MNEMONIC, accounts};
use lockstep_providers::ClientError;
use lockstep_rpc::ConfirmationLevel;
use serde::Serialize;
use serde_json::json;
use std::time::Duration;
use wait::{Deadline, Submitted, Wanted};

/// The transaction was taken, and takes longer than the node waits (EIP-7966).
const SYNC_TIMEOUT: i64 = 4;

/// The most accounts of a mnemonic that are looked at.
const MAX_ACCOUNT: i64 = 999;

#[derive(Debug, ClapArgs)]
pub(crate) struct Args {
    /// Whom the transaction calls.
    #[arg(required_unless_present = "create", value_parser = address)]
    to: Option<Address>,
    /// The function that is called, like `transfer(address,uint256)`.
    #[arg(conflicts_with = "data")]
    signature: Option<String>,
    /// Its arguments.
    #[arg(allow_negative_numbers = true)]
    arguments: Vec<String>,
    /// The rollup: a URL, or its name in a `lockstep dev` on this machine.
    #[arg(long, value_name = "URL|NAME", default_value = "alpha")]
    rollup: String,
    /// Sign with this account of `lockstep dev`, by its number.
    #[arg(long, value_name = "N", default_value_t = 0,
          value_parser = clap::value_parser!(u32).range(0..=MAX_ACCOUNT))]
    account: u32,
    /// The mnemonic of the accounts, if it is not the well-known one.
    #[arg(long, value_name = "WORDS", default_value = MNEMONIC, hide_default_value = true)]
    mnemonic: String,
    /// Sign with this key instead.
    #[arg(long, value_name = "KEY", env = "LOCKSTEP_PRIVATE_KEY", hide_env_values = true,
          conflicts_with_all = ["account", "mnemonic"])]
    private_key: Option<String>,
    /// Ether to send along, like `0.5ether` or `20gwei`; in wei without a unit.
    #[arg(long, value_name = "AMOUNT", default_value = "0", value_parser = amount)]
    value: U256,
    /// The calldata, instead of a function and its arguments.
    #[arg(long, value_name = "HEX")]
    data: Option<Bytes>,
    /// Create a contract with this code, constructor arguments included.
    #[arg(long, value_name = "HEX", conflicts_with_all = ["to", "signature", "arguments", "data"])]
    create: Option<Bytes>,
    /// The most gas it may use. Without it, the node is asked, and a transaction that would fail is not sent.
    #[arg(long, value_name = "GAS")]
    gas_limit: Option<u64>,
    /// How sure it must be before this command ends.
    #[arg(long, value_name = "LEVEL", default_value_t = ConfirmationLevel::Preconfirmed, value_parser = levels())]
    wait: ConfirmationLevel,
    /// How long to wait for that, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    transaction_hash: B256,
    rollup: String,
    chain_id: u64,
    from: Address,
    level: ConfirmationLevel,
    block_number: Option<u64>,
    block_hash: Option<B256>,
    /// Whether it did not revert; not known of one that waits.
    success: Option<bool>,
    gas_used: Option<u64>,
    contract_address: Option<Address>,
    seconds: f64,
}

/// An amount of ether with a unit, or of wei.
fn amount(text: &str) -> Result<U256, String> {
    let split = text.find(|it: char| !it.is_ascii_digit() && it != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    if !number.contains(|it: char| it.is_ascii_digit()) {
        return Err("a number is missing, as in 0.5ether".to_owned());
    }
    let unit = if unit.is_empty() { "wei" } else { unit };
    let unit = Unit::try_from(unit).map_err(|error| error.to_string())?;
    let decimals = number.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    if decimals > unit.get().into() {
        return Err("a wei has no parts".to_owned());
    }
    match ParseUnits::parse_units(number, unit) {
        Ok(ParseUnits::U256(amount)) => Ok(amount),
        Ok(ParseUnits::I256(_)) => Err("it is negative".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Runs the command; whether the transaction did not revert.
pub(crate) fn run(args: &Args) -> Result<bool> {
    // What is wrong with the command is told whether or not a node answers.
    let (signer, (to, input)) = (signer(args)?, called(args)?);
    let node = RollupNode::connect(&rollup_url(&args.rollup)?)?;
    let (nonce, raw) = sign(args, &node, &signer, to, input)?;
    let begin = Stopwatch::start();
    let submitted = submit(args, &node, &raw, (signer.address(), nonce))?;
    let hash = submitted.hash;
    let wanted = Wanted { level: args.wait, timeout: args.timeout };
    let after = Duration::from_secs(args.timeout);
    let fate = submitted.wait(wanted, &mut Deadline { node: &node, begin, after })?;
    let sent = Sent::new(hash, &node, signer.address(), &fate, begin.elapsed());
    if args.json {
        print_json(&sent)?;
    } else {
        print_line(&sent.text(&node))?;
    }
    Ok(sent.success != Some(false))
}

fn signer(args: &Args) -> Result<PrivateKeySigner> {
    if let Some(key) = &args.private_key {
        // What is wrong with it is not said with the key.
        return key.trim().parse().map_err(|_| eyre!("--private-key: not 32 bytes in hexadecimal"));
    }
    let accounts = accounts(&args.mnemonic, args.account + 1).wrap_err("--mnemonic")?;
    let account = accounts.into_iter().next_back().ok_or_eyre("--account: there is none")?;
    Ok(account.signer)
}

/// Whom the transaction calls, and with what.
fn called(args: &Args) -> Result<(TxKind, Bytes)> {
    match (&args.create, args.to) {
        (Some(code), _) => Ok((TxKind::Create, code.clone())),
        (None, Some(to)) => Ok((TxKind::Call(to), input(args)?)),
        (None, None) => bail!("whom does the transaction call?"),
    }
}

/// The signed transaction, and its nonce.
fn sign(
    args: &Args,
    node: &RollupNode,
    signer: &PrivateKeySigner,
    to: TxKind,
    input: Bytes,
) -> Result<(u64, Bytes)> {
    let from = signer.address();
    let nonce: U64 = node.call("eth_getTransactionCount", &json!([from, "pending"]))?;
    let tip: U256 = node.call("eth_maxPriorityFeePerGas", &json!([]))?;
    let price: U256 = node.call("eth_gasPrice", &json!([]))?;
    let gas_limit = match args.gas_limit {
        Some(limit) => limit,
        None => {
            let mut call = json!({ "from": from, "value": args.value, "input": input });
            if let (TxKind::Call(to), Some(fields)) = (to, call.as_object_mut()) {
                fields.insert("to".to_owned(), json!(to));
            }
            let estimate: Result<U64, _> = node.call("eth_estimateGas", &json!([call, "pending"]));
            estimate.map_err(not_estimated)?.to()
        }
    };
    let transaction = TxEip1559 {
        chain_id: node.chain_id(),
        nonce: nonce.to(),
        gas_limit,
        // The base fee may double until it is executed.
        max_fee_per_gas: price.saturating_mul(U256::from(2)).try_into().unwrap_or(u128::MAX),
        max_priority_fee_per_gas: tip.try_into().unwrap_or(u128::MAX),
        to,
        value: args.value,
        input,
        ..Default::default()
    };
    let signature = signer.sign_hash_sync(&transaction.signature_hash())?;
    Ok((nonce.to(), transaction.into_signed(signature).encoded_2718().into()))
}

fn not_estimated(error: ClientError) -> eyre::Report {
    match error {
        ClientError::Rpc { message, .. } => eyre!(
            "it would fail, and was not sent: {message} (--gas-limit GAS sends it all the same)"
        ),
        error => error.into(),
    }
}

fn input(args: &Args) -> Result<Bytes> {
    match (&args.signature, &args.data) {
        (Some(signature), _) => calldata::encode(signature, &args.arguments),
        (None, data) => Ok(data.clone().unwrap_or_default()),
    }
}

/// Sends the transaction of a sender with a nonce. One that is to be executed is answered when it was.
fn submit(
    args: &Args,
    node: &RollupNode,
    raw: &Bytes,
    (from, nonce): (Address, u64),
) -> Result<Submitted> {
    let hash = alloy_primitives::keccak256(raw);
    let sent = if args.wait > ConfirmationLevel::Pending {
        node.call::<Option<Receipt>>("eth_sendRawTransactionSync", &json!([raw]))
    } else {
        node.call::<B256>("eth_sendRawTransaction", &json!([raw])).map(|_| None)
    };
    let (receipt, doubt) = match sent {
        Ok(receipt) => (receipt, None),
        Err(ClientError::Rpc { code: SYNC_TIMEOUT, .. }) => (None, None),
        Err(error @ (ClientError::Rpc { .. } | ClientError::Unsupported { .. })) => {
            // What was refused may have been taken at a first try that was not answered.
            match Fate::ask(hash, node, None) {
                Ok(Some(fate)) => (fate.receipt, None),
                _ => bail!("{hash} was refused: {error}"),
            }
        }
        Err(error) => (None, Some(error)),
    };
    Ok(Submitted { hash, from, nonce, receipt, doubt })
}

/// How sure a transaction can be.
fn levels() -> impl TypedValueParser<Value = ConfirmationLevel> {
    let value = |level: ConfirmationLevel| {
        let help = match level {
            ConfirmationLevel::Pending => "it waits in the node's pool",
            ConfirmationLevel::Preconfirmed => {
                "the sequencer has executed it, and says where it stands"
            }
            ConfirmationLevel::Posted => "its block's data is in a block of L1",
            ConfirmationLevel::Safe => "its block was derived from L1",
            ConfirmationLevel::Settled => "its block's state is proven on L1",
            ConfirmationLevel::Final => "its block was derived from finalized blocks of L1",
        };
        PossibleValue::new(level.name()).help(help)
    };
    let names = PossibleValuesParser::new(ConfirmationLevel::ALL.map(value));
    names.try_map(|name| {
        let found = ConfirmationLevel::ALL.into_iter().find(|level| level.name() == name);
        found.ok_or("no confirmation level")
    })
}

impl Sent {
    fn new(hash: B256, node: &RollupNode, from: Address, fate: &Fate, waited: Duration) -> Self {
        let Fate { confirmation, receipt } = fate;
        Self {
            transaction_hash: hash,
            rollup: node.name.clone(),
            chain_id: node.chain_id(),
            from,
            level: confirmation.level,
            block_number: confirmation.block_number.map(|number| number.to()),
            block_hash: confirmation.block_hash,
            success: receipt.map(|it| it.is_success()),
            gas_used: receipt.map(|it| it.gas_used()),
            contract_address: receipt.and_then(|it| it.contract_address),
            seconds: waited.as_secs_f64(),
        }
    }

    fn text(&self, node: &RollupNode) -> String {
        let place = self.block_number.map(|number| format!(", block {number}")).unwrap_or_default();
        let fate = match (self.success, self.gas_used) {
            (Some(true), Some(gas)) => format!(": succeeded with {} gas", grouped(gas)),
            (Some(false), Some(gas)) => format!(": REVERTED with {} gas", grouped(gas)),
            _ => String::new(),
        };
        let Self { transaction_hash, level, seconds, .. } = self;
        let created = self.contract_address.map(|address| format!("\n  created {address}"));
        format!(
            "{transaction_hash}\n  {level} on {node}{place}{fate} ({seconds:.3} s){}",
            created.unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[test]
    fn amounts_have_units() {
        let ether = U256::from(10).pow(U256::from(18));
        assert_eq!(amount("0.01ether"), Ok(ether / U256::from(100)));
        assert_eq!(amount("3gwei"), Ok(U256::from(3_000_000_000_u64)));
        assert_eq!(amount("7"), Ok(U256::from(7)));
        for wrong in ["", "ether", "1.5", "0.0000000001gwei", ".", "-1ether", "1 dollar", "1e18"] {
            assert!(amount(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_asks_for_what_is_needed() {
        let is_accepted = |words: &[&str]| {
            crate::Cli::try_parse_from([&["lockstep", "send"], words].concat()).is_ok()
        };
        let to = "0xcafe000000000000000000000000000000000000";
        for words in [
            &[to][..],
            &[to, "order(uint256,uint256)", "902", "2", "--value", "0.01ether"],
            &[to, "sub(int256)", "-1"],
            &[to, "--data", "0x1234", "--rollup", "beta", "--wait", "safe", "--json"],
            &["--create", "0x60006000f3"],
            &[to, "--private-key", "0x01", "--gas-limit", "21000"],
        ] {
            assert!(is_accepted(words), "{words:?}");
        }
        for words in [
            &[][..],
            &["cafe"],
            &[to, "f()", "--data", "0x12"],
            &[to, "--create", "0x00"],
            &[to, "--wait", "never"],
            &[to, "--private-key", "0x01", "--account", "1"],
        ] {
            assert!(!is_accepted(words), "{words:?}");
        }
    }
}
