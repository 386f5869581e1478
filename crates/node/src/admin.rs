//! The operator's socket: JSON-RPC over a Unix socket in the data folder, one request a line.
//!
//! Whoever may open the socket (mode 0600: the folder's owner) may administer the city; nothing else may.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jsonrpsee::RpcModule;
use jsonrpsee::types::ErrorObjectOwned;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use types::ValidatorSet;

use crate::ChainHandle;
use crate::verify::verify;

/// Longest request, in bytes.
const MAX_REQUEST: u64 = 1 << 20;
/// Most connections at once.
const MAX_CONNECTIONS: usize = 16;

/// What the operator may ask about.
#[derive(Clone, Debug)]
pub struct AdminContext {
    /// The hosted chain.
    pub chain: ChainHandle,
    /// Its validators.
    pub validators: Arc<ValidatorSet>,
    /// Version of the program.
    pub version: String,
}

/// The socket; gone when dropped.
#[derive(Debug)]
pub struct AdminSocket {
    path: PathBuf,
    tasks: JoinSet<()>,
}

impl AdminSocket {
    /// Listens at `path`, which the owner alone may open. A socket left there by a process that crashed is replaced: the
    /// folder's lock says that it is ours.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn listen(path: &Path, context: AdminContext) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _gone => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        let module = module(context).map_err(io::Error::other)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, module));
        Ok(Self {
            path: path.to_path_buf(),
            tasks,
        })
    }
}

impl Drop for AdminSocket {
    fn drop(&mut self) {
        self.tasks.abort_all();
        // It is in the way of nobody if it stays.
        drop(std::fs::remove_file(&self.path));
    }
}

async fn accept(listener: UnixListener, module: RpcModule<AdminContext>) {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _peer)) => {
                let module = module.clone();
                connections.spawn(async move {
                    if let Err(error) = serve(stream, &module).await {
                        tracing::debug!(%error, "operator's connection ended");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::error!(%error, "the operator's socket is closed");
                return;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(stream: UnixStream, module: &RpcModule<AdminContext>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    loop {
        let mut line = String::new();
        let length = (&mut lines).take(MAX_REQUEST).read_line(&mut line).await?;
        if length == 0 {
            return Ok(());
        }
        if !line.ends_with('\n') && length as u64 == MAX_REQUEST {
            return Err(io::Error::other("request too long"));
        }
        let answer = match module.raw_json_request(line.trim(), 1).await {
            Ok((answer, _subscription)) => answer.get().to_owned(),
            Err(_not_json) => PARSE_ERROR.to_owned(),
        };
        write.write_all(answer.as_bytes()).await?;
        write.write_all(b"\n").await?;
    }
}

/// The answer to what is not JSON-RPC.
const PARSE_ERROR: &str =
    r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}"#;

fn module(
    context: AdminContext,
) -> Result<RpcModule<AdminContext>, jsonrpsee::core::RegisterMethodError> {
    let mut module = RpcModule::new(context);
    module.register_blocking_method("admin_nodeInfo", |_params, context, _extensions| {
        let moment = context.chain.reader().moment().map_err(failed)?;
        let status = context.chain.pool(chain::Pool::status);
        Ok::<_, ErrorObjectOwned>(serde_json::json!({
            "version": context.version,
            "chainId": moment.profile().chain_id.get(),
            "height": moment.head().header.number,
            "hash": moment.head().hash,
            "pool": { "pending": status.pending, "queued": status.queued, "bytes": status.bytes },
        }))
    })?;
    module.register_blocking_method("admin_verify", |_params, context, _extensions| {
        let verified = verify(context.chain.reader(), &context.validators).map_err(failed)?;
        Ok::<_, ErrorObjectOwned>(serde_json::json!({
            "ok": true,
            "height": verified.height,
            "hash": verified.hash,
            "stateRoot": verified.state_root,
        }))
    })?;
    Ok(module)
}

/// An error with all its causes, for the operator.
fn failed(error: impl std::error::Error) -> ErrorObjectOwned {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    ErrorObjectOwned::owned(-32000, text, None::<()>)
}
