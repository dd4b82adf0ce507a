//! The behaviour of the trie, against `alloy-trie` and a literal reading of the Yellow Paper.

#[cfg(test)]
mod blinded;
#[cfg(test)]
mod decoding;
#[cfg(test)]
mod generators;
#[cfg(test)]
mod operations;
#[cfg(test)]
mod proofs;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod roots;
#[cfg(test)]
mod state;
