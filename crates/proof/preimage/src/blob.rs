//! Where the polynomial behind a blob has the blob's field elements as its values (EIP-4844).

use alloc::vec::Vec;
use alloy_primitives::{U256, uint};

/// Field elements in a blob.
pub const BLOB_ELEMENTS: usize = 4096;

const LOG_ELEMENTS: u32 = BLOB_ELEMENTS.trailing_zeros();

/// The order of the scalar field of BLS12-381.
const BLS_MODULUS: U256 =
    uint!(52435875175126190479447740508185965837690552500527637822603658699938581184513_U256);

/// The smallest number whose powers are all of the field but zero.
const PRIMITIVE_ROOT: U256 = uint!(7_U256);

/// The points at which the polynomial has the blob's field elements as its values, in their order:
/// the 4,096th roots of unity in bit-reversed order (consensus specification: polynomial commitments).
///
/// They are computed anew each time: keep them.
pub fn blob_points() -> Vec<U256> {
    let exponent = (BLS_MODULUS - U256::ONE) / U256::from(BLOB_ELEMENTS);
    let root = PRIMITIVE_ROOT.pow_mod(exponent, BLS_MODULUS);
    let successor = |power: &U256| Some(power.mul_mod(root, BLS_MODULUS));
    let powers: Vec<U256> =
        core::iter::successors(Some(U256::ONE), successor).take(BLOB_ELEMENTS).collect();
    (0..BLOB_ELEMENTS as u32)
        .map(|index| (index.reverse_bits() >> (u32::BITS - LOG_ELEMENTS)) as usize)
        .filter_map(|reversed| powers.get(reversed).copied())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    /// A generator of the subgroup of order 2^32, from go-ethereum's KZG library.
    const GENERATOR: U256 =
        uint!(10238227357739495823651030575849232062558860180284477541189508159991286009131_U256);

    #[test]
    fn the_points_are_all_roots_of_unity_in_bit_reversed_order() {
        let points = blob_points();
        assert_eq!(points.iter().collect::<BTreeSet<_>>().len(), BLOB_ELEMENTS);
        let root = GENERATOR.pow_mod(U256::from(1_u64 << (32 - LOG_ELEMENTS)), BLS_MODULUS);
        for (index, exponent) in [(0, 0), (1, 2048), (2, 1024), (3, 3072), (2048, 1), (4095, 4095)]
        {
            let expected = root.pow_mod(U256::from(exponent), BLS_MODULUS);
            assert_eq!(points[index], expected, "point {index}");
        }
    }
}
