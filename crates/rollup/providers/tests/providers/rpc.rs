//! Calls and batches, whatever the server makes of them.

use crate::fake::{FakeNode, FakeTransport, UNKNOWN_METHOD, ok};
use lockstep_derive::Severity;
use lockstep_providers::{ClientError, Response, Retry, RpcClient, RpcLimits, TransportError};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

fn echo() -> FakeNode {
    FakeNode::new(|method, params| match method {
        "echo" if params[0] == json!(13) => Err((-32_000, "unlucky")),
        "echo" => Ok(params[0].clone()),
        _ => UNKNOWN_METHOD,
    })
}

fn limits(max_batch: usize) -> RpcLimits {
    RpcLimits { max_batch, ..RpcLimits::default() }
}

#[test]
fn a_batch_goes_out_in_parts_and_its_results_come_in_order() {
    let node = echo();
    let rpc = node.rpc().with_limits(limits(4));
    let params: Vec<[u64; 1]> = (0..10).map(|number| [number]).collect();
    let results: Vec<u64> = rpc.batch_all("echo", &params).unwrap();
    assert_eq!(results, (0..10).collect::<Vec<u64>>());
    assert_eq!(node.take_asked(), ["echo*4", "echo*4", "echo*2"]);
    let none: Vec<u64> = rpc.batch_all("echo", &[(); 0]).unwrap();
    assert!(none.is_empty() && node.take_asked().is_empty());
}

#[test]
fn one_failure_in_a_batch_leaves_the_others() {
    let rpc = echo().rpc().with_limits(limits(3));
    let params: Vec<[u64; 1]> = (11..15).map(|number| [number]).collect();
    let results = rpc.batch::<u64, _>("echo", &params).unwrap();
    let good: Vec<Option<u64>> =
        results.iter().map(|result| result.as_ref().ok().copied()).collect();
    assert_eq!(good, [Some(11), Some(12), None, Some(14)]);
    assert!(matches!(&results[2], Err(ClientError::Rpc { code: -32_000, .. })));
    assert!(rpc.batch_all::<u64, _>("echo", &params).is_err());
}

#[test]
fn a_batch_that_is_refused_as_a_whole_is_halved() {
    for refusal in [
        ok(
            &json!({ "jsonrpc": "2.0", "id": null, "error": { "code": -32600, "message": "batch" } }),
        ),
        Ok(Response { status: 413, body: Vec::new() }),
        Err(TransportError::TooLarge),
    ] {
        let transport = FakeTransport::serving(move |request| {
            let body: Value = serde_json::from_slice(request.body.unwrap()).unwrap();
            match &body {
                Value::Array(calls) if calls.len() > 2 => refusal.clone(),
                Value::Array(calls) => ok(&calls
                    .iter()
                    .map(|call| json!({ "id": call["id"], "result": call["params"][0] }))
                    .collect()),
                call => ok(&json!({ "id": call["id"], "result": call["params"][0] })),
            }
        });
        let params: Vec<[u64; 1]> = (0..9).map(|number| [number]).collect();
        let results: Vec<u64> = RpcClient::new(transport).batch_all("echo", &params).unwrap();
        assert_eq!(results, (0..9).collect::<Vec<u64>>());
    }
}

#[test]
fn a_server_without_batches_is_asked_one_by_one() {
    let transport = FakeTransport::serving(|request| {
        let body: Value = serde_json::from_slice(request.body.unwrap()).unwrap();
        match &body {
            Value::Array(_) => ok(&json!({ "id": null, "error": { "code": -32600 } })),
            call => ok(&json!({ "id": call["id"], "result": call["params"][0] })),
        }
    });
    let rpc = RpcClient::new(transport);
    let results: Vec<u64> = rpc.batch_all("echo", &[[1], [2], [3], [4], [5]]).unwrap();
    assert_eq!(results, [1, 2, 3, 4, 5]);
}

#[test]
fn an_answer_that_is_missing_or_doubled_does_not_shift_the_others() {
    let transport = FakeTransport::serving(|_| {
        ok(&json!([
            { "id": 2, "result": 2 },
            { "id": 0, "result": 0 },
            { "id": 0, "result": 0 },
            { "id": 77, "result": 9 },
        ]))
    });
    let results = RpcClient::new(transport).batch::<u64, _>("echo", &[[0], [1], [2]]).unwrap();
    assert!(matches!(results[..], [Ok(0), Err(ClientError::Malformed { .. }), Ok(2)]));
}

