//! What can be wrong with users and accounts. Where nats-server has a text for it, this is it.

/// A configuration that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountsError {
    /// The token together with users.
    #[error("cannot have a token and a users array")]
    TokenAndUsers,
    /// A name stands for two users, or an nkey.
    #[error("duplicate user {user:?} detected")]
    DuplicateUser {
        /// The name.
        user: String,
    },
    /// Two accounts have one name.
    #[error("duplicate account {account:?}")]
    DuplicateAccount {
        /// The name.
        account: String,
    },
    /// An account without a name, or with one that no subject could carry.
    #[error("invalid account name {account:?}")]
    AccountName {
        /// The name.
        account: String,
    },
    /// A user without a name.
    #[error("user entry requires a user or an nkey")]
    NamelessUser,
    /// No public key of a user.
    #[error("not a valid public nkey for a user: {key:?}")]
    Nkey {
        /// The text.
        key: String,
    },
    /// A bcrypt hash that is cut short.
    #[error("the password of user {user:?} looks like a bcrypt hash and is none")]
    PasswordHash {
        /// The user, or "token".
        user: String,
    },
    /// `no_auth_user` names nobody.
    #[error(
        "no_auth_user: {user:?} not present as user or nkey in authorization block or account configuration"
    )]
    NoAuthUser {
        /// The name.
        user: String,
    },
    /// Both a system account and none.
    #[error("system_account {account:?} and no_system_account contradict each other")]
    SystemAccount {
        /// The name.
        account: String,
    },
    /// JetStream where events are.
    #[error("jetstream can not be enabled for the system account {account:?}")]
    JetStreamInSystemAccount {
        /// The name.
        account: String,
    },
    /// Not one of the connection types.
    #[error("unknown connection type {name:?}")]
    UnknownConnectionType {
        /// The text.
        name: String,
    },
    /// A subject that is none.
    #[error("subject {subject:?} is not a valid subject")]
    Subject {
        /// The text.
        subject: String,
    },
    /// An import from an account that is not there.
    #[error("account {account:?} imports from {exporter:?}, which is not configured")]
    UnknownExporter {
        /// Who imports.
        account: String,
        /// From whom.
        exporter: String,
    },
    /// An import of what nobody gives.
    #[error("account {account:?} is not allowed to import {subject:?} from {exporter:?}")]
    ImportNotAuthorized {
        /// Who imports.
        account: String,
        /// From whom.
        exporter: String,
        /// What.
        subject: String,
    },
    /// A stream import with both `to` and `prefix`.
    #[error("the import of {subject:?} by account {account:?} has both a prefix and a target")]
    PrefixAndTarget {
        /// Who imports.
        account: String,
        /// What.
        subject: String,
    },
    /// What is imported comes back.
    #[error("the import of {subject:?} by account {account:?} forms a cycle")]
    ImportCycle {
        /// Who imports.
        account: String,
        /// What.
        subject: String,
    },
    /// The two subjects of an import do not fit together.
    #[error("the import of {subject:?} as {to:?} by account {account:?}: {reason}")]
    ImportTransform {
        /// Who imports.
        account: String,
        /// The subject there.
        subject: String,
        /// The subject here.
        to: String,
        /// Why.
        reason: String,
    },
    /// A private export names an account that is not there.
    #[error("account {account:?} not defined for the export of {subject:?}")]
    UnknownImporter {
        /// Who should be allowed.
        account: String,
        /// What.
        subject: String,
    },
    /// Two services have one name.
    #[error("duplicate service import subject {subject:?} of account {account:?}")]
    DuplicateServiceImport {
        /// Who imports.
        account: String,
        /// The subject here.
        subject: String,
    },
    /// A mapping that is none.
    #[error("mapping of {from:?}: {reason}")]
    Mapping {
        /// What is mapped.
        from: String,
        /// Why.
        reason: String,
    },
    /// A position where the exported subject has no wildcard.
    #[error("account token position {position} of export {subject:?} is no wildcard")]
    AccountTokenPosition {
        /// What is exported.
        subject: String,
        /// The position.
        position: usize,
    },
}
