//! What is wrong with a contract, and where.

use std::fmt;

use prost_reflect::{
    EnumDescriptor, EnumValueDescriptor, ExtensionDescriptor, FieldDescriptor, FileDescriptor,
    MessageDescriptor, MethodDescriptor, OneofDescriptor, ServiceDescriptor,
};

use crate::Error;

/// Everything that is wrong, in the order it was found.
#[derive(Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    /// Notes what is wrong with the thing at `place`.
    pub(crate) fn add(&mut self, place: &(impl Place + ?Sized), what: impl fmt::Display) {
        self.0.push(format!("  {}: {what}", place.place()));
    }

    pub(crate) fn into_result(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Contract(self.0)) }
    }
}

/// Something that stands in a .proto file.
pub(crate) trait Place {
    /// `shop/user/v1/user.proto:17:3: shop.user.v1.UserService.GetUser`.
    fn place(&self) -> String;

    /// The comment above it, as it stands there.
    fn comment(&self) -> String {
        String::new()
    }
}

macro_rules! places {
    ($($descriptor:ty),*) => {$(
        impl Place for $descriptor {
            fn place(&self) -> String {
                place(&self.parent_file(), self.path(), self.full_name())
            }

            fn comment(&self) -> String {
                comment(&self.parent_file(), self.path())
            }
        }
    )*};
}

places!(
    EnumDescriptor,
    EnumValueDescriptor,
    ExtensionDescriptor,
    FieldDescriptor,
    MessageDescriptor,
    MethodDescriptor,
    OneofDescriptor,
    ServiceDescriptor
);

impl Place for FileDescriptor {
    fn place(&self) -> String {
        self.name().to_owned()
    }
}

/// An option of a whole file.
pub(crate) struct OptionPlace {
    file: FileDescriptor,
    number: i32,
}

impl OptionPlace {
    /// The option of this number.
    pub(crate) fn new(file: &FileDescriptor, number: i32) -> Self {
        Self { file: file.clone(), number }
    }

    /// The name of the file.
    pub(crate) fn file(&self) -> &str {
        self.file.name()
    }
}

impl Place for OptionPlace {
    fn place(&self) -> String {
        // FileDescriptorProto.options is field 8.
        position(&self.file, &[8, self.number])
    }
}

fn place(file: &FileDescriptor, path: &[i32], name: &str) -> String {
    format!("{}: {name}", position(file, path))
}

fn comment(file: &FileDescriptor, path: &[i32]) -> String {
    let locations = file.file_descriptor_proto().source_code_info.iter().flat_map(|i| &i.location);
    let mut comments =
        locations.filter(|l| l.path == path).filter_map(|l| l.leading_comments.clone());
    comments.next().unwrap_or_default()
}

/// The file's name, with line and column where they are known.
fn position(file: &FileDescriptor, path: &[i32]) -> String {
    let locations = file.file_descriptor_proto().source_code_info.iter().flat_map(|i| &i.location);
    // Options have longer paths than what they are looked for by: the message's fields.
    let span = locations.filter(|l| l.path.starts_with(path)).map(|l| l.span.as_slice()).next();
    match span {
        Some([line, column, ..]) => format!("{}:{}:{}", file.name(), line + 1, column + 1),
        _ => file.name().to_owned(),
    }
}
