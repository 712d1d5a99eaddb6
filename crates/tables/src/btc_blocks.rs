//! The table `btc_blocks`: every block that was ever taken in, those that a reorganisation left behind included.

use arrow_array::RecordBatch;
use model::{BlockHash, BlockHeader, BlockPlace, Time, Work};

use crate::cells::{self, Cells};
use crate::column::{Column, ColumnKind, Partition, Table};
use crate::columns::Columns;
use crate::rows::TableName;

pub(crate) static TABLE: Table = Table {
    name: TableName::BtcBlocks,
    doc: "A block as it was taken in, with the place of its bytes. Blocks that a reorganisation left behind stay, told so.",
    columns: &[
        Column::new("chain", ColumnKind::Text, "Which chain: btc."),
        Column::new("height", ColumnKind::Int64, "Blocks before it."),
        Column::new("hash", ColumnKind::Text, "Hash of the header."),
        Column::new("previous_hash", ColumnKind::Text, "Hash of the block before."),
        Column::new("time", ColumnKind::Time, "The header's time, by the miner's clock; not monotone."),
        Column::new("median_time", ColumnKind::Time, "Median of the header's time and the ten before."),
        Column::new("version", ColumnKind::Int64, "Version bits."),
        Column::new("merkle_root", ColumnKind::Text, "Root of the transactions' hashes."),
        Column::new("bits", ColumnKind::Int64, "Target in its compact form."),
        Column::new("nonce", ColumnKind::Int64, "What the miner searched for."),
        Column::new("chainwork", ColumnKind::Text, "Work of the chain up to here, 64 hexadecimal digits."),
        Column::new("tx_count", ColumnKind::Int64, "Transactions with the coinbase."),
        Column::new("size_bytes", ColumnKind::Int64, "Bytes with witness."),
        Column::new("stripped_size_bytes", ColumnKind::Int64, "Bytes without witness."),
        Column::new("weight_wu", ColumnKind::Int64, "Weight."),
        Column::new("state", ColumnKind::Text, "active on the followed chain, stale beside it."),
        Column::new("sequence", ColumnKind::Int64, "The step in which the row got this form; only grows."),
        Column::new(
            "stored_file",
            ColumnKind::Text,
            "File of our own that holds the bytes of block and spent outputs; NULL where they are not kept.",
        )
        .nullable(),
        Column::new("stored_offset", ColumnKind::Int64, "Where they begin in it.").nullable(),
        Column::new("received_time", ColumnKind::Time, "When we received it."),
        Column::new(
            "node_file",
            ColumnKind::Text,
            "The node's own file that holds the block, such as blk00017.dat; NULL where it was not found.",
        )
        .nullable(),
        Column::new(
            "node_offset",
            ColumnKind::Int64,
            "Where the block begins in it, behind mark and length.",
        )
        .nullable(),
        Column::new(
            "node_undo_file",
            ColumnKind::Text,
            "The node's own file that holds what the block spends, such as rev00017.dat.",
        )
        .nullable(),
        Column::new(
            "node_undo_offset",
            ColumnKind::Int64,
            "Where that record begins in it, behind mark and length.",
        )
        .nullable(),
    ],
    key: &["chain", "height", "hash"],
    time: "time",
    partition: Partition::Month("time"),
    is_keyed: true,
};

/// The chain that rows of Bitcoin are about.
pub const BTC: &str = "btc";

/// A block as it was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockRow {
    /// Where it stands.
    pub place: BlockPlace,
    /// Transactions with the coinbase.
    pub tx_count: i64,
    /// Bytes with witness.
    pub size_bytes: i64,
    /// Bytes without.
    pub stripped_size_bytes: i64,
    /// Weight.
    pub weight_wu: i64,
    /// Whether a reorganisation left it behind.
    pub is_stale: bool,
    /// The step in which the row got this form.
    pub sequence: u64,
    /// File and offset of its bytes, if they were kept.
    pub stored: Option<(String, u64)>,
    /// When it was received.
    pub received_time: Time,
    /// Where the node itself keeps it, if that was found.
    pub node: Option<NodeSpot>,
}

/// Where a node keeps a block in files of its own. Offsets are those of the first byte, behind mark and length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSpot {
    /// File and offset of the block.
    pub block: (String, u64),
    /// File and offset of what it spends.
    pub undo: Option<(String, u64)>,
}

