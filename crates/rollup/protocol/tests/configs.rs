//! Configurations: what is refused, what may be missing, and where they end to hold.

#![allow(clippy::indexing_slicing, clippy::panic, reason = "a test may stop at the unexpected")]

mod common;

use alloy_primitives::Address;
use common::config;
use lockstep_chain::OpHardfork;
use lockstep_protocol::{ConfigError, RollupConfig, UnionConfig};
use serde_json::{Value, json};

#[test]
fn configurations_that_cannot_be_derived_are_refused() {
    let valid = config();
    assert_eq!(valid.validate(), Ok(()));
    let refused = |change: &dyn Fn(&mut RollupConfig)| {
        let mut config = valid.clone();
        change(&mut config);
        config.validate().expect_err("something is wrong")
    };
    assert_eq!(refused(&|c| c.block_time = 0), ConfigError::Zero("block_time"));
    assert_eq!(
        refused(&|c| c.batch_inbox_address = Address::ZERO),
        ConfigError::Zero("batch_inbox_address")
    );
    assert_eq!(refused(&|c| c.l1_chain_id = 901), ConfigError::ChainId(901));
    assert_eq!(refused(&|c| c.seq_window_size = 1), ConfigError::SeqWindow(1));
    assert_eq!(
        refused(&|c| c.alt_da = Some("celestia".into())),
        ConfigError::AltDa("alt_da".into())
    );
    let missing = refused(&|c| c.granite_time = None);
    assert!(matches!(
        missing,
        ConfigError::ForkOrder { earlier: "Granite", later: "Holocene", .. }
    ));
    let late = refused(&|c| c.delta_time = Some(1));
    assert!(matches!(late, ConfigError::ForkOrder { earlier: "Delta", later: "Ecotone", .. }));
    assert!(matches!(RollupConfig::from_json(b"{}"), Err(ConfigError::Malformed(_))));
}

/// A configuration as JSON, with fields added or replaced.
fn with_fields(fields: &Value) -> Result<RollupConfig, ConfigError> {
    let mut json = serde_json::to_value(config()).expect("JSON");
    for (field, value) in fields.as_object().expect("fields") {
        json[field] = value.clone();
    }
    RollupConfig::from_json(json.to_string().as_bytes())
}

/// Unknown fields are ignored, but for those that may change what is derived.
#[test]
fn unknown_fields_are_refused_where_they_change_the_rules() {
    let harmless = json!({ "superchain_config_address": "0x01", "granite_channel_timeout": 50,
        "a_time": null, "use_plasma": false, "da_challenge_window": 0, "alt_da": null,
        "da_challenge_contract_address": "0x0000000000000000000000000000000000000000" });
    let read = with_fields(&harmless).expect("nothing depends on them");
    assert_eq!(RollupConfig { other: Default::default(), ..read.clone() }, config());
    assert_eq!(read.unsupported_fork(), None);
    for (fields, name) in [
        (json!({ "use_plasma": true }), "use_plasma"),
        (json!({ "da_challenge_window": 16 }), "da_challenge_window"),
        (json!({ "da_challenge_address": "0x01" }), "da_challenge_address"),
        (json!({ "da_resolve_window": 16 }), "da_resolve_window"),
    ] {
        assert_eq!(with_fields(&fields), Err(ConfigError::AltDa(name.into())));
    }
    let error = with_fields(&json!({ "meteora_time": "soon" })).expect_err("it is no time");
    assert_eq!(error.to_string(), "field `meteora_time` must be a time in seconds, not \"soon\"");
}

