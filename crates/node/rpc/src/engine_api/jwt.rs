//! Who may drive the node: whoever knows the secret (execution-apis: `authentication.md`).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde::Deserialize;
use sha2::Sha256;
use std::{fmt, str::FromStr};

/// How far the time at which a token was issued may be from now, in seconds.
const MAX_DRIFT_SECONDS: u64 = 60;

/// A token longer than this is refused unread, in bytes.
const MAX_TOKEN_BYTES: usize = 4096;

/// Tells the time in seconds since 1970.
pub type UnixClock = fn() -> u64;

/// The secret that the node shares with its consensus client: 256 bits.
#[derive(Clone, PartialEq, Eq)]
pub struct JwtSecret([u8; 32]);

impl fmt::Debug for JwtSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JwtSecret(…)")
    }
}

/// Why a token or secret is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// The secret is not 64 hexadecimal digits.
    #[error("the secret must be 64 hexadecimal digits, with or without 0x")]
    Secret,
    /// The request has no token.
    #[error("missing token")]
    Missing,
    /// The token is not three parts of base64, or its content is not as it must be.
    #[error("malformed token")]
    Malformed,
    /// The token is not signed by HMAC-SHA256.
    #[error("the token's algorithm must be HS256")]
    Algorithm,
    /// The signature is not that of the secret.
    #[error("invalid signature")]
    Signature,
    /// The token was issued too long ago or in the future.
    #[error("the token was issued at {issued}, now is {now}, they may differ by 60 s")]
    Stale {
        /// When it was issued, in seconds since 1970.
        issued: u64,
        /// Now, in seconds since 1970.
        now: u64,
    },
    /// The token has expired.
    #[error("the token expired at {expired}, now is {now}")]
    Expired {
        /// When it expired, in seconds since 1970.
        expired: u64,
        /// Now, in seconds since 1970.
        now: u64,
    },
}

#[derive(Debug, Deserialize)]
struct TokenHeader {
    alg: String,
}

#[derive(Debug, Deserialize)]
struct Claims {
    iat: u64,
    exp: Option<u64>,
}

impl FromStr for JwtSecret {
    type Err = JwtError;

    /// From hexadecimal digits, as a file holds them.
    fn from_str(hex: &str) -> Result<Self, JwtError> {
        let hex = hex.trim();
        let hex = hex.strip_prefix("0x").unwrap_or(hex);
        let bytes = alloy_primitives::hex::decode(hex).map_err(|_| JwtError::Secret)?;
        bytes.try_into().map(Self).map_err(|_| JwtError::Secret)
    }
}

impl JwtSecret {
    /// From 32 random bytes.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The secret in hexadecimal, for the file that both clients read.
    pub fn to_hex(&self) -> String {
        alloy_primitives::hex::encode(self.0)
    }

