//! Waits until a transaction that was sent is as sure as wanted.
//!
//! Whoever does not learn what became of it may send it again, and pay twice: so every error names its hash, and one
//! answer that is missing, or says that the transaction is not known, ends nothing. Between a block that is taken back
//! and the pool that takes its transactions again, a node knows them for a moment neither here nor there.

use crate::{
    clock::{Stopwatch, pause},
    fate::{Fate, Receipt},
    network::RollupNode,
};
use alloy_primitives::{Address, B256, U64};
use eyre::{Result, bail};
use lockstep_providers::ClientError;
use lockstep_rpc::ConfirmationLevel;
use serde_json::json;
use std::time::Duration;

/// How often it is asked how sure a transaction is.
const POLL: Duration = Duration::from_millis(100);

/// A transaction that a node was given.
#[derive(Debug)]
pub(super) struct Submitted {
    pub(super) hash: B256,
    pub(super) from: Address,
    pub(super) nonce: u64,
    pub(super) receipt: Option<Receipt>,
    /// Why it is not known whether the node took it.
    pub(super) doubt: Option<ClientError>,
}

/// How sure a transaction must be, and for how many seconds that is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) level: ConfirmationLevel,
    pub(super) timeout: u64,
}

/// Who is asked, and when it is enough.
pub(super) trait Asked {
    fn fate(&mut self, hash: B256, known: Option<Receipt>) -> Result<Option<Fate>, ClientError>;

    /// How many transactions an account has in complete blocks.
    fn nonce(&mut self, of: Address) -> Result<u64, ClientError>;

    /// Pauses before the next question; false if there is no time for one.
    fn pause(&mut self) -> bool;
}

/// A node that is asked until a deadline.
#[derive(Debug)]
pub(super) struct Deadline<'a> {
    pub(super) node: &'a RollupNode,
    pub(super) begin: Stopwatch,
    pub(super) after: Duration,
}

impl Asked for Deadline<'_> {
    fn fate(&mut self, hash: B256, known: Option<Receipt>) -> Result<Option<Fate>, ClientError> {
        Fate::ask(hash, self.node, known)
    }

    fn nonce(&mut self, of: Address) -> Result<u64, ClientError> {
        let nonce: U64 = self.node.call("eth_getTransactionCount", &json!([of, "latest"]))?;
        Ok(nonce.to())
    }

    fn pause(&mut self) -> bool {
        let is_time_left = self.begin.elapsed() < self.after;
        if is_time_left {
            pause(POLL);
        }
        is_time_left
    }
}

impl Submitted {
    /// Waits until the transaction is as sure as wanted.
    pub(super) fn wait(self, wanted: Wanted, asked: &mut impl Asked) -> Result<Fate> {
        let Self { hash, from, nonce, mut receipt, mut doubt } = self;
        loop {
            let known = match asked.fate(hash, receipt) {
                Ok(Some(fate)) if fate.is(wanted.level) => return Ok(fate),
                Ok(Some(fate)) => {
                    (receipt, doubt) = (fate.receipt, None);
                    format!("it is {}", fate.confirmation.level)
                }
                Ok(None) if is_replaced(hash, from, nonce, asked) => bail!(
                    "{hash} will not be executed: another transaction of {from} with nonce {nonce} took its place"
                ),
                Ok(None) => "the node does not know it now".to_owned(),
                Err(error @ ClientError::Unsupported { .. }) => {
                    bail!("{hash} was sent, and how sure it is cannot be found out here: {error}")
                }
                Err(error) => format!("the last question was not answered ({error})"),
            };
            if asked.pause() {
                continue;
            }
            let Wanted { level, timeout } = wanted;
            if let Some(error) = doubt {
                bail!(
                    "whether {hash} was taken is not known ({error}), and after {timeout} s {known}: look with `lockstep \
                     trace {hash}` before you send another"
                );
            }
            bail!(
                "{hash} was sent, and is not known to be {level} after {timeout} s: {known}; wait for longer with \
                 --timeout SECONDS, or look later with `lockstep trace {hash}`"
            );
        }
    }
}