/// Forks that are not supported: refused if they were there from the beginning, named if not.
#[test]
fn unsupported_forks_are_named() {
    let genesis = config().genesis.l2_time;
    for (fields, field) in [
        (json!({ "karst_time": genesis }), "karst_time"),
        (json!({ "karst_time": genesis + 9, "meteora_time": 0 }), "meteora_time"),
        (json!({ "karst_time": 0, "lagoon_time": 7_000 }), "karst_time"),
    ] {
        let Err(ConfigError::UnsupportedFork { field: got, at }) = with_fields(&fields) else {
            panic!("nothing can be derived before {field}");
        };
        assert!(got == field && at <= genesis);
    }
    for (fields, expected) in [
        (json!({ "karst_time": 5_000 }), ("karst_time", 5_000)),
        (json!({ "karst_time": 5_000, "interop_time": 6_000 }), ("karst_time", 5_000)),
        (json!({ "karst_time": 5_000, "lagoon_time": 6_000 }), ("karst_time", 5_000)),
        (json!({ "meteora_time": 4_000, "karst_time": 5_000 }), ("meteora_time", 4_000)),
    ] {
        let config = with_fields(&fields).expect("it is derived up to there");
        assert_eq!(config.unsupported_fork(), Some(expected));
        let json = serde_json::to_vec(&config).expect("JSON");
        assert_eq!(RollupConfig::from_json(&json), Ok(config), "nothing of it is lost");
    }
    // Lagoon is the new name of Interop, and is known to come after Karst.
    let alone = with_fields(&json!({ "lagoon_time": 6_000 }));
    assert!(matches!(alone, Err(ConfigError::ForkOrder { earlier: "Karst", .. })));
    for id in [10, 11155420] {
        let config = RollupConfig::of_chain(id).expect("a public chain");
        assert!(config.unsupported_fork().is_some_and(|(field, _)| field == "karst_time"));
        assert_eq!(config.validate(), Ok(()));
    }
}

/// What other software leaves out of its configurations.
#[test]
fn fields_with_a_default_may_be_missing() {
    let mut json = serde_json::to_value(config()).expect("JSON");
    let fields = json.as_object_mut().expect("an object");
    fields.remove("max_sequencer_drift");
    fields.remove("regolith_time");
    fields["chain_op_config"]
        .as_object_mut()
        .expect("it is there")
        .remove("eip1559DenominatorCanyon");
    let read = RollupConfig::from_json(json.to_string().as_bytes()).expect("it is complete");
    assert_eq!(read, RollupConfig { max_sequencer_drift: 0, regolith_time: None, ..config() });
    let read = with_fields(&json!({ "chain_op_config": null })).expect("it is complete");
    assert_eq!(read, config());
}

/// Without a time, Regolith is active from the beginning if any later fork is scheduled.
#[test]
fn regolith_may_be_left_out_where_it_was_always_active() {
    let only = |regolith_time, canyon_time| RollupConfig {
        regolith_time,
        canyon_time,
        block_time: 2,
        ..RollupConfig::default()
    };
    assert_eq!(only(None, Some(5_000)).fork_at(4_999), OpHardfork::Regolith);
    assert_eq!(only(None, Some(5_000)).fork_at(5_000), OpHardfork::Canyon);
    assert_eq!(only(None, None).fork_at(5_000), OpHardfork::Bedrock);
    assert_eq!(only(Some(10), Some(5_000)).fork_at(9), OpHardfork::Bedrock);
}

fn union() -> UnionConfig {
    let genesis_time = config().genesis.l2_time - 600;
    let chains = [901, 902].into();
    let RollupConfig { block_time, seq_window_size, isthmus_time, jovian_time, .. } = config();
    UnionConfig {
        inbox: Address::repeat_byte(0x1b),
        chains,
        slot_seconds: 12,
        genesis_time,
        block_time,
        seq_window_size,
        isthmus_time,
        jovian_time,
    }
}

#[test]
fn a_union_is_part_of_the_configuration() {
    let json = json!({ "union": { "inbox": Address::repeat_byte(0x1b), "chains": [902, 901],
        "slotSeconds": 12, "genesisTime": 400, "blockTime": 2, "seqWindowSize": 3600,
        "isthmusTime": 0, "jovianTime": 0 } });
    let read = with_fields(&json).expect("it can be derived");
    assert_eq!(read.union, Some(union()));
    assert_ne!(read.hash(), config().hash());
    let json = serde_json::to_vec(&read).expect("JSON");
    assert_eq!(RollupConfig::from_json(&json), Ok(read));
    // Ordinary chains have no such field, not even an empty one.
    let json = serde_json::to_value(config()).expect("JSON");
    assert!(json.get("union").is_none());
    assert_eq!(with_fields(&json!({ "union": null })), Ok(config()));
    let unknown = json!({ "union": { "inbox": Address::repeat_byte(0x1b), "chains": [901],
        "slotSeconds": 12, "genesisTime": 400, "blockTime": 2, "seqWindowSize": 3600,
        "isthmusTime": 0, "jovianTime": 0, "quorum": 3 } });
    assert!(matches!(with_fields(&unknown), Err(ConfigError::Malformed(_))));
}

