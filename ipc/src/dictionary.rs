//! One dictionary per column, whatever the batches bring.
//!
//! The file format has one dictionary per column and lets it lie anywhere, so it is written
//! once, after the batches. While they bring the same values nothing happens. When one brings
//! others, the new ones are appended, and that batch's keys are translated while they are
//! copied.
//!
//! Dictionaries are numbered depth first, children before the dictionary whose values they
//! are part of: as the schema's encoder does.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, UInt64Array, new_empty_array};
use arrow_row::{OwnedRow, RowConverter, SortField};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat;
use arrow_select::take::take;

use crate::{Error, Result};

/// How keys of a batch are translated; `None` if they stay.
pub(crate) type Map = Option<Arc<[u64]>>;

/// Translations remembered per dictionary: batches often alternate between a few.
const REMEMBERED: usize = 8;

/// The dictionaries of a schema, by number.
#[derive(Debug)]
pub(crate) struct Dictionaries {
    slots: Vec<Slot>,
    /// The number that the next dictionary met, or the first one inside it, has.
    next: usize,
}

#[derive(Debug)]
struct Slot {
    field: String,
    keys: DataType,
    values: DataType,
    /// How many dictionaries are inside the values.
    inside: usize,
    /// The values: what came first, then what was new later.
    parts: Vec<ArrayRef>,
    len: usize,
    /// Where each value is; made when the first batch differs.
    index: Option<(RowConverter, HashMap<OwnedRow, u64>)>,
    remembered: Vec<(ArrayRef, Map)>,
}

impl Dictionaries {
    /// Finds the dictionaries of a schema.
    pub(crate) fn new(schema: &Schema) -> Result<Self> {
        let mut slots = Vec::new();
        for field in schema.fields() {
            find(field, field.data_type(), &mut slots)?;
        }
        Ok(Self { slots, next: 0 })
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Starts over at the first dictionary, for the next batch.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
    }

    /// Takes in the values of the next dictionary in schema order.
    ///
    /// `used` is whether any key points at them.
    pub(crate) fn merge(
        &mut self,
        values_type: &DataType,
        values: &ArrayRef,
        used: bool,
    ) -> Result<Map> {
        let id = self.next + count(values_type);
        self.next = id + 1;
        let slot = &mut self.slots[id];
        slot.merge(values, used).map_err(|error| error.at(format!("dictionary of {}", slot.field)))
    }

    /// The values of a dictionary as they are to be written; rewinds to those inside it.
    pub(crate) fn values(&mut self, id: usize) -> Result<ArrayRef> {
        let slot = &self.slots[id];
        self.next = id - slot.inside;
        match slot.parts.as_slice() {
            [] => Ok(new_empty_array(&slot.values)),
            [part] => Ok(part.clone()),
            parts => {
                let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
                Ok(concat(&parts)?)
            }
        }
    }
}

impl Slot {
    fn merge(&mut self, values: &ArrayRef, used: bool) -> Result<Map> {
        if self.parts.is_empty() {
            self.len = values.len();
            self.parts.push(values.clone());
            return Ok(None);
        }
        if !used {
            return Ok(None);
        }
        let data = values.to_data();
        let same = |other: &ArrayRef| data.ptr_eq(&other.to_data());
        if same(&self.parts[0]) {
            return Ok(None);
        }
        if let Some((_, map)) = self.remembered.iter().find(|(other, _)| same(other)) {
            return Ok(map.clone());
        }

        let map = if self.parts[0].to_data() == data { None } else { self.append(values)? };
        if self.remembered.len() == REMEMBERED {
            self.remembered.remove(0);
        }
        self.remembered.push((values.clone(), map.clone()));
        Ok(map)
    }

