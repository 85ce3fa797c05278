//! What each tier may publish and subscribe, as one table.
//!
//! Contract 4.4, with two differences. Nobody may publish to `_INBOX.>`: replies to a user are sent by services, and
//! forging one for somebody else would be possible otherwise; answering a received request is allowed by
//! `allow_responses`. And `room.mine` and `users.get` are ours.

use std::time::Duration;

use broker::{Permissions, ResponsePermission, SubjectPermissions};

use Tier::{Admin, None, User};

/// How much somebody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Role `admin`.
    Admin,
    /// Role `user`.
    User,
    /// Neither: reads along.
    None,
}

const EVERYBODY: &[Tier] = &[Admin, User, None];
const WRITERS: &[Tier] = &[Admin, User];
const ADMINS: &[Tier] = &[Admin];

/// Subjects and who may publish them; `{me}` is the user name.
const PUBLISH: &[(&str, &[Tier])] = &[
    ("deliver.{me}.send.>", WRITERS),
    ("admin.>", ADMINS),
    ("chat.history.>", EVERYBODY),
    ("chat.dms", EVERYBODY),
    ("msg.get", EVERYBODY),
    ("room.join.*", EVERYBODY),
    ("room.leave.*", EVERYBODY),
    ("room.list", EVERYBODY),
    ("room.mine", EVERYBODY),
    ("room.info.*", EVERYBODY),
    ("room.create", WRITERS),
    ("room.invite.*", WRITERS),
    ("room.kick.*", WRITERS),
    ("room.depart.*", WRITERS),
    ("room.members.*", WRITERS),
    ("presence.update", EVERYBODY),
    ("presence.heartbeat", EVERYBODY),
    ("presence.disconnect", EVERYBODY),
    ("presence.room.*", EVERYBODY),
    ("read.update.*", EVERYBODY),
    ("read.state.*", EVERYBODY),
    ("users.search", EVERYBODY),
    ("users.get", EVERYBODY),
    ("translate.request", EVERYBODY),
    ("translate.ping", EVERYBODY),
    ("stickers.products", EVERYBODY),
    ("stickers.product.*", EVERYBODY),
    ("app.*.*.>", EVERYBODY),
    ("apps.list", EVERYBODY),
    ("apps.room.*", EVERYBODY),
    ("apps.install.*", WRITERS),
    ("apps.uninstall.*", WRITERS),
    ("file.info.*", EVERYBODY),
    ("file.list.*", EVERYBODY),
    ("file.download.request", EVERYBODY),
    ("file.upload.request", WRITERS),
    ("file.uploaded", WRITERS),
    ("e2ee.identity.publish.{me}", EVERYBODY),
    ("e2ee.keys.get.>", EVERYBODY),
    ("e2ee.roomkey.get.>", EVERYBODY),
    ("e2ee.room.meta.>", EVERYBODY),
    ("e2ee.roomkey.distribute.{me}", WRITERS),
    ("e2ee.roomkey.raw.pub.{me}", WRITERS),
    ("e2ee.roomkey.request.>", WRITERS),
    ("e2ee.roomkey.rotate.>", WRITERS),
    ("e2ee.room.enable.>", WRITERS),
    ("e2ee.room.disable.>", WRITERS),
    ("e2ee.room.epoch.>", WRITERS),
];

/// Subjects and who may subscribe to them.
const SUBSCRIBE: &[(&str, &[Tier])] = &[
    ("deliver.{me}.>", EVERYBODY),
    ("room.notify.*", EVERYBODY),
    ("room.presence.*", EVERYBODY),
    ("_INBOX.>", EVERYBODY),
    ("e2ee.roomkey.request.>", WRITERS),
    ("e2ee.roomkey.rotate.>", WRITERS),
    ("room.changed.>", WRITERS),
];

/// A received request may be answered once, within this time.
const RESPONSE_EXPIRES: Duration = Duration::from_secs(5 * 60);

impl Tier {
    /// The permissions of `me` in this tier.
    #[must_use]
    pub fn permissions(self, me: &str) -> Permissions {
        Permissions {
            publish: self.select(PUBLISH, me),
            subscribe: self.select(SUBSCRIBE, me),
            allow_responses: Some(ResponsePermission {
                max: 1,
                expires: RESPONSE_EXPIRES,
            }),
            private_inboxes: true,
        }
    }

