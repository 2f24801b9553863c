//! Bodies of requests, and of answers: those that are there at once, and those that are made while they are read.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::StatusCode;
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use tokio::sync::mpsc;

/// Pieces of an answer that may wait to be sent.
const PIECES_MAX: usize = 2;

pub enum Body {
    Whole(Option<Bytes>),
    Pieces(mpsc::Receiver<Vec<u8>>),
}

impl Body {
    pub fn whole(text: String) -> Body {
        Body::Whole(Some(text.into()))
    }

    /// A body that gets what `make` sends, on a thread that may block until the peer has read.
    pub fn made_by(make: impl FnOnce(Pieces) + Send + 'static) -> Body {
        let (pieces, body) = mpsc::channel(PIECES_MAX);
        tokio::task::spawn_blocking(move || make(Pieces(pieces)));
        Body::Pieces(body)
    }
}

pub struct Pieces(mpsc::Sender<Vec<u8>>);

impl Pieces {
    /// False when nobody listens any more.
    pub fn send(&self, piece: Vec<u8>) -> bool {
        self.0.blocking_send(piece).is_ok()
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Body::Whole(whole) => Poll::Ready(whole.take().map(|bytes| Ok(Frame::data(bytes)))),
            Body::Pieces(pieces) => {
                pieces.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece.into()))))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Body::Whole(whole) => SizeHint::with_exact(whole.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Body::Pieces(_) => SizeHint::default(),
        }
    }
}

/// Why a request's body was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not come: {0}")]
    Lost(#[from] hyper::Error),
}

impl ReadError {
    pub fn status(&self) -> StatusCode {
        match self {
            ReadError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            ReadError::Lost(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// A request's body, if it is not too large.
pub async fn read_whole(mut body: Incoming, bytes_max: usize) -> Result<Vec<u8>, ReadError> {
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(ReadError::TooLarge(bytes_max));
    }
    let mut whole = Vec::new();
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(data) = frame?.into_data() else { continue };
        if whole.len() + data.len() > bytes_max {
            return Err(ReadError::TooLarge(bytes_max));
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole)
}
