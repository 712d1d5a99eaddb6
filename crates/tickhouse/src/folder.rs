//! The data folder: one process at a time, marked as real or simulated, and how commands find the process that runs.

use std::fs::{File, TryLockError};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// What the folder's rows come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Markets {
    /// Exchanges.
    Real,
    /// The simulator.
    Simulated,
}

/// Written once when the folder is made.
#[derive(Debug, Serialize, Deserialize)]
struct About {
    format: u32,
    markets: Markets,
}

/// Written while a process runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Running {
    /// Process id.
    pub(crate) pid: u32,
    /// Where it serves.
    pub(crate) address: SocketAddr,
}

/// Version of the folder's arrangement.
const FORMAT: u32 = 1;

/// Name of the file with the mark.
const ABOUT: &str = "about.json";
/// Name of the file that is there while a process serves from the folder.
const RUNNING: &str = "running.json";
/// Its name when the process did not close.
const UNCLOSED: &str = "unclosed.json";

/// An opened data folder. The lock goes with it.
#[derive(Debug)]
pub(crate) struct Folder {
    root: PathBuf,
    #[expect(dead_code, reason = "held for its lock")]
    lock: File,
}

impl Folder {
    /// Opens or makes the folder and takes its lock.
    pub(crate) fn open(root: &Path, markets: Markets) -> anyhow::Result<Self> {
        let shown = root.display();
        std::fs::create_dir_all(root).with_context(|| {
            format!("make data folder {shown}: choose another with --data or [data] directory")
        })?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .with_context(|| {
                format!("data folder {shown} is not writable: make it writable or choose another with --data")
            })?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let who = read_running(root)
                    .map_or_else(String::new, |r| format!(" (process {}, {})", r.pid, r.address));
                bail!(
                    "data folder {shown} is in use by another tickhouse{who}: stop it or choose another folder with --data"
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).context(format!("lock data folder {shown}"));
            }
        }
        if check_markets(root, markets)?.is_none() {
            let about = serde_json::to_vec_pretty(&About { format: FORMAT, markets })?;
            write_durably(&root.join(ABOUT), &about)?;
        }
        if read_running(root).is_some() {
            // Kept for the next run, should this be another command.
            std::fs::rename(root.join(RUNNING), root.join(UNCLOSED))
                .context("put the mark of the last run aside")?;
        }
        Ok(Self { root: root.to_path_buf(), lock })
    }

    /// The process that served from here and did not close, if there was one; told once.
    pub(crate) fn take_unclosed(&self) -> Option<u32> {
        let path = self.root.join(UNCLOSED);
        let running: Running = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
        if let Err(error) = std::fs::remove_file(&path) {
            tracing::warn!(%error, "it will be told again that the last run did not close");
        }
        Some(running.pid)
    }

    /// Says where the process serves, for commands that look for it.
    pub(crate) fn announce(&self, address: SocketAddr) -> anyhow::Result<()> {
        let running = Running { pid: std::process::id(), address };
        write_durably(&self.root.join(RUNNING), &serde_json::to_vec_pretty(&running)?)
    }

    /// A place within the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // The file may never have been written.
        let _absent_is_fine = std::fs::remove_file(self.root.join(RUNNING));
    }
}

/// Refuses a folder that is marked for other markets, or by another version. What the mark says; `None` without one.
pub(crate) fn check_markets(root: &Path, markets: Markets) -> anyhow::Result<Option<String>> {
    let (shown, path) = (root.display(), root.join(ABOUT));
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).context(format!("read {}", path.display())),
    };
    let about: About = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is damaged: restore it or choose another folder", path.display()))?;
    if about.format != FORMAT {
        bail!(
            "data folder {shown} has format {}, this binary reads {FORMAT}: use the matching version",
            about.format
        );
    }
    match (about.markets, markets) {
        (Markets::Simulated, Markets::Real) => bail!(
            "data folder {shown} holds simulated markets: `run` refuses to mix them with real ones; choose another folder with --data or [data] directory"
        ),
        (Markets::Real, Markets::Simulated) => bail!(
            "data folder {shown} holds real markets: `demo` refuses to mix simulated ones in; choose another folder with --data"
        ),
        (Markets::Real, Markets::Real) => Ok(Some("marked as real".into())),
        (Markets::Simulated, Markets::Simulated) => Ok(Some("marked as simulated".into())),
    }
}

fn write_durably(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let staged = path.with_extension("new");
    let mut file = File::create(&staged).with_context(|| format!("write {}", staged.display()))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&staged, path).with_context(|| format!("write {}", path.display()))
}

fn read_running(root: &Path) -> Option<Running> {
    serde_json::from_slice(&std::fs::read(root.join(RUNNING)).ok()?).ok()
}

/// The process that runs in the folder, if one does. A file left by a killed one does not count.
pub(crate) fn running(root: &Path) -> Option<Running> {
    let running = read_running(root)?;
    let lock = File::options().write(true).open(root.join("lock")).ok()?;
    matches!(lock.try_lock(), Err(TryLockError::WouldBlock)).then_some(running)
}

/// The folder a command means: as named, else the configured one, else the demo's if only that exists.
pub(crate) fn meant(named: Option<PathBuf>, configured: PathBuf) -> PathBuf {
    named.unwrap_or_else(|| {
        let demo = PathBuf::from(DEMO_DIRECTORY);
        if !configured.exists() && demo.exists() { demo } else { configured }
    })
}

/// Where `tickhouse demo` keeps its data unless told otherwise.
pub(crate) const DEMO_DIRECTORY: &str = "tickhouse-demo";

#[cfg(test)]
mod tests {
    //! Cases for data folders.
    use super::*;

    #[test]
    fn a_folder_belongs_to_one_process_and_one_kind_of_market() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let first = Folder::open(place.path(), Markets::Simulated).expect("opens");
        assert!(running(place.path()).is_none());
        first.announce("127.0.0.1:9".parse().expect("an address")).expect("announces");
        assert_eq!(running(place.path()).expect("runs").address.port(), 9);
        let error = Folder::open(place.path(), Markets::Simulated).expect_err("is locked").to_string();
        assert!(error.contains("in use"), "{error}");
        drop(first);
        assert!(running(place.path()).is_none());
        let clean = Folder::open(place.path(), Markets::Simulated).expect("opens");
        assert_eq!(clean.take_unclosed(), None, "the first one closed");
        clean.announce("127.0.0.1:9".parse().expect("an address")).expect("announces");
        let left = std::fs::read(place.path().join(RUNNING)).expect("is there");
        drop(clean);
        std::fs::write(place.path().join(RUNNING), left).expect("as if it had been killed");
        drop(Folder::open(place.path(), Markets::Simulated).expect("another command opens"));
        let next = Folder::open(place.path(), Markets::Simulated).expect("opens");
        assert_eq!((next.take_unclosed(), next.take_unclosed()), (Some(std::process::id()), None));
        drop(next);
        let error = Folder::open(place.path(), Markets::Real).expect_err("is simulated").to_string();
        assert!(error.contains("simulated markets"), "{error}");
        assert!(check_markets(place.path(), Markets::Simulated).is_ok_and(|mark| mark.is_some()));
    }
}
