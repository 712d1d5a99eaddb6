//! A world for one test: a temporary folder, simulated exchanges and a platform, each a process of its own.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The built binary: `TICKHOUSE_BIN`, else the one beside this test.
pub(crate) fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("TICKHOUSE_BIN") {
        return named.into();
    }
    let test = std::env::current_exe().expect("a running test has a path");
    let beside = test.ancestors().nth(2).expect("tests run from deps/").join("tickhouse");
    assert!(
        beside.exists(),
        "{} is not built: run `make build` first or set TICKHOUSE_BIN",
        beside.display()
    );
    beside
}

/// A process that is killed when the test ends.
pub(crate) struct Process {
    child: Child,
    name: &'static str,
}

impl Process {
    /// Starts the binary; its log goes to `log`.
    pub(crate) fn start(name: &'static str, arguments: &[&str], directory: &Path) -> Self {
        Self::start_with(name, &[], arguments, directory)
    }

    /// As [`Process::start`], with more of the environment.
    pub(crate) fn start_with(
        name: &'static str,
        variables: &[(&str, &str)],
        arguments: &[&str],
        directory: &Path,
    ) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(directory.join(format!("{name}.log")))
            .expect("the test folder is writable");
        let child = clean(Command::new(binary()))
            .args(arguments)
            .envs(variables.iter().copied())
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("the binary starts");
        Self { child, name }
    }

    /// The next line of standard output that `wanted` accepts.
    pub(crate) fn line(&mut self, mut wanted: impl FnMut(&str) -> bool) -> String {
        let out = self.child.stdout.as_mut().expect("standard output is piped");
        let mut reader = BufReader::with_capacity(1, out);
        let mut line = String::new();
        loop {
            line.clear();
            let count = reader.read_line(&mut line).expect("standard output is text");
            assert!(count > 0, "{} ended before it said what was expected", self.name);
            if wanted(&line) {
                return line.trim_end().to_owned();
            }
        }
    }

    /// Kills it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process ends");
    }

    /// Asks it to end and returns the rest of its standard output.
    pub(crate) fn end(&mut self) -> String {
        self.signal("TERM");
        let (code, rest) = self.ended();
        assert_eq!(code, Some(0), "{}: {rest}", self.name);
        rest
    }

    /// Sends a signal such as `INT`.
    pub(crate) fn signal(&mut self, signal: &str) {
        let name = format!("-{signal}");
        let status =
            Command::new("kill").args([&name, &self.child.id().to_string()]).status().expect("kill runs");
        assert!(status.success(), "{} had already ended", self.name);
    }

    /// Waits for its end: the exit code and the rest of its standard output.
    pub(crate) fn ended(&mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        if let Some(out) = self.child.stdout.as_mut() {
            out.read_to_string(&mut rest).expect("standard output is text");
        }
        (self.child.wait().expect("the process ends").code(), rest)
    }

    /// Waits for its end as [`Process::ended`] does; also the most memory it held, bytes.
    pub(crate) fn ended_with_peak(&mut self) -> (Option<i32>, String, u64) {
        let (id, is_over) = (self.child.id(), std::sync::atomic::AtomicBool::new(false));
        std::thread::scope(|threads| {
            let watch = threads.spawn(|| {
                let mut peak = 0;
                while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                    peak = peak.max(memory_peak(id));
                    std::thread::sleep(Duration::from_millis(20));
                }
                peak
            });
            let (code, said) = self.ended();
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
            (code, said, watch.join().expect("the watch ends"))
        })
    }

    /// Whether it still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("the process can be asked").is_none()
    }
}

/// The most memory a process held so far, bytes; 0 once it has ended.
fn memory_peak(id: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or_default() << 10
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars() {
        if name.starts_with("TICKHOUSE__") {
            command.env_remove(name);
        }
    }
    command
}

/// A folder, exchanges and settings.
pub(crate) struct World {
    pub(crate) place: tempfile::TempDir,
    sim: Process,
    pub(crate) admin: String,
    pub(crate) venues: BTreeMap<String, (String, String)>,
    pub(crate) archive: String,
    /// Those who are told: origins, tokens and chat of a Telegram and a webhook.
    pub(crate) receivers: Value,
    /// A Bitcoin node: its address and cookie file; null if there is none.
    pub(crate) node: Value,
    /// Origins of price sources by name; null if there are none.
    pub(crate) prices: Value,
}

impl World {
    /// Starts exchanges with these arguments.
    pub(crate) fn start(sim_arguments: &[&str]) -> Self {
        let place = tempfile::tempdir().expect("a temporary folder");
        let mut arguments = vec!["sim"];
        arguments.extend(sim_arguments);
        let mut sim = Process::start("sim", &arguments, place.path());
        let ready: Value =
            serde_json::from_str(&sim.line(|line| line.contains("\"ready\""))).expect("a line of JSON");
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let venues = ready["venues"].as_object().expect("venues by name").iter();
        let venues =
            venues.map(|(name, at)| (name.clone(), (text(&at["rest"]), text(&at["stream"])))).collect();
        let archive = ready["archive"].as_str().unwrap_or_default().to_owned();
        let receivers = ready["receivers"].clone();
        let node = ready["node"].clone();
        let prices = ready["prices"].clone();
        Self { admin: text(&ready["admin"]), place, sim, venues, archive, receivers, node, prices }
    }