#[test]
fn any_number_of_answers_to_a_batch_is_read_and_few_are_kept() {
    let mut answers = vec![json!({}); 100_000];
    answers.push(json!({ "id": 1, "result": 8 }));
    answers.push(json!({ "id": 0, "result": 7 }));
    let json = json!(answers);
    let rpc = RpcClient::new(FakeTransport::serving(move |_| ok(&json)));
    assert_eq!(rpc.batch_all::<u64, _>("echo", &[[0], [1]]).unwrap(), [7, 8]);

    let rpc = RpcClient::new(FakeTransport::serving(|_| {
        Ok(Response { status: 200, body: br#"[{"id":0,"result":7}] 5"#.to_vec() })
    }));
    let error = rpc.batch::<u64, _>("echo", &[[0], [1]]).unwrap_err();
    assert!(matches!(error, ClientError::Malformed { .. }), "{error}");
}

#[test]
fn null_is_a_result_and_nothing_is_none() {
    let answer = |json: Value| RpcClient::new(FakeTransport::serving(move |_| ok(&json)));
    let null = answer(json!({ "id": 0, "result": null }));
    assert_eq!(null.call::<Option<u64>>("x", &[(); 0]).unwrap(), None);
    assert!(matches!(null.call::<u64>("x", &[(); 0]), Err(ClientError::Malformed { .. })));
    let nothing = answer(json!({ "id": 0 }));
    let error = nothing.call::<Option<u64>>("x", &[(); 0]);
    assert!(matches!(error, Err(ClientError::Malformed { .. })), "{error:?}");
}

#[test]
fn a_method_that_is_not_served_is_told_from_one_that_failed() {
    let rpc = echo().rpc();
    let error = rpc.call::<u64>("nope", &[(); 0]).unwrap_err();
    assert!(matches!(error, ClientError::Unsupported { method: "nope", .. }));
    assert_eq!(error.severity(), Severity::Critical);
    let error = rpc.call::<u64>("echo", &[13]).unwrap_err();
    assert_eq!(error.severity(), Severity::Temporary);
    assert_eq!(error.to_string(), "http://fake.example: echo failed with code -32000: unlucky");
}

#[test]
fn what_a_stranger_wrote_is_shortened_before_it_is_shown() {
    let message = format!("\u{1b}[31mred\n{}", "x".repeat(100_000));
    let json = json!({ "id": 0, "error": { "code": 1, "message": message } });
    let rpc = RpcClient::new(FakeTransport::serving(move |_| ok(&json)));
    let shown = rpc.call::<u64>("x", &[(); 0]).unwrap_err().to_string();
    assert!(shown.len() < 400 && !shown.contains(char::is_control), "{shown}");
}

#[test]
fn only_failures_of_the_way_are_tried_again() {
    let tries = Arc::new(AtomicU32::new(0));
    let counted = |answers: Vec<Result<Response, TransportError>>| {
        let tries = Arc::clone(&tries);
        tries.store(0, Ordering::SeqCst);
        let transport = FakeTransport::serving(move |_| {
            let at = tries.fetch_add(1, Ordering::SeqCst) as usize;
            answers[at.min(answers.len() - 1)].clone()
        });
        RpcClient::new(transport).with_retry(Retry::at_once(3))
    };
    let good = ok(&json!({ "id": 0, "result": 7 }));
    let lost = Err(TransportError::Failed("reset by peer".into()));
    let status = |status| Ok(Response { status, body: Vec::new() });

    let rpc = counted(vec![lost.clone(), status(503), good.clone()]);
    assert_eq!(rpc.call::<u64>("x", &[(); 0]).unwrap(), 7);
    assert_eq!(tries.load(Ordering::SeqCst), 3);

    let error = counted(vec![lost]).call::<u64>("x", &[(); 0]).unwrap_err();
    assert_eq!((tries.load(Ordering::SeqCst), error.severity()), (3, Severity::Temporary));

    let error = counted(vec![status(401), good.clone()]).call::<u64>("x", &[(); 0]).unwrap_err();
    assert_eq!((tries.load(Ordering::SeqCst), error.severity()), (1, Severity::Temporary));

    let refused = ok(&json!({ "id": 0, "error": { "code": 3, "message": "no" } }));
    let error = counted(vec![refused, good]).call::<u64>("x", &[(); 0]).unwrap_err();
    assert_eq!((tries.load(Ordering::SeqCst), error.severity()), (1, Severity::Temporary));
}

#[test]
fn a_transport_that_reads_past_the_limit_is_not_believed() {
    let transport =
        FakeTransport::serving(|_| Ok(Response { status: 200, body: vec![b' '; 1001] }));
    let limits = RpcLimits { max_response_bytes: 1000, ..RpcLimits::default() };
    let error = RpcClient::new(transport).with_limits(limits).call::<u64>("x", &[(); 0]);
    assert!(matches!(error, Err(ClientError::TooLarge { limit: 1000, .. })));
}
