//! Lists of column names.

use super::Name;

/// Names separated by commas, each exactly as it is stored: nothing is folded to lower case. A name in
/// double quotes may hold anything, a quote is doubled in it. `None` for a list that is empty or torn.
pub fn parse(list: &[u8]) -> Option<Vec<Name>> {
    let mut names = Vec::new();
    let mut rest = list;
    loop {
        let (name, after) = one(rest.trim_ascii_start())?;
        if name.is_empty() {
            return None;
        }
        names.push(name);
        match after.trim_ascii_start() {
            [] => return Some(names),
            [b',', after @ ..] => rest = after,
            _ => return None,
        }
    }
}

/// The name that a list begins with, and what follows it.
fn one(list: &[u8]) -> Option<(Name, &[u8])> {
    match list {
        [b'"', quoted @ ..] => in_quotes(quoted),
        _ => {
            let end = list.iter().position(|byte| *byte == b',').unwrap_or(list.len());
            let (name, after) = list.split_at(end);
            let name = name.trim_ascii_end();
            (!name.contains(&b'"')).then(|| (name.to_vec(), after))
        }
    }
}

fn in_quotes(mut rest: &[u8]) -> Option<(Name, &[u8])> {
    let mut name = Vec::new();
    loop {
        match rest {
            [b'"', b'"', after @ ..] => {
                name.push(b'"');
                rest = after;
            }
            [b'"', after @ ..] => return Some((name, after)),
            [byte, after @ ..] => {
                name.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}
