//! Run calls and past transactions on any state, and tell what they did.
//!
//! A state to read (any [`StateReader`](lockstep_execution::StateReader)), a header or a block, and
//! what a user asks for go in; results go out in the types that JSON-RPC shows. Everything runs
//! through the chain's own EVM and executor, so it does what blocks do.
//!
//! - Calls: [`call`], [`estimate_gas`], [`create_access_list`]; [`simulate_v1`] builds whole blocks.
//! - Past transactions: [`trace_transaction`], [`trace_block`] and [`trace_call`] tell them as
//!   go-ethereum does (`debug_*`), [`block_traces`] and its neighbours as OpenEthereum did
//!   (`trace_*`), [`otterscan_trace`] and its neighbours as Otterscan wants (`ots_*`).
//! - [`BlockReplay`] runs a block again under any inspector, each transaction once, and shows the
//!   state before each.
//! - On a member of a union calls go on to other rollups through [`Limits::peers`].
//! - [`execution_witness`] collects what a block reads, so that it can run on nothing else.
//!
//! ```
//! use alloy_consensus::Header;
//! use alloy_primitives::{Address, U256, bytes};
//! use alloy_rpc_types_eth::TransactionRequest;
//! use lockstep_chain::{Ethereum, EthereumHardfork, ForkSchedule};
//! use lockstep_execution::{Bytecode, MemoryState};
//! use lockstep_inspect::{Limits, Overrides, call};
//!
//! let chain = Ethereum::new(1337, ForkSchedule::<EthereumHardfork>::at(EthereumHardfork::Shanghai));
//! let header = Header { number: 7, gas_limit: 30_000_000, base_fee_per_gas: Some(1), ..Default::default() };
//! let contract = Address::repeat_byte(1);
//! let mut state = MemoryState::default();
//! // return block number
//! let code = Bytecode::new_raw(bytes!("435f5260205ff3"));
//! state.set_account(contract, 1, U256::ZERO, code);
//!
//! let request = TransactionRequest::default().to(contract);
//! let outcome = call(&chain, &header, &state, &request, &Overrides::default(), &Limits::DEFAULT)?;
//! assert_eq!(U256::from_be_slice(&outcome.into_output()?), U256::from(7));
//! # Ok::<(), lockstep_inspect::InspectError>(())
//! ```
//!
//! # Assumptions
//! - A state that is given is the one the code is to run on: for a call the state after its block,
//!   for a block of the chain its parent's.
//! - Blocks to replay are valid; one that does not execute is an error, never a panic.
//! - Senders are those of the signatures.
//!
//! # Invariants
//! - Nothing is written and nothing is kept: every function starts from what it is given.
//! - No clock: who wants to stop something says so through [`Limits::stop`].
//! - The same arguments give the same result, order included.
//! - Error sentences and codes are go-ethereum's where it has one.
//!
//! # Limits
//! - [`Limits`]: gas of a call or simulation (50 million), bytes of a trace (512 MiB), overridden
//!   accounts and slots (100,000), blocks of a simulation (256). Call depth is the EVM's 1,024.
//! - A call on a member of a union keeps one state and one EVM for each rollup that it reaches; gas, time
//!   and depth are those of the whole call.
//! - An access list settles within 16 rounds or is what the last one gave; a `muxTracer` runs at
//!   most 8 tracers.
//! - Without [`Limits::stop`] a call is bounded by its gas alone.

mod access_list;
mod call;
mod chain;
mod debug;
mod error;
mod estimate;
mod execute;
mod frames;
mod limits;
mod otterscan;
mod overlay;
mod parity;
mod peers;
mod precompiles;
mod replay;
mod request;
mod revert;
mod simulate;
mod tracer;
mod witness;

pub use access_list::create_access_list;
pub use call::call;
pub use chain::{Inspect, UnsignedTransaction};
pub use debug::{trace_block, trace_call, trace_timeout, trace_transaction};
pub use error::{InspectError, Refusal};
pub use estimate::estimate_gas;
pub use execute::{CallOutcome, ContextOf, Ending, EvmOf, OutcomeOf, Overrides};
pub use limits::Limits;
pub use otterscan::{
    ContractCreation, contract_creation, created_address, first_block_with_code,
    internal_operations, issuance, otterscan_trace, total_fees, transaction_by_nonce,
    transaction_error,
};
pub use overlay::Overlay;
pub use parity::{
    TraceFilter, TraceFilterMatcher, block_traces, replay_block_transactions, replay_transaction,
    trace_call_many, trace_call_parity, trace_raw_transaction, transaction_traces,
};
pub use peers::{CallSite, PeerBlock, PeerState, PeerStateError, Peers};
pub use replay::{BlockReplay, ReplayBlock, Replayed, state_before};
pub use revert::{revert_message, revert_reason};
pub use simulate::{BlockStateCall, SimulateRequest, SimulatedOverrides, simulate_v1};
pub use witness::execution_witness;
