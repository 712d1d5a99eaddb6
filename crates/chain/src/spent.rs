//! The outputs that a block spends, in the forms in which a node gives them, kept as they came. Whether they are those of
//! a block is found out by `walk`.

use crate::cursor::{AMOUNT_MAX, Cursor, push_compact, push_varint};
use crate::error::{Error, Fault};
use crate::script::{Form, WHOLE, form};

/// How the bytes of spent outputs are to be read. Names and numbers are stable: they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpentForm {
    /// The answer of REST `spenttxouts.bin`: lists for all transactions, amounts and scripts, no heights.
    Rest,
    /// An undo record of a `rev` file: lists for all transactions but the coinbase, with heights.
    Undo,
}

impl SpentForm {
    /// Every form.
    pub const ALL: [Self; 2] = [Self::Rest, Self::Undo];

    /// The name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "spenttxouts",
            Self::Undo => "undo",
        }
    }

    /// The form of that name.
    pub fn known(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.as_str() == name)
    }

    /// The number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Rest => 1,
            Self::Undo => 2,
        }
    }

    /// The form of that number.
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.number() == number)
    }
}

/// Spent outputs of one block as they came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// How the bytes are to be read.
    pub form: SpentForm,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Spent {
    /// Those of a block that spends nothing, as the first one.
    pub fn nothing() -> Self {
        Self { form: SpentForm::Undo, bytes: vec![0] }
    }

    /// The same, lent.
    pub fn view(&self) -> SpentView<'_> {
        SpentView { form: self.form, bytes: &self.bytes }
    }
}

/// Spent outputs that lie somewhere else.
#[derive(Clone, Copy, Debug)]
pub struct SpentView<'a> {
    /// How the bytes are to be read.
    pub form: SpentForm,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// One spent output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Coin<'a> {
    /// Its amount.
    pub sat: i64,
    /// Its script.
    pub script: Form<'a>,
    /// Height of the block that made it; `None` where the form does not tell.
    pub height: Option<u32>,
    /// Whether a coinbase made it; `None` where the form does not tell.
    pub is_coinbase: Option<bool>,
}

/// Goes through spent outputs in the order of the block.
#[derive(Clone, Debug)]
pub struct Coins<'a> {
    form: SpentForm,
    cursor: Cursor<'a>,
    /// Transactions told of, and those begun.
    list_count: usize,
    begun_count: usize,
}

impl<'a> SpentView<'a> {
    /// Begins to go through them.
    pub fn coins(self) -> Result<Coins<'a>, Error> {
        let mut cursor = Cursor::new("spent outputs", self.bytes);
        let mut list_count = cursor.count(1, "number of lists")?;
        if self.form == SpentForm::Rest {
            // One of the lists is the coinbase's, and empty.
            if list_count == 0 || cursor.compact("list of the coinbase")? != 0 {
                return Err(cursor.fault("list of the coinbase", "is missing or not empty").into());
            }
            list_count -= 1;
        }
        Ok(Coins { form: self.form, cursor, list_count, begun_count: 0 })
    }
}

impl<'a> Coins<'a> {
    /// Transactions that they are told of, the coinbase apart.
    pub fn transaction_count(&self) -> usize {
        self.list_count
    }

    /// Whether heights are told.
    pub fn has_heights(&self) -> bool {
        self.form == SpentForm::Undo
    }

    /// Begins the next transaction: how many outputs it spends. `None` after the last, if the bytes end there.
    pub fn next_transaction(&mut self) -> Result<Option<usize>, Error> {
        if self.begun_count == self.list_count {
            self.cursor.end("last list")?;
            return Ok(None);
        }
        self.begun_count += 1;
        let least_bytes = if self.form == SpentForm::Rest { 9 } else { 3 };
        Ok(Some(self.cursor.count(least_bytes, "list of a transaction").map_err(|fault| self.named(fault))?))
    }

    /// The next spent output of the transaction.
    #[inline]
    pub fn next_coin(&mut self) -> Result<Coin<'a>, Error> {
        let coin = match self.form {
            SpentForm::Rest => rest_coin(&mut self.cursor),
            SpentForm::Undo => undo_coin(&mut self.cursor),
        };
        coin.map_err(|fault| self.named(fault).into())
    }

    fn named(&self, fault: Fault) -> Fault {
        Fault { transaction: Some(self.begun_count), ..fault }
    }
}

#[inline]
fn rest_coin<'a>(cursor: &mut Cursor<'a>) -> Result<Coin<'a>, Fault> {
    let sat = cursor.amount("amount")?;
    let script_bytes = cursor.compact("script")?;
    let script = form(cursor.take(script_bytes, "script")?);
    Ok(Coin { sat, script, height: None, is_coinbase: None })
}

#[inline]
fn undo_coin<'a>(cursor: &mut Cursor<'a>) -> Result<Coin<'a>, Fault> {
    let code = cursor.varint("height")?;
    let height = u32::try_from(code >> 1).map_err(|_| cursor.fault("height", "is higher than any"))?;
    if height > 0 {
        // Once the transaction's version stood here.
        cursor.varint("version")?;
    }
    let shortened = cursor.varint("amount")?;
    let sat = lengthened(shortened).ok_or_else(|| cursor.fault("amount", "is no possible amount"))?;
    let tag = cursor.varint("kind of script")?;
    let script = match tag {
        0 | 1 => Form { tag: tag as u8, bytes: cursor.take(20, "hash")? },
        2..=5 => Form { tag: tag as u8, bytes: cursor.take(32, "key")? },
        _ => {
            let script_bytes = usize::try_from(tag - u64::from(WHOLE)).unwrap_or(usize::MAX);
            form(cursor.take(script_bytes, "script")?)
        }
    };
    Ok(Coin { sat, script, height: Some(height), is_coinbase: Some(code & 1 == 1) })
}

