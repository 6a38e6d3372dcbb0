//! From words to a statement: one of SQL, with its parameters numbered.

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use datafusion::common::ScalarValue;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use sheaf_store::sql::{CATALOG, SYSTEM};
use sheaf_store::{Error, Kind, Result};

use crate::error;
use crate::expanded::num_tables;

/// The longest statement, in bytes.
const LONGEST: usize = 4 << 20;

/// How deep parentheses, subqueries and the like may nest.
const DEEPEST: usize = 64;

/// How deep an expression or a chain of joins may be, as far as its words tell.
const LONGEST_CHAIN: usize = 1000;

/// The most tables that a statement reads, each as often as it does.
const MOST_TABLES: usize = 2000;

/// The words of one statement, with its parameters numbered: `?`, `?`, … are `$1`, `$2`, …
pub(crate) struct Words(Vec<Token>);

impl Words {
    /// # Errors
    /// [`Kind::Invalid`] when they are no words of SQL, too many, or too deep.
    pub(crate) fn new(text: &str) -> Result<Self> {
        if text.len() > LONGEST {
            return Err(invalid(format!(
                "a statement of {} bytes; the limit is {LONGEST}: put its data into a table",
                text.len()
            )));
        }
        let tokens = Tokenizer::new(&GenericDialect {}, text).with_unescape(false).tokenize();
        let mut tokens =
            tokens.map_err(|error| invalid(format!("the statement can't be read: {error}")))?;
        let depth = depth(&tokens);
        if depth > LONGEST_CHAIN {
            return Err(invalid(format!(
                "the statement is {depth} operations deep; the limit is {LONGEST_CHAIN}: put a \
                 list into `in (…)`, or into a table to join with"
            )));
        }
        let mut count = 0;
        for token in &mut tokens {
            if let Token::Placeholder(mark) = token
                && mark == "?"
            {
                count += 1;
                *mark = format!("${count}");
            }
        }
        Ok(Self(tokens))
    }

    /// The parameters, in the order in which they stand first.
    pub(crate) fn parameters(&self) -> Vec<&str> {
        let mut all = Vec::new();
        for token in &self.0 {
            if let Token::Placeholder(mark) = token
                && !all.contains(&mark.as_str())
            {
                all.push(mark.as_str());
            }
        }
        all
    }

    /// The statement as it is.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is none, or several.
    pub(crate) fn statement(&self) -> Result<Statement> {
        self.parse(|mark| Ok(mark.to_owned()))
    }

    /// The statement with the same words in place of each parameter.
    ///
    /// # Errors
    /// As [`statement`](Self::statement).
    pub(crate) fn with_all(&self, words: &str) -> Result<Statement> {
        self.parse(|_| Ok(words.to_owned()))
    }

    /// The statement with values in place of its parameters: the columns of a row, by their
    /// places or, where parameters have names, by these.
    ///
    /// # Errors
    /// As [`statement`](Self::statement); [`Kind::Invalid`] when there are not values enough.
    pub(crate) fn with_values(&self, values: &RecordBatch, row: usize) -> Result<Statement> {
        let parameters = self.parameters();
        let lacking = || {
            invalid(format!(
                "{} parameters; {} values were given: give one for each",
                parameters.len(),
                values.num_columns(),
            ))
        };
        self.parse(|mark| {
            let name = mark.get(1..).unwrap_or_default();
            let place = match name.parse::<usize>() {
                Ok(number) => number.checked_sub(1),
                Err(_) => values
                    .schema()
                    .index_of(name)
                    .ok()
                    .or_else(|| parameters.iter().position(|other| *other == mark)),
            };
            let column = place.and_then(|place| values.columns().get(place)).ok_or_else(lacking)?;
            let value =
                ScalarValue::try_from_array(column, row).map_err(|error| error::of(&error))?;
            literal(&value)
        })
    }

