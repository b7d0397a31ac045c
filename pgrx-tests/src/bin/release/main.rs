//! `cargo cut-release`: keeps the script of this version in `sql/released`, where it may not change any more.

use std::process::ExitCode;

use pg_hooks_tests::releases;

fn main() -> ExitCode {
    match releases::cut() {
        Ok(()) => {
            println!("released {}: commit sql/released, then tag it", releases::CURRENT);
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}
