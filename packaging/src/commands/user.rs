//! `natterjack user`: accounts at the terminal.
//!
//! It opens the chat database and nothing else, so it works beside a running server, which notices within a second.

use std::path::Path;

use anyhow::Context;
use services::identity::{self, Accounts, Identity, NewUser, User, UserName};
use storage::chat::ChatDb;

use crate::cli::{Common, Role, ServeFlags, UserCommand};
use crate::config::Loaded;
use crate::explain::explain;
use crate::output::{note, say};
use crate::password::{self, Password};
use crate::purpose::Purpose;
use crate::trouble::{Exit, Trouble};
use crate::{banner, config, logging, wiring};

/// Runs one command.
pub(crate) fn run(common: &Common, command: UserCommand) -> Result<(), Trouble> {
    let loaded = config::load(common, &ServeFlags::default(), Purpose::Workspace)?;
    // What the rooms below log is for a server; here an answer or a `Trouble` says it.
    logging::start(common.log.as_deref().unwrap_or("error"))?;
    let path = storage::DataDir::chat_db_in(&loaded.data_dir);
    check_exists(&loaded.data_dir, &path)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Trouble::new(
                Exit::Software,
                format!("Could not start: {error}."),
                "Check the process limits (ulimit).",
            )
        })?;
    runtime.block_on(async {
        let db = ChatDb::open(&path)
            .await
            .map_err(|error| explain(&error.into()))?;
        let done = match command {
            UserCommand::Token { name } => token(&db, &loaded, &name).await,
            command => execute(&Accounts::new(db.clone()), command).await,
        };
        db.close().await;
        done
    })
}

/// Prints an access token and nothing else.
async fn token(db: &ChatDb, loaded: &Loaded, name: &str) -> Result<(), Trouble> {
    let username = existing(&Accounts::new(db.clone()), name).await?;
    let demo = Purpose::of(&loaded.data_dir)? == Some(Purpose::Demo);
    let keys = storage::DataDir::keys_in(&loaded.data_dir);
    let config = wiring::identity(&loaded.config, demo);
    let identity = Identity::open(db.clone(), &keys, config)
        .await
        .map_err(refused)?;
    let user = identity.accounts().user(&username).await.map_err(refused)?;
    let user = user.filter(|user| !user.disabled).ok_or_else(|| {
        Trouble::usage(
            format!("{name} is disabled and can not sign in."),
            format!("`natterjack user enable {name}` undoes it."),
        )
    })?;
    let url = loaded.config.http.public_url.clone();
    let origin = url.unwrap_or_else(|| banner::url_of(loaded.config.http.listen));
    let issued = super::token::issue(&identity, user, origin).await;
    identity.close().await;
    say(&issued.map_err(|error| explain(&error))?);
    Ok(())
}

fn check_exists(data_dir: &Path, chat_db: &Path) -> Result<(), Trouble> {
    match chat_db.try_exists() {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble::new(
            Exit::NoInput,
            format!("There is no workspace in {} yet.", data_dir.display()),
            "Start natterjack once, or name the directory that the server printed with --data-dir.",
        )),
        Err(error) => Err(Trouble::io("read", chat_db, &error)),
    }
}

async fn execute(accounts: &Accounts, command: UserCommand) -> Result<(), Trouble> {
    match command {
        UserCommand::Add {
            name,
            display_name,
            role,
            password,
        } => {
            let username = parse(&name)?;
            if accounts.user(&username).await.map_err(refused)?.is_some() {
                return Err(refused(identity::Error::NameTaken { username: name }));
            }
            let password = password::obtain(&password)?;
            let new = NewUser {
                display_name: display_name.unwrap_or_else(|| name.clone()),
                username,
                email: None,
                password: password.text.clone(),
                roles: with_user(&role),
            };
            let user = accounts.create(new).await.map_err(refused)?;
            say(&format!(
                "{} can sign in now ({}).",
                user.username,
                user.roles.join(", ")
            ));
            reveal(&password);
        }
        UserCommand::List { json } => list(&accounts.list().await.map_err(refused)?, json)?,
        UserCommand::Passwd { name, password } => {
            let username = existing(accounts, &name).await?;
            let password = password::obtain(&password)?;
            accounts
                .set_password(&username, &password.text)
                .await
                .map_err(refused)?;
            say(&format!(
                "{name} has a new password. Whoever was signed in as {name} is signed out."
            ));
            reveal(&password);
        }
        UserCommand::Role {
            name,
            role,
            remove: false,
        } => {
            accounts
                .add_role(&parse(&name)?, role.into())
                .await
                .map_err(refused)?;
            say(&format!("{name} is {} now.", role.name()));
        }
        UserCommand::Role {
            name,
            role,
            remove: true,
        } => {
            accounts
                .remove_role(&parse(&name)?, role.into())
                .await
                .map_err(refused)?;
            say(&format!("{name} is not {} any more.", role.name()));
        }
        UserCommand::Disable { name } => {
            accounts.disable(&parse(&name)?).await.map_err(refused)?;
            say(&format!(
                "{name} is locked and signed out; messages stay. `natterjack user enable {name}` undoes it."
            ));
        }
        UserCommand::Enable { name } => {
            accounts.enable(&parse(&name)?).await.map_err(refused)?;
            say(&format!("{name} can sign in again."));
        }
        UserCommand::Token { .. } => {
            unreachable!("`run` takes this one, it needs the keys as well")
        }
    }
    Ok(())
}

