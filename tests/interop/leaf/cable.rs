//! A cable between two sites that can be cut and mended.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Passes connections on while it is whole.
pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    is_whole: watch::Sender<bool>,
    /// Connections that came through while it was whole.
    passed: Arc<AtomicUsize>,
}

impl Cable {
    /// A whole cable to `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_whole, seen) = watch::channel(true);
        let passed = Arc::new(AtomicUsize::new(0));
        let count = passed.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let seen = seen.clone();
                if *seen.borrow() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                tokio::spawn(pass(near, target, seen));
            }
        });
        Self {
            address,
            is_whole,
            passed,
        }
    }

    /// How many connections have come through.
    pub(crate) fn connections(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }

    /// Everything that runs through it breaks, and nothing new comes through.
    pub(crate) fn cut(&self) {
        self.is_whole.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.is_whole.send_replace(true);
    }
}

async fn pass(mut near: TcpStream, target: SocketAddr, mut is_whole: watch::Receiver<bool>) {
    if !*is_whole.borrow_and_update() {
        return;
    }
    let Ok(mut far) = TcpStream::connect(target).await else {
        return;
    };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = is_whole.wait_for(|is_whole| !is_whole) => {}
    }
}
