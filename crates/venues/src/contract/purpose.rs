//! What REST questions are for, as the raw log keeps it beside their answers.

use model::Timeframe;

/// What a REST question is for. Kept as text in the raw log: see [`Purpose::to_text`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The list of instruments, or a page of it.
    Listing,
    /// Trades of one instrument, to fill a hole or to begin a day.
    Trades {
        /// The venue's symbol.
        symbol: Box<str>,
    },
    /// A few of the newest trades of one instrument, to tell a mute stream from a quiet one; not to be recorded.
    Newest {
        /// The venue's symbol.
        symbol: Box<str>,
    },
    /// A book snapshot.
    Book {
        /// The venue's symbol.
        symbol: Box<str>,
    },
    /// Bars as the venue publishes them.
    Klines {
        /// The venue's symbol.
        symbol: Box<str>,
        /// Their length.
        timeframe: Timeframe,
    },
    /// Open interest.
    OpenInterest {
        /// The venue's symbol, empty for all.
        symbol: Box<str>,
    },
    /// Settled funding rates.
    Funding {
        /// The venue's symbol, empty for all.
        symbol: Box<str>,
    },
    /// Lengths of funding intervals.
    FundingIntervals,
    /// The venue's clock.
    ServerTime,
    /// One of these about the past, for somebody who writes the rows himself: who follows the log leaves it out.
    History(Box<Purpose>),
}

/// How the text of a purpose begins that is about the past.
const HISTORY: &str = "history ";

impl Purpose {
    /// `trades BTCUSDT`, `listing`: as kept in the raw log.
    pub fn to_text(&self) -> String {
        match self {
            Self::Listing => "listing".into(),
            Self::Trades { symbol } => format!("trades {symbol}"),
            Self::Newest { symbol } => format!("newest {symbol}"),
            Self::Book { symbol } => format!("book {symbol}"),
            Self::Klines { symbol, timeframe: Timeframe::MINUTE } => format!("klines {symbol}"),
            Self::Klines { symbol, timeframe } => format!("klines {symbol} {timeframe}"),
            Self::OpenInterest { symbol } => format!("open_interest {symbol}"),
            Self::Funding { symbol } => format!("funding {symbol}"),
            Self::FundingIntervals => "funding_intervals".into(),
            Self::ServerTime => "server_time".into(),
            Self::History(purpose) => format!("{HISTORY}{}", purpose.to_text()),
        }
    }

    /// Reads what [`Purpose::to_text`] wrote.
    pub fn from_text(text: &str) -> Option<Self> {
        if let Some(inner) = text.strip_prefix(HISTORY) {
            let purpose = Self::from_text(inner).filter(|purpose| !matches!(purpose, Self::History(_)))?;
            return Some(Self::History(Box::new(purpose)));
        }
        let (name, symbol) = text.split_once(' ').unwrap_or((text, ""));
        let symbol: Box<str> = symbol.into();
        Some(match name {
            "listing" => Self::Listing,
            "trades" => Self::Trades { symbol },
            "newest" => Self::Newest { symbol },
            "book" => Self::Book { symbol },
            "klines" => {
                let (symbol, timeframe) = match symbol.split_once(' ') {
                    Some((symbol, timeframe)) => (symbol.into(), timeframe.parse().ok()?),
                    None => (symbol, Timeframe::MINUTE),
                };
                Self::Klines { symbol, timeframe }
            }
            "open_interest" => Self::OpenInterest { symbol },
            "funding" => Self::Funding { symbol },
            "funding_intervals" => Self::FundingIntervals,
            "server_time" => Self::ServerTime,
            _ => return None,
        })
    }
}
