//! Records of passes, as the reconciler tells them over its socket.

use std::path::PathBuf;
use std::time::Duration;

use berth_fault::chain;
use berth_wire::client::{ClientError, Daemon};
use berth_wire::{Event, Listener};
use tokio::sync::mpsc;

use crate::news::News;

/// Time between two looks for the reconciler.
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

/// Passes on the record of every pass, forever; looks for the reconciler again when it is gone.
pub(crate) async fn listen(socket: PathBuf, news: mpsc::Sender<News>) {
    let forward = Forward(news);
    loop {
        if let Err(error) = hear(&socket, &forward).await {
            tracing::debug!(error = %chain(&error), "the reconciler can't be listened to");
        }
        tokio::time::sleep(AGAIN).await;
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
