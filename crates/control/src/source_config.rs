//! The settings of a price source as the registry keeps them: one flat JSON object, read and checked. What follows from them is
//! left to the binary.

use model::Time;
use serde::Deserialize;

/// Who brings a source's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceMode {
    /// We ask the venue.
    Local,
    /// Somebody posts them.
    Remote,
}

/// The settings of a price source; what is absent is as usual for the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceConfig {
    /// Who brings its rows.
    pub mode: Option<SourceMode>,
    /// REST origin.
    pub api_base: Option<String>,
    /// Path of its candles.
    pub endpoint: Option<String>,
    /// The venue's symbol.
    pub symbol: Option<String>,
    /// `spot`.
    pub market_type: Option<String>,
    /// Where a source without checkpoint begins.
    pub historical_start: Option<Time>,
    /// Whether it begins there.
    pub auto_historical_backfill: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    mode: Option<SourceMode>,
    api_base: Option<String>,
    endpoint: Option<String>,
    symbol: Option<String>,
    market_type: Option<String>,
    historical_start_utc: Option<String>,
    auto_historical_backfill: Option<bool>,
}

impl SourceConfig {
    /// Reads and checks a JSON object; says what is wrong, naming the key.
    pub fn parse(json: &str) -> Result<Self, String> {
        if !json.trim_start().starts_with('{') {
            return Err("the settings are no JSON object".to_owned());
        }
        let wire: Wire = serde_json::from_str(json).map_err(|error| error.to_string())?;
        let is_origin = |text: &str| {
            let host = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
            host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ', '@']))
        };
        let mut mistakes = Vec::new();
        if let Some(base) = wire.api_base.as_deref().filter(|base| !is_origin(base)) {
            mistakes.push(format!("api_base is no origin: {base:?}; write https://host[:port]"));
        }
        let is_path = |text: &str| text.starts_with('/') && !text.contains(['?', '#', ' ']);
        if let Some(path) = wire.endpoint.as_deref().filter(|path| !is_path(path)) {
            mistakes.push(format!("endpoint is no path: {path:?}; write /api/v3/klines"));
        }
        if wire.symbol.as_deref().is_some_and(|symbol| symbol.trim().is_empty()) {
            mistakes.push("symbol is empty; leave it out for the usual one".to_owned());
        }
        if let Some(market) = wire.market_type.as_deref().filter(|market| *market != "spot") {
            mistakes.push(format!("market_type is {market:?}; only \"spot\" is composed"));
        }
        let start = wire.historical_start_utc.as_deref().map(|text| (text, Time::parse(text)));
        if let Some((text, _)) = start.filter(|(_, time)| time.is_none_or(|time| time < Time(0))) {
            mistakes.push(format!("historical_start_utc is no time: {text:?}; write 2017-08-17T00:00:00Z"));
        }
        if !mistakes.is_empty() {
            return Err(mistakes.join("; "));
        }
        Ok(Self {
            mode: wire.mode,
            api_base: wire.api_base,
            endpoint: wire.endpoint,
            symbol: wire.symbol,
            market_type: wire.market_type,
            historical_start: start.and_then(|(_, time)| time),
            auto_historical_backfill: wire.auto_historical_backfill,
        })
    }
}

#[cfg(test)]
mod tests {
    //! Cases for settings well and badly written.
    use super::*;

    #[test]
    fn the_settings_of_a_remote_source_are_read() {
        let config = SourceConfig::parse(
            r#"{"mode": "remote", "api_base": "https://api.binance.com", "endpoint": "/api/v3/klines",
                "market_type": "spot", "historical_start_utc": "2017-08-17T00:00:00Z", "auto_historical_backfill": true}"#,
        )
        .unwrap();
        assert_eq!(config.mode, Some(SourceMode::Remote));
        assert_eq!(config.historical_start, Time::parse("2017-08-17"));
        assert_eq!(SourceConfig::parse("{}").unwrap(), SourceConfig::default());
    }

    #[test]
    fn a_mistake_is_told_with_its_key() {
        for (json, part) in [
            (r#"{"modus": "remote"}"#, "unknown field `modus`"),
            (r#"{"mode": "cloud"}"#, "unknown variant `cloud`"),
            (r#"{"api_base": "ftp://host"}"#, "api_base is no origin"),
            (r#"{"api_base": "https://host/path"}"#, "api_base is no origin"),
            (r#"{"endpoint": "klines"}"#, "endpoint is no path"),
            (r#"{"symbol": " "}"#, "symbol is empty"),
            (r#"{"market_type": "perp"}"#, "market_type is \"perp\""),
            (r#"{"historical_start_utc": "soon"}"#, "historical_start_utc is no time"),
            (r#"{"auto_historical_backfill": "yes"}"#, "invalid type"),
            ("[]", "no JSON object"),
            ("{", "EOF"),
        ] {
            let error = SourceConfig::parse(json).unwrap_err();
            assert!(error.contains(part), "{json}: {error}");
        }
    }
}
