//! `berth-web`: serves the panel. Started as root it only holds the port; a child of another user does the rest.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use berth_ca::Pace;
use berth_count::{COUNTS_FILE, Left};
use berth_fault::chain;
use berth_host::service;
use berth_schema::text::SafeLog;
use berth_tasks::Tasks;
use berth_web::acme::Acme;
use berth_web::arguments::Args;
use berth_web::diagram::draw;
use berth_web::launch;
use berth_web::supervise::{PREPARED, Supervised, supervise};
use berth_web::user::User;
use berth_web::{Listeners, Settings, tls};
use berth_wire::certificate::Proof;
use clap::Parser;
use futures_util::FutureExt as _;
use rustix::fs::Mode;
use rustix::process::{
    DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal, umask,
};
use rustix::thread::set_no_new_privs;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    // Nothing of what follows is its business: no thread, no log, no settings.
    if std::env::args_os().nth(1).is_some_and(|word| word == draw::COMMAND) {
        return draw::run();
    }
    let args = Args::parse();
    let filter = EnvFilter::try_new(&args.log).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| SafeLog(io::stderr()))
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
    umask(Mode::RWXG | Mode::RWXO);
    match begin(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn begin(args: Args) -> anyhow::Result<()> {
    if args.with_parent || args.child {
        // A supervisor that was killed can't say so, and the next one's port would be taken.
        set_parent_process_death_signal(Some(Signal::TERM))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the async runtime")?;
    match args.child {
        true => runtime.block_on(serve(args)),
        false => runtime.block_on(hold(args)),
    }
}

/// Holds the port, and has a child serve on it.
async fn hold(args: Args) -> anyhow::Result<()> {
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?;
    let supervised = Supervised {
        program: std::env::current_exe().context("cannot find our own program")?,
        arguments: arguments(&args)?,
        listen: args.listen,
        data: std::path::absolute(&args.data)?,
        edge: args.edge.as_ref().map(std::path::absolute).transpose()?,
        user: User::find(&args.user)?,
    };
    let held = supervise(&supervised, tasks.stop()).await;
    let ended = tasks.end().await;
    held?;
    Ok(ended?)
}

/// Arguments of a child: our own, with paths that hold anywhere.
fn arguments(args: &Args) -> anyhow::Result<Vec<OsString>> {
    let path = |path: &PathBuf| Ok::<_, io::Error>(OsString::from(std::path::absolute(path)?));
    let mut arguments: Vec<OsString> = vec![
        "--child".into(),
        "--listen".into(),
        args.listen.to_string().into(),
        "--domain".into(),
        args.domain.clone().into(),
        "--sockets".into(),
        path(&args.sockets)?,
        "--data".into(),
        path(&args.data)?,
        "--log".into(),
        args.log.clone().into(),
    ];
    if let Some(port) = args.public_port {
        arguments.extend(["--public-port".into(), port.to_string().into()]);
    }
    for port in &args.edge_port {
        arguments.extend(["--edge-port".into(), port.to_string().into()]);
    }
    for network in &args.allow {
        arguments.extend(["--allow".into(), network.to_string().into()]);
    }
    for country in &args.allow_country {
        arguments.extend(["--allow-country".into(), country.as_str().into()]);
    }
    if let Some(tickets) = &args.tickets {
        arguments.extend(["--tickets".into(), path(tickets)?]);
    }
    let acme = [
        ("--acme-directory", args.acme_directory.as_deref()),
        ("--acme-proof", args.acme_proof.map(Proof::name)),
        ("--acme-email", args.acme_email.as_deref()),
        ("--acme-ca", args.acme_ca.as_deref()),
    ];
    for (name, value) in acme {
        arguments.extend(value.into_iter().flat_map(|value| [name.into(), value.into()]));
    }
    if let Some(account) = &args.acme_account {
        arguments.extend(["--acme-account".into(), path(account)?]);
    }
    if let Some(templates) = &args.templates {
        arguments.extend(["--templates".into(), path(templates)?]);
    }
    Ok(arguments)
}

/// Serves on the socket that the parent holds.
async fn serve(args: Args) -> anyhow::Result<()> {
    // Secrets pass through this process: nobody else of this user may look into it, and nothing it starts may gain a privilege.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_no_new_privs(true)?;
    let tasks = Tasks::until_signalled().context("cannot listen to signals")?.with_pulse(service::alive);
    let input = io::stdin().as_fd().try_clone_to_owned()?;
    let (listeners, follow) =
        Listeners::take(input).context("standard input hands over no listening socket")?;
    let port = listeners.port().context("standard input is no listening socket")?;
    tasks.keep("the counts", berth_count::keep(Left::at(args.data.join(COUNTS_FILE))));
    let stop = tasks.stop().clone();
    // It outlives nobody: what the parent makes after the end is the next child's.
    tasks.keep("the parent's sockets", async move {
        tokio::select! {
            () = follow.then(|()| std::future::pending()) => {}
            () = stop.cancelled() => {}
        }
    });
    let (email, roots, pace) = (args.acme_email, args.acme_ca, Pace::default());
    let acme = args.acme_directory.zip(args.acme_proof);
    let (account, given) = (args.acme_account, args.sockets.join(berth_wire::acme::CERTIFICATE));
    let acme = acme.map(|(directory, proof)| Acme { directory, email, roots, proof, account, given, pace });
    let settings = Settings {
        domain: args.domain,
        port,
        public_port: args.public_port.unwrap_or(port),
        edge_ports: args.edge_port,
        networks: args.allow,
        countries: args.allow_country,
        sockets: args.sockets,
        tickets: args.tickets,
        data: args.data,
        templates: args.templates,
        drawer: None,
        acme,
    };
    let stop = tasks.stop().clone();
    let ca = tls::ca_path(&settings.data, &settings.domain);
    launch::run(listeners, settings, &tasks, |own| {
        if own {
            tracing::info!(ca = %ca.display(), "the panel has a certificate of its own; browsers warn of it until they know this CA");
        }
        let mut output = io::stdout();
        if writeln!(output, "{PREPARED}").and_then(|()| output.flush()).is_err() {
            // Nobody hears it: the parent has gone, perhaps before it could be asked to tell.
            stop.cancel();
        }
    })
    .await?;
    Ok(())
}
