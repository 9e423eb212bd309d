//! The DCE simulator as a process, for the demo and the benchmarks.
//!
//! When it listens it prints one line of JSON: `endpoint`, `ak`, `sk`, `ca` (a file) with `--tls`, and `accessKey` (its
//! `id` and `token`) with `--generation from-0.14`. Orders come over HTTP below `/_sim/` at the root of the server, in
//! front of any prefix:
//!
//! ```text
//! curl -fs http://127.0.0.1:PORT/_sim/ledger
//! curl -fs http://127.0.0.1:PORT/_sim/access-keys
//! curl -fs http://127.0.0.1:PORT/_sim/accepts --data-binary @token      # fails when the token is dead
//! curl -fs http://127.0.0.1:PORT/_sim/faults -X PUT \
//!     --data '{"route": "GET */token", "fault": {"html": 502}, "times": 3}'
//! curl -fs http://127.0.0.1:PORT/_sim/faults -X DELETE
//! ```

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::{Parser, ValueEnum};
use serde_json::json;
use testkit::dce::{DceOptions, DceSimulator, Generation};

/// A simulator of DaoCloud Enterprise 5.0's identity system.
#[derive(Parser)]
struct Args {
    /// The port on 127.0.0.1; 0 takes a free one.
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Speak HTTPS; the certificate of the authority is written to DIR/ca.crt.
    #[arg(long, requires = "dir")]
    tls: bool,
    /// Where to write the certificate.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Which version of ghippo to be.
    #[arg(long, value_enum, default_value = "before-0.14")]
    generation: Version,
    /// A path in front of all others, such as /dce.
    #[arg(long, default_value = "")]
    prefix: String,
    /// Tokens live at most so many seconds.
    #[arg(long, value_name = "SECONDS")]
    grant_at_most: Option<u64>,
    /// The user whose key pair, or whose first access key, is printed.
    #[arg(long, value_name = "NAME", default_value = "workload")]
    user: String,
    /// The user may list all users.
    #[arg(long)]
    admin: bool,
    /// Exit when standard input is closed, so as not to outlive whoever started this.
    #[arg(long)]
    guard: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Version {
    #[value(name = "before-0.13")]
    Before013,
    #[value(name = "before-0.14")]
    Before014,
    #[value(name = "from-0.14")]
    From014,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let simulator = DceSimulator::start(DceOptions {
        tls: args.tls,
        generation: match args.generation {
            Version::Before013 => Generation::Before013,
            Version::Before014 => Generation::Before014,
            Version::From014 => Generation::From014,
        },
        prefix: args.prefix,
        port: args.port,
        control: true,
    });
    simulator.grant_at_most(args.grant_at_most.map(Duration::from_secs));
    let (ak, sk) = if args.admin {
        simulator.add_admin(&args.user)
    } else {
        simulator.add_user(&args.user)
    };
    let mut ready = json!({"endpoint": simulator.endpoint(), "ak": ak, "sk": sk});
    if let Version::From014 = args.generation {
        let key = simulator.add_access_key(&args.user, "login", None);
        ready["accessKey"] = json!({"id": key.id, "token": key.token});
    }
    if let (Some(pem), Some(dir)) = (simulator.ca_pem(), &args.dir) {
        let path = dir.join("ca.crt");
        std::fs::create_dir_all(dir)
            .and_then(|()| std::fs::write(&path, pem))
            .with_context(|| format!("writing {}", path.display()))?;
        ready["ca"] = json!(path);
    }
    println!("{ready}");

    if args.guard {
        // Whatever comes is ignored: only the end counts.
        let mut ignored = [0; 1024];
        let mut input = std::io::stdin().lock();
        while input.read(&mut ignored).context("reading standard input")? > 0 {}
        return Ok(());
    }
    loop {
        std::thread::park();
    }
}
