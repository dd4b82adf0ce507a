//! Ethereum's official fixtures and real blocks, where the environment says they are.
//!
//! The state tests, minutes of work, are left to `lockstep conformance`, which runs everything.

#[cfg(test)]
mod tests {
    use core::{num::NonZeroUsize, ops::ControlFlow};
    use lockstep_parallel::ParallelExecutor;
    use lockstep_testkit::{
        conformance::{Options, run},
        executors::Executors,
        fixtures, mainnet,
        source::Limits,
    };
    use std::thread;

    /// Runs the fixtures of these paths: at least `cases` must pass, and none may fail or be
    /// skipped.
    fn pass(paths: &[&str], cases: u64) {
        let Some(fixtures) = fixtures::folder() else { return };
        let paths: Vec<_> = paths.iter().map(|path| fixtures.join(path)).collect();
        let jobs = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let start = |_| ParallelExecutor::new(2).expect("threads start").always_parallel();
        let executors = (0..jobs).map(start).map(Executors::Both).collect();
        let options = Options { executors, filter: None, limits: Limits::default() };
        let report = run(&paths, &options, &mut |_| {});
        assert!(report.is_success(), "{:#?}", report.failures);
        assert!(report.counts.passed >= cases, "{:?}", report.counts);
        assert_eq!(report.skips, []);
    }

    #[test]
    fn official_prague_and_osaka_tests_pass() {
        pass(&["eest"], 6_612);
    }

    #[test]
    fn official_block_tests_pass() {
        pass(
            &[
                "ethereum-tests/blockchain-invalid.tar.zst",
                "ethereum-tests/blockchain-transition.tar.zst",
                "ethereum-tests/blockchain-valid.tar.zst",
                "ethereum-tests/legacy-istanbul-to-cancun-blockchain.tar.zst",
            ],
            2_456,
        );
    }

    #[test]
    fn official_trie_rlp_transaction_and_difficulty_tests_pass() {
        pass(&["ethereum-tests/misc-trie-rlp-tx-basic.tar.zst"], 7_653);
    }

    #[test]
    fn real_blocks_hold_what_their_headers_commit_to() {
        let Some(fixtures) = fixtures::folder() else { return };
        let path = fixtures.join("mainnet-blocks");
        let (mut executed, mut decoded) = (0, 0);
        let _ = mainnet::visit(&path, &mainnet::Limits::default(), &mut |fixture| {
            let fixture = fixture.expect("the fixtures are whole");
            let number = fixture.number();
            assert_eq!(fixture.check_block(), [], "block {number}");
            if fixture.is_complete() {
                let output = fixture.execute().expect("the block is valid");
                assert_eq!(fixture.check_output(&output), [], "block {number}");
                executed += 1;
            } else {
                decoded += 1;
            }
            ControlFlow::Continue(())
        });
        assert_eq!((executed, decoded), (53, 17));
    }
}
