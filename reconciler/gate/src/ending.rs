//! Bodies that end when the right to them does.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Frame, Incoming, SizeHint};

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Broken>;

/// A body that ended before its time.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// The right to it has ended.
    #[error("the right to it has ended")]
    Over,
    /// The other end broke.
    #[error(transparent)]
    Http(#[from] hyper::Error),
}

/// End of a body whose right to go on has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As if it were whole: a stream of events is whole at any moment.
    Quiet,
    /// Broken off, so that nobody takes a part for the whole.
    Abrupt,
}

/// A body that goes on until `over`.
pub(crate) struct Ending<F> {
    inner: Incoming,
    over: Pin<Box<F>>,
    manner: Manner,
}

impl<F: Future<Output = ()> + Send> Ending<F> {
    pub(crate) fn new(inner: Incoming, over: F, manner: Manner) -> Self {
        Self { inner, over: Box::pin(over), manner }
    }
}

impl<F: Future<Output = ()> + Send> hyper::body::Body for Ending<F> {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.over.as_mut().poll(context).is_ready() {
            return Poll::Ready(match self.manner {
                Manner::Quiet => None,
                Manner::Abrupt => Some(Err(Broken::Over)),
            });
        }
        Pin::new(&mut self.inner)
            .poll_frame(context)
            .map(|frame| frame.map(|frame| frame.map_err(Broken::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
