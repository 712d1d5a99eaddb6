//! One block with what it spends, the cheapest way the node has: both as bytes over REST, else over JSON-RPC.

use std::sync::atomic::Ordering;

use chain::{Block, Spent, SpentForm};
use model::{BlockHash, BlockSums, Time};
use serde_json::json;
use serde_json::value::RawValue;

use super::client::{NodeClient, NodeInfo};
use super::error::NodeError;
use super::folder::NodePlace;
use super::rpc::Raw;
use super::settings::RestUse;
use super::verbose;

/// A block as it came, and what it spends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedBlock {
    /// Blocks before it on the active chain.
    pub height: u32,
    /// Its hash.
    pub hash: BlockHash,
    /// Hash of the block before it.
    pub previous: BlockHash,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What it spends, in the form in which it came.
    pub spent: Spent,
    /// What it adds up to, where it was added up to be checked.
    pub sums: Option<BlockSums>,
    /// When we had it all.
    pub received: Time,
    /// Where it lies in the node's files, if it was read or found there.
    pub place: Option<NodePlace>,
}

/// What a REST interface offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    /// Not looked at yet.
    Unknown = 0,
    /// Blocks and what they spend.
    Both = 1,
    /// Blocks.
    Blocks = 2,
    /// Nothing.
    Nothing = 3,
}

impl Offer {
    fn of(number: u8) -> Self {
        [Self::Both, Self::Blocks, Self::Nothing]
            .into_iter()
            .find(|offer| *offer as u8 == number)
            .unwrap_or(Self::Unknown)
    }
}

impl NodeClient {
    /// The block with that hash, at its height of the active chain, and what it spends. What it says is compared with what
    /// was asked for.
    pub async fn block(&self, height: u32, hash: &BlockHash) -> Result<FetchedBlock, NodeError> {
        let fetched = self.fetch(height, hash).await;
        let fetched = match fetched {
            Err(NodeError::Pruned { .. }) => {
                let prune_height = self.read_prune_height().await;
                Err(NodeError::Pruned { height, prune_height })
            }
            other => other,
        };
        self.noted(fetched)
    }

    async fn fetch(&self, height: u32, hash: &BlockHash) -> Result<FetchedBlock, NodeError> {
        let offer = self.offer(hash).await?;
        let bytes = async {
            match offer {
                Offer::Both | Offer::Blocks => self.rest_bytes("block", hash).await,
                Offer::Unknown | Offer::Nothing => self.hex_block(hash).await,
            }
        };
        let (bytes, spent) = if offer == Offer::Both {
            let spent = self.rest_bytes("spenttxouts", hash);
            let (bytes, spent) = futures::join!(bytes, spent);
            (bytes?, Some(Spent { form: SpentForm::Rest, bytes: spent? }))
        } else {
            (bytes.await?, None)
        };
        let (tx_count, previous) = compared(&bytes, hash)?;
        let spent = match spent {
            Some(spent) => spent,
            None if tx_count == 1 => Spent::nothing(),
            None => self.verbose_spent(hash).await?,
        };
        self.board.gets_spent_by(if offer == Offer::Both { "spenttxouts" } else { "getblock 3" });
        let received = self.clock.time();
        Ok(FetchedBlock { height, hash: *hash, previous, bytes, spent, sums: None, received, place: None })
    }

    /// Looks once what REST has. A node that has not an interface answers with nothing at all.
    async fn offer(&self, hash: &BlockHash) -> Result<Offer, NodeError> {
        if self.settings.rest == RestUse::Never {
            return Ok(Offer::Nothing);
        }
        let known = Offer::of(self.offer.load(Ordering::Relaxed));
        if known != Offer::Unknown {
            return Ok(known);
        }
        let offers = |raw: &Raw| !is_absent(raw);
        let found = if offers(&self.transport.rest(&format!("spenttxouts/{hash}.bin")).await?) {
            Offer::Both
        } else if offers(&self.transport.rest("headers/00.bin?count=1").await?) {
            Offer::Blocks
        } else {
            Offer::Nothing
        };
        tracing::debug!(offer = ?found, "looked what the node's rest interface offers");
        self.offer.store(found as u8, Ordering::Relaxed);
        Ok(found)
    }

    async fn rest_bytes(&self, what: &str, hash: &BlockHash) -> Result<Vec<u8>, NodeError> {
        let raw = self.transport.rest(&format!("{what}/{hash}.bin")).await?;
        match raw.status {
            200 => Ok(raw.body),
            404 if is_absent(&raw) => {
                // Another node, or the same with other settings: the next try looks again.
                self.offer.store(Offer::Unknown as u8, Ordering::Relaxed);
                Err(NodeError::Unreachable(format!("it has no /rest/{what} any more")))
            }
            404 if raw.words().contains("pruned") => Err(NodeError::Pruned { height: 0, prune_height: None }),
            404 => self.absent(hash, &raw).await,
            status => Err(NodeError::Malformed(format!("/rest/{what}: status {status}: {}", raw.words()))),
        }
    }

    /// Undo data that is not there is so because the block was let go of, or because it was never connected.
    async fn absent<T>(&self, hash: &BlockHash, raw: &Raw) -> Result<T, NodeError> {
        let header = self.header(hash).await?;
        let is_active = header.as_ref().is_some_and(|header| header.confirmations > 0);
        let info = self.info().await?;
        let lies_below = |info: &NodeInfo| {
            header.zip(info.prune_height).is_some_and(|(header, from)| header.height < from)
        };
        if is_active && info.is_pruned && lies_below(&info) {
            return Err(NodeError::Pruned { height: 0, prune_height: None });
        }
        Err(NodeError::Missing(raw.words()))
    }

    async fn hex_block(&self, hash: &BlockHash) -> Result<Vec<u8>, NodeError> {
        let answer: String = self.ask("getblock", json!([hash.to_string(), 0])).await?;
        let decoded = move || verbose::bytes_of_hex(&answer);
        let bytes = runtime::tasks::blocking(decoded).await.map_err(NodeError::Malformed)?;
        bytes.ok_or_else(|| NodeError::Malformed("getblock 0: it is not hexadecimal".to_owned()))
    }

    async fn verbose_spent(&self, hash: &BlockHash) -> Result<Spent, NodeError> {
        let answer: Box<RawValue> = self.transport.call("getblock", json!([hash.to_string(), 3])).await?;
        let read = move || verbose::spent(answer.get());
        runtime::tasks::blocking(read).await.map_err(NodeError::Malformed)?
    }

    async fn read_prune_height(&self) -> Option<u32> {
        self.info().await.ok()?.prune_height
    }
}

/// Whether the answer says that there is no such interface, and not only no such block.
fn is_absent(raw: &Raw) -> bool {
    raw.status == 404 && raw.words().is_empty()
}

/// The number of transactions and the block before, if the bytes are those of the hash.
pub(super) fn compared(bytes: &[u8], hash: &BlockHash) -> Result<(usize, BlockHash), NodeError> {
    let block = Block::read(bytes).map_err(|error| NodeError::Malformed(format!("block {hash}: {error}")))?;
    if block.header.hash != *hash {
        return Err(NodeError::Malformed(format!(
            "block {hash}: the bytes are those of {}",
            block.header.hash
        )));
    }
    Ok((block.tx_count, block.header.previous))
}
