//! Signing on time.

use std::sync::Arc;

use tokio::sync::watch;

use crate::app::App;

/// Looks at the start, whenever somebody wakes it, and at intervals, until the stop.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        let looked = app.blocking(|app| {
            app.online.look(&app.content, &app.metrics);
            Ok(())
        });
        if let Err(error) = looked.await {
            tracing::error!(reason = %error.for_log(), "looking for what is to be signed failed");
        }
        tokio::select! {
            () = tokio::time::sleep(app.online.settings.look) => {}
            () = app.online.wake.notified() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}
