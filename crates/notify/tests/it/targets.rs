//! Both targets: what arrives, what is waited for, what is lost, and that nobody waits for them.

use std::time::Duration;

use model::{Nanos, Time};
use notify::{
    Kind, Message, Notifier, NotifySettings, Rules, Secret, Severity, TelegramSettings, WebhookSettings,
};
use runtime::clock::{Stopwatch, within};
use runtime::{SystemClock, Tasks};
use simulate::receivers::{self, Receiver, Receivers, TELEGRAM_CHAT_ID, TELEGRAM_TOKEN, WEBHOOK_TOKEN};

/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    receivers: Receivers,
    notifier: Notifier,
    tasks: Tasks,
    /// Outlives the notifier's tasks.
    _servers: Tasks,
}

fn both(receivers: &Receivers) -> NotifySettings {
    NotifySettings {
        house: "east".into(),
        telegram: Some(TelegramSettings {
            api: receivers.telegram_api(),
            token: Secret::new(TELEGRAM_TOKEN),
            chat_id: TELEGRAM_CHAT_ID.into(),
        }),
        webhook: Some(WebhookSettings {
            url: Secret::new(receivers.webhook_url()),
            token: Secret::new(WEBHOOK_TOKEN),
        }),
        rules: Rules { window: Duration::from_millis(200), ..Rules::default() },
        answer_max: Duration::from_secs(5),
        ..NotifySettings::default()
    }
}

async fn serve() -> (Receivers, Tasks) {
    let _installed_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let servers = Tasks::new();
    (receivers::start(0, SystemClock::shared(), &servers).await.unwrap(), servers)
}

async fn start(settings: impl FnOnce(&mut NotifySettings)) -> World {
    let (receivers, servers) = serve().await;
    let tasks = Tasks::new();
    let mut own = both(&receivers);
    settings(&mut own);
    let notifier = notify::start(&own, Time(7_000), &tasks).unwrap();
    World { receivers, notifier, tasks, _servers: servers }
}

fn message(title: &str) -> Message {
    Message::new(Kind::Error, Severity::Warning, title, Time(0))
}

impl World {
    fn titles(&self, receiver: Receiver) -> Vec<String> {
        let all = self.receivers.received();
        let own = all.iter().filter(|message| message.receiver == receiver);
        let field = if receiver == Receiver::Telegram { "text" } else { "title" };
        own.map(|message| message.body[field].as_str().unwrap().to_owned()).collect()
    }

    async fn wait(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let look = async {
            while !is_so(self) {
                runtime::sleep(Duration::from_millis(5)).await;
            }
        };
        let told = || self.receivers.told();
        assert!(within(PATIENCE, look).await.is_some(), "in vain: {what}: {}", told());
    }
}

#[tokio::test]
async fn both_targets_get_what_is_told() {
    let world = start(|_| {}).await;
    world.notifier.tell(&message("the tables cannot be written").with_text("no space").with("tries", 3_u64));
    world.wait("both are told", |world| world.receivers.received().len() == 2).await;
    assert_eq!(
        world.titles(Receiver::Telegram),
        ["WARNING: east: the tables cannot be written\nno space\ntries: 3"]
    );
    assert_eq!(world.titles(Receiver::Webhook), ["the tables cannot be written"]);
    assert!(world.notifier.finish(PATIENCE).await);
    assert_eq!(world.tasks.close_together(PATIENCE).await, Vec::<String>::new());
}

#[tokio::test]
async fn seven_hundred_gaps_are_a_handful_of_messages() {
    let world = start(|settings| settings.webhook = None).await;
    for symbol in 0..700 {
        let gap = Message::new(Kind::GapOpened, Severity::Warning, format!("gap {symbol}"), Time(0));
        world.notifier.tell(&gap.gathered("gaps opened"));
    }
    world.wait("they are told", |world| !world.receivers.received().is_empty()).await;
    assert!(world.notifier.finish(PATIENCE).await);
    let titles = world.titles(Receiver::Telegram);
    assert!(titles.len() <= 3, "{titles:?}");
    assert!(
        titles[0].starts_with("WARNING: east: ") && titles[0].contains(" gaps opened\ngap 0\n"),
        "{titles:?}"
    );
}

