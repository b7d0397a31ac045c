//! The data folder that every new cluster begins as: `initdb` takes a second, a copy a tenth of one.

use std::path::Path;
use std::process::Command;

use crate::install::{self, Tree};
use crate::{Failure, Result, account, command};

/// Makes `folder/data` a fresh data folder, and lets the server's user have `folder`.
pub fn copy(tree: &Tree, folder: &Path) -> Result<()> {
    let template = tree.template();
    {
        let _lock = install::lock()?;
        if !template.exists() {
            create(tree, &template)?;
        }
    }
    let mut copy = Command::new("cp");
    command::output(
        copy.args(["-a", "--reflink=auto"])
            .arg(template)
            .arg(folder.join("data")),
    )?;
    account::hand_over(folder)
}

/// Under another name first: what has the right name is complete.
fn create(tree: &Tree, template: &Path) -> Result<()> {
    let unfinished = template.with_extension("unfinished");
    let cannot = |error| Failure::because(format_args!("could not create {}", template.display()), error);
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished).map_err(cannot)?;
    }
    std::fs::create_dir(&unfinished).map_err(cannot)?;
    initialise(tree, &unfinished)?;
    std::fs::rename(unfinished, template).map_err(cannot)
}

/// Makes `folder/data` a data folder that is a copy of no other, and lets the server's user have `folder`.
pub fn make(tree: &Tree, folder: &Path) -> Result<()> {
    let data = folder.join("data");
    std::fs::create_dir(&data)
        .map_err(|error| Failure::because(format_args!("could not create {}", data.display()), error))?;
    initialise(tree, &data)?;
    account::hand_over(folder)
}

fn initialise(tree: &Tree, data: &Path) -> Result<()> {
    account::hand_over(data)?;
    let mut initdb = Command::new(tree.program("initdb"));
    initdb.args([
        "--no-sync",
        "--auth=trust",
        "--username=postgres",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
    ]);
    initdb.arg("--pgdata").arg(data).current_dir("/");
    command::output(account::unprivileged(&mut initdb)).map(drop)
}
