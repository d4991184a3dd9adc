//! How many tokens a text has, without a tokenizer.
//!
//! One pass over the bytes, no copy and no allocation: each byte has a class ([`CLASSES`]), and adds the weight of
//! its class after the class before it ([`WEIGHTS`]). So a letter that begins a word costs most of a token and one
//! that continues it little, and a script is priced by its own letters. The sum does not depend on how the text was
//! cut into pieces.
//!
//! A tokenizer itself would be megabytes of vocabulary per model and a hundred times slower; bytes divided by four,
//! the usual rule of thumb, is off by a factor of two for many scripts. The error of both stands in `docs/cost.md`;
//! what is left of it for one model, health learns from what its provider reports.
//!
//! Not here: what a message's markers, images and sounds cost (`outline.rs`).

use super::read::{Raw, inside};
use crate::units::Tokens;

/// What a byte may be. One of a character beyond ASCII is told by its first byte.
pub const CLASSES: [&str; CLASS_COUNT] = [
    "lower case",
    "upper case",
    "digit",
    "space",
    "line end",
    "point",
    "sign",
    "control",
    "latin-1 sign",
    "latin letter",
    "greek, cyrillic",
    "hebrew, arabic",
    "indic, thai",
    "other letter",
    "symbol",
    "kana",
    "han",
    "hangul",
    "full width",
    "beyond the BMP",
    "rest of a character",
];
const CLASS_COUNT: usize = 21;
const SPACE: usize = 3;
const LINE_END: usize = 4;
const REST: usize = 20;

/// What a byte may stand after.
pub const CONTEXTS: [&str; CONTEXT_COUNT] = ["its like", "space", "line end", "another"];
const CONTEXT_COUNT: usize = 4;

/// Thousandths of a token for a byte of each class, in each context.
///
/// Fitted by `scripts/estimator/main.mjs` to the geometric mean of what the tokenizers `o200k_base`, `cl100k_base`
/// and Llama 3's make of its corpus. Run it again to get this table and the errors in `docs/cost.md`.
#[rustfmt::skip]
const WEIGHTS: [[u16; CONTEXT_COUNT]; CLASS_COUNT] = [
    [111, 318, 34, 526], // lower case
    [91, 432, 1312, 627], // upper case
    [302, 1770, 1074, 1877], // digit
    [44, 0, 643, 292], // space
    [0, 624, 800, 211], // line end
    [0, 758, 0, 880], // point
    [0, 761, 1823, 230], // sign
    [300, 800, 800, 800], // control
    [248, 745, 798, 784], // latin-1 sign
    [0, 514, 675, 1635], // latin letter
    [0, 2082, 1317, 2061], // greek, cyrillic
    [392, 930, 1068, 917], // hebrew, arabic
    [726, 600, 1542, 0], // indic, thai
    [300, 800, 800, 800], // other letter
    [0, 1474, 834, 0], // symbol
    [739, 282, 754, 1639], // kana
    [1026, 621, 0, 882], // han
    [715, 812, 1309, 0], // hangul
    [1676, 796, 800, 990], // full width
    [357, 861, 800, 840], // beyond the BMP
    [0, 0, 0, 0], // rest of a character
];

/// The class of each byte.
const CLASS_OF: [u8; 256] = classes();
/// The weight of each class, the second half of the place, after each class, the first half.
const WEIGHT_OF: [u16; PAIRS] = pair_weights();
const PAIRS: usize = 32 * 32;

/// A text as far as it was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextSize {
    /// Of UTF-8.
    pub bytes: u64,
    pub(super) millitokens: u64,
    /// The class of the last byte.
    last: usize,
}

impl Default for TextSize {
    fn default() -> Self {
        Self {
            bytes: 0,
            millitokens: 0,
            last: LINE_END,
        }
    }
}