#[tokio::test]
async fn a_wait_that_telegram_wants_is_kept_and_failures_are_tried_again() {
    let world = start(|_| {}).await;
    world.receivers.order("telegram:retry=1s,telegram:fail,webhook:fail,webhook:retry=1s").unwrap();
    world.notifier.tell(&message("a"));
    world.notifier.tell(&message("b"));
    world.wait("all is told", |world| world.receivers.received().len() == 4).await;
    assert_eq!(world.receivers.too_early_count(), 0);
    assert_eq!(world.titles(Receiver::Telegram), ["WARNING: east: a", "WARNING: east: b"]);
    assert_eq!(world.titles(Receiver::Webhook), ["a", "b"], "in order");
}

#[tokio::test]
async fn who_tells_never_waits_and_a_target_that_hangs_holds_up_no_other() {
    let world = start(|settings| settings.rules.waiting_max = 50).await;
    world.receivers.order("telegram:hang").unwrap();
    world.notifier.tell(&message("first"));
    let watch = Stopwatch::start();
    for number in 0..20_000 {
        world.notifier.tell(&message(&format!("m{number}")));
    }
    let took = watch.elapsed();
    assert!(took < PATIENCE, "{took:?}");
    world.wait("the webhook is told", |world| !world.titles(Receiver::Webhook).is_empty()).await;
    assert_eq!(world.titles(Receiver::Telegram), Vec::<String>::new());
    assert!(!world.notifier.finish(Duration::from_millis(100)).await, "Telegram is not done");
    assert_eq!(world.tasks.close_together(PATIENCE).await, Vec::<String>::new(), "ends though it hangs");
}

#[tokio::test]
async fn what_was_lost_is_told_of() {
    let world = start(|settings| {
        settings.webhook = None;
        settings.rules.waiting_max = 2;
    })
    .await;
    world.receivers.order("telegram:retry=1s").unwrap();
    for number in 0..10 {
        world.notifier.tell(&message(&format!("m{number}")));
    }
    world.wait("the rest is told", |world| world.titles(Receiver::Telegram).len() >= 2).await;
    let text = world.titles(Receiver::Telegram).concat();
    assert!(text.contains("m9") && text.contains("earlier messages could not be told)"), "{text}");
}

#[tokio::test]
async fn trying_out_says_what_came_back_and_shows_no_secret() {
    let (receivers, _servers) = serve().await;
    let good = both(&receivers);
    let test = || Message::new(Kind::Test, Severity::Info, "do you hear me?", Time(0));
    let results = notify::try_out(&good, test()).await.unwrap();
    assert_eq!(results, [("telegram", Ok(())), ("webhook", Ok(()))]);
    let wrong = |token: &str, chat: &str, url: &str, bearer: &str| {
        let mut settings = both(&receivers);
        let telegram = settings.telegram.as_mut().unwrap();
        (telegram.token, telegram.chat_id) = (Secret::new(token), chat.to_owned());
        let webhook = settings.webhook.as_mut().unwrap();
        (webhook.url, webhook.token) = (Secret::new(url), Secret::new(bearer));
        settings
    };
    let nobody = "http://127.0.0.1:1/secret-path";
    for (settings, telegram, webhook) in [
        (
            wrong("7:secret", "5", nobody, ""),
            "401: Unauthorized; look at notify.telegram_token",
            "error sending request",
        ),
        (
            wrong(TELEGRAM_TOKEN, "5", &receivers.webhook_url(), "secret"),
            "chat not found; look at notify.telegram_chat_id",
            "401; look at notify.webhook_token",
        ),
    ] {
        let shown = format!("{settings:?}");
        let results = notify::try_out(&settings, test()).await.unwrap();
        let said = format!("{shown} {results:?}");
        assert!(said.contains(telegram) && said.contains(webhook), "{said}");
        assert!(!said.contains("secret") && !said.contains(TELEGRAM_TOKEN), "{said}");
    }
    let mut silent = both(&receivers);
    silent.answer_max = Duration::from_millis(50);
    receivers.order("telegram:hang,webhook:hang").unwrap();
    let said = format!("{:?}", notify::try_out(&silent, test()).await.unwrap());
    assert!(said.contains("timed out") && !said.contains("bot1000") && !said.contains("/hook/"), "{said}");
    receivers.order("none").unwrap();
}

#[tokio::test]
async fn time_of_a_message_is_that_of_what_happened() {
    let world = start(|settings| settings.telegram = None).await;
    let time = Nanos(1_794_225_600_000_000_000).to_time();
    world.notifier.tell(&Message::new(Kind::Start, Severity::Info, "started", time));
    world.wait("it is told", |world| !world.receivers.received().is_empty()).await;
    let body = world.receivers.received()[0].body.clone();
    assert_eq!((&body["time"], &body["id"]), (&1_794_225_600_000_i64.into(), &"7-1".into()));
}
