//! What nodes answer, whatever they were asked: nothing panics, and nothing is believed that has not the hash
//! that was asked for.

#![no_main]

use alloy_consensus::Header;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{Address, B256, Sealable};
use libfuzzer_sys::fuzz_target;
use lockstep_protocol::RollupConfig;
use lockstep_providers::{
    BeaconClient, Endpoint, L1Client, L2Client, Request, Response, Retry, RpcClient, Transport,
    TransportError,
};
use std::sync::Arc;

#[derive(Debug)]
struct Says {
    endpoint: Endpoint,
    body: Vec<u8>,
}

impl Transport for Says {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn exchange(&self, _: &Request<'_>) -> Result<Response, TransportError> {
        Ok(Response { status: 200, body: self.body.clone() })
    }
}

fuzz_target!(|body: &[u8]| {
    let endpoint = Endpoint::new("http://fuzz.example").expect("a URL");
    let node: Arc<dyn Transport> = Arc::new(Says { endpoint, body: body.to_vec() });
    let rpc = RpcClient::new(Arc::clone(&node)).with_retry(Retry::at_once(1));
    let hash = B256::repeat_byte(1);

    let l1 = L1Client::new(rpc.clone());
    if let Ok(Some(header)) = l1.header(BlockNumberOrTag::Latest) {
        assert_eq!(header.hash(), header.inner().hash_slow(), "a header of another hash");
        let _ = l1.transactions(header.hash());
        let _ = l1.receipts(header.hash());
        let _ = l1.headers_back(header.hash(), 3);
    }
    assert!(l1.header_by_hash(hash).is_err(), "nobody knows a header of this hash");
    let header = Header { state_root: hash, ..Header::default() }.seal_slow();
    let slots = [B256::ZERO, hash];
    assert!(l1.storage(&header, Address::ZERO, &slots).is_err(), "no state has this root");
    let _ = l1.prefetch(0..3);

    let l2 = L2Client::new(rpc, Arc::new(RollupConfig::of_chain(10).expect("it is public")));
    if let Ok(block) = l2.block_by_number(7) {
        let header = block.header.clone().seal_slow();
        let _ = l2.account_proof(&header, Address::ZERO, &[B256::ZERO]);
        let _ = l2.output(&header);
    }
    let _ = l2.execution_witness(7);
    assert!(l2.code(hash).is_err() && l2.trie_node(hash).is_err(), "nobody knows this hash");

    let beacon = BeaconClient::new(vec![node], Retry::at_once(1)).expect("a node");
    let _ = beacon.clock();
    let _ = beacon.proposer_duties(7);
    assert!(beacon.header(hash).is_err(), "no beacon block has this root");
    assert!(beacon.blobs(1_700_000_000, &[hash]).is_err(), "no blob has this hash");
});
