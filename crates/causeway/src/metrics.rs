//! Metrics for Prometheus over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Serves `registry` at `/metrics` on `address` for as long as `tasks` lives. Returns where it listens.
pub(crate) async fn serve(
    address: SocketAddr,
    registry: Registry,
    tasks: &mut JoinSet<()>,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot serve metrics at {address}"))?;
    let local = listener.local_addr()?;
    let pages = axum::Router::new()
        .route("/metrics", axum::routing::get(page))
        .with_state(Arc::new(registry));
    tasks.spawn(async move {
        if let Err(error) = axum::serve(listener, pages).await {
            tracing::error!(%error, "metrics are not served any more");
        }
    });
    Ok(local)
}

async fn page(State(registry): State<Arc<Registry>>) -> Response {
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_full) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
