//! The transactions of a block, as they lie in its bytes. What they amount to is left to `walk`.

use model::{BlockHash, BlockHeader};

use crate::cursor::Cursor;
use crate::error::{Error, Fault};
use crate::hash::sha256d;
use crate::header;
use crate::script::is_unspendable;

/// Bytes of the shortest input, output and transaction.
const INPUT_BYTES_MIN: usize = 41;
const OUTPUT_BYTES_MIN: usize = 9;
const TRANSACTION_BYTES_MIN: usize = 60;
/// What the input of a coinbase names instead of an output.
const NOWHERE: [u8; 36] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255,
    255, 255,
];

/// A block of which the header and the number of transactions were read.
#[derive(Clone, Debug)]
pub struct Block<'a> {
    /// The header.
    pub header: BlockHeader,
    /// Transactions that follow, the coinbase being the first.
    pub tx_count: usize,
    cursor: Cursor<'a>,
    read_count: usize,
}

/// An output that a transaction spends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutPoint {
    /// Hash of the transaction that made it.
    pub txid: BlockHash,
    /// Its number there.
    pub vout: u32,
}

/// An output that a transaction makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Output<'a> {
    /// Its number in the transaction.
    pub vout: u32,
    /// Its amount.
    pub sat: i64,
    /// What must be met to spend it.
    pub script: &'a [u8],
}

impl Output<'_> {
    /// Whether nobody can spend it, so that it never is a coin.
    pub fn is_unspendable(&self) -> bool {
        is_unspendable(self.script)
    }
}

/// A transaction, where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Transaction<'a> {
    /// All its bytes.
    pub(crate) bytes: &'a [u8],
    /// Inputs and outputs with their counts.
    body: &'a [u8],
    /// Inputs, the coinbase's one included.
    pub input_count: usize,
    /// Outputs.
    pub output_count: usize,
    /// Whether an input has a witness that is not empty.
    pub has_witness: bool,
    /// Whether it makes new coins.
    pub is_coinbase: bool,
}

impl<'a> Transaction<'a> {
    /// Bytes with witness.
    pub fn size_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes without witness.
    pub fn stripped_size_bytes(&self) -> usize {
        self.body.len() + 8
    }

    /// 3 × stripped size + size.
    pub fn weight_wu(&self) -> usize {
        3 * self.stripped_size_bytes() + self.size_bytes()
    }

    /// Its hash without witness. Two coinbases of 2010 share theirs with later ones.
    pub fn txid(&self) -> BlockHash {
        let (version, lock_time) = (&self.bytes[..4], &self.bytes[self.bytes.len() - 4..]);
        sha256d(&[version, self.body, lock_time])
    }

    /// What it spends; nothing if it is a coinbase.
    pub fn spent(&self) -> impl Iterator<Item = OutPoint> + use<'a> {
        let mut cursor = Cursor::new("transaction", self.body);
        let count = if self.is_coinbase { 0 } else { self.input_count };
        let begun = cursor.compact("inputs").is_ok();
        // The bytes were walked before, so that nothing fails here.
        (0..count).filter(move |_| begun).map_while(move |_| {
            let point = input(&mut cursor).ok()?;
            let (txid, vout) = point.split_first_chunk::<32>()?;
            Some(OutPoint { txid: BlockHash(*txid), vout: u32::from_le_bytes(vout.try_into().ok()?) })
        })
    }

    /// What it makes, in order.
    pub fn created(&self) -> impl Iterator<Item = Output<'a>> + use<'a> {
        let mut cursor = Cursor::new("transaction", self.body);
        let begun = cursor.compact("inputs").is_ok()
            && (0..self.input_count).all(|_| input(&mut cursor).is_ok())
            && cursor.compact("outputs").is_ok();
        (0..self.output_count as u32).filter(move |_| begun).map_while(move |vout| {
            let (sat, script) = output(&mut cursor).ok()?;
            Some(Output { vout, sat, script })
        })
    }
}

/// Is told of the pieces of a transaction while it is read.
pub(crate) trait Visitor<'a> {
    /// So many inputs of a transaction that is no coinbase, before its outputs.
    fn inputs(&mut self, count: usize) -> Result<(), Error>;
    /// The next output.
    fn output(&mut self, sat: i64, script: &'a [u8]) -> Result<(), Error>;
}

/// Looks at nothing.
struct Passing;

impl Visitor<'_> for Passing {
    fn inputs(&mut self, _: usize) -> Result<(), Error> {
        Ok(())
    }

    fn output(&mut self, _: i64, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }
}

