//! The real blocks.

use lockstep_testkit::{
    fixtures,
    source::Limits,
    witness::{WitnessBlock, find},
};

/// The real blocks of the shared fixtures; none, visibly, if the environment does not name their folder.
pub(crate) fn blocks() -> Vec<WitnessBlock> {
    let Some(fixtures) = fixtures::folder() else { return Vec::new() };
    let paths = find(&fixtures.join("op-blocks/blocks")).expect("the folder holds blocks");
    assert_eq!(paths.len(), 6);
    let load = |path| WitnessBlock::load(path, &Limits::default()).expect("the block is whole");
    paths.iter().map(|path| load(path.as_path())).collect()
}
