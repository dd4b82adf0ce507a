//! Ids of subscriptions.

use jsonrpsee::{server::IdProvider, types::SubscriptionId};
use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// Hexadecimal ids that cannot be guessed, as go-ethereum gives them.
#[derive(Debug, Default)]
pub(super) struct HexIds {
    random: RandomState,
    next: AtomicU64,
}

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let [high, low] = [0_u8, 1].map(|half| self.random.hash_one((number, half)));
        SubscriptionId::Str(format!("0x{high:x}{low:016x}").into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ_and_are_hexadecimal() {
        let ids = HexIds::default();
        let made: std::collections::HashSet<_> = (0..1_000).map(|_| ids.next_id()).collect();
        assert_eq!(made.len(), 1_000);
        for id in made {
            let SubscriptionId::Str(id) = id else { panic!("{id:?}") };
            assert!(id.strip_prefix("0x").unwrap().bytes().all(|digit| digit.is_ascii_hexdigit()));
        }
    }
}
