//! Functions that make much of little: `repeat('x', 10000000000)`. What they would make is computed
//! before they make it, and has to fit into the statement's memory: an allocation that fails ends
//! the whole process, and one that does not fail may end the machine.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, IntervalMonthDayNanoType};
use arrow_array::{Array, ArrayRef, Int64Array};
use arrow_cast::cast;
use arrow_schema::{ArrowError, DataType, FieldRef, TimeUnit};
use datafusion::common::resources_datafusion_err;
use datafusion::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::expr::Expr;
use datafusion::logical_expr::interval_arithmetic::Interval;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature,
};

use crate::options::SheafOptions;

/// How many bytes a call would make, about, of so many rows. An argument has a value for each of
/// them, or one for all: a constant is not laid out for every row only to be looked at.
type Size = fn(&[ArrayRef], usize) -> Result<u128, ArrowError>;

/// The functions whose results may be larger than their arguments by more than a few times, or are
/// the sum of them.
const GROWING: [(&str, Size); 12] = [
    ("array_concat", all_of),
    ("array_repeat", times),
    ("array_resize", resized),
    ("concat", all_of),
    ("concat_ws", all_of),
    ("generate_series", series),
    ("lpad", padded),
    ("make_array", all_of),
    ("range", series),
    ("repeat", times),
    ("replace", replaced),
    ("rpad", padded),
];

/// The functions of a state, those that grow within bounds.
pub(crate) fn bounded(mut builder: SessionStateBuilder) -> SessionStateBuilder {
    let functions = builder.scalar_functions().take().unwrap_or_default();
    let functions = functions.into_iter().map(|function| {
        match GROWING.iter().position(|(name, _)| *name == function.name()) {
            Some(place) => {
                let inner = function.as_ref().clone();
                Arc::new(ScalarUDF::new_from_impl(Bounded { inner, place }))
            }
            None => function,
        }
    });
    let functions = functions.collect();
    builder.with_scalar_functions(functions)
}

/// A function that is asked how much it would make.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: ScalarUDF,
    /// Its place among [`GROWING`].
    place: usize,
}

impl Bounded {
    fn check(&self, args: &ScalarFunctionArgs) -> Result<()> {
        let own = args.config_options.extensions.get::<SheafOptions>();
        let Some(limit) = own.map(|own| own.memory_bytes).filter(|limit| *limit > 0) else {
            return Ok(());
        };
        // Constants are computed once, for one row.
        let scalar = |value: &ColumnarValue| matches!(value, ColumnarValue::Scalar(_));
        let rows = if args.args.iter().all(scalar) { 1 } else { args.number_rows };
        let values = args.args.iter().map(|value| match value {
            ColumnarValue::Array(values) => Ok(values.clone()),
            ColumnarValue::Scalar(value) => value.to_array_of_size(1),
        });
        let (_, size) = GROWING[self.place];
        let bytes = size(&values.collect::<Result<Vec<_>>>()?, rows)?;
        if bytes > u128::from(limit) {
            return Err(resources_datafusion_err!(
                "{} would make {bytes} bytes at a time of {rows} rows; the limit is {limit}",
                self.inner.name()
            ));
        }
        Ok(())
    }
}

