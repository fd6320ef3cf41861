//! Datasets and their versions as tables: looked up by name in the snapshot of the query, never listed.

use crate::pushdown::{Pushed, pushed};
use crate::refusal::passed_on;
use crate::scan::ScanExec;
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, Session, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::fmt;
use std::sync::Arc;
use ukimet_catalog::Snapshot;
use ukimet_model::error::quoted;
use ukimet_model::{Dataset, DatasetQuery, Error, ErrorKind, Filter, RowQuery, Version, VersionSelector};

/// The name of the one catalog.
pub const CATALOG: &str = "ukimet";
/// The name of its one schema.
pub const SCHEMA: &str = "public";
/// Datasets that are named when one is not there.
const NEAR_MAX: usize = 3;

/// The catalog, its schema and its tables, as of one snapshot.
#[derive(Clone, Debug)]
pub(crate) struct SnapshotTables(pub(crate) Snapshot);

impl CatalogProviderList for SnapshotTables {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.to_owned()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| Arc::new(self.clone()) as _)
    }
}

impl CatalogProvider for SnapshotTables {
    fn schema_names(&self) -> Vec<String> {
        vec![SCHEMA.to_owned()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        (name == SCHEMA).then(|| Arc::new(self.clone()) as _)
    }
}

#[async_trait]
impl SchemaProvider for SnapshotTables {
    /// None: a plan asks for the tables that it names.
    fn table_names(&self) -> Vec<String> {
        Vec::new()
    }

    /// Blocks on the state of the catalog; it is called on the thread of a plan.
    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        VersionTable::find(&self.0, name).map(|table| Some(Arc::new(table) as _)).map_err(passed_on)
    }

    fn table_exist(&self, name: &str) -> bool {
        VersionTable::find(&self.0, name).is_ok()
    }
}

/// One version of a dataset.
pub(crate) struct VersionTable {
    snapshot: Snapshot,
    dataset: Dataset,
    version: Version,
    schema: SchemaRef,
}

impl fmt::Debug for VersionTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.dataset.id, self.version.number)
    }
}

impl VersionTable {
    /// The version that a table's name means.
    ///
    /// # Errors
    ///
    /// `InvalidRequest` if it is no selector of a version, `NotFound` if the snapshot does not have it; datasets with
    /// similar names are named then.
    fn find(snapshot: &Snapshot, name: &str) -> ukimet_model::Result<Self> {
        let selector = selector_of(name)?;
        let (dataset, version) = snapshot.version(&selector).map_err(|error| {
            let is_missing = error.kind() == ErrorKind::NotFound;
            let near = if is_missing { near(snapshot, &selector) } else { Vec::new() };
            if near.is_empty() {
                return error;
            }
            Error::new(error.kind(), format!("{}; there is {}", error.message(), near.join(", ")))
        })?;
        let schema = snapshot.schema(&version)?;
        Ok(Self { snapshot: snapshot.clone(), dataset, version, schema })
    }

    /// What of a condition the catalog answers, if it does.
    fn pushed(&self, expression: &Expr) -> Option<Pushed> {
        let pushed = pushed(expression, &self.schema)?;
        let query = RowQuery { filter: Some(pushed.filter.clone()), ..RowQuery::default() };
        self.snapshot.check_query(&self.dataset, &self.version, &query).ok().map(|()| pushed)
    }
}

/// A table's name as a selector.
fn selector_of(name: &str) -> ukimet_model::Result<VersionSelector> {
    name.parse().map_err(|error: Error| {
        let written =
            "a table is a dataset by its id, perhaps with a version: \"almaty/schools\", \"almaty/schools@v7\"";
        Error::not_found(format!("{written}; found {}: {}", quoted(name), error.message()))
    })
}

/// Datasets that have a word of a dataset's name, as tables are written.
fn near(snapshot: &Snapshot, selector: &VersionSelector) -> Vec<String> {
    if snapshot.dataset(&selector.dataset).is_ok() {
        return Vec::new();
    }
    let text = selector.dataset.name().replace(['-', '_', '.'], " ");
    let found = snapshot.search(&DatasetQuery { text, limit: NEAR_MAX, ..DatasetQuery::default() });
    let found = found.map(|found| found.datasets).unwrap_or_default();
    found.into_iter().map(|(dataset, _)| format!("\"{}\"", dataset.id)).collect()
}

#[async_trait]
impl TableProvider for VersionTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let told = |pushed: Option<Pushed>| match pushed {
            Some(Pushed { is_exact: true, .. }) => TableProviderFilterPushDown::Exact,
            Some(_) => TableProviderFilterPushDown::Inexact,
            None => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(|filter| told(self.pushed(filter))).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let name = |column: &usize| self.schema.field(*column).name().clone();
        let columns = projection.map(|columns| columns.iter().map(name).collect());
        let parts: Vec<Filter> = filters.iter().filter_map(|filter| Some(self.pushed(filter)?.filter)).collect();
        let filter = (!parts.is_empty()).then_some(Filter::All(parts));
        let query = RowQuery { columns, filter, limit: limit.map(|limit| limit as u64), ..RowQuery::default() };
        let schema = projection
            .map_or_else(|| Ok(Arc::clone(&self.schema)), |columns| self.schema.project(columns).map(Arc::new))?;
        let partitions = state.config().target_partitions();
        let (dataset, version) = (self.dataset.clone(), self.version.clone());
        Ok(Arc::new(ScanExec::new(self.snapshot.clone(), (dataset, version), query, schema, partitions)))
    }
}