    /// A token issued at `now`, in seconds since 1970.
    pub fn token(&self, now: u64) -> String {
        let header = URL_SAFE_NO_PAD.encode(br#"{"alg":"HS256","typ":"JWT"}"#);
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"iat":{now}}}"#));
        let signed = format!("{header}.{claims}");
        let signature = self.mac(signed.as_bytes()).finalize().into_bytes();
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Checks a token at the time `now`, in seconds since 1970.
    ///
    /// # Errors
    /// Why the token is refused.
    pub fn verify(&self, token: &str, now: u64) -> Result<(), JwtError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(JwtError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed);
        let parsed: TokenHeader =
            serde_json::from_slice(&decode(header)?).map_err(|_| JwtError::Malformed)?;
        if parsed.alg != "HS256" {
            return Err(JwtError::Algorithm);
        }
        // Compared in constant time.
        self.mac(signed.as_bytes())
            .verify_slice(&decode(signature)?)
            .map_err(|_| JwtError::Signature)?;
        let claims: Claims =
            serde_json::from_slice(&decode(claims)?).map_err(|_| JwtError::Malformed)?;
        if claims.iat.abs_diff(now) > MAX_DRIFT_SECONDS {
            return Err(JwtError::Stale { issued: claims.iat, now });
        }
        match claims.exp {
            Some(expired) if expired < now => Err(JwtError::Expired { expired, now }),
            _ => Ok(()),
        }
    }

    /// Checks the value of an `Authorization` header.
    ///
    /// # Errors
    /// Why the token is refused.
    pub fn verify_header(&self, value: Option<&str>, now: u64) -> Result<(), JwtError> {
        let token = value.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token)
        });
        self.verify(token.ok_or(JwtError::Missing)?.trim(), now)
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        let mut mac =
            <Hmac<Sha256> as Mac>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(message);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_700_000_000;

    fn secret() -> JwtSecret {
        "0x7365637265747365637265747365637265747365637265747365637265747365".parse().unwrap()
    }

    fn signed(header: &str, claims: &str) -> String {
        let parts =
            format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = secret().mac(parts.as_bytes()).finalize().into_bytes();
        format!("{parts}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Made with another implementation: `PyJWT`, `jwt.encode({"iat": 1700000000}, secret)`.
    #[test]
    fn a_token_of_another_implementation_is_valid() {
        let token = secret().token(NOW);
        let (parts, _) = token.rsplit_once('.').unwrap();
        assert_eq!(parts, "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpYXQiOjE3MDAwMDAwMDB9");
        assert_eq!(secret().verify(&token, NOW), Ok(()));
    }

    /// RFC 4231, test case 2.
    #[test]
    fn the_signature_is_hmac_sha256() {
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(b"Jefe").unwrap();
        mac.update(b"what do ya want for nothing?");
        assert_eq!(
            alloy_primitives::hex::encode(mac.finalize().into_bytes()),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn time_and_signature_count() {
        let secret = secret();
        for (issued, is_valid) in
            [(NOW, true), (NOW - 60, true), (NOW + 60, true), (NOW - 61, false), (NOW + 61, false)]
        {
            assert_eq!(secret.verify(&secret.token(issued), NOW).is_ok(), is_valid, "{issued}");
        }
        let other = JwtSecret::new([7; 32]);
        assert_eq!(secret.verify(&other.token(NOW), NOW), Err(JwtError::Signature));
        let header = r#"{"alg":"HS256"}"#;
        let expired = signed(header, &format!(r#"{{"iat":{NOW},"exp":{}}}"#, NOW - 1));
        assert!(matches!(secret.verify(&expired, NOW), Err(JwtError::Expired { .. })));
        let later = signed(header, &format!(r#"{{"iat":{NOW},"exp":{},"id":"x"}}"#, NOW + 9));
        assert_eq!(secret.verify(&later, NOW), Ok(()));
    }

    #[test]
    fn other_algorithms_are_refused() {
        let claims = format!(r#"{{"iat":{NOW}}}"#);
        for header in [r#"{"alg":"none"}"#, r#"{"alg":"HS512"}"#, r#"{"alg":"RS256"}"#] {
            assert_eq!(secret().verify(&signed(header, &claims), NOW), Err(JwtError::Algorithm));
        }
        let unsigned = format!(
            "{}.{}.",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
            URL_SAFE_NO_PAD.encode(claims)
        );
        assert_eq!(secret().verify(&unsigned, NOW), Err(JwtError::Algorithm));
    }

    #[test]
    fn the_header_must_be_a_bearer_token() {
        let token = secret().token(NOW);
        assert_eq!(secret().verify_header(Some(&format!("Bearer {token}")), NOW), Ok(()));
        for value in [None, Some(""), Some("Bearer"), Some(token.as_str()), Some("Basic abc")] {
            assert_eq!(secret().verify_header(value, NOW), Err(JwtError::Missing));
        }
    }

    #[test]
    fn a_secret_is_64_digits_and_never_shown() {
        for hex in ["", "0x", "00", "zz", &"0".repeat(63), &"0".repeat(66)] {
            assert_eq!(hex.parse::<JwtSecret>(), Err(JwtError::Secret), "{hex}");
        }
        assert_eq!(secret().to_hex().parse::<JwtSecret>().unwrap(), secret());
        assert!(!format!("{:?}", secret()).contains("73"));
    }

    proptest! {
        #[test]
        fn hostile_tokens_are_refused(token in ".{0,200}") {
            prop_assert!(secret().verify(&token, NOW).is_err());
        }

        #[test]
        fn a_changed_token_is_refused(at in 0..100_usize, to in "[A-Za-z0-9_-]") {
            let token = secret().token(NOW);
            let mut changed = token.clone();
            let at = at % token.len();
            changed.replace_range(at..=at, &to);
            // The last digit has two bits that say nothing.
            prop_assume!(changed != token && at + 1 < token.len());
            prop_assert!(secret().verify(&changed, NOW).is_err());
        }
    }
}
