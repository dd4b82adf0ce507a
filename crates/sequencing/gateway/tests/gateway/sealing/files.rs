//! Files of a gateway that somebody has changed, and has given the right checksums: what is wrong is told, and nothing panics.

use super::{FakeProver, Shared, key, run};
use crate::{
    blocks::SLOT_SECONDS,
    l1::FakeL1,
    world::{Random, World},
};
use alloy_primitives::keccak256;
use lockstep_gateway::{Gateway, GatewayError, GatewayKey, SealSettings, Sealer, SealerParts};
use std::{fs, path::Path};

/// A file's mark, which it begins with twice, and each record.
const MARK: usize = 8;

/// The mark of a file, and the bodies of its records.
fn read(path: &Path) -> (Vec<u8>, Vec<Vec<u8>>) {
    let bytes = fs::read(path).unwrap();
    let (mut at, mut bodies) = (2 * MARK, Vec::new());
    while let Some(length) = bytes.get(at + MARK..at + MARK + 4) {
        let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
        let Some(body) = bytes.get(at + MARK + 12..at + MARK + 12 + length) else { break };
        bodies.push(body.to_vec());
        at += MARK + 12 + length;
    }
    (bytes[..MARK].to_vec(), bodies)
}

fn write(path: &Path, mark: &[u8], bodies: &[Vec<u8>]) {
    let mut bytes = mark.repeat(2);
    for body in bodies {
        bytes.extend_from_slice(mark);
        bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&keccak256(body)[..8]);
        bytes.extend_from_slice(body);
    }
    fs::write(path, bytes).unwrap();
}

/// One change of the records, of many kinds.
fn change(bodies: &mut Vec<Vec<u8>>, random: &mut Random) {
    let mut below = |limit: usize| usize::try_from(random.below(limit as u64)).unwrap();
    if bodies.is_empty() {
        return;
    }
    let at = below(bodies.len());
    match below(9) {
        0 => drop(bodies.remove(at)),
        1 => bodies.insert(at, bodies[at].clone()),
        2 => {
            let other = below(bodies.len());
            bodies.swap(at, other);
        }
        3 => {
            let length = 1 + below(bodies[at].len());
            bodies[at].truncate(length);
        }
        4 => bodies[at].push(7),
        5 => bodies[at] = (0..1 + below(90)).map(|_| below(2) as u8).collect(),
        // Most of what lengths and kinds are is in front.
        6 => {
            let byte = below(bodies[at].len().min(24));
            bodies[at][byte] = below(256) as u8;
        }
        _ => {
            let byte = below(bodies[at].len());
            bodies[at][byte] ^= 1 << below(8);
        }
    }
}

/// Opens a file that was changed in many ways; how often that was refused.
fn refusals(path: &Path, open: impl Fn() -> Result<(), GatewayError>) -> usize {
    let (mark, bodies) = read(path);
    assert!(bodies.len() > 3, "{} records", bodies.len());
    open().expect("it is as it was written");
    let (mut random, mut refused) = (Random(9), 0);
    for _ in 0..1_000 {
        let mut changed = bodies.clone();
        (0..=random.below(3)).for_each(|_| change(&mut changed, &mut random));
        write(path, &mark, &changed);
        refused += usize::from(open().is_err());
    }
    refused
}

/// What a gateway leaves that was killed in a round in which much was decided, while batches waited for L1.
fn killed() -> World {
    let mut random = Random(4);
    for seed in 0..20 {
        let mut world = World::new(2, 4);
        let inbox = Shared::new(seed);
        let mut union = inbox.start(&world);
        (0..3 * SLOT_SECONDS).for_each(|_| inbox.round(&world, &mut union));
        inbox.0.lock().l1.faults.empty_block = 1_000;
        let kill_at = 200 + random.below(60);
        run(&inbox, &mut world, &mut union, &mut random, kill_at);
        if [world.log(), world.sealed()].iter().all(|path| read(path).1.len() > 3) {
            return world;
        }
    }
    panic!("nothing is ever decided");
}

#[test]
fn records_that_are_none_are_refused() {
    let world = killed();
    let sealed = refusals(&world.sealed(), || {
        let gateway = key("gateway");
        let parts = SealerParts {
            rollups: world.plans.iter().map(|plan| plan.config.clone()).collect(),
            key: GatewayKey { address: gateway.address(), signer: Box::new(gateway) },
            prover: Box::new(FakeProver),
        };
        Sealer::new(SealSettings::default(), parts, Some(&world.sealed())).map(drop)
    });
    let decisions = refusals(&world.log(), || {
        Gateway::<FakeL1>::new(Vec::new(), world.settings, Some(&world.log())).map(drop)
    });
    assert!(sealed > 300 && decisions > 150, "{sealed} {decisions}");
}
