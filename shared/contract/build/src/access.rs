//! Access policy: permissions and roles.

use proc_macro2::TokenStream;
use prost_reflect::{DynamicMessage, FileDescriptor};
use quote::quote;

use crate::{
    options::{Fields, message_extension},
    problems::{OptionPlace, Problems},
    sources::Sources,
};

/// Number of the file option.
const OPTION: i32 = 50601;

/// Permissions of the contract, and the roles that grant them.
#[derive(Default)]
pub(crate) struct AccessPolicy {
    pub(crate) permissions: Vec<String>,
    pub(crate) roles: Vec<Role>,
    /// True if a file declares the policy.
    pub(crate) declared: bool,
}

/// A named set of permissions.
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) permissions: Vec<String>,
    pub(crate) own: Vec<String>,
}

/// Finds the only access policy.
pub(crate) fn read(sources: &Sources, problems: &mut Problems) -> AccessPolicy {
    let mut found: Option<(FileDescriptor, AccessPolicy)> = None;
    for file in sources.files() {
        let option = "gantry.contract.v1.access";
        let Some(policy) = message_extension(&sources.pool, &file.options(), option) else {
            continue;
        };
        match &found {
            Some((first, _)) => problems.add(
                &OptionPlace::new(&file, OPTION),
                format_args!("a second access policy; the first is in {}", first.name()),
            ),
            None => {
                let policy = policy_of(&policy);
                check(&policy, &file, problems);
                found = Some((file, policy));
            }
        }
    }
    found.map(|(_, policy)| policy).unwrap_or_default()
}

fn policy_of(policy: &DynamicMessage) -> AccessPolicy {
    let role = |role: &DynamicMessage| Role {
        name: role.text("name").unwrap_or_default(),
        permissions: role.texts("permissions"),
        own: role.texts("own"),
    };
    AccessPolicy {
        permissions: policy.texts("permissions"),
        roles: policy.messages("roles").iter().map(role).collect(),
        declared: true,
    }
}

fn check(policy: &AccessPolicy, file: &FileDescriptor, problems: &mut Problems) {
    let place = &OptionPlace::new(file, OPTION);
    for (index, permission) in policy.permissions.iter().enumerate() {
        if permission.is_empty() {
            problems.add(place, "access policy: a permission without a name");
        } else if policy.permissions[..index].contains(permission) {
            problems.add(place, format_args!("access policy: permission {permission:?} twice"));
        }
    }
    for (index, role) in policy.roles.iter().enumerate() {
        if role.name.is_empty() {
            problems.add(place, "access policy: a role without a name");
        } else if policy.roles[..index].iter().any(|other| other.name == role.name) {
            problems.add(place, format_args!("access policy: role {:?} twice", role.name));
        }
        for permission in role.permissions.iter().chain(&role.own) {
            if !policy.permissions.contains(permission) {
                problems.add(
                    place,
                    format_args!(
                        "access policy: role {:?} names the permission {permission:?}, which is not declared",
                        role.name
                    ),
                );
            }
        }
    }
}

impl AccessPolicy {
    /// Returns the table of permissions as code.
    pub(crate) fn permissions_table(&self) -> TokenStream {
        let permissions = &self.permissions;
        quote!(&[#(#permissions),*])
    }

    /// Returns the table of roles as code.
    pub(crate) fn roles_table(&self) -> TokenStream {
        let roles = self.roles.iter().map(|Role { name, permissions, own }| {
            quote! {
                Role { name: #name, permissions: &[#(#permissions),*], own: &[#(#own),*] }
            }
        });
        quote!(&[#(#roles),*])
    }
}
