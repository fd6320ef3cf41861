//! How likely letters follow each other in Russian and Kazakh: what tells a right reading of bytes from a wrong one.

/// The letters of the model, in the order of rows and columns of the table; number 0 is the edge of a word.
const LETTERS: &str = "абвгдежзийклмнопрстуфхцчшщъыьэюяёәғқңөұүһі";

/// Letters and the edge of a word.
const SIZE: usize = 43;

/// Four times the negative natural logarithm of the share of each next letter (column) after each letter (row), as
/// a character counted from `0`; learned from the word lists that the tests name.
const TABLE: [&[u8; SIZE]; SIZE] = [
    b"[6=@B@B>>A[;H=A9=>7=?DGIH@[[K[MTI[DO;[KJG[P",
    b"5J@CCBFF>H:>;@9KB:<=<N@DHBJ[[[TNC[[D>EMT[[[",
    b"B4YYYB7CM<YY9YH;Y?AY=YYYYYH=AJYYYYJYYYB>GYB",
    b"5:XHXX8XXBX6=XB8XG=EEXXXLCXX>HXXHXXXXXXXXXX",
    b";6VIVV9VV8VVAVG6V;VV>VVVVVVV>VVVVVVVVVIVDV<",
    b"=5XEIG8FK;XFAK<8ABAX=XIXKXXX9XXKDXAXXXEKFX=",
    b"8FC==>GC>[?9;>7LD8;<EPJH@DJ[[[[PP[[[LC[[[[[",
    b";3DUU<9UU9UDUU?;UUGU@UUUUUUU<UUUUUIUUUIACUB",
    b":6>@C<8KK7XBGG@=X;IGCXKXXIXI9XXXKXKKKXKXXXI",
    b"8BB@AB@G=B8<?98=F>>>IJ?BCDF[G[[J:[[NI[[[[[F",
    b"1L@YAABGJYYB?C?@YA<=LYFYYDYY>YYYYYLEDYYYYYC",
    b"95DK[M9GK9[CGEM7F??==[PI[D[[?[[[[[K[K[>ME[C",
    b"96BZC=:DZ:Z?D?G;CZB=@ZHZJCZZ:9ZGAZKDCZZNZZ@",
    b"95>YME8FH<YDG?H7EJAF<HHYYFYY=YYYMYEYFYYAFYC",
    b"89>FB>>CM:[>[O<8OK9=HB[JMC[[9?[MG[KHC[MEO[@",
    b"6K:7>>?B@C<?;?<F@:<AHGKFBEG[[[[[F[[CDJ[[[[[",
    b";6BVVJ8FV=VC@VD6B7GCCVGVVEVVBVVVJVJVFVVVVVD",
    b"96AF@B8DA=[=A=@9JO=>@OFLFA[[;FOLI[OBD[L[[[D",
    b"4:FD[Q=I[A[8DHB>AJE6>[[[LH[[?N[[F[J[E[NIJ[F",
    b":4D=FL:I[9[AJOC9F?CD=L[[[O[[;D[JH[H[G[@BD[B",
    b"9??YA:FA@MA=:>=MB:=?MMDY9@CY6YYJJYMGJYYYYYJ",
    b"?;OOOO4OO7OOOOO5O=CCCOOOOOOOOOOOOOOOOOOOOOO",
    b"38THTTTTT@TTD?@:DH7@BTTTTTTTBTTTTTTTTTTTTTT",
    b";?PDPP7PP2P>PPPPPPPPPPPPPPPP=PPPPPPPPPPPPPP",
    b"59SSSS5SS;S9SS=SS?SSASSSSSSSSSSSSSSSSSSSSSS",
    b"96AUUI:FU9U;III9E@A?=UUUUUUU9UUUUUAU@UE?FU=",
    b"M=MMMM6MM4MMMM7MMMMMMMMMMMMM7MMMMMMMMMMMMMM",
    b"LLLLLL0LLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLLL",
    b"5E>IGD>F<Z@=:=<JG;8AZZ;ZGAZZZZZZZZZC<DHZZZZ",
    b"4SDGD@:SGBS>SS5SSS8=SSSGGBSSSSSG?SSSSSSSSSS",
    b"FFFFFFFFFFF99F4FF99FF9FFFFFFFFFFFFFFFFFFFFF",
    b"8J7JJJJ=JJJ9J=JJ=J=;JJ=J==6JJJJJJJJJJJJJJJJ",
    b"2GCDSSSG<GG?@:<SD>A;SSDSGG=SSSSGGSSSASSSSSS",
    b"???????????????????????????????????????????",
    b"4O9OOAO<OO;?9<?OO<=?:OOOOCOOOOOOOOOOO?OOOOO",
    b"Q2QQQEQBEEQQQQQBQQQQQQQQQQQQ5QQQQQQQQQQ>QQQ",
    b"76AXXGIBXDXDXFX9BX?>EXXXXAXX5XXXXXIXBXL;LXX",
    b"76;O9;BBOOO;OOOOOO>@OOOOO@OO=OOOOOO:>OBOOOB",
    b"QQ8Q=EQQ:QQ84A@Q=:??QQQQQBQQQQQQQQQEQBQQQQQ",
    b"RR<RR:RR;R>E59@RR6??RRCRREERRRRRCRR?@ARRRRR",
    b"NN=N>NBNBN6;6B;NB:><NNNNN9NNNNNNNNNNNBNNNNN",
    b"???????????????????????????????????????????",
    b"4D<SGGSD=SS::><GG8=?SGSSS>SSSSSSSSSDCBGSSSG",
];

