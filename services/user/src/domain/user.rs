//! The user.

use std::{collections::BTreeSet, fmt};

use time::OffsetDateTime;
use uuid::Uuid;

use super::{Email, Name, Role};

/// Which user. A UUIDv7, so that ids sort by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub Uuid);

impl UserId {
    /// Reads an id in any of the ways a UUID is written.
    pub fn parse(text: &str) -> Option<Self> {
        Uuid::try_parse(text).ok().map(Self)
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether a user may log in and order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// May.
    Active,
    /// Awaits activation.
    Pending,
    /// Locked by an administrator.
    Deactivated,
    /// Gone; only the id is kept.
    Deleted,
}

impl Status {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Active, Self::Pending, Self::Deactivated, Self::Deleted];

    /// The name, as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Pending => "PENDING",
            Self::Deactivated => "DEACTIVATED",
            Self::Deleted => "DELETED",
        }
    }

    /// The status of this name, where there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }
}

/// A customer's standing, on which discounts depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Everybody at first.
    Regular,
    /// A better discount.
    Premium,
    /// The best discount.
    Vip,
}

impl Tier {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Regular, Self::Premium, Self::Vip];

    /// The name, as it is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Regular => "REGULAR",
            Self::Premium => "PREMIUM",
            Self::Vip => "VIP",
        }
    }

    /// The tier of this name, where there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.as_str() == name)
    }
}

/// A user. The password is kept apart: whoever holds a user does not hold it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Which.
    pub id: UserId,
    /// Unique without regard to case.
    pub email: Email,
    /// What they are called.
    pub name: Name,
    /// Whether they may log in and order.
    pub status: Status,
    /// What their discount depends on.
    pub tier: Tier,
    /// What they may do. Never empty.
    pub roles: BTreeSet<Role>,
    /// 1 at first, and one more with every change.
    pub version: u32,
    /// When they were created.
    pub create_time: OffsetDateTime,
    /// When they were last changed.
    pub update_time: OffsetDateTime,
}

impl User {
    /// A new user: active, regular, with one role.
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

    /// Whether they may log in and order.
    pub fn is_active(&self) -> bool {
        self.status == Status::Active
    }

    /// What stands for this version of the user.
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
    fn every_name_is_read_back() {
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