#[test]
fn unions_that_cannot_work_are_refused() {
    let refused = |change: &dyn Fn(&mut RollupConfig, &mut UnionConfig)| {
        let (mut config, mut union) = (config(), union());
        change(&mut config, &mut union);
        config.union = Some(union);
        config.validate().expect_err("something is wrong")
    };
    assert_eq!(refused(&|_, union| union.inbox = Address::ZERO), ConfigError::Zero("union.inbox"));
    assert_eq!(refused(&|_, union| union.slot_seconds = 0), ConfigError::Zero("union.slotSeconds"));
    for chains in [vec![], vec![902], vec![900, 901], vec![0, 901], (850..950).collect()] {
        let error = refused(&|config, union| {
            config.l1_chain_id = 900;
            union.chains = chains.iter().copied().collect();
        });
        assert!(matches!(error, ConfigError::UnionChains(_)), "{error}");
    }
    let many = refused(&|_, union| union.chains = (901..966).collect());
    assert_eq!(many.to_string(), "field `union.chains` has 65 rollups, the limit is 64");
    let genesis = config().genesis.l2_time;
    for holocene in [None, Some(genesis + 1)] {
        let error = refused(&|config, union| {
            (union.isthmus_time, union.jovian_time) = (None, None);
            (config.holocene_time, config.isthmus_time, config.jovian_time) =
                (holocene, None, None);
        });
        assert_eq!(error, ConfigError::UnionBeforeHolocene { genesis, holocene });
    }
    for time in [genesis + 2, genesis - 601] {
        let error = refused(&|_, union| union.genesis_time = time);
        assert_eq!(error, ConfigError::UnionTime { genesis, block_time: 2, union: time });
    }
    let early = UnionConfig { isthmus_time: None, jovian_time: None, ..union() };
    let at_genesis = RollupConfig { union: Some(early), holocene_time: Some(genesis), ..config() };
    let at_genesis = RollupConfig { isthmus_time: None, jovian_time: None, ..at_genesis };
    assert_eq!(at_genesis.validate(), Ok(()));
}

/// What followers of other rollups go by must be what the rollup itself goes by.
#[test]
fn what_all_rollups_of_a_union_share_is_refused_where_it_differs() {
    type Change = fn(&mut UnionConfig);
    let changes: [(&str, Change); 4] = [
        ("block_time", |union| union.block_time = 1),
        ("seq_window_size", |union| union.seq_window_size += 1),
        ("isthmus_time", |union| union.isthmus_time = Some(u64::MAX)),
        ("jovian_time", |union| union.jovian_time = None),
    ];
    for (wrong, change) in changes {
        let mut union = union();
        change(&mut union);
        let error = RollupConfig { union: Some(union), ..config() }.validate();
        let is_it = matches!(error, Err(ConfigError::UnionMember { field, .. }) if field == wrong);
        assert!(is_it, "{wrong}: {error:?}");
    }
}

/// The L1 block that a rollup begins with may be older than the rollup, and its forks as old as that.
#[test]
fn a_rollup_of_a_union_knows_no_time_before_its_forks() {
    let genesis = config().genesis.l2_time;
    let at = Some(genesis);
    let ordinary = RollupConfig {
        regolith_time: at,
        canyon_time: at,
        delta_time: at,
        ecotone_time: at,
        fjord_time: at,
        granite_time: at,
        holocene_time: at,
        isthmus_time: at,
        jovian_time: at,
        ..config()
    };
    let union = UnionConfig { isthmus_time: at, jovian_time: at, ..union() };
    let member = RollupConfig { union: Some(union), ..ordinary.clone() };
    assert_eq!(member.validate(), Ok(()));
    for (config, before) in [(ordinary, false), (member, true)] {
        for (time, expected) in [(genesis - 12, before), (genesis, true)] {
            assert_eq!(config.is_holocene_at(time), expected);
            assert_eq!(config.is_delta_active(time), expected);
            assert_eq!(config.max_sequencer_drift(time), if expected { 1_800 } else { 600 });
        }
    }
}
