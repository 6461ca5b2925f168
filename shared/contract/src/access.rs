//! Callers and their permissions, derived from the contract alone.

use std::collections::BTreeMap;

use crate::policy::{Access, Contract, MethodPolicy};

/// A user on whose behalf a call is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Actor {
    /// The user's id.
    pub subject: String,
    /// Names of the user's roles.
    pub roles: Vec<String>,
}

/// The authenticated caller of a method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A caller without credentials.
    Anonymous,
    /// A user with a token of their own.
    User(Actor),
    /// A service that acts for a user. Its grant and the user's permissions both limit the call.
    Delegate {
        /// The calling service.
        service: String,
        /// User that the service acts for.
        actor: Actor,
    },
    /// A service that acts for itself. Only its grant limits the call.
    Service {
        /// The calling service.
        service: String,
        /// User that caused the call. Recorded only; grants nothing.
        cause: Option<Actor>,
    },
}

/// Permissions granted to each calling service, by service name.
pub type Grants = BTreeMap<String, Vec<String>>;

/// Resources on which a caller has the method's permission.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All resources.
    All,
    /// Only resources that belong to this subject.
    Own(String),
}

/// Result of authorization, stored as a request extension for handlers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    /// The authenticated caller.
    pub caller: Caller,
    /// Resources on which the caller has the method's permission.
    pub scope: Scope,
}

/// Reason why a caller must not call a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The method requires credentials, and the caller has none.
    #[error("this method requires credentials")]
    Unauthenticated,
    /// No role of the user has the permission.
    #[error("the permission {0} is missing")]
    PermissionMissing(&'static str),
    /// The calling service is not granted the permission. Independent of the user.
    #[error("the calling service is not granted the permission {0}")]
    NotGranted(&'static str),
}

impl Caller {
    /// Returns the user behind the call, if there is one.
    pub fn actor(&self) -> Option<&Actor> {
        match self {
            Self::Anonymous => None,
            Self::User(actor) | Self::Delegate { actor, .. } => Some(actor),
            Self::Service { cause, .. } => cause.as_ref(),
        }
    }

    /// Returns the subject under which request ids are unique: the user's id, `service:NAME` or
    /// `anonymous`.
    pub fn subject(&self) -> String {
        match self {
            Self::Anonymous => "anonymous".to_owned(),
            Self::User(actor) | Self::Delegate { actor, .. } => actor.subject.clone(),
            Self::Service { service, .. } => format!("service:{service}"),
        }
    }
}

impl Scope {
    /// Returns true if the scope includes the resources of `owner`.
    pub fn covers(&self, owner: &str) -> bool {
        match self {
            Self::All => true,
            Self::Own(subject) => subject == owner,
        }
    }
}

impl Contract {
    /// Returns the permissions in `grants` that the contract does not have, each with the service
    /// that it is granted to. They are most likely typing errors.
    pub fn unknown_grants<'a>(
        &self,
        grants: &'a Grants,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        let granted = grants.iter().flat_map(|(service, permissions)| {
            permissions.iter().map(|permission| (service.as_str(), permission.as_str()))
        });
        granted.filter(|(_, permission)| !self.permissions.contains(permission))
    }

    /// Decides whether `caller` may call `method`, and on which resources.
    ///
    /// # Errors
    /// [`Denied`] if the caller does not have the permission.
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

    /// Returns the widest scope in which a role of the actor has the permission.
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
