//! Who asks: the broker's stamp.

use std::sync::Arc;

use broker::Sender;

use crate::wire::Refusal;

/// The role that makes an administrator.
const ADMIN_ROLE: &str = "admin";

/// Who sent a request.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// A service in this process: trusted to speak for others.
    Service,
    /// A connection.
    User(Arc<Sender>),
}

impl Caller {
    pub(crate) fn new(sender: Option<&Arc<Sender>>) -> Self {
        sender.map_or(Self::Service, |sender| Self::User(Arc::clone(sender)))
    }

    /// The user this is about: the sender, or whom a service names.
    ///
    /// # Errors
    /// When a user's body names somebody else, or a service names nobody.
    pub(crate) fn speaks_for(&self, claimed: Option<&str>) -> Result<String, Refusal> {
        let claimed = claimed.filter(|name| !name.is_empty());
        match (self, claimed) {
            (Self::User(sender), Some(claimed)) if sender.user != claimed => {
                Err(Refusal::user_mismatch())
            }
            (Self::User(sender), _) => Ok(sender.user.clone()),
            (Self::Service, Some(claimed)) => Ok(claimed.to_owned()),
            (Self::Service, None) => Err(Refusal::invalid_request("The request names no user.")),
        }
    }

    pub(crate) fn is_admin(&self) -> bool {
        match self {
            Self::Service => true,
            Self::User(sender) => sender.tags.iter().any(|tag| tag == ADMIN_ROLE),
        }
    }

    /// The connection, for what ends with it.
    pub(crate) fn client_id(&self) -> Option<u64> {
        match self {
            Self::Service => None,
            Self::User(sender) => Some(sender.client_id),
        }
    }

    pub(crate) fn user(&self) -> Option<&str> {
        match self {
            Self::Service => None,
            Self::User(sender) => Some(&sender.user),
        }
    }
}
