//! The thirteen demo users of the contract, with passwords that everybody knows.

use storage::chat::ChatDb;

use super::accounts::{Role, user_row};
use super::{Error, password};

/// User name, display name, roles. The password is the user name followed by `123`.
pub const DEMO_USERS: [(&str, &str, &[Role]); 13] = [
    ("alice", "Alice Admin", &[Role::Admin, Role::User]),
    ("bob", "Bob User", &[Role::User]),
    ("charlie", "Charlie Observer", &[]),
    ("diana", "Diana Manager", &[Role::Admin, Role::User]),
    ("evan", "Evan Developer", &[Role::User]),
    ("fiona", "Fiona Designer", &[Role::User]),
    ("george", "George Engineer", &[Role::User]),
    ("hannah", "Hannah Analyst", &[Role::User]),
    ("ivan", "Ivan Tester", &[Role::User]),
    ("julia", "Julia Lead", &[Role::Admin, Role::User]),
    ("kevin", "Kevin Ops", &[Role::User]),
    ("laura", "Laura Support", &[Role::User]),
    ("mike", "Mike Intern", &[]),
];

/// Adds the demo users that are missing. Only for a data directory that is the demo's own.
///
/// # Errors
/// When the database fails.
pub async fn seed_demo_users(db: &ChatDb) -> Result<(), Error> {
    for (username, display_name, roles) in DEMO_USERS {
        if db.user_by_name(username).await?.is_some() {
            continue;
        }
        let hash = password::hash_public(&format!("{username}123"))?;
        let email = Some(format!("{username}@example.com"));
        db.insert_user(user_row(
            username,
            display_name.to_owned(),
            email,
            hash,
            roles,
        ))
        .await?;
    }
    Ok(())
}
