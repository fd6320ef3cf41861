//! Tables with rows that do not fit, identifiers that became numbers, and bytes that were lost.

use super::Case;
use super::Outcome::{FileRefused, RowRefused, Taken, TakenWithFinding};
use crate::generate;
use crate::random::Seeded;

const ROWS: u64 = 30;

fn lines(header: &str, mut row: impl FnMut(u64) -> String) -> String {
    let rows: String = (0..ROWS).map(|id| row(id) + "\n").collect();
    format!("{header}\n{rows}")
}

/// A workbook of one sheet by hand: a number is a cell, everything else an inline text.
fn workbook(rows: &[Vec<String>]) -> bytes::Bytes {
    let cell = |value: &String| match value.parse::<f64>() {
        Ok(_) => format!("<c><v>{value}</v></c>"),
        Err(_) => format!(r#"<c t="inlineStr"><is><t>{value}</t></is></c>"#),
    };
    let row = |cells: &Vec<String>| format!("<row>{}</row>", cells.iter().map(cell).collect::<String>());
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    let package = "http://schemas.openxmlformats.org/package/2006";
    let sheet = format!(
        r#"<worksheet xmlns="{main}"><sheetData>{}</sheetData></worksheet>"#,
        rows.iter().map(row).collect::<String>()
    );
    let book = format!(
        r#"<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>"#
    );
    let relation = |kind: &str, target: &str| {
        format!(
            r#"<Relationships xmlns="{package}/relationships"><Relationship Id="rId1" Type="{office}/{kind}" Target="{target}"/></Relationships>"#
        )
    };
    let part = "application/vnd.openxmlformats-officedocument.spreadsheetml";
    let types = format!(
        r#"<Types xmlns="{package}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{part}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="{part}.worksheet+xml"/></Types>"#
    );
    let (roots, sheets) =
        (relation("officeDocument", "xl/workbook.xml"), relation("worksheet", "worksheets/sheet1.xml"));
    let members: [(&str, &[u8]); 5] = [
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", roots.as_bytes()),
        ("xl/workbook.xml", book.as_bytes()),
        ("xl/_rels/workbook.xml.rels", sheets.as_bytes()),
        ("xl/worksheets/sheet1.xml", sheet.as_bytes()),
    ];
    generate::archive("book.xlsx", &members).bytes
}

/// Codes of 16 digits whose last ones a spreadsheet has rounded away.
fn rounded_codes(random: &mut Seeded) -> bytes::Bytes {
    let mut rows = vec![vec!["id".to_owned(), "rka".to_owned()]];
    rows.extend((0..ROWS).map(|id| vec![id.to_string(), format!("2.0160{:05}E+15", random.up_to(99_999))]));
    workbook(&rows)
}

pub(super) fn cases(random: &mut Seeded) -> Vec<Case> {
    let at = 3 + random.up_to(ROWS - 5);
    let plain = lines("id,name,count", |id| format!("{id},place {id},{}", id * 3));
    let short =
        lines("id,name,count", |id| if id == at { format!("{id}") } else { format!("{id},place {id},{}", id * 3) });
    let long = lines("id,name,count", |id| {
        if id == at { format!("{id},a,b,c,d,e") } else { format!("{id},place {id},{}", id * 3) }
    });
    let open = lines("id,name,count", |id| {
        if id == at { format!("{id},\"never closed,{id}") } else { format!("{id},place {id},{}", id * 3) }
    });
    let parents = lines("kato,parent,name", |id| {
        format!("{:09},{:09},place {id}", 710_000_000 + id, 710_000_000 + (id + 1) % ROWS)
    });
    let points = generate::points(ROWS, random.next_u64() >> 40);
    let cut = points.cut_to(points.bytes.len() / 2 + random.up_to(100) as usize);
    let mut flipped = points.bytes.to_vec();
    let place = random.up_to(flipped.len() as u64 - 1) as usize;
    flipped[place] ^= 1 << random.up_to(7);
    vec![
        Case::new("plain.csv", "none: a table", plain, ROWS, &[Taken]),
        Case::new("short_row.csv", "a row of one cell", short, ROWS, &[TakenWithFinding, RowRefused, FileRefused]),
        Case::new(
            "long_row.csv",
            "a row of six cells under three names",
            long,
            ROWS,
            &[TakenWithFinding, RowRefused, FileRefused],
        ),
        Case::new("open_quote.csv", "a quote that never closes", open, ROWS, &[RowRefused, FileRefused]),
        Case::new("parents.csv", "parents in a circle", parents, ROWS, &[Taken, TakenWithFinding, RowRefused]),
        Case::new(
            "rounded.xlsx",
            "codes that became floating numbers",
            rounded_codes(random),
            ROWS,
            &[TakenWithFinding, RowRefused, FileRefused],
        ),
        Case::new("cut.geojson", "cut in the middle", cut.bytes, ROWS, &[RowRefused, FileRefused]),
        Case::new(
            "flipped.geojson",
            "one bit is another",
            flipped,
            ROWS,
            &[Taken, TakenWithFinding, RowRefused, FileRefused],
        ),
    ]
}
