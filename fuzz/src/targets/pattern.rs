//! Patterns of event types.

use pg_hooks::domain::pattern::{check_pattern, check_type, key_of_pattern, keys_of_type, matches};

/// A pattern that matches is found by one of the keys of the type.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (pattern, name) = text.split_once('\n').unwrap_or((text, text));
    for refused in [check_pattern(pattern).err(), check_type(name).err()]
        .into_iter()
        .flatten()
    {
        assert!(refused.message.is_ascii() && refused.hint.ends_with('.'));
    }
    if check_pattern(pattern).is_err() || check_type(name).is_err() {
        return;
    }
    assert!(check_pattern(name).is_ok(), "a type is a pattern");
    assert!(matches(name, name) && matches("**", name));
    if matches(pattern, name) {
        assert!(keys_of_type(name).contains(&key_of_pattern(pattern)));
    }
}
