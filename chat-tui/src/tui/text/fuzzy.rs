//! A simple fuzzy filter for names.

/// How well `pattern` matches `name`: `None` when its letters do not occur in `name` in this order,
/// otherwise higher for matches at the beginning, at the beginning of a word, and in one piece.
pub fn score(pattern: &str, name: &str) -> Option<i32> {
    let name: Vec<char> = name.chars().flat_map(char::to_lowercase).collect();
    let mut total = 0;
    let mut next = 0;
    for wanted in pattern.chars().flat_map(char::to_lowercase).filter(|c| !c.is_whitespace()) {
        let at = next + name[next..].iter().position(|c| *c == wanted)?;
        total += match at {
            0 => 8,
            _ if at == next && next > 0 => 5,
            _ if !name[at - 1].is_alphanumeric() => 4,
            _ => 0,
        };
        total -= i32::try_from(at - next).unwrap_or(i32::MAX).min(3);
        next = at + 1;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_beginnings_before_middles() {
        assert_eq!(score("bx", "bob"), None);
        assert_eq!(score("", "bob"), Some(0));
        assert!(score("bo", "bob") > score("bo", "jimbo"));
        assert!(score("AL", "alice") > score("al", "carola"));
        assert!(score("jd", "john-doe") > score("jd", "jeddah"));
    }
}
