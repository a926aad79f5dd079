//! `cargo xtask`: builds, runs, tests, checks and measures the project.

mod man;
mod prepare;
mod tidy;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const USAGE: &str = "usage: cargo xtask COMMAND
  quickstart DOMAIN [options]  build everything and run a mail server for DOMAIN
  build                        build all programs, optimised
  test                         run every check and test
  tidy                         check the rules of the house
  man                          write the generated parts of the manual
  crash [options]              cut the power of a model of the queue, at length
  bench [options]              measure throughput against Postfix
";

/// Why a command ended early; printed once.
type Outcome = Result<(), String>;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    let outcome = match command.as_str() {
        "quickstart" => quickstart(&rest),
        "build" => build(),
        "test" => test(),
        "tidy" => tidy::check(&root()),
        "man" => man::make(&root()),
        "crash" => crash(&rest),
        "bench" => bench(&rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
        .to_owned()
}

/// Where cargo puts what it builds. Continuous integration builds in a fresh
/// clone each time; there the results are kept outside it, to be used again.
fn target() -> PathBuf {
    if let Some(target) = env::var_os("CARGO_TARGET_DIR") {
        return root().join(target);
    }
    match (env::var("CI").as_deref(), env::var_os("HOME")) {
        (Ok("true"), Some(home)) => Path::new(&home).join(".cache/indimail-target"),
        _ => root().join("target"),
    }
}

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments)
        .current_dir(root())
        .env("CARGO_TARGET_DIR", target());
    command
}

fn run(command: &mut Command) -> Outcome {
    let shown = format!("{command:?}").replace('"', "");
    eprintln!("xtask: {shown}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("xtask: {shown}: {status}")),
        Err(error) => Err(format!("xtask: cannot run {shown}: {error}")),
    }
}

fn build() -> Outcome {
    run(&mut cargo(&["build", "--release", "--workspace", "--bins"]))
}

/// Builds, then becomes `indimail quickstart`.
fn quickstart(arguments: &[String]) -> Outcome {
    use std::os::unix::process::CommandExt;
    build()?;
    let mut command = Command::new(target().join("release/indimail"));
    let error = command.arg("quickstart").args(arguments).exec();
    Err(format!("xtask: cannot run indimail: {error}"))
}

fn test() -> Outcome {
    prepare::install_packages()?;
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    tidy::check(&root())?;
    run(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    // The stories start the programs themselves, so all must be there.
    run(&mut cargo(&["build", "--workspace", "--bins"]))?;
    run(&mut cargo(&["test", "--workspace", "--no-fail-fast"]))
}

/// The tests do the same, not as long.
fn crash(arguments: &[String]) -> Outcome {
    let mut command = cargo(&["run", "--release", "-p", "crash", "--"]);
    run(command.args(arguments))
}

fn bench(arguments: &[String]) -> Outcome {
    prepare::install_packages()?;
    build()?;
    run(Command::new(target().join("release/bench"))
        .args(arguments)
        .current_dir(root()))
}
