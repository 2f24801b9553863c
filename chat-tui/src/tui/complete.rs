//! ★ Finishing what is being typed: emoji by their names, and names of people.

use unicode_segmentation::UnicodeSegmentation;

/// More would hide the conversation.
const OFFERS_MAX: usize = 8;

/// Fewer letters behind a colon are more likely a smiley or a time.
const SHORTCODE_CHARS_MIN: usize = 2;

/// Ways to go on at the cursor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Where the word that is being typed begins; it ends at the cursor.
    pub start: usize,
    /// Never empty.
    pub offers: Vec<Offer>,
    /// An index into `offers`.
    pub chosen: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub label: String,
    /// What takes the place of the word.
    pub insert: String,
}

impl Completion {
    pub fn choose(&mut self, step: isize) {
        let count = self.offers.len();
        self.chosen = (self.chosen + count).saturating_add_signed(step) % count;
    }
}

/// How the word before `cursor` could go on; `people` are the names to offer, the likeliest first.
pub fn complete<'a>(
    text: &str,
    cursor: usize,
    people: impl IntoIterator<Item = &'a str>,
) -> Option<Completion> {
    let before = &text[..cursor];
    let (start, offers) = emoji_offers(before).or_else(|| name_offers(before, people))?;
    (!offers.is_empty()).then_some(Completion { start, offers, chosen: 0 })
}

/// The emoji whose whole `:name:` ends at the cursor, and where that begins.
pub fn shortcode(before: &str) -> Option<(usize, &'static str)> {
    let (start, name) = word(before.strip_suffix(':')?, ':', is_shortcode)?;
    Some((start, emojis::get_by_shortcode(name)?.as_str()))
}

fn emoji_offers(before: &str) -> Option<(usize, Vec<Offer>)> {
    let (start, typed) = word(before, ':', is_shortcode)?;
    if typed.chars().count() < SHORTCODE_CHARS_MIN {
        return None;
    }
    let typed = typed.to_ascii_lowercase();
    let named = |fits: &dyn Fn(&str) -> bool| -> Vec<Offer> {
        emojis::iter()
            .filter_map(|emoji| Some((emoji, emoji.shortcodes().find(|name| fits(name))?)))
            .take(OFFERS_MAX)
            .map(|(emoji, name)| Offer { label: format!("{emoji} {name}"), insert: emoji.to_string() })
            .collect()
    };
    let mut offers = named(&|name| name.starts_with(&typed));
    offers.extend(named(&|name| name.contains(&typed) && !name.starts_with(&typed)));
    offers.truncate(OFFERS_MAX);
    Some((start, offers))
}

fn name_offers<'a>(before: &str, people: impl IntoIterator<Item = &'a str>) -> Option<(usize, Vec<Offer>)> {
    let (start, typed) = word(before, '@', |c| c.is_alphanumeric() || "._-".contains(c))?;
    let typed = typed.to_lowercase();
    if typed.is_empty() {
        return None;
    }
    let offers = people
        .into_iter()
        .filter(|name| name.starts_with(&typed) && **name != *typed)
        .take(OFFERS_MAX)
        .map(|name| Offer { label: format!("@{name}"), insert: format!("@{name} ") })
        .collect();
    Some((start, offers))
}

fn is_shortcode(c: char) -> bool {
    c.is_ascii_alphanumeric() || "_+-".contains(c)
}

/// The last word of `before` if `sign` begins it, without the sign, and where the sign stands.
fn word(before: &str, sign: char, belongs: impl Fn(char) -> bool) -> Option<(usize, &str)> {
    let typed = before.len() - before.trim_end_matches(&belongs).len();
    let (head, word) = before.split_at(before.len() - typed);
    let head = head.strip_suffix(sign)?;
    // In 12:30 and a@b nobody asks for anything.
    let apart = head.graphemes(true).next_back().is_none_or(|g| !g.chars().any(char::is_alphanumeric));
    apart.then_some((head.len(), word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offers(text: &str) -> Vec<String> {
        let found = complete(text, text.len(), ["bob", "bert", "carol"]);
        found.map_or(Vec::new(), |c| c.offers.into_iter().map(|o| o.insert).collect())
    }

    #[test]
    fn offers_what_begins_so() {
        assert_eq!(offers("hi @b"), ["@bob ", "@bert "]);
        assert_eq!(offers("(@ca"), ["@carol "]);
        assert_eq!(offers("hooray :tada"), ["🎉"]);
        assert_eq!(offers(":smil")[0], "😃");
        assert_eq!(offers(":heart_ey")[0], "😍");
        for nothing in ["", "hi", ":s", "12:30", "me@b", "@", "@bob", ":", "http://ab", "@zoe", ":zzzz"] {
            assert_eq!(offers(nothing), [""; 0], "{nothing:?}");
        }
    }

    #[test]
    fn a_whole_shortcode_is_known() {
        assert_eq!(shortcode("well :tada:"), Some((5, "🎉")));
        assert_eq!(shortcode(":+1:"), Some((0, "👍")));
        for nothing in [":", "::", "a:tada:", ":nothing-like-that:", "tada:", ":tada: "] {
            assert_eq!(shortcode(nothing), None, "{nothing:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_word_on_a_boundary(text in "([:@a-z0-9_ ]|\\PC){0,12}") {
            if let Some(found) = complete(&text, text.len(), ["bob"]) {
                prop_assert!(text.is_char_boundary(found.start) && !found.offers.is_empty());
            }
            if let Some((start, _)) = shortcode(&text) {
                prop_assert!(text.is_char_boundary(start));
            }
        }
    }
}
