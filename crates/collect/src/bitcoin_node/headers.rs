//! The headers up to a block, with the place of each: what a chain that begins amid another stands on.

use model::{BlockHash, BlockHeader, BlockPlace, Work};
use serde::Deserialize;
use serde_json::json;

use super::client::{NodeClient, hash_of};
use super::error::NodeError;

/// What a node says of a header, as far as it makes a place.
#[derive(Deserialize)]
struct Said {
    height: u32,
    version: i32,
    #[serde(rename = "merkleroot")]
    merkle_root: String,
    time: u32,
    #[serde(rename = "mediantime")]
    median_time: u32,
    nonce: u32,
    bits: String,
    chainwork: String,
    #[serde(rename = "previousblockhash", default)]
    previous: Option<String>,
}

impl NodeClient {
    /// The places of a block and of those before it, `count` together or as many as there are, by height. Each is compared with
    /// the hash it was asked by.
    pub async fn places_through(&self, hash: &BlockHash, count: usize) -> Result<Vec<BlockPlace>, NodeError> {
        let mut places = Vec::with_capacity(count);
        let mut next = Some(*hash);
        while let Some(hash) = next.filter(|_| places.len() < count) {
            let said = self.ask::<Said>("getblockheader", json!([hash.to_string()])).await;
            let place = self.noted(said.and_then(|said| place_of(hash, &said)))?;
            next = (place.height > 0).then_some(place.header.previous);
            places.push(place);
        }
        places.reverse();
        Ok(places)
    }
}

fn place_of(hash: BlockHash, said: &Said) -> Result<BlockPlace, NodeError> {
    let broken = |what: &str| NodeError::Malformed(format!("getblockheader {hash}: {what}"));
    let header = BlockHeader {
        hash,
        previous: said.previous.as_deref().map_or(Ok(BlockHash::default()), hash_of)?,
        version: said.version,
        merkle_root: hash_of(&said.merkle_root)?,
        time: said.time,
        bits: u32::from_str_radix(&said.bits, 16).map_err(|_| broken("the bits are no number"))?,
        nonce: said.nonce,
    };
    let read = chain::header(&chain::header_bytes(&header)).map_err(|error| broken(&error.to_string()))?;
    if read.hash != hash {
        return Err(broken("what it says is another header's"));
    }
    let chainwork = Work::parse(&said.chainwork).ok_or_else(|| broken("the work is no number"))?;
    Ok(BlockPlace { header, height: said.height, median_time: said.median_time, chainwork })
}
