//! Building the extension and installing it into a PostgreSQL tree of its own, never into the system.

mod files;
mod package;
mod tree;

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::OnceLock;

pub use tree::Tree;

use crate::{Failure, Result, checkout, scratch};

/// Names a tree that is ready, so that test programs need not ask cargo again. Set by [`for_children`].
const READY_TREE: &str = "PG_HOOKS_TREE";
/// The same for [`with_faults`].
const READY_FAULTY_TREE: &str = "PG_HOOKS_FAULTY_TREE";

/// Builds the extension if anything changed and gives the tree that holds it.
///
/// Once per process; not at all where an outer program has done it.
pub fn with_extension() -> Result<Tree> {
    static INSTALLED: OnceLock<Result<Tree>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| match std::env::var_os(READY_TREE) {
        Some(root) => Tree::open(root.into()),
        None => build(Variant::Shipped),
    });
    installed.clone()
}

/// As [`with_extension`], but with the feature `faults`, by which tests have steps fail.
pub fn with_faults() -> Result<Tree> {
    static INSTALLED: OnceLock<Result<Tree>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| match std::env::var_os(READY_FAULTY_TREE) {
        Some(root) => Tree::open(root.into()),
        None => build(Variant::Faulty),
    });
    installed.clone()
}

/// What the extension is built with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Variant {
    Shipped,
    Faulty,
}

fn build(variant: Variant) -> Result<Tree> {
    let package = package::build(variant)?;
    let _lock = lock()?;
    let tree = Tree::lay_out(root_of(variant))?;
    tree.add(&package)?;
    Ok(tree)
}

/// The same tree for a server without the extension: nothing is built, and nothing removed.
pub fn plain() -> Result<Tree> {
    let _lock = lock()?;
    Tree::lay_out(root())
}

/// The variable and value that tell child processes to use `tree` as it is.
pub fn for_children(tree: &Tree) -> (&'static str, PathBuf) {
    (READY_TREE, tree.root().to_owned())
}

/// The same for a tree of [`with_faults`].
pub fn faulty_for_children(tree: &Tree) -> (&'static str, PathBuf) {
    (READY_FAULTY_TREE, tree.root().to_owned())
}

fn root_of(variant: Variant) -> PathBuf {
    match variant {
        Variant::Shipped => root(),
        Variant::Faulty => root().with_extension("faults"),
    }
}

/// One tree per checkout and user. Not inside the checkout: the server's user may not be able to read that.
fn root() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (checkout::root(), rustix::process::geteuid().as_raw()).hash(&mut hasher);
    let name = format!(
        "pg_hooks-pg{}-{:016x}",
        checkout::POSTGRES_VERSION,
        hasher.finish()
    );
    PathBuf::from(scratch::BASE).join(name)
}

/// Keeps other processes of this checkout away from the tree until the file is dropped.
pub(crate) fn lock() -> Result<File> {
    let path = root().with_extension("lock");
    let lock = || File::create(&path).and_then(|file| file.lock().map(|()| file));
    lock().map_err(|error| Failure::because(format_args!("could not lock {}", path.display()), error))
}
