//! Where a chain begins amid another: the headers before its first block, which true medians of times and the work of the chain
//! stand on. They come from the node, and no table holds them.

use std::sync::PoisonError;

use chain::HeaderIndex;
use collect::bitcoin_node::{NodeClient, NodeError};
use model::{BlockHash, BlockPlace};

use crate::error::Error;
use crate::ledger::Ledger;

/// Headers that make the first median a true one, and the median of the last of them.
const HEADERS: usize = 11;

/// Puts the headers before the first block, if it is not the first of the network.
pub(crate) async fn begin(ledger: &mut Ledger, node: &NodeClient, from_height: u32) -> Result<(), Error> {
    if ledger.tip().is_some() {
        return complete(ledger, node).await;
    }
    let Some(before) = from_height.checked_sub(1) else { return Ok(()) };
    node.info().await?;
    let Some(hash) = node.hash_at(before).await? else {
        let words = format!("block {before}, behind which the first wanted one comes");
        return Err(Error::Node(NodeError::Missing(words)));
    };
    let mut headers = HeaderIndex::new();
    headers
        .put_before(&node.places_through(&hash, HEADERS).await?)
        .map_err(|reason| Error::Block { height: from_height, reason })?;
    ledger.begin_after(headers);
    Ok(())
}

/// What is stored begins amid the chain: the headers before it are asked for again.
async fn complete(ledger: &Ledger, node: &NodeClient) -> Result<(), Error> {
    let active = ledger.active();
    let (first, count) = {
        let index = active.read().unwrap_or_else(PoisonError::into_inner);
        (index.first_height().and_then(|height| index.get(height)), index.len())
    };
    let Some(first) = first.filter(|first| first.height > 0) else { return Ok(()) };
    match before(node, &first.hash).await {
        Ok(places) => {
            let mut index = active.write().unwrap_or_else(PoisonError::into_inner);
            index.put_before(&places).map_err(|reason| Error::Block { height: first.height, reason })
        }
        // The next medians are true without them: only a turn of the chain far back would miss them.
        Err(error) if count >= HEADERS => {
            tracing::warn!(%error, height = first.height, "the headers before the first stored block are not known");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

async fn before(node: &NodeClient, first: &BlockHash) -> Result<Vec<BlockPlace>, NodeError> {
    node.info().await?;
    let mut places = node.places_through(first, HEADERS + 1).await?;
    places.pop();
    Ok(places)
}
