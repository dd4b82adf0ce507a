//! Speak JSON-RPC to users and consensus clients.
