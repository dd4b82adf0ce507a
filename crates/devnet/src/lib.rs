//! An embedded L1 with a development beacon chain.
