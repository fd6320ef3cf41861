//! A report as a page: no script, no other file, every foreign text escaped.

use super::document::{Block, Document};
use super::texts::Language;
use std::fmt::Write;
use ukimet_model::Severity;

const STYLE: &str = "body{font:17px/1.5 system-ui,sans-serif;max-width:50rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}\
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}pre{background:#f0f0f0;padding:.7rem;white-space:pre-wrap;overflow-wrap:anywhere}\
section{border-left:.3rem solid #767676;padding:0 0 0 1rem;margin:1rem 0}section.error{border-color:#b3261e}\
section.warning{border-color:#8a5a00}section h3{font-size:1rem;margin:0}section code{color:#595959}\
h1,h3,p,li,code{overflow-wrap:anywhere}\
@media print{body{font-size:11pt;max-width:none;margin:0;padding:0}section,pre{break-inside:avoid}h2,h3{break-after:avoid}pre{border:1px solid #767676}}";

/// The document as a page.
pub(super) fn page(document: &Document, language: Language) -> String {
    let mut body = format!("<h1>{}</h1>", escaped(&document.title));
    for block in &document.blocks {
        add(&mut body, block).expect("text takes everything");
    }
    format!(
        "<!doctype html><html lang=\"{}\"><head><meta charset=\"utf-8\"><title>{}</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><style>{STYLE}</style></head>\
         <body><main>{body}</main></body></html>\n",
        language.code(),
        escaped(&document.title)
    )
}

fn add(body: &mut String, block: &Block) -> std::fmt::Result {
    match block {
        Block::Heading(text) => write!(body, "<h2>{}</h2>", escaped(text)),
        Block::Paragraph(text) => write!(body, "<p>{}</p>", escaped(text)),
        Block::Commands(commands) => write!(body, "<pre>{}</pre>", escaped(&commands.join("\n"))),
        Block::Finding { severity, label, what, count, places, next } => {
            let class = match severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Note => "note",
            };
            let (label, what, count) = (escaped(label), escaped(what), escaped(count));
            write!(body, "<section class=\"{class}\"><h3>{label}: {what}</h3><code>{count}</code>")?;
            if !places.is_empty() {
                let items: Vec<String> = places.iter().map(|place| escaped(place)).collect();
                write!(body, "<ul><li>{}</li></ul>", items.join("</li><li>"))?;
            }
            if let Some(next) = next {
                write!(body, "<p>→ {}</p>", escaped(next))?;
            }
            body.push_str("</section>");
            Ok(())
        }
    }
}

/// A text as it stands in an element or an attribute.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_makes_no_elements() {
        let finding = Block::Finding {
            severity: Severity::Error,
            label: "<b>".to_owned(),
            what: "<i>".to_owned(),
            count: "<u>".to_owned(),
            places: vec!["<script>alert('x')</script>".to_owned()],
            next: Some("<s>".to_owned()),
        };
        let blocks = vec![finding, Block::Paragraph("<p2>".to_owned()), Block::Commands(vec!["<pre2>".to_owned()])];
        let page = page(&Document { title: "<title2>".to_owned(), blocks }, Language::Kk);
        for element in ["<b>", "<i>", "<u>", "<script", "<s>", "<p2>", "<pre2>", "<title2>"] {
            assert!(!page.contains(element), "{element}");
        }
        assert!(page.contains("lang=\"kk\"") && page.contains("&lt;script&gt;alert(&#39;x&#39;)"));
    }
}
