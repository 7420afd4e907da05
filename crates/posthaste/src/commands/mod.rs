//! One module for each command: its arguments with their help, and what it does.

pub(crate) mod ban;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod domain;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod import;
pub(crate) mod inbox;
pub(crate) mod man;
pub(crate) mod queue;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod status;
pub(crate) mod store;
pub(crate) mod up;
pub(crate) mod user;

use crate::cli::Command;
use crate::exit::Exit;
use server::admin::Client;
use std::path::Path;

/// Runs a command.
pub(crate) fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Up(args) => up::run(args),
        Command::Serve(args) => serve::run(args),
        Command::Config(args) => config::run(args),
        Command::Status(args) => status::run(args),
        Command::Send(args) => send::run(*args),
        Command::Inbox(args) => inbox::run(args),
        Command::Export(args) => export::run(args),
        Command::Import(args) => import::run(args),
        Command::User(args) => user::run(args),
        Command::Domain(args) => domain::run(args),
        Command::Queue(args) => queue::run(*args),
        Command::Explain(args) => explain::run(args),
        Command::Ban(args) => ban::run(args),
        Command::Store(args) => store::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    }
}

/// What a command needs of a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needs {
    /// A store that is there.
    Store,
    /// One that is there, or a new one.
    StoreOrNew,
}

/// Does `work` with what is in a data directory: through the server that runs there, or with the store opened for it. It is closed
/// whatever comes of the work, whose error is the one that counts.
fn with_client<T>(
    data: &Path,
    needs: Needs,
    work: impl AsyncFnOnce(&Client) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    block_on(async {
        let client = match needs {
            Needs::Store => Client::open(data).await?,
            Needs::StoreOrNew => open_or_create(data).await?,
        };
        let result = work(&client).await;
        let closed = client.close().await;
        let result = result?;
        closed?;
        Ok(result)
    })
}

/// What is added where no server runs may be meant for one that runs elsewhere, so it is said on standard error where it goes.
async fn open_or_create(data: &Path) -> anyhow::Result<Client> {
    let is_new = !server::open::exists(data);
    let client = Client::open_or_create(data).await?;
    let shown = data.display().to_string();
    let shown = message::terminal::one_line(&shown);
    match (client.has_server(), is_new) {
        (true, _) => {}
        (false, true) => anstream::eprintln!(
            "posthaste: made a new store in {shown} (for another one name its directory with --data, or the settings with --config)"
        ),
        (false, false) => anstream::eprintln!("posthaste: no server runs on {shown}; this is in its store"),
    }
    Ok(client)
}

/// Runs `task` to its end; for commands that serve nobody.
fn block_on<T>(task: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(task)
}
