//! Carrying a request to an app and its answer back, for as long as there is a right to it.

use std::time::Duration;

use berth_fault::chain;
use berth_schema::tool::Tool;
use bytes::Bytes;
use http::header::{EXPECT, SET_COOKIE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio_util::task::TaskTracker;

use crate::cookie;
use crate::ending::{Body, Ending, Manner};
use crate::headers::{begin_upgrade, end_hop, introduce, upgrade};
use crate::live::Used;
use crate::page;
use crate::web_socket::{self, Protocol};

/// Time for a connection to an app.
const CONNECTING: Duration = Duration::from_secs(5);
/// Time for which a connection that nobody uses is kept: less than apps keep one, or a form could be lost with it.
const IDLE: Duration = Duration::from_secs(3);
/// Connections that are kept for one app.
const KEPT: usize = 64;

/// Client of the apps. A clone has the same connections.
#[derive(Debug, Clone)]
pub(crate) struct Apps {
    client: Client<HttpConnector, Body>,
    /// Connections that have changed their protocol.
    open: TaskTracker,
}

impl Apps {
    /// A client that enters connections which have changed their protocol in `open`.
    pub(crate) fn new(open: TaskTracker) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECTING));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(KEPT)
            .set_host(false)
            .build(connector);
        Self { client, open }
    }

    /// Carries a request of somebody who is let in.
    pub(crate) async fn carry(
        &self,
        request: Request<Incoming>,
        app: Authority,
        used: &Used,
    ) -> Response<Body> {
        let (mut head, body) = request.into_parts();
        let wanted = upgrade(&head.headers);
        let visitor = wanted.is_some().then(|| head.extensions.remove::<OnUpgrade>()).flatten();
        let tool = app.port_u16().and_then(Tool::at_port);
        let Some(uri) = uri(&head.uri, app) else { return page::no_answer(tool) };
        head.uri = uri;
        head.version = Version::HTTP_11;
        head.extensions.clear();
        end_hop(&mut head.headers);
        // Answered here, when the body is wanted.
        head.headers.remove(EXPECT);
        introduce(&mut head.headers, &used.grant().user);
        let body = match &visitor {
            Some(_) => {
                if let Some(protocol) = wanted.clone() {
                    begin_upgrade(&mut head.headers, protocol);
                }
                Empty::<Bytes>::new().map_err(|never| match never {}).boxed_unsync()
            }
            None => Ending::new(body, over(used.clone()), Manner::Abrupt).boxed_unsync(),
        };
        let sent = tokio::select! {
            sent = self.client.request(Request::from_parts(head, body)) => sent,
            () = used.over() => return page::sign_in(),
        };
        match sent {
            Ok(answer) => self.back(answer, visitor, used),
            Err(error) => {
                tracing::debug!(error = chain(&error), "an app doesn't answer");
                page::no_answer(tool)
            }
        }
    }

    /// An app's answer, on its way to the visitor.
    fn back(
        &self,
        mut answer: Response<Incoming>,
        visitor: Option<OnUpgrade>,
        used: &Used,
    ) -> Response<Body> {
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switched(answer, visitor, used);
        }
        let headers = answer.headers_mut();
        end_hop(headers);
        without_own_cookies(headers);
        let is_events = headers
            .get(http::header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/event-stream"));
        let manner = if is_events { Manner::Quiet } else { Manner::Abrupt };
        let (mut head, body) = answer.into_parts();
        head.version = Version::HTTP_11;
        Response::from_parts(head, Ending::new(body, over(used.clone()), manner).boxed_unsync())
    }

    /// A change of protocol that the app agrees to: from now on bytes are carried.
    fn switched(
        &self,
        mut answer: Response<Incoming>,
        visitor: Option<OnUpgrade>,
        used: &Used,
    ) -> Response<Body> {
        let (Some(visitor), Some(protocol)) = (visitor, upgrade(answer.headers())) else {
            return page::no_answer(None);
        };
        let app = hyper::upgrade::on(&mut answer);
        let kind = match protocol.as_bytes().eq_ignore_ascii_case(b"websocket") {
            true => Protocol::WebSocket,
            false => Protocol::Other,
        };
        let used = used.clone();
        self.open.spawn(async move {
            let (visitor, app) = match tokio::try_join!(visitor, app) {
                Ok(both) => both,
                Err(error) => {
                    return tracing::debug!(%error, "a connection broke while it changed its protocol");
                }
            };
            let (visitor, app) = (TokioIo::new(visitor), TokioIo::new(app));
            if let Err(error) = web_socket::carry(visitor, app, kind, used.over()).await {
                tracing::debug!(%error, "a connection that had changed its protocol broke");
            }
        });
        let (mut head, _) = answer.into_parts();
        end_hop(&mut head.headers);
        without_own_cookies(&mut head.headers);
        begin_upgrade(&mut head.headers, protocol);
        head.extensions.clear();
        Response::from_parts(head, Empty::new().map_err(|never| match never {}).boxed_unsync())
    }
}

/// The address of a path at an app, with the path as it came.
fn uri(asked: &Uri, app: Authority) -> Option<Uri> {
    let path = asked.path_and_query().cloned().unwrap_or(PathAndQuery::from_static("/"));
    Uri::builder().scheme(Scheme::HTTP).authority(app).path_and_query(path).build().ok()
}

async fn over(used: Used) {
    used.over().await;
}

fn without_own_cookies(headers: &mut HeaderMap) {
    let all: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
    if all.iter().any(cookie::is_own) {
        headers.remove(SET_COOKIE);
        for value in all.into_iter().filter(|value| !cookie::is_own(value)) {
            headers.append(SET_COOKIE, value);
        }
    }
}