    fn parse(&self, fill: impl Fn(&str) -> Result<String>) -> Result<Statement> {
        let parts = self.0.iter().map(|token| match token {
            Token::Placeholder(mark) => fill(mark),
            token => Ok(token.to_string()),
        });
        let text = parts.collect::<Result<String>>()?;
        let parser = DFParserBuilder::new(text.as_str()).with_recursion_limit(DEEPEST).build();
        let parsed = parser.and_then(|mut parser| parser.parse_statements());
        let mut parsed = parsed.map_err(|error| error::of(&error))?;
        match (parsed.len(), parsed.pop_front()) {
            (1, Some(Statement::Statement(words))) if is_transaction(&words) => {
                let message = "there is no transaction here: each statement is atomic by itself";
                Err(invalid(message.into()))
            }
            (1, Some(statement)) => match (own_setting(&statement), num_tables(&statement)) {
                (Some(name), _) => Self::new(&format!(
                    "select name, value from {CATALOG}.{SYSTEM}.settings where name = '{name}'"
                ))?
                .statement(),
                (None, ..=MOST_TABLES) => Ok(statement),
                (None, tables) => Err(invalid(format!(
                    "the statement comes to {tables} tables; the limit is {MOST_TABLES}: put what \
                     it reads more than once into a table"
                ))),
            },
            (0, _) => Err(invalid("there is no statement".into())),
            (count, _) => Err(invalid(format!("{count} statements: give them one at a time"))),
        }
    }
}

fn invalid(message: String) -> Error {
    Error::new(Kind::Invalid, message)
}

/// The name in `show sheaf.timeout_ms`: of a setting that DataFusion does not show.
fn own_setting(statement: &Statement) -> Option<String> {
    let Statement::Statement(words) = statement else { return None };
    let ast::Statement::ShowVariable { variable } = words.as_ref() else { return None };
    let name = variable.iter().map(|part| part.value.to_lowercase()).collect::<Vec<_>>().join(".");
    let is_plain = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || "._".contains(c));
    name.strip_prefix("sheaf.").filter(|rest| is_plain(rest)).map(|rest| format!("sheaf.{rest}"))
}

fn is_transaction(words: &ast::Statement) -> bool {
    use ast::Statement as S;
    matches!(words, S::StartTransaction { .. } | S::Commit { .. } | S::Rollback { .. })
}

/// The value as words of SQL that have its type.
///
/// # Errors
/// [`Kind::Invalid`] for a type that has no literals: lists, structs and the like.
fn literal(value: &ScalarValue) -> Result<String> {
    use ScalarValue as V;
    let data_type = value.data_type();
    let typed = |words: String| Ok(format!("arrow_cast({words}, '{data_type}')"));
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    match value {
        V::Null => Ok("null".into()),
        value if value.is_null() => typed("null".into()),
        V::Boolean(Some(value)) => Ok(value.to_string()),
        V::Int64(Some(value)) if *value >= 0 => Ok(value.to_string()),
        V::Utf8(Some(text)) => Ok(quoted(text)),
        V::LargeUtf8(Some(text)) | V::Utf8View(Some(text)) => typed(quoted(text)),
        V::Binary(Some(bytes))
        | V::LargeBinary(Some(bytes))
        | V::BinaryView(Some(bytes))
        | V::FixedSizeBinary(_, Some(bytes)) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            typed(format!("x'{digits}'"))
        }
        V::Dictionary(_, value) => literal(value),
        V::IntervalMonthDayNano(Some(interval)) => {
            let (months, days, nanoseconds) =
                (interval.months, interval.days, interval.nanoseconds);
            let whole = nanoseconds / 1_000_000_000;
            let sign = if nanoseconds < 0 { "-" } else { "" };
            let part = (nanoseconds % 1_000_000_000).abs();
            typed(quoted(&format!(
                "{months} mons {days} days {sign}{}.{part:09} secs",
                whole.abs()
            )))
        }
        V::IntervalDayTime(Some(interval)) => {
            typed(quoted(&format!("{} days {} ms", interval.days, interval.milliseconds)))
        }
        V::IntervalYearMonth(Some(months)) => typed(quoted(&format!("{months} mons"))),
        value if data_type.is_temporal() || data_type.is_numeric() => {
            // As a number of its unit, or in digits: both come back as they were.
            let whole = data_type.is_temporal() && !matches!(data_type, DataType::Interval(_));
            let text = match whole {
                true => value.cast_to(&DataType::Int64).map(|value| value.to_string()),
                false => Ok(value.to_string()),
            };
            let text = text.map_err(|error| error::of(&error))?;
            // Days and some times are of 32 bits, and are made of such.
            let narrow = matches!(data_type, DataType::Date32 | DataType::Time32(_));
            match (whole, narrow) {
                (true, true) => typed(format!("arrow_cast({text}, 'Int32')")),
                (true, false) => typed(text),
                (false, _) => typed(quoted(&text)),
            }
        }
        _ => Err(invalid(format!("{data_type} is no type of a parameter: put it into a table"))),
    }
}