/// The amount that an undo record's short form stands for.
fn lengthened(short: u64) -> Option<i64> {
    let Some(mut rest) = short.checked_sub(1) else { return Some(0) };
    let zeros = (rest % 10) as u32;
    rest /= 10;
    let digits =
        if zeros < 9 { (rest / 9).checked_mul(10)?.checked_add(rest % 9 + 1)? } else { rest.checked_add(1)? };
    let sat = digits.checked_mul(10_u64.pow(zeros))?;
    i64::try_from(sat).ok().filter(|sat| *sat <= AMOUNT_MAX)
}

/// The short form of an amount: its trailing zeros, its last other digit, the rest.
fn shortened(sat: u64) -> u64 {
    if sat == 0 {
        return 0;
    }
    let (mut digits, mut zeros) = (sat, 0);
    while digits % 10 == 0 && zeros < 9 {
        digits /= 10;
        zeros += 1;
    }
    if zeros < 9 { 1 + (digits / 10 * 9 + digits % 10 - 1) * 10 + zeros } else { 1 + (digits - 1) * 10 + 9 }
}

/// Writes spent outputs that came one by one, as in verbose answers, in the form of undo records.
#[derive(Debug, Default)]
pub struct SpentWriter {
    bytes: Vec<u8>,
    list_count: usize,
    coins: Vec<u8>,
    coin_count: usize,
    is_begun: bool,
}

impl SpentWriter {
    /// Nothing spent yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the next transaction that is no coinbase.
    pub fn transaction(&mut self) {
        self.close_list();
        self.is_begun = true;
        self.list_count += 1;
    }

    /// The next output that the transaction spends.
    pub fn coin(&mut self, height: u32, is_coinbase: bool, sat: i64, script: &[u8]) {
        self.coin_count += 1;
        push_varint(&mut self.coins, u64::from(height) * 2 + u64::from(is_coinbase));
        if height > 0 {
            self.coins.push(0);
        }
        push_varint(&mut self.coins, shortened(sat.unsigned_abs()));
        let form = form(script);
        let more = if form.tag == WHOLE { form.bytes.len() as u64 } else { 0 };
        push_varint(&mut self.coins, u64::from(form.tag) + more);
        self.coins.extend_from_slice(form.bytes);
    }

    /// All of it.
    pub fn finish(mut self) -> Spent {
        self.close_list();
        let mut bytes = Vec::with_capacity(self.bytes.len() + 5);
        push_compact(&mut bytes, self.list_count);
        bytes.append(&mut self.bytes);
        Spent { form: SpentForm::Undo, bytes }
    }

    fn close_list(&mut self) {
        if self.is_begun {
            push_compact(&mut self.bytes, self.coin_count);
            self.bytes.append(&mut self.coins);
            self.coin_count = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    //! Cases for amounts and for what was written coming back.
    use super::*;

    #[test]
    fn amounts_are_shortened_by_their_zeros() {
        for sat in
            [0, 1, 9, 10, 11, 100_000_000, 5_000_000_000, 123_456_789, 2_100_000_000_000_000, 1_000_000_001]
        {
            assert_eq!(lengthened(shortened(sat)), Some(sat as i64), "{sat}");
        }
        // As the node's own tests have them.
        assert_eq!(
            [0, 1, 1_000_000, 100_000_000, 5_000_000_000, 2_100_000_000_000_000].map(shortened),
            [0x0, 0x1, 0x7, 0x9, 0x32, 0x0140_6f40]
        );
        assert_eq!(lengthened(u64::MAX), None);
    }

    #[test]
    fn what_was_written_comes_back_in_order() {
        let mut writer = SpentWriter::new();
        writer.transaction();
        writer.coin(0, true, 5, &[0x51]);
        writer.coin(77, false, 7_000, &[]);
        writer.transaction();
        writer.coin(300_000, true, 1_250_000_000, &[0x6a; 300]);
        let spent = writer.finish();
        let mut coins = spent.view().coins().unwrap();
        assert_eq!(coins.next_transaction(), Ok(Some(2)));
        let coin = coins.next_coin().unwrap();
        assert_eq!((coin.sat, coin.height, coin.is_coinbase), (5, Some(0), Some(true)));
        assert_eq!(coins.next_coin().unwrap().script.bytes, []);
        assert_eq!(coins.next_transaction(), Ok(Some(1)));
        let coin = coins.next_coin().unwrap();
        assert_eq!((coin.sat, coin.height, coin.script.bytes.len()), (1_250_000_000, Some(300_000), 300));
        assert_eq!(coins.next_transaction(), Ok(None));
    }

    #[test]
    fn a_form_keeps_its_name_and_number() {
        for form in SpentForm::ALL {
            assert_eq!(SpentForm::known(form.as_str()), Some(form));
            assert_eq!(SpentForm::of_number(form.number()), Some(form));
        }
    }
}
