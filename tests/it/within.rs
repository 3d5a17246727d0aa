//! The sandbox as the SDK's HTTP client: no sockets, so that time can be virtual. Tests and
//! `benches/pacing` share it.

use std::sync::Arc;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use rosterd::sandbox::Sandbox;

/// Asks a sandbox of the process.
#[derive(Debug, Clone)]
pub struct Within(pub Arc<Sandbox>);

impl HttpClient for Within {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Within {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let sandbox = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move {
            let user = |e: Box<dyn std::error::Error + Send + Sync>| ConnectorError::user(e);
            let request = request.try_into_http1x().map_err(|e| user(e.into()))?;
            let request =
                request.map(|body| axum::body::Body::from(body.bytes().unwrap_or_default().to_vec()));
            let response = sandbox.answer(request).await.map_err(|e| ConnectorError::io(e.into()))?;
            let (parts, body) = response.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.map_err(|e| user(e.into()))?;
            let status = StatusCode::try_from(parts.status.as_u16()).map_err(|e| user(e.into()))?;
            let mut answer =
                aws_smithy_runtime_api::http::Response::new(status, SdkBody::from(body.to_vec()));
            for (name, value) in &parts.headers {
                if let Ok(value) = value.to_str() {
                    answer.headers_mut().insert(name.as_str().to_owned(), value.to_owned());
                }
            }
            Ok(answer)
        })
    }
}
