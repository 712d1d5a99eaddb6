//! How the archives are listed: Binance's bucket as S3 does it, Bybit's folders as pages of links.

use model::{Date, Time};

use crate::market::Protocol;

use super::names::{Data, FileKey, Span, intervals};
use super::{DAY_MINUTES, View};

/// What a folder holds.
pub(super) struct Child {
    /// A folder's name ends with a slash.
    pub(super) name: String,
    pub(super) file: Option<FileKey>,
}

/// What is behind the name of a file that holds a checksum.
pub(super) const CHECKSUM: &str = ".CHECKSUM";
const KEYS_MAX: usize = 1_000;

impl View<'_> {
    /// What lies in a folder of the bucket, in the order of bytes.
    fn children(&self, folder: &str) -> Vec<Child> {
        let parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
        let named = |names: &[&str]| names.iter().map(|name| folder_of(name)).collect();
        let (protocol, rest) = match parts[..] {
            [] => return named(&["data"]),
            ["data"] => return named(&["futures", "spot"]),
            ["data", "futures"] => return named(&["um"]),
            ["data", "spot", ref rest @ ..] => (Protocol::Binance, rest),
            ["data", "futures", "um", ref rest @ ..] => (Protocol::BinanceFutures, rest),
            _ => return Vec::new(),
        };
        match *rest {
            [] => named(&["daily", "monthly"]),
            ["daily"] => named(&["aggTrades", "klines", "trades"]),
            ["monthly"] if protocol == Protocol::Binance => named(&["aggTrades", "klines", "trades"]),
            ["monthly"] => named(&["aggTrades", "fundingRate", "klines", "trades"]),
            [_, _] => self.symbols(protocol).iter().map(|symbol| folder_of(symbol)).collect(),
            [_, "klines", _] => {
                let mut words: Vec<&str> = intervals(protocol).into_iter().map(|(word, _)| word).collect();
                words.sort_unstable();
                named(&words)
            }
            [span, kind, symbol, ref interval @ ..] => {
                let Some(data) = data_of(protocol, kind, interval) else { return Vec::new() };
                let files = self.files(protocol, data, symbol, span == "monthly");
                let both = files.into_iter().flat_map(|key| {
                    let name = key.name();
                    let sum = Child { name: format!("{name}{CHECKSUM}"), file: Some(key.clone()) };
                    [Child { name, file: Some(key) }, sum]
                });
                both.collect()
            }
            _ => Vec::new(),
        }
    }

    fn symbols(&self, protocol: Protocol) -> Vec<String> {
        let Some(world) = self.house.markets(protocol) else { return Vec::new() };
        let mut symbols: Vec<String> =
            world.markets.iter().map(|market| market.spec.symbol.clone()).collect();
        // With the slash, as a bucket orders them.
        symbols.sort_by_key(|symbol| format!("{symbol}/"));
        symbols
    }

    /// Files of a symbol, oldest first.
    fn files(&self, protocol: Protocol, data: Data, symbol: &str, by_month: bool) -> Vec<FileKey> {
        let Some(world) = self.house.markets(protocol) else { return Vec::new() };
        let Some(market) = world.market(symbol) else { return Vec::new() };
        let mut day = Date(market.first_minute.div_euclid(DAY_MINUTES) as i32);
        let today = Time(self.now_ms * 1_000).date();
        let mut files = Vec::new();
        while day < today {
            let span = if by_month { Span::Month(day.month_start()) } else { Span::Day(day) };
            let key = FileKey { protocol, data, symbol: symbol.to_owned(), span };
            if self.market(&key).is_some() {
                files.push(key);
            }
            day = span.days().1;
        }
        files
    }

    /// The answer of the bucket.
    pub(super) fn bucket(&self, ask: &BucketAsk<'_>) -> Result<String, String> {
        let mut found = Vec::new();
        let folder_end = ask.prefix.rfind('/').map_or(0, |at| at + 1);
        let count = ask.count.min(KEYS_MAX);
        self.walk(&ask.prefix[..folder_end], ask, count + 1, &mut found);
        let is_truncated = found.len() > count;
        found.truncate(count);
        let marker = found.last().filter(|_| is_truncated).map(|(key, _)| key.clone());
        let mut objects = String::new();
        let mut folders = String::new();
        for (key, file) in &found {
            if let Some(file) = file {
                objects.push_str(&self.object(key, file)?);
            } else {
                let folder = ["<CommonPrefixes><Prefix>", &escaped(key), "</Prefix></CommonPrefixes>"];
                folders.push_str(&folder.concat());
            }
        }
        // Without a delimiter there is no marker for the next page: the last key is one.
        let marker = marker.filter(|_| ask.has_delimiter);
        let next = marker.map(|key| format!("<NextMarker>{}</NextMarker>", escaped(&key)));
        let delimiter = if ask.has_delimiter { "<Delimiter>/</Delimiter>" } else { "" };
        Ok(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>data.binance.vision</Name><Prefix>{}</Prefix><Marker>{}</Marker>{}<MaxKeys>{count}</MaxKeys>{delimiter}<IsTruncated>{is_truncated}</IsTruncated>{objects}{folders}</ListBucketResult>",
            escaped(ask.prefix),
            escaped(ask.marker),
            next.unwrap_or_default(),
        ))
    }

    /// Keys and folders in order, behind the marker, until there are enough.
    fn walk(
        &self,
        folder: &str,
        ask: &BucketAsk<'_>,
        enough: usize,
        found: &mut Vec<(String, Option<FileKey>)>,
    ) {
        for child in self.children(folder) {
            let key = format!("{folder}{}", child.name);
            if found.len() >= enough {
                return;
            }
            if child.file.is_some() {
                if key.starts_with(ask.prefix) && key.as_str() > ask.marker {
                    found.push((key, child.file));
                }
                continue;
            }
            let is_below = key.starts_with(ask.prefix);
            if !is_below && !ask.prefix.starts_with(&key) {
                continue;
            }
            // A folder at the marker was told already, and so was what is in those before it.
            if is_below && ask.has_delimiter {
                if key.as_str() > ask.marker && !ask.marker.starts_with(&key) && self.holds_any(&key) {
                    found.push((key, None));
                }
            } else if ask.marker.starts_with(&key) || key.as_str() > ask.marker {
                self.walk(&key, ask, enough, found);
            }
        }
    }

    /// Whether there is a file somewhere below a folder: a bucket has no empty ones.
    fn holds_any(&self, folder: &str) -> bool {
        self.children(folder)
            .iter()
            .any(|child| child.file.is_some() || self.holds_any(&format!("{folder}{}", child.name)))
    }

    fn object(&self, key: &str, file: &FileKey) -> Result<String, String> {
        let made = self.made(file)?.ok_or_else(|| format!("{key} went away"))?;
        let is_sum = key.ends_with(CHECKSUM);
        // A hash of 32 digits, as buckets have it.
        let (size, tag) = if is_sum {
            (checksum_text(&made.claimed, file).len() as u64, &made.claimed[32..])
        } else {
            (made.size_bytes, &made.sha256[..32])
        };
        let modified = Time(self.modified_ms(file) * 1_000).to_string();
        Ok(format!(
            "<Contents><Key>{}</Key><LastModified>{}.000Z</LastModified><ETag>&quot;{tag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>",
            escaped(key),
            &modified[..19],
        ))
    }

    /// A page of links to the folders or files below a folder of Bybit's.
    pub(super) fn page(&self, path: &str) -> Option<String> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let protocol = |root: &str| match root {
            "trading" => Some(Protocol::BybitLinear),
            "spot" => Some(Protocol::Bybit),
            _ => None,
        };
        let links: Vec<String> = match parts[..] {
            [] => vec!["spot/".into(), "trading/".into()],
            [root] => self.symbols(protocol(root)?).iter().map(|symbol| format!("{symbol}/")).collect(),
            [root, symbol] => {
                let files = self.files(protocol(root)?, Data::Trades, symbol, false);
                files.iter().map(FileKey::name).collect()
            }
            _ => return None,
        };
        if links.is_empty() {
            return None;
        }
        let rows: Vec<String> =
            links.iter().map(|link| format!("<li><a href=\"{0}\">{0}</a></li>\n", escaped(link))).collect();
        Some(format!(
            "<!DOCTYPE html>\n<html>\n<head><title>Index of {0}</title></head>\n<body>\n<h1>Index of {0}</h1>\n<ul>\n<li><a href=\"../\">../</a></li>\n{1}</ul>\n</body>\n</html>\n",
            escaped(path),
            rows.concat()
        ))
    }
}

