//! Whether field elements are those of a blob's commitment (EIP-4844; consensus specification: Deneb,
//! polynomial commitments § `verify_blob_kzg_proof`).
//!
//! A hash cannot tell. The polynomial that has the elements as its values is evaluated at one point that
//! follows from all of them and the commitment, and one KZG proof shows that the polynomial behind the
//! commitment has the same value there. Two different polynomials agree in at most 4,095 of 2²⁵⁵ points, so
//! whoever chose other elements would have to find a hash that is one of these.

use alloc::vec::Vec;
use alloy_primitives::U256;
use ark_bls12_381::Fr;
use ark_ff::{BigInt, Field, PrimeField, batch_inversion};
use lockstep_preimage::BLOB_ELEMENTS;
use revm::precompile::crypto;

/// Domain separator of the challenge (consensus specification: `FIAT_SHAMIR_PROTOCOL_DOMAIN`).
const DOMAIN: &[u8; 16] = b"FSBLOBVERIFY_V1_";

const ELEMENT_BYTES: usize = 32;

/// Why elements are not those of a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BlobFault {
    /// There are not 4,096 elements of 32 bytes.
    #[error("it does not have 4096 elements")]
    Length,
    /// An element is no element of the field.
    #[error("element {0} is not below the modulus")]
    Element(usize),
    /// The proof does not hold: elements, commitment or proof are wrong.
    #[error("the proof does not show that its elements are those of its commitment")]
    Proof,
}

/// Checks that the polynomial behind `commitment` has the `elements` as its values at `points`, which are
/// [`lockstep_preimage::blob_points`]. `proof` is the proof of EIP-4844 for the whole blob.
///
/// The pairing is that of the installed [`revm::precompile::Crypto`], so a machine that has a quicker one
/// uses it.
pub(crate) fn verify_blob(
    commitment: &[u8; 48],
    elements: &[u8],
    points: &[U256],
    proof: &[u8; 48],
) -> Result<(), BlobFault> {
    let (values, rest) = elements.as_chunks::<ELEMENT_BYTES>();
    if values.len() != BLOB_ELEMENTS || points.len() != BLOB_ELEMENTS || !rest.is_empty() {
        return Err(BlobFault::Length);
    }
    let challenge = challenge(commitment, elements);
    let value = evaluate(values, points, challenge)?;
    let (point, value) = (to_bytes(challenge), to_bytes(value));
    let verified = crypto().verify_kzg_proof(&point, &value, commitment, proof);
    verified.map_err(|_| BlobFault::Proof)
}

/// The point at which both polynomials are evaluated (`compute_challenge`).
fn challenge(commitment: &[u8; 48], elements: &[u8]) -> Fr {
    let degree = (BLOB_ELEMENTS as u128).to_be_bytes();
    let transcript = [DOMAIN, &degree, elements, commitment].concat();
    Fr::from_be_bytes_mod_order(&crypto().sha256(&transcript))
}

/// The value at `at` of the polynomial that has `values` at `points`, by the barycentric formula
/// (`evaluate_polynomial_in_evaluation_form`):
/// `(atⁿ − 1) / n · Σ valueᵢ · pointᵢ / (at − pointᵢ)`.
fn evaluate(values: &[[u8; ELEMENT_BYTES]], points: &[U256], at: Fr) -> Result<Fr, BlobFault> {
    let values: Vec<Fr> = values
        .iter()
        .enumerate()
        .map(|(index, bytes)| field(U256::from_be_bytes(*bytes)).ok_or(BlobFault::Element(index)))
        .collect::<Result<_, _>>()?;
    let points: Vec<Fr> = points.iter().filter_map(|point| field(*point)).collect();
    if let Some(index) = points.iter().position(|point| *point == at) {
        return values.get(index).copied().ok_or(BlobFault::Length);
    }
    let mut inverses: Vec<Fr> = points.iter().map(|point| at - point).collect();
    batch_inversion(&mut inverses);
    let terms = values.iter().zip(&points).zip(&inverses);
    let sum: Fr = terms.map(|((value, point), inverse)| *value * point * inverse).sum();
    let count = Fr::from(BLOB_ELEMENTS as u64);
    let factor = (at.pow([BLOB_ELEMENTS as u64]) - Fr::ONE) / count;
    Ok(factor * sum)
}

/// `None` if the number is not below the modulus.
fn field(number: U256) -> Option<Fr> {
    Fr::from_bigint(BigInt::new(number.into_limbs()))
}