    fn select(self, table: &[(&str, &[Self])], me: &str) -> SubjectPermissions {
        let rows = table.iter().filter(|(_, tiers)| tiers.contains(&self));
        SubjectPermissions {
            allow: Some(
                rows.map(|(subject, _)| subject.replace("{me}", me))
                    .collect(),
            ),
            deny: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Contract 4.4 row by row: subjects, then admin, user, none.
    const CONTRACT_PUBLISH: &str = "
        deliver.{me}.send.> | yes yes no
        admin.> | yes no no
        chat.history.> chat.dms msg.get | yes yes yes
        room.join.* room.leave.* | yes yes yes
        room.list room.info.* | yes yes yes
        room.create room.invite.* room.kick.* room.depart.* | yes yes no
        presence.update presence.heartbeat presence.disconnect presence.room.* | yes yes yes
        read.update.* read.state.* | yes yes yes
        users.search | yes yes yes
        translate.request translate.ping | yes yes yes
        stickers.products stickers.product.* | yes yes yes
        app.*.*.> | yes yes yes
        apps.list apps.room.* | yes yes yes
        apps.install.* apps.uninstall.* | yes yes no
        file.info.* file.list.* file.download.request | yes yes yes
        file.upload.request file.uploaded | yes yes no
        e2ee.identity.publish.{me} e2ee.keys.get.> e2ee.roomkey.get.> e2ee.room.meta.> | yes yes yes
        e2ee.roomkey.distribute.{me} e2ee.roomkey.raw.pub.{me} e2ee.roomkey.request.> e2ee.roomkey.rotate.> | yes yes no
        e2ee.room.enable.> e2ee.room.disable.> e2ee.room.epoch.> | yes yes no
        room.members.* | yes yes no
        room.mine users.get | yes yes yes";
    const CONTRACT_SUBSCRIBE: &str = "
        deliver.{me}.> room.notify.* room.presence.* _INBOX.> | yes yes yes
        e2ee.roomkey.request.> e2ee.roomkey.rotate.> room.changed.> | yes yes no";

    #[track_caller]
    fn check(contract: &str, column: usize, permissions: &SubjectPermissions) {
        let mut expected = Vec::new();
        for row in contract.lines().filter(|row| !row.trim().is_empty()) {
            let (subjects, cells) = row.split_once('|').unwrap();
            if cells.split_whitespace().nth(column) == Some("yes") {
                expected.extend(
                    subjects
                        .split_whitespace()
                        .map(|subject| subject.replace("{me}", "bob")),
                );
            }
        }
        let mut allowed = permissions.allow.clone().unwrap();
        expected.sort();
        allowed.sort();
        assert_eq!(allowed, expected);
        assert!(permissions.deny.is_empty());
    }

    #[test]
    fn every_cell_is_the_contracts() {
        for (column, tier) in [Admin, User, None].into_iter().enumerate() {
            let permissions = tier.permissions("bob");
            check(CONTRACT_PUBLISH, column, &permissions.publish);
            check(CONTRACT_SUBSCRIBE, column, &permissions.subscribe);
            let responses = permissions.allow_responses.unwrap();
            assert_eq!(
                (responses.max, responses.expires),
                (1, Duration::from_secs(300))
            );
            assert!(permissions.private_inboxes);
        }
    }

    #[test]
    fn what_browsers_must_never_reach_is_in_no_list() {
        for subject in permissions_of_all() {
            assert!(
                !subject.starts_with("chat.")
                    || ["chat.history.>", "chat.dms"].contains(&subject.as_str())
            );
            assert!(!subject.starts_with('$') && subject != ">" && subject != "*");
            assert!(!subject.starts_with("e2ee.roomkey.raw.get"));
        }
    }

    fn permissions_of_all() -> Vec<String> {
        let lists = [Admin, User, None].map(|tier| tier.permissions("bob"));
        let subjects = lists
            .into_iter()
            .flat_map(|list| [list.publish.allow, list.subscribe.allow]);
        subjects.flatten().flatten().collect()
    }
}