    /// Writes a configuration for the exchanges; `extra` is added per venue section.
    pub(crate) fn configure(&self, extra: &str, sections: &str) -> PathBuf {
        let mut text = String::from("[data]\ndirectory = \"data\"\n[serve]\naddress = \"127.0.0.1:0\"\n");
        text.push_str(sections);
        for (venue, (rest, stream)) in &self.venues {
            let section = format!(
                "[venues.{venue}]\nenabled = true\nrest = \"{rest}\"\nstream = \"{stream}\"\n{extra}\n"
            );
            text.push_str(&section);
        }
        let file = self.place.path().join("tickhouse.toml");
        std::fs::write(&file, text).expect("the test folder is writable");
        file
    }

    /// Starts the platform and waits until it serves; returns its address.
    pub(crate) fn run(&self) -> (Process, String) {
        let mut process = Process::start("run", &["run", "-c", "tickhouse.toml"], self.place.path());
        let line = process.line(|line| line.contains("serving http://"));
        let address =
            line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
        (process, address.to_owned())
    }

    /// Ends the exchanges; what they said last.
    pub(crate) fn end_exchanges(&mut self) -> String {
        self.sim.end()
    }

    /// Asks in SQL; rows as text fields.
    pub(crate) fn sql(&self, query: &str) -> Vec<Vec<String>> {
        sql(self.place.path(), "data", query)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.place.disable_cleanup(true);
            eprintln!("the world of the failed test is kept in {}", self.place.path().display());
        }
    }
}

/// Runs the binary to its end.
pub(crate) fn tickhouse(directory: &Path, arguments: &[&str]) -> Output {
    clean(Command::new(binary()))
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("runs")
}

/// As [`tickhouse`], with more of the environment.
pub(crate) fn tickhouse_with(
    directory: &Path,
    variables: &[(&str, &str)],
    arguments: &[&str],
) -> (Option<i32>, String) {
    let output = clean(Command::new(binary()))
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .expect("runs");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&said).into_owned())
}

/// Says things on the live stream, each answered with one message; those answers.
pub(crate) fn talk(address: &str, said: &[String]) -> Vec<Value> {
    use futures::{SinkExt, StreamExt};
    block_on(async {
        let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/ws/stream"))
            .await
            .expect("the stream opens");
        let mut answers = Vec::new();
        for text in said {
            // What is too large is answered, and the stream closed, before all of it was sent.
            let _cut_off = socket.send(text.as_str().into()).await;
            let answer = tokio::time::timeout(Duration::from_secs(20), socket.next()).await;
            let answer = answer.expect("an answer comes").expect("the stream stays open").expect("a message");
            answers.push(serde_json::from_str(answer.to_text().expect("text")).expect("JSON"));
        }
        answers
    })
}

/// Asks in SQL; rows as text fields, without the heading.
pub(crate) fn sql(directory: &Path, data: &str, query: &str) -> Vec<Vec<String>> {
    let output = tickhouse(directory, &["sql", "--data", data, "--format", "csv", query]);
    assert!(output.status.success(), "{query}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("CSV is text");
    text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Asks again and again until it holds; fails after `longest`.
pub(crate) fn eventually<T>(longest: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    until(longest, what, || ask().ok_or_else(String::new))
}

/// As [`eventually`], and the failure says what was lacking in the end.
pub(crate) fn until<T>(longest: Duration, what: &str, mut ask: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match ask() {
            Ok(found) => return found,
            Err(lacking) => {
                assert!(started.elapsed() < longest, "waited {longest:?} in vain: {what}; {lacking}");
            }
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// GET, answered as status and JSON.
pub(crate) fn get(url: &str) -> (u16, Value) {
    block_on(async {
        let answer = client().get(url).send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_else(|error| panic!("{url}: {error}")))
    })
}

/// GET, answered as text.
pub(crate) fn get_text(url: &str) -> String {
    block_on(async {
        let answer = client().get(url).send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(answer.status().as_u16(), 200, "{url}");
        answer.text().await.unwrap_or_else(|error| panic!("{url}: {error}"))
    })
}

/// POST of a text; one that begins as JSON does is sent as such.
pub(crate) fn post(url: &str, body: &str) -> (u16, String) {
    let kind = if body.starts_with('{') { "application/json" } else { "text/plain" };
    block_on(async {
        let request = client().post(url).header("content-type", kind).body(body.to_owned());
        let answer = request.send().await.unwrap_or_else(|e| panic!("{url}: {e}"));
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    })
}

fn client() -> reqwest::Client {
    let _installed_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().expect("a client")
}

/// Runs a future to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// A small generator of pauses, so that a failure can be repeated from its seed.
pub(crate) struct Pauses(pub(crate) u64);

impl Pauses {
    /// The next pause, milliseconds from `low` up to but not `high`.
    pub(crate) fn next(&mut self, low: u64, high: u64) -> Duration {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(low + (self.0 >> 33) % (high - low))
    }
}

/// A number from the environment, as `make soak` and those who look for rare failures set it.
pub(crate) fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}