    /// Appends the values that are not there yet.
    fn append(&mut self, values: &ArrayRef) -> Result<Map> {
        let field = SortField::new(self.values.clone());
        if !RowConverter::supports_fields(std::slice::from_ref(&field)) {
            // Values that cannot be compared are appended as they are.
            let start = self.len as u64;
            self.grow(values.clone())?;
            return Ok(Some((start..self.len as u64).collect()));
        }

        if self.index.is_none() {
            let converter = RowConverter::new(vec![field])?;
            let mut index = HashMap::with_capacity(self.len);
            let mut at = 0;
            for part in &self.parts {
                for row in &converter.convert_columns(std::slice::from_ref(part))? {
                    index.entry(row.owned()).or_insert(at);
                    at += 1;
                }
            }
            self.index = Some((converter, index));
        }
        let Some((converter, index)) = &mut self.index else {
            unreachable!("the index was made above")
        };

        let rows = converter.convert_columns(std::slice::from_ref(values))?;
        let (mut map, mut new) = (Vec::with_capacity(values.len()), Vec::new());
        for (at, row) in rows.iter().enumerate() {
            let place = *index.entry(row.owned()).or_insert_with(|| {
                new.push(at as u64);
                (self.len + new.len() - 1) as u64
            });
            map.push(place);
        }

        if let (Some(first), Some(last)) = (new.first(), new.last()) {
            let (first, count) = (*first as usize, new.len());
            let part = if (*last as usize) - first + 1 == count {
                values.slice(first, count)
            } else {
                take(values, &UInt64Array::from(new), None)?
            };
            // What does not fit must not be found later: the index is made again then.
            self.grow(part).inspect_err(|_| self.index = None)?;
        }
        let stays = map.iter().enumerate().all(|(at, place)| at as u64 == *place);
        Ok((!stays).then(|| map.into()))
    }

    fn grow(&mut self, part: ArrayRef) -> Result<()> {
        let len = self.len + part.len();
        let most = match self.keys {
            DataType::Int8 => 1 << 7,
            DataType::UInt8 => 1 << 8,
            DataType::Int16 => 1 << 15,
            DataType::UInt16 => 1 << 16,
            DataType::Int32 => 1 << 31,
            DataType::UInt32 => 1 << 32,
            _ => i64::MAX as usize,
        };
        if len > most {
            return Err(Error::too_large(format!(
                "grows to {len} values, because a file has one dictionary per column; {} keys \
                 reach {most}: use wider keys",
                self.keys
            )));
        }
        self.parts.push(part);
        self.len = len;
        Ok(())
    }
}

/// Adds the dictionaries of a field to `slots`, those inside others first.
fn find(field: &Field, data_type: &DataType, slots: &mut Vec<Slot>) -> Result<()> {
    for child in children(data_type) {
        find(child, child.data_type(), slots)?;
    }
    if let DataType::Dictionary(keys, values) = data_type {
        if let DataType::Dictionary(_, _) = values.as_ref() {
            return Err(Error::unsupported(format!(
                "field {}: Arrow IPC has no form for a dictionary of dictionaries: decode one \
                 of the two",
                field.name()
            )));
        }
        let start = slots.len();
        find(field, values, slots)?;
        slots.push(Slot {
            field: field.name().clone(),
            keys: keys.as_ref().clone(),
            values: values.as_ref().clone(),
            inside: slots.len() - start,
            parts: Vec::new(),
            len: 0,
            index: None,
            remembered: Vec::new(),
        });
    }
    Ok(())
}

/// How many dictionaries a type has in it.
fn count(data_type: &DataType) -> usize {
    let inner: usize = children(data_type).map(|child| count(child.data_type())).sum();
    match data_type {
        DataType::Dictionary(_, values) => 1 + count(values),
        _ => inner,
    }
}

/// The child fields of a type, in the order of the format.
pub(crate) fn children(data_type: &DataType) -> Box<dyn Iterator<Item = &Field> + '_> {
    match data_type {
        DataType::List(child)
        | DataType::LargeList(child)
        | DataType::ListView(child)
        | DataType::LargeListView(child)
        | DataType::FixedSizeList(child, _)
        | DataType::Map(child, _) => Box::new(std::iter::once(child.as_ref())),
        DataType::Struct(fields) => Box::new(fields.iter().map(AsRef::as_ref)),
        DataType::Union(fields, _) => Box::new(fields.iter().map(|(_, field)| field.as_ref())),
        DataType::RunEndEncoded(ends, values) => {
            Box::new([ends.as_ref(), values.as_ref()].into_iter())
        }
        _ => Box::new(std::iter::empty()),
    }
}
