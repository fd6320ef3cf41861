//! What an adapter says about itself.

use crate::adapter::Adapter;
use crate::failure::{Verdict, require, require_equal};
use crate::requirement::{Class, requirements};

/// The class.
pub fn class() -> Class<Adapter> {
    Class {
        name: "describe",
        requirements: requirements![
            an_adapter_names_itself_its_libraries_and_its_rules,
            every_format_has_a_name_a_media_type_and_plain_extensions,
            describing_twice_gives_the_same_answer,
        ],
    }
}

async fn an_adapter_names_itself_its_libraries_and_its_rules(adapter: &Adapter) -> Verdict {
    let found = adapter.describe().await?;
    for (what, value) in [("name", &found.name), ("version", &found.version), ("rules_version", &found.rules_version)] {
        require(!value.is_empty(), || format!("{what} is empty"))?;
    }
    require(found.libraries.iter().all(|(name, version)| !name.is_empty() && !version.is_empty()), || {
        format!("a library lacks its name or version: {:?}", found.libraries)
    })
}

async fn every_format_has_a_name_a_media_type_and_plain_extensions(adapter: &Adapter) -> Verdict {
    let formats = adapter.describe().await?.formats;
    require(!formats.is_empty(), || "the adapter reads nothing".to_owned())?;
    for format in formats {
        let is_media_type = |text: &String| text.split_once('/').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
        let is_extension = |text: &String| !text.is_empty() && !text.starts_with('.') && *text == text.to_lowercase();
        require(!format.name.is_empty(), || "a format has no name".to_owned())?;
        require(!format.media_types.is_empty() && format.media_types.iter().all(is_media_type), || {
            format!("{}: media types {:?}", format.name, format.media_types)
        })?;
        require(format.extensions.iter().all(is_extension), || {
            format!("{}: extensions {:?}", format.name, format.extensions)
        })?;
    }
    Ok(())
}

async fn describing_twice_gives_the_same_answer(adapter: &Adapter) -> Verdict {
    require_equal("the second answer", &adapter.describe().await?, &adapter.describe().await?)
}
