use proptest::prelude::*;

use super::*;

fn edited(text: &str, edits: &[Edit]) -> (String, usize) {
    let mut editor = Editor::new(text);
    let mut kills = String::new();
    for edit in edits {
        editor.apply(*edit, &mut kills);
    }
    (editor.text().to_owned(), editor.cursor())
}

#[test]
fn edits_as_readline_does() {
    use Edit::*;
    let table: &[(&str, &[Edit], &str, usize)] = &[
        ("hello there", &[DeleteWordLeft], "hello ", 6),
        ("hello there ", &[DeleteWordLeft], "hello ", 6),
        ("hello there", &[WordLeft, DeleteToLineStart], "there", 0),
        ("hello there", &[WordLeft, DeleteToLineEnd], "hello ", 6),
        ("one\ntwo", &[LineStart, DeleteToLineStart], "onetwo", 3),
        ("one\ntwo", &[Start, LineEnd, DeleteToLineEnd], "onetwo", 3),
        ("one two", &[DeleteWordLeft, Start, Yank], "twoone ", 3),
        ("one two", &[DeleteWordLeft, DeleteWordLeft, Yank], "one two", 7),
        ("one two", &[Start, DeleteWordRight], " two", 0),
        ("a👨‍👩‍👧b", &[Left, DeleteLeft], "ab", 1),
        ("ae\u{301}", &[DeleteLeft], "a", 1),
        ("日本", &[Left, DeleteRight], "日", 3),
        ("ab", &[DeleteLeft, DeleteLeft, Undo], "ab", 2),
        ("ab", &[DeleteLeft, Undo, Redo], "a", 1),
        ("", &[DeleteLeft, DeleteRight, DeleteWordLeft, Undo, Yank], "", 0),
        ("a\nb\nc", &[Left, Left, DeleteLine], "a\nc", 2),
        ("a\nb", &[DeleteLine], "a", 1),
        ("a\nb", &[DeleteLine, DeleteLine, DeleteLine], "", 0),
        ("a\nb", &[Left, DeleteLine, Yank], "a\nb", 3),
    ];
    for (text, edits, want, cursor) in table {
        assert_eq!(edited(text, edits), ((*want).to_owned(), *cursor), "{text:?} {edits:?}");
    }
}

#[test]
fn undo_takes_back_words() {
    let mut editor = Editor::default();
    "hello there".chars().for_each(|c| editor.type_char(c));
    editor.apply(Edit::Undo, &mut String::new());
    assert_eq!(editor.text(), "hello");
    editor.apply(Edit::Undo, &mut String::new());
    assert_eq!(editor.text(), "");
    editor.apply(Edit::Redo, &mut String::new());
    editor.apply(Edit::Redo, &mut String::new());
    assert_eq!(editor.text(), "hello there");
}

#[test]
fn a_paste_is_one_step_and_harmless() {
    let mut editor = Editor::new("x");
    editor.paste("a\r\nb\rc\td\u{1b}[2J");
    assert_eq!(editor.text(), "xa\nb\nc\td[2J");
    editor.apply(Edit::Undo, &mut String::new());
    assert_eq!(editor.text(), "x");
}

#[test]
fn moves_between_rows_keeping_the_column() {
    let mut editor = Editor::new("long line\nx\nanother");
    assert!(editor.up(20));
    assert_eq!(editor.cursor(), 11);
    assert!(editor.up(20));
    assert_eq!(editor.cursor(), 7);
    assert!(!editor.up(20));
    assert!(editor.down(20));
    assert!(editor.down(20));
    assert_eq!(editor.cursor(), 19);
    assert!(!editor.down(20));
}

#[test]
fn every_row_of_a_wrapped_word_can_be_reached() {
    let mut editor = Editor::new("abcdefghij");
    assert_eq!(editor.layout(4).1, (2, 2));
    assert!(editor.up(4));
    assert_eq!(editor.layout(4).1, (1, 2));
    assert!(editor.up(4));
    assert_eq!(editor.layout(4).1, (0, 2));
}

#[derive(Debug, Clone)]
enum Step {
    Type(char),
    Paste(String),
    Edit(Edit),
    Up(usize),
    Down(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    use Edit::*;
    let edit = proptest::sample::select(vec![
        Left,
        Right,
        WordLeft,
        WordRight,
        LineStart,
        LineEnd,
        Start,
        End,
        DeleteLeft,
        DeleteRight,
        DeleteWordLeft,
        DeleteWordRight,
        DeleteToLineStart,
        DeleteToLineEnd,
        Yank,
        Undo,
        Redo,
    ]);
    let odd =
        proptest::sample::select(vec!['\u{301}', '\u{200d}', '👩', '🇩', '\n', ' ', '日', '\u{202e}', '\r']);
    let step = prop_oneof![
        any::<char>().prop_map(Step::Type),
        odd.prop_map(Step::Type),
        any::<String>().prop_map(Step::Paste),
        edit.prop_map(Step::Edit),
        (0usize..=200).prop_map(Step::Up),
        (0usize..=200).prop_map(Step::Down),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #[test]
    fn the_cursor_stays_on_a_grapheme(steps in steps(), width in 0usize..=200) {
        let mut editor = Editor::default();
        let mut kills = String::new();
        for step in steps {
            match step {
                Step::Type(c) => editor.type_char(c),
                Step::Paste(text) => editor.paste(&text),
                Step::Edit(edit) => { editor.apply(edit, &mut kills); }
                Step::Up(width) => { editor.up(width); }
                Step::Down(width) => { editor.down(width); }
            }
            let text = editor.text();
            let boundary = editor.cursor() == text.len()
                || text.grapheme_indices(true).any(|(at, _)| at == editor.cursor());
            prop_assert!(boundary, "{:?} at {}", text, editor.cursor());
            let (rows, (row, column)) = editor.layout(width);
            prop_assert!(row < rows.len() && column <= width);
        }
    }

    #[test]
    fn undoing_everything_brings_back_the_beginning(steps in steps()) {
        let mut editor = Editor::default();
        let mut kills = String::new();
        for step in steps {
            match step {
                Step::Type(c) => editor.type_char(c),
                Step::Paste(text) => editor.paste(&text),
                Step::Edit(edit) => { editor.apply(edit, &mut kills); }
                Step::Up(width) => { editor.up(width); }
                Step::Down(width) => { editor.down(width); }
            }
        }
        while editor.apply(Edit::Undo, &mut kills) {}
        prop_assert_eq!(editor.text(), "");
    }
}
