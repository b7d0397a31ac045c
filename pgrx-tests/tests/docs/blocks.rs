//! Fenced blocks of Markdown.

use std::fmt;
use std::path::PathBuf;

use pg_hooks_tests::checkout;

/// A fenced block: what stands after the opening fence, and the lines up to the closing one.
#[derive(Debug, PartialEq)]
pub struct Block {
    pub language: String,
    pub text: String,
    document: String,
    line: usize,
}

/// Where it is, for whoever has to correct it.
impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} ({})", self.document, self.line, self.language)
    }
}

/// README.md and what is in docs, by path within the checkout.
pub fn documents() -> Vec<String> {
    let mut documents = vec!["README.md".to_owned()];
    let docs = std::fs::read_dir(checkout::root().join("docs")).unwrap();
    let names = docs.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    documents.extend(
        names
            .filter(|name| name.ends_with(".md"))
            .map(|name| format!("docs/{name}")),
    );
    documents[1..].sort();
    documents
}

/// The text of a file of the checkout.
pub fn read(file: &str) -> String {
    let path: PathBuf = checkout::root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// All blocks of a document, in order.
pub fn blocks(document: &str) -> Vec<Block> {
    in_text(document, &read(document))
}

fn in_text(document: &str, markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in markdown.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (Some(language), None) => {
                open = Some(Block {
                    language: language.to_owned(),
                    text: String::new(),
                    document: document.to_owned(),
                    line: number + 1,
                });
            }
            (None, Some(block)) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{document}: a block is not closed");
    blocks
}

#[test]
fn blocks_are_found_in_their_order() {
    let found = in_text("x.md", "a\n```sql\nselect 1;\n\nselect 2;\n```\nb\n```\nc\n```\n");
    let expected = [("sql", "select 1;\n\nselect 2;\n"), ("", "c\n")];
    let found: Vec<_> = found
        .iter()
        .map(|block| (block.language.as_str(), block.text.as_str()))
        .collect();
    assert_eq!(found, expected);
}
