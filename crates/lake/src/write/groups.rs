//! Turns rows into the bytes of a Parquet file, row group by row group. Where the bytes go is left to the caller.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, SchemaRef};
use deltalake::parquet::arrow::arrow_writer::{
    ArrowColumnWriter, ArrowRowGroupWriterFactory, compute_leaves,
};
use deltalake::parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use deltalake::parquet::errors::Result;
use deltalake::parquet::file::metadata::KeyValue;
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::parquet::file::writer::SerializedFileWriter;

use super::text::TextColumn;

/// Rows of a row group.
const GROUP_ROWS: usize = 256 * 1024;

/// A file under way.
pub(super) struct Groups {
    writer: SerializedFileWriter<Vec<u8>>,
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    open: Vec<Column>,
    rows: usize,
}

/// A column of the open row group.
struct Column {
    writer: ArrowColumnWriter,
    /// Its rows, as long as they are of a few texts; the writer has none of them then.
    texts: Option<TextColumn>,
}

impl Groups {
    pub(super) fn new(schema: SchemaRef, mut properties: WriterProperties) -> Result<Self> {
        let columns = ArrowSchemaConverter::new().convert(&schema)?;
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let writer = SerializedFileWriter::new(Vec::new(), columns.root_schema_ptr(), Arc::new(properties))?;
        let factory = ArrowRowGroupWriterFactory::new(&writer, Arc::clone(&schema));
        Ok(Self { writer, factory, schema, open: Vec::new(), rows: 0 })
    }

    /// Takes rows.
    pub(super) fn write(&mut self, rows: &RecordBatch) -> Result<()> {
        let mut start = 0;
        while start < rows.num_rows() {
            let count = (rows.num_rows() - start).min(GROUP_ROWS - self.rows);
            self.take(&rows.slice(start, count))?;
            start += count;
        }
        Ok(())
    }

    fn take(&mut self, rows: &RecordBatch) -> Result<()> {
        if self.open.is_empty() {
            self.open = self.columns()?;
        }
        for ((column, array), field) in self.open.iter_mut().zip(rows.columns()).zip(self.schema.fields()) {
            column.take(array, field)?;
        }
        self.rows += rows.num_rows();
        if self.rows >= GROUP_ROWS {
            self.close_group()?;
        }
        Ok(())
    }

    fn columns(&self) -> Result<Vec<Column>> {
        let writers = self.factory.create_column_writers(self.writer.flushed_row_groups().len())?;
        let described = self.writer.schema_descr().columns();
        let columns = writers.into_iter().zip(described).zip(self.schema.fields());
        let columns = columns.map(|((writer, described), field)| {
            let is_text = field.data_type() == &DataType::Utf8 && !field.is_nullable();
            Column { writer, texts: is_text.then(|| TextColumn::new(Arc::clone(described))) }
        });
        Ok(columns.collect())
    }

