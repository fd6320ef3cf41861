//! What there is to ask of: one catalog with one schema, its datasets as tables, their keys, and what this SQL can.

use arrow_array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    Command, CommandGetPrimaryKeys, CommandGetTables, Nullable, Searchable, SqlInfo, SqlSupportedCaseSensitivity,
    SqlSupportedTransaction, XdbcDataType,
};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use std::sync::Arc;
use ukimet_catalog::Snapshot;
use ukimet_model::{Dataset, DatasetQuery, Error, ErrorKind, Result, Version, VersionSelector};
use ukimet_query::{CATALOG, QueryLimits, SCHEMA};

/// What every table is.
const TABLE: &str = "TABLE";
/// How many datasets are listed from one look at the index.
const LIST_PAGE: usize = 500;
/// Tables that are listed with their columns at once.
const SCHEMAS_MAX: usize = 10_000;

fn failed(error: impl Into<FlightError>) -> Error {
    Error::internal("describing what there is to ask of").caused_by(error.into())
}

/// Columns of the answer to a command that asks what there is; `None` for another command.
pub(super) fn schema_of(command: &Command) -> Result<Option<SchemaRef>> {
    Ok(Some(match command.clone() {
        Command::CommandGetCatalogs(asked) => asked.into_builder().schema(),
        Command::CommandGetDbSchemas(asked) => asked.into_builder().schema(),
        Command::CommandGetTables(asked) => asked.into_builder().schema(),
        Command::CommandGetTableTypes(asked) => asked.into_builder().schema(),
        Command::CommandGetSqlInfo(asked) => asked.into_builder(&no_info()?).schema(),
        Command::CommandGetXdbcTypeInfo(asked) => asked.into_builder(&types()?).schema(),
        Command::CommandGetPrimaryKeys(_) => primary_key_schema(),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => foreign_key_schema(),
        _ => return Ok(None),
    }))
}

fn no_info() -> Result<SqlInfoData> {
    SqlInfoDataBuilder::new().build().map_err(failed)
}

/// The answer to a command that asks what there is; `None` for another command. Blocks on the catalog.
pub(super) fn answer(snapshot: &Snapshot, limits: &QueryLimits, command: &Command) -> Result<Option<RecordBatch>> {
    Ok(Some(match command.clone() {
        Command::CommandGetCatalogs(asked) => {
            let mut builder = asked.into_builder();
            builder.append(CATALOG);
            builder.build().map_err(failed)?
        }
        Command::CommandGetDbSchemas(asked) => {
            let mut builder = asked.into_builder();
            builder.append(CATALOG, SCHEMA);
            builder.build().map_err(failed)?
        }
        Command::CommandGetTables(asked) => tables(snapshot, asked)?,
        Command::CommandGetTableTypes(asked) => {
            let mut builder = asked.into_builder();
            builder.append(TABLE);
            builder.build().map_err(failed)?
        }
        Command::CommandGetSqlInfo(asked) => asked.into_builder(&info(limits)?).build().map_err(failed)?,
        Command::CommandGetXdbcTypeInfo(asked) => asked.into_builder(&types()?).build().map_err(failed)?,
        Command::CommandGetPrimaryKeys(asked) => primary_keys(snapshot, &asked)?,
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => RecordBatch::new_empty(foreign_key_schema()),
        _ => return Ok(None),
    }))
}

/// Datasets whose names are as the pattern; one that is named without `%` and `_` is looked up, a version of one too.
fn tables(snapshot: &Snapshot, asked: CommandGetTables) -> Result<RecordBatch> {
    let (pattern, with_schema) = (asked.table_name_filter_pattern.clone(), asked.include_schema);
    let mut builder = asked.into_builder();
    let mut count = 0;
    let mut add = |name: &str, version: &Version| {
        count += 1;
        if with_schema && count > SCHEMAS_MAX {
            return Err(Error::limit_reached(format!(
                "at most {SCHEMAS_MAX} tables are listed with their columns, name fewer by a pattern"
            )));
        }
        let schema = if with_schema { snapshot.schema(version)? } else { Arc::new(Schema::empty()) };
        builder.append(CATALOG, SCHEMA, name, TABLE, &schema).map_err(failed)
    };
    match pattern.as_deref().filter(|pattern| !pattern.contains('%') && named(snapshot, pattern).is_some()) {
        Some(name) => named(snapshot, name).map_or(Ok(()), |(_, version)| add(name, &version))?,
        None => each_dataset(snapshot, &mut |dataset, version| {
            let name = dataset.id.to_string();
            let is_asked = pattern.as_deref().is_none_or(|pattern| is_like(&name, pattern));
            if is_asked { add(&name, version) } else { Ok(()) }
        })?,
    }
    builder.build().map_err(failed)
}

/// The version that a table's name means, if there is one.
fn named(snapshot: &Snapshot, name: &str) -> Option<(Dataset, Version)> {
    let selector: VersionSelector = name.parse().ok()?;
    snapshot.version(&selector).ok()
}

fn each_dataset(snapshot: &Snapshot, each: &mut dyn FnMut(&Dataset, &Version) -> Result<()>) -> Result<()> {
    let mut offset = 0;
    loop {
        let query = DatasetQuery { offset, limit: LIST_PAGE, ..DatasetQuery::default() };
        let found = snapshot.search(&query)?.datasets;
        if found.is_empty() {
            return Ok(());
        }
        offset += found.len();
        found.iter().try_for_each(|(dataset, version)| each(dataset, version))?;
    }
}

