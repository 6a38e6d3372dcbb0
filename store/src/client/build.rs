//! Tables built in place: columns that are the shared memory, so that nothing is copied.

use arrow_schema::SchemaRef;
use sheaf_ipc::Layout;

use super::Client;
use super::draft::{DraftCore, View};
use crate::error::{Error, Kind, Result};
use crate::object::{Info, ObjectKind, PutOptions};

/// A table of fixed-width columns that is filled in place. Aborts when dropped unsealed.
pub struct TableBuilder {
    core: DraftCore,
    layout: Layout,
    schema: SchemaRef,
    finished: bool,
}

impl Client {
    /// A table of `rows` rows whose columns are written where they will lie: fixed-width types,
    /// nullable or not. Values are zero and valid at first.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a column whose width is not fixed; else as [`Client::put`].
    pub fn build(
        &self,
        name: impl AsRef<[u8]>,
        schema: &SchemaRef,
        rows: usize,
        options: &PutOptions,
    ) -> Result<TableBuilder> {
        let mut builder =
            self.build_layout(name, Layout::new(schema.clone(), rows)?, 0, options)?;
        builder.layout.start(builder.core.bytes_mut());
        Ok(builder)
    }

    /// A table that is laid out already, and `spare` bytes that are gone when it is sealed. All
    /// of it is zero at first, so that validity bitmaps say null.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn build_layout(
        &self,
        name: impl AsRef<[u8]>,
        layout: Layout,
        spare: usize,
        options: &PutOptions,
    ) -> Result<TableBuilder> {
        let bytes = (layout.len() + spare) as u64;
        let core = DraftCore::create(self, name, ObjectKind::Table, bytes, options)?;
        let schema = layout.schema().clone();
        Ok(TableBuilder { core, layout, schema, finished: false })
    }
}

impl TableBuilder {
    /// The table's schema.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Where everything lies among the bytes of [`as_mut_slice`](Self::as_mut_slice).
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// All of the table's bytes, to be written where its layout says; and the spare ones.
    pub fn split_mut(&mut self) -> (&mut [u8], &mut [u8]) {
        let len = self.layout.len();
        self.core.bytes_mut().split_at_mut(len)
    }

    /// The bytes of a column's values, in the first batch, as the next ones too.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn values_mut(&mut self, column: usize) -> &mut [u8] {
        let range = self.layout.values(0, column);
        &mut self.core.bytes_mut()[range]
    }

    /// A column's values as numbers of their own type.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when `T` is not what the column is made of.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn column_mut<T: arrow_array::ArrowPrimitiveType>(
        &mut self,
        column: usize,
    ) -> Result<&mut [T::Native]> {
        let field = self.schema.field(column);
        if field.data_type().primitive_width() != Some(size_of::<T::Native>())
            || !T::DATA_TYPE.equals_datatype(field.data_type())
                && !same_physical(&T::DATA_TYPE, field.data_type())
        {
            let message = format!(
                "column {} is {}, not {}: ask for its own type",
                field.name(),
                field.data_type(),
                T::DATA_TYPE
            );
            return Err(Error::new(Kind::Invalid, message));
        }
        let range = self.layout.values(0, column);
        Ok(crate::memory::typed_mut(&mut self.core.bytes_mut()[range]))
    }

    /// A nullable column's validity bitmap, one bit a row, least significant first, 1 for valid;
    /// `None` for a column without nulls.
    ///
    /// # Panics
    /// When there is no such column.
    pub fn validity_mut(&mut self, column: usize) -> Option<&mut [u8]> {
        let range = self.layout.validity(0, column)?;
        Some(&mut self.core.bytes_mut()[range])
    }

    /// Seals the table.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store is gone; the draft ends then.
    pub fn seal(mut self) -> Result<Info> {
        self.finish()?;
        self.core.seal(self.layout.len())
    }

    /// Counts the nulls, once.
    fn finish(&mut self) -> Result<()> {
        if !self.finished {
            self.layout.finish(&mut self.core.bytes_mut()[..self.layout.len()])?;
            self.finished = true;
        }
        Ok(())
    }

    /// As [`Draft::keep_view`](super::Draft::keep_view).
    ///
    /// # Errors
    /// As there; [`Kind::Invalid`] when the table can't be finished.
    pub fn keep_view(&mut self) -> Result<View> {
        self.finish()?;
        self.core.keep_view()
    }

    /// Ends the table unsealed: nobody gets it, and who waits for it learns so at once.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store is gone.
    pub fn abort(self) -> Result<()> {
        self.core.abort()
    }
}

/// Whether values of both types are the same bytes: a timestamp with a zone is one without.
fn same_physical(asked: &arrow_schema::DataType, has: &arrow_schema::DataType) -> bool {
    use arrow_schema::DataType::{Decimal32, Decimal64, Decimal128, Decimal256, Timestamp};
    matches!(
        (asked, has),
        (Decimal32(..), Decimal32(..))
            | (Decimal64(..), Decimal64(..))
            | (Decimal128(..), Decimal128(..))
            | (Decimal256(..), Decimal256(..))
    ) || matches!((asked, has), (Timestamp(a, _), Timestamp(b, _)) if a == b)
}
