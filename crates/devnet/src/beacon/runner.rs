//! Running a dev beacon in real time, on a thread of its own.

use super::{BeaconError, BeaconView, DevBeacon, ExecutionEngine, Replacement};
use alloy_primitives::B256;
use std::{
    sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError},
    time::Duration,
};
use tokio::sync::oneshot;

/// Controls that wait for a busy beacon before further ones are refused.
const WAITING_CONTROLS: usize = 16;
/// The most slots that one control skips.
pub const MAX_SKIP: u64 = 1_000_000;
/// The most blocks that one control makes.
pub const MAX_MINE: u64 = 10_000;

/// Tells the time.
pub trait Clock: Send + 'static {
    /// The time since the Unix epoch.
    fn now(&self) -> Duration;
}

impl<F: Fn() -> Duration + Send + 'static> Clock for F {
    fn now(&self) -> Duration {
        self()
    }
}

/// What a running beacon can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Leave the next slots without blocks: at most [`MAX_SKIP`].
    Skip(u64),
    /// Replace the last blocks.
    Reorg(u64, Replacement),
    /// Keep votes out of blocks.
    StallFinality,
    /// Let votes into blocks again.
    ResumeFinality,
    /// Make blocks for the next slots at once: at most [`MAX_MINE`]. The clock is then ahead by their time.
    Mine(u64),
    /// Stop running.
    Stop,
}

/// Where a control left the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Controlled {
    /// The current slot.
    pub slot: u64,
    /// The head's slot.
    pub head_slot: u64,
    /// The head's root.
    pub head: B256,
}

/// Why a control had no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// Too many controls wait: try again later.
    #[error("{WAITING_CONTROLS} controls wait already")]
    Busy,
    /// The beacon has stopped.
    #[error("the beacon has stopped")]
    Stopped,
    /// A number is too large: use a smaller one.
    #[error("{found} slots are more than {limit}")]
    Limit {
        /// Slots allowed.
        limit: u64,
        /// Slots asked for.
        found: u64,
    },
    /// The beacon could not do it.
    #[error("{0}")]
    Failed(String),
}

type Request = (Control, oneshot::Sender<Result<Controlled, ControlError>>);

/// Controls a running beacon. Copies control the same.
#[derive(Clone, Debug)]
pub struct BeaconControls(SyncSender<Request>);

impl BeaconControls {
    /// Sends a control and waits until it had its effect.
    ///
    /// # Errors
    /// If the beacon is busy, has stopped, or cannot do it.
    pub async fn send(&self, control: Control) -> Result<Controlled, ControlError> {
        self.begin(control)?.await.map_err(|_| ControlError::Stopped)?
    }

    /// Sends a control without waiting. The receiver gets the result.
    ///
    /// # Errors
    /// If the beacon is busy or has stopped, or a number is too large.
    pub fn begin(
        &self,
        control: Control,
    ) -> Result<oneshot::Receiver<Result<Controlled, ControlError>>, ControlError> {
        let limit = |found, limit| {
            if found > limit { Err(ControlError::Limit { limit, found }) } else { Ok(()) }
        };
        match control {
            Control::Skip(slots) => limit(slots, MAX_SKIP)?,
            Control::Mine(slots) => limit(slots, MAX_MINE)?,
            _ => {}
        }
        let (sender, receiver) = oneshot::channel();
        self.0.try_send((control, sender)).map_err(|error| match error {
            TrySendError::Full(_) => ControlError::Busy,
            TrySendError::Disconnected(_) => ControlError::Stopped,
        })?;
        Ok(receiver)
    }
}

/// A beacon that follows a clock.
///
/// At the start of each slot it takes the payload that was begun after the slot before, so that the
/// engine has had a whole slot to fill it.
#[derive(Debug)]
pub struct BeaconRunner<E, C> {
    beacon: DevBeacon<E>,
    clock: C,
    controls: mpsc::Receiver<Request>,
    /// By how much the chain is ahead of the clock, because blocks were made before their time.
    ahead: Duration,
}