    fn close_group(&mut self) -> Result<()> {
        let mut group = self.writer.next_row_group()?;
        for column in self.open.drain(..) {
            match column.texts {
                None => column.writer.close()?.append_to_row_group(&mut group)?,
                Some(texts) => {
                    let (bytes, close) = texts.close()?;
                    group.append_column(&bytes, close)?;
                }
            }
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    /// Ends the file, with an entry in its footer.
    pub(super) fn finish(&mut self, entry: Option<KeyValue>) -> Result<()> {
        if self.rows > 0 {
            self.close_group()?;
        }
        if let Some(entry) = entry {
            self.writer.append_key_value_metadata(entry);
        }
        self.writer.finish().map(drop)
    }

    /// The bytes that came since the last call.
    pub(super) fn bytes(&mut self) -> Vec<u8> {
        std::mem::take(self.writer.inner_mut())
    }
}

impl Column {
    fn take(&mut self, array: &ArrayRef, field: &Field) -> Result<()> {
        if let Some(texts) = &mut self.texts {
            if texts.take(array.as_string::<i32>()) {
                return Ok(());
            }
            let before = texts.texts();
            self.texts = None;
            self.write(&before, field)?;
        }
        self.write(array, field)
    }

    fn write(&mut self, array: &ArrayRef, field: &Field) -> Result<()> {
        if array.is_empty() {
            return Ok(());
        }
        for leaf in compute_leaves(field, array)? {
            self.writer.write(&leaf)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    //! Cases for texts, read back by the crate.
    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::Schema;
    use deltalake::arrow::compute::concat_batches;
    use deltalake::parquet::arrow::arrow_reader::{
        ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
    };
    use deltalake::parquet::file::metadata::PageIndexPolicy;
    use deltalake::parquet::file::page_index::column_index::ColumnIndexMetaData;

    use super::super::text::PAGE_ROWS;
    use super::*;

    fn schema() -> SchemaRef {
        let field = |name, kind| Field::new(name, kind, false);
        Arc::new(Schema::new(vec![field("name", DataType::Utf8), field("row", DataType::Int64)]))
    }

    fn rows(texts: &[&str]) -> RecordBatch {
        let names = Arc::new(StringArray::from(texts.to_vec()));
        let numbers = Arc::new(Int64Array::from_iter_values(0..texts.len() as i64));
        RecordBatch::try_new(schema(), vec![names, numbers]).unwrap()
    }

    /// Writes texts in pieces of so many, reads them back, and gives the footer.
    fn check(texts: &[&str], piece: usize) -> ArrowReaderMetadata {
        let all = rows(texts);
        let mut groups = Groups::new(schema(), WriterProperties::builder().build()).unwrap();
        let mut file = Vec::new();
        for start in (0..texts.len()).step_by(piece) {
            groups.write(&all.slice(start, piece.min(texts.len() - start))).unwrap();
            file.extend(groups.bytes());
        }
        groups.finish(Some(KeyValue::new("a".to_owned(), "b".to_owned()))).unwrap();
        file.extend(groups.bytes());
        let file = bytes::Bytes::from(file);
        let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
        let footer = ArrowReaderMetadata::load(&file, options).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.clone());
        let read: Vec<_> = reader.build().unwrap().map(Result::unwrap).collect();
        assert!(concat_batches(&schema(), &read).unwrap() == all, "{} rows in {piece}", texts.len());
        footer
    }

    /// Texts from a seed: runs of some lengths, of the first so many words.
    fn texts(seed: u64, count: usize, words: u64) -> Vec<&'static str> {
        const WORDS: [&str; 20] = [
            "b",
            "a",
            "",
            "buy",
            "sell",
            "é",
            "long enough to be cut somewhere",
            "7",
            "8",
            "9",
            "10",
            "11",
            "12",
            "13",
            "14",
            "15",
            "16",
            "17",
            "18",
            "19",
        ];
        let mut seed = seed * 2 + 88_172_645_463_325_253;
        let mut below = move |bound: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % bound
        };
        let mut texts = Vec::with_capacity(count);
        while texts.len() < count {
            let (word, run) = (WORDS[below(words) as usize], [1, 1, 2, 9, 40, 3_000][below(6) as usize]);
            texts.extend(std::iter::repeat_n(word, (1 + below(run) as usize).min(count - texts.len())));
        }
        texts
    }

    #[test]
    fn texts_come_back_whatever_they_are() {
        for (seed, (count, piece)) in
            [(1, 1), (7, 3), (8, 8), (9, 100), (1_000, 33), (PAGE_ROWS + 1, 5_000), (300_000, 32_768)]
                .into_iter()
                .enumerate()
        {
            for words in [1, 2, 3, 5, 16, 20] {
                check(&texts(seed as u64, count, words), piece);
            }
        }
    }

    #[test]
    fn pages_tell_their_bounds() {
        let mut texts = vec!["b"; PAGE_ROWS];
        texts.extend(vec!["a"; PAGE_ROWS - 1]);
        texts.extend(["c"; 5]);
        let footer = check(&texts, 16_384);
        let footer = footer.metadata();
        let column = footer.row_group(0).column(0);
        let statistics = column.statistics().unwrap();
        let (least, most) = (statistics.min_bytes_opt().unwrap(), statistics.max_bytes_opt().unwrap());
        assert_eq!((least, most, statistics.null_count_opt()), (&b"a"[..], &b"c"[..], Some(0)));
        let ColumnIndexMetaData::BYTE_ARRAY(index) = &footer.column_index().unwrap()[0][0] else {
            panic!("texts have an index of texts")
        };
        let pages: Vec<_> = (0..3).map(|page| (index.min_value(page), index.max_value(page))).collect();
        let text = |text: &'static str| Some(text.as_bytes());
        assert_eq!(pages, [(text("b"), text("b")), (text("a"), text("c")), (text("c"), text("c"))]);
        assert_eq!(footer.offset_index().unwrap()[0][0].page_locations().len(), 3);
    }

    #[test]
    fn the_footer_names_schema_and_entry() {
        let footer = check(&["x"; 10], 4);
        let entries = footer.metadata().file_metadata().key_value_metadata().unwrap().clone();
        let keys: Vec<_> = entries.into_iter().map(|entry| entry.key).collect();
        assert_eq!(keys, ["ARROW:schema", "a"]);
    }
}
