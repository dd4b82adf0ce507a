//! Data of public chains: what their batchers posted, their configurations, their upgrades and
//! blocks. The truth is what an independent decoder, the registry and the chains themselves say.

#![allow(clippy::indexing_slicing, reason = "a test may stop at the unexpected")]

mod common;

use alloy_consensus::{Header, Transaction, TxEnvelope, transaction::SignerRecoverable};
use alloy_eips::eip2718::{Decodable2718, Encodable2718};
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use common::{fixtures, read};
use lockstep_chain::OpHardfork;
use lockstep_protocol::{
    Batch, BatchReader, Channel, Compression, L1Attributes, L2BlockInfo, RawSpanBatch,
    RollupConfig, SystemConfig, compress_channel, parse_frames, put_batch, upgrade_transactions,
};
use op_alloy_consensus::OpTxEnvelope;
use serde_json::Value;

/// What the decoder that made the fixtures found.
fn expected() -> Option<Value> {
    let json = read(&fixtures()?.join("derivation/expected.json"));
    Some(serde_json::from_slice(&json).expect("JSON"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

/// Holds the only batch of a channel of OP Mainnet against what was recorded of it.
fn check_channel(channel: &Bytes, expected: &Value, blocks: &str) {
    let config = RollupConfig::of_chain(10).expect("OP Mainnet");
    let limit = config.max_rlp_bytes_per_channel(0);
    let mut reader = BatchReader::new(channel.clone(), limit, false).expect("zlib");
    let encoded = reader.next_encoded().expect("it decodes").expect("there is a batch");
    assert_eq!(reader.next_encoded(), Ok(None));

    let mut decompressed = Vec::new();
    put_batch(&encoded, &mut decompressed);
    assert_eq!(decompressed.len() as u64, number(&expected["decompressed_len"]));
    if let Some(hash) = expected.get("decompressed_keccak") {
        assert_eq!(keccak256(&decompressed).to_string(), text(hash));
    }

    let raw = RawSpanBatch::decode(&encoded.slice(1..)).expect("a span batch");
    check_columns(&raw, &expected["batches"][0]);
    let mut again = vec![1];
    raw.encode(&mut again);
    assert_eq!(again, encoded);

    let batch = Batch::decode(&encoded, &config).expect("a span batch");
    assert_eq!(batch.encode(&config).expect("it encodes"), encoded, "split again");
    let Batch::Span(span) = batch else { unreachable!("the type is 1") };
    let blocks = read(&fixtures().expect("checked before").join("derivation").join(blocks));
    let blocks: Vec<Value> = serde_json::from_slice(&blocks).expect("JSON");
    assert_eq!(span.blocks.len(), blocks.len());
    let mut transactions = 0;
    for (block, expected) in span.blocks.iter().zip(&blocks) {
        assert_eq!(block.timestamp, number(&expected["timestamp"]));
        let hashes = expected["tx_hashes"].as_array().expect("a list");
        assert_eq!(block.transactions.len(), hashes.len());
        for (index, transaction) in block.transactions.iter().enumerate() {
            assert_eq!(keccak256(transaction).to_string(), text(&hashes[index]));
            let decoded = TxEnvelope::decode_2718_exact(transaction).expect("a transaction");
            let sender = decoded.recover_signer().expect("a sender");
            let expected: Address = text(&expected["senders"][index]).parse().expect("an address");
            assert_eq!(sender, expected);
        }
        transactions += hashes.len() as u64;
    }
    assert_eq!(transactions, number(&expected["batches"][0]["total_txs"]));
    let last = span.blocks.last().expect("there are blocks");
    assert_eq!(last.epoch_num, number(&expected["batches"][0]["l1_origin_num"]));
    let epochs = span.blocks.windows(2).filter(|pair| pair[0].epoch_num != pair[1].epoch_num);
    let changes = number(&expected["batches"][0]["origin_bits_set"]);
    assert_eq!(epochs.count() as u64 + u64::from(span.starts_epoch), changes);
}

fn check_columns(raw: &RawSpanBatch, expected: &Value) {
    let txs = &raw.transactions;
    assert_eq!(raw.rel_timestamp, number(&expected["rel_timestamp"]));
    assert_eq!(raw.l1_origin_num, number(&expected["l1_origin_num"]));
    assert_eq!(raw.parent_check.to_string(), text(&expected["parent_check"]));
    assert_eq!(raw.l1_origin_check.to_string(), text(&expected["l1_origin_check"]));
    assert_eq!(raw.block_tx_counts.len() as u64, number(&expected["block_count"]));
    let bits: String = raw.origin_bits.iter().map(|bit| if bit { '1' } else { '0' }).collect();
    assert_eq!(bits, text(&expected["origin_bits"]));
    let counts = expected["block_tx_counts"].as_array().expect("a list");
    assert_eq!(raw.block_tx_counts, counts.iter().map(number).collect::<Vec<_>>());
    assert_eq!(txs.datas.len() as u64, number(&expected["total_txs"]));
    let creations = txs.contract_creation_bits.count_ones() as u64;
    assert_eq!(creations, number(&expected["contract_creations"]));
    assert_eq!(txs.y_parity_bits.count_ones() as u64, number(&expected["y_parity_sum"]));
    assert_eq!(txs.protected_bits.count_ones() as u64, number(&expected["legacy_protected"]));
    // One of the sums exceeds what `serde_json` reads as an integer.
    let nonces: u128 = txs.nonces.iter().map(|nonce| u128::from(*nonce)).sum();
    match expected["nonce_sum"].as_u64() {
        Some(sum) => assert_eq!(nonces, u128::from(sum)),
        None => assert_eq!(nonces as f64, expected["nonce_sum"].as_f64().expect("a number")),
    }
    assert_eq!(txs.gas_limits.iter().sum::<u64>(), number(&expected["gas_limit_sum"]));
    for (ty, count) in expected["tx_types"].as_object().expect("an object") {
        let is_type = |data: &&Bytes| match data[0] {
            0xc0.. => ty == "0",
            first => *ty == first.to_string(),
        };
        assert_eq!(txs.datas.iter().filter(is_type).count() as u64, number(count), "type {ty}");
    }
}

#[test]
fn a_batcher_transaction_holds_the_recorded_blocks() {
    let Some(expected) = expected() else { return };
    let expected = &expected["raw_batcher_tx"];
    let raw = read(&fixtures().expect("checked").join("derivation/raw_batcher_tx.bin"));
    let transaction = TxEnvelope::decode_2718_exact(&raw).expect("a transaction");
    assert_eq!(transaction.tx_hash().to_string(), text(&expected["tx_hash"]));
    let config = RollupConfig::of_chain(10).expect("OP Mainnet");
    assert_eq!(transaction.to(), Some(config.batch_inbox_address));
    let sender = transaction.recover_signer().expect("a sender");
    assert_eq!(sender, config.genesis.system_config.batcher_address);

    let frames = parse_frames(transaction.input()).expect("frames");
    let [frame] = &frames[..] else { unreachable!("one frame was recorded") };
    let recorded = &expected["frames"][0];
    assert_eq!(frame.channel.to_string(), text(&recorded["channel_id"]));
    assert_eq!(u64::from(frame.number), number(&recorded["frame_number"]));
    assert_eq!(frame.is_last, recorded["is_last"].as_bool().expect("a flag"));
    assert_eq!(keccak256(&frame.data).to_string(), text(&recorded["data_keccak"]));

    let mut channel = Channel::new(frame.channel, Default::default(), false);
    channel.add_frame(frame.clone(), Default::default()).expect("it is the first");
    assert!(channel.is_ready());
    check_channel(&channel.into_bytes(), expected, "raw_batcher_tx.blocks.json.zst");
}

#[test]
fn a_compressed_channel_holds_the_recorded_blocks() {
    let Some(expected) = expected() else { return };
    let path = fixtures().expect("checked").join("derivation/channel_compressed.hex.zst");
    let channel = hex::decode(read(&path).trim_ascii()).expect("hex");
    let expected = &expected["channel_compressed"];
    assert_eq!(channel.len() as u64, number(&expected["compressed_len"]));
    check_channel(&channel.into(), expected, "channel_compressed.blocks.json.zst");
}

#[test]
fn a_span_batch_with_random_content_encodes_to_the_same_bytes() {
    let Some(expected) = expected() else { return };
    let raw =
        Bytes::from(read(&fixtures().expect("checked").join("derivation/raw_span_batch.bin")));
    let batch = RawSpanBatch::decode(&raw).expect("a span batch");
    check_columns(&batch, &expected["raw_span_batch"]);
    let mut again = Vec::new();
    batch.encode(&mut again);
    assert_eq!(raw, again);
}

#[test]
fn a_real_span_survives_every_compression() {
    let Some(fixtures) = fixtures() else { return };
    let config = RollupConfig::of_chain(10).expect("OP Mainnet");
    let mut batch = vec![1];
    batch.extend(read(&fixtures.join("derivation/raw_span_batch.bin")));
    let mut plain = Vec::new();
    put_batch(&batch, &mut plain);
    put_batch(&batch, &mut plain);
    for compression in [
        Compression::Zlib { level: 0 },
        Compression::Zlib { level: 1 },
        Compression::Zlib { level: 9 },
        Compression::Brotli { quality: 1 },
        Compression::Brotli { quality: 10 },
    ] {
        let channel = compress_channel(compression, &plain);
        let limit = config.max_rlp_bytes_per_channel(0);
        let mut reader = BatchReader::new(channel.into(), limit, true).expect("known");
        for _ in 0..2 {
            let read = reader.next_encoded().expect("it decodes");
            assert_eq!(read, Some(Bytes::copy_from_slice(&batch)), "{compression:?}");
        }
        assert_eq!(reader.next_encoded(), Ok(None), "{compression:?}");
    }
}

#[test]
fn upgrades_are_those_of_the_public_chains() {
    let Some(fixtures) = fixtures() else { return };
    for (fork, name, count) in [
        (OpHardfork::Ecotone, "ecotone", 6),
        (OpHardfork::Fjord, "fjord", 3),
        (OpHardfork::Isthmus, "isthmus", 8),
        (OpHardfork::Interop, "interop", 4),
    ] {
        let transactions = upgrade_transactions(fork);
        assert_eq!(transactions.len(), count);
        for (index, transaction) in transactions.iter().enumerate() {
            let file = fixtures.join(format!("upgrade-txs/{name}_tx_{index}.hex"));
            let expected = hex::decode(read(&file).trim_ascii()).expect("hex");
            assert_eq!(hex::encode(transaction), hex::encode(expected), "{name} {index}");
        }
    }
    let jovian = upgrade_transactions(OpHardfork::Jovian);
    for (index, file) in
        [(0, "jovian-l1-block-deployment"), (2, "jovian-gas-price-oracle-deployment")]
    {
        let code = read(&fixtures.join(format!("upgrade-txs/{file}.hex")));
        let code = hex::decode(code.trim_ascii()).expect("hex");
        let transaction = OpTxEnvelope::decode_2718_exact(&jovian[index]).expect("a deposit");
        assert_eq!(transaction.input(), &code);
    }
}

#[test]
fn public_configurations_are_those_of_the_registry() {
    let Some(fixtures) = fixtures() else { return };
    let json = read(&fixtures.join("configs/configs.json"));
    let registry: Value = serde_json::from_slice(&json).expect("JSON");
    let mut known: Vec<u64> = RollupConfig::public_chains().collect();
    for superchain in registry["superchains"].as_array().expect("a list") {
        if !matches!(text(&superchain["name"]), "mainnet" | "sepolia") {
            continue;
        }
        for chain in superchain["chains"].as_array().expect("a list") {
            check_chain(superchain, chain);
            let id = number(&chain["l2_chain_id"]);
            known.retain(|known| *known != id);
        }
    }
    assert_eq!(known, Vec::<u64>::new(), "chains that the registry does not know");
}

/// The registry's description of a chain in the form of `rollup.json` reads as what is built in.
fn check_chain(superchain: &Value, chain: &Value) {
    let mut json = chain["hardfork_configuration"].clone();
    for field in [
        "l2_chain_id",
        "block_time",
        "seq_window_size",
        "max_sequencer_drift",
        "batch_inbox_address",
        "genesis",
    ] {
        json[field] = chain[field].clone();
    }
    json["l1_chain_id"] = superchain["config"]["l1"]["chain_id"].clone();
    json["regolith_time"] = 0.into();
    json["channel_timeout"] = 300.into();
    json["chain_op_config"] = chain["optimism"].clone();
    json["deposit_contract_address"] = chain["Addresses"]["OptimismPortalProxy"].clone();
    json["l1_system_config_address"] = chain["Addresses"]["SystemConfigProxy"].clone();
    json["protocol_versions_address"] = superchain["config"]["protocol_versions_addr"].clone();
    let is_on_l1 = text(&chain["DataAvailabilityType"]) == "eth-da";
    if !is_on_l1 {
        json["alt_da"] = "other".into();
    }
    let expected: RollupConfig = serde_json::from_value(json).expect("a configuration");
    let name = &chain["Name"];
    let config = RollupConfig::of_chain(expected.l2_chain_id).expect("a public chain");
    // The fixture is older than the schedule of Karst.
    assert_eq!(RollupConfig { karst_time: None, ..config }, expected, "{name}");
    // What the registry itself says of a few test chains is not consistent.
    let validity = expected.validate();
    if is_on_l1 {
        assert_eq!(validity, Ok(()), "{name}");
    } else {
        assert!(validity.is_err(), "{name} keeps its data elsewhere");
    }
}

#[test]
fn a_real_block_begins_with_the_attributes_that_we_would_write() {
    let Some(fixtures) = fixtures() else { return };
    for number in [26_207_961, 26_207_962, 26_207_963] {
        let json = read(&fixtures.join(format!("blocks/block-{number}.fixture.json")));
        let fixture: Value = serde_json::from_slice(&json).expect("JSON");
        let config = fixture["rollup_config"].to_string();
        let config = RollupConfig::from_json(config.as_bytes()).expect("a configuration");
        let public = RollupConfig::of_chain(config.l2_chain_id).expect("OP Sepolia");
        // The fixture is older than Jovian, and leaves out Regolith.
        let later = RollupConfig {
            regolith_time: public.regolith_time,
            jovian_time: public.jovian_time,
            karst_time: public.karst_time,
            alt_da: None,
            union: None,
            ..config.clone()
        };
        assert_eq!(later, public);

        let payload = &fixture["executing_payload"];
        let first: Bytes = text(&payload["transactions"][0]).parse().expect("hex");
        let first = OpTxEnvelope::decode_2718_exact(&first).expect("a deposit");
        let attributes = L1Attributes::decode(first.input()).expect("L1 attributes");
        let time: u64 =
            u64::from_str_radix(text(&payload["timestamp"]).trim_start_matches("0x"), 16)
                .expect("a time");
        let deposit = attributes.deposit_at(&config, time);
        assert_eq!(deposit.encoded_2718(), first.encoded_2718());

        // The next block's parent is this block: its header says what system configuration follows.
        let next = fixtures.join(format!("blocks/block-{}.fixture.json", number + 1));
        if !next.exists() {
            continue;
        }
        let next: Value = serde_json::from_slice(&read(&next)).expect("JSON");
        let header: Header =
            serde_json::from_value(next["parent_header"].clone()).expect("a header");
        let hash: B256 = text(&fixture["expected_block_hash"]).parse().expect("a hash");
        let info = L2BlockInfo::from_parts(&header, hash, Some(&first), &config.genesis);
        let info = info.expect("a block of the rollup");
        assert_eq!((info.block.number, info.l1_origin.number), (number, attributes.number));
        let system = SystemConfig::from_l2_parts(&header, hash, Some(&first), &config);
        let system = system.expect("a block of the rollup");
        assert_eq!(system.gas_limit, header.gas_limit);
        assert_eq!(system.batcher_address, config.genesis.system_config.batcher_address);
        let scalars = system.ecotone_scalars().expect("Ecotone's encoding");
        assert_eq!(scalars.base_fee_scalar, attributes.base_fee_scalar);
        assert_eq!(scalars.blob_base_fee_scalar, attributes.blob_base_fee_scalar);
        assert_eq!(system.overhead, U256::ZERO);
        let params = hex::encode(system.eip1559_params());
        assert!(hex::encode(&header.extra_data).ends_with(&params), "{params}");
    }
}
