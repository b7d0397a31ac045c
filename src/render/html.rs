//! HTML that only escaped text can get into.
//!
//! Markup is given as literals, which no user can write; everything else goes through [`Html::text`].
//! The result is ASCII, so that a database of any encoding can hold it.

use std::fmt::Write;

/// A piece of a page.
#[derive(Default)]
pub struct Html(String);

impl Html {
    /// Adds markup.
    pub fn markup(&mut self, markup: &'static str) -> &mut Html {
        self.0.push_str(markup);
        self
    }

    /// Adds text, within an element or a quoted attribute.
    ///
    /// Control characters, and those that change the direction of what follows, become U+FFFD: a name must not
    /// look like another one, or like a part of the page.
    pub fn text(&mut self, text: &str) -> &mut Html {
        for c in text.chars() {
            match c {
                ' '..='~' if !matches!(c, '&' | '<' | '>' | '"' | '\'' | '`') => self.0.push(c),
                '\n' | '\t' => self.0.push(' '),
                c => {
                    let shown = if is_hidden(c) {
                        char::REPLACEMENT_CHARACTER
                    } else {
                        c
                    };
                    // Writing to a string does not fail.
                    let _ = write!(self.0, "&#x{:X};", u32::from(shown));
                }
            }
        }
        self
    }

    /// Adds text of at most so many characters, with an ellipsis if there were more.
    pub fn shortened(&mut self, text: &str, most: usize) -> &mut Html {
        match text.char_indices().nth(most) {
            Some((end, _)) => self.text(&text[..end]).text("\u{2026}"),
            None => self.text(text),
        }
    }

    /// Adds a number with so many decimals.
    pub fn number(&mut self, number: f64, decimals: usize) -> &mut Html {
        let number = if number.is_finite() { number } else { 0.0 };
        let _ = write!(self.0, "{number:.decimals$}");
        self
    }

    /// Adds another piece.
    pub fn piece(&mut self, piece: &Html) -> &mut Html {
        self.0.push_str(&piece.0);
        self
    }

    /// The page.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

/// Characters that are not seen, or that make others be seen elsewhere. Unicode, "Bidirectional Algorithm" and
/// "Default Ignorable Code Points".
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Html;

    fn escaped(text: &str) -> String {
        let mut html = Html::default();
        html.text(text);
        html.into_string()
    }

    #[test]
    fn text_stays_text() {
        let cases = [
            ("plain text, 1 + 1 = 2", "plain text, 1 + 1 = 2"),
            (
                "<script>alert(1)</script>",
                "&#x3C;script&#x3E;alert(1)&#x3C;/script&#x3E;",
            ),
            ("\" onload='x' `y`", "&#x22; onload=&#x27;x&#x27; &#x60;y&#x60;"),
            ("&lt;", "&#x26;lt;"),
            ("\u{fc}\u{1f980}", "&#xFC;&#x1F980;"),
            (
                "a\u{202e}b\u{2066}c\u{200b}d\u{feff}",
                "a&#xFFFD;b&#xFFFD;c&#xFFFD;d&#xFFFD;",
            ),
            ("a\0b\u{7f}\u{9f}\r", "a&#xFFFD;b&#xFFFD;&#xFFFD;&#xFFFD;"),
            ("a\nb\tc", "a b c"),
        ];
        for (text, expected) in cases {
            assert_eq!(escaped(text), expected, "{text:?}");
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let mut html = Html::default();
        html.shortened("\u{e4}\u{f6}\u{fc}", 2).shortened("ab", 2);
        assert_eq!(html.into_string(), "&#xE4;&#xF6;&#x2026;ab");
    }

    #[test]
    fn what_is_no_number_is_none() {
        let mut html = Html::default();
        html.number(f64::NAN, 1)
            .markup(" ")
            .number(f64::INFINITY, 0)
            .markup(" ")
            .number(1.26, 1);
        assert_eq!(html.into_string(), "0.0 0 1.3");
    }

    proptest! {
        #[test]
        fn no_text_ever_becomes_markup(text in any::<String>()) {
            let escaped = escaped(&text);
            prop_assert!(escaped.is_ascii());
            prop_assert!(!escaped.contains(['<', '>', '"', '\'', '`']));
            prop_assert!(escaped.split('&').skip(1).all(|rest| rest.starts_with("#x")));
        }
    }
}