impl TextSize {
    /// The estimate, rounded up.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        Tokens(self.millitokens.div_ceil(1_000))
    }

    /// Takes the next piece of the same text.
    pub fn push(&mut self, text: &str) {
        self.bytes = self.bytes.saturating_add(text.len() as u64);
        let mut sum = 0;
        self.last = walk(text.as_bytes(), self.last, &mut |pair| sum += weight(pair));
        self.millitokens = self.millitokens.saturating_add(sum);
    }

    /// Takes a text of its own, as a JSON string writes it. Escapes count as what they mean.
    pub(super) fn push_string(&mut self, raw: Raw) {
        let mut sum = 0;
        let (bytes, _) = walk_string(inside(raw), &mut |pair| sum += weight(pair));
        self.bytes = self.bytes.saturating_add(bytes);
        self.millitokens = self.millitokens.saturating_add(sum);
        self.last = LINE_END;
    }

    /// Takes text that its writer has cut into tokens already.
    pub(super) fn push_tokens(&mut self, tokens: Tokens) {
        let millitokens = tokens.0.saturating_mul(1_000);
        self.millitokens = self.millitokens.saturating_add(millitokens);
    }

    /// Takes JSON that the model reads as it stands.
    pub(super) fn push_json(&mut self, raw: Raw) {
        self.last = LINE_END;
        self.push(raw.get());
        self.last = LINE_END;
    }
}

/// How often each class comes in each context, class by class: what the weights are fitted to.
#[must_use]
pub fn features(text: &str) -> Vec<u64> {
    let mut counts = vec![0; CLASS_COUNT * CONTEXT_COUNT];
    walk(text.as_bytes(), LINE_END, &mut |pair| {
        let (before, class) = (pair >> 5, pair & 31);
        let place = class * CONTEXT_COUNT + context(before, class);
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
        }
    });
    counts
}

/// Calls `visit` with each byte's pair of classes, its own and that before it, and returns the last class.
fn walk(bytes: &[u8], mut last: usize, visit: &mut impl FnMut(usize)) -> usize {
    for byte in bytes {
        let class = class_of(*byte);
        visit(last << 5 | class);
        last = class;
    }
    last
}

/// As [`walk`] for what stands between a JSON string's quotes. Returns the bytes that it means, and the last class.
fn walk_string(bytes: &[u8], visit: &mut impl FnMut(usize)) -> (u64, usize) {
    let mut last = LINE_END;
    let mut count = bytes.len() as u64;
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'\\' {
            let class = class_of(*byte);
            visit(last << 5 | class);
            last = class;
            continue;
        }
        let (length, meant, size) = escape(rest.as_slice());
        last = walk(meant.get(..size).unwrap_or_default(), last, visit);
        count = (count + size as u64).saturating_sub(length as u64 + 1);
        rest = rest.as_slice().get(length..).unwrap_or_default().iter();
    }
    (count, last)
}

/// What follows a backslash: how many bytes it takes, and the bytes that it means.
fn escape(rest: &[u8]) -> (usize, [u8; 4], usize) {
    let one = |byte| (1, [byte, 0, 0, 0], 1);
    match rest {
        [b'u', rest @ ..] => {
            let low = rest.get(4..).and_then(|rest| rest.strip_prefix(b"\\u"));
            let (high, low) = (unit(rest), low.and_then(unit));
            let (length, character) = match (high, low) {
                (Some(high @ 0xD800..0xDC00), Some(low @ 0xDC00..0xE000)) => {
                    let code = 0x1_0000 + ((high - 0xD800) << 10 | (low - 0xDC00));
                    (11, char::from_u32(code))
                }
                (Some(unit), _) => (5, char::from_u32(unit)),
                (None, _) => (5, None),
            };
            let mut meant = [0; 4];
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            let size = character.encode_utf8(&mut meant).len();
            (length, meant, size)
        }
        [b'n' | b'r', ..] => one(b'\n'),
        [b't', ..] => one(b'\t'),
        [b'b' | b'f', ..] => one(0),
        [byte, ..] => one(*byte),
        [] => (0, [0; 4], 0),
    }
}

/// Four hexadecimal digits.
fn unit(digits: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(digits.get(..4)?).ok()?;
    u32::from_str_radix(digits, 16).ok()
}