impl<'a> Block<'a> {
    /// Reads the head of a block.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new("block", bytes);
        let header = header::read(&mut cursor)?;
        let tx_count = cursor.count(TRANSACTION_BYTES_MIN, "number of transactions")?;
        if tx_count == 0 {
            return Err(cursor.fault("number of transactions", "is zero").into());
        }
        Ok(Self { header, tx_count, cursor, read_count: 0 })
    }

    /// Bytes read so far.
    pub(crate) fn at(&self) -> usize {
        self.cursor.at()
    }

    /// The next transaction; `None` after the last, if the block ends there.
    pub(crate) fn next_with(
        &mut self,
        visitor: &mut impl Visitor<'a>,
    ) -> Result<Option<Transaction<'a>>, Error> {
        if self.read_count == self.tx_count {
            self.cursor.end("block")?;
            return Ok(None);
        }
        let read = transaction(&mut self.cursor, self.read_count == 0, visitor);
        let number = self.read_count;
        self.read_count += 1;
        read.map(Some).map_err(|error| match error {
            Error::Malformed(fault) => Error::Malformed(Fault { transaction: Some(number), ..fault }),
            other => other,
        })
    }
}

impl<'a> Iterator for Block<'a> {
    type Item = Result<Transaction<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.read_count > self.tx_count {
            return None;
        }
        let next = self.next_with(&mut Passing).transpose();
        if !matches!(next, Some(Ok(_))) {
            self.read_count = self.tx_count + 1;
        }
        next
    }
}

#[inline]
fn input<'a>(cursor: &mut Cursor<'a>) -> Result<&'a [u8; 36], Fault> {
    let point = cursor.array::<36>("spent output")?;
    let script_bytes = cursor.compact("script of an input")?;
    cursor.take(script_bytes, "script of an input")?;
    cursor.array::<4>("sequence of an input")?;
    Ok(point)
}

#[inline]
fn output<'a>(cursor: &mut Cursor<'a>) -> Result<(i64, &'a [u8]), Fault> {
    let sat = cursor.amount("amount of an output")?;
    let script_bytes = cursor.compact("script of an output")?;
    Ok((sat, cursor.take(script_bytes, "script of an output")?))
}

fn transaction<'a>(
    cursor: &mut Cursor<'a>,
    is_coinbase: bool,
    visitor: &mut impl Visitor<'a>,
) -> Result<Transaction<'a>, Error> {
    let whole = cursor.rest();
    cursor.array::<4>("version")?;
    let has_mark = cursor.rest().first() == Some(&0);
    if has_mark && *cursor.array::<2>("mark of a witness")? != [0, 1] {
        return Err(cursor.fault("mark of a witness", "is unknown, or there is no input").into());
    }
    let body = cursor.rest();
    let input_count = cursor.count(INPUT_BYTES_MIN, "number of inputs")?;
    if input_count == 0 {
        return Err(cursor.fault("number of inputs", "is zero").into());
    }
    if is_coinbase && input_count != 1 {
        return Err(cursor.fault("first transaction", "is no coinbase").into());
    }
    if !is_coinbase {
        visitor.inputs(input_count)?;
    }
    for _ in 0..input_count {
        let is_nowhere = *input(cursor)? == NOWHERE;
        if is_nowhere != is_coinbase {
            let what = if is_coinbase { "first transaction" } else { "later transaction" };
            return Err(cursor
                .fault(what, if is_coinbase { "is no coinbase" } else { "is a coinbase" })
                .into());
        }
    }
    let output_count = cursor.count(OUTPUT_BYTES_MIN, "number of outputs")?;
    if output_count == 0 {
        return Err(cursor.fault("number of outputs", "is zero").into());
    }
    for _ in 0..output_count {
        let (sat, script) = output(cursor)?;
        visitor.output(sat, script)?;
    }
    let body = &body[..body.len() - cursor.rest().len()];
    let has_witness = has_mark && witnesses(cursor, input_count)?;
    if has_mark && !has_witness {
        return Err(cursor.fault("witness", "is marked but empty").into());
    }
    cursor.array::<4>("lock time")?;
    let bytes = &whole[..whole.len() - cursor.rest().len()];
    Ok(Transaction { bytes, body, input_count, output_count, has_witness, is_coinbase })
}

/// Passes over the witnesses of so many inputs; whether one of them is not empty.
#[inline]
fn witnesses(cursor: &mut Cursor<'_>, input_count: usize) -> Result<bool, Fault> {
    let mut has_witness = false;
    for _ in 0..input_count {
        let item_count = cursor.compact("witness of an input")?;
        has_witness |= item_count > 0;
        for _ in 0..item_count {
            let item_bytes = cursor.compact("piece of a witness")?;
            cursor.take(item_bytes, "piece of a witness")?;
        }
    }
    Ok(has_witness)
}