impl<E: ExecutionEngine, C: Clock> BeaconRunner<E, C> {
    /// A runner, and what controls it.
    pub fn new(beacon: DevBeacon<E>, clock: C) -> (Self, BeaconControls) {
        let (sender, controls) = mpsc::sync_channel(WAITING_CONTROLS);
        let mut runner = Self { beacon, clock, controls, ahead: Duration::ZERO };
        runner.measure_lead();
        (runner, BeaconControls(sender))
    }

    /// Read access to the chain.
    pub fn view(&self) -> BeaconView {
        self.beacon.view()
    }

    /// Runs on the caller's thread until [`Control::Stop`], or until nobody can control it any more. Gives the
    /// beacon back.
    ///
    /// Slots for which the time has passed when the beacon gets to them, as after a start or a suspended machine,
    /// stay without blocks. A slot that fails is reported and stays without a block, too.
    pub fn run(mut self) -> DevBeacon<E> {
        self.prepare();
        loop {
            let due = self.due(self.beacon.slot() + 1);
            let wait = due.saturating_sub(self.clock.now());
            match self.controls.recv_timeout(wait) {
                Ok((Control::Stop, reply)) => {
                    let _ = reply.send(Ok(self.controlled()));
                    return self.beacon;
                }
                Ok((control, reply)) => {
                    let result = self.apply(control);
                    // Who asked may have gone.
                    let _ = reply.send(result);
                }
                Err(RecvTimeoutError::Timeout) => self.pass_slot(),
                Err(RecvTimeoutError::Disconnected) => return self.beacon,
            }
        }
    }

    /// When a slot begins by the clock.
    fn due(&self, slot: u64) -> Duration {
        let time = Duration::from_secs(self.beacon.view.spec().slot_time(slot));
        time.saturating_sub(self.ahead)
    }

    fn measure_lead(&mut self) {
        let time = Duration::from_secs(self.beacon.view.spec().slot_time(self.beacon.slot()));
        self.ahead = self.ahead.max(time.saturating_sub(self.clock.now()));
    }

    fn pass_slot(&mut self) {
        let now = self.clock.now();
        if now < self.due(self.beacon.slot() + 1) {
            return;
        }
        let slot = self.beacon.view.spec().slot_at((now + self.ahead).as_secs());
        self.beacon.miss_until(slot.saturating_sub(1));
        self.report(slot);
        self.prepare();
    }

    fn report(&mut self, slot: u64) {
        match self.beacon.next_slot() {
            Ok(Some(block)) => {
                let payload = block.payload_hash();
                tracing::debug!(slot, root = %block.root, %payload, "proposed a block");
            }
            Ok(None) => {}
            Err(error) => tracing::error!(slot, %error, "a slot stayed without a block"),
        }
    }

    /// Lets the engine begin with the next slot's payload.
    fn prepare(&mut self) {
        let slot = self.beacon.slot() + 1;
        if let Err(error) = self.beacon.prepare(slot) {
            tracing::warn!(slot, %error, "could not begin the next payload");
        }
    }

    fn apply(&mut self, control: Control) -> Result<Controlled, ControlError> {
        let failed = |error: BeaconError| ControlError::Failed(error.to_string());
        match control {
            Control::Skip(slots) => self.beacon.skip_slots(slots),
            Control::StallFinality => self.beacon.stall_finality(),
            Control::ResumeFinality => self.beacon.resume_finality(),
            Control::Reorg(depth, replacement) => {
                self.beacon.reorg(depth, replacement).map_err(failed)?;
            }
            Control::Mine(slots) => {
                for _ in 0..slots {
                    self.beacon.next_slot().map_err(failed)?;
                }
            }
            Control::Stop => {}
        }
        self.measure_lead();
        self.prepare();
        Ok(self.controlled())
    }

    fn controlled(&self) -> Controlled {
        let head = self.beacon.view.head();
        Controlled { slot: self.beacon.slot(), head_slot: head.slot(), head: head.root }
    }
}
