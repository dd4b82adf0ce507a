//! How well executing ahead goes in a block, and what it may cost.

/// After this many outcomes it is seen whether executing ahead is worth it.
const OUTCOMES: u32 = 16;

/// So many transactions that others left to their turns, between so few outcomes, say the same as failures.
const MAX_LEFT: u32 = 64;

/// In a block, a thread waits this often in vain, and executes so many transactions ahead to no use while it waits: what
/// is cheap at its turn may be dear on another state, and is not paid for there.
const MAX_VAIN_SPINS: u32 = 1_000_000;
const MAX_VAIN_HELP: u32 = 4;

/// What a block has taught so far about executing it ahead.
#[derive(Debug)]
pub(crate) struct Caution {
    /// Of the outcomes that were looked at of late.
    outcomes: u32,
    failures: u32,
    /// Transactions that others left to their turns since.
    left: u32,
    /// How likely the next outcome is of use, in 256ths.
    trust: u32,
    vain_spins: u32,
    pub(crate) vain_help: u32,
    /// Most of what was executed ahead came to nothing.
    pub(crate) has_given_up: bool,
}

impl Default for Caution {
    fn default() -> Self {
        Self {
            outcomes: 0,
            failures: 0,
            left: 0,
            trust: 128,
            vain_spins: 0,
            vain_help: 0,
            has_given_up: false,
        }
    }
}

impl Caution {
    /// Whether it is better to wait for an outcome than to execute the transaction a second time.
    pub(crate) const fn is_worth_waiting(&self) -> bool {
        self.trust >= 128
    }

    /// Whether one may look once more after so many times.
    pub(crate) const fn may_spin(&self, spins: u32) -> bool {
        self.vain_spins.saturating_add(spins) < MAX_VAIN_SPINS
    }

    pub(crate) const fn may_help(&self) -> bool {
        self.vain_help < MAX_VAIN_HELP
    }

    /// Notes that so many looks were in vain.
    pub(crate) const fn note_spins(&mut self, spins: u32) {
        self.vain_spins = self.vain_spins.saturating_add(spins);
    }

    /// Notes an outcome. Whether so many are of no use that executing ahead does not pay.
    pub(crate) const fn note_outcome(&mut self, was_of_use: bool) -> bool {
        self.outcomes += 1;
        self.failures += !was_of_use as u32;
        self.trust = self.trust - self.trust / 4 + if was_of_use { 64 } else { 0 };
        if self.outcomes >= OUTCOMES {
            self.has_given_up |= self.failures * 2 > self.outcomes;
            (self.outcomes, self.failures, self.left) = (0, 0, 0);
        }
        self.has_given_up
    }

    /// Notes a transaction that others looked at and left to its turn. Whether executing ahead does not pay, as above.
    pub(crate) const fn note_left(&mut self) -> bool {
        self.left += 1;
        self.has_given_up |= self.left > MAX_LEFT;
        self.has_given_up
    }
}
