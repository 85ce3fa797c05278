//! Builds the web client when its sources changed, and says where it is, so that it can be embedded.
//!
//! `NATTERJACK_WEB_DIST` points at a finished build and nothing is built here. Otherwise Node.js is needed: `npm ci` runs
//! when the lock file changed, Vite when a source did.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const NODE: &str = "Node.js 20.19 or newer";

fn main() -> ExitCode {
    println!("cargo:rerun-if-env-changed=NATTERJACK_WEB_DIST");
    match dist() {
        Ok(dist) => {
            println!("cargo:rustc-env=NATTERJACK_WEB_EMBED={}", dist.display());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            #[allow(
                clippy::print_stderr,
                reason = "standard error is how a build script speaks"
            )]
            {
                eprintln!("\nThe web client could not be built.\n{problem}\n");
            }
            ExitCode::FAILURE
        }
    }
}

fn dist() -> Result<PathBuf, String> {
    if let Some(ready) = std::env::var_os("NATTERJACK_WEB_DIST").filter(|value| !value.is_empty()) {
        let ready =
            std::path::absolute(&ready).map_err(|error| format!("NATTERJACK_WEB_DIST: {error}"))?;
        println!("cargo:rerun-if-changed={}", ready.display());
        return if ready.join("index.html").is_file() {
            Ok(ready)
        } else {
            Err(format!(
                "NATTERJACK_WEB_DIST={} has no index.html.",
                ready.display()
            ))
        };
    }
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("client");
    for source in [
        "index.html",
        "package.json",
        "package-lock.json",
        "public",
        "src",
        "tsconfig.json",
        "vite.config.ts",
    ] {
        println!("cargo:rerun-if-changed={}", client.join(source).display());
    }
    check_node()?;
    install(&client)?;
    run(
        &client,
        "npx",
        &["--no-install", "vite", "build", "--logLevel", "warn"],
    )?;
    Ok(client.join("dist"))
}

/// What is installed matches the lock file if it was installed from it: npm leaves a copy there.
fn install(client: &Path) -> Result<(), String> {
    let read = |path: PathBuf| std::fs::read(path).ok();
    let wanted = read(client.join("package-lock.json"));
    let stamp = client.join("node_modules/.natterjack-lock.json");
    if wanted.is_some() && wanted == read(stamp.clone()) {
        return Ok(());
    }
    run(
        client,
        "npm",
        &["ci", "--no-audit", "--no-fund", "--loglevel", "error"],
    )?;
    let failed = |error: std::io::Error| format!("{}: {error}", stamp.display());
    std::fs::write(&stamp, wanted.unwrap_or_default()).map_err(failed)
}

fn check_node() -> Result<(), String> {
    let advice = format!(
        "Install {NODE} (https://nodejs.org), or set NATTERJACK_WEB_DIST to a finished build."
    );
    let output = Command::new("node").arg("--version").output();
    let output = output.map_err(|_| format!("Node.js is missing. {advice}"))?;
    let version = String::from_utf8_lossy(&output.stdout)
        .trim()
        .trim_start_matches('v')
        .to_owned();
    let mut parts = version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    // Vite 8: 20.19 and later of 20, or 22.12 and later.
    let is_fine = matches!(found, (20, 19..) | (22, 12..) | (23.., _));
    if is_fine {
        Ok(())
    } else {
        Err(format!("Node.js {version} is too old. {advice}"))
    }
}

fn run(dir: &Path, program: &str, arguments: &[&str]) -> Result<(), String> {
    let shown = format!("{program} {}", arguments.join(" "));
    // npm is a script on Windows, which only the shell finds.
    let mut command = if cfg!(windows) {
        let mut shell = Command::new("cmd");
        shell.args(["/C", program]);
        shell
    } else {
        Command::new(program)
    };
    let output = command.args(arguments).current_dir(dir).output();
    let output = output
        .map_err(|error| format!("`{shown}` could not be started: {error}. Install {NODE}."))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr]
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .concat();
    Err(format!(
        "`{shown}` failed in {}:\n{}",
        dir.display(),
        said.trim_end()
    ))
}
