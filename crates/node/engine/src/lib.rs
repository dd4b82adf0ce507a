//! The tree of unfinalised blocks: fork choice, payload building, persistence behind it.
