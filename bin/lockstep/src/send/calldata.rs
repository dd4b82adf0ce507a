//! A function's call from what a person writes.

use alloy_dyn_abi::{DynSolType, DynSolValue};
use alloy_primitives::{Bytes, keccak256};
use eyre::{Context, Result, bail, ensure};

/// The calldata of a function like `transfer(address,uint256)` with these arguments.
pub(super) fn encode(signature: &str, arguments: &[String]) -> Result<Bytes> {
    let form = || format!("{signature}: a function is written like transfer(address,uint256)");
    let Some(open) = signature.find('(') else { bail!(form()) };
    let (name, types) = signature.split_at(open);
    let is_name = |it: char| it.is_ascii_alphanumeric() || it == '_' || it == '$';
    ensure!(!name.is_empty() && name.chars().all(is_name), form());
    let types = match types {
        "()" => Vec::new(),
        // The parser's own words are about a grammar, over several lines.
        types => match DynSolType::parse(types) {
            Ok(DynSolType::Tuple(types)) => types,
            Ok(_) | Err(_) => bail!(form()),
        },
    };
    ensure!(
        types.len() == arguments.len(),
        "{signature} takes {} arguments, {} are given",
        types.len(),
        arguments.len()
    );
    let values = types.iter().zip(arguments).map(|(kind, argument)| {
        let value = kind.coerce_str(argument);
        value.wrap_err_with(|| format!("{argument} is not of type {}", kind.sol_type_name()))
    });
    let values = DynSolValue::Tuple(values.collect::<Result<_>>()?);
    let canonical: Vec<_> = types.iter().map(|kind| kind.sol_type_name()).collect();
    let hash = keccak256(format!("{name}({})", canonical.join(",")));
    let selector = hash.iter().take(4).copied();
    Ok(selector.chain(values.abi_encode_params()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::hex;

    fn encoded(signature: &str, arguments: &[&str]) -> Result<String> {
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        encode(signature, &arguments).map(hex::encode)
    }

    #[test]
    fn calls_are_those_of_the_abi_specification() {
        // The examples of Solidity's specification of the contract ABI.
        let baz = encoded("baz(uint32,bool)", &["69", "true"]).expect("it is a call");
        assert_eq!(baz, format!("cdcd77c0{:064x}{:064x}", 69, 1));
        let sam = encoded("sam(bytes,bool,uint256[])", &["0x64617665", "true", "[1,2,3]"]);
        let sam = sam.expect("it is a call");
        assert!(sam.starts_with("a5643bf2"), "{sam}");
        assert_eq!(sam.len(), 8 + 9 * 64);
        // `uint` is an alias.
        assert!(encoded("f(uint)", &["1"]).expect("it is a call").starts_with("b3de648b"));
        assert_eq!(encoded("f()", &[]).expect("it is a call"), "26121ff0");
    }

    #[test]
    fn what_is_no_call_is_refused_with_a_reason() {
        for (signature, arguments, part) in [
            ("transfer", &[][..], "is written like"),
            ("(uint256)", &["1"], "is written like"),
            ("f(uint256", &["1"], "is written like"),
            ("f(uint256) returns (uint256)", &["1"], "is written like"),
            ("f(uint7)", &["1"], "is written like"),
            ("f(uint256)", &[], "takes 1 arguments, 0 are given"),
            ("f(address)", &["0x12"], "0x12 is not of type address"),
        ] {
            let error = encoded(signature, arguments).expect_err("it is no call").to_string();
            assert!(error.contains(part), "{signature}: {error}");
        }
    }
}
