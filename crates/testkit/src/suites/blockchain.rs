//! Blockchain tests: blocks imported from their RLP, valid and invalid, on one or several chains.

use super::{BlockTree, Seals, chain};
use crate::{
    executors::{BlockError, Executors},
    model::{
        account::Accounts,
        blockchain::{Block as BlockFixture, BlockchainTest, SealEngine},
        header::HeaderFields,
    },
    report::Outcome,
    world::{differences, memory_state},
};
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, map::B256Map};
use alloy_rlp::{Decodable, Header as RlpHeader};
use lockstep_chain::{Ethereum, decode_block};

/// Runs one test.
pub fn run(test: &BlockchainTest, seals: &Seals, executors: &Executors) -> Outcome {
    match chain(&test.network, test.config.as_ref()) {
        Ok(chain) => run_on(chain, test, seals, executors).into(),
        Err(outcome) => outcome,
    }
}

fn run_on(
    chain: Ethereum,
    test: &BlockchainTest,
    seals: &Seals,
    executors: &Executors,
) -> Result<(), String> {
    let genesis = genesis(&test.genesis)?;
    if let Some(encoded) = &test.genesis_rlp {
        let decoded =
            decode_block::<Ethereum>(&encoded.0).map_err(|error| format!("genesisRLP: {error}"))?;
        if decoded.header != genesis {
            return Err("genesisRLP holds another header than genesisBlockHeader".into());
        }
    }
    let seals = (test.seal_engine == SealEngine::Ethash).then_some(seals);
    let mut tree = BlockTree::new(chain, genesis, &test.pre, seals, executors)?;
    let mut children = count_children(&test.blocks);
    for (index, block) in test.blocks.iter().enumerate() {
        let is_last_child = is_last_child(&mut children, &block.rlp.0);
        import(&mut tree, block, &test.network, is_last_child)
            .map_err(|error| format!("block {} of the test: {error}", index + 1))?;
    }
    expect_head(&tree, test.last_block_hash, test.post_state.as_ref(), test.post_state_hash)
}

/// The first header, which must have the hash it claims.
pub(crate) fn genesis(fields: &HeaderFields) -> Result<Header, String> {
    let header = fields.header();
    let hash = header.hash_slow();
    if hash != fields.hash {
        return Err(format!("genesis hash: expected {}, got {hash}", fields.hash));
    }
    Ok(header)
}

/// Imports a block, or sees it refused if it must be.
fn import(
    tree: &mut BlockTree<'_>,
    fixture: &BlockFixture,
    network: &str,
    is_last_child: bool,
) -> Result<(), String> {
    let imported = decode_block::<Ethereum>(&fixture.rlp.0)
        .map_err(|error| BlockError::Refused(format!("RLP: {error}")))
        .and_then(|block| tree.import(block, is_last_child));
    match (fixture.expected_exception(network), imported) {
        (_, Err(error @ BlockError::Disputed(_))) => Err(error.to_string()),
        (Some(_), Err(BlockError::Refused(_))) => Ok(()),
        (Some(exception), Ok(hash)) => {
            Err(format!("block {hash} was accepted, expected {exception}"))
        }
        (None, Err(error)) => Err(format!("refused: {error}")),
        (None, Ok(hash)) => match &fixture.header {
            Some(header) if header.hash != hash => {
                Err(format!("hash: expected {}, got {hash}", header.hash))
            }
            _ => Ok(()),
        },
    }
}

/// Head and state at the end are the expected ones.
pub(crate) fn expect_head(
    tree: &BlockTree<'_>,
    hash: B256,
    accounts: Option<&Accounts>,
    state_root: Option<B256>,
) -> Result<(), String> {
    if tree.head() != hash {
        return Err(format!("head: expected {hash}, got {}", tree.head()));
    }
    let state = tree.head_state().ok_or("the head has no state")?;
    let got = state.state_root();
    let expected = match (state_root, accounts) {
        (Some(root), _) => root,
        (None, Some(accounts)) => memory_state(accounts).state_root(),
        (None, None) => return Ok(()),
    };
    if got == expected {
        return Ok(());
    }
    let difference = accounts.map(|accounts| differences(accounts, state)).unwrap_or_default();
    Err(format!("state root of the head: expected {expected}, got {got}: {difference}"))
}

/// How many of the blocks have each hash as their parent.
fn count_children(blocks: &[BlockFixture]) -> B256Map<usize> {
    let mut children = B256Map::default();
    for parent in blocks.iter().filter_map(|block| parent_of(&block.rlp.0)) {
        *children.entry(parent).or_default() += 1;
    }
    children
}

