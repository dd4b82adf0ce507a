//! Assemble a node from replaceable parts.
