//! How a part stands in its rollup's block: a deposit that comes from the port (rule 8.6).

use crate::{Part, SuperId};
use alloy_primitives::{B256, ChainId, TxKind, U256, keccak256};
use lockstep_chain::{GATE, PORT, UnionRules};
use op_alloy_consensus::TxDeposit;
use op_revm::{OpTransaction, transaction::deposit::DEPOSIT_TRANSACTION_TYPE};
use revm::context::TxEnv;

/// The domain of source hashes of parts; the OP Stack's own end with 3.
const SOURCE_DOMAIN: U256 = U256::from_limbs([0x4c53, 0, 0, 0]);

/// The transaction that holds a part in the block of rollup `chain`.
///
/// On a peer it is addressed to the Gate, and its execution is the part's. On the home rollup it is
/// addressed to the port, does nothing, and the user's transaction follows.
pub fn part_transaction(part: &Part, chain: ChainId) -> TxDeposit {
    TxDeposit {
        source_hash: source_hash(part.id),
        from: PORT,
        to: TxKind::Call(if part.home == chain { PORT } else { GATE }),
        mint: 0,
        value: U256::ZERO,
        gas_limit: part.gas_limit,
        is_system_transaction: false,
        input: alloy_rlp::encode(part).into(),
    }
}

/// What makes the hashes of the transactions that hold parts of a super transaction unique.
pub fn source_hash(id: SuperId) -> B256 {
    let hash = |left: B256, right: B256| keccak256([left.0, right.0].concat());
    let id = hash(U256::from(id.slot).into(), U256::from(id.index).into());
    hash(SOURCE_DOMAIN.into(), id)
}

/// A transaction that may hold a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartTransaction {
    /// A peer's part, to be executed.
    OnPeer(Part),
    /// The home's part, with which the next transaction is to be executed.
    OnHome(Part),
}

impl PartTransaction {
    /// Reads the part that a transaction in a block of rollup `chain` holds; `None` if it holds none.
    ///
    /// # Errors
    /// What makes it another transaction than [`part_transaction`] would have made.
    pub fn read(
        transaction: &OpTransaction<TxEnv>,
        chain: ChainId,
        rules: &UnionRules,
    ) -> Result<Option<Self>, &'static str> {
        let OpTransaction { base, deposit, .. } = transaction;
        if base.tx_type != DEPOSIT_TRANSACTION_TYPE || base.caller != PORT {
            return Ok(None);
        }
        let part = decode(&base.data, rules).map_err(|_| "the part cannot be decoded")?;
        let made = part_transaction(&part, chain);
        let is_plain = base.value.is_zero()
            && deposit.mint.unwrap_or_default() == 0
            && !deposit.is_system_transaction;
        if base.kind != made.to
            || base.gas_limit != made.gas_limit
            || deposit.source_hash != made.source_hash
            || !is_plain
        {
            return Err("the transaction is not that of the part which it holds");
        }
        Ok(Some(if part.home == chain { Self::OnHome(part) } else { Self::OnPeer(part) }))
    }
}

fn decode(mut data: &[u8], rules: &UnionRules) -> alloy_rlp::Result<Part> {
    let part = Part::decode(&mut data, rules.max_part_steps())?;
    if data.is_empty() { Ok(part) } else { Err(alloy_rlp::Error::UnexpectedLength) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;

    #[test]
    fn a_part_is_named_by_its_super_transaction() {
        // Computed by another implementation of Keccak.
        let expected = b256!("eefaecb44610b6430b2ece9aef240837a63bf06145b4efa93194d11909b553e8");
        assert_eq!(source_hash(SuperId { slot: 9, index: 4 }), expected);
    }
}
