//! One process per folder.

use crate::{
    client::Client,
    driver::{Driver, Ledger, NodeFolder},
    program::{Program, check, text},
    random::Random,
};

#[test]
fn a_second_process_on_a_folder_ends_and_says_who_uses_it() {
    let folder = NodeFolder::new();
    let first = folder.start();
    let ready = first.ready();
    let log = folder.beside("second.log");
    let second = folder.with_args(&folder.data(), |args| Program::start(args, &log)).end();
    let checked = check(&folder.data());
    for (ended, status) in [(second, 1), (checked, 2)] {
        assert_eq!(ended.status.code(), Some(status), "{ended:?}");
        let folder = text(&folder.data()).to_owned();
        for part in [&*folder, "cannot be used: process ", " uses it; stop that process first"] {
            assert!(ended.errors.contains(part), "{ended:?}");
        }
    }
    // The first one has not noticed.
    let mut ledger = Ledger::default();
    ledger.assert_kept(&Client::new(&ready["http"]), "beside a second process");
    let mut driver = Driver::connect(&folder.data(), &ready, Random::from_environment(3));
    driver.step(&mut ledger).unwrap();
    assert!(first.stop().status.success());
}
