//! `ukimet mapping`: look at mappings, check them, and write a first one.

use crate::cli::output;
use crate::client::{Client, DEFAULT_HUB};
use arrow_schema::{DataType, Schema};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use ukimet_model::batch::attribute_field;
use ukimet_model::mapping::suggest;
use ukimet_model::{Error, GEOMETRY_COLUMN, Mapping, Profile, Result, VersionSelector};
use ukimet_proto::status::from_status;
use ukimet_proto::v1;

/// What the columns of datasets become: rename, cast, split, join, look up, drop.
#[derive(Args)]
pub struct MappingCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    Suggest(Suggest),
    Show(Show),
    Check(Check),
    Profiles(Profiles),
}

/// Write a first mapping for a dataset, every column named, bound to the profile that fits best.
#[derive(Args)]
struct Suggest {
    /// The dataset, as it was published without a mapping.
    #[arg(value_name = "DATASET[@vN]")]
    dataset: VersionSelector,
    /// Bind the columns to this profile.
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
}

/// Print the mapping in force for a dataset, or the one that a version was made with.
#[derive(Args)]
struct Show {
    /// The dataset, and perhaps its version.
    #[arg(value_name = "DATASET[@vN]")]
    dataset: VersionSelector,
    /// The hub.
    #[arg(long, value_name = "URL", default_value = DEFAULT_HUB)]
    hub: String,
}

/// Check that a file is a mapping, without a hub.
#[derive(Args)]
struct Check {
    /// The file.
    file: PathBuf,
}

/// List the profiles, or the columns of one.
#[derive(Args)]
struct Profiles {
    /// The profile.
    name: Option<String>,
    /// The language of titles: kk, ru or en.
    #[arg(long, value_name = "LANG", default_value = "en")]
    lang: String,
}

impl MappingCommand {
    /// Does what was asked.
    pub async fn run(self) -> Result<ExitCode> {
        match self.action {
            Action::Suggest(action) => action.run().await?,
            Action::Show(action) => action.run().await?,
            Action::Check(action) => action.run()?,
            Action::Profiles(action) => action.run()?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Suggest {
    async fn run(self) -> Result<()> {
        let profile = self.profile.as_deref().map(Profile::named).transpose()?;
        let version = described(&self.hub, &self.dataset).await?.version.unwrap_or_default();
        output::line(suggest(&schema(&version.fields)?, profile).trim_end());
        Ok(())
    }
}

impl Show {
    async fn run(self) -> Result<()> {
        let mapping = described(&self.hub, &self.dataset).await?.mapping;
        let mapping = mapping.ok_or_else(|| Error::not_found(format!("{} has no mapping", self.dataset)))?;
        output::line(mapping.trim_end());
        Ok(())
    }
}

async fn described(hub: &str, selector: &VersionSelector) -> Result<v1::Dataset> {
    let mut catalog = Client::connect(hub).await?.catalog();
    let request = v1::GetDatasetRequest { dataset: selector.to_string(), ..v1::GetDatasetRequest::default() };
    let found = catalog.get_dataset(request).await.map_err(|status| from_status(&status))?.into_inner();
    Ok(found.dataset.unwrap_or_default())
}

/// The schema that the columns of a version describe, its geometry left out.
fn schema(fields: &[v1::Field]) -> Result<Schema> {
    let field = |field: &v1::Field| {
        let data_type: DataType = field.data_type.parse().map_err(|error| {
            Error::internal(format!("the hub's type of column {} does not parse", field.name)).caused_by(error)
        })?;
        Ok(attribute_field(&field.name, &field.source_name, data_type))
    };
    let attributes = fields.iter().filter(|field| field.name != GEOMETRY_COLUMN);
    Ok(Schema::new(attributes.map(field).collect::<Result<Vec<_>>>()?))
}

impl Check {
    fn run(self) -> Result<()> {
        let mapping = Mapping::parse(&read_mapping(&self.file)?)?;
        mapping.profile.as_deref().map(Profile::named).transpose()?;
        output::line(&format!("a mapping that makes {} columns", mapping.columns.len()));
        Ok(())
    }
}

impl Profiles {
    fn run(self) -> Result<()> {
        let title =
            |titles: &std::collections::BTreeMap<String, String>| titles.get(&self.lang).cloned().unwrap_or_default();
        let Some(name) = &self.name else {
            for profile in Profile::all() {
                output::line(&format!("{:<24} {}", profile.name, title(&profile.title)));
            }
            return Ok(());
        };
        for column in &Profile::named(name)?.columns {
            let required = if column.required { "required" } else { "" };
            let kind = column.kind.cast();
            output::line(&format!("{:<24} {kind:<10} {required:<9} {}", column.name, title(&column.title)));
        }
        Ok(())
    }
}

/// The text of a mapping file.
///
/// # Errors
///
/// `InvalidRequest` if it cannot be read or is not text.
pub fn read_mapping(file: &Path) -> Result<String> {
    std::fs::read_to_string(file)
        .map_err(|error| Error::invalid_request(format!("reading the mapping {}", file.display())).caused_by(error))
}
