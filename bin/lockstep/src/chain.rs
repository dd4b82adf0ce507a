//! `--chain`: a network by name, or a genesis file.

use alloy_genesis::Genesis;
use eyre::{Context, Result, bail};
use lockstep_chain::{Chain, Ethereum, genesis};
use lockstep_testkit::source::read_within;
use std::{fs::File, path::Path};

/// A network that is known by name.
struct Network {
    name: &'static str,
    /// The genesis file, compressed.
    genesis: &'static [u8],
    chain: fn() -> Ethereum,
}

const NETWORKS: [Network; 3] = [
    Network {
        name: "mainnet",
        genesis: include_bytes!("../chains/mainnet.json.zst"),
        chain: Ethereum::mainnet,
    },
    Network {
        name: "sepolia",
        genesis: include_bytes!("../chains/sepolia.json.zst"),
        chain: Ethereum::sepolia,
    },
    Network {
        name: "hoodi",
        genesis: include_bytes!("../chains/hoodi.json.zst"),
        chain: Ethereum::hoodi,
    },
];

/// The definition of an L1 chain, and how it begins.
#[derive(Debug)]
pub(crate) struct L1 {
    pub(crate) chain: Ethereum,
    pub(crate) genesis: Genesis,
}

/// The network with this chain id, if it is known by name.
pub(crate) fn known_network(chain_id: u64) -> Option<Ethereum> {
    NETWORKS.iter().map(|network| (network.chain)()).find(|chain| chain.chain_id() == chain_id)
}

/// Finds the chain that `--chain` names.
pub(crate) fn find_l1(name_or_file: &str) -> Result<L1> {
    if let Some(network) = NETWORKS.iter().find(|network| network.name == name_or_file) {
        let json = zstd::decode_all(network.genesis).wrap_err("the embedded genesis file")?;
        let genesis = genesis::parse(&json).wrap_err("the embedded genesis file")?;
        return Ok(L1 { chain: (network.chain)(), genesis });
    }
    if !Path::new(name_or_file).exists() {
        let names = NETWORKS.map(|network| network.name).join(", ");
        bail!("--chain {name_or_file}: neither a known network ({names}) nor a file");
    }
    let genesis = read_genesis(name_or_file)?;
    let chain = Ethereum::from_genesis(&genesis).wrap_err_with(|| name_or_file.to_owned())?;
    Ok(L1 { chain, genesis })
}

/// Reads a genesis file in geth's format.
pub(crate) fn read_genesis(path: &str) -> Result<Genesis> {
    let json = read_file(Path::new(path))?;
    genesis::parse(&json).wrap_err_with(|| path.to_owned())
}

/// Reads a file that describes a chain; none is larger than a genesis file may be.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>> {
    read_limited(path, genesis::MAX_GENESIS_BYTES as u64)
}

/// Reads a file of at most `limit` bytes, whatever size it says it has.
fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = File::open(path).wrap_err_with(|| path.display().to_string())?;
    Ok(read_within(file, path, limit)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{B256, b256};

    #[test]
    fn the_embedded_networks_begin_with_their_known_blocks() {
        let known: [(&str, B256); 3] = [
            ("mainnet", b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3")),
            ("sepolia", b256!("25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9")),
            ("hoodi", b256!("bbe312868b376a3001692a646dd2d7d1e4406380dfd86b98aa8a34d1557c971b")),
        ];
        for (name, hash) in known {
            let L1 { chain, genesis } = find_l1(name).expect("the network is embedded");
            assert_eq!(chain.genesis_header(&genesis).hash_slow(), hash, "{name}");
        }
    }

    /// Also if they do not say how large they are.
    #[test]
    fn too_large_files_are_not_read() {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.as_file().set_len(1_001).expect("it grows");
        for path in [file.path(), Path::new("/dev/zero")] {
            let error = read_limited(path, 1_000).expect_err("it is too large").to_string();
            assert!(error.contains("1000"), "{error}");
        }
        assert_eq!(read_limited(file.path(), 1_001).expect("it fits").len(), 1_001);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = find_l1("mianet").expect_err("there is no such network").to_string();
        assert!(error.contains("mainnet, sepolia, hoodi"), "{error}");
    }
}
