//! ODS packages whose cells stand on lines of their own, as not only offices write them: the reader of workbooks takes
//! the white space between two cells for a fault.

use quick_xml::events::Event;
use quick_xml::{Reader as XmlReader, Writer};
use std::borrow::Cow;
use std::io::{BufReader, Cursor, Read, Seek, Write};
use ukimet_model::{Error, Result};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// The part that holds the sheets.
const CONTENT: &str = "content.xml";
/// Elements that hold others and no text of their own.
const HOLDERS: [&str; 3] = ["table:table-row", "table:table-cell", "table:covered-table-cell"];

/// The package without the white space and comments between the cells of a row and around the paragraphs of a cell.
///
/// # Errors
///
/// `DataLoss` if the package is cut, `InvalidData` if its content is no XML.
pub(super) fn without_space_between_cells(file: impl Read + Seek) -> Result<Vec<u8>> {
    let cut = |error| Error::data_loss("the workbook is cut or broken").caused_by(error);
    let unwritten = |error| Error::internal("a workbook could not be written anew").caused_by(error);
    let mut zip = ZipArchive::new(file).map_err(cut)?;
    let names: Vec<String> = zip.file_names().flatten().map(Cow::into_owned).collect();
    let mut compact = ZipWriter::new(Cursor::new(Vec::new()));
    for name in names {
        let member = zip.by_name(&name).map_err(cut)?;
        if name == CONTENT {
            let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored).large_file(true);
            compact.start_file(name, options).map_err(unwritten)?;
            copy_compact(BufReader::new(member), &mut compact)?;
        } else {
            compact.raw_copy_file(member).map_err(unwritten)?;
        }
    }
    Ok(compact.finish().map_err(unwritten)?.into_inner())
}

fn copy_compact(content: impl std::io::BufRead, out: &mut impl Write) -> Result<()> {
    let mut reader = XmlReader::from_reader(content);
    reader.config_mut().check_end_names = false;
    let mut writer = Writer::new(out);
    let mut buffer = Vec::new();
    // For each open element, whether it holds others only.
    let mut open: Vec<bool> = Vec::new();
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer).map_err(|error| {
            Error::invalid_data("a workbook was expected, found a part that is no XML").caused_by(error)
        })?;
        let is_between = open.last() == Some(&true);
        match &event {
            Event::Eof => return Ok(()),
            Event::Start(element) => open.push(HOLDERS.contains(&element.name().as_ref())),
            Event::End(_) => drop(open.pop()),
            Event::Text(text) if is_between && text.trim().is_empty() => continue,
            Event::Comment(_) if is_between => continue,
            _ => (),
        }
        writer
            .write_event(event)
            .map_err(|error| Error::internal("a workbook could not be written anew").caused_by(error))?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn space_between_cells_goes_and_every_other_stays() {
        let content = "<a> <table:table-row>\n <table:table-cell> <text:p> b </text:p>\n</table:table-cell><!-- c -->\n<d/></table:table-row> </a>";
        let mut compact = Vec::new();
        copy_compact(content.as_bytes(), &mut compact).expect("XML");
        let expected =
            "<a> <table:table-row><table:table-cell><text:p> b </text:p></table:table-cell><d/></table:table-row> </a>";
        assert_eq!(String::from_utf8(compact).expect("text"), expected);
    }
}