/// A question to the bucket.
pub(super) struct BucketAsk<'a> {
    pub(super) prefix: &'a str,
    pub(super) marker: &'a str,
    pub(super) has_delimiter: bool,
    pub(super) count: usize,
}

fn folder_of(name: &str) -> Child {
    Child { name: format!("{name}/"), file: None }
}

fn data_of(protocol: Protocol, kind: &str, interval: &[&str]) -> Option<Data> {
    Some(match (kind, interval) {
        ("aggTrades", []) => Data::Trades,
        ("trades", []) => Data::RawTrades,
        ("fundingRate", []) => Data::Funding,
        ("klines", [word]) => Data::Klines(intervals(protocol).iter().position(|(known, _)| known == word)?),
        _ => return None,
    })
}

/// The file of a path without the slash in front; that it is there is not said.
pub(super) fn key_of(path: &str) -> Option<FileKey> {
    let parts: Vec<&str> = path.split('/').collect();
    let (protocol, data, symbol, name) = match parts[..] {
        ["trading", symbol, name] => (Protocol::BybitLinear, Data::Trades, symbol, name),
        ["spot", symbol, name] => (Protocol::Bybit, Data::Trades, symbol, name),
        ["data", "spot", _, kind, symbol, ref interval @ .., name] => {
            (Protocol::Binance, data_of(Protocol::Binance, kind, interval)?, symbol, name)
        }
        ["data", "futures", "um", _, kind, symbol, ref interval @ .., name] => {
            (Protocol::BinanceFutures, data_of(Protocol::BinanceFutures, kind, interval)?, symbol, name)
        }
        _ => return None,
    };
    let stem = name.strip_suffix(".zip").or_else(|| name.strip_suffix(".csv.gz"))?;
    let tail = |length: usize| stem.get(stem.len().checked_sub(length)?..);
    let day = tail(10).and_then(Date::parse).map(Span::Day);
    let month = || tail(7).and_then(|text| Date::parse(&format!("{text}-01"))).map(Span::Month);
    let key = FileKey { protocol, data, symbol: symbol.to_owned(), span: day.or_else(month)? };
    (key.path() == path).then_some(key)
}

