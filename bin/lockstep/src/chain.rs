//! `--chain`: a network by name, or a genesis file.

use alloy_genesis::Genesis;
use eyre::{Context, Result, bail, ensure};
use lockstep_chain::{Chain, Ethereum, genesis};
use std::{fs, path::Path};

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
    let path = Path::new(path);
    let bytes = fs::metadata(path).wrap_err_with(|| path.display().to_string())?.len();
    let limit = genesis::MAX_GENESIS_BYTES as u64;
    ensure!(bytes <= limit, "{}: {bytes} bytes, the limit is {limit}", path.display());
    let json = fs::read(path).wrap_err_with(|| path.display().to_string())?;
    genesis::parse(&json).wrap_err_with(|| path.display().to_string())
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

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = find_l1("mianet").expect_err("there is no such network").to_string();
        assert!(error.contains("mainnet, sepolia, hoodi"), "{error}");
    }
}
