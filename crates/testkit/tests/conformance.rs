//! Runs over small directories of fixtures, good and broken.

#[cfg(test)]
mod tests {
    use core::iter;
    use lockstep_testkit::{
        Report,
        conformance::{Options, run},
        executors::Executors,
        report::{Counts, Suite},
        source::Limits,
    };
    use regex_lite::Regex;
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    fn directory(test: &str, files: &[(&str, &str)]) -> PathBuf {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("conformance-{}", std::process::id()))
            .join(test);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
        path
    }

    fn report(path: &Path, jobs: usize, filter: Option<&str>) -> Report {
        let options = Options {
            executors: iter::repeat_with(Executors::default).take(jobs).collect(),
            filter: filter.map(|filter| Regex::new(filter).unwrap()),
            limits: Limits::default(),
        };
        run(&[path.into()], &options, &mut |_| {})
    }

    const RLP: &str = r#"{
        "dog": {"in": "dog", "out": "0x83646f67"},
        "cat": {"in": "cat", "out": "0x83646f67"},
        "cow": {"in": "cow", "out": "0x83636f77"}
    }"#;

    #[test]
    fn the_report_does_not_depend_on_the_number_of_threads() {
        let files: Vec<(String, &str)> = (0..40).map(|n| (format!("{n}.json"), RLP)).collect();
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (name.as_str(), *text)).collect();
        let path = directory("threads", &files);
        let one = report(&path, 1, None);
        assert_eq!(one.counts, Counts { passed: 80, failed: 40, skipped: 0 });
        for jobs in [2, 7] {
            assert_eq!(report(&path, jobs, None), one, "{jobs}");
        }
    }

    #[test]
    fn a_filter_selects_by_file_and_case() {
        let path = directory("filter", &[("a.json", RLP), ("b.json", RLP)]);
        let passed = |filter| report(&path, 2, Some(filter)).counts;
        assert_eq!(passed("::dog$"), Counts { passed: 2, failed: 0, skipped: 0 });
        assert_eq!(passed("a.json::c"), Counts { passed: 1, failed: 1, skipped: 0 });
        assert_eq!(passed("nothing"), Counts::default());
    }

    #[test]
    fn broken_files_are_failures_that_name_file_and_field() {
        let path = directory(
            "broken",
            &[
                ("1.json", "{"),
                ("2.json", "[]"),
                ("3.json", r#"{"case": {"what": "is this"}}"#),
                ("4.json", r#"{"case": {"in": {"a": []}, "root": "0x00"}}"#),
                ("5.json", r#"{"case": {"blocks": [{"rlp": "0xzz"}]}}"#),
                (
                    "6.json",
                    r#"{"case": {"env": {"currentCoinbase": 1}, "transaction": {}, "post": {}}}"#,
                ),
                ("7.json", &format!(r#"{{"case": {}1{}}}"#, "[".repeat(500), "]".repeat(500))),
                ("8.json", r#"{"case": 1}"#),
                ("9.json", RLP),
            ],
        );
        let report = report(&path, 2, None);
        assert_eq!(report.counts, Counts { passed: 2, failed: 9, skipped: 0 });
        let reasons: Vec<String> =
            report.failures.iter().map(|failure| failure.reason.clone()).collect();
        for (reason, wanted) in reasons.iter().zip([
            "1.json: field `.`: EOF",
            "2.json: field `.`: invalid type: sequence",
            "3.json: no known fixture format: \"case\"",
            "4.json: field `case`",
            "5.json: field `case.blocks[0].rlp`: \"0xzz\" is not hex",
            "6.json: field `case.env.currentCoinbase`",
            "7.json: field `case`",
            "8.json: field `case`",
        ]) {
            assert!(reason.contains(wanted), "{reason}\nlacks {wanted}");
        }
    }

    #[test]
    fn forks_ahead_of_the_evm_are_skips_with_a_reason() {
        let text = r#"{"case": {"txbytes": "0x", "result": {
            "Amsterdam": {"exception": "X"}, "Berlin": {"exception": "X"}}}}"#;
        let report = report(&directory("skips", &[("a.json", text)]), 1, None);
        assert_eq!(report.counts, Counts { passed: 1, failed: 0, skipped: 1 });
        assert!(report.skips[0].reason.contains("Amsterdam"));
        assert!(report.by_suite.contains_key(&Suite::Transaction));
    }

    #[test]
    fn transactions_in_the_format_before_2021_are_read() {
        let text = r#"{"case": {"_info": {}, "rlp": "0x01", "Berlin": {}, "Byzantium": {}},
            "not hex": {"rlp": "xyz", "Berlin": {}}}"#;
        let report = report(&directory("old", &[("a.json", text)]), 1, None);
        assert_eq!(report.counts, Counts { passed: 3, failed: 0, skipped: 0 });
    }

    #[test]
    fn difficulties_by_fork_are_read() {
        let case = r#"{"parentTimestamp": "42", "parentDifficulty": "1000000", "parentUncles": "0x00",
            "currentTimestamp": "43", "currentBlockNumber": "42", "currentDifficulty": "1000488"}"#;
        let text = format!(r#"{{"difficulty": {{"_info": {{}}, "Frontier": {{"one": {case}}}}}}}"#);
        let report = report(&directory("difficulty", &[("a.json", &text)]), 1, None);
        assert_eq!(report.counts, Counts { passed: 1, failed: 0, skipped: 0 }, "{report:?}");
    }
}
