//! Cases for fetching: whole, broken off, changed, spoilt and absent files, from a site of a few lines.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use flate2::write::GzEncoder;
use futures::StreamExt;
use model::VenueId;
use runtime::Tasks;
use runtime::tasks::Stopper;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use venues::archive::{ArchiveAsk, ArchiveData, ArchiveFile, Packing, Period, Span};

use super::{ArchiveSettings, ArchiveSite, FetchError, Fetched, unpack};
use crate::testing::lock;

/// What the site does wrong, one after the other.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Status(u16),
    HangAfter(usize),
}

#[derive(Default)]
struct Site {
    body: Mutex<Vec<u8>>,
    checksum: Mutex<Option<String>>,
    faults: Mutex<Vec<Fault>>,
    /// Ranges asked for.
    asked: Mutex<Vec<String>>,
}

async fn answer(State(site): State<Arc<Site>>, uri: Uri, headers: HeaderMap) -> Response {
    if uri.path().ends_with(".CHECKSUM") {
        return match lock(&site.checksum).clone() {
            Some(text) => text.into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        };
    }
    let range = headers.get("range").map(|range| range.to_str().unwrap().to_owned());
    lock(&site.asked).push(range.clone().unwrap_or_default());
    let body = lock(&site.body).clone();
    if body.is_empty() {
        return StatusCode::NOT_FOUND.into_response();
    }
    let tag = format!("\"{}\"", super::download::hex(&Sha256::digest(&body)[..8]));
    let is_same = headers.get("if-range").is_some_and(|mark| mark.to_str().unwrap() == tag);
    let from = range.filter(|_| is_same).map_or(0, |range| {
        range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse::<usize>().unwrap()
    });
    let fault =
        Some(lock(&site.faults)).filter(|faults| !faults.is_empty()).map(|mut faults| faults.remove(0));
    let rest = body[from..].to_vec();
    let length = rest.len();
    let content = match fault {
        Some(Fault::Status(status)) => return StatusCode::from_u16(status).unwrap().into_response(),
        Some(Fault::HangAfter(count)) => {
            let first = Ok::<_, std::io::Error>(Bytes::from(rest[..count].to_vec()));
            Body::from_stream(futures::stream::iter([first]).chain(futures::stream::pending()))
        }
        None => Body::from(rest),
    };
    let status = if from > 0 { 206 } else { 200 };
    Response::builder()
        .status(status)
        .header("etag", tag)
        .header("content-length", length)
        .body(content)
        .unwrap()
}

struct Place {
    site: Arc<Site>,
    address: SocketAddr,
    folder: TempDir,
    stopper: Stopper,
}

impl Place {
    async fn new(body: &[u8]) -> Self {
        let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let site = Arc::new(Site::default());
        *lock(&site.body) = body.to_vec();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&site));
        let mut once = Some((listener, router));
        Tasks::new().start("site", runtime::Restart::Never, move |_| {
            let parts = once.take();
            async move {
                let Some((listener, router)) = parts else { return Ok(()) };
                axum::serve(listener, router).await.map_err(|error| error.to_string())
            }
        });
        let place = Self { site, address, folder: TempDir::new().unwrap(), stopper: Stopper::default() };
        place.tell_checksum();
        place
    }

    fn tell_checksum(&self) {
        let sum = super::download::hex(&Sha256::digest(&*lock(&self.site.body)));
        *lock(&self.site.checksum) = Some(format!("{sum}  {}\n", file().name));
    }

    fn open(&self) -> ArchiveSite {
        let mut settings = ArchiveSettings::new(VenueId::known("binance").unwrap(), self.folder.path());
        settings.files = Some(format!("http://{}", self.address));
        settings.listing = settings.files.clone();
        settings.retry = (Duration::from_millis(1), Duration::from_millis(2));
        settings.tries_max = 3;
        settings.silence_max = Duration::from_secs(2);
        ArchiveSite::open(settings).unwrap().unwrap()
    }

    async fn fetch(&self) -> Result<Fetched, FetchError> {
        self.open().fetch(&file(), &|_| {}, &self.stopper.watch()).await
    }

    fn asked(&self) -> Vec<String> {
        lock(&self.site.asked).clone()
    }
}

fn file() -> ArchiveFile {
    let archives = venues::venue(VenueId::known("binance").unwrap()).unwrap().archives().unwrap();
    archives.file(ArchiveData::Trades, "BTCUSDT", Period::parse("2024-08-08").unwrap()).unwrap()
}

fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(u32::to_le_bytes).collect()
}

