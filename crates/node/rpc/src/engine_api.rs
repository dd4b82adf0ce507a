//! The `engine` namespace, through which a consensus client drives the node, and its server.
//!
//! Source: execution-apis, `src/engine`; for rollups, the OP Stack's specification of its
//! execution engine.

mod checks;
mod error;
mod jwt;
mod methods;
mod server;

pub use error::EngineApiError;
pub use jwt::{JwtError, JwtSecret, UnixClock};
pub use methods::{ClientVersion, engine_methods};
pub use server::{EngineServer, EngineServerSettings};
