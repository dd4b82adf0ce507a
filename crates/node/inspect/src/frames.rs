//! Call frames as go-ethereum tells them, where that differs from what the inspectors tell.

use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::{
    geth::{CallFrame, FlatCallConfig},
    parity::{
        Action, CallOutput, CreateOutput, LocalizedTransactionTrace, TraceOutput, TransactionTrace,
    },
};
use revm::interpreter::InstructionResult;
use revm_inspectors::tracing::types::{CallKind, CallTraceNode};

/// Gives the frames of a call tree go-ethereum's sentences for errors.
pub(crate) fn correct_errors(root: &mut CallFrame, nodes: &[CallTraceNode]) {
    let mut nodes = nodes.iter();
    let mut pending = vec![root];
    // Frames in depth-first order are the nodes in their order, but for self-destructs.
    while let Some(frame) = pending.pop() {
        if frame.typ != "SELFDESTRUCT"
            && let Some(error) = nodes.next().and_then(frame_error)
        {
            frame.error = Some(error);
        }
        pending.extend(frame.calls.iter_mut().rev());
    }
}

/// go-ethereum's sentence for how a frame failed; `None` if it did not, or if the inspectors' will
/// do.
fn frame_error(node: &CallTraceNode) -> Option<String> {
    use InstructionResult as R;
    let trace = &node.trace;
    let status = trace.status?;
    // The code to be stored is what the frame returned.
    let stored_nothing = trace.kind.is_any_create() && !trace.output.is_empty();
    let text = match status {
        status if status.is_ok() => return None,
        R::Revert => "execution reverted",
        R::OutOfGas if stored_nothing => "contract creation code storage out of gas",
        R::OutOfGas | R::MemoryOOG | R::MemoryLimitOOG | R::PrecompileOOG => "out of gas",
        R::ReentrancySentryOOG => "out of gas: not enough gas for reentrancy sentry",
        R::InvalidOperandOOG => "gas uint64 overflow",
        R::CallTooDeep => "max call depth exceeded",
        R::OutOfFunds => "insufficient balance for transfer",
        R::InvalidJump => "invalid jump destination",
        R::StackUnderflow => "stack underflow",
        R::StackOverflow => "stack limit reached 1024 (1023)",
        R::CreateCollision => "contract address collision",
        R::CreateContractSizeLimit => "max code size exceeded",
        R::CreateContractStartingWithEF => "invalid code: must not begin with 0xef",
        R::CreateInitCodeSizeLimit => "max initcode size exceeded",
        R::StateChangeDuringStaticCall | R::CallNotAllowedInsideStatic => "write protection",
        R::OutOfOffset => "return data out of bounds",
        R::NonceOverflow => "nonce uint64 overflow",
        _ => return node.geth_empty_call_frame(false).error,
    };
    Some(text.to_owned())
}

/// OpenEthereum's sentence for go-ethereum's (`convertParityErrors`).
fn parity_error(error: &str) -> Option<&'static str> {
    Some(match error {
        "contract creation code storage out of gas"
        | "out of gas"
        | "gas uint64 overflow"
        | "max code size exceeded" => "Out of gas",
        "invalid jump destination" => "Bad jump destination",
        "execution reverted" => "Reverted",
        "return data out of bounds" => "Out of bounds",
        "stack limit reached 1024 (1023)" => "Out of stack",
        "precompiled failed" | "invalid input length" => "Built-in failed",
        error if error.starts_with("out of gas") => "Out of gas",
        error if error.starts_with("invalid opcode") => "Bad instruction",
        error if error.starts_with("stack underflow") => "Stack underflow",
        _ => return None,
    })
}

