//! `berth image build`: makes the images that the platform needs.

use std::collections::HashMap;
use std::time::Duration;

use berth_engine::connect;
use berth_engine::image::{Base, Build as Image, Built, build, recipes};
use berth_repo::Source as Kind;
use berth_schema::platform::Images;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Exit;
use crate::draw::say;
use crate::settings::Settings;
use crate::source::Source;

/// Images.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Build every image whose recipe or base has changed
    Build(Build),
}

#[derive(Debug, clap::Args)]
struct Build {
    /// Base of the server image: an image reference, `bootstrap` for a Debian made on this host, or `auto`:
    /// ubuntu:noble where it can be pulled, else a bootstrapped Debian
    #[arg(long, env = "BERTH_BASE", default_value = "auto", value_name = "IMAGE")]
    base: Base,
    /// The engine's network for downloads. An engine that maps users refuses `host`
    #[arg(long, default_value = "default", value_name = "NETWORK")]
    network: String,
    /// Show the full output of the builds
    #[arg(long)]
    verbose: bool,
}

pub(super) async fn run(args: &Args, settings: &Settings) -> anyhow::Result<Exit> {
    let Command::Build(args) = &args.command;
    let [server, holder, firewall, caddy, cache, router] = names(settings)?;
    let (engine, _) = connect(&settings.docker).await?;
    let recipe = |name| recipes(name, settings.templates.as_deref());

    let bar = Bar::new(args.verbose);
    let line = |text: &str| bar.line(text);
    let base = bar.during("base image", args.base.reference(&engine, &recipe("base")?, &line)).await?;
    let args_of = |key: &str, value: &str| HashMap::from([(key.to_owned(), value.to_owned())]);
    let steps = [
        ("server", server.clone(), args_of("BASE", &base)),
        // The server's image has a static busybox, so the holder needs no other source.
        ("holder", holder, args_of("BUSYBOX", &server)),
        ("firewall", firewall, args_of("BASE", &base)),
        ("caddy", caddy, args_of("BASE", &base)),
        ("dockerhub-cache", cache, args_of("BASE", &base)),
        ("ssh-router", router, args_of("BASE", &base)),
    ];
    for (name, tag, build_args) in steps {
        let recipe = recipe(name)?;
        let image = Image { recipe: &recipe, tag: &tag, args: &build_args, network: &args.network };
        match bar.during(&tag, build(&engine, image, &line)).await? {
            Built::Unchanged => say(&format!("  unchanged  {tag}")),
            Built::Made => say(&format!("  built      {tag}")),
        }
    }
    Ok(Exit::Ok)
}

/// The images that the state repo names, or the platform's defaults when there is no state repo yet.
fn names(settings: &Settings) -> anyhow::Result<[String; 6]> {
    let mut images = Images::default();
    if Kind::of(&settings.state).is_ok()
        && let Ok(settled) = Source::open(&settings.state)?.find(None)?.state
    {
        images = settled.state.platform.images.clone();
    }
    let Images { server, holder, firewall, caddy, cache, router } = images;
    let names = [server, holder, firewall, caddy, cache, router];
    Ok(names.map(|image| image.to_string()))
}

/// A spinner with the last line of output; plain lines where there is no terminal.
struct Bar {
    bar: ProgressBar,
    verbose: bool,
}

impl Bar {
    fn new(verbose: bool) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix} {elapsed:.dim} {wide_msg:.dim}")
        {
            bar.set_style(style);
        }
        Self { bar, verbose }
    }

    async fn during<T>(&self, what: &str, work: impl Future<Output = T>) -> T {
        self.bar.set_prefix(what.to_owned());
        self.bar.enable_steady_tick(Duration::from_millis(120));
        if self.bar.is_hidden() {
            say(&format!("  making sure of {what} …"));
        }
        let done = work.await;
        self.bar.disable_steady_tick();
        self.bar.set_message("");
        done
    }

    fn line(&self, text: &str) {
        if self.verbose {
            self.bar.suspend(|| say(&format!("    {text}")));
        } else {
            self.bar.set_message(text.trim().to_owned());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
