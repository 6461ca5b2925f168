//! What is wrong with a contract, and where.

use std::fmt;

use prost_reflect::{
    EnumDescriptor, EnumValueDescriptor, FieldDescriptor, FileDescriptor, MessageDescriptor,
    MethodDescriptor, OneofDescriptor,
};

use crate::Error;

/// Everything that is wrong, in the order it was found.
#[derive(Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    /// Notes what is wrong with the thing at `place`.
    pub(crate) fn add(&mut self, place: &impl Place, what: impl fmt::Display) {
        self.0.push(format!("  {}: {what}", place.place()));
    }

    pub(crate) fn into_result(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Contract(self.0)) }
    }
}

/// Something that stands in a .proto file.
pub(crate) trait Place {
    /// `shop/user/v1/user.proto:17: shop.user.v1.UserService.GetUser`.
    fn place(&self) -> String;
}

macro_rules! places {
    ($($descriptor:ty),*) => {$(
        impl Place for $descriptor {
            fn place(&self) -> String {
                place(&self.parent_file(), self.path(), self.full_name())
            }
        }
    )*};
}

places!(
    EnumDescriptor,
    EnumValueDescriptor,
    FieldDescriptor,
    MessageDescriptor,
    MethodDescriptor,
    OneofDescriptor
);

impl Place for FileDescriptor {
    fn place(&self) -> String {
        self.name().to_owned()
    }
}

fn place(file: &FileDescriptor, path: &[i32], name: &str) -> String {
    let locations = file.file_descriptor_proto().source_code_info.iter().flat_map(|i| &i.location);
    let line = locations.filter(|l| l.path == path).find_map(|l| l.span.first());
    match line {
        Some(line) => format!("{}:{}: {name}", file.name(), line + 1),
        None => format!("{}: {name}", file.name()),
    }
}
