//! Cases for configuration files and environment variables.

use super::*;

fn mistakes(text: &str) -> Vec<String> {
    let mut mistakes = Vec::new();
    Config::defaults().take_file(Path::new("t.toml"), text, &mut mistakes);
    mistakes.iter().map(|m| format!("{}: {}; {}", m.place, m.what, m.remedy)).collect()
}

#[test]
fn five_mistakes_are_reported_at_once_with_line_and_remedy() {
    let text = "[serve]\naddress = \"nowhere\"\nreaders = 5\n[rawlog]\nsegment_mib = 0\n\
                [venues.binance]\nchannels = [\"trades\", \"tape\"]\nrest = \"ftp://x\"\n";
    let found = mistakes(text);
    assert_eq!(found.len(), 5, "{found:#?}");
    for (line, words) in [
        (2, "127.0.0.1:8080"),
        (3, "unknown setting \"serve.readers\"; did you mean serve.readers_max?"),
        (5, "from 1 to 16384"),
        (7, "\"tape\" is none of"),
        (8, "https://"),
    ] {
        let hit = found.iter().find(|m| m.starts_with(&format!("t.toml:{line}:")));
        assert!(hit.is_some_and(|m| m.contains(words)), "line {line}: {found:#?}");
    }
}

fn loaded(text: &str) -> Vec<String> {
    let (mut config, mut mistakes) = (Config::defaults(), Vec::new());
    config.take_file(Path::new("t.toml"), text, &mut mistakes);
    check::check(&config, &mut mistakes);
    mistakes.iter().map(|m| format!("{}: {}; {}", m.place, m.what, m.remedy)).collect()
}

#[test]
fn an_address_beyond_this_machine_was_served_without_a_key_or_a_word() {
    for address in ["0.0.0.0:8080", "[::]:8080", "192.168.1.5:80"] {
        let found = loaded(&format!("[serve]\naddress = \"{address}\"\n"));
        assert!(found.len() == 1 && found[0].starts_with("t.toml:2:"), "{found:?}");
        assert!(found[0].contains("allow_remote = true"), "{found:?}");
        let found = loaded(&format!("[serve]\naddress = \"{address}\"\nallow_remote = true\n"));
        assert_eq!(found, [""; 0]);
    }
    assert_eq!(loaded("[serve]\naddress = \"[::1]:8080\"\n"), [""; 0]);
}

#[test]
fn a_log_filter_and_an_empty_choice_are_checked_before_anything_starts() {
    let text = "[telemetry]\nfilter = \"loud\"\n[venues.bybit]\nenabled = true\ninstruments = []\nchannels = []\n\
                [venues.binance]\ninstruments = []\n";
    let found = loaded(text);
    assert_eq!(found.len(), 3, "{found:#?}");
    for (line, words) in [(2, "collect=debug"), (5, "BTCUSDT"), (6, "enabled = false")] {
        let hit = found.iter().find(|m| m.starts_with(&format!("t.toml:{line}:")));
        assert!(hit.is_some_and(|m| m.contains(words)), "line {line}: {found:#?}");
    }
}

#[test]
fn a_bot_without_a_chat_was_taken_for_a_good_configuration() {
    for (text, line, words) in [
        ("[notify]\ntelegram_token = \"1:secret\"\n", 2, "notify.telegram_chat_id"),
        ("[notify]\ntelegram_chat_id = \"@house\"\n", 2, "TICKHOUSE__NOTIFY__TELEGRAM_TOKEN"),
        ("[notify]\ntelegram_chat_id = \"5\"\ntelegram_token = \"secret\"\n", 3, "BotFather"),
        ("[notify]\ntelegram_chat_id = \"five\"\ntelegram_token = \"1:secret\"\n", 2, "-1001234567890"),
        ("[notify]\ntelegram_token = 12345678\n", 2, "in quotes"),
        ("[notify]\nwebhook = \"secret\"\n", 2, "https://host/path"),
        ("[notify]\nwebhook_token = \"secret\"\n", 2, "notify.webhook"),
    ] {
        let found = loaded(text);
        assert!(found.len() == 1 && found[0].starts_with(&format!("t.toml:{line}:")), "{found:?}");
        assert!(found[0].contains(words) && !found[0].contains("secret"), "{found:?}");
        assert!(!found[0].contains("12345678;"), "{found:?}");
    }
    let good = "[notify]\ntelegram_token = \"1:secret\"\ntelegram_chat_id = \"-100\"\nwebhook = \"https://host/secret\"\n";
    assert_eq!(loaded(good), [""; 0]);
}

