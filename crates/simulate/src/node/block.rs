//! Blocks and transactions in memory, read from bytes and written to them. Where they stand on a chain is left to the ledger.

use chain::hash::sha256d;
use chain::header::{HEADER_BYTES, header_bytes};
use model::chain::BlockHeader;

use super::bytes::{Reader, put_bytes, put_size};

/// Which output: transaction and place in it.
pub(super) type OutPoint = ([u8; 32], u32);

/// What a coinbase names as its output spent.
pub(super) const NO_OUTPUT: OutPoint = ([0; 32], u32::MAX);

/// One input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Input {
    pub(super) spends: OutPoint,
    pub(super) script: Vec<u8>,
    pub(super) sequence: u32,
    pub(super) witness: Vec<Vec<u8>>,
}

/// One output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) value_sat: i64,
    pub(super) script: Vec<u8>,
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) version: i32,
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<Output>,
    pub(super) locktime: u32,
}

impl Transaction {
    fn read(bytes: &mut Reader<'_>) -> Option<Self> {
        let version = i32::from_le_bytes(bytes.array()?);
        let has_witness = bytes.0.first() == Some(&0);
        if has_witness && bytes.take(2)? != [0, 1] {
            return None;
        }
        let mut inputs = Vec::new();
        for _ in 0..bytes.size()? {
            inputs.push(Input {
                spends: (bytes.array()?, bytes.u32()?),
                script: bytes.bytes()?,
                sequence: bytes.u32()?,
                witness: Vec::new(),
            });
        }
        let mut outputs = Vec::new();
        for _ in 0..bytes.size()? {
            outputs.push(Output { value_sat: i64::from_le_bytes(bytes.array()?), script: bytes.bytes()? });
        }
        if has_witness {
            for input in &mut inputs {
                for _ in 0..bytes.size()? {
                    input.witness.push(bytes.bytes()?);
                }
            }
        }
        Some(Self { version, inputs, outputs, locktime: bytes.u32()? })
    }

    /// Whether any input has a witness.
    pub(super) fn has_witness(&self) -> bool {
        self.inputs.iter().any(|input| !input.witness.is_empty())
    }

    /// As it stands in a block, or without witness as its id is computed.
    pub(super) fn bytes(&self, with_witness: bool) -> Vec<u8> {
        let mut out = self.version.to_le_bytes().to_vec();
        let with_witness = with_witness && self.has_witness();
        if with_witness {
            out.extend([0, 1]);
        }
        put_size(&mut out, self.inputs.len());
        for input in &self.inputs {
            out.extend(input.spends.0);
            out.extend(input.spends.1.to_le_bytes());
            put_bytes(&mut out, &input.script);
            out.extend(input.sequence.to_le_bytes());
        }
        put_size(&mut out, self.outputs.len());
        for output in &self.outputs {
            out.extend(output.value_sat.to_le_bytes());
            put_bytes(&mut out, &output.script);
        }
        if with_witness {
            for input in &self.inputs {
                put_size(&mut out, input.witness.len());
                for item in &input.witness {
                    put_bytes(&mut out, item);
                }
            }
        }
        out.extend(self.locktime.to_le_bytes());
        out
    }

    /// Its id, in the order of the wire.
    pub(super) fn id(&self) -> [u8; 32] {
        sha256d(&[&self.bytes(false)]).0
    }

    /// Sum of its outputs.
    pub(super) fn out_sat(&self) -> i64 {
        self.outputs.iter().map(|output| output.value_sat).sum()
    }

    /// Its size with witness, and its weight.
    pub(super) fn size_and_weight(&self) -> (usize, usize) {
        let size = self.bytes(true).len();
        (size, 3 * self.bytes(false).len() + size)
    }
}

/// A block, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) header: BlockHeader,
    pub(super) transactions: Vec<Transaction>,
}

impl Block {
    /// Reads a whole block.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let header = header(bytes)?;
        let mut bytes = Reader(&bytes[HEADER_BYTES..]);
        let count = bytes.size()?;
        let mut transactions = Vec::new();
        for _ in 0..count {
            transactions.push(Transaction::read(&mut bytes)?);
        }
        bytes.0.is_empty().then_some(Self { header, transactions })
    }

    /// Writes it; the header's hash is what its other fields give.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut out = header_bytes(&self.header).to_vec();
        put_size(&mut out, self.transactions.len());
        for transaction in &self.transactions {
            out.extend(transaction.bytes(true));
        }
        out
    }

    /// Its size without witness.
    pub(super) fn stripped_bytes(&self) -> usize {
        let mut count = Vec::new();
        put_size(&mut count, self.transactions.len());
        let transactions = self.transactions.iter().map(|transaction| transaction.bytes(false).len());
        HEADER_BYTES + count.len() + transactions.sum::<usize>()
    }
}

/// The header at the front of a block.
pub(super) fn header(bytes: &[u8]) -> Option<BlockHeader> {
    chain::header::header(bytes.get(..HEADER_BYTES)?).ok()
}
