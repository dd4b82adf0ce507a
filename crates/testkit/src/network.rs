//! Read the fork names that fixtures use, including transitions.

use alloy_hardforks::EthereumHardfork;
use alloy_primitives::U256;
use lockstep_chain::{ForkCondition, ForkSchedule, forks::merge_at};

/// The rules a fixture runs under.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// Forks that this program implements.
    Known(ForkSchedule<EthereumHardfork>),
    /// A fork that exists but that the pinned revm does not implement.
    NotImplemented(String),
}

/// A network name that means nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown network {0:?}")]
pub struct UnknownNetwork(pub String);

/// Forks and experiments that appear in official fixtures and in no released network.
const NOT_IMPLEMENTED: &[&str] =
    &["Amsterdam", "Bogota", "EOFv1", "Verkle", "CancunEIP7692", "Prague+EOF"];

impl Network {
    /// The schedule named `name`, such as `Cancun` or `FrontierToHomesteadAt5`.
    ///
    /// # Errors
    /// [`UnknownNetwork`] if the name follows no known pattern.
    pub fn parse(name: &str) -> Result<Self, UnknownNetwork> {
        let unknown = || UnknownNetwork(name.chars().take(80).collect());
        let Some((from, rest)) = name.split_once("To") else {
            return Fork::parse(name).map(Fork::into_network).ok_or_else(unknown);
        };
        let (to, at) = rest.split_once("At").ok_or_else(unknown)?;
        let condition = parse_condition(at).ok_or_else(unknown)?;
        let (from, to) = (Fork::parse(from), Fork::parse(to));
        match (from.ok_or_else(unknown)?, to.ok_or_else(unknown)?) {
            (Fork::Known(from), Fork::Known(to)) => {
                Ok(Self::Known(transition(from, to, condition)))
            }
            (Fork::NotImplemented(fork), _) | (_, Fork::NotImplemented(fork)) => {
                Ok(Self::NotImplemented(fork.into()))
            }
        }
    }
}

/// `from` since genesis, and everything after it up to `to` under `condition`.
///
/// Forks between the two that are activated in another way than `to` are left out: what lies
/// between, say, Arrow Glacier and Paris only delays the difficulty bomb by millions of blocks.
/// The DAO fork happened on one network and counts only where it is named.
fn transition(
    from: EthereumHardfork,
    to: EthereumHardfork,
    condition: ForkCondition,
) -> ForkSchedule<EthereumHardfork> {
    let by_time = condition.is_timestamp();
    EthereumHardfork::VARIANTS
        .iter()
        .filter(|fork| **fork > from && **fork < to && **fork != EthereumHardfork::Dao)
        .filter(|fork| !condition.is_ttd() && by_time == (**fork > EthereumHardfork::Paris))
        .fold(ForkSchedule::<EthereumHardfork>::at(from), |schedule, fork| {
            schedule.with(*fork, condition)
        })
        .with(to, condition)
}

/// `5` (a block), `Time15k` (seconds), `DiffC0000` (total difficulty, hexadecimal).
fn parse_condition(text: &str) -> Option<ForkCondition> {
    if let Some(time) = text.strip_prefix("Time") {
        let (digits, factor) = match time.strip_suffix('k') {
            Some(digits) => (digits, 1_000),
            None => (time, 1),
        };
        return digits.parse::<u64>().ok()?.checked_mul(factor).map(ForkCondition::Timestamp);
    }
    if let Some(difficulty) = text.strip_prefix("Diff") {
        let digits = difficulty.strip_prefix("0x").unwrap_or(difficulty);
        if digits.is_empty() {
            return None;
        }
        return U256::from_str_radix(digits, 16).ok().map(merge_at);
    }
    text.parse::<u64>().ok().map(ForkCondition::Block)
}

enum Fork {
    Known(EthereumHardfork),
    NotImplemented(&'static str),
}

impl Fork {
    fn into_network(self) -> Network {
        match self {
            Self::Known(fork) => Network::Known(ForkSchedule::<EthereumHardfork>::at(fork)),
            Self::NotImplemented(fork) => Network::NotImplemented(fork.into()),
        }
    }

