//! What passes come to, as the reconciler tells it over its socket.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::statuses::News;
use crate::client::{ClientError, Daemon};
use crate::event::{Event, Listener};
use crate::outcome::chain;

/// How long to wait before looking for the reconciler again.
const AGAIN: Duration = Duration::from_secs(2);

struct Forward(mpsc::Sender<News>);

impl Listener for Forward {
    fn hear(&self, event: Event) {
        if let Event::PassEnded(record) = event {
            // Where too much waits already, the next pass says the same again, within a minute.
            let _ = self.0.try_send(News::Ended(Box::new(record)));
        }
    }
}

/// Passes on what every pass comes to, until `stop`; looks for the reconciler again when it is gone.
pub(super) async fn listen(socket: PathBuf, news: mpsc::Sender<News>, stop: CancellationToken) {
    let forward = Forward(news);
    loop {
        let heard = tokio::select! {
            () = stop.cancelled() => return,
            heard = hear(&socket, &forward) => heard,
        };
        if let Err(error) = heard {
            tracing::debug!(error = %chain(&error), "the reconciler can't be listened to");
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

async fn hear(socket: &std::path::Path, forward: &Forward) -> Result<(), ClientError> {
    // Listening begins before the look at what was, so that a pass that ends between the two is seen by one of them.
    let (Some(mut events), Some(mut daemon)) = (Daemon::find(socket).await?, Daemon::find(socket).await?)
    else {
        return Ok(());
    };
    let look = async {
        let status = daemon.status().await?;
        if let Some(record) = status.and_then(|status| status.last_pass) {
            forward.hear(Event::PassEnded(record));
        }
        Ok::<_, ClientError>(())
    };
    let (listened, looked) = tokio::join!(events.listen(forward), look);
    listened.and(looked)
}
