//! The user's wish to end a stay: Ctrl-C, or SIGTERM.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Becomes true at the first signal; a second one ends the process at once.
///
/// # Errors
/// A sentence, when the system refuses.
pub fn on_signal() -> Result<Arc<AtomicBool>, String> {
    let wished = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| format!("cannot listen for signals: {e}"))?;
    let flag = wished.clone();
    let listen = move || {
        runtime.block_on(async {
            while next().await.is_ok() {
                if flag.swap(true, Ordering::AcqRel) {
                    std::process::exit(130);
                }
            }
        });
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(|e| e.to_string())?;
    Ok(wished)
}

#[cfg(unix)]
async fn next() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn next() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
