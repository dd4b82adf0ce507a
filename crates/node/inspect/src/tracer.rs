//! The tracers of `debug_trace*`.

use crate::{
    InspectError,
    frames::{correct_errors, flat_frames},
    limits::Recorded,
    replay::PreState,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::geth::{
    CallConfig, FlatCallConfig, FourByteFrame, GethDebugBuiltInTracerType as BuiltIn,
    GethDebugTracerConfig, GethDebugTracerType, GethDebugTracingOptions, GethDefaultTracingOptions,
    GethTrace, NoopFrame, PreStateConfig, PreStateFrame, mux::MuxConfig,
};
use lockstep_execution::{BlockState, StateError, StateReader};
use revm::{
    DatabaseRef, Inspector,
    context_interface::{
        ContextTr,
        result::{HaltReasonTr, ResultAndState},
    },
    inspector::JournalExt,
    interpreter::{CallInputs, CallOutcome, CreateInputs, CreateOutcome, Interpreter},
    primitives::Log,
    state::EvmState,
};
use revm_inspectors::tracing::{
    FourByteInspector, MuxInspector, TracingInspector, TracingInspectorConfig, types::CallTraceNode,
};

/// The tracers that one `muxTracer` may run.
const MAX_MUXED: usize = 8;

/// One of the built-in tracers.
#[derive(Debug)]
pub(crate) enum Tracer {
    Struct(StructLogger),
    Call(TracingInspector, CallConfig),
    PreState(TracingInspector, PreStateConfig),
    FlatCall(TracingInspector, FlatCallConfig),
    FourByte(FourByteInspector),
    Noop,
    Mux(Box<MuxInspector>, MuxConfig),
}

/// Keeps every step, up to the limit that the client set.
#[derive(Debug)]
pub(crate) struct StructLogger {
    inner: TracingInspector,
    options: GethDefaultTracingOptions,
    kept: u64,
    /// Whether the step that runs is kept.
    keeps: bool,
}

impl StructLogger {
    fn new(options: GethDefaultTracingOptions) -> Self {
        let recorded = TracingInspectorConfig::from_geth_config(&options);
        Self { inner: TracingInspector::new(recorded), options, kept: 0, keeps: false }
    }

    /// The most steps to keep; 0 means all, as go-ethereum has it.
    fn limit(&self) -> Option<u64> {
        self.options.limit.filter(|limit| *limit > 0)
    }

    fn reset(&mut self) {
        self.inner.fuse();
        (self.kept, self.keeps) = (0, false);
    }

    fn step<CTX: ContextTr<Journal: JournalExt>>(
        &mut self,
        interpreter: &mut Interpreter,
        context: &mut CTX,
    ) {
        self.keeps = self.limit().is_none_or(|limit| self.kept < limit);
        if self.keeps {
            self.kept += 1;
            Inspector::<CTX>::step(&mut self.inner, interpreter, context);
        }
    }

    fn step_end<CTX: ContextTr<Journal: JournalExt>>(
        &mut self,
        interpreter: &mut Interpreter,
        context: &mut CTX,
    ) {
        if self.keeps {
            Inspector::<CTX>::step_end(&mut self.inner, interpreter, context);
        }
    }

    fn trace(&mut self, traced: Traced, gas_used: u64, output: Bytes) -> GethTrace {
        prepare(&mut self.inner, traced);
        let mut frame = self.inner.geth_builder().geth_traces(gas_used, output, self.options);
        // What is zero or empty is absent, as go-ethereum writes it.
        for log in &mut frame.struct_logs {
            log.return_data = log.return_data.take().filter(|data| !data.is_empty());
            log.refund_counter = log.refund_counter.filter(|refund| *refund > 0);
        }
        frame.into()
    }
}

/// What a tracer needs to know of the transaction it traced.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traced {
    pub(crate) gas_limit: u64,
    pub(crate) sender: Address,
    pub(crate) info: TransactionInfo,
}

