//! The files of a node: blocks in the order of their arrival, undo records found by their sums.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::LazyLock;

use chain::files::CHECKSUM_BYTES;
use chain::network::magic;
use chain::{BlockHead, FilePlace, Key, NodeFile, Spent, SpentForm, UndoHead, UndoPicker};
use model::{BlockHash, BlockHeader, Network};

use crate::data;

/// A file of the private network's node, by the end of its name.
fn node_file(name: &str) -> Vec<u8> {
    let packed = data::bytes("regtest/blkfiles.tar.zst");
    let mut rest = packed.as_slice();
    while let Some((head, after)) = rest.split_first_chunk::<512>() {
        let text = |range: std::ops::Range<usize>| {
            String::from_utf8_lossy(&head[range]).trim_matches(['\0', ' ']).to_owned()
        };
        let length = usize::from_str_radix(&text(124..136), 8).unwrap_or(0);
        if text(0..100).ends_with(name) {
            let raw = &after[..length];
            return if name.rsplit('.').next() == Some("zst") {
                zstd::decode_all(raw).unwrap()
            } else {
                raw.to_vec()
            };
        }
        rest = &after[length.next_multiple_of(512)..];
    }
    panic!("{name} is not in the archive")
}

fn key() -> Key {
    static KEY: LazyLock<Key> = LazyLock::new(|| Key::of_file(&node_file("xor.dat")).unwrap());
    *KEY
}

fn reader(bytes: &[u8]) -> NodeFile<impl FnMut(u64, &mut [u8]) -> Result<usize, Infallible> + '_> {
    let read_at = |offset: u64, into: &mut [u8]| {
        let from = bytes.get(offset as usize..).unwrap_or_default();
        // Short reads are allowed, and happen.
        let count = into.len().min(from.len()).min(70_000);
        into[..count].copy_from_slice(&from[..count]);
        Ok(count)
    };
    NodeFile { number: 0, magic: magic(Network::Regtest), key: key(), read_at }
}

fn blocks_of(bytes: &[u8]) -> Vec<BlockHead> {
    reader(bytes).blocks().unwrap_or_else(|never| match never {})
}

/// The undo records of all blocks that have one.
pub(crate) fn regtest_undos() -> HashMap<BlockHash, Spent> {
    let (blocks, undos) = (node_file("blk00000.dat.zst"), node_file("rev00000.dat.zst"));
    let heads = reader(&undos).undos().unwrap();
    let blocks = blocks_of(&blocks);
    let mut picker = UndoPicker::new(&heads, &blocks);
    let mut file = reader(&undos);
    let mut found = HashMap::new();
    for block in blocks {
        if let Some((_, bytes)) = picker.pick(&block, |place| file.read(place, CHECKSUM_BYTES)).unwrap() {
            found.insert(block.header.hash, Spent { form: SpentForm::Undo, bytes });
        }
    }
    found
}

#[test]
fn blocks_lie_in_the_order_in_which_they_came_and_stale_ones_among_them() {
    let file = node_file("blk00000.dat.zst");
    let heads = blocks_of(&file);
    assert_eq!(heads.len(), 339);
    let blocks = data::regtest_blocks();
    let mut on_chain = 0;
    for head in &heads {
        let bytes = reader(&file).read(&head.place, 0).unwrap();
        assert_eq!(chain::Block::read(&bytes).unwrap().tx_count, head.tx_count);
        on_chain += usize::from(blocks.contains(&bytes));
    }
    assert_eq!(on_chain, 335);
    let never = data::bytes("regtest/stale/never0_block.bin");
    assert!(heads.iter().any(|head| reader(&file).read(&head.place, 0).unwrap() == never));
}

