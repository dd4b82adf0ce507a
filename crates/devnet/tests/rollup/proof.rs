//! Proves what a follower has, with nothing but hashes.

use crate::world::World;
use lockstep_host::{BlockRange, Host, MemoryStore, Outcome, read_witness, write_witness};

/// Blocks that are proven at a time.
const RANGE: u64 = 100;

/// Executes all blocks up to the follower's head in ranges, first with what nodes answer, then
/// again with nothing but what was kept of that.
pub(crate) fn prove_everything(world: &World) {
    let folder = tempfile::tempdir().unwrap();
    let hashes = world.following.hashes();
    let whole = BlockRange { agreed: 0, claimed: world.following.head().number };
    let mut output_root = None;
    for range in whole.split(RANGE) {
        let host = Host::online(MemoryStore::default(), world.sources());
        let online = host.verify(range, Some(world.l1_genesis.clone())).unwrap();
        let path = folder.path().join(range.claimed.to_string());
        write_witness(&path, &host.witness().unwrap()).unwrap();

        let offline = Host::of_witness(read_witness(&path).unwrap()).unwrap().repeat().unwrap();

        for Outcome { boot, agreed, verdict } in [&online, &offline] {
            assert!(verdict.holds, "{range:?}: {verdict:?}");
            assert_eq!(agreed.hash, hashes[range.agreed as usize]);
            assert_eq!(verdict.head.number, range.claimed);
            assert_eq!(verdict.head.hash, hashes[range.claimed as usize]);
            // Each begins with what the one before came to.
            assert!(output_root.is_none_or(|root| root == boot.agreed_l2_output_root));
        }
        assert_eq!(online.verdict, offline.verdict);
        output_root = Some(online.verdict.output_root);
    }
    let safe = world.following.local.safe_block().unwrap().unwrap();
    assert_eq!(output_root, Some(safe.output_root));
}
