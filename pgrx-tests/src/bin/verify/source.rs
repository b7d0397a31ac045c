//! Rust source reduced to what the architecture rules are about: code that the server runs.

/// The source with comments, the insides of strings, and everything under `#[cfg(test)]` blanked out. Lines
/// keep their numbers.
pub fn server_code(source: &str) -> String {
    without_tests(&without_text(source))
}

fn without_text(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let text = text_length(rest, code.chars().next_back());
        if text == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            code.extend(
                rest[..text]
                    .chars()
                    .map(|blanked| if blanked == '\n' { '\n' } else { ' ' }),
            );
            rest = &rest[text..];
        }
    }
    code
}

/// Length of the comment, string or character literal that `source` begins with; 0 if it is code.
fn text_length(source: &str, before: Option<char>) -> usize {
    let until = |end: &str, skip: usize| {
        source[skip..]
            .find(end)
            .map_or(source.len(), |at| skip + at + end.len())
    };
    let begins_word = !before.is_some_and(|before| before.is_alphanumeric() || before == '_');
    if source.starts_with("//") {
        source.find('\n').unwrap_or(source.len())
    } else if source.starts_with("/*") {
        until("*/", 2)
    } else if source.starts_with('"') {
        escaped_length(source, '"')
    } else if begins_word && (source.starts_with("r\"") || source.starts_with("r#")) {
        let hashes = source[1..].chars().take_while(|hash| *hash == '#').count();
        if source[1 + hashes..].starts_with('"') {
            until(&format!("\"{}", "#".repeat(hashes)), hashes + 2)
        } else {
            0
        }
    } else if source.starts_with("'\\") || (source.starts_with('\'') && source.chars().nth(2) == Some('\'')) {
        escaped_length(source, '\'')
    } else {
        0
    }
}

/// Length of a literal that ends with an unescaped `quote`.
fn escaped_length(source: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, next) in source.char_indices().skip(1) {
        match next {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if next == quote => return at + 1,
            _ => {}
        }
    }
    source.len()
}

fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(at) = rest.find(MARK) {
        let item = at + MARK.len();
        let end = item + item_length(&rest[item..]);
        kept.push_str(&rest[..at]);
        kept.extend(rest[at..end].chars().filter(|blanked| *blanked == '\n'));
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

/// Length of an item: up to its semicolon, or to the brace that closes its first one.
fn item_length(code: &str) -> usize {
    let mut depth = 0;
    for (at, next) in code.char_indices() {
        match next {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' if depth == 1 => return at + 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::server_code;

    #[test]
    fn text_is_blanked_and_code_is_kept() {
        let source = "a(\"panic!\\\" x\"); // b\nlet c = 'x'; fn d<'e>() {} /* f\ng */ r#\"h\"i\"#; br";
        let words: Vec<String> = server_code(source)
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        assert_eq!(words.join(" "), "a( ); let c = ; fn d<'e>() {} ; br");
        assert_eq!(server_code(source).lines().count(), source.lines().count());
    }

    #[test]
    fn tests_are_blanked() {
        let source = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\nmod tests {\n  fn c() { d }\n}\ne";
        assert_eq!(server_code(source), "a\n\n\nb\n\n\n\n\ne");
    }
}
