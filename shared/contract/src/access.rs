//! Who calls, and what they may do: decided from the contract alone.

use std::collections::BTreeMap;

use crate::policy::{Access, Contract, MethodPolicy};

/// An end user on whose behalf a call is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    /// The user's id.
    pub subject: String,
    /// The names of the user's roles.
    pub roles: Vec<String>,
}

/// Who makes a call, once authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Brought no credentials.
    Anonymous,
    /// A user with a token of their own.
    User(Actor),
    /// A service, for a user: what it may do is bounded by its grant and by the
    /// user's permissions.
    Delegate {
        /// The calling service.
        service: String,
        /// The user it acts for.
        actor: Actor,
    },
    /// A service on its own account: only its grant counts.
    Service {
        /// The calling service.
        service: String,
        /// The user who once caused this, for the record only.
        cause: Option<Actor>,
    },
}

/// The permissions each calling service is granted: service name to permissions.
pub type Grants = BTreeMap<String, Vec<String>>;

/// On what a caller holds the method's permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// On everything.
    All,
    /// Only on what belongs to this subject.
    Own(String),
}

/// What authorization found: a request extension that handlers read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    /// Who calls.
    pub caller: Caller,
    /// On what the method's permission is held.
    pub scope: Scope,
}

/// Why a caller may not call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The method needs credentials and there were none.
    #[error("this method needs credentials")]
    Unauthenticated,
    /// The user's roles lack the permission.
    #[error("the permission {0} is missing")]
    PermissionMissing(&'static str),
    /// The calling service is not granted the permission, whatever the user may do.
    #[error("the calling service is not granted the permission {0}")]
    NotGranted(&'static str),
}

impl Caller {
    /// The user behind the call, where there is one.
    pub fn actor(&self) -> Option<&Actor> {
        match self {
            Self::Anonymous => None,
            Self::User(actor) | Self::Delegate { actor, .. } => Some(actor),
            Self::Service { cause, .. } => cause.as_ref(),
        }
    }

    /// Who answers for the call: the user's id, or `service:NAME`, or `anonymous`.
    /// This is the subject under which request ids are unique.
    pub fn subject(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::User(actor) | Self::Delegate { actor, .. } => actor.subject.clone(),
            Self::Service { service, .. } => format!("service:{service}"),
        }
    }
}

impl Scope {
    /// Whether what belongs to `owner` is within the scope.
    pub fn covers(&self, owner: &str) -> bool {
        match self {
            Self::All => true,
            Self::Own(subject) => subject == owner,
        }
    }
}

impl Contract {
    /// What `grants` has that is no permission: each with the service that is granted it. A
    /// typing error would be noticed as a refusal only.
    pub fn unknown_grants<'a>(
        &self,
        grants: &'a Grants,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let granted = grants.iter().flat_map(|(service, permissions)| {
            permissions.iter().map(|permission| (service.as_str(), permission.as_str()))
        });
        granted.filter(|(_, permission)| !self.permissions.contains(permission))
    }

    /// Decides whether `caller` may call `method`, and on what.
    ///
    /// # Errors
    /// [`Denied`] where the caller lacks what the method asks for.
    pub fn authorize(
        &self,
        method: &MethodPolicy,
        caller: &Caller,
        grants: &Grants,
    ) -> Result<Scope, Denied> {
        let Access::Permission(permission) = method.access else {
            return Ok(Scope::All);
        };
        let missing = Denied::PermissionMissing(permission);
        let granted = |service: &str| {
            grants.get(service).is_some_and(|held| held.iter().any(|p| p == permission))
        };
        match caller {
            Caller::Anonymous => Err(Denied::Unauthenticated),
            Caller::User(actor) => self.scope_of(actor, permission).ok_or(missing),
            Caller::Delegate { service, actor } if granted(service) => {
                self.scope_of(actor, permission).ok_or(missing)
            }
            Caller::Service { service, .. } if granted(service) => Ok(Scope::All),
            Caller::Delegate { .. } | Caller::Service { .. } => Err(Denied::NotGranted(permission)),
        }
    }

    /// The widest scope on which one of the actor's roles holds the permission.
    fn scope_of(&self, actor: &Actor, permission: &str) -> Option<Scope> {
        let roles = || actor.roles.iter().filter_map(|name| self.role(name));
        if roles().any(|role| role.permissions.contains(&permission)) {
            Some(Scope::All)
        } else if roles().any(|role| role.own.contains(&permission)) {
            Some(Scope::Own(actor.subject.clone()))
        } else {
            None
        }
    }
}