/// What a letter costs that Russian and Kazakh do not have.
const FOREIGN_LETTER: f64 = -7.0;
/// What a letter costs after a foreign one: any of them is as likely.
const AFTER_FOREIGN: f64 = -3.76;
/// What a character costs that is no letter and no mark of prose, such as a piece of a box.
const NO_LETTER: f64 = -10.0;
/// What a mark of prose costs.
const MARK: f64 = -2.0;
/// What a mark costs that is seldom in names and registers.
const SELDOM_MARK: f64 = -6.0;
/// What a capital costs after a small letter.
const CAPITAL_INSIDE: f64 = -4.0;
/// What it costs that Latin and Cyrillic letters touch.
const MIXED: f64 = -6.0;

/// How well text reads as Russian or Kazakh.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Fit {
    /// The natural logarithm of the probability of all that is not ASCII.
    pub(super) log: f64,
    /// How many characters that is.
    pub(super) count: f64,
    /// How many of them are Cyrillic letters.
    pub(super) letters: f64,
}

impl Fit {
    /// The mean of a character: right readings lie above -4, wrong ones below -6; the worst there is without any.
    pub(super) fn mean(self) -> f64 {
        if self.count > 0.0 { self.log / self.count } else { f64::NEG_INFINITY }
    }

    /// Whether most characters are Cyrillic letters, and at least so many.
    pub(super) fn has_letters(self, letters_min: f64) -> bool {
        self.letters >= letters_min && self.letters * 2.0 > self.count
    }
}

/// What a character is to the model.
#[derive(Clone, Copy, PartialEq)]
enum Class {
    /// ASCII that is no letter: the edge of a word.
    Edge,
    /// An ASCII letter.
    Latin,
    /// A letter of the model.
    Letter(usize),
    /// Another Cyrillic letter.
    Foreign,
    /// A mark of prose.
    Mark,
    /// A mark that is seldom.
    SeldomMark,
    /// Anything else.
    Other,
}

/// Measures text.
pub(super) fn fit(text: &str) -> Fit {
    let mut fit = Fit::default();
    let (mut before, mut was_small) = (Class::Edge, false);
    for letter in text.chars() {
        let class = classify(letter);
        if !matches!(class, Class::Edge | Class::Latin) {
            fit.count += 1.0;
        }
        if matches!(class, Class::Letter(_) | Class::Foreign) {
            fit.letters += 1.0;
        }
        fit.log += cost(before, class);
        let is_capital = matches!(class, Class::Letter(_) | Class::Foreign) && letter.is_uppercase();
        if was_small && is_capital {
            fit.log += CAPITAL_INSIDE;
        }
        was_small = !is_capital && letter.is_lowercase();
        before = class;
    }
    fit.log += cost(before, Class::Edge);
    fit
}