fn is_last_child(children: &mut B256Map<usize>, encoded: &Bytes) -> bool {
    let left = parent_of(encoded).and_then(|parent| children.get_mut(&parent));
    left.is_some_and(|left| {
        *left = left.saturating_sub(1);
        *left == 0
    })
}

/// The parent's hash, read without decoding the rest.
fn parent_of(encoded: &[u8]) -> Option<B256> {
    let mut rest = encoded;
    let block = RlpHeader::decode(&mut rest).ok().filter(|header| header.list);
    let header = block.and_then(|_| RlpHeader::decode(&mut rest).ok()).filter(|header| header.list);
    header.and_then(|_| B256::decode(&mut rest).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples;
    use lockstep_chain::Chain;

    const PRE: &str = r#"{"0x0000000000000000000000000000000000000bbb": {"balance": "0x0f4240"}}"#;

    /// A chain of two empty blocks after genesis, and the test that imports them.
    struct Sample {
        headers: Vec<Header>,
    }

    impl Sample {
        fn new() -> Self {
            let chain = chain("Shanghai", None).unwrap();
            let mut headers = vec![samples::shanghai_genesis(PRE)];
            for _ in 0..2 {
                let parent = headers.last().unwrap();
                let timestamp = parent.timestamp + 12;
                headers.push(Header {
                    parent_hash: parent.hash_slow(),
                    number: parent.number + 1,
                    timestamp,
                    base_fee_per_gas: chain.next_base_fee(parent, timestamp),
                    ..parent.clone()
                });
            }
            Self { headers }
        }

        fn block(&self, index: usize, exception: &str) -> String {
            let header = &self.headers[index];
            let valid = if exception.is_empty() {
                format!(r#", "blockHeader": {}"#, samples::header_json(header))
            } else {
                format!(r#", "expectException": "{exception}""#)
            };
            format!(r#"{{"rlp": "{}"{valid}}}"#, samples::empty_block_rlp(header))
        }

        fn run(&self, blocks: &[String], head: usize) -> Outcome {
            let test = format!(
                r#"{{"network": "Shanghai", "genesisBlockHeader": {}, "pre": {PRE}, "blocks": [{}],
                    "lastblockhash": "{}", "postState": {PRE}, "sealEngine": "NoProof"}}"#,
                samples::header_json(&self.headers[0]),
                blocks.join(","),
                self.headers[head].hash_slow()
            );
            run(&serde_json::from_str(&test).unwrap(), &Seals::default(), &Executors::Serial)
        }
    }

    #[test]
    fn blocks_are_imported_in_order() {
        let sample = Sample::new();
        let blocks = [sample.block(1, ""), sample.block(2, "")];
        assert_eq!(sample.run(&blocks, 2), Outcome::Passed);
        assert!(sample.run(&blocks, 1).is_failed());
        let [first, second] = blocks;
        assert!(sample.run(&[second, first], 2).is_failed());
    }

    #[test]
    fn a_block_that_must_be_refused_is_refused() {
        let mut sample = Sample::new();
        let valid = sample.block(1, "");
        assert!(sample.run(&[sample.block(1, "BlockException.X")], 1).is_failed());
        sample.headers[1].state_root = B256::repeat_byte(1);
        let blocks = [sample.block(1, "BlockException.INVALID_STATE_ROOT"), valid];
        let good = Sample::new();
        assert_eq!(good.run(&blocks, 1), Outcome::Passed);
    }

    #[test]
    fn a_truncated_block_is_refused() {
        let sample = Sample::new();
        let block = sample.block(1, "BlockException.RLP");
        let end = block.find("\", \"expect").unwrap();
        for length in [11, 13, 201, end - 2] {
            let truncated = format!("{}{}", &block[..length], &block[end..]);
            assert_eq!(sample.run(&[truncated], 0), Outcome::Passed, "{length}");
        }
    }

    #[test]
    fn exceptions_of_other_networks_do_not_count() {
        let header = samples::header_json(&Sample::new().headers[0]);
        let parse = |fields: &str| -> BlockFixture {
            serde_json::from_str(&format!(r#"{{"rlp": "0x" {fields}}}"#)).unwrap()
        };
        let header = format!(r#", "blockHeader": {header}"#);
        let istanbul = r#", "expectExceptionIstanbul": "X""#;
        let all = r#", "expectExceptionALL": "Y""#;
        assert_eq!(parse(&header).expected_exception("Berlin"), None);
        assert_eq!(parse(&(header + istanbul)).expected_exception("Berlin"), None);
        assert_eq!(parse(istanbul).expected_exception("Istanbul"), Some("X"));
        assert_eq!(parse(all).expected_exception("Berlin"), Some("Y"));
        assert!(parse("").expected_exception("Berlin").is_some());
    }
}
