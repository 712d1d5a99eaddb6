//! The venues' symbols in SQL: functions that name them, and the rule that makes comparisons with them choose files.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::DataType;
use deltalake::datafusion::common::tree_node::{Transformed, TreeNode};
use deltalake::datafusion::common::{Result, ScalarValue};
use deltalake::datafusion::logical_expr::expr::{InList, ScalarFunction};
use deltalake::datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDFImpl, Signature,
    Volatility, lit,
};
use deltalake::datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use tables::TableScan;

use crate::error::Error;
use crate::reader::Reader;
use crate::rows::column_of;
use crate::scan;
use crate::shelf::Captured;

/// What the venue of each instrument calls it, by the table `instruments` at one moment.
#[derive(Debug, Default)]
pub(crate) struct Symbols(BTreeMap<String, String>);

impl Symbols {
    /// The symbol in the newest form of each instrument.
    async fn read(reader: &Reader, captured: Captured) -> Result<Self, Error> {
        let ask = TableScan { columns: vec!["instrument", "venue_symbol"], ..TableScan::default() };
        let mut symbols = BTreeMap::new();
        // Rows come in the order of the key: a later form of an instrument follows the earlier ones.
        for batch in scan::captured(reader, captured, ask, 1).await? {
            let names = column_of(&batch, "instrument")?.as_string::<i32>();
            let own = column_of(&batch, "venue_symbol")?.as_string::<i32>();
            for (name, symbol) in names.iter().zip(own).filter_map(|(name, symbol)| Some((name?, symbol?))) {
                symbols.insert(name.to_owned(), symbol.to_owned());
            }
        }
        Ok(Self(symbols))
    }

    /// The symbol of an instrument; the id itself while the venue's list is not known.
    fn symbol_of<'a>(&'a self, instrument: &'a str) -> &'a str {
        self.0.get(instrument).map_or(instrument, String::as_str)
    }

    /// Every instrument whose symbol this is.
    fn instruments_of(&self, symbol: &str) -> Vec<String> {
        let mut found: Vec<String> =
            self.0.iter().filter(|(_, own)| *own == symbol).map(|(name, _)| name.clone()).collect();
        if !self.0.contains_key(symbol) {
            found.push(symbol.to_owned());
        }
        found
    }
}

/// The symbols, read anew when the table `instruments` has changed.
#[derive(Debug, Default)]
pub(crate) struct SymbolBook(Mutex<Option<(u64, Arc<Symbols>)>>);

impl SymbolBook {
    pub(crate) async fn symbols(
        &self,
        reader: &Reader,
        captured: Option<&Captured>,
    ) -> Result<Arc<Symbols>, Error> {
        let Some(captured) = captured else { return Ok(Arc::default()) };
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((stamp, symbols)) = known
            && stamp == captured.stamp
        {
            return Ok(symbols);
        }
        let symbols = Arc::new(Symbols::read(reader, captured.clone()).await?);
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = Some((captured.stamp, Arc::clone(&symbols)));
        Ok(symbols)
    }
}

/// `venue_symbol(instrument)`: what the venue calls it.
#[derive(Debug)]
pub(crate) struct SymbolOf {
    symbols: Arc<Symbols>,
    signature: Signature,
}

impl SymbolOf {
    pub(crate) fn new(symbols: Arc<Symbols>) -> Self {
        Self { symbols, signature: of_one_text() }
    }
}

impl PartialEq for SymbolOf {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.symbols, &other.symbols)
    }
}

impl Eq for SymbolOf {}

impl Hash for SymbolOf {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.symbols).hash(state);
    }
}

impl ScalarUDFImpl for SymbolOf {
    fn name(&self) -> &'static str {
        "venue_symbol"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_each(&arguments, |instrument| self.symbols.symbol_of(instrument))
    }
}

/// `venue(instrument)`: the part of the id before the colon.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct VenueOf {
    signature: Signature,
}

impl VenueOf {
    pub(crate) fn new() -> Self {
        Self { signature: of_one_text() }
    }
}

impl ScalarUDFImpl for VenueOf {
    fn name(&self) -> &'static str {
        "venue"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _kinds: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        of_each(&arguments, venue_of)
    }
}

fn of_one_text() -> Signature {
    Signature::exact(vec![DataType::Utf8], Volatility::Immutable)
}

/// Looks each text up; neighbours are mostly the same and asked once.
fn of_each<'a>(arguments: &'a ScalarFunctionArgs, of: impl Fn(&'a str) -> &'a str) -> Result<ColumnarValue> {
    match &arguments.args[..] {
        [ColumnarValue::Scalar(scalar)] => {
            let found = scalar.try_as_str().flatten().map(|text| of(text).to_owned());
            Ok(ColumnarValue::Scalar(ScalarValue::Utf8(found)))
        }
        [ColumnarValue::Array(array)] => {
            let texts = array.as_string::<i32>();
            let mut last = ("", of(""));
            let found = texts.iter().map(|text| {
                let text = text?;
                if text != last.0 {
                    last = (text, of(text));
                }
                Some(last.1)
            });
            let found: StringArray = found.collect();
            debug_assert_eq!(found.len(), texts.len());
            Ok(ColumnarValue::Array(Arc::new(found) as ArrayRef))
        }
        _ => Err(deltalake::datafusion::error::DataFusionError::Plan("one instrument is wanted".to_owned())),
    }
}

