//! The appliance for suites in other languages: starts one with three users and prints one line of JSON.
//!
//! Then it reads commands: `restart` kills and starts it again and prints `restarted`; the end of input ends it.
#![allow(clippy::print_stdout, reason = "its output is the point")]

use harness::{Appliance, Role};
use tokio::io::{AsyncBufReadExt, BufReader};

#[tokio::main]
async fn main() {
    let lifetime = std::env::args().nth(1).unwrap_or_else(|| "15m".to_owned());
    let config = format!(
        "[services]\nmessages_per_minute = 10000\n[identity]\naccess_token_lifetime = \"{lifetime}\"\n"
    );
    let mut appliance = Appliance::with_config(&config).await;
    let mut tokens = serde_json::Map::new();
    for (name, role) in [
        ("alice", Role::Admin),
        ("bob", Role::User),
        ("mike", Role::None),
    ] {
        appliance.add_user(name, role).await;
        tokens.insert(name.to_owned(), appliance.token(name).await.into());
    }
    let websocket = format!("{}/nats-ws", appliance.url.replacen("http", "ws", 1));
    let nats = format!("nats://{}", appliance.nats);
    println!(
        "{}",
        serde_json::json!({ "nats": nats, "websocket": websocket, "url": appliance.url, "tokens": tokens })
    );
    let mut commands = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(command)) = commands.next_line().await {
        if command == "restart" {
            appliance.kill9().await;
            appliance.restart().await;
            println!("restarted");
        }
    }
}
