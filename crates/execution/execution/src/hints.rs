//! What is known of a block before it is executed, and what its execution leaves for those who execute it again.
//!
//! Hints decide when something is executed, never what comes of it. So they are taken from anybody.

use alloc::vec::Vec;
use alloy_eips::eip7928::BlockAccessList;

/// What is known of a block before it is executed. Wrong hints cost time; serial execution needs none.
#[derive(Clone, Copy, Debug, Default)]
pub enum Hints<'a> {
    /// Nothing.
    #[default]
    None,
    /// What its transactions read and write, and when (EIP-7928).
    AccessList(&'a BlockAccessList),
    /// Which of its transactions need others.
    Dependencies(&'a Dependencies),
}

/// What the execution of a block leaves for those who execute it again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockHints {
    /// What the block read and wrote, and when (EIP-7928): accounts, slots and indices in ascending order.
    ///
    /// Slots that are empty because their account was created in the same transaction are not listed if they were
    /// only read. Of an account that destroyed itself (before EIP-6780) no slots are listed that the block did not
    /// know.
    pub access_list: BlockAccessList,
    /// Which transactions need others.
    pub dependencies: Dependencies,
}

/// Which transactions of a block need what others wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// What each transaction needs, in their order.
    pub transactions: Vec<Needs>,
}

/// What a transaction needs before it can be executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needs {
    /// These transactions, by their places in the block, counted from zero and in ascending order.
    These(Vec<u32>),
    /// All transactions before it: it asks for a balance that most of them change.
    AllBefore,
}