#[test]
fn secrets_are_shown_nowhere() {
    let (mut config, mut mistakes) = (Config::defaults(), Vec::new());
    let variables = [
        ("TICKHOUSE__NOTIFY__TELEGRAM_TOKEN".to_owned(), "1:secret".to_owned()),
        ("TICKHOUSE__NOTIFY__WEBHOOK".to_owned(), "https://host/secret".to_owned()),
        ("TICKHOUSE__NOTIFY__WEBHOOK_TOKEN".to_owned(), "secret".to_owned()),
    ];
    config.take_environment(&variables, &mut mistakes);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let shown = format!("{} {config:?} {:?}", config.show(), settings::notify(&config));
    assert!(shown.contains("telegram_token = \"(hidden)\"") && !shown.contains("secret"), "{shown}");
    assert_eq!(settings::notify(&config).telegram.expect("a chat").token.reveal(), "1:secret");
}

#[test]
fn the_kinds_that_can_be_chosen_are_those_there_are() {
    let kinds: Vec<&str> = ::notify::Kind::ALL.into_iter().map(::notify::Kind::as_str).collect();
    let setting = list::find("notify.kinds").expect("is declared");
    assert_eq!(setting.kind, setting::Kind::Choices(&kinds.leak()[..]));
    let chosen = settings::notify(&Config::defaults()).rules.kinds;
    assert_eq!(chosen, ::notify::Rules::default().kinds);
}

#[test]
fn a_file_that_is_no_toml_names_the_line() {
    let found = mistakes("[serve]\naddress = \n");
    assert!(found[0].starts_with("t.toml:2: not TOML"), "{found:?}");
}

#[test]
fn the_environment_wins_over_the_file() {
    let mut config = Config::defaults();
    let mut mistakes = Vec::new();
    config.take_file(Path::new("t.toml"), "[serve]\naddress = \"127.0.0.1:1\"\n", &mut mistakes);
    let variables = [
        ("TICKHOUSE__SERVE__ADDRESS".to_owned(), "127.0.0.1:2".to_owned()),
        ("TICKHOUSE__VENUES__BINANCE_FUTURES__INSTRUMENTS".to_owned(), "BTCUSDT, ETHUSDT".to_owned()),
        ("TICKHOUSE__SERVE__NONSENSE".to_owned(), "1".to_owned()),
        ("HOME".to_owned(), "x".to_owned()),
    ];
    config.take_environment(&variables, &mut mistakes);
    assert_eq!(config.text("serve.address"), "127.0.0.1:2");
    assert_eq!(config.words("venues.binance-futures.instruments"), ["BTCUSDT", "ETHUSDT"]);
    assert_eq!(mistakes.len(), 1);
}

#[test]
fn the_commented_file_changes_nothing_when_uncommented() {
    let text: String = commented()
        .lines()
        .skip(2)
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.split_once(" = ").is_some_and(|(name, _)| !name.contains(' ')) => {
                format!("{rest}\n")
            }
            _ => format!("{line}\n"),
        })
        .collect();
    let mut config = Config::defaults();
    let mut mistakes = Vec::new();
    config.take_file(Path::new("t.toml"), &text, &mut mistakes);
    assert!(mistakes.is_empty(), "{mistakes:?}");
    for (key, _) in list::all() {
        assert_eq!(config.value(&key), Config::defaults().value(&key), "{key}");
    }
}

#[test]
fn shown_settings_read_back() {
    let mut mistakes = Vec::new();
    Config::defaults().take_file(Path::new("t.toml"), &Config::defaults().show(), &mut mistakes);
    assert!(mistakes.is_empty(), "{mistakes:?}");
}