#[tokio::test]
async fn a_file_is_fetched_whole_and_confirmed() {
    let place = Place::new(&content()).await;
    let fetched = place.fetch().await.unwrap();
    assert_eq!((fetched.size_bytes, fetched.is_confirmed), (800_000, Some(true)));
    assert_eq!(std::fs::read(&fetched.path).unwrap(), content());
    assert_eq!(
        std::fs::read_dir(fetched.path.parent().unwrap()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[tokio::test]
async fn a_download_that_broke_off_goes_on_in_another_process() {
    let place = Place::new(&content()).await;
    *lock(&place.site.faults) = vec![Fault::HangAfter(300_000), Fault::Status(503), Fault::Status(503)];
    let error = place.fetch().await.unwrap_err();
    assert!(matches!(&error, FetchError::Failed(what) if what.contains("503")), "{error}");
    let before = place.asked().len();
    let fetched = place.fetch().await.unwrap();
    assert_eq!(std::fs::read(&fetched.path).unwrap(), content());
    let asked = place.asked();
    assert_eq!(asked.len(), before + 1);
    let from: usize =
        asked.last().unwrap().strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap();
    assert_eq!(from, 300_000, "{asked:?}");
}

#[tokio::test]
async fn a_file_that_changed_while_it_came_is_fetched_anew() {
    let place = Place::new(&content()).await;
    *lock(&place.site.faults) = vec![Fault::HangAfter(300_000), Fault::Status(500), Fault::Status(500)];
    place.fetch().await.unwrap_err();
    let changed: Vec<u8> = content().iter().rev().copied().collect();
    lock(&place.site.body).clone_from(&changed);
    place.tell_checksum();
    assert_eq!(std::fs::read(place.fetch().await.unwrap().path).unwrap(), changed);
}

#[tokio::test]
async fn a_spoilt_file_is_fetched_twice_and_refused() {
    let place = Place::new(&content()).await;
    lock(&place.site.body)[5] ^= 1;
    let error = place.fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::Checksum { .. }), "{error}");
    assert_eq!(place.asked().len(), 2);
}

#[tokio::test]
async fn what_is_not_there_is_absent_at_once_and_a_stop_ends_waiting() {
    let place = Place::new(b"").await;
    assert_eq!(place.fetch().await, Err(FetchError::Absent));
    assert_eq!(place.asked().len(), 1);
    place.stopper.stop();
    assert_eq!(place.fetch().await, Err(FetchError::Stopped));
}

#[tokio::test]
async fn what_is_no_listing_is_told() {
    let place = Place::new(b"<html>sign in</html>").await;
    let ask = ArchiveAsk { data: ArchiveData::Trades, symbol: "BTCUSDT", span: Span::Day, from: None };
    let listed = place.open().list(&ask, &place.stopper.watch()).await;
    assert!(matches!(listed, Err(FetchError::Strange(_))), "{listed:?}");
}

#[test]
fn names_from_outside_stay_inside() {
    let folder = TempDir::new().unwrap();
    let _installed = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let settings = ArchiveSettings::new(VenueId::known("binance").unwrap(), folder.path());
    let site = ArchiveSite::open(settings).unwrap().unwrap();
    let named = |symbol: &str, name: &str| {
        site.target(&ArchiveFile { symbol: symbol.into(), name: name.into(), ..file() })
    };
    assert_eq!(named("../../BTC", "../../../etc/passwd"), folder.path().join("binance/BTC/passwd"));
    assert_eq!(named("BTC", ".."), folder.path().join("binance/BTC/unnamed"));
}

fn zipped(name: &str, rows: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(rows).unwrap();
    writer.finish().unwrap().into_inner()
}

fn gzipped(rows: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(rows).unwrap();
    writer.finish().unwrap()
}

fn unpacked(packed: &[u8], packing: Packing) -> Result<Vec<u8>, String> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("packed");
    std::fs::write(&path, packed).unwrap();
    let read = unpack(&path, packing, |rows| {
        let mut all = Vec::new();
        rows.read_to_end(&mut all).map(|_| all).map_err(|error| error.to_string())
    });
    read.map_err(|error| error.to_string())?
}

#[test]
fn packages_are_unpacked_and_damage_is_told() {
    let rows = "1,2,3\n".repeat(50_000).into_bytes();
    assert_eq!(unpacked(&zipped("rows.csv", &rows), Packing::Zip).unwrap(), rows);
    assert_eq!(unpacked(&gzipped(&rows), Packing::Gzip).unwrap(), rows);
    let (mut zip, gz) = (zipped("rows.csv", &rows), gzipped(&rows));
    assert!(unpacked(&zip[..zip.len() / 2], Packing::Zip).is_err());
    assert!(unpacked(&gz[..gz.len() / 2], Packing::Gzip).is_err());
    assert!(unpacked(b"not packed at all", Packing::Zip).is_err());
    assert!(unpacked(b"not packed at all", Packing::Gzip).is_err());
    let middle = zip.len() / 3;
    zip[middle] ^= 0x55;
    assert!(unpacked(&zip, Packing::Zip).is_err());
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let bomb = vec![b'0'; 200 << 20];
    for (packed, packing) in [(zipped("rows.csv", &bomb), Packing::Zip), (gzipped(&bomb), Packing::Gzip)] {
        let error = unpacked(&packed, packing).unwrap_err();
        assert!(error.contains("100 times its size"), "{error}");
    }
}