fn class_of(byte: u8) -> usize {
    let class = CLASS_OF.get(usize::from(byte)).copied();
    usize::from(class.unwrap_or_default())
}

fn weight(pair: usize) -> u64 {
    u64::from(
        WEIGHT_OF
            .get(pair & (PAIRS - 1))
            .copied()
            .unwrap_or_default(),
    )
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "what is out of bounds here does not compile"
)]
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' => 0,
            b'A'..=b'Z' => 1,
            b'0'..=b'9' => 2,
            b' ' => 3,
            b'\n' | b'\r' => 4,
            b'.' | b',' | b';' | b':' | b'!' | b'?' | b'\'' | b'"' | b'(' | b')' | b'-' => 5,
            b'!'..=b'~' => 6,
            0..=0x7F => 7,
            0x80..=0xBF => 20,
            0xC0..=0xC2 => 8,
            0xC3..=0xCA => 9,
            0xCB..=0xD4 => 10,
            0xD5..=0xDF => 11,
            0xE0 => 12,
            0xE1 => 13,
            0xE2 => 14,
            0xE3 => 15,
            0xE4..=0xE9 => 16,
            0xEA..=0xED => 17,
            0xEE | 0xEF => 18,
            0xF0..=0xFF => 19,
        };
        byte += 1;
    }
    classes
}

/// A letter continues a word; a character beyond ASCII continues a run of its kind, or of any other such.
const fn context(before: usize, class: usize) -> usize {
    match (before, class) {
        (0 | 1, 0) | (REST, 8..REST) => 0,
        _ if before == class => 0,
        (SPACE, _) => 1,
        (LINE_END, _) => 2,
        _ => 3,
    }
}

#[expect(
    clippy::indexing_slicing,
    reason = "what is out of bounds here does not compile"
)]
const fn pair_weights() -> [u16; PAIRS] {
    let mut weights = [0; PAIRS];
    let mut pair = 0;
    while pair < PAIRS {
        let (before, class) = (pair >> 5, pair & 31);
        if class < CLASS_COUNT {
            weights[pair] = WEIGHTS[class][context(before, class)];
        }
        pair += 1;
    }
    weights
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn size(text: &str) -> TextSize {
        let mut size = TextSize::default();
        size.push(text);
        size
    }

    fn size_of_string(json: &str) -> TextSize {
        let mut size = TextSize::default();
        size.push_string(serde_json::from_str(json).unwrap());
        size
    }

    proptest! {
        #[test]
        fn escapes_count_as_what_they_mean(text: String) {
            let plain = serde_json::to_string(&text).unwrap();
            let units: Vec<String> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            for json in [plain, format!("\"{}\"", units.join(""))] {
                let found = size_of_string(&json);
                prop_assert_eq!((found.bytes, found.tokens()), (text.len() as u64, size(&text).tokens()), "{}", json);
            }
        }

        #[test]
        fn cutting_a_text_changes_nothing(pieces: Vec<String>) {
            let mut cut = TextSize::default();
            for piece in &pieces {
                cut.push(piece);
            }
            prop_assert_eq!(cut, size(&pieces.concat()));
        }

        #[test]
        fn the_sum_is_what_the_features_weigh(text: String) {
            let weights = WEIGHTS.as_flattened().iter();
            let sum: u64 = features(&text).iter().zip(weights).map(|(count, weight)| count * u64::from(*weight)).sum();
            prop_assert_eq!(Tokens(sum.div_ceil(1_000)), size(&text).tokens());
        }
    }

    #[test]
    fn every_escape_is_one_character() {
        let found = size_of_string(r#""\n\\\"\/\t\u0000""#);
        assert_eq!(
            (found.bytes, found.tokens()),
            (6, size("\n\\\"/\t\0").tokens())
        );
        assert_eq!(
            size_of_string(r#""\ud800x""#).bytes,
            4,
            "half of a pair is a replacement character"
        );
        assert_eq!(
            size_of_string(r#""\u00e9\ud83d\ude00""#),
            size_of_string("\"é😀\"")
        );
    }
}
