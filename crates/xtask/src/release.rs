//! Packs the optimised binary with its licences and a checksum.

use anyhow::Context;

use crate::bench::RELEASE;
use crate::shell::{self, command};
use crate::workspace::{self, Workspace};

const PAPERS: &[&str] = &["README.md", "CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Builds with the release profile and packs into `dist/` of the target folder.
pub(crate) fn run() -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    shell::run(command("cargo", &["build"]).args(RELEASE))?;
    let version = shell::read("git", &["describe", "--always", "--dirty", "--tags"])?;
    let platform = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let name = format!("tickhouse-{}-{platform}", version.trim());

    let dist = workspace.target_directory.join("dist");
    let folder = dist.join(&name);
    std::fs::create_dir_all(&folder).with_context(|| format!("make {}", folder.display()))?;
    let binary = workspace.built("release", "tickhouse");
    std::fs::copy(&binary, folder.join("tickhouse")).with_context(|| format!("copy {}", binary.display()))?;
    for paper in PAPERS {
        std::fs::copy(workspace::root().join(paper), folder.join(paper))
            .with_context(|| format!("copy {paper}"))?;
    }

    let packed = format!("{name}.tar.gz");
    let tar = ["--create", "--gzip", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--file"];
    shell::run(command("tar", &tar).args([&packed, &name]).current_dir(&dist))?;
    let mut sum = command("sha256sum", &[&packed]);
    let sum = sum.current_dir(&dist).output().context("start sha256sum")?;
    std::fs::write(dist.join(format!("{packed}.sha256")), &sum.stdout)?;
    shell::say(&format!("packed {}", dist.join(packed).display()));
    Ok(())
}