    fn parse(name: &str) -> Option<Self> {
        if let Some(name) = NOT_IMPLEMENTED.iter().find(|known| **known == name) {
            return Some(Self::NotImplemented(name));
        }
        parse_fork(name).map(Self::Known)
    }
}

/// The fork that `name` stands for, in any of the spellings of official fixtures.
pub fn parse_fork(name: &str) -> Option<EthereumHardfork> {
    Some(match name {
        "Frontier" => EthereumHardfork::Frontier,
        "Homestead" => EthereumHardfork::Homestead,
        "Dao" | "DAO" | "DAOFork" => EthereumHardfork::Dao,
        "EIP150" | "TangerineWhistle" | "Tangerine" => EthereumHardfork::Tangerine,
        "EIP158" | "SpuriousDragon" => EthereumHardfork::SpuriousDragon,
        "Byzantium" => EthereumHardfork::Byzantium,
        "Constantinople" => EthereumHardfork::Constantinople,
        "ConstantinopleFix" | "Petersburg" => EthereumHardfork::Petersburg,
        "Istanbul" => EthereumHardfork::Istanbul,
        "MuirGlacier" => EthereumHardfork::MuirGlacier,
        "Berlin" => EthereumHardfork::Berlin,
        "London" => EthereumHardfork::London,
        "ArrowGlacier" => EthereumHardfork::ArrowGlacier,
        "GrayGlacier" => EthereumHardfork::GrayGlacier,
        "Merge" | "Paris" => EthereumHardfork::Paris,
        "Shanghai" => EthereumHardfork::Shanghai,
        "Cancun" => EthereumHardfork::Cancun,
        "Prague" => EthereumHardfork::Prague,
        "Osaka" => EthereumHardfork::Osaka,
        "BPO1" => EthereumHardfork::Bpo1,
        "BPO2" => EthereumHardfork::Bpo2,
        "BPO3" => EthereumHardfork::Bpo3,
        "BPO4" => EthereumHardfork::Bpo4,
        "BPO5" => EthereumHardfork::Bpo5,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use EthereumHardfork as Fork;

    fn schedule(name: &str) -> ForkSchedule<Fork> {
        match Network::parse(name) {
            Ok(Network::Known(schedule)) => schedule,
            other => panic!("{name}: {other:?}"),
        }
    }

    fn fork(name: &str, number: u64, timestamp: u64, difficulty: u64) -> Fork {
        schedule(name).fork(number, timestamp, U256::from(difficulty))
    }

    #[test]
    fn every_plain_name_is_that_fork_since_genesis() {
        for (name, expected) in [
            ("Frontier", Fork::Frontier),
            ("EIP150", Fork::Tangerine),
            ("EIP158", Fork::SpuriousDragon),
            ("Constantinople", Fork::Constantinople),
            ("ConstantinopleFix", Fork::Petersburg),
            ("MuirGlacier", Fork::MuirGlacier),
            ("Merge", Fork::Paris),
            ("Osaka", Fork::Osaka),
            ("BPO5", Fork::Bpo5),
        ] {
            let difficulty = u64::from(expected < Fork::Paris);
            assert_eq!(fork(name, 0, 0, difficulty), expected, "{name}");
        }
    }

    #[test]
    fn transitions_happen_by_block_time_and_total_difficulty() {
        let name = "ByzantiumToConstantinopleFixAt5";
        assert_eq!((fork(name, 4, 0, 1), fork(name, 5, 0, 1)), (Fork::Byzantium, Fork::Petersburg));
        let name = "PragueToOsakaAtTime15k";
        assert_eq!(fork(name, 9, 14_999, 0), Fork::Prague);
        assert_eq!(fork(name, 9, 15_000, 0), Fork::Osaka);
        let name = "ArrowGlacierToParisAtDiffC0000";
        assert_eq!((fork(name, 1, 0, 1), fork(name, 1, 0, 0)), (Fork::ArrowGlacier, Fork::Paris));
        assert_eq!(schedule(name).condition(Fork::Paris), merge_at(U256::from(0xC0000)));
    }

    #[test]
    fn the_dao_fork_counts_only_where_it_is_named() {
        assert_eq!(schedule("HomesteadToDaoAt5").condition(Fork::Dao), ForkCondition::Block(5));
        assert_eq!(schedule("HomesteadToEIP150At5").condition(Fork::Dao), ForkCondition::Never);
    }

    #[test]
    fn forks_ahead_of_the_evm_are_told_from_nonsense() {
        assert_eq!(
            Network::parse("BPO2ToAmsterdamAtTime15k"),
            Ok(Network::NotImplemented("Amsterdam".into()))
        );
        for name in [
            "",
            "Foo",
            "FrontierTo",
            "FrontierToHomestead",
            "FrontierToHomesteadAtX",
            "ShanghaiToCancunAtTime99999999999999999999k",
            "ArrowGlacierToParisAtDiff",
        ] {
            assert!(Network::parse(name).is_err(), "{name}");
        }
    }
}