/// How deep the tree may be that these words make, at the most. Whoever walks it does so by
/// recursion, and drops it so: what is too deep has to be known before. A word is taken for an
/// operation unless it is known to be none.
fn depth(tokens: &[Token]) -> usize {
    // For each open parenthesis what is behind it so far, and whether a comma there joins tables.
    let mut levels = vec![(0_usize, false)];
    let (mut outside, mut deepest, mut dots) = (0_usize, 0_usize, 0_usize);
    for (place, token) in tokens.iter().enumerate() {
        let open = levels.len();
        let Some((chain, joins)) = levels.last_mut() else { break };
        dots = match token {
            Token::Period => dots + 1,
            Token::Word(_) | Token::Whitespace(_) => dots,
            _ => 0,
        };
        match token {
            Token::LParen | Token::LBracket => {
                *chain += usize::from(*token == Token::LBracket);
                outside += *chain + 1;
                levels.push((0, false));
                continue;
            }
            Token::RParen | Token::RBracket if open > 1 => {
                levels.pop();
                outside -= levels.last().map_or(0, |(chain, _)| chain + 1);
                continue;
            }
            // A list is wide, not deep; but one of tables is a chain of joins.
            Token::Comma => *chain = if *joins { *chain + 1 } else { 0 },
            Token::Word(word) => {
                match word.keyword {
                    Keyword::FROM => *joins = true,
                    Keyword::WHERE | Keyword::SELECT => *joins = false,
                    _ => {}
                }
                // Between dots it is a name, whatever it says.
                let beside = [place.checked_sub(1), place.checked_add(1)];
                let is_name = beside.into_iter().flatten().any(|beside| is_dot(tokens, beside));
                *chain += usize::from(!is_name && !is_within(word.keyword));
            }
            // A name has few parts; what has more is a field of a field of a field.
            Token::Period => *chain += usize::from(dots > NAME_DOTS),
            Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::SemiColon => {}
            _ => *chain += 1,
        }
        deepest = deepest.max(outside + levels.last().map_or(0, |(chain, _)| *chain));
    }
    deepest
}

fn is_dot(tokens: &[Token], place: usize) -> bool {
    matches!(tokens.get(place), Some(Token::Period))
}

/// The dots of a name with catalog, schema, table and column, and two more.
const NAME_DOTS: usize = 5;