pub(crate) fn to_batch(rows: &[BlockRow]) -> RecordBatch {
    let hashes = |of: fn(&BlockHeader) -> BlockHash| -> Vec<String> {
        rows.iter().map(|row| of(&row.place.header).to_string()).collect()
    };
    let hash = hashes(|header| header.hash);
    let previous = hashes(|header| header.previous);
    let roots = hashes(|header| header.merkle_root);
    let work: Vec<String> = rows.iter().map(|row| row.place.chainwork.to_string()).collect();
    let seconds = |seconds: u32| Time(i64::from(seconds) * model::time::SECOND);
    Columns::of(&TABLE)
        .text(rows.iter().map(|_| BTC))
        .int(rows.iter().map(|row| i64::from(row.place.height)))
        .text(hash.iter().map(String::as_str))
        .text(previous.iter().map(String::as_str))
        .time(rows.iter().map(|row| row.place.time()))
        .time(rows.iter().map(|row| seconds(row.place.median_time)))
        .int(rows.iter().map(|row| i64::from(row.place.header.version)))
        .text(roots.iter().map(String::as_str))
        .int(rows.iter().map(|row| i64::from(row.place.header.bits)))
        .int(rows.iter().map(|row| i64::from(row.place.header.nonce)))
        .text(work.iter().map(String::as_str))
        .int(rows.iter().map(|row| row.tx_count))
        .int(rows.iter().map(|row| row.size_bytes))
        .int(rows.iter().map(|row| row.stripped_size_bytes))
        .int(rows.iter().map(|row| row.weight_wu))
        .text(rows.iter().map(|row| if row.is_stale { "stale" } else { "active" }))
        .int(rows.iter().map(|row| row.sequence as i64))
        .text_or_null(rows.iter().map(|row| row.stored.as_ref().map(|(file, _)| file.as_str())))
        .int_or_null(rows.iter().map(|row| row.stored.as_ref().map(|(_, offset)| *offset as i64)))
        .time(rows.iter().map(|row| row.received_time))
        .text_or_null(rows.iter().map(|row| row.node.as_ref().map(|node| &*node.block.0)))
        .int_or_null(rows.iter().map(|row| row.node.as_ref().map(|node| node.block.1 as i64)))
        .text_or_null(rows.iter().map(|row| row.node.as_ref()?.undo.as_ref().map(|(file, _)| &**file)))
        .int_or_null(rows.iter().map(|row| row.node.as_ref()?.undo.as_ref().map(|(_, at)| *at as i64)))
        .finish()
}

/// Reads rows back.
pub fn from_batch(batch: &RecordBatch) -> Vec<BlockRow> {
    let cells = Cells::of(batch);
    let hash_of = |name: &str, row: usize| -> BlockHash {
        cells.texts(name).value(row).parse().expect("the table holds what was printed")
    };
    let int = |name: &str, row: usize| cells.ints(name).value(row);
    let rows = 0..batch.num_rows();
    rows.map(|row| {
        let header = BlockHeader {
            hash: hash_of("hash", row),
            previous: hash_of("previous_hash", row),
            version: int("version", row) as i32,
            merkle_root: hash_of("merkle_root", row),
            time: seconds_of(cells::moment(cells.times("time"), row)),
            bits: int("bits", row) as u32,
            nonce: int("nonce", row) as u32,
        };
        let spot = |file: &str, offset: &str| {
            let file = cells::text(cells.texts(file), row).map(str::to_owned);
            file.zip(cells::number(cells.ints(offset), row).map(|offset| offset as u64))
        };
        BlockRow {
            place: BlockPlace {
                header,
                height: int("height", row) as u32,
                median_time: seconds_of(cells::moment(cells.times("median_time"), row)),
                chainwork: Work::parse(cells.texts("chainwork").value(row))
                    .expect("the table holds what was printed"),
            },
            tx_count: int("tx_count", row),
            size_bytes: int("size_bytes", row),
            stripped_size_bytes: int("stripped_size_bytes", row),
            weight_wu: int("weight_wu", row),
            is_stale: cells.texts("state").value(row) == "stale",
            sequence: int("sequence", row) as u64,
            stored: spot("stored_file", "stored_offset"),
            received_time: cells::moment(cells.times("received_time"), row),
            node: spot("node_file", "node_offset")
                .map(|block| NodeSpot { block, undo: spot("node_undo_file", "node_undo_offset") }),
        }
    })
    .collect()
}

/// The files in which rows say that bytes of blocks are kept.
pub fn stored_files(batch: &RecordBatch) -> Vec<String> {
    let cells = Cells::of(batch);
    let files = cells.texts("stored_file");
    (0..batch.num_rows()).filter_map(|row| cells::text(files, row).map(str::to_owned)).collect()
}

/// Whole seconds since 1970, as headers count.
pub(crate) fn seconds_of(time: Time) -> u32 {
    (time.0 / model::time::SECOND) as u32
}

/// A block as a link of its chain: of its header, the version, the root and the nonce are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockLink {
    /// Where it stands.
    pub place: BlockPlace,
    /// Whether a reorganisation left it behind.
    pub is_stale: bool,
}

/// The columns that links are read from.
pub const LINK_COLUMNS: [&str; 8] =
    ["height", "hash", "previous_hash", "time", "median_time", "bits", "chainwork", "state"];

/// Reads links back, from rows of [`LINK_COLUMNS`].
pub fn links_from_batch(batch: &RecordBatch) -> Vec<BlockLink> {
    let cells = Cells::of(batch);
    let (heights, hashes, times) = (cells.ints("height"), cells.texts("hash"), cells.times("time"));
    let (bits, work, states) = (cells.ints("bits"), cells.texts("chainwork"), cells.texts("state"));
    let (previous, medians) = (cells.texts("previous_hash"), cells.times("median_time"));
    let printed = "the table holds what was printed";
    let links = (0..batch.num_rows()).map(|row| BlockLink {
        place: BlockPlace {
            header: BlockHeader {
                hash: hashes.value(row).parse().expect(printed),
                previous: previous.value(row).parse().expect(printed),
                version: 0,
                merkle_root: BlockHash::default(),
                time: seconds_of(cells::moment(times, row)),
                bits: bits.value(row) as u32,
                nonce: 0,
            },
            height: heights.value(row) as u32,
            median_time: seconds_of(cells::moment(medians, row)),
            chainwork: Work::parse(work.value(row)).expect(printed),
        },
        is_stale: states.value(row) == "stale",
    });
    links.collect()
}
