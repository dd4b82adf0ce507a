//! The validators' keys: those of the interop specification, which everybody knows.

use super::{
    BeaconSpec,
    types::{BlsPublicKey, BlsSignature, ForkData, SigningData},
};
use crate::ssz::{Ssz, hash_bytes};
use alloy_primitives::{B256, FixedBytes, U256, uint};
use blst::{
    BLST_ERROR,
    min_pk::{AggregatePublicKey, PublicKey, SecretKey},
};

/// The order of the curve's groups.
const CURVE_ORDER: U256 =
    uint!(0x73eda753299d7d483339d80809a1d80553bda402fffe5bfeffffffff00000001_U256);
/// The ciphersuite of the consensus specifications.
const CIPHERSUITE: &[u8] = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_";
/// The signature by nobody: the point at infinity.
pub(crate) const INFINITY: BlsSignature = {
    let mut bytes = [0; 96];
    bytes[0] = 0xc0;
    FixedBytes::new(bytes)
};

/// What a signature is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// `DOMAIN_BEACON_PROPOSER`.
    BeaconProposer,
    /// `DOMAIN_BEACON_ATTESTER`.
    BeaconAttester,
    /// `DOMAIN_RANDAO`.
    Randao,
    /// `DOMAIN_SYNC_COMMITTEE`.
    SyncCommittee,
}

impl Domain {
    /// The domain's type, as it goes into hashes.
    pub const fn tag(self) -> [u8; 4] {
        match self {
            Self::BeaconProposer => [0, 0, 0, 0],
            Self::BeaconAttester => [1, 0, 0, 0],
            Self::Randao => [2, 0, 0, 0],
            Self::SyncCommittee => [7, 0, 0, 0],
        }
    }
}

/// `compute_signing_root`: what is signed for an object in an epoch's fork.
pub fn signing_root(
    object_root: B256,
    domain: Domain,
    epoch: u64,
    genesis_validators_root: B256,
    spec: &BeaconSpec,
) -> B256 {
    let current_version = BeaconSpec::version(spec.fork(epoch));
    let fork = ForkData { current_version, genesis_validators_root }.root(spec.preset);
    let mut bytes = [0; 32];
    let (tag, rest) = bytes.split_at_mut(4);
    tag.copy_from_slice(&domain.tag());
    rest.copy_from_slice(fork.get(..28).unwrap_or_default());
    SigningData { object_root, domain: B256::new(bytes) }.root(spec.preset)
}

/// How blocks and randao reveals are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Signing {
    /// With the proposer's key: about a millisecond for each block.
    #[default]
    Bls,
    /// Not at all: a signature is the point at infinity, and a reveal is a hash, as unpredictable without
    /// the key and as deterministic with it. For simulations.
    Hash,
}

/// The keys of all validators of a dev beacon chain.
///
/// The interop specification derives the n-th from the number n: they protect nothing.
#[derive(Clone)]
pub struct ValidatorKeys {
    secrets: Vec<SecretKey>,
    public: Vec<BlsPublicKey>,
}

impl std::fmt::Debug for ValidatorKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ValidatorKeys({})", self.secrets.len())
    }
}

impl ValidatorKeys {
    /// The first `count` interop keys.
    pub fn interop(count: u64) -> Self {
        let secrets: Vec<_> = (0..count).map(interop_key).collect();
        let public = secrets.iter().map(|key| key.sk_to_pk().to_bytes().into()).collect();
        Self { secrets, public }
    }

    /// The public keys, by validator index.
    pub fn public(&self) -> &[BlsPublicKey] {
        &self.public
    }

    /// A validator's signature; nobody's if there is no such validator.
    pub fn sign(&self, validator: u64, root: &B256) -> BlsSignature {
        let key = self.secrets.get(validator as usize);
        key.map_or(INFINITY, |key| key.sign(root.as_slice(), CIPHERSUITE, &[]).to_bytes().into())
    }

    /// A stand-in for a signature: a hash that depends on the validator's key and the root.
    pub(crate) fn keyed_hash(&self, validator: u64, root: &B256) -> BlsSignature {
        let key = self.secrets.get(validator as usize).map_or([0; 32], SecretKey::to_bytes);
        let seed = hash_bytes(&[key.as_slice(), root.as_slice()].concat());
        let mut bytes = [0; 96];
        for (counter, chunk) in (0_u8..).zip(bytes.chunks_mut(32)) {
            chunk.copy_from_slice(hash_bytes(&[seed.as_slice(), &[counter]].concat()).as_slice());
        }
        bytes.into()
    }
}

/// Whether a signature is the key's for a root.
pub fn verify_signature(key: &BlsPublicKey, root: &B256, signature: &BlsSignature) -> bool {
    let Ok(key) = PublicKey::key_validate(key.as_slice()) else { return false };
    let signature = blst::min_pk::Signature::from_bytes(signature.as_slice());
    signature.is_ok_and(|signature| {
        let verdict = signature.verify(true, root.as_slice(), CIPHERSUITE, &[], &key, false);
        verdict == BLST_ERROR::BLST_SUCCESS
    })
}

/// The sum of some keys; `None` if one is not a valid key or there are none.
pub(crate) fn aggregate(keys: &[BlsPublicKey]) -> Option<BlsPublicKey> {
    let keys: Result<Vec<_>, _> =
        keys.iter().map(|key| PublicKey::from_bytes(key.as_slice())).collect();
    let keys = keys.ok()?;
    let keys: Vec<&PublicKey> = keys.iter().collect();
    let sum = AggregatePublicKey::aggregate(&keys, false).ok()?;
    Some(sum.to_public_key().to_bytes().into())
}

fn interop_key(index: u64) -> SecretKey {
    let mut preimage = [0; 32];
    if let Some(number) = preimage.first_chunk_mut::<8>() {
        *number = index.to_le_bytes();
    }
    let scalar = U256::from_le_bytes(hash_bytes(&preimage).0) % CURVE_ORDER;
    SecretKey::from_bytes(&scalar.to_be_bytes::<32>())
        .expect("a scalar below the curve's order, which is zero for no number that is known")
}

/// The withdrawal credentials that the interop specification gives a key: its hash.
pub(crate) fn interop_credentials(key: &BlsPublicKey) -> B256 {
    let mut credentials = hash_bytes(key.as_slice());
    if let Some(prefix) = credentials.first_mut() {
        *prefix = 0;
    }
    credentials
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{b256, fixed_bytes};

    /// From the interop specification's `keygen_10_validators.yaml`.
    #[test]
    fn the_first_key_is_that_of_the_interop_specification() {
        assert_eq!(
            B256::new(interop_key(0).to_bytes()),
            b256!("0x25295f0d1d592a90b333e26e85149708208e9f8e8bc18f6c77bd62f8ad7a6866"),
        );
        assert_eq!(
            ValidatorKeys::interop(1).public(),
            [fixed_bytes!(
                "0xa99a76ed7796f7be22d5b7e85deeb7c5677e88e511e0b337618f8c4eb61349b4bf2d153f649f7b53359fe8b94a38e44c"
            )],
        );
    }

    #[test]
    fn a_signature_is_of_one_key_and_one_root() {
        let keys = ValidatorKeys::interop(2);
        let (root, other) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let signature = keys.sign(1, &root);
        assert!(verify_signature(&keys.public()[1], &root, &signature));
        assert!(!verify_signature(&keys.public()[1], &other, &signature));
        assert!(!verify_signature(&keys.public()[0], &root, &signature));
        assert!(!verify_signature(&keys.public()[1], &root, &keys.keyed_hash(1, &root)));
    }
}