impl Tracer {
    /// The tracer that the options name; the struct logger if they name none.
    ///
    /// # Errors
    /// [`InspectError::UnknownTracer`], [`InspectError::Argument`] for a malformed `tracerConfig`.
    pub(crate) fn new(options: &GethDebugTracingOptions) -> Result<Self, InspectError> {
        let config = options.tracer_config.clone();
        let tracer = match &options.tracer {
            None => {
                return Ok(Self::Struct(StructLogger::new(options.config)));
            }
            Some(GethDebugTracerType::BuiltInTracer(tracer)) => *tracer,
            Some(GethDebugTracerType::JsTracer(name)) => {
                return Err(InspectError::UnknownTracer(shortened(name)));
            }
        };
        Ok(match tracer {
            BuiltIn::CallTracer => {
                let config = config.into_call_config().map_err(|error| malformed(&error))?;
                let recorded = TracingInspectorConfig::from_geth_call_config(&config);
                Self::Call(TracingInspector::new(recorded), config)
            }
            BuiltIn::PreStateTracer => {
                let config = config.into_pre_state_config().map_err(|error| malformed(&error))?;
                let recorded = TracingInspectorConfig::from_geth_prestate_config(&config);
                Self::PreState(TracingInspector::new(recorded), config)
            }
            BuiltIn::FlatCallTracer => {
                let config: FlatCallConfig =
                    config.into_flat_call_config().map_err(|error| malformed(&error))?;
                // Only then are calls to precompiles marked; which are told is decided later.
                let recorded = TracingInspectorConfig::from_flat_call_config(&config)
                    .set_exclude_precompile_calls(true);
                Self::FlatCall(TracingInspector::new(recorded), config)
            }
            BuiltIn::FourByteTracer => Self::FourByte(FourByteInspector::default()),
            BuiltIn::NoopTracer => Self::Noop,
            BuiltIn::MuxTracer => {
                let config =
                    complete(config.into_mux_config().map_err(|error| malformed(&error))?)?;
                Self::Mux(Box::new(muxed(&config)?), config)
            }
            other => {
                let name = serde_json::to_string(&other).unwrap_or_default();
                return Err(InspectError::UnknownTracer(name.trim_matches('"').to_owned()));
            }
        })
    }

    /// What it keeps of every step.
    pub(crate) fn recorded(&self) -> Recorded {
        match self {
            Self::Struct(logger) => {
                let config = logger.inner.config();
                Recorded {
                    steps: true,
                    stack: config.record_stack_snapshots.is_full(),
                    memory: config.record_memory_snapshots,
                    storage: logger.options.is_storage_enabled(),
                    limit: logger.limit(),
                }
            }
            _ => Recorded::default(),
        }
    }

    /// Forgets what it saw, for the next transaction.
    pub(crate) fn reset(&mut self) -> Result<(), InspectError> {
        match self {
            Self::Struct(logger) => logger.reset(),
            Self::Call(tracer, _) | Self::PreState(tracer, _) | Self::FlatCall(tracer, _) => {
                tracer.fuse();
            }
            Self::FourByte(tracer) => *tracer = FourByteInspector::default(),
            Self::Noop => {}
            Self::Mux(tracer, config) => **tracer = muxed(config)?,
        }
        Ok(())
    }

    /// What it saw of a transaction; `state` is the one before it.
    pub(crate) fn trace<S: StateReader>(
        &mut self,
        traced: Traced,
        outcome: &ResultAndState<impl HaltReasonTr>,
        state: &mut BlockState<S>,
    ) -> Result<GethTrace, InspectError> {
        let gas_used = outcome.result.tx_gas_used();
        let before = PreState::new(state);
        let trace = match self {
            Self::Struct(logger) => {
                let output = outcome.result.output().cloned().unwrap_or_default();
                Ok(logger.trace(traced, gas_used, output))
            }
            Self::Call(tracer, config) => {
                prepare(tracer, traced);
                let mut root = tracer.geth_builder().geth_call_traces(*config, gas_used);
                correct_errors(&mut root, tracer.traces().nodes());
                Ok(root.into())
            }
            Self::PreState(tracer, config) => {
                prepare(tracer, traced);
                let frame = tracer.geth_builder().geth_prestate_traces(outcome, config, &before);
                let nodes = tracer.traces().nodes();
                frame
                    .and_then(|frame| without_created(frame, nodes, &before))
                    .map(|frame| with_destroyed(frame, *config, &outcome.state).into())
            }
            Self::FlatCall(tracer, config) => {
                prepare(tracer, traced);
                let nodes = tracer.traces().nodes();
                let Traced { gas_limit, info, .. } = traced;
                Ok(flat_frames(nodes, *config, gas_limit, gas_used, info).into())
            }
            Self::FourByte(tracer) => Ok(FourByteFrame::from(&*tracer).into()),
            Self::Noop => Ok(NoopFrame::default().into()),
            Self::Mux(tracer, _) => {
                tracer.try_into_mux_frame(outcome, &before, traced.info).map(Into::into)
            }
        };
        trace.map_err(|error| crate::execute::state_failure(state, error))
    }
}

/// Takes the accounts out of a prestate that began to exist in the transaction, as go-ethereum
/// does.
fn without_created<S: StateReader>(
    mut frame: PreStateFrame,
    nodes: &[CallTraceNode],
    before: &PreState<'_, S>,
) -> Result<PreStateFrame, StateError> {
    if let PreStateFrame::Default(prestate) = &mut frame {
        for node in nodes.iter().filter(|node| node.trace.kind.is_any_create()) {
            let address = node.trace.address;
            if before.basic_ref(address)?.is_none_or(|info| info.is_empty()) {
                prestate.0.remove(&address);
            }
        }
    }
    Ok(frame)
}