/// Whether a transaction that was not known can never be executed: its nonce is used, and not by itself.
fn is_replaced(hash: B256, from: Address, nonce: u64, asked: &mut impl Asked) -> bool {
    let is_used = asked.nonce(from).is_ok_and(|next| next > nonce);
    // It may have got into a block between the two questions.
    is_used && matches!(asked.fate(hash, None), Ok(None))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    const HASH: B256 = B256::repeat_byte(0xab);
    const PENDING: Wanted = Wanted { level: ConfirmationLevel::Pending, timeout: 9 };

    /// What a node answers, one after the other.
    struct Script {
        fates: VecDeque<Result<Option<Fate>, ClientError>>,
        nonce: u64,
    }

    impl Asked for Script {
        fn fate(&mut self, _: B256, _: Option<Receipt>) -> Result<Option<Fate>, ClientError> {
            self.fates.pop_front().unwrap_or(Ok(None))
        }

        fn nonce(&mut self, _: Address) -> Result<u64, ClientError> {
            Ok(self.nonce)
        }

        fn pause(&mut self) -> bool {
            !self.fates.is_empty()
        }
    }

    fn submitted() -> Submitted {
        let (from, receipt) = (Address::repeat_byte(1), None);
        Submitted { hash: HASH, from, nonce: 7, receipt, doubt: None }
    }

    fn away() -> ClientError {
        ClientError::Url { reason: "is away" }
    }

    fn waits() -> Result<Option<Fate>, ClientError> {
        let level = json!({ "level": "pending", "blockNumber": null, "blockHash": null });
        let confirmation = serde_json::from_value(level).expect("it is a confirmation");
        Ok(Some(Fate { confirmation, receipt: None }))
    }

    fn asked<const N: usize>(
        nonce: u64,
        fates: [Result<Option<Fate>, ClientError>; N],
        submitted: Submitted,
        wanted: Wanted,
    ) -> Result<Fate, String> {
        let mut script = Script { fates: fates.into(), nonce };
        submitted.wait(wanted, &mut script).map_err(|error| error.to_string())
    }

    #[test]
    fn an_answer_that_is_missing_ends_nothing() {
        let fates = [Err(away()), Ok(None), waits()];
        assert!(asked(7, fates, submitted(), PENDING).is_ok());
    }

    #[test]
    fn only_a_nonce_that_another_transaction_used_says_that_it_was_replaced() {
        // It is in a block by the second question.
        assert!(asked(8, [Ok(None), waits(), waits()], submitted(), PENDING).is_ok());
        // It was taken back, and waits for the pool.
        assert!(asked(7, [Ok(None), waits()], submitted(), PENDING).is_ok());
        let fates = [Ok(None), Ok(None), waits()];
        let error = asked(8, fates, submitted(), PENDING).expect_err("it was replaced");
        assert!(error.contains("took its place") && error.contains(&HASH.to_string()), "{error}");
    }

    #[test]
    fn at_the_deadline_it_is_said_what_is_known_and_of_what() {
        let safe = Wanted { level: ConfirmationLevel::Safe, ..PENDING };
        let in_doubt = || Submitted { doubt: Some(away()), ..submitted() };
        for (fate, submitted, wanted, expected) in [
            (Ok(None), submitted(), PENDING, "does not know it now"),
            (Err(away()), submitted(), PENDING, "not answered (the URL is away)"),
            (waits(), submitted(), safe, "not known to be safe after 9 s: it is pending"),
            (Ok(None), in_doubt(), PENDING, "whether 0xabab"),
            (waits(), in_doubt(), safe, "was sent"),
        ] {
            let error = asked(7, [fate], submitted, wanted).expect_err("it is not so sure");
            assert!(error.contains(expected) && error.contains(&HASH.to_string()), "{error}");
        }
    }
}