fn to_bytes(element: Fr) -> [u8; ELEMENT_BYTES] {
    U256::from_limbs(element.into_bigint().0).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_eips::eip4844::{BYTES_PER_BLOB, c_kzg, env_settings::EnvKzgSettings};
    use lockstep_preimage::blob_points;
    use proptest::prelude::*;
    use std::vec;

    struct Proven {
        blob: Vec<u8>,
        commitment: [u8; 48],
        proof: [u8; 48],
    }

    /// Commitment and proof by another implementation.
    fn prove(bytes: &[u8]) -> Proven {
        let settings = EnvKzgSettings::Default;
        let blob = c_kzg::Blob::from_bytes(bytes).expect("a blob");
        let commitment =
            settings.get().blob_to_kzg_commitment(&blob).expect("a commitment").to_bytes();
        let proof =
            settings.get().compute_blob_kzg_proof(&blob, &commitment).expect("a proof").to_bytes();
        Proven {
            blob: bytes.to_vec(),
            commitment: commitment.into_inner(),
            proof: proof.into_inner(),
        }
    }

    fn check(proven: &Proven, points: &[U256]) -> Result<(), BlobFault> {
        verify_blob(&proven.commitment, &proven.blob, points, &proven.proof)
    }

    fn elements(seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; BYTES_PER_BLOB];
        let (elements, _) = bytes.as_chunks_mut::<ELEMENT_BYTES>();
        for (index, element) in (0_u64..).zip(elements) {
            let word = (seed ^ index).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            *element = [word; 4].concat().try_into().expect("32 bytes");
            element[0] = 0;
        }
        bytes
    }

    #[test]
    fn honest_elements_pass_and_a_changed_one_does_not() {
        let points = blob_points();
        let honest = prove(&elements(7));
        assert_eq!(check(&honest, &points), Ok(()));
        for index in [0, 1, 2047, 4095] {
            let mut bytes = elements(7);
            *bytes.get_mut(ELEMENT_BYTES * index + 31).expect("an element") ^= 1;
            let forged = Proven { blob: bytes.clone(), ..honest };
            assert_eq!(check(&forged, &points), Err(BlobFault::Proof), "element {index}");
            // Nor with the proof that belongs to the changed elements.
            let forged = Proven { proof: prove(&bytes).proof, ..forged };
            assert_eq!(check(&forged, &points), Err(BlobFault::Proof), "element {index}");
        }
    }

    #[test]
    fn blobs_of_one_value_and_points_at_infinity_are_those_of_the_specification() {
        let points = blob_points();
        // The polynomial is zero: commitment and proof are the point at infinity.
        let zero = prove(&vec![0; BYTES_PER_BLOB]);
        assert_eq!(check(&zero, &points), Ok(()));
        let mut infinity = [0; 48];
        infinity[0] = 0xc0;
        assert_eq!((zero.commitment, zero.proof), (infinity, infinity));
        let other = prove(&elements(1));
        let forged = Proven { blob: other.blob, ..zero };
        assert_eq!(check(&forged, &points), Err(BlobFault::Proof));
    }

    #[test]
    fn what_is_no_blob_or_no_point_is_refused() {
        let points = blob_points();
        let honest = prove(&elements(3));
        let bytes = honest.blob.as_slice();
        let verify = |bytes: &[u8], commitment: &[u8; 48], proof: &[u8; 48]| {
            verify_blob(commitment, bytes, &points, proof)
        };
        let (commitment, proof) = (&honest.commitment, &honest.proof);
        let cut = bytes.get(..BYTES_PER_BLOB - 1).expect("shorter");
        assert_eq!(verify(cut, commitment, proof), Err(BlobFault::Length));
        assert_eq!(verify(&[bytes, &[0]].concat(), commitment, proof), Err(BlobFault::Length));
        assert_eq!(verify(&[], commitment, proof), Err(BlobFault::Length));
        let mut high = bytes.to_vec();
        high.get_mut(64..96).expect("the third element").fill(0xff);
        assert_eq!(verify(&high, commitment, proof), Err(BlobFault::Element(2)));
        for garbage in [[0; 48], [0xff; 48]] {
            assert_eq!(verify(bytes, &garbage, proof), Err(BlobFault::Proof));
            assert_eq!(verify(bytes, commitment, &garbage), Err(BlobFault::Proof));
        }
    }

    #[test]
    fn a_value_at_a_root_of_unity_is_the_element_itself() {
        let points = blob_points();
        let bytes = elements(5);
        let (values, _) = bytes.as_chunks::<ELEMENT_BYTES>();
        for index in [0, 17, 4095] {
            let at = field(points[index]).expect("a root of unity");
            assert_eq!(evaluate(values, &points, at).map(to_bytes), Ok(values[index]));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]

        /// The commitment is believed exactly by those elements that another implementation takes.
        #[test]
        fn any_single_change_is_found(seed: u64, at in 0..BYTES_PER_BLOB, change in 1_u8..) {
            let points = blob_points();
            let honest = prove(&elements(seed));
            prop_assert_eq!(check(&honest, &points), Ok(()));
            let mut bytes = elements(seed);
            bytes[at] ^= change;
            let found = verify_blob(&honest.commitment, &bytes, &points, &honest.proof);
            prop_assert!(found.is_err());
        }
    }
}