/// Turns comparisons of symbols and venues into comparisons of instruments, of which files know their bounds.
#[derive(Debug)]
pub(crate) struct ByInstrument;

impl OptimizerRule for ByInstrument {
    fn name(&self) -> &'static str {
        "by_instrument"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        // Elsewhere an expression names a column of the answer and must stay as it is written.
        if !matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::TableScan(_)) {
            return Ok(Transformed::no(plan));
        }
        plan.map_expressions(|expression| {
            expression.transform_up(|part| {
                Ok(by_instrument(&part).map_or_else(|| Transformed::no(part), Transformed::yes))
            })
        })
    }
}

fn by_instrument(expression: &Expr) -> Option<Expr> {
    match expression {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            let ((Expr::ScalarFunction(function), value) | (value, Expr::ScalarFunction(function))) =
                (left.as_ref(), right.as_ref())
            else {
                return None;
            };
            among(function, &[value])
        }
        Expr::InList(InList { expr, list, negated: false }) => match expr.as_ref() {
            Expr::ScalarFunction(function) => among(function, &list.iter().collect::<Vec<_>>()),
            _ => None,
        },
        _ => None,
    }
}

fn among(function: &ScalarFunction, values: &[&Expr]) -> Option<Expr> {
    let [instrument] = &function.args[..] else { return None };
    let texts: Vec<&str> = values.iter().map(|value| text(value)).collect::<Option<_>>()?;
    if let Some(named) = function.func.inner().downcast_ref::<SymbolOf>() {
        let mut names: Vec<String> =
            texts.iter().flat_map(|symbol| named.symbols.instruments_of(symbol)).collect();
        names.sort_unstable();
        names.dedup();
        let same = names.into_iter().map(|name| instrument.clone().eq(lit(name)));
        return same.reduce(Expr::or).or_else(|| Some(lit(false)));
    }
    function.func.inner().downcast_ref::<VenueOf>()?;
    // The character after the colon ends the range of ids that begin with the venue.
    let within = texts.iter().filter(|venue| !venue.contains(':')).map(|venue| {
        let (first, end) = (lit(format!("{venue}:")), lit(format!("{venue};")));
        let is_bare = instrument.clone().eq(lit((*venue).to_owned()));
        instrument.clone().gt_eq(first).and(instrument.clone().lt(end)).or(is_bare)
    });
    within.reduce(Expr::or).or_else(|| Some(lit(false)))
}

/// An expression with comparisons of symbols and venues made comparisons of instruments.
pub(crate) fn of_instruments(expression: Expr) -> Result<Expr> {
    let told = expression.transform_up(|part| {
        Ok(by_instrument(&part).map_or_else(|| Transformed::no(part), Transformed::yes))
    });
    told.map(|told| told.data)
}

/// What is made of an instrument's id.
#[derive(Clone, Debug)]
pub(crate) enum Naming {
    /// The id as it is.
    Instrument,
    /// What the venue calls it.
    Symbol(Arc<Symbols>),
    /// Its venue.
    Venue,
}

impl Naming {
    /// The name of an instrument.
    pub(crate) fn of(&self, instrument: &str) -> String {
        match self {
            Self::Instrument => instrument,
            Self::Symbol(symbols) => symbols.symbol_of(instrument),
            Self::Venue => venue_of(instrument),
        }
        .to_owned()
    }
}

/// What an expression makes of an instrument's id; `None` if it is made of anything else.
pub(crate) fn naming(expression: &Expr) -> Option<Naming> {
    match expression {
        Expr::Alias(alias) => naming(&alias.expr),
        Expr::Column(column) => (column.name == "instrument").then_some(Naming::Instrument),
        Expr::ScalarFunction(function) => {
            let [Expr::Column(column)] = &function.args[..] else { return None };
            if column.name != "instrument" {
                return None;
            }
            let own = function.func.inner();
            if let Some(named) = own.downcast_ref::<SymbolOf>() {
                return Some(Naming::Symbol(Arc::clone(&named.symbols)));
            }
            own.downcast_ref::<VenueOf>().map(|_| Naming::Venue)
        }
        _ => None,
    }
}

fn venue_of(instrument: &str) -> &str {
    instrument.split(':').next().unwrap_or_default()
}

/// The text of a literal.
pub(crate) fn text(expression: &Expr) -> Option<&str> {
    match expression {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    //! Cases for symbols.
    use super::*;

    #[test]
    fn every_instrument_has_a_symbol_and_every_symbol_finds_its_instruments() {
        let known = [("binance:BTC-USDT", "BTCUSDT"), ("bybit:BTC-USDT", "BTCUSDT"), ("x:A-B", "ab")];
        let symbols = Symbols(known.map(|(name, own)| (name.to_owned(), own.to_owned())).into());
        assert_eq!(symbols.instruments_of("BTCUSDT"), ["binance:BTC-USDT", "bybit:BTC-USDT", "BTCUSDT"]);
        assert_eq!(symbols.symbol_of("x:A-B"), "ab");
        // What is not listed is called by its id, and found by it.
        assert_eq!(symbols.symbol_of("x:C-D"), "x:C-D");
        assert_eq!(symbols.instruments_of("x:C-D"), ["x:C-D"]);
        assert_eq!(symbols.instruments_of("x:A-B"), [""; 0]);
    }
}
