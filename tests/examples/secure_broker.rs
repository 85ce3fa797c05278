//! A broker with every kind of secured port, for suites in other languages: prints one line of JSON that says where they are
//! and which files a client needs.
//!
//! Then it reads commands: `disconnect` cuts every client off and prints `disconnected`; the end of input ends it.
#![allow(clippy::print_stdout, reason = "its output is the point")]

#[path = "../interop/secured/mod.rs"]
mod secured;

use secured::Secured;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() {
    let secured = Secured::start().await;
    println!("{}", secured.about());
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(command)) = commands.next_line().await {
        if command == "disconnect" {
            secured.disconnect().await;
            println!("disconnected");
        }
    }
    secured.stop().await;
}