/// The frames of a transaction in one list, as `flatCallTracer` tells them. `gas_limit` and
/// `gas_used` are the whole transaction's.
pub(crate) fn flat_frames(
    nodes: &[CallTraceNode],
    config: FlatCallConfig,
    gas_limit: u64,
    gas_used: u64,
    info: TransactionInfo,
) -> Vec<LocalizedTransactionTrace> {
    let includes_precompiles = config.include_precompiles.unwrap_or_default();
    let converts_errors = config.convert_parity_errors.unwrap_or_default();
    let is_told = |node: &CallTraceNode| {
        let is_plain = matches!(node.trace.kind, CallKind::Call | CallKind::StaticCall);
        includes_precompiles || !(is_plain && node.is_precompile())
    };
    // The nodes' own lists of children leave calls to precompiles out, whatever their kind.
    let mut children_of = vec![Vec::new(); nodes.len()];
    for (index, node) in nodes.iter().enumerate().filter(|(_, node)| is_told(node)) {
        if let Some(children) = node.parent.and_then(|parent| children_of.get_mut(parent)) {
            children.push(index);
        }
    }
    let mut traces = Vec::with_capacity(nodes.len());
    let mut pending = vec![Pending::Frame(0, Vec::new())];
    while let Some(next) = pending.pop() {
        let (index, address) = match next {
            Pending::Frame(index, address) => (index, address),
            Pending::Done(trace) => {
                traces.push(*trace);
                continue;
            }
        };
        let Some(node) = nodes.get(index) else { continue };
        let children = children_of.get(index).map(Vec::as_slice).unwrap_or_default();
        let at = |place: usize| [address.as_slice(), &[place]].concat();
        let destroyed = node.parity_selfdestruct_trace(at(children.len()));
        let subtraces = children.len() + usize::from(destroyed.is_some());
        pending.extend(destroyed.map(|trace| Pending::Done(Box::new(trace))));
        let frames = children.iter().enumerate();
        let frames: Vec<Pending> =
            frames.map(|(place, child)| Pending::Frame(*child, at(place))).collect();
        pending.extend(frames.into_iter().rev());
        let mut trace = flat_frame(node, subtraces, address, converts_errors);
        if index == 0 {
            set_gas(&mut trace, gas_limit, gas_used);
        }
        traces.push(trace);
    }
    let localized = traces.into_iter().map(|trace| LocalizedTransactionTrace {
        trace,
        block_hash: info.block_hash,
        block_number: info.block_number,
        transaction_hash: info.hash,
        transaction_position: info.index,
    });
    localized.collect()
}

enum Pending {
    /// A node and its trace address.
    Frame(usize, Vec<usize>),
    Done(Box<TransactionTrace>),
}

fn flat_frame(
    node: &CallTraceNode,
    subtraces: usize,
    trace_address: Vec<usize>,
    converts_errors: bool,
) -> TransactionTrace {
    let trace = &node.trace;
    let error = frame_error(node);
    let gas_used = trace.gas_used;
    let is_reverted = trace.status == Some(InstructionResult::Revert);
    let result = (error.is_none() || is_reverted).then(|| {
        if trace.kind.is_any_create() {
            let code = trace.output.clone();
            TraceOutput::Create(CreateOutput { address: trace.address, code, gas_used })
        } else {
            TraceOutput::Call(CallOutput { gas_used, output: trace.output.clone() })
        }
    });
    let converted = error.as_deref().filter(|_| converts_errors).and_then(parity_error);
    TransactionTrace {
        action: node.parity_action(),
        error: converted.map(str::to_owned).or(error),
        result,
        subtraces,
        trace_address,
    }
}

/// Puts the gas of the whole transaction on its outermost frame.
fn set_gas(trace: &mut TransactionTrace, gas_limit: u64, gas_used: u64) {
    match &mut trace.action {
        Action::Call(call) => call.gas = gas_limit,
        Action::Create(create) => create.gas = gas_limit,
        Action::Selfdestruct(_) | Action::Reward(_) => {}
    }
    match &mut trace.result {
        Some(TraceOutput::Call(output)) => output.gas_used = gas_used,
        Some(TraceOutput::Create(output)) => output.gas_used = gas_used,
        None => {}
    }
}