/// Whether this word makes nothing deeper: a name, or one that stands only where another does that
/// is counted.
fn is_within(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::NoKeyword
            | Keyword::AS
            | Keyword::ON
            | Keyword::THEN
            | Keyword::END
            | Keyword::NULL
            | Keyword::TRUE
            | Keyword::FALSE
            | Keyword::INNER
            | Keyword::OUTER
            | Keyword::LEFT
            | Keyword::RIGHT
            | Keyword::SELECT
            | Keyword::FROM
            | Keyword::WHERE
            | Keyword::ALL
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        Tokenizer::new(&GenericDialect {}, text).with_unescape(false).tokenize().unwrap()
    }

    #[test]
    fn depth_is_that_of_chains_and_not_of_lists() {
        let depth = |text: &str| depth(&tokens(text));

        assert_eq!(depth("select a, b, c"), 0);
        assert!(depth(&format!("select {}a", "a + ".repeat(500))) >= 500);
        assert!(depth(&format!("select {}a", "f(a, b) + ".repeat(500))) >= 500);
        assert!(depth(&format!("select {}a", "a or ".repeat(500))) >= 500);
        assert!(depth(&format!("select {}1{}", "(1 + ".repeat(500), ")".repeat(500))) >= 500);
        assert!(depth(&format!("select * from {}", vec!["t"; 500].join(", "))) >= 499);
        assert!(depth(&format!("select 1{}", " union select 1".repeat(500))) >= 500);
        assert!(
            depth(&format!("insert into t values {}", vec!["(-1, a + 2)"; 500].join(", "))) < 9
        );
        assert!(depth(&format!("select a in ({})", vec!["-1"; 500].join(", "))) < 9);
        assert_eq!(depth(")))"), 3, "nonsense is not followed");
        assert!(depth(&format!("select (a){}", ".a".repeat(500))) >= 490);
        assert!(depth(&format!("select case {}end", "when a then b ".repeat(500))) < 600);
        let wide = "sheaf.public.t.a = b.c and ".repeat(400);
        assert!(depth(&format!("select * from t where {wide}true")) < LONGEST_CHAIN);
    }

    #[test]
    fn whatever_word_is_repeated_it_counts_unless_it_nests_nothing() {
        for keyword in sqlparser_keywords() {
            let counted = depth(&tokens(&format!("a {keyword} ").repeat(500))) >= 499;
            let word = tokens(keyword).remove(0);
            let Token::Word(word) = word else { panic!("{keyword} is no word") };
            assert!(counted || is_within(word.keyword), "{keyword}");
        }
    }

    fn sqlparser_keywords() -> &'static [&'static str] {
        datafusion::sql::sqlparser::keywords::ALL_KEYWORDS
    }

    #[test]
    fn what_killed_a_thread_once_is_refused() {
        for (start, part, end) in [
            ("select now()", " at time zone 'UTC'", ""),
            ("", "explain ", "select 1"),
            ("select * from t", " unpivot(a for b in (c))", ""),
            ("select a", " collate x", ""),
            ("select named_struct('a', 1)", ".a", ""),
            ("select a", "[1]", ""),
        ] {
            let text = format!("{start}{}{end}", part.repeat(100_000));
            let error = Words::new(&text).err().expect("it is too deep");
            assert!(error.to_string().contains("operations deep"), "{error}");
        }
    }

    fn filled(text: &str, columns: Vec<(&str, ArrayRef)>) -> Result<String> {
        let values = RecordBatch::try_from_iter_with_nullable(
            columns.into_iter().map(|(name, column)| (name, column, true)),
        );
        Ok(Words::new(text)?.with_values(&values.unwrap(), 0)?.to_string())
    }

    #[test]
    fn question_marks_are_parameters_where_they_stand_for_values() {
        let words = Words::new("select '?', 'it''s', \"a?\", ?, ? -- what?\n").unwrap();
        assert_eq!(words.parameters(), ["$1", "$2"]);
        let words = Words::new("select $2, $1, $2, $name").unwrap();
        assert_eq!(words.parameters(), ["$2", "$1", "$name"]);
    }

    #[test]
    fn values_are_put_where_their_parameters_stand() {
        let one = || Arc::new(Int64Array::from(vec![7])) as ArrayRef;
        let text = || Arc::new(StringArray::from(vec!["it's; drop table t --"])) as ArrayRef;
        assert_eq!(
            filled("select ?, ?", vec![("1", one()), ("2", text())]).unwrap(),
            "SELECT 7, 'it''s; drop table t --'"
        );
        assert_eq!(
            filled("select $2, $1", vec![("1", one()), ("2", text())]).unwrap(),
            "SELECT 'it''s; drop table t --', 7"
        );
        assert_eq!(
            filled("select $b, $a", vec![("a", one()), ("b", text())]).unwrap(),
            "SELECT 'it''s; drop table t --', 7"
        );
        let error = filled("select ?, ?", vec![("1", one())]).unwrap_err();
        assert!(error.to_string().contains("2 parameters; 1 values"), "{error}");
    }

    #[test]
    fn a_text_has_one_statement() {
        let statement = |text: &str| Words::new(text).and_then(|words| words.statement());
        assert!(statement("select 1;").is_ok());
        for bad in ["", ";", "select 1; select 2", "selec 1", "select '", "begin"] {
            assert_eq!(statement(bad).unwrap_err().kind(), Kind::Invalid, "{bad}");
        }
        let deep = format!("select {}1{}", "(".repeat(5000), ")".repeat(5000));
        assert_eq!(statement(&deep).unwrap_err().kind(), Kind::Invalid);
        let long = format!("select '{}'", "x".repeat(LONGEST));
        assert!(statement(&long).unwrap_err().to_string().contains("the limit is"));
    }
}
