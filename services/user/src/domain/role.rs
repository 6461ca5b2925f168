//! Roles.

/// What a user may do, by name. What each amounts to is said in the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Everything.
    Admin,
    /// What is their own.
    User,
}

impl Role {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Admin, Self::User];

    /// The name as it stands in tokens and in the contract.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }

    /// The role of this name, where there is one.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }
}
