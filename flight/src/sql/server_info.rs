//! `GetSqlInfo`: what this server can do, so that drivers need not guess.

use std::collections::BTreeMap;

use arrow_flight::sql::metadata::{SqlInfoData, SqlInfoDataBuilder};
use arrow_flight::sql::{
    SqlInfo as I, SqlNullOrdering, SqlSupportedCaseSensitivity, SqlSupportedTransaction,
};
use sheaf_store::sql::Dialect;
use tonic::Status;

use super::Sql;
use super::metadata::unbuilt;

/// Groups by columns that are not selected, and by expressions.
const GROUP_BY: i32 = 0b11;
/// The grammars of ODBC that are understood: minimum and core.
const GRAMMAR: i32 = 0b11;
/// Of the three levels of SQL-92, the first.
const ANSI92: i32 = 0b1;
/// Outer joins: limited ones, and all.
const OUTER_JOINS: i32 = 0b110;
/// Subqueries in comparisons, exists, in, and quantified ones.
const SUBQUERIES: i32 = 0b1111;
/// `union` and `union all`.
const UNIONS: i32 = 0b11;
/// Of the ways to go through a result: forward.
const FORWARD_ONLY: i32 = 0b10;
/// A result can't be changed through its rows.
const READ_ONLY: i32 = 0b10;

/// What `cast` makes of what, by the numbers of the specification's `SqlSupportsConvert`.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    // Integers, decimals and floats; strings; binaries; dates and times.
    const NUMBERS: [i32; 9] = [0, 2, 5, 6, 7, 12, 13, 14, 17];
    const STRINGS: [i32; 3] = [3, 11, 19];
    const BINARIES: [i32; 3] = [1, 10, 18];
    const TIMES: [i32; 3] = [4, 15, 16];
    let others = |groups: &[&[i32]]| groups.concat();
    let numbers = NUMBERS.map(|kind| (kind, others(&[&NUMBERS, &STRINGS])));
    let strings = STRINGS.map(|kind| (kind, others(&[&NUMBERS, &STRINGS, &BINARIES, &TIMES])));
    let binaries = BINARIES.map(|kind| (kind, others(&[&STRINGS, &BINARIES])));
    let times = TIMES.map(|kind| (kind, others(&[&STRINGS, &TIMES])));
    numbers.into_iter().chain(strings).chain(binaries).chain(times).collect()
}

