//! Anvil as a child process that does not outlive its parent.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::ChainError;

/// How long anvil may take until it listens.
const START: Duration = Duration::from_secs(20);
/// Names the executable to use, before all other places.
const PLACE: &str = "COMPUTEPOOL_ANVIL";

/// How to start anvil.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnvilOptions {
    /// The executable.
    pub program: PathBuf,
    /// On which port of the loopback interface; any free one where it is 0.
    pub port: u16,
    /// Seconds from block to block; a block for every transaction, at once, where it is none.
    pub block_time: Option<u32>,
    /// The BIP-39 phrase of the accounts that have native currency from the beginning; anvil's well-known one if none.
    /// It is no secret: it can be seen in the list of processes.
    pub phrase: Option<String>,
}

/// A running anvil. It keeps the rules that real chains have: contracts of 24,576 bytes at most (EIP-170), and
/// transactions of 2^24 gas (EIP-7825).
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    endpoint: String,
}

impl Anvil {
    /// Starts anvil and waits until it listens.
    pub async fn start(options: &AnvilOptions) -> Result<Self, ChainError> {
        let mut arguments = vec![
            "--host=127.0.0.1".to_owned(),
            format!("--port={}", options.port),
            "--chain-id=31337".to_owned(),
            "--enable-tx-gas-limit".to_owned(),
        ];
        if let Some(seconds) = options.block_time {
            arguments.push(format!("--block-time={seconds}"));
        }
        if let Some(phrase) = &options.phrase {
            arguments.push(format!("--mnemonic={phrase}"));
        }
        let mut command = leashed(&options.program, &arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let failed = |what: String| ChainError::Anvil { what };
        let mut child =
            command.spawn().map_err(|error| failed(format!("at {}: {error}", options.program.display())))?;
        let output = child.stdout.take().ok_or_else(|| failed("has no output".to_owned()))?;
        let mut output = BufReader::new(output);
        let endpoint = match timeout(START, listening(&mut output)).await {
            Ok(Some(address)) => format!("http://{address}"),
            Ok(None) => return Err(failed("ended at once; is the port taken?".to_owned())),
            Err(_) => return Err(failed(format!("was not up within {} s", START.as_secs()))),
        };
        tokio::spawn(async move {
            // What nobody reads would stop it some day.
            tokio::io::copy(&mut output, &mut tokio::io::sink()).await.ok();
        });
        Ok(Self { child, endpoint })
    }

    /// Where it answers.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Ends it and waits until it has ended.
    pub async fn end(mut self) {
        drop(self.child.stdin.take());
        if timeout(Duration::from_secs(5), self.child.wait()).await.is_err() {
            self.child.kill().await.ok();
        }
    }
}

/// A command that ends when its standard input closes, and so with its parent, however that ended: anvil itself does
/// not read its input. On Windows it ends when it is dropped.
fn leashed(program: &Path, arguments: &[String]) -> Command {
    #[cfg(unix)]
    {
        const LEASH: &str = r#"exec 3<&0; "$0" "$@" </dev/null & child=$!; (cat <&3 >/dev/null; kill -9 $child) >/dev/null 2>&1 & wait $child"#;
        let mut command = Command::new("/bin/sh");
        // A group of its own: Ctrl-C is for the parent, which closes the pipe when it is ready.
        command.arg("-c").arg(LEASH).arg(program).args(arguments).process_group(0);
        command
    }
    #[cfg(not(unix))]
    {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    }
}

/// Reads until anvil says where it listens.
async fn listening(output: &mut (impl AsyncBufRead + Unpin)) -> Option<String> {
    let mut lines = output.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(address) = line.trim().strip_prefix("Listening on ") {
            return Some(address.to_owned());
        }
    }
    None
}

/// Where anvil is: where `COMPUTEPOOL_ANVIL` says, in `contracts/node_modules` of a folder above `here` (that is where
/// `scripts/setup contracts` puts it), or on the path.
pub fn find_anvil(here: &Path) -> Option<PathBuf> {
    if let Some(place) = std::env::var_os(PLACE) {
        return Some(place.into());
    }
    let name = format!("anvil{}", std::env::consts::EXE_SUFFIX);
    let system = match std::env::consts::OS {
        "macos" => "darwin",
        "windows" => "win32",
        other => other,
    };
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let inside: PathBuf =
        ["contracts", "node_modules", "@foundry-rs", &format!("anvil-{system}-{machine}"), "bin", &name]
            .iter()
            .collect();
    let installed = here.ancestors().map(|folder| folder.join(&inside));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = std::env::split_paths(&path).map(|folder| folder.join(&name));
    installed.chain(known).find(|candidate| candidate.is_file())
}
