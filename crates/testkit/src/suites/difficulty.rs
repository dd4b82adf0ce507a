//! Difficulty tests: the difficulty a block must have, given its parent.

use crate::{model::difficulty::DifficultyTest, network::parse_fork};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_primitives::B256;
use lockstep_chain::{Ethereum, EthereumHardfork, ForkCondition, ForkSchedule};

/// Runs one test on the given chain.
///
/// # Errors
/// What differed.
pub fn run(chain: &Ethereum, test: &DifficultyTest) -> Result<(), String> {
    let has_ommers = test.parent_uncles.is_some_and(|uncles| uncles.any());
    let parent = Header {
        number: test.current_block_number.0.checked_sub(1).ok_or("block 0 has no parent")?,
        timestamp: test.parent_timestamp.0,
        difficulty: test.parent_difficulty.0,
        ommers_hash: if has_ommers { B256::ZERO } else { EMPTY_OMMER_ROOT_HASH },
        ..Default::default()
    };
    let got = chain.next_difficulty(&parent, test.current_timestamp.0);
    let expected = test.current_difficulty.0;
    if got == expected {
        Ok(())
    } else {
        Err(format!("difficulty: expected {expected}, got {got}"))
    }
}

/// The chain that the tests of a file in `BasicTests` mean, by the file's name.
pub fn chain_of_file(file: &str) -> Option<Ethereum> {
    let name = file.rsplit('/').next()?;
    let forks = match name {
        "difficulty.json" | "difficultyMainNetwork.json" | "difficultyCustomMainNetwork.json" => {
            mainnet_before_paris()
        }
        "difficultyCustomHomestead.json" => {
            ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Homestead)
        }
        // Ropsten began with Homestead's rules; the tests end before Istanbul.
        "difficultyRopsten.json" => {
            ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Homestead)
                .with(EthereumHardfork::Byzantium, ForkCondition::Block(1_700_000))
                .with(EthereumHardfork::Constantinople, ForkCondition::Block(4_230_000))
        }
        _ => return None,
    };
    Some(Ethereum::new(1, forks))
}

/// Mainnet's forks that began at a block; the tests' times lie beyond those that began at a time.
fn mainnet_before_paris() -> ForkSchedule<EthereumHardfork> {
    let forks = EthereumHardfork::mainnet();
    ForkSchedule::new(forks.into_iter().filter(|(_, condition)| condition.is_block()))
}

/// The chain that the tests under this name of a file in `DifficultyTests` mean.
pub fn chain_of_fork(name: &str) -> Option<Ethereum> {
    let fork = match name {
        // Named after the proposal that became Muir Glacier.
        "EIP2384" => EthereumHardfork::MuirGlacier,
        _ => parse_fork(name)?,
    };
    Some(Ethereum::new(1, ForkSchedule::<EthereumHardfork>::at(fork)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mainnet_block_has_the_difficulty_of_its_file() {
        let chain = chain_of_file("BasicTests/difficulty.json").unwrap();
        let json = r#"{"parentTimestamp": "42", "parentDifficulty": "1000000",
            "currentTimestamp": "43", "currentBlockNumber": "42", "currentDifficulty": "1000488"}"#;
        let test: DifficultyTest = serde_json::from_str(json).unwrap();
        assert_eq!(run(&chain, &test), Ok(()));
        let wrong = DifficultyTest { current_timestamp: crate::fields::Number(60), ..test };
        assert!(run(&chain, &wrong).unwrap_err().contains("expected 1000488, got 999512"));
    }

    #[test]
    fn files_of_unknown_rules_have_no_chain() {
        assert!(chain_of_file("difficultyMoon.json").is_none());
    }
}