/// The bytes of each value of a string or binary column, about; of any other, of a value's share.
fn lengths(values: &ArrayRef) -> Result<Int64Array, ArrowError> {
    let is_text = matches!(
        values.data_type(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary
    );
    if is_text {
        let lengths = arrow_string::length::length(values.as_ref())?;
        return Ok(cast(&lengths, &DataType::Int64)?.as_primitive::<Int64Type>().clone());
    }
    let bytes = values.to_data().get_slice_memory_size().unwrap_or(0);
    let share = bytes.div_ceil(values.len().max(1)) as i64;
    Ok(Int64Array::from_value(share, values.len()))
}

fn numbers(values: &ArrayRef) -> Result<Int64Array, ArrowError> {
    Ok(cast(values, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
}

fn sum(values: impl Iterator<Item = u128>) -> u128 {
    values.fold(0, u128::saturating_add)
}

fn at_least_0(value: i64) -> u128 {
    u128::try_from(value).unwrap_or(0)
}

/// The value of a row, or the one of all rows.
fn at(values: &Int64Array, row: usize) -> Option<i64> {
    let row = if values.len() == 1 { 0 } else { row };
    values.is_valid(row).then(|| values.value(row))
}

/// All arguments, one behind the other.
fn all_of(args: &[ArrayRef], rows: usize) -> Result<u128, ArrowError> {
    let sizes = args.iter().map(|values| {
        let bytes = values.to_data().get_slice_memory_size()? as u128;
        let times = if values.len() == 1 { rows as u128 } else { 1 };
        Ok(bytes.saturating_mul(times))
    });
    sizes.sum()
}

/// The first argument, so many times.
fn times(args: &[ArrayRef], rows: usize) -> Result<u128, ArrowError> {
    let [values, counts, ..] = args else { return Ok(0) };
    let (lengths, counts) = (lengths(values)?, numbers(counts)?);
    Ok(sum((0..rows).filter_map(|row| {
        Some(at_least_0(at(&lengths, row)?).saturating_mul(at_least_0(at(&counts, row)?)))
    })))
}

/// So many characters.
fn padded(args: &[ArrayRef], rows: usize) -> Result<u128, ArrowError> {
    let [_, counts, ..] = args else { return Ok(0) };
    let counts = numbers(counts)?;
    Ok(sum((0..rows).filter_map(|row| at(&counts, row)).map(at_least_0)))
}

/// So many values.
fn resized(args: &[ArrayRef], rows: usize) -> Result<u128, ArrowError> {
    let width = size_of::<u64>() as u128;
    Ok(padded(args, rows)?.saturating_mul(width))
}

/// At worst each character becomes the third argument.
fn replaced(args: &[ArrayRef], rows: usize) -> Result<u128, ArrowError> {
    let [text, from, to] = args else { return Ok(0) };
    let (text, from, to) = (lengths(text)?, lengths(from)?, lengths(to)?);
    Ok(sum((0..rows).filter_map(|row| {
        let (text, to) = (at_least_0(at(&text, row)?), at_least_0(at(&to, row)?));
        let from = at_least_0(at(&from, row)?).max(1);
        Some(text.max((text / from).saturating_mul(to)))
    })))
}

/// From a number to another in steps, or from a time.
fn series(args: &[ArrayRef], rows: usize) -> Result<u128, ArrowError> {
    let (start, stop, step) = match args {
        [stop] => (None, stop, None),
        [start, stop] => (Some(start), stop, None),
        [start, stop, step, ..] => (Some(start), stop, Some(step)),
        [] => return Ok(0),
    };
    let start = start.map(positions).transpose()?;
    let step = step.map(steps).transpose()?;
    let stop = positions(stop)?;
    let width = size_of::<u64>() as u128;
    Ok(sum((0..rows).filter_map(|row| {
        let start = start.as_ref().map_or(Some(0), |start| at(start, row))?;
        let step =
            step.as_ref().map_or(1, |steps| if steps.len() == 1 { steps[0] } else { steps[row] });
        let distance = u128::from(at(&stop, row)?.abs_diff(start));
        Some((distance / step.max(1) + 1).saturating_mul(width))
    })))
}

fn positions(values: &ArrayRef) -> Result<Int64Array, ArrowError> {
    if !values.data_type().is_temporal() {
        return numbers(values);
    }
    let nanoseconds = cast(values, &DataType::Timestamp(TimeUnit::Nanosecond, None))?;
    numbers(&nanoseconds)
}

fn steps(values: &ArrayRef) -> Result<Vec<u128>, ArrowError> {
    const DAY: i128 = 86_400_000_000_000;
    if !matches!(values.data_type(), DataType::Interval(_)) {
        return Ok(numbers(values)?
            .values()
            .iter()
            .map(|step| step.unsigned_abs().into())
            .collect());
    }
    let interval = DataType::Interval(arrow_schema::IntervalUnit::MonthDayNano);
    let values = cast(values, &interval)?;
    let values = values.as_primitive::<IntervalMonthDayNanoType>().values();
    let length = values.iter().map(|step| {
        let days = 28 * i128::from(step.months) + i128::from(step.days);
        (days * DAY + i128::from(step.nanoseconds)).unsigned_abs()
    });
    Ok(length.collect())
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.inner().name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.inner().aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.inner().schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.inner().signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.inner().return_type(arg_types)
    }

    fn with_updated_config(&self, config: &ConfigOptions) -> Option<ScalarUDF> {
        let inner = self.inner.inner().with_updated_config(config)?;
        Some(ScalarUDF::new_from_impl(Self { inner, place: self.place }))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.inner().return_field_from_args(args)
    }

    fn is_strict(&self) -> bool {
        self.inner.inner().is_strict()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.check(&args)?;
        self.inner.invoke_with_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.inner().simplify(args, info)
    }

    fn short_circuits(&self) -> bool {
        self.inner.inner().short_circuits()
    }

    fn evaluate_bounds(&self, input: &[&Interval]) -> Result<Interval> {
        self.inner.inner().evaluate_bounds(input)
    }

    fn propagate_constraints(
        &self,
        interval: &Interval,
        inputs: &[&Interval],
    ) -> Result<Option<Vec<Interval>>> {
        self.inner.inner().propagate_constraints(interval, inputs)
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.inner().output_ordering(inputs)
    }

    fn preserves_lex_ordering(&self, inputs: &[ExprProperties]) -> Result<bool> {
        self.inner.inner().preserves_lex_ordering(inputs)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(arg_types)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.inner().documentation()
    }
}
