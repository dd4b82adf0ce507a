//! One moment of the database, for several threads at once.

use super::{Environment, Reader, environment::FurtherReader};
use crate::StorageError;
use std::{
    cell::Cell,
    fmt,
    ops::Deref,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

/// Further transactions of one moment.
const MAX_FURTHER: usize = 15;

thread_local! {
    /// Which transaction this thread had last: zero for the first, then the further ones.
    static LAST_TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// Read transactions that see the same. One serves a single thread at a time, so whoever finds the first in use takes
/// another, which is begun if nothing was committed since.
pub(crate) struct Moment {
    environment: Environment,
    id: u64,
    first: Reader,
    is_first_taken: AtomicBool,
    further: OnceLock<Box<[Further; MAX_FURTHER]>>,
    /// No more transactions of this moment can be begun.
    is_past: AtomicBool,
}

/// A place for a further transaction, on cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
struct Further {
    tx: OnceLock<FurtherReader>,
    is_taken: AtomicBool,
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moment").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Moment {
    /// The database as it is now.
    pub(crate) fn new(environment: Environment) -> Result<Self, StorageError> {
        let first = environment.read()?;
        Ok(Self {
            id: first.id()?,
            environment,
            first,
            is_first_taken: AtomicBool::new(false),
            further: OnceLock::new(),
            is_past: AtomicBool::new(false),
        })
    }

    /// The transaction that there always is, for one thread's long walks.
    pub(crate) const fn first(&self) -> &Reader {
        &self.first
    }

    /// A transaction that no other thread uses; if all are in use, the first, for which the thread then waits.
    pub(crate) fn lease(&self) -> Lease<'_> {
        if let Some(last) = LAST_TAKEN.get().checked_sub(1)
            && let Some(lease) = self.further.get().and_then(|it| it.get(last)?.lease())
        {
            return lease;
        }
        if !self.is_first_taken.swap(true, Ordering::Acquire) {
            LAST_TAKEN.set(0);
            return Lease { tx: &self.first, taken: Some(&self.is_first_taken) };
        }
        self.lease_further().unwrap_or(Lease { tx: &self.first, taken: None })
    }

    /// Begins what so many threads need that read at the same time. Later, when something was committed, that cannot be
    /// done any more.
    pub(crate) fn prepare(&self, threads: usize) {
        for place in self.places().take(threads.saturating_sub(1)) {
            if !self.begin(place) {
                return;
            }
        }
    }

    fn places(&self) -> impl Iterator<Item = &Further> {
        self.further.get_or_init(Default::default).iter()
    }

    #[cold]
    fn lease_further(&self) -> Option<Lease<'_>> {
        for (last, place) in (1..).zip(self.places()) {
            // The places after it are empty, too.
            if !self.begin(place) {
                return None;
            }
            if let Some(lease) = place.lease() {
                LAST_TAKEN.set(last);
                return Some(lease);
            }
        }
        None
    }

    /// Begins a transaction, if there is none; `false` if that cannot be done. Without it threads wait for each other, no
    /// more.
    fn begin(&self, place: &Further) -> bool {
        if place.tx.get().is_some() {
            return true;
        }
        if self.is_past.load(Ordering::Relaxed) {
            return false;
        }
        let Some(tx) = self.environment.read_further() else { return false };
        let is_same = tx.id().is_ok_and(|id| id == self.id);
        if is_same {
            // Another thread may have been faster.
            let _ = place.tx.set(tx);
        } else {
            self.is_past.store(true, Ordering::Relaxed);
        }
        is_same
    }
}

impl Further {
    fn lease(&self) -> Option<Lease<'_>> {
        let tx = self.tx.get()?;
        let is_free = !self.is_taken.swap(true, Ordering::Acquire);
        // Not made before it is known to be free: dropping it would set it free.
        is_free.then(|| Lease { tx, taken: Some(&self.is_taken) })
    }
}

/// A transaction until this is dropped.
pub(crate) struct Lease<'m> {
    tx: &'m Reader,
    taken: Option<&'m AtomicBool>,
}

