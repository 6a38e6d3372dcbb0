//! The words of the dialect, for clients that ask for them.

use datafusion::execution::session_state::SessionState;
use datafusion::sql::sqlparser::keywords::ALL_KEYWORDS;
use sheaf_store::sql::Dialect;

/// Functions of numbers, dates and strings, as JDBC divides them, are told by their names:
/// DataFusion does not say what a function is about where it could be asked at run time.
const NUMERIC: [&str; 40] = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cbrt",
    "ceil",
    "cos",
    "cosh",
    "cot",
    "degrees",
    "exp",
    "factorial",
    "floor",
    "gcd",
    "isnan",
    "iszero",
    "lcm",
    "ln",
    "log",
    "log10",
    "log2",
    "nanvl",
    "pi",
    "pow",
    "power",
    "radians",
    "random",
    "round",
    "signum",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "tanh",
    "trunc",
    "greatest",
];

const DATETIME: [&str; 8] =
    ["date_", "datepart", "datetrunc", "to_timestamp", "to_date", "to_time", "to_unixtime", "now"];

const MORE_DATETIME: [&str; 6] =
    ["current_date", "current_time", "current_timestamp", "from_unixtime", "make_date", "today"];

const STRING: [&str; 44] = [
    "ascii",
    "bit_length",
    "btrim",
    "char_length",
    "character_length",
    "chr",
    "concat",
    "concat_ws",
    "contains",
    "ends_with",
    "find_in_set",
    "initcap",
    "instr",
    "left",
    "length",
    "levenshtein",
    "lower",
    "lpad",
    "ltrim",
    "octet_length",
    "overlay",
    "position",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_match",
    "regexp_replace",
    "repeat",
    "replace",
    "reverse",
    "right",
    "rpad",
    "rtrim",
    "split_part",
    "starts_with",
    "strpos",
    "substr",
    "substr_index",
    "substring",
    "substring_index",
    "to_hex",
    "translate",
    "trim",
    "upper",
];

pub(crate) fn of(state: &SessionState) -> Dialect {
    let mut dialect = Dialect::default();
    let words = ALL_KEYWORDS.iter().filter(|word| word.chars().all(|c| c.is_ascii_uppercase()));
    dialect.keywords = words.map(|word| (*word).to_owned()).collect();
    let scalar = state.scalar_functions().keys();
    let others = state.aggregate_functions().keys().chain(state.window_functions().keys());
    for name in scalar.chain(others) {
        let is = |names: &[&str]| names.contains(&name.as_str());
        let list = if is(&NUMERIC) {
            &mut dialect.numeric
        } else if is(&STRING) {
            &mut dialect.string
        } else if DATETIME.iter().any(|start| name.starts_with(start)) || is(&MORE_DATETIME) {
            &mut dialect.datetime
        } else {
            &mut dialect.system
        };
        list.push(name.clone());
    }
    for list in
        [&mut dialect.numeric, &mut dialect.string, &mut dialect.datetime, &mut dialect.system]
    {
        list.sort();
        list.dedup();
    }
    dialect
}
