//! Whether beginning anew gets the follower any further.

/// How often in a row derivation has begun anew without getting further than before.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Restarts {
    in_a_row: u32,
    /// The highest block at which it began anew since it was caught up.
    highest: Option<u64>,
}

impl Restarts {
    pub(crate) const fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// Derivation begins anew, having come to rollup block `number`.
    pub(crate) fn begins_anew_at(&mut self, number: u64) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.highest = self.highest.max(Some(number));
    }

    /// Rollup block `number` is derived.
    pub(crate) fn reached(&mut self, number: u64) {
        if self.highest < Some(number) {
            self.in_a_row = 0;
        }
    }

    /// Everything that L1 has is derived.
    pub(crate) fn caught_up(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::Restarts;

    #[test]
    fn only_a_block_that_is_new_is_progress() {
        let mut restarts = Restarts::default();
        restarts.begins_anew_at(7);
        restarts.reached(6);
        restarts.reached(7);
        restarts.begins_anew_at(5);
        assert_eq!(restarts.in_a_row(), 2);
        restarts.reached(8);
        assert_eq!(restarts.in_a_row(), 0);
        restarts.begins_anew_at(8);
        restarts.reached(8);
        assert_eq!(restarts.in_a_row(), 1);
        // A new L1 may tell of fewer blocks.
        restarts.caught_up();
        restarts.begins_anew_at(3);
        restarts.reached(4);
        assert_eq!(restarts.in_a_row(), 0);
    }
}