/// Everything that may be asked.
pub(super) fn all(sql: &Sql) -> Result<SqlInfoData, Status> {
    let Dialect { keywords, numeric, string, datetime, system } = sql.engine()?.dialect();
    let mut told = SqlInfoDataBuilder::new();
    told.append(I::FlightSqlServerName, "Sheaf");
    told.append(I::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    told.append(I::FlightSqlServerArrowVersion, "1.5");
    told.append(I::FlightSqlServerReadOnly, false);
    told.append(I::FlightSqlServerSql, true);
    told.append(I::FlightSqlServerSubstrait, false);
    told.append(I::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    told.append(I::FlightSqlServerCancel, true);
    told.append(I::FlightSqlServerBulkIngestion, true);
    told.append(I::FlightSqlServerIngestTransactionsSupported, false);
    told.append(I::FlightSqlServerStatementTimeout, 0_i32);
    told.append(I::FlightSqlServerTransactionTimeout, 0_i32);
    told.append(I::SqlDdlCatalog, false);
    told.append(I::SqlDdlSchema, false);
    told.append(I::SqlDdlTable, true);
    let lower = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    told.append(I::SqlIdentifierCase, lower);
    told.append(I::SqlIdentifierQuoteChar, "\"");
    let exact = SqlSupportedCaseSensitivity::SqlCaseSensitivityCaseInsensitive as i32;
    told.append(I::SqlQuotedIdentifierCase, exact);
    told.append(I::SqlAllTablesAreSelectable, true);
    told.append(I::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    told.append(I::SqlKeywords, keywords);
    told.append(I::SqlNumericFunctions, numeric);
    told.append(I::SqlStringFunctions, string);
    told.append(I::SqlSystemFunctions, system);
    told.append(I::SqlDatetimeFunctions, datetime);
    told.append(I::SqlSearchStringEscape, "\\");
    told.append(I::SqlExtraNameCharacters, "");
    told.append(I::SqlSupportsColumnAliasing, true);
    told.append(I::SqlNullPlusNullIsNull, true);
    told.append(I::SqlSupportsConvert, conversions());
    told.append(I::SqlSupportsTableCorrelationNames, true);
    told.append(I::SqlSupportsDifferentTableCorrelationNames, false);
    told.append(I::SqlSupportsExpressionsInOrderBy, true);
    told.append(I::SqlSupportsOrderByUnrelated, true);
    told.append(I::SqlSupportedGroupBy, GROUP_BY);
    told.append(I::SqlSupportsLikeEscapeClause, true);
    told.append(I::SqlSupportsNonNullableColumns, true);
    told.append(I::SqlSupportedGrammar, GRAMMAR);
    told.append(I::SqlAnsi92SupportedLevel, ANSI92);
    told.append(I::SqlSupportsIntegrityEnhancementFacility, false);
    told.append(I::SqlOuterJoinsSupportLevel, OUTER_JOINS);
    told.append(I::SqlSchemaTerm, "schema");
    told.append(I::SqlProcedureTerm, "procedure");
    told.append(I::SqlCatalogTerm, "catalog");
    told.append(I::SqlCatalogAtStart, true);
    told.append(I::SqlSchemasSupportedActions, 0_i32);
    told.append(I::SqlCatalogsSupportedActions, 0_i32);
    told.append(I::SqlSupportedPositionedCommands, 0_i32);
    told.append(I::SqlSelectForUpdateSupported, false);
    told.append(I::SqlStoredProceduresSupported, false);
    told.append(I::SqlSupportedSubqueries, SUBQUERIES);
    told.append(I::SqlCorrelatedSubqueriesSupported, true);
    told.append(I::SqlSupportedUnions, UNIONS);
    // What has no limit of its own is 0.
    for unlimited in [
        I::SqlMaxBinaryLiteralLength,
        I::SqlMaxCharLiteralLength,
        I::SqlMaxColumnNameLength,
        I::SqlMaxColumnsInGroupBy,
        I::SqlMaxColumnsInIndex,
        I::SqlMaxColumnsInOrderBy,
        I::SqlMaxColumnsInSelect,
        I::SqlMaxColumnsInTable,
        I::SqlMaxConnections,
        I::SqlMaxCursorNameLength,
        I::SqlMaxIndexLength,
        I::SqlMaxProcedureNameLength,
        I::SqlMaxRowSize,
        I::SqlMaxStatements,
        I::SqlMaxTablesInSelect,
        I::SqlMaxUsernameLength,
    ] {
        told.append(unlimited, 0_i64);
    }
    told.append(I::SqlDbSchemaNameLength, 255_i64);
    told.append(I::SqlMaxCatalogNameLength, 255_i64);
    told.append(I::SqlMaxRowSizeIncludesBlobs, false);
    told.append(I::SqlMaxStatementLength, 4_194_304_i64);
    told.append(I::SqlMaxTableNameLength, 255_i64);
    told.append(I::SqlDefaultTransactionIsolation, 0_i64);
    told.append(I::SqlTransactionsSupported, false);
    told.append(I::SqlSupportedTransactionsIsolationLevels, 0_i32);
    told.append(I::SqlDataDefinitionCausesTransactionCommit, false);
    told.append(I::SqlDataDefinitionsInTransactionsIgnored, false);
    told.append(I::SqlSupportedResultSetTypes, FORWARD_ONLY);
    told.append(I::SqlSupportedConcurrenciesForResultSetUnspecified, 0_i32);
    told.append(I::SqlSupportedConcurrenciesForResultSetForwardOnly, READ_ONLY);
    told.append(I::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0_i32);
    told.append(I::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0_i32);
    told.append(I::SqlBatchUpdatesSupported, true);
    told.append(I::SqlSavepointsSupported, false);
    told.append(I::SqlNamedParametersSupported, true);
    told.append(I::SqlLocatorsUpdateCopy, false);
    told.append(I::SqlStoredFunctionsUsingCallSyntaxSupported, false);
    told.build().map_err(unbuilt)
}
