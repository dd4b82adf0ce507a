//! What the transactions of a rollup's block pay for their data on L1.

use alloy_consensus::{Transaction as _, Typed2718};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::U256;
use lockstep_chain::{Block, Rollup};
use lockstep_execution::Execute;
use op_alloy_consensus::{DEPOSIT_TX_TYPE_ID, OpTxEnvelope};
use op_alloy_rpc_types::L1BlockInfo as RpcL1Info;
use op_revm::{L1BlockInfo, OpSpecId};

/// `setL1BlockValues(uint64,uint64,uint256,bytes32,uint64,bytes32,uint256,uint256)`
const BEDROCK: [u8; 4] = [0x01, 0x5d, 0x8e, 0xb9];
/// `setL1BlockValuesEcotone()`
const ECOTONE: [u8; 4] = [0x44, 0x0a, 0x5e, 0x20];
/// `setL1BlockValuesIsthmus()`
const ISTHMUS: [u8; 4] = [0x09, 0x89, 0x99, 0xbe];
/// `setL1BlockValuesJovian()`
const JOVIAN: [u8; 4] = [0x3d, 0xb6, 0xbe, 0x2b];

/// The prices that a block's L1 attributes transaction states.
#[derive(Debug)]
pub(crate) struct L1Fees {
    info: L1BlockInfo,
    spec: OpSpecId,
}

impl L1Fees {
    /// The prices of a block; `None` if it does not begin with L1 attributes that are known.
    pub(crate) fn of(chain: &Rollup, block: &Block<Rollup>) -> Option<Self> {
        let attributes = block.body.transactions.first()?;
        let info = parse(attributes.input())?;
        let spec = chain.evm_env(&block.header).cfg_env.spec;
        Some(Self { info, spec })
    }

    /// What one transaction pays; nothing if it is a deposit.
    pub(crate) fn of_transaction(&self, transaction: &OpTxEnvelope) -> RpcL1Info {
        if transaction.ty() == DEPOSIT_TX_TYPE_ID {
            return RpcL1Info::default();
        }
        let encoded = transaction.encoded_2718();
        let mut info = self.info.clone();
        let cost = info.calculate_tx_l1_cost(&encoded, self.spec);
        let overhead = info.l1_fee_overhead.unwrap_or_default();
        let gas = info.data_gas(&encoded, self.spec).saturating_add(overhead);
        let is_ecotone = info.l1_blob_base_fee.is_some();
        RpcL1Info {
            l1_gas_price: Some(to_u128(info.l1_base_fee)),
            l1_gas_used: Some(to_u128(gas)),
            l1_fee: Some(to_u128(cost)),
            l1_fee_scalar: (!is_ecotone).then(|| f64::from(info.l1_base_fee_scalar) / 1e6),
            l1_base_fee_scalar: is_ecotone.then(|| to_u128(info.l1_base_fee_scalar)),
            l1_blob_base_fee: info.l1_blob_base_fee.map(to_u128),
            l1_blob_base_fee_scalar: info.l1_blob_base_fee_scalar.map(to_u128),
            operator_fee_scalar: info.operator_fee_scalar.map(to_u128),
            operator_fee_constant: info.operator_fee_constant.map(to_u128),
            da_footprint_gas_scalar: info.da_footprint_gas_scalar,
        }
    }
}

fn to_u128(value: U256) -> u128 {
    value.saturating_to()
}

/// Source: OP spec, L1 attributes deposited transaction, in its forms since Bedrock.
fn parse(input: &[u8]) -> Option<L1BlockInfo> {
    let (selector, fields) = input.split_first_chunk::<4>()?;
    let word = |at: usize, length: usize| {
        let bytes = fields.get(at..at.checked_add(length)?)?;
        Some(U256::from_be_slice(bytes))
    };
    if *selector == BEDROCK {
        return Some(L1BlockInfo {
            l1_base_fee: word(64, 32)?,
            l1_fee_overhead: Some(word(192, 32)?),
            l1_base_fee_scalar: word(224, 32)?,
            ..L1BlockInfo::default()
        });
    }
    let (has_operator_fee, has_footprint) = match *selector {
        ECOTONE => (false, false),
        ISTHMUS => (true, false),
        JOVIAN => (true, true),
        _ => return None,
    };
    let mut info = L1BlockInfo {
        l1_base_fee_scalar: word(0, 4)?,
        l1_blob_base_fee_scalar: Some(word(4, 4)?),
        l1_base_fee: word(32, 32)?,
        l1_blob_base_fee: Some(word(64, 32)?),
        ..L1BlockInfo::default()
    };
    if has_operator_fee {
        info.operator_fee_scalar = Some(word(160, 4)?);
        info.operator_fee_constant = Some(word(164, 8)?);
    }
    if has_footprint {
        info.da_footprint_gas_scalar = Some(word(172, 2)?.saturating_to());
    }
    Some(info)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_what_is_cut_off_is_not() {
        let mut fields = [0_u8; 174];
        fields[3] = 7;
        fields[7] = 8;
        fields[63] = 9;
        fields[95] = 10;
        fields[163] = 11;
        fields[171] = 12;
        fields[173] = 13;
        let input = |selector: [u8; 4], length: usize| {
            selector.into_iter().chain(fields[..length].iter().copied()).collect::<Vec<_>>()
        };
        let ecotone = parse(&input(ECOTONE, 160)).unwrap();
        assert_eq!(ecotone.l1_base_fee_scalar, U256::from(7));
        assert_eq!(ecotone.l1_blob_base_fee_scalar, Some(U256::from(8)));
        assert_eq!(ecotone.l1_base_fee, U256::from(9));
        assert_eq!(ecotone.l1_blob_base_fee, Some(U256::from(10)));
        assert_eq!(ecotone.operator_fee_scalar, None);
        let jovian = parse(&input(JOVIAN, 174)).unwrap();
        assert_eq!(jovian.operator_fee_scalar, Some(U256::from(11)));
        assert_eq!(jovian.operator_fee_constant, Some(U256::from(12)));
        assert_eq!(jovian.da_footprint_gas_scalar, Some(13));
        assert!(parse(&input(JOVIAN, 173)).is_none());
        assert!(parse(&input([0; 4], 174)).is_none());
        assert!(parse(&[]).is_none());
    }
}
