use super::*;
use crate::tui::Desktop;

fn wrong(text: &str) -> String {
    parse(text, "chat.toml").unwrap_err().to_string()
}

#[test]
fn the_default_changes_nothing_and_shows_everything() {
    let config = parse(DEFAULT, "default.toml").unwrap();
    assert_eq!(config.account, Account::default());
    assert_eq!(config.settings.notify, Notify::default());
    assert_eq!((config.settings.look, config.settings.mouse), (Look::Auto, true));
    assert!(config.settings.paints.is_empty());

    // What is commented out can be used as it stands.
    let uncommented: String = default_text()
        .lines()
        .map(|line| {
            match line
                .strip_prefix("# ")
                .filter(|rest| rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')))
            {
                Some(option) => format!("{option}\n"),
                None => format!("{line}\n"),
            }
        })
        .collect();
    let config = parse(&uncommented, "default.toml").unwrap();
    assert_eq!(config.settings.paints.len(), 2);
    for spec in ACTIONS {
        assert!(uncommented.contains(&format!("\n{} = [", spec.name)), "{} is not in the default", spec.name);
        assert_eq!(
            config.settings.keymap.key(spec.action),
            Keymap::default().key(spec.action),
            "the default's keys for {} are not those of the registry",
            spec.name
        );
    }
}

#[test]
fn options_are_taken() {
    let config = parse(
        "[account]\nuser = \"alice\"\n[screen]\nkeys = \"vim\"\ntheme = \"light\"\nmouse = false\n\
         [notify]\ndesktop = \"osc777\"\ntext = false\n[colours]\nown = \"bold #ff8700\"\n[keys]\nswitch = [\"f2\"]\n",
        "chat.toml",
    )
    .unwrap();
    assert_eq!(config.account.user, "alice");
    assert!(config.settings.keymap.has_modes() && !config.settings.mouse);
    assert_eq!(config.settings.look, Look::Light);
    assert_eq!((config.settings.notify.desktop, config.settings.notify.text), (Desktop::Osc777, false));
    assert_eq!(config.settings.keymap.key(crate::tui::Action::Switch), Some("f2".parse().unwrap()));
    assert_eq!(config.settings.paints.len(), 1);
}

#[test]
fn errors_name_key_line_and_what_is_allowed() {
    let table: &[(&str, &[&str])] = &[
        ("[screen]\ntheme = \"blue\"", &["line 2", "`screen.theme`", "`blue`", "`contrast`", "`light`"]),
        ("[screen]\nkeys = \"nano\"", &["line 2", "`screen.keys`", "`emacs`", "`vim`"]),
        ("[notify]\nbell = \"yes\"", &["line 2", "`notify.bell`", "boolean"]),
        ("[notify]\n\nbel = true", &["line 3", "`notify.bel`", "unknown field", "`bell`"]),
        ("[colours]\nown = \"blu\"", &["line 2", "`colours.own`", "`blu`", "#rrggbb"]),
        ("[colours]\nmine = \"blue\"", &["line 2", "`colours.mine`", "`friend`"]),
        ("[keys]\nswich = [\"f2\"]", &["line 2", "`keys.swich`", "`switch`"]),
        ("[keys]\nswitch = [\"ctrl-nope\"]", &["line 2", "`keys.switch`", "`ctrl-nope`", "`alt-up`"]),
        ("[keys]\npage-up = [\"a\"]", &["line 2", "`keys.page-up`", "`a`", "ctrl-"]),
        ("[keys]\npage-up = [\"f2\"]\npage-down = [\"f2\"]", &["F2", "`page-down`", "choose one"]),
        ("[sreen]\n", &["line 1", "sreen", "`screen`"]),
        ("nonsense", &["line 1"]),
    ];
    for (text, parts) in table {
        let error = wrong(text);
        for part in *parts {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    assert!(matches!(load(Some(&missing)), Err(ConfigError::Read { .. })));
    std::fs::write(&missing, vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
    assert!(matches!(load(Some(&missing)), Err(ConfigError::TooLarge { .. })));
}
