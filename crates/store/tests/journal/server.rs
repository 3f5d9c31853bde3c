//! A PostgreSQL server for one test run: started for it, gone with it.

use std::env;

use sqlx::{Connection, PgConnection};

/// A URL of a server to use instead of starting one: a superuser's, with a password, and without a database's name.
const GIVEN: &str = "COMPUTEPOOL_TEST_POSTGRES";

pub(crate) struct Server {
    /// `postgres://USER:PASSWORD@HOST:PORT`
    base: String,
    #[cfg(unix)]
    _own: Option<own::Own>,
}

impl Server {
    #[cfg(unix)]
    pub(crate) fn start() -> Self {
        if let Ok(base) = env::var(GIVEN) {
            return Self { base, _own: None };
        }
        let (own, base) = own::start();
        Self { base, _own: Some(own) }
    }

    #[cfg(not(unix))]
    pub(crate) fn start() -> Self {
        let base = env::var(GIVEN).unwrap_or_else(|_| panic!("set {GIVEN} to the URL of a PostgreSQL server"));
        Self { base }
    }

    pub(crate) fn url(&self, database: &str) -> String {
        format!("{}/{database}", self.base)
    }

    /// A superuser's session.
    pub(crate) async fn session(&self) -> PgConnection {
        PgConnection::connect(&self.url("postgres")).await.unwrap()
    }
}

#[cfg(unix)]
mod own {
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::os::unix::fs::chown;
    use std::os::unix::process::CommandExt;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::{env, fs};

    use tempfile::TempDir;

    const PASSWORD: &str = "sesame";

    /// The server, below a shell that ends it when this process is gone, however that came about: its input closes.
    pub(super) struct Own {
        shell: Child,
        _folder: TempDir,
    }

    impl Drop for Own {
        fn drop(&mut self) {
            drop(self.shell.stdin.take());
            let _ = self.shell.wait();
        }
    }

    const SHELL: &str = "\"$@\" </dev/null & server=$!; exec 2>/dev/null; read -r _; kill -INT $server; wait $server";

    pub(super) fn start() -> (Own, String) {
        let programs = programs().expect("no PostgreSQL server is installed here: run `scripts/setup postgres`");
        let folder = tempfile::tempdir().unwrap();
        let account = account();
        if let Some((user, group)) = account {
            chown(folder.path(), Some(user), Some(group)).unwrap();
        }
        let data = folder.path().join("data");
        let password = folder.path().join("password");
        writeln!(fs::File::create(&password).unwrap(), "{PASSWORD}").unwrap();

        let mut initdb = Command::new(programs.join("initdb"));
        initdb.args(["--no-sync", "--no-instructions", "-U", "tester", "-A", "scram-sha-256", "-E", "UTF8"]);
        initdb.args(["--locale=C", "--pwfile"]).arg(&password).arg("-D").arg(&data);
        let made = as_account(&mut initdb, account, &folder).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));

        for _ in 0..5 {
            let port = free_port();
            if let Some(shell) = serve(&programs, &data, port, account, &folder) {
                return (Own { shell, _folder: folder }, format!("postgres://tester:{PASSWORD}@127.0.0.1:{port}"));
            }
        }
        panic!("the PostgreSQL server did not start");
    }

    /// Returns once it accepts connections; nothing when it ended first, as when somebody was quicker on the port.
    fn serve(programs: &Path, data: &Path, port: u16, account: Option<(u32, u32)>, folder: &TempDir) -> Option<Child> {
        let mut shell = Command::new("sh");
        shell.args(["-c", SHELL, "sh"]).arg(programs.join("postgres")).arg("-D").arg(data);
        // Those who are killed in these tests are its clients; it may take its own disk lightly.
        for setting in ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off", "shared_buffers=16MB"] {
            shell.args(["-c", setting]);
        }
        shell.args(["-c", &format!("port={port}")]);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut shell = as_account(&mut shell, account, folder).spawn().unwrap();
        let mut said = BufReader::new(shell.stderr.take().unwrap()).lines().map_while(Result::ok);
        if said.any(|line| line.contains("ready to accept connections")) {
            // What it says from now on is read, so that it can go on saying it.
            std::thread::spawn(move || said.for_each(drop));
            return Some(shell);
        }
        drop(shell.stdin.take());
        let _ = shell.wait();
        None
    }

    /// PostgreSQL does not run as root: there, it runs as `postgres` or `nobody`.
    fn as_account<'a>(command: &'a mut Command, account: Option<(u32, u32)>, folder: &TempDir) -> &'a mut Command {
        if let Some((user, group)) = account {
            command.uid(user).gid(group);
        }
        command.current_dir(folder.path()).env("LC_ALL", "C")
    }

    fn account() -> Option<(u32, u32)> {
        let own = Command::new("id").arg("-u").output().unwrap().stdout;
        if own.trim_ascii() != b"0" {
            return None;
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap();
        let find = |name: &str| {
            let fields: Vec<&str> =
                accounts.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|f| f[0] == name)?;
            Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?))
        };
        Some(find("postgres").or_else(|| find("nobody")).expect("an account for PostgreSQL to run as"))
    }

    /// Where `initdb` and `postgres` are: on the path, or where Debian and Ubuntu keep them, the newest first.
    fn programs() -> Option<PathBuf> {
        let mut folders: Vec<_> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
        let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let mut versions: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
        versions.sort();
        folders.extend(versions.into_iter().rev());
        folders.into_iter().find(|folder| ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file()))
    }

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }
}