fn cost(before: Class, class: Class) -> f64 {
    let is_cyrillic = |class| matches!(class, Class::Letter(_) | Class::Foreign);
    let is_outside = |class| is_cyrillic(class) || matches!(class, Class::Mark | Class::SeldomMark);
    let touch = if (before == Class::Latin && is_outside(class)) || (is_outside(before) && class == Class::Latin) {
        MIXED
    } else {
        0.0
    };
    touch
        + match (before, class) {
            (Class::Letter(row), Class::Letter(column)) => logarithm(row, column),
            (Class::Foreign, Class::Letter(_)) => AFTER_FOREIGN,
            (_, Class::Letter(column)) => logarithm(0, column),
            (_, Class::Foreign) => FOREIGN_LETTER,
            (_, Class::Mark) => MARK + edge(before),
            (_, Class::SeldomMark) => SELDOM_MARK + edge(before),
            (_, Class::Other) => NO_LETTER + edge(before),
            (_, Class::Edge | Class::Latin) => edge(before),
        }
}

/// What it costs that a word ends here.
fn edge(before: Class) -> f64 {
    match before {
        Class::Letter(row) => logarithm(row, 0),
        Class::Foreign => AFTER_FOREIGN,
        _ => 0.0,
    }
}

fn logarithm(row: usize, column: usize) -> f64 {
    -f64::from(TABLE[row][column] - b'0') / 4.0
}

fn classify(letter: char) -> Class {
    match letter {
        'a'..='z' | 'A'..='Z' => Class::Latin,
        '\0'..='\x7f' => Class::Edge,
        'а'..='я' => Class::Letter(letter as usize - 'а' as usize + 1),
        'А'..='Я' => Class::Letter(letter as usize - 'А' as usize + 1),
        '\u{400}'..='\u{52f}' => {
            let small = letter.to_lowercase().next().unwrap_or(letter);
            LETTERS.chars().position(|other| other == small).map_or(Class::Foreign, |at| Class::Letter(at + 1))
        }
        '\u{a0}' | '№' | '«' | '»' | '°' => Class::Mark,
        '–' | '—' | '“' | '”' | '„' | '…' | '’' | '‘' | '§' | '²' | '³' | '±' | '·' | '•' | '×' | '₸' | '€' => {
            Class::SeldomMark
        }
        _ => Class::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTS: [&str; 3] = [
        include_str!("../../tests/data/names_ru.txt"),
        include_str!("../../tests/data/names_kk.txt"),
        include_str!("../../tests/data/titles_ru.txt"),
    ];

    /// The table as the even lines of the lists give it; the odd ones are kept for the measurements.
    fn learned() -> Vec<String> {
        const UNSEEN: f64 = 0.05;
        let mut counts = vec![[0.0_f64; SIZE]; SIZE];
        for line in LISTS.iter().flat_map(|list| list.lines().step_by(2)) {
            let mut before = 0;
            for letter in line.to_lowercase().chars().chain([' ']) {
                let next = LETTERS.chars().position(|other| other == letter).map_or(0, |at| at + 1);
                if before != 0 || next != 0 {
                    counts[before][next] += 1.0;
                }
                before = next;
            }
        }
        let row = |row: &[f64; SIZE]| {
            let sum: f64 = row.iter().sum::<f64>() + UNSEEN * SIZE as f64;
            let level = |count: &f64| (-4.0 * ((count + UNSEEN) / sum).ln()).round().min(43.0) as u8;
            row.iter().map(|count| char::from(b'0' + level(count))).collect()
        };
        counts.iter().map(row).collect()
    }

    #[test]
    fn the_table_is_what_the_word_lists_give() {
        let learned = learned();
        let table: Vec<&str> = TABLE.iter().map(|row| std::str::from_utf8(*row).expect("ASCII")).collect();
        assert_eq!(table, learned, "put this in its place:\n{}", learned.join("\n"));
    }

    #[test]
    fn right_readings_lie_far_above_wrong_ones() {
        for right in ["Қазақстан Республикасы", "Алматинская область", "ШЫҒЫС", "улица Абая, дом 5"]
        {
            assert!(fit(right).mean() > -4.0, "{right} {}", fit(right).mean());
        }
        for wrong in ["╨Ъ╨░╨╖", "юМЮРХМЯЙЮЪ НАКЮЯРЭ", "Mьller", "└ыьрЄшэёър "] {
            assert!(fit(wrong).mean() < -5.0, "{wrong} {}", fit(wrong).mean());
        }
        assert!(fit("ASCII").mean() < -100.0);
    }
}
