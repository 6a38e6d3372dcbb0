//! From words to a statement: one of SQL, with its parameters numbered.

use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};
use sheaf_store::{Error, Kind, Result};

use crate::error;

/// The longest statement, in bytes.
const LONGEST: usize = 4 << 20;

/// How deep parentheses, subqueries and the like may nest.
const DEEPEST: usize = 64;

/// How deep an expression or a chain of joins may be, as far as its words tell.
const LONGEST_CHAIN: usize = 1000;

/// The one statement of a text.
///
/// # Errors
/// [`Kind::Invalid`] when it is none, or several.
pub(crate) fn statement(text: &str) -> Result<Statement> {
    let invalid = |message: String| Error::new(Kind::Invalid, message);
    if text.len() > LONGEST {
        let message = format!(
            "a statement of {} bytes; the limit is {LONGEST}: put its data into a table",
            text.len()
        );
        return Err(invalid(message));
    }
    let tokens = Tokenizer::new(&GenericDialect {}, text).with_unescape(false).tokenize();
    let tokens =
        tokens.map_err(|error| invalid(format!("the statement can't be read: {error}")))?;
    let depth = depth(&tokens);
    if depth > LONGEST_CHAIN {
        let message = format!(
            "the statement is {depth} operations deep; the limit is {LONGEST_CHAIN}: put a list \
             into `in (…)`, or into a table to join with"
        );
        return Err(invalid(message));
    }
    let text = numbered(tokens);
    let parser = DFParserBuilder::new(text.as_str()).with_recursion_limit(DEEPEST).build();
    let parsed = parser.and_then(|mut parser| parser.parse_statements());
    let mut parsed = parsed.map_err(|error| error::of(&error))?;
    match (parsed.len(), parsed.pop_front()) {
        (1, Some(Statement::Statement(words))) if is_transaction(&words) => {
            let message = "there is no transaction here: each statement is atomic by itself";
            Err(invalid(message.into()))
        }
        (1, Some(statement)) => Ok(statement),
        (0, _) => Err(invalid("there is no statement".into())),
        (count, _) => Err(invalid(format!("{count} statements: give them one at a time"))),
    }
}

fn is_transaction(words: &ast::Statement) -> bool {
    use ast::Statement as S;
    matches!(words, S::StartTransaction { .. } | S::Commit { .. } | S::Rollback { .. })
}

/// The text with `?`, `?`, … as `$1`, `$2`, …: what JDBC, ODBC and ADBC write.
fn numbered(tokens: Vec<Token>) -> String {
    let mut count = 0;
    let parts = tokens.into_iter().map(|token| match token {
        Token::Placeholder(mark) if mark == "?" => {
            count += 1;
            format!("${count}")
        }
        token => token.to_string(),
    });
    parts.collect()
}

/// How deep the tree may be that these words make, at the most. Whoever walks it does so by
/// recursion, and drops it so: what is too deep has to be known before.
fn depth(tokens: &[Token]) -> usize {
    // For each open parenthesis what is behind it so far, and whether a comma there joins tables.
    let mut levels = vec![(0_usize, false)];
    let (mut outside, mut deepest) = (0_usize, 0_usize);
    for token in tokens {
        let open = levels.len();
        let Some((chain, joins)) = levels.last_mut() else { break };
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
            Token::Word(word) => match word.keyword {
                Keyword::FROM => *joins = true,
                Keyword::WHERE | Keyword::SELECT => *joins = false,
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::BETWEEN
                | Keyword::IN
                | Keyword::CASE
                | Keyword::WHEN
                | Keyword::ELSE
                | Keyword::JOIN
                | Keyword::UNION
                | Keyword::EXCEPT
                | Keyword::INTERSECT => *chain += 1,
                _ => {}
            },
            Token::Whitespace(_)
            | Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::Placeholder(_)
            | Token::Period
            | Token::SemiColon => {}
            _ => *chain += 1,
        }
        deepest = deepest.max(outside + levels.last().map_or(0, |(chain, _)| *chain));
    }
    deepest
}

#[cfg(test)]
mod tests {
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
    }

    #[test]
    fn question_marks_are_numbered_where_they_are_parameters() {
        let numbered = |text: &str| numbered(tokens(text));

        assert_eq!(numbered("select ? + ?"), "select $1 + $2");
        assert_eq!(
            numbered("select '?', 'it''s', \"a?\", ? -- what?\n"),
            "select '?', 'it''s', \"a?\", $1 -- what?\n"
        );
        assert_eq!(numbered("select $2, $1"), "select $2, $1");
    }

    #[test]
    fn a_text_has_one_statement() {
        assert!(statement("select 1;").is_ok());
        for bad in ["", ";", "select 1; select 2", "selec 1", "select '"] {
            assert_eq!(statement(bad).unwrap_err().kind(), Kind::Invalid, "{bad}");
        }
        let deep = format!("select {}1{}", "(".repeat(5000), ")".repeat(5000));
        assert_eq!(statement(&deep).unwrap_err().kind(), Kind::Invalid);
        let long = format!("select '{}'", "x".repeat(LONGEST));
        assert!(statement(&long).unwrap_err().to_string().contains("the limit is"));
    }
}