/// What a checksum file says.
pub(super) fn checksum_text(claimed: &str, key: &FileKey) -> String {
    format!("{claimed}  {}\n", key.name())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    //! Cases for paths.
    use super::super::names::data_folder;
    use super::*;

    #[test]
    fn paths_name_files_and_nothing_else_does() {
        for path in [
            "data/spot/daily/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2026-10-01.zip",
            "data/spot/monthly/klines/BTCUSDT/1mo/BTCUSDT-1mo-2026-10.zip",
            "data/futures/um/monthly/fundingRate/BTCUSDT/BTCUSDT-fundingRate-2026-10.zip",
            "trading/BTCUSDT/BTCUSDT2026-10-01.csv.gz",
            "spot/BTCUSDT/BTCUSDT_2026-10-01.csv.gz",
        ] {
            assert_eq!(key_of(path).map(|key| key.path()).as_deref(), Some(path));
        }
        for path in [
            "data/spot/daily/aggTrades/BTCUSDT/ETHUSDT-aggTrades-2026-10-01.zip",
            "data/spot/monthly/aggTrades/BTCUSDT/BTCUSDT-aggTrades-2026-10-01.zip",
            "data/spot/daily/klines/BTCUSDT/BTCUSDT-1m-2026-10-01.zip",
            "spot/BTCUSDT/BTCUSDT2026-10-01.csv.gz",
            "spot/BTCUSDT/BTCUSDT_2026-10-32.csv.gz",
            "x.zip",
            "",
        ] {
            assert_eq!(key_of(path), None, "{path}");
        }
        let folder = data_folder(Protocol::Binance, Data::Trades, "daily");
        assert_eq!(folder, "data/spot/daily/aggTrades/");
    }
}