#[test]
fn every_connected_block_finds_its_undo_record_whatever_the_order() {
    let undos = regtest_undos();
    // The first block has none. One was never connected, but spends the same as the one that was put in its place: nothing.
    assert_eq!(undos.len(), 338);
    let (blocks, undo_file) = (node_file("blk00000.dat.zst"), node_file("rev00000.dat.zst"));
    assert_eq!(reader(&undo_file).undos().unwrap().len(), 337);
    let mut backwards = blocks_of(&blocks);
    backwards.reverse();
    let heads = reader(&undo_file).undos().unwrap();
    let mut picker = UndoPicker::new(&heads, &backwards);
    for block in backwards {
        let found = picker.pick(&block, |place| reader(&undo_file).read(place, CHECKSUM_BYTES)).unwrap();
        assert_eq!(
            found.map(|found| found.1),
            undos.get(&block.header.hash).map(|spent| spent.bytes.clone())
        );
    }
}

#[test]
fn a_torn_file_gives_what_is_whole_and_rubbish_is_passed_over() {
    let file = node_file("blk00000.dat.zst");
    let heads = blocks_of(&file);
    let last = heads[200].place;
    let torn = &file[..last.offset as usize + last.length_bytes as usize - 1];
    assert_eq!(blocks_of(torn), heads[..200]);
    // A record whose mark was lost is passed over; those behind it stay.
    let mut scratched = file.clone();
    let broken = heads[100].place;
    scratched[broken.offset as usize - 8] ^= 1;
    let others: Vec<BlockHead> = heads.iter().filter(|head| head.place != broken).copied().collect();
    assert_eq!(blocks_of(&scratched), others);
    assert_eq!(blocks_of(&[]), []);
}

#[test]
fn a_scratched_undo_record_belongs_to_no_block() {
    let (blocks, mut undo_file) = (node_file("blk00000.dat.zst"), node_file("rev00000.dat.zst"));
    let heads = reader(&undo_file).undos().unwrap();
    let block = blocks_of(&blocks)[163];
    let place = UndoPicker::new(&heads, &[block])
        .pick(&block, |place| reader(&undo_file).read(place, CHECKSUM_BYTES))
        .unwrap()
        .unwrap()
        .0;
    undo_file[place.offset as usize + 40] ^= 4;
    let found = UndoPicker::new(&heads, &[block])
        .pick(&block, |place| reader(&undo_file).read(place, CHECKSUM_BYTES));
    assert_eq!(found.unwrap(), None);
}

#[test]
fn the_undo_record_of_a_stale_sibling_is_not_taken_for_the_active_blocks() {
    let file = node_file("blk00000.dat.zst");
    let mut head = blocks_of(&file)[163];
    head.tx_count = 2;
    let sibling = BlockHead { header: BlockHeader { hash: BlockHash([7; 32]), ..head.header }, ..head };
    // What each of them spends has one list, and the sum behind it names the block before them alone.
    let record = |undo: &[u8]| [undo, &chain::sha256d(&[&head.header.previous.0, undo]).0].concat();
    let (stale, active) = (record(&[1, 1, 7, 0, 9, 0]), record(&[1, 1, 8, 0, 9, 0]));
    let place = |offset| FilePlace { file: 0, offset, length_bytes: 6 };
    let undos = [0, 1].map(|offset| UndoHead { place: place(offset), list_count: 1 });
    let read = |place: &FilePlace| Ok::<_, Infallible>([&stale, &active][place.offset as usize].clone());
    // Alone in its file, or there twice, a block has its record.
    let Ok(alone) = UndoPicker::new(&undos[1..], &[head, head]).pick(&head, read);
    assert_eq!(alone, Some((place(1), active[..6].to_vec())));
    // With the other one beside it nobody can tell, whichever came first.
    for blocks in [[sibling, head], [head, sibling]] {
        let mut picker = UndoPicker::new(&undos, &blocks);
        assert_eq!([&head, &sibling].map(|block| picker.has_alike(block)), [true; 2]);
        assert_eq!([&head, &sibling].map(|block| picker.pick(block, read)), [Ok(None), Ok(None)]);
    }
    // With another number of transactions, or behind another block, it is none to be taken for it.
    let longer = BlockHead { tx_count: 3, ..sibling };
    let elsewhere =
        BlockHead { header: BlockHeader { previous: BlockHash([8; 32]), ..sibling.header }, ..head };
    let mut picker = UndoPicker::new(&undos[1..], &[head, longer, elsewhere]);
    assert_eq!(picker.pick(&head, read), Ok(Some((place(1), active[..6].to_vec()))));
}