/// Whether a name is as a pattern: `%` stands for any letters, `_` for one.
fn is_like(name: &str, pattern: &str) -> bool {
    let (name, pattern): (Vec<char>, Vec<char>) = (name.chars().collect(), pattern.chars().collect());
    // For each beginning of the name whether the pattern so far fits it.
    let mut fits = vec![false; name.len() + 1];
    fits[0] = true;
    for sign in pattern {
        let before = fits.clone();
        for at in 0..=name.len() {
            fits[at] = match sign {
                '%' => before[at] || (at > 0 && fits[at - 1]),
                '_' => at > 0 && before[at - 1],
                letter => at > 0 && before[at - 1] && name[at - 1] == letter,
            };
        }
    }
    fits[name.len()]
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

fn primary_key_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("key_name", true),
    ]))
}

/// The columns of a dataset's key, in their order; none without one.
fn primary_keys(snapshot: &Snapshot, asked: &CommandGetPrimaryKeys) -> Result<RecordBatch> {
    let is_ours = asked.catalog.as_deref().is_none_or(|catalog| catalog == CATALOG)
        && asked.db_schema.as_deref().is_none_or(|schema| schema == SCHEMA);
    let selector: VersionSelector = asked.table.parse()?;
    let key = match snapshot.version(&selector) {
        Ok((_, version)) => version.key.filter(|_| is_ours).map(|key| key.columns).unwrap_or_default(),
        Err(error) if error.kind() == ErrorKind::NotFound && !is_ours => Vec::new(),
        Err(error) => return Err(error),
    };
    let same = |text: &str| Arc::new(StringArray::from(vec![text; key.len()])) as ArrayRef;
    let columns = vec![
        same(CATALOG),
        same(SCHEMA),
        same(&asked.table),
        Arc::new(StringArray::from_iter_values(&key)),
        Arc::new((1..=key.len() as i32).collect::<Int32Array>()),
        Arc::new(StringArray::new_null(key.len())),
    ];
    RecordBatch::try_new(primary_key_schema(), columns).map_err(failed)
}

/// Keys that refer to other tables: there are none.
fn foreign_key_schema() -> SchemaRef {
    let side = |side: &str| {
        let name = move |what: &str| format!("{side}_{what}");
        [
            text(&name("catalog_name"), true),
            text(&name("db_schema_name"), true),
            text(&name("table_name"), false),
            text(&name("column_name"), false),
        ]
    };
    let last = [
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ];
    let fields: Vec<Field> = side("pk").into_iter().chain(side("fk")).chain(last).collect();
    Arc::new(Schema::new(fields))
}

/// What this SQL can.
fn info(limits: &QueryLimits) -> Result<SqlInfoData> {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Ukimet Hub");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, "1.3");
    info.append(SqlInfo::FlightSqlServerReadOnly, true);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    info.append(SqlInfo::FlightSqlServerCancel, false);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, limits.time_max.as_millis() as i32);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, false);
    info.append(SqlInfo::SqlDdlTable, false);
    let lower = SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32;
    info.append(SqlInfo::SqlIdentifierCase, lower);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    info.append(SqlInfo::SqlQuotedIdentifierCase, lower);
    info.build().map_err(failed)
}

/// The types that columns have.
fn types() -> Result<XdbcTypeInfoData> {
    use XdbcDataType as T;
    let mut types = XdbcTypeInfoDataBuilder::new();
    for (name, data_type, quoted) in [
        ("BIGINT", T::XdbcBigint, false),
        ("BOOLEAN", T::XdbcBit, false),
        ("DATE", T::XdbcDate, true),
        ("DECIMAL", T::XdbcDecimal, false),
        ("DOUBLE", T::XdbcDouble, false),
        ("INTEGER", T::XdbcInteger, false),
        ("REAL", T::XdbcReal, false),
        ("SMALLINT", T::XdbcSmallint, false),
        ("TIME", T::XdbcTime, true),
        ("TIMESTAMP", T::XdbcTimestamp, true),
        ("TINYINT", T::XdbcTinyint, false),
        ("VARBINARY", T::XdbcVarbinary, true),
        ("VARCHAR", T::XdbcVarchar, true),
    ] {
        let quote = quoted.then(|| "'".to_owned());
        types.append(XdbcTypeInfo {
            type_name: name.to_owned(),
            data_type,
            sql_data_type: data_type,
            literal_prefix: quote.clone(),
            literal_suffix: quote,
            nullable: Nullable::NullabilityNullable,
            case_sensitive: data_type == T::XdbcVarchar,
            searchable: Searchable::Full,
            ..XdbcTypeInfo::default()
        });
    }
    types.build().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_as_a_pattern_or_not() {
        for (name, pattern, expected) in [
            ("almaty/schools", "almaty/%", true),
            ("almaty/schools", "%school%", true),
            ("almaty/schools", "_lmaty/schools", true),
            ("almaty/schools", "almaty", false),
            ("almaty/schools", "%x%", false),
            ("almaty/schools", "%%", true),
            ("мектеп", "_ектеп", true),
            ("", "%", true),
            ("", "_", false),
        ] {
            assert_eq!(is_like(name, pattern), expected, "{name} {pattern}");
        }
    }

    #[test]
    fn every_type_of_a_column_is_told() {
        assert_eq!(types().expect("told").record_batch(None).expect("all").num_rows(), 13);
        info(&QueryLimits::default()).expect("told");
    }
}