impl Deref for Lease<'_> {
    type Target = Reader;

    fn deref(&self) -> &Reader {
        self.tx
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        if let Some(taken) = self.taken {
            taken.store(false, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lease, MAX_FURTHER, Moment};
    use crate::{
        Options,
        db::{Environment, Table},
    };
    use std::sync::atomic::{AtomicBool, Ordering};

    const KEY: &[u8] = b"key";

    fn environment() -> (tempfile::TempDir, Environment) {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::open(folder.path(), &Options::default()).unwrap();
        write(&environment, b"old");
        (folder, environment)
    }

    fn write(environment: &Environment, value: &[u8]) {
        let tx = environment.write().unwrap();
        tx.put(Table::Meta, KEY, value).unwrap();
        tx.commit().unwrap();
    }

    fn read(lease: &Lease<'_>) -> Vec<u8> {
        lease.get(Table::Meta, KEY, |value| Ok(value.to_vec())).unwrap().unwrap()
    }

    fn is_first(moment: &Moment, lease: &Lease<'_>) -> bool {
        std::ptr::eq(moment.first(), &**lease)
    }

    #[test]
    fn whoever_finds_a_transaction_in_use_takes_another_that_sees_the_same() {
        let (_folder, environment) = environment();
        let moment = Moment::new(environment.clone()).unwrap();
        let (first, second) = (moment.lease(), moment.lease());
        assert!(is_first(&moment, &first) && !is_first(&moment, &second));
        write(&environment, b"new");
        // None can be begun after a commit. Those that were begun before are used again.
        let third = moment.lease();
        assert!(third.taken.is_none() && is_first(&moment, &third));
        for lease in [&first, &second, &third] {
            assert_eq!(read(lease), b"old");
        }
        let used = std::ptr::from_ref(&*second);
        drop(second);
        assert!(std::ptr::eq(used, &*moment.lease()));
        assert_eq!(read(&Moment::new(environment).unwrap().lease()), b"new");
    }

    #[test]
    fn all_threads_read_one_moment_while_it_passes() {
        let (_folder, environment) = environment();
        let moment = Moment::new(environment.clone()).unwrap();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::Relaxed) {
                        assert_eq!(read(&moment.lease()), b"old");
                    }
                });
            }
            (0..20_u8).for_each(|value| write(&environment, &[value]));
            is_over.store(true, Ordering::Relaxed);
        });
        assert_eq!(read(&moment.lease()), b"old");
    }

    #[test]
    fn what_is_prepared_is_there_after_a_commit() {
        let (_folder, environment) = environment();
        let moment = Moment::new(environment.clone()).unwrap();
        moment.prepare(3);
        write(&environment, b"new");
        let leases: Vec<_> = (0..4).map(|_| moment.lease()).collect();
        assert_eq!(leases.iter().filter(|lease| lease.taken.is_some()).count(), 3);
        assert!(leases.iter().all(|lease| read(lease) == b"old"));
    }

    #[test]
    fn further_transactions_are_limited_and_given_back() {
        let (_folder, environment) = environment();
        let begin_all = |moment: &Moment| {
            let leases: Vec<_> = (0..MAX_FURTHER + 3).map(|_| moment.lease()).collect();
            leases.iter().filter(|lease| !is_first(moment, lease)).count()
        };
        let most = super::super::environment::MAX_FURTHER_READERS;
        let mut moments = Vec::new();
        let mut begun = 0;
        while begun < most {
            let moment = Moment::new(environment.clone()).unwrap();
            let more = begin_all(&moment);
            assert_eq!(more, MAX_FURTHER.min(most - begun));
            begun += more;
            moments.push(moment);
        }
        let late = Moment::new(environment.clone()).unwrap();
        assert_eq!(begin_all(&late), 0);
        assert_eq!(read(&late.lease()), b"old");
        drop(moments);
        assert_eq!(begin_all(&late), MAX_FURTHER);
        drop(late);
        assert_eq!(begin_all(&Moment::new(environment).unwrap()), MAX_FURTHER);
    }
}
