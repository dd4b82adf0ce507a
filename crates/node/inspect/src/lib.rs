//! Run calls and past transactions on any state, and tell what they did.
