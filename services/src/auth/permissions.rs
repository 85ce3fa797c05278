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

    fn select(self, table: &[(&str, &[Tier])], me: &str) -> SubjectPermissions {
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
