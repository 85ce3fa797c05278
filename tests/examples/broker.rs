//! The broker for suites in other languages: starts one and prints one line of JSON that says where it is.
//!
//! Then it reads commands: `restart` kills and starts it again and prints `restarted`; the end of input ends it.
#![allow(clippy::print_stdout, reason = "its output is the point")]

use harness::Broker;
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() {
    let mut broker = Broker::start().await;
    println!(
        "{}",
        serde_json::json!({ "nats": format!("nats://{}", broker.nats) })
    );
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(command)) = commands.next_line().await {
        if command == "restart" {
            broker.kill9().await;
            broker.restart().await;
            println!("restarted");
        }
    }
}