/// Adds the slots of accounts that the transaction destroyed to the state before it, as go-ethereum
/// does: all that were touched, for all of them are gone.
fn with_destroyed(
    mut frame: PreStateFrame,
    config: PreStateConfig,
    state: &EvmState,
) -> PreStateFrame {
    if let PreStateFrame::Diff(diff) = &mut frame
        && config.storage_enabled()
    {
        for (address, account) in state.iter().filter(|(_, account)| account.is_selfdestructed()) {
            if let Some(before) = diff.pre.get_mut(address) {
                let slots = account.storage.iter();
                let slots = slots.map(|(key, slot)| (*key, slot.original_value));
                before
                    .storage
                    .extend(slots.map(|(key, value)| (B256::from(key), B256::from(value))));
            }
        }
    }
    frame
}

fn prepare(tracer: &mut TracingInspector, traced: Traced) {
    tracer.set_transaction_gas_limit(traced.gas_limit);
    tracer.set_transaction_caller(traced.sender);
}

fn malformed(error: &serde_json::Error) -> InspectError {
    InspectError::Argument(format!("tracerConfig: {error}"))
}

/// A JavaScript tracer is a program; its first characters do to recognize it.
fn shortened(name: &str) -> String {
    name.chars().take(40).collect()
}

fn muxed(config: &MuxConfig) -> Result<MuxInspector, InspectError> {
    MuxInspector::try_from_config(config.clone())
        .map_err(|error| InspectError::Argument(format!("muxTracer: {error}")))
}

/// Gives the muxed tracers the configurations that they insist on.
fn complete(config: MuxConfig) -> Result<MuxConfig, InspectError> {
    let got = config.0.len();
    if got > MAX_MUXED {
        let (got, limit) = (got as u64, MAX_MUXED as u64);
        return Err(InspectError::Limit { what: "muxed tracers", got, limit });
    }
    let completed = config.0.into_iter().map(|(tracer, config)| {
        let takes_config = !matches!(
            tracer,
            GethDebugTracerType::BuiltInTracer(BuiltIn::FourByteTracer | BuiltIn::NoopTracer)
        );
        let config = config.filter(|config| !config.is_null());
        let empty = || GethDebugTracerConfig(serde_json::Value::Object(Default::default()));
        (tracer, takes_config.then(|| config.unwrap_or_else(empty)))
    });
    Ok(MuxConfig(completed.collect()))
}

macro_rules! delegate {
    ($self:ident.$method:ident($($argument:expr),*)) => {
        match $self {
            Self::Struct(StructLogger { inner: tracer, .. })
            | Self::Call(tracer, _)
            | Self::PreState(tracer, _)
            | Self::FlatCall(tracer, _) => Inspector::<CTX>::$method(tracer, $($argument),*),
            Self::FourByte(tracer) => Inspector::<CTX>::$method(tracer, $($argument),*),
            Self::Mux(tracer, _) => Inspector::<CTX>::$method(&mut **tracer, $($argument),*),
            Self::Noop => Default::default(),
        }
    };
}

impl<CTX: ContextTr<Journal: JournalExt>> Inspector<CTX> for Tracer {
    fn initialize_interp(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        delegate!(self.initialize_interp(interpreter, context))
    }

    fn step(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        if let Self::Struct(logger) = self {
            return logger.step(interpreter, context);
        }
        delegate!(self.step(interpreter, context))
    }

    fn step_end(&mut self, interpreter: &mut Interpreter, context: &mut CTX) {
        if let Self::Struct(logger) = self {
            return logger.step_end(interpreter, context);
        }
        delegate!(self.step_end(interpreter, context))
    }

    fn log(&mut self, context: &mut CTX, log: Log) {
        delegate!(self.log(context, log))
    }

    fn log_full(&mut self, interpreter: &mut Interpreter, context: &mut CTX, log: Log) {
        delegate!(self.log_full(interpreter, context, log))
    }

    fn call(&mut self, context: &mut CTX, inputs: &mut CallInputs) -> Option<CallOutcome> {
        delegate!(self.call(context, inputs))
    }

    fn call_end(&mut self, context: &mut CTX, inputs: &CallInputs, outcome: &mut CallOutcome) {
        delegate!(self.call_end(context, inputs, outcome))
    }

    fn create(&mut self, context: &mut CTX, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        delegate!(self.create(context, inputs))
    }

    fn create_end(
        &mut self,
        context: &mut CTX,
        inputs: &CreateInputs,
        outcome: &mut CreateOutcome,
    ) {
        delegate!(self.create_end(context, inputs, outcome))
    }

    fn selfdestruct(&mut self, contract: Address, target: Address, value: U256) {
        delegate!(self.selfdestruct(contract, target, value))
    }
}
