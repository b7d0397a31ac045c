//! Names of files that hold secrets.

/// Longest name, in bytes.
const MAX_BYTES: usize = 255;

/// Whether this can be the name of a file below a folder: no way out of it, and the same in every
/// encoding.
///
/// # Errors
/// What is wrong with it.
pub fn check_file_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > MAX_BYTES {
        return Err("file name must have 1 to 255 characters");
    }
    if !name.bytes().all(|byte| matches!(byte, b'!'..=b'~')) || name.contains('\\') {
        return Err("file name contains a blank, a backslash, a control character or a non-ASCII character");
    }
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err("file name must be relative, without \".\" and \"..\"");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_file_name;

    #[test]
    fn no_name_leads_out_of_the_folder() {
        for good in ["a", "shop/key.pem", "..a", "a..b/c.", "-"] {
            assert_eq!(check_file_name(good), Ok(()), "{good}");
        }
        let long = "x".repeat(256);
        for bad in [
            "",
            &long,
            "/etc/passwd",
            "..",
            "../a",
            "a/..",
            "a/../b",
            "./a",
            "a//b",
            "a/",
            "a\\b",
            "a b",
            "a\nb",
            "ä",
            "a\0b",
        ] {
            assert!(check_file_name(bad).is_err(), "{bad:?}");
        }
    }
}