/// Whoever has a role may also talk.
fn with_user(roles: &[Role]) -> Vec<identity::Role> {
    let mut roles: Vec<identity::Role> = roles.iter().map(|role| (*role).into()).collect();
    roles.push(identity::Role::User);
    roles.sort_unstable();
    roles.dedup();
    roles
}

impl From<Role> for identity::Role {
    fn from(role: Role) -> Self {
        match role {
            Role::Admin => Self::Admin,
            Role::User => Self::User,
        }
    }
}

fn parse(name: &str) -> Result<UserName, Trouble> {
    UserName::parse(name).map_err(|error| refused(error.into()))
}

/// Checked before a password is asked for.
async fn existing(accounts: &Accounts, name: &str) -> Result<UserName, Trouble> {
    let username = parse(name)?;
    match accounts.user(&username).await.map_err(refused)? {
        Some(_) => Ok(username),
        None => Err(refused(identity::Error::UnknownUser {
            username: name.to_owned(),
        })),
    }
}

/// Standard output has the password and nothing else of its line, so that a script can take it.
fn reveal(password: &Password) {
    if password.is_generated {
        note("Its password, shown this once:");
        say(&password.text);
    }
}

fn list(users: &[User], json: bool) -> Result<(), Trouble> {
    if json {
        let rows: Vec<_> = users.iter().map(row).collect();
        let text = serde_json::to_string_pretty(&rows)
            .context("could not write JSON")
            .map_err(|error| explain(&error))?;
        say(&text);
        return Ok(());
    }
    if users.is_empty() {
        note("Nobody yet. `natterjack user add NAME` adds somebody.");
        return Ok(());
    }
    let cells = users.iter().map(|user| {
        let state = if user.disabled { "disabled" } else { "" };
        [
            user.username.clone(),
            user.display_name.clone(),
            user.roles.join(", "),
            state.to_owned(),
        ]
    });
    let header = ["USER", "NAME", "ROLES", ""].map(str::to_owned);
    say(&table(
        &std::iter::once(header).chain(cells).collect::<Vec<_>>(),
    ));
    Ok(())
}

fn row(user: &User) -> serde_json::Value {
    serde_json::json!({
        "id": user.id,
        "username": user.username,
        "displayName": user.display_name,
        "email": user.email,
        "roles": user.roles,
        "disabled": user.disabled,
        "createdAt": user.created_at,
    })
}

/// Columns as wide as their widest cell. Control characters, which could move the cursor, are left out.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let clean = |cell: &String| cell.chars().filter(|c| !c.is_control()).collect::<String>();
    let rows: Vec<[String; N]> = rows.iter().map(|row| row.each_ref().map(clean)).collect();
    let widths: [usize; N] = std::array::from_fn(|column| {
        rows.iter()
            .map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    });
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .zip(widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Words for what accounts refuse.
fn refused(error: identity::Error) -> Trouble {
    use identity::Error;
    let remedy = match &error {
        Error::UserName(_) => "Choose another name; the display name may be anything.",
        Error::Password(_) => "Choose another password, or let natterjack make one.",
        Error::DisplayName => "Choose another with --display-name.",
        Error::NameTaken { .. } => {
            "Choose another name, or set a new password with `natterjack user passwd`."
        }
        Error::UnknownUser { .. } => "`natterjack user list` shows everybody.",
        _ => return explain(&error.into()),
    };
    let what = error.to_string();
    let (first, rest) = what.split_at(1);
    Trouble::usage(format!("{}{rest}.", first.to_uppercase()), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_carry_no_control_characters() {
        let rows = [["a", "Ana\u{1b}[2J", ""], ["bob", "B", "x"]].map(|row| row.map(str::to_owned));
        assert_eq!(table(&rows), "a    Ana[2J\nbob  B       x");
    }

    #[test]
    fn administrators_may_talk_too() {
        assert_eq!(
            with_user(&[Role::Admin]),
            [identity::Role::Admin, identity::Role::User]
        );
        assert_eq!(with_user(&[Role::User]), [identity::Role::User]);
    }
}
