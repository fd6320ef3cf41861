//! The codes rule: columns that hold identifiers of Kazakhstan are known as such, and cells that break their form are told.
//!
//! A column is decided by how many of its values pass, never a cell by itself: one in ten random numbers of twelve
//! digits has a right check digit. Values stay as written. Two things are done, each with a verdict for every cell:
//! zeros that a number lost are put back where all others pass, and rows whose RKA went through a number are refused.

mod cell;
mod chain;
mod check;
mod column;
mod contact;
mod kato;
mod numeric;
mod person;

pub(crate) use cell::CodePlan;
pub(crate) use chain::ChainSurvey;
pub(crate) use column::{CodeSurvey, Reference, is_code_name};
pub(crate) use kato::{Registers, is_region};
pub(crate) use numeric::digits_of;
pub(crate) use person::PersonPlan;

/// What the values of a column identify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// A natural person, 12 digits with a check digit.
    Iin,
    /// An organization, 12 digits with a check digit.
    Bin,
    /// Either of the two.
    IinOrBin,
    /// A unit of the classifier of administrative and territorial objects, 9 digits.
    Kato,
    /// An address, 16 digits.
    Rka,
    /// A parcel: oblast, district, quarter, parcel.
    Cadastral,
    /// A telephone.
    Phone,
    /// An address of electronic mail.
    Email,
    /// A postal code, six digits or a letter and digits.
    Postal,
}

impl Code {
    /// Every code that can be told by its values or its column's name, in the order in which a column tries them.
    pub(crate) const ALL: [Self; 8] =
        [Self::Iin, Self::Bin, Self::Kato, Self::Rka, Self::Cadastral, Self::Phone, Self::Email, Self::Postal];

    /// The role that is published with the column.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Iin => "iin",
            Self::Bin => "bin",
            Self::IinOrBin => "iin_or_bin",
            Self::Kato => "kato",
            Self::Rka => "rka",
            Self::Cadastral => "cadastral_number",
            Self::Phone => "phone",
            Self::Email => "email",
            Self::Postal => "postal_code",
        }
    }

    /// The code with this role.
    pub(crate) fn of_role(role: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::IinOrBin]).find(|code| code.role() == role)
    }

    /// Whether a value has the code's form and, where there is one, its check digit. Spaces do not count.
    pub(crate) fn passes(self, text: &str) -> bool {
        match self {
            Self::Iin => check::is_twelve_digits(text) && check::has_check_digit(text) && check::is_iin(text),
            Self::Bin => check::is_twelve_digits(text) && check::has_check_digit(text) && check::is_bin(text),
            Self::IinOrBin => check::is_twelve_digits(text) && check::has_check_digit(text),
            Self::Kato => kato::has_form(text),
            Self::Rka => text.len() == 16 && check::is_digits(text),
            Self::Cadastral => check::is_cadastral(text),
            Self::Phone => contact::is_phone(text),
            Self::Email => contact::is_email(text),
            Self::Postal => contact::is_postal(text),
        }
    }

    /// The codes that a column's name speaks of.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        const NAMES: [(Code, &[&str]); 8] = [
            (Code::Iin, &["iin", "иин", "жсн"]),
            (Code::Bin, &["bin", "бин", "бсн"]),
            (Code::Kato, &["kato", "cato", "като", "экжж", "әаож"]),
            (Code::Rka, &["rka", "rca", "рка", "мтк"]),
            (Code::Cadastral, &["cadastre", "cadastral", "kadastr", "кадастр", "кадастровый", "кадастрлық"]),
            (
                Code::Phone,
                &["phone", "phones", "tel", "telephone", "fax", "mobile", "телефон", "телефоны", "тел", "факс"],
            ),
            (Code::Email, &["email", "mail", "почта", "e_mail"]),
            (Code::Postal, &["zip", "postcode", "postal", "postindex", "индекс", "почтовый"]),
        ];
        let lower = name.to_lowercase();
        let words: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
        let has = |code: Code| {
            let known = NAMES.iter().find(|(other, _)| *other == code).map_or(&[][..], |(_, names)| names);
            words.iter().any(|word| known.contains(word))
        };
        if has(Self::Iin) && has(Self::Bin) {
            return Some(Self::IinOrBin);
        }
        // "почтовый индекс" is a postal code, "электронная почта" an address of mail.
        if has(Self::Postal) {
            return Some(Self::Postal);
        }
        NAMES.iter().map(|(code, _)| *code).find(|code| has(*code))
    }
}

#[cfg(test)]
mod tests;
