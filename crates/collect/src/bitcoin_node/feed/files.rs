//! What a feed does with the node's own files: reads blocks from them while far behind, and looks where they keep those that were asked
//! for. Reading the files is left to `files` and `places`.

use std::ops::ControlFlow;

use model::BlockHash;

use super::super::blocks::FetchedBlock;
use super::super::error::NodeError;
use super::super::files::BlockFiles;
use super::super::places::NewestFiles;
use super::{Feed, Flow, lock};

/// Blocks read from files in one go.
const FILE_BLOCKS: usize = 16;

impl Feed {
    /// Reads as many of the blocks as the node's files have, and says how many.
    pub(super) async fn advance_by_files(
        &self,
        wanted: &[(u32, BlockHash)],
    ) -> Result<(Flow, usize), NodeError> {
        let mut given_count = 0;
        for some in wanted.chunks(FILE_BLOCKS) {
            let Some(mut files) = self.open_files().await else {
                return Ok((ControlFlow::Continue(()), given_count));
            };
            let (some, received) = (some.to_vec(), self.client.clock.time());
            let wanted_count = some.len();
            let read = runtime::tasks::blocking(move || {
                let mut blocks = Vec::with_capacity(some.len());
                for (height, hash) in some {
                    match files.block(height, &hash, received) {
                        Ok(Some(block)) => blocks.push(block),
                        Ok(None) => return (files.has_more().then_some(files), blocks, None),
                        Err(error) => return (None, blocks, Some(error)),
                    }
                }
                (Some(files), blocks, None)
            });
            let (files, blocks, error) = read.await.map_err(NodeError::Malformed)?;
            if let Some(error) = error {
                tracing::warn!(%error, "the node's block files cannot be read; asking the node");
            }
            let is_over = blocks.len() < wanted_count;
            *lock(&self.files) = files;
            for block in blocks {
                self.client.board.gets_spent_by("files");
                if self.give(block).await?.is_break() {
                    return Ok((ControlFlow::Break(()), given_count));
                }
                given_count += 1;
            }
            if is_over {
                break;
            }
        }
        Ok((ControlFlow::Continue(()), given_count))
    }

    /// The files as they were left, or opened anew.
    async fn open_files(&self) -> Option<BlockFiles> {
        let kept = lock(&self.files).take();
        if kept.is_some() {
            return kept;
        }
        let folder = self.client.settings().blocks_folder.clone()?;
        let network = self.client.settings().network;
        let opened = runtime::tasks::blocking(move || BlockFiles::open(&folder, network)).await.ok()?;
        opened
            .inspect_err(
                |error| tracing::warn!(%error, "the node's block files cannot be opened; asking the node"),
            )
            .ok()
    }

    /// Looks where the node keeps a block that it was asked for, if its files can be read from here.
    pub(super) async fn find_place(&self, mut block: FetchedBlock) -> FetchedBlock {
        let Some(folder) = self.client.settings().blocks_folder.clone() else { return block };
        let (network, hash) = (self.client.settings().network, block.hash);
        let kept = lock(&self.newest).take();
        let found = runtime::tasks::blocking(move || {
            let mut newest = kept.map_or_else(|| NewestFiles::open(&folder, network), Ok)?;
            Ok::<_, std::io::Error>((newest.find(&hash)?, newest))
        });
        match found.await.unwrap_or_else(|error| Err(std::io::Error::other(error))) {
            Ok((place, newest)) => {
                block.place = place;
                *lock(&self.newest) = Some(newest);
            }
            Err(error) => tracing::debug!(%error, "where the node keeps a block is not known"),
        }
        block
    }
}
