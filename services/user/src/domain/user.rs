//! Users.

use std::{collections::BTreeSet, fmt};

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Email, Name, Role};

/// Id of a user: a UUIDv7, so ids sort by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub Uuid);

impl UserId {
    /// Parses an id from any text form of a UUID.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Status of a user. Only an active user may log in and order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// May log in and order.
    Active,
    /// Awaits activation.
    Pending,
    /// Locked by an administrator.
    Deactivated,
    /// Deleted, except for the id.
    Deleted,
}

impl Status {
    /// All statuses.
    pub const ALL: [Self; 4] = [Self::Active, Self::Pending, Self::Deactivated, Self::Deleted];

    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Pending => "PENDING",
            Self::Deactivated => "DEACTIVATED",
            Self::Deleted => "DELETED",
        }
    }

    /// Parses a stored name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// Tier of a customer. Decides the discount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Tier of every new customer.
    Regular,
    /// Tier above regular.
    Premium,
    /// Highest tier.
    Vip,
}

impl Tier {
    /// All tiers.
    pub const ALL: [Self; 3] = [Self::Regular, Self::Premium, Self::Vip];

    /// Returns the stored name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "REGULAR",
            Self::Premium => "PREMIUM",
            Self::Vip => "VIP",
        }
    }

    /// Parses a stored name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == name)
    }
}

/// User without the password, which is stored separately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Id.
    pub id: UserId,
    /// E-mail address, unique without regard to case.
    pub email: Email,
    /// Name.
    pub name: Name,
    /// Status.
    pub status: Status,
    /// Tier, which decides the discount.
    pub tier: Tier,
    /// Roles. Never empty.
    pub roles: BTreeSet<Role>,
    /// Version: 1 for a new user, increased by 1 with each change.
    pub version: u32,
    /// Time of creation.
    pub create_time: OffsetDateTime,
    /// Time of the last change.
    pub update_time: OffsetDateTime,
}

impl User {
    /// Creates a user: active, of the regular tier, with one role.
    pub fn new(id: UserId, email: Email, name: Name, role: Role, now: OffsetDateTime) -> Self {
        Self {
            id,
            email,
            name,
            status: Status::Active,
            tier: Tier::Regular,
            roles: BTreeSet::from([role]),
            version: 1,
            create_time: now,
            update_time: now,
        }
    }

    /// Returns true if the user may log in and order.
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// Returns the etag of this version of the user.
    pub fn etag(&self) -> String {
        format!("v{}", self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ann() -> User {
        let email = Email::try_new("ann@example.org").unwrap();
        let name = Name::try_new("Ann Smith").unwrap();
        User::new(UserId(Uuid::nil()), email, name, Role::User, OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_new_user_is_active_regular_and_at_the_first_version() {
        let user = ann();
        assert!(user.is_active());
        assert_eq!((user.tier, user.version), (Tier::Regular, 1));
        assert_eq!(user.roles, BTreeSet::from([Role::User]));
        assert_eq!(user.create_time, user.update_time);
    }

    #[test]
    fn only_an_active_user_is_active() {
        for status in Status::ALL {
            let user = User { status, ..ann() };
            assert_eq!(user.is_active(), status == Status::Active, "{status:?}");
        }
    }

    #[test]
    fn the_etag_follows_the_version() {
        assert_ne!(ann().etag(), User { version: 2, ..ann() }.etag());
    }

    #[test]
    fn debug_shows_nothing_personal() {
        let shown = format!("{:?}", ann());
        assert!(!shown.contains("ann@") && !shown.contains("Smith"), "{shown}");
    }

    #[test]
    fn stored_names_parse_back() {
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        for tier in Tier::ALL {
            assert_eq!(Tier::parse(tier.as_str()), Some(tier));
        }
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
        }
        assert_eq!(Role::parse("root"), None);
    }
}
